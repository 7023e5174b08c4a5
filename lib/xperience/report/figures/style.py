"""The one style of all figures, and the way they reach a notebook, the site and a screen reader.

Colours are those of Okabe and Ito, which stay apart for colour-blind readers and in grey print.
"""

import base64
import html
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from PIL import Image

from xperience.storage import whole_file
from xperience.text import visible

WIDTH_IN, NARROW_IN = 7.2, 5.6
"""Width of a figure that is read at 700 pixels or more, and of one that a phone can show."""
DPI = 180
SHOWN_PX = 760

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, MUTED, FAINT, PAPER = "#222222", "#5F6368", "#E4E6E8", "#FFFFFF"

MODALITY_COLOURS = {
    "motion": BLUE,
    "visual": SKY,
    "audio": ORANGE,
    "text": GREEN,
    "scene": PURPLE,
}
LEFT_HAND, RIGHT_HAND, BODY = ORANGE, GREEN, SKY
MISSING_HATCH = "////"
_TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_QUICK_DPI = 120
_LINE_CHARS = 1000

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9AA0A6",
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 8.5,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.04,
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "hatch.linewidth": 0.6,
    "image.interpolation": "antialiased",
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "text.parse_math": False,  # a label's dollars are dollars
    "xtick.bottom": True,
    "xtick.color": MUTED,
    "xtick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.color": INK,
    "ytick.left": False,
    "ytick.labelsize": 8,
}

# Tables in notebooks show labels as they are: no formulas, no markup.
pd.set_option("display.html.use_mathjax", False)
pd.set_option("styler.html.mathjax", False)
pd.set_option("styler.format.escape", "html")

Arguments = ParamSpec("Arguments")
_NAMED: set[str] = set()
"""Characters that were said to be in no font."""


@dataclass(frozen=True)
class Picture:
    """A figure and what it shows, in words.

    Parameters
    ----------
    figure : Figure
    title : str
        The message, computed from the data.
    alt : str
        What a reader who can't see the figure needs to know.
    """

    figure: Figure
    title: str
    alt: str


@contextmanager
def style() -> Iterator[None]:
    """Set the style for what is drawn inside, and nothing else."""
    with mpl.rc_context(STYLE):
        yield


