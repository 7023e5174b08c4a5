"""The published record: which of its figures come out again, and which do not."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xperience.report.figures.style import (
    BLUE,
    MUTED,
    RED,
    SKY,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted
from xperience.studies.record.note import Figure

_STATUS = {
    "exact": (BLUE, "o"),
    "within tolerance": (SKY, "s"),
    "differs": (RED, "X"),
    "not recomputable": ("#C6CACE", "D"),
    "skipped": ("#E9EBED", "D"),
}


@styled
def draw_agreement(figures: Sequence[Figure]) -> Picture:
    """Return published figures against recomputed ones, and what became of every figure.

    Parameters
    ----------
    figures : sequence of Figure
    """
    known = [one for one in figures if one.recomputed is not None]
    title = _agreement_title(figures)
    canvas = new_figure(3.9)
    set_title(canvas, title, "Left: shares and metres. Right: every figure, by where it stands.")
    line, grid = canvas.subplots(1, 2, width_ratios=(1, 1.25))
    _identity(line, [one for one in known if one.unit in ("1", "m")])
    _mosaic(grid, figures)
    return Picture(canvas, title, f"{title}. {_agreement_alt(figures)}")


def _agreement_title(figures: Sequence[Figure]) -> str:
    told = [one for one in figures if one.status != "skipped"]
    if not told:
        return "No published record, nothing recomputed"
    exact, off = (sum(one.status == name for one in told) for name in ("exact", "differs"))
    known = sum(one.recomputed is not None for one in told)
    whole = f"of {counted(known, 'recomputable figure')} come{'s' if known == 1 else ''} out"
    if off:
        return f"{off} {whole} differently"
    near = known - exact
    return f"{exact} {whole} exactly" + (f", {near} nearly" if near else "")


def _identity(ax: Axes, known: Sequence[Figure]) -> None:
    if not known:
        empty_panel(ax, "nothing could be recomputed")
        return
    for status, (colour, marker) in _STATUS.items():
        points = [(one.published, one.recomputed) for one in known if one.status == status]
        if points:
            look = {"color": colour, "edgecolor": "white", "linewidth": 0.6, "zorder": 3}
            ax.scatter(*zip(*points, strict=True), marker=marker, s=34, **look)
    ends = [min(0, *(one.published for one in known)), max(one.published for one in known)]
    room = 0.05 * (ends[1] - ends[0])
    ends = [ends[0] - room, ends[1] + room]
    ax.plot(ends, ends, color=MUTED, linewidth=0.8, zorder=1)
    ax.set(xlim=ends, ylim=ends, xlabel="published", ylabel="recomputed", aspect="equal")


def _mosaic(ax: Axes, figures: Sequence[Figure]) -> None:
    sections = list(dict.fromkeys(one.section for one in figures))
    for row, section in enumerate(sections):
        of = sorted(
            (one for one in figures if one.section == section),
            key=lambda one: list(_STATUS).index(one.status),
        )
        for column, one in enumerate(of):
            colour, marker = _STATUS[one.status]
            ax.scatter(column, row, color=colour, marker=marker, s=52, linewidth=0)
    labels = [section.replace(", ", ",\n").replace(" and ", "\nand ") for section in sections]
    ax.set(yticks=range(len(sections)), yticklabels=labels, xticks=[], ylim=(len(sections), -0.6))
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="y", length=0)
    present = [name for name in _STATUS if any(one.status == name for one in figures)]
    handles = [
        Line2D([], [], linestyle="", color=_STATUS[name][0], marker=_STATUS[name][1], label=name)
        for name in present
    ]
    ax.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(-0.02, -0.06))


def _agreement_alt(figures: Sequence[Figure]) -> str:
    lost = [one.what for one in figures if one.status == "not recomputable"]
    off = [f"{one.what}: {one.published} and {one.recomputed}" for one in figures
           if one.status == "differs"]  # fmt: skip
    parts = [f"Points lie on the diagonal where the two agree, for {len(figures)} figures in all."]
    parts += [f"Not recomputable: {'; '.join(lost)}."] if lost else []
    return " ".join(parts + ([f"Different: {'; '.join(off)}."] if off else []))
