"""Every line on image files and folders of docs/inputs.md, tried both ways in."""

from __future__ import annotations

import io
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.images import read_set
from aebench.bench.errors import UserError
from aebench.bench.evaluation.sets import check_pair
from PIL import Image

FILES = runpy.run_path(str(Path(__file__).with_name("input_files.py")))
lines, png, saved, tiff = (FILES[name] for name in ("lines", "png", "saved", "tiff"))

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
DEEP = COLOUR.astype(np.uint16) * 16 + 5  # Twelve bits in sixteen.
LEVELS = {bits: GREY >> (8 - bits) for bits in (1, 2, 4)}


def image(array: np.ndarray, mode: str | None = None) -> Image.Image:
    made = Image.fromarray(array)
    return made if mode is None else made.convert(mode)


def with_alpha(array: np.ndarray, lowest: int) -> Image.Image:
    alpha = np.full(array.shape[:2], 255, np.uint8)
    alpha[2, 3] = lowest
    return Image.fromarray(np.dstack([array, alpha]))


def palette() -> Image.Image:
    made = Image.fromarray((np.arange(48).reshape(6, 8) % 4).astype(np.uint8)).convert("P")
    made.putpalette([10, 20, 30, 200, 0, 0, 0, 90, 255, 7, 7, 7] + [1, 2, 3] * 252)
    return made


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def frames(kind: str) -> bytes:
    more = [image(np.roll(COLOUR, shift, 0)) for shift in (1, 2)]
    return saved(image(COLOUR), kind, save_all=True, append_images=more)


def one_frame() -> bytes:
    content = frames("WEBP")
    second = content.index(b"ANMF", content.index(b"ANMF") + 1)
    return b"RIFF" + struct.pack("<I", second - 8) + content[8:second]


def small_frame() -> bytes:
    content = bytearray(saved(image(GREY), "GIF"))
    content[6:10] = struct.pack("<HH", 16, 12)
    return bytes(content)


def ppm(most: int, plain: bool = False) -> bytes:
    head = b"P%d\n8 6\n%d\n" % (3 if plain else 6, most)
    if plain:
        return head + " ".join(map(str, COLOUR.ravel())).encode()
    values = COLOUR.astype(">u2") if most > 255 else COLOUR
    return head + values.tobytes()


def turned(kind: str, orientation: int) -> bytes:
    return saved(image(COLOUR), kind, exif=exif(orientation))


def encoded(kind: str, **options: object) -> tuple[bytes, np.ndarray]:
    """A file of a lossy format, and what Pillow itself reads of it."""
    content = saved(image(COLOUR), kind, **options)
    with Image.open(io.BytesIO(content)) as opened:
        return content, np.asarray(opened.convert("RGB"))