def styled(draw: Callable[Arguments, Picture]) -> Callable[Arguments, Picture]:
    """Make a drawing function use the style."""

    @wraps(draw)
    def in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Picture:
        with style():
            return draw(*args, **kwargs)

    return in_style


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure; it belongs to no window and needs no closing."""
    return Figure(figsize=(width_in, height_in), dpi=DPI)


def set_title(figure: Figure, title: str, subtitle: str = "") -> None:
    """Put the message above a figure in bold, with a quieter line or two below it."""
    width_in, height_in = figure.get_size_inches()
    main = textwrap.fill(title, int(10.3 * width_in))
    small = textwrap.fill(subtitle, int(15.6 * width_in))
    line_in = 0.19
    room_in = line_in * (len(main.splitlines()) + 0.85 * len(small.splitlines())) + 0.10
    options = {"x": 0.012, "ha": "left", "va": "top", "transform": figure.transFigure}
    figure.text(y=1 - 0.05 / height_in, s=main, fontsize=11, fontweight="bold", **options)
    if small:
        top_in = 0.07 + line_in * len(main.splitlines())
        figure.text(y=1 - top_in / height_in, s=small, fontsize=8.5, color=MUTED, **options)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - room_in / height_in))


def elide(text: str, n: int) -> str:
    """Return a text of at most n characters on one line, its end replaced by an ellipsis."""
    text = visible(text)
    return text if len(text) <= n else text[: n - 1].rstrip() + "…"


def wrap(text: str, width: int, n_lines: int) -> str:
    """Return a text on at most so many lines of at most so many characters."""
    lines = textwrap.wrap(text, width, break_long_words=True, max_lines=n_lines, placeholder=" …")
    return "\n".join(lines)


def empty_panel(ax: Axes, reason: str, *, width: int = 30, n_lines: int = 7) -> None:
    """Turn an axes into a hatched panel that says why there is nothing to see."""
    ax.set(xticks=[], yticks=[], facecolor="#F6F7F8")
    ax.patch.set(hatch=MISSING_HATCH, edgecolor=FAINT)
    for spine in ax.spines.values():
        spine.set(visible=True, color="#C6CACE")
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 2.5}
    text = wrap(reason, width, n_lines)
    place = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, text, fontsize=8, color=MUTED, bbox=box, **place)


def nothing(title: str, reason: str) -> Picture:
    """Return an empty picture that says why there is nothing to see."""
    with style():
        figure = new_figure(1.9, NARROW_IN)
        set_title(figure, title)
        empty_panel(figure.subplots(), reason, width=60)
    return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")


def time_axis(ax: Axes, n_frames: int, fps: float, most: int = 10) -> None:
    """Label the x axis in minutes and seconds, with so many ticks; its values are seconds."""
    ax.set_xlim(0, n_frames / fps)
    step_s = next((s for s in _TICKS_S if n_frames / fps <= most * s), _TICKS_S[-1])
    ax.xaxis.set_major_locator(mpl.ticker.MultipleLocator(step_s))
    ax.xaxis.set_major_formatter(lambda s, _: f"{int(s // 60)}:{round(s % 60):02d}")
    ax.set_xlabel("time in the recording (min:s)")


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as a PNG of 256 colours: the same figure gives the same bytes.

    Half of the colours are the commonest ones, for pictures; half keep the largest error small, so
    that no mark changes its meaning.
    """
    with _as_saved(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # once, where `savefig` draws twice: for the layout and for the picture
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    palette: list[int] = []
    for method in (Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE):
        half = image.quantize(128, method=method).getpalette()[: 3 * 128]
        palette += half + half[:3] * (128 - len(half) // 3)
    colours = Image.new("P", (1, 1))
    colours.putpalette(palette)
    small = io.BytesIO()
    image.quantize(palette=colours, dither=Image.Dither.NONE).save(small, "PNG", compress_level=7)
    return small.getvalue()


@contextmanager
def _as_saved(figure: Figure) -> Iterator[None]:
    """Set the style, and fonts that have the figure's letters, for drawing it."""
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        _fit_texts(figure)
        yield


def _quick_png(figure: Figure) -> bytes:
    raw = io.BytesIO()
    with _as_saved(figure):
        figure.savefig(raw, format="png", dpi=_QUICK_DPI, metadata={"Software": None})
    return raw.getvalue()


def _fit_texts(figure: Figure) -> None:
    """Spell out what no font draws, and find fonts for scripts that the usual one lacks."""
    lost: set[str] = set()
    for text in figure.findobj(Text):
        shown = text.get_text()
        if shown.isascii() and shown.isprintable():
            continue
        text.set_text(visible(re.sub("[\ufe0e\ufe0f]", "", shown), one_line=False))
        usual = _letters(findfont(text.get_fontproperties()))
        lacking = set(text.get_text()) - usual - {"\n"}
        if lacking:
            found, unknown = _fallbacks("".join(sorted(lacking)))
            text.set_fontfamily([*text.get_fontfamily(), *found])
            lost |= unknown
    _name_once(lost)


@cache
def _letters(font: str) -> frozenset[str]:
    """Return the characters that a font has; none if it is no longer there."""
    try:
        return frozenset(map(chr, FT2Font(font).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _fallbacks(lacking: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return families of installed fonts that have some characters, and those that none has."""
    region = "JP" if re.search("[\u3041-\u30ff]", lacking) else "SC"
    region = "KR" if re.search("[\uac00-\ud7a3]", lacking) else region
    known = [font for font in fontManager.ttflist if font.style == "normal"]
    families = {f.name: f.fname for f in known if "Last Resort" not in f.name}  # it draws boxes

    def rank(family: str) -> tuple[bool, bool, bool, str]:
        words = family.split()
        return region not in words, "Sans" not in words, "Mono" in words, family

    found, left = [], set(lacking)
    for family in sorted(families, key=rank):
        here = left & _letters(families[family]) if left else set()
        found += [family] if here else []
        left -= here
    return tuple(found), frozenset(left)


def _name_once(lost: set[str]) -> None:
    """Say which characters no installed font has, each once."""
    if new := sorted(lost - _NAMED):
        _NAMED.update(new)
        codes = ", ".join(f"U+{ord(one):04X}" for one in new)
        warnings.warn(
            f"No installed font has {codes}: figures show boxes for them. Install one that does, "
            "such as the Noto fonts.",
            stacklevel=4,
        )


def show(picture: Picture, path: Path | str | None = None) -> None:
    """Show a picture in the notebook, with its description for screen readers, and save it.

    Parameters
    ----------
    picture : Picture
    path : path or None
        Where the PNG goes; None saves nothing.
    """
    display(picture_data(picture, path), raw=True)


def picture_data(
    picture: Picture, path: Path | str | None = None, *, passing: bool = False
) -> dict[str, str]:
    """Return a picture as what a notebook shows, {kind: text}, and save it if a path is given.

    Parameters
    ----------
    picture : Picture
    path : path, optional
        Where the PNG goes.
    passing : bool
        Whether another picture takes its place soon: drawn five times as fast, not so small.

    Notes
    -----
    An ``<img>`` of our own carries the description everywhere: JupyterLab and the site drop the one
    that a plain image output may hold. Line breaks, which browsers take out of an address, keep the
    notebook's lines short.
    """
    content = _quick_png(picture.figure) if passing else png_bytes(picture.figure)
    if path is not None:
        with whole_file(path) as scratch:
            scratch.write_bytes(content)
    source = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), _LINE_CHARS))
    alt = html.escape(visible(picture.alt))
    tag = (
        f'<img alt="{alt}" width="{SHOWN_PX}" style="max-width: 100%" '
        f'src="data:image/png;base64,{source}">'
    )
    return {"text/html": tag, "text/plain": picture.alt}
