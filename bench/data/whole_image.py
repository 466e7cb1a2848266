"""What an image file may hold beyond one opaque 8-bit picture; such a file is refused."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from PIL import Image

GREY, COLOUR = ("1", "L"), ("RGB", "P")
GREY_ALPHA, COLOUR_ALPHA = ("LA", "La"), ("RGBA", "RGBa", "PA")
ORIENTATION = 0x0112
BITS, SAMPLES, COLOUR_MAP, SAMPLE_FORMAT = 258, 277, 320, 339  # Tags of TIFF.
UNSIGNED = (1, 4)
ANIMATED = 2  # A flag in the header of an extended WebP file.

# Pillow's readers fail on a damaged file in many ways, and warn of what they skip.
UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, KeyError, IndexError, TypeError),
    *(AttributeError, RuntimeError, OverflowError, MemoryError, ZeroDivisionError, zlib.error),
    UserWarning,
)


def whole_picture(image: Image.Image, content: bytes, origin: object) -> Image.Image:
    """Returns the one picture of a file, mode ``L`` or ``RGB``.

    Args:
        image: The opened image, not yet unpacked.
        content: The bytes of the file.
        origin: What to call the file in an error.

    Raises:
        UserError: The file holds more than that: pages, frames, more than 8 bits, further
            channels, an orientation, a pixel that is not opaque, or colours of another kind.
    """
    if more := _frames(image) or _by_format(image, content):
        raise UserError(f"{origin} {more}.")
    if image.mode not in (*GREY, *COLOUR, *GREY_ALPHA, *COLOUR_ALPHA):
        raise UserError(f"{origin} has mode {image.mode}; expected 8-bit grey or RGB.")
    image.load()
    if more := _orientation(image) or _palette(image):
        raise UserError(f"{origin} {more}.")
    grey = image.mode in GREY + GREY_ALPHA
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
        counts = image.getchannel("A").histogram()
        if clear := sum(counts[:255]):
            raise UserError(
                f"{origin} has {clear} of {sum(counts)} pixels that are not fully opaque; "
                "lay it on a background and save it without transparency."
            )
    return image.convert("L" if grey else "RGB")


def _frames(image: Image.Image) -> str:
    count = getattr(image, "n_frames", 1)
    return f"holds {count} pages or frames; expected one a file" if count > 1 else ""


def _orientation(image: Image.Image) -> str:
    try:
        number = image.getexif().get(ORIENTATION, 1)
    except UNREADABLE:
        return "has EXIF data that cannot be read, so its orientation is not known; remove them"
    return _turned(number)


def _turned(number: object) -> str:
    if number in range(2, 9):
        return f"has EXIF orientation {number}; turn its pixels and save it without"
    return ""


def _palette(image: Image.Image) -> str:
    return "" if image.mode != "P" or image.palette else "lacks its palette"


def _by_format(image: Image.Image, content: bytes) -> str:
    found = {"PNG": _png, "TIFF": _tiff, "GIF": _gif, "PPM": _ppm, "WEBP": _webp}
    look = found.get(image.format or "")
    return look(image, content) if look else ""


def _too_deep(bits: object) -> str:
    return f"has {bits} bits a channel; expected 8"


def _png(image: Any, content: bytes) -> str:  # noqa: ANN401
    layout = str(image.tile[0][3]) if image.tile else ""
    if layout.endswith(("16", "16B")):
        return _too_deep(16)
    # Pillow scales the grey levels of such a file and not the level that is transparent.
    if layout in ("L;2", "L;4") and "transparency" in image.info:
        return "has a transparent grey level among fewer than 256; save it without transparency"
    return ""


def _tiff(image: Any, content: bytes) -> str:  # noqa: ANN401
    tags = image.tag_v2
    if max(tags.get(BITS, (1,))) > 8:
        return _too_deep(max(tags[BITS]))
    if any(kind not in UNSIGNED for kind in tags.get(SAMPLE_FORMAT, (1,))):
        return "has signed or real numbers; expected 8 unsigned bits"
    bands = len(image.getbands())
    if tags.get(SAMPLES, 1) > bands:
        return f"has {tags[SAMPLES]} channels, of which {bands} would be read"
    # Pillow would turn the pixels and take the tag away.
    if turned := _turned(tags.get(ORIENTATION, 1)):
        return turned
    # Sixteen bits a colour, usually 8 bits times 256 or 257.
    if any(value % 256 not in (0, value // 256) for value in tags.get(COLOUR_MAP, ())):
        return "has a palette of more than 8 bits a channel; expected 8"
    return ""


def _gif(image: Any, content: bytes) -> str:  # noqa: ANN401
    if image.tile and image.tile[0][1] != (0, 0, *image.size):
        return "has a frame that does not cover its canvas; save the whole picture"
    return ""


def _webp(image: Any, content: bytes) -> str:  # noqa: ANN401
    if content[12:16] == b"VP8X" and content[20] & ANIMATED:
        return "is an animation; expected one picture a file"
    return ""


def _ppm(image: Any, content: bytes) -> str:  # noqa: ANN401
    codec, _, offset, layout = image.tile[0]
    most = layout[1] if isinstance(layout, tuple) and len(layout) == 2 else 255
    if most > 255 or image.mode == "I":
        return "has values above 255; expected 8 bits a channel"
    rest = content[offset:]
    if codec == "ppm_plain":
        second = b"P" in re.sub(rb"#[^\r\n]*", b"", rest)
    else:
        row = (image.width + 7) // 8 if image.mode == "1" else image.width * len(image.getbands())
        second = bool(rest[row * image.height :].strip())
    return "holds data after its first image; expected one a file" if second else ""