OPAQUE = {"quality": 100, "lossless": True}
PICTURES = {
    "8-bit grey or RGB in PNG, BMP, TIFF, WebP (lossless), PPM or TGA": [
        *[
            (saved(image(a), k), a)
            for k in ("PNG", "BMP", "TIFF", "PPM", "TGA")
            for a in (GREY, COLOUR)
        ],
        (saved(image(COLOUR), "WEBP", lossless=True), COLOUR),
    ],
    "JPEG, GIF, WebP (lossy)": [encoded("JPEG"), encoded("GIF"), encoded("WEBP", quality=50)],
    "palette without transparency": [
        (saved(palette(), kind), np.asarray(palette().convert("RGB")))
        for kind in ("PNG", "BMP", "TIFF", "GIF", "TGA")
    ],
    "1-bit PNG": [(png(LEVELS[1], 1), LEVELS[1] * 255)],
    "2-bit and 4-bit grey PNG": [
        (png(LEVELS[2], 2), LEVELS[2] * 85),
        (png(LEVELS[4], 4), LEVELS[4] * 17),
    ],
    "alpha of 255 everywhere, in PNG, TIFF, WebP or TGA": [
        *[
            (saved(with_alpha(COLOUR, 255), kind, **(OPAQUE if kind == "WEBP" else {})), COLOUR)
            for kind in ("PNG", "TIFF", "WEBP", "TGA")
        ],
        (saved(with_alpha(GREY, 255), "PNG"), GREY),
        (tiff(np.dstack([COLOUR, np.full_like(GREY, 255)]), extra=(1,)), COLOUR),
    ],
    "transparent colour that no pixel has": [
        (png(GREY // 2, 8, (b"tRNS", struct.pack(">H", 201))), GREY // 2),
        (png(COLOUR // 2, 8, (b"tRNS", struct.pack(">HHH", 201, 0, 0))), COLOUR // 2),
        (saved(palette(), "PNG", transparency=9), np.asarray(palette().convert("RGB"))),
    ],
    "pixels that are not fully opaque": [
        *[
            saved(with_alpha(COLOUR, low), kind)
            for kind in ("PNG", "TIFF", "TGA")
            for low in (0, 254)
        ],
        saved(with_alpha(COLOUR, 9), "WEBP", lossless=True),
        saved(with_alpha(GREY, 254), "PNG"),
        tiff(np.dstack([COLOUR // 2, np.full_like(GREY, 128)]), extra=(1,)),
    ],
    "palette with a transparent colour in use": [
        saved(palette(), "PNG", transparency=2),
        saved(palette(), "PNG", transparency=bytes([255, 255, 254])),
        saved(palette(), "GIF", transparency=2),
    ],
    "RGB with a transparent colour in use": [
        png(COLOUR, 8, (b"tRNS", struct.pack(">HHH", *map(int, COLOUR[0, 0])))),
        png(GREY, 8, (b"tRNS", struct.pack(">H", int(GREY[0, 0])))),
    ],
    "transparent level in a 2-bit grey PNG": [
        png(LEVELS[2], 2, (b"tRNS", struct.pack(">H", int(LEVELS[2][0, 0]))))
    ],
    "16-bit PNG, grey or RGB, with 12 bits in use too": [png(DEEP, 16), png(DEEP[..., 0], 16)],
    "16-bit TIFF, grey or RGB": [tiff(DEEP), tiff(DEEP[..., 0])],
    "TIFF of 32-bit real numbers": [tiff(GREY.astype(np.float32) / 255, kind=3)],
    "TIFF of signed numbers": [tiff(GREY.astype(np.int8), kind=2)],
    "TIFF with a fourth channel that is no alpha": [tiff(np.dstack([COLOUR, GREY]), extra=(0,))],
    "TIFF whose palette has 16 bits": [tiff(GREY, colours=np.arange(768) * 85)],
    "PPM or PGM with values above 255": [
        ppm(65535),
        ppm(65535, plain=True),
        b"P5\n8 6\n65535\n" + DEEP[..., 0].astype(">u2").tobytes(),
    ],
    "TIFF of several pages": [frames("TIFF")],
    "animated GIF, PNG (APNG) or WebP": [frames("GIF"), frames("PNG"), frames("WEBP")],
    "WebP animation of one frame": [one_frame()],
    "JPEG of several pictures (MPO)": [frames("MPO")],
    "PPM with a second image, binary or plain": [
        ppm(255) * 2,
        ppm(255, plain=True) + b"\n" + ppm(255, plain=True),
        b"P4\n8 6\n" + bytes(6) + b"P4\n8 6\n" + bytes(6),
    ],
    "GIF whose frame is smaller than its canvas": [small_frame()],
    "EXIF orientation 6 in JPEG, PNG, TIFF or WebP": [
        *[turned(kind, 6) for kind in ("JPEG", "PNG", "WEBP")],
        saved(image(COLOUR), "TIFF", tiffinfo={0x0112: 6}),
    ],
    "EXIF orientation 1": [
        (turned("PNG", 1), COLOUR),
        (saved(image(COLOUR), "TIFF", tiffinfo={0x0112: 1}), COLOUR),
        (turned("PNG", 0), COLOUR),  # As some cameras write it: not known.
    ],
    "EXIF data that are damaged": [saved(image(COLOUR), "PNG", exif=b"Exif\0\0no header here")],
    "CMYK, Lab": [saved(image(COLOUR, "CMYK"), k) for k in ("JPEG", "TIFF")]
    + [saved(image(COLOUR, "LAB"), "TIFF")],
    "values 0 and 1 only": [saved(image(LEVELS[1]), "PNG")],
    "another size than the first": [saved(image(COLOUR[:5]), "PNG")],
    "grey among colour": [saved(image(GREY), "PNG")],
    "damaged file": [
        saved(image(COLOUR), "PNG")[:-40],
        saved(image(COLOUR), "JPEG")[:200],
        tiff(COLOUR)[:-12],  # Pillow would skip a tag with a warning.
        saved(palette(), "PNG").replace(b"PLTE", b"pLTE"),
    ],
    "other format, or no image": [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
        b"hello",
        b"<svg/>",
        b"",
        saved(image(COLOUR), "JPEG2000"),
    ],
}
CASES = [(line, at) for line, made in PICTURES.items() for at in range(len(made))]
ALIKE = ("values 0 and 1 only",)  # Said of the whole set.


def both_ways(folder):
    """Reads a folder in the two ways; returns the sets of pictures, which must be the same."""
    data = load_dataset(f"folder:{folder}")
    trained = np.concatenate([data.train, data.validation, data.test])
    scored = read_set(folder).items
    assert sorted(map(bytes, trained)) == sorted(map(bytes, scored))
    return scored


def evaluated(folder):
    given = read_set(folder)
    check_pair({"real": given, "generated": given})


def refusals(folder):
    """Returns the errors of the two ways."""
    found = []
    for read in (evaluated, lambda path: load_dataset(f"folder:{path}")):
        with pytest.raises(UserError) as error:
            read(folder)
        found.append(str(error.value))
    return found


def test_the_page_and_the_tests_have_the_same_lines_on_image_files():
    assert list(lines("Image files")) == list(PICTURES)


@pytest.mark.parametrize(("line", "at"), CASES)
def test_an_image_file_is_read_or_refused_as_the_page_says(line, at, tmp_path):
    happens, reason = lines("Image files")[line]
    made = PICTURES[line][at]
    content = made[0] if isinstance(made, tuple) else made
    for number in range(3):
        alone = happens == "read" or line in ALIKE
        other = content if alone else saved(image(COLOUR), "PNG")
        (tmp_path / f"{number}.png").write_bytes(other)
    if happens == "read":
        pixels = made[1] if made[1].ndim == 3 else made[1][..., None]
        assert np.array_equal(both_ways(tmp_path)[0], pixels.transpose(2, 0, 1))
        return
    (tmp_path / "7.png").write_bytes(content)
    for error in refusals(tmp_path):
        assert reason in error and "\n" not in error
        assert line in ALIKE or str(tmp_path / "7.png") in error
