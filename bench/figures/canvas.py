"""What all plots share: one look for each objective, layouts, and files that repeat."""

from __future__ import annotations

import io
import textwrap
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..comparison.labels import ORDER, REFERENCES
from ..comparison.plot import PLOTS as PLOTS
from ..comparison.plot import Plots as Plots
from ..files.storage import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours first, which stay apart for colour-blind readers; the counts of colours,
# markers and lines share no factor, so that 1,001 objectives differ. Black is the references'.
COLOURS = (
    *("#7F7F7F", "#D55E00", "#E69F00", "#CC79A7", "#882255", "#56B4E9", "#44AA99", "#332288"),
    *("#0072B2", "#009E73", "#117733", "#A6761D", "#B2182B"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 150,
}
NARROWEST = 5.5
LABEL = 2.4
LEGEND_LINE, SHORT_LEGEND = 0.17, 3  # Inches of a line; lines that the height allows for.
CHARACTER = 0.064  # Inches that a character takes at 8 points.
Array = NDArray[Any]


def look_of(objective: str) -> dict[str, Any]:
    """Returns colour, marker and line style of an objective, the same in every plot.

    Names that are not in the papers get theirs from a checksum of the name.
    """
    if objective in REFERENCES:
        line = (":", "--", "-.")[list(REFERENCES).index(objective)]
        return {"color": "black", "marker": "", "linestyle": line}
    place = ORDER.index(objective) + 1 if objective in ORDER else zlib.crc32(objective.encode())
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": LINES[place % len(LINES)],
    }


def new_figure(width: float, height: float, **grid: Any) -> tuple[Figure, Array]:  # noqa: ANN401
    """Returns an empty figure, in inches, and its axes as an array with rows and columns."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(width, NARROWEST), height), layout="constrained")
        axes = figure.subplots(squeeze=False, **grid)
    return figure, axes


def new_panels(
    count: int, margin: tuple[float, float], panel: tuple[float, float]
) -> tuple[Figure, Array]:
    """Returns a figure with at most four panels a line, and its axes.

    Args:
        count: How many panels are wanted; axes beyond them are hidden.
        margin: Width and height around all panels, in inches.
        panel: Width and height of one.
    """
    columns = min(4, count)
    lines = -(-count // columns)
    size = (margin[0] + panel[0] * columns, margin[1] + panel[1] * lines)
    figure, axes = new_figure(*size, nrows=lines, ncols=columns)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes


def picture_table(
    found: Mapping[str, Mapping[str, Array] | str],
    headings: Sequence[str],
    title: str,
    *,
    tight: bool = False,
) -> Figure:
    """Returns pictures with a line for each method and a column for each heading.

    Args:
        found: For each method its pictures (H, W, 3) by heading, or why it has none.
        headings: The columns in their order.
        title: What stands above.
        tight: Whether the pictures nearly touch.
    """
    pictures = [one for own in found.values() if not isinstance(own, str) for one in own.values()]
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    left = label_width(found)
    top, gap = (0.5, 0.03) if tight else (0.6, 0.05)
    size = (left + 2.6 * len(headings), top + (2.6 * height / width + gap) * len(found))
    figure, axes = new_figure(*size, nrows=len(found), ncols=len(headings))
    if tight:
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for line, (method, own) in zip(axes, found.items(), strict=True):
        for axis, heading in zip(line, headings, strict=True):
            hide_axis(axis)
            if not isinstance(own, str) and heading in own:
                axis.imshow(own[heading], interpolation="nearest")
        line[0].set_ylabel(wrapped(method, left), rotation=0, ha="right", va="center")
        if isinstance(own, str):
            line[0].text(0.02, 0.5, own, transform=line[0].transAxes, va="center")
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading)
    title_above(figure, title)
    return figure


def save_figure(folder: Path, name: str, figure: Figure) -> list[Path]:
    """Writes a figure as PNG and PDF, with the same bytes for the same content.

    The PNG has 256 colours, or all greys. What shows images has no PDF, which would be larger and
    no sharper.
    """
    import matplotlib as mpl

    paths = []
    _show_names_as_they_are(figure)
    kinds: list[tuple[str, dict[str, None]]] = [("png", {"Software": None})]
    if not any(axis.images for axis in figure.axes):
        kinds.append(("pdf", {"CreationDate": None}))
    for ending, metadata in kinds:
        stream = io.BytesIO()
        with mpl.rc_context(STYLE):
            figure.savefig(stream, format=ending, metadata=metadata)
        content = in_few_colours(stream.getvalue()) if ending == "png" else stream.getvalue()
        paths.append(folder / f"{name}.{ending}")
        write_atomically(paths[-1], content)
    return paths


def in_few_colours(png: bytes) -> bytes:
    """Returns a PNG in 256 colours chosen for it, or in grey, which takes a third of the space."""
    from PIL import Image

    image = Image.open(io.BytesIO(png))
    colours = image.convert("RGB")
    pixels = np.asarray(colours)
    if (pixels == pixels[..., :1]).all():
        few = colours.convert("L")
    else:
        few = colours.quantize(256, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    few.save(stream, "PNG", optimize=True, dpi=image.info.get("dpi", (72, 72)))
    return stream.getvalue()


def _show_names_as_they_are(figure: Figure) -> None:
    """Keeps a ``$`` in a name from being read as mathematics, but for numbers on log axes."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_text():  # Those of log axes are still empty.
            text.set_parse_math(False)


