"""What is written in a picture, and where: the boxes of its texts, as the renderer sets them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from reproduce.render.looks import PNG_DOTS_PER_INCH
from reproduce.render.plotting import COMPARED


class Written(NamedTuple):
    """A text of a picture."""

    words: str
    box: Bbox
    """in pixels of the PNG"""
    size: float
    """points"""
    axes: Axes | None
    is_name: bool
    """written beside a curve's end"""


def texts_of(figure: Figure) -> list[Written]:
    """Everything written in a picture but its stamp."""
    figure.dpi = PNG_DOTS_PER_INCH
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [
        Written(
            text.get_text(),
            text.get_window_extent(renderer),
            text.get_fontsize(),
            axes,
            text in names and not is_mark(text.get_text()),
        )
        for text, axes, names in _texts(figure)
        if text.get_text().strip() and text.get_visible() and text.get_rotation() in (0, 90)
    ]


def is_mark(words: str) -> bool:
    """Whether a text says that curves are compared where it stands."""
    return words.replace("\n", " ") == COMPARED


def _texts(figure: Figure) -> Iterator[tuple[Text, Axes | None, list[Text]]]:
    for text in figure.texts:
        yield text, None, []
    for axes in figure.axes:
        for text in [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]:
            yield text, axes, [*axes.texts]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    yield tick.label1, axes, []


def assert_readable(figure: Figure) -> None:
    """Every text inside the picture and of 7 points or more where it is shown 838 pixels wide; none over another."""
    texts = texts_of(figure)
    width, height = figure.bbox.size
    shown = 838 / 96 / figure.get_size_inches()[0]
    for i, one in enumerate(texts):
        assert one.size * shown >= 7, one
        assert one.box.x0 >= 0 and one.box.y0 >= 0 and one.box.x1 <= width and one.box.y1 <= height, one
        for other in texts[:i]:
            apart = (
                one.box.x1 <= other.box.x0
                or other.box.x1 <= one.box.x0
                or one.box.y1 <= other.box.y0
                or other.box.y1 <= one.box.y0
            )
            assert apart, (one, other)


def assert_names_lie_clear(figure: Figure) -> None:
    """The names beside curves inside their axes, right of all curves and of the lines that lead to them."""
    for one in texts_of(figure):
        if one.is_name:
            frame = one.axes.get_window_extent()
            assert frame.x0 <= one.box.x0 and one.box.x1 <= frame.x1, one
            assert frame.y0 - 1 <= one.box.y0 and one.box.y1 <= frame.y1 + 1, one
            for line in one.axes.lines:
                points = line.get_transform().transform(line.get_xydata())
                assert points[:, 0].max() < one.box.x0, one


def assert_marks_lie_clear(figure: Figure) -> None:
    """What is written beside the marks of an epoch on no curve, and inside its axes."""
    for one in texts_of(figure):
        if one.axes and is_mark(one.words):
            frame = one.axes.get_window_extent()
            assert frame.x0 <= one.box.x0 and one.box.x1 <= frame.x1, one
            assert frame.y0 - 1 <= one.box.y0 and one.box.y1 <= frame.y1 + 1, one
            for line in one.axes.lines:
                # Lines of the grid go behind it.
                if line.get_zorder() >= 2 and len(line.get_xdata()) > 1:
                    points = line.get_transform().transform(line.get_xydata())
                    under = np.linspace(one.box.x0, one.box.x1, 50)
                    heights = np.interp(under, *points.T, left=np.nan, right=np.nan)
                    assert not ((one.box.y0 < heights) & (heights < one.box.y1)).any(), one


def contrast_with_white(colour: str) -> float:
    """WCAG 2.2's contrast ratio."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05))
