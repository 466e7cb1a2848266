"""Image files of kinds that Pillow does not write, and the page's tables; loaded with runpy."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def lines(section: str) -> dict[str, tuple[str, str]]:
    """Returns what docs/inputs.md says under a heading: by input what happens, and the reason."""
    page = (Path(__file__).parents[1] / "docs" / "inputs.md").read_text(encoding="utf-8")
    (part,) = [p for p in page.split("\n## ") if p.startswith(f"{section}\n")]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows[2:]]
    return {what: (happens, reason) for what, happens, reason in cells}


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns what Pillow writes."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(array: np.ndarray, bits: int = 8, *more: tuple[bytes, bytes]) -> bytes:
    """Returns a PNG of grey levels (H, W) or colours (H, W, 3), which fill whole bytes."""
    height, width = array.shape[:2]
    if bits == 16:
        rows = array.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        each = 8 // bits
        packed = np.zeros((height, array[0].size // each), np.uint8)
        for place in range(each):
            part = array.reshape(height, -1)[:, place::each].astype(np.uint8)
            packed |= part << (8 - bits * (place + 1))
        rows = packed
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, bits, 2 * (array.ndim == 3), 0, 0, 0)
    chunks = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks))


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, data = part
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(
    array: np.ndarray, *, kind: int = 1, extra: tuple[int, ...] = (), colours: Any = None
) -> bytes:
    """Returns an uncompressed little-endian TIFF of (H, W) or (H, W, C).

    Args:
        array: The values, of the type that the file shall have.
        kind: SampleFormat: 1 unsigned, 2 signed, 3 real.
        extra: ExtraSamples, what the channels after grey or RGB are.
        colours: A palette of 3 x 256 values of 16 bits, or none.
    """
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    photometric = 3 if colours is not None else 2 if channels - len(extra) == 3 else 1
    tags: list[tuple[int, int, Any]] = [
        (256, 3, [width]),
        (257, 3, [height]),
        (258, 3, [array.dtype.itemsize * 8] * channels),
        (259, 3, [1]),
        (262, 3, [photometric]),
        (273, 4, [8]),
        (277, 3, [channels]),
        (278, 3, [height]),
        (279, 4, [array.nbytes]),
        (339, 3, [kind] * channels),
    ]
    tags += [(338, 3, list(extra))] if extra else []
    tags += [(320, 3, list(colours))] if colours is not None else []
    body = array.astype(array.dtype.newbyteorder("<")).tobytes()
    offset = 8 + len(body)
    behind, entries = offset + 2 + 12 * len(tags) + 4, b""
    values = b""
    for tag, code, numbers in sorted(tags):
        packed = struct.pack(f"<{len(numbers)}{'H' if code == 3 else 'I'}", *numbers)
        if len(packed) > 4:
            where = struct.pack("<I", behind + len(values))
            values += packed
            packed = where
        entries += struct.pack("<HHI", tag, code, len(numbers)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", offset)
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4) + values