def wrapped(text: str, inches: float) -> str:
    """Returns text of 8 points with line breaks, between words, so that it is so wide at most."""
    lines = text.splitlines()
    width = max(int(inches / CHARACTER), 8)
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in lines
    )


def label_width(labels: Iterable[str]) -> float:
    """Returns the inches that labels at the left get, so that most take two lines or less."""
    longest = max(map(len, labels), default=0)
    return min(max(1.0, CHARACTER * longest / 2 + 0.3), 3.0)


def title_above(figure: Figure, title: str) -> None:
    """Puts a title over the figure, in as many lines as it needs."""
    figure.suptitle(wrapped(title, figure.get_figwidth() - 0.2), fontsize=8)


def legend_below(figure: Figure, axes: Array, neutral: bool = False) -> None:
    """Puts one legend for all axes under them, each label once.

    Args:
        figure: The figure.
        axes: Its axes.
        neutral: Whether the labels name line styles alone, so that handles are grey.
    """
    from matplotlib.lines import Line2D

    handles: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if neutral:
        handles = {
            label: Line2D([], [], color="0.3", linestyle=handle.get_linestyle())
            for label, handle in handles.items()
        }
    labels = [wrapped(label, LABEL) for label in handles]
    longest = max((len(line) for label in labels for line in label.splitlines()), default=0)
    columns = max(1, int(figure.get_figwidth() / (0.7 + CHARACTER * longest)))
    lines = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * max(0, lines - SHORT_LEGEND))
    if handles:
        figure.legend(
            handles.values(),
            labels,
            loc="outside lower center",
            ncols=min(columns, len(handles)),
            frameon=False,
            fontsize=7,
            handlelength=3.2,
        )


def hide_axis(axis: Axes) -> None:
    """Leaves of an axis only what is drawn on it."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def as_pixels(images: Array) -> Array:
    """Returns images (N, C, H, W), uint8, with their channels last: (N, H, W, 3)."""
    last = np.moveaxis(images, 1, -1)
    if last.shape[-1] == 1:
        return np.repeat(last, 3, axis=-1)
    return np.ascontiguousarray(last[..., :3])


def tile(images: Array, columns: int, rows: int = 1, gap: int = 1) -> Array:
    """Returns images (N, C, H, W) as one picture (H', W', 3), white where there are too few."""
    pixels = as_pixels(images[: rows * columns])
    height, width = pixels.shape[1:3]
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    picture = np.full(shape, 255, np.uint8)
    for at, image in enumerate(pixels):
        top, left = (at // columns) * (height + gap), (at % columns) * (width + gap)
        picture[top : top + height, left : left + width] = image
    return picture


def evenly(count: int, wanted: int) -> list[int]:
    """Returns ``wanted`` places from 0 to ``count`` - 1, ends included, evenly spaced."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, wanted))})
