"""How far the clocks of a recording are apart: each pair's correlation, its offset over time."""

import numpy as np
from matplotlib.axes import Axes

from xperience.report.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    MUTED,
    ORANGE,
    RED,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
    time_axis,
    wrap,
)
from xperience.sync.audit import ClockPair, SyncAudit, SyncVerdict

_COLOURS = {
    SyncVerdict.SYNCHRONISED: GREEN,
    SyncVerdict.OFF: RED,
    SyncVerdict.CANNOT_TELL: MUTED,
}
_NUMBERS = ("no", "one", "two", "three", "all four")


@styled
def draw_sync(audit: SyncAudit) -> Picture:
    """Return a row a pair of clocks: where they fit best, and how far they are apart over time.

    Parameters
    ----------
    audit : SyncAudit
        From `audit_episode`.
    """
    figure = new_figure(1.0 + 1.45 * len(audit.pairs))
    title = _title(audit)
    half_ms = audit.frame_ms / 2
    subtitle = (
        "Left: correlation at each offset, drift taken out. Right: offset over the recording with "
        f"its 95 % interval; grey is what one may be off by, half a frame ({half_ms:.0f} ms)."
    )
    set_title(figure, title, subtitle)
    grid = figure.subplots(len(audit.pairs), 2, width_ratios=(1.0, 1.25), squeeze=False)
    for (left, right), pair in zip(grid, audit.pairs, strict=True):
        left.set_title(f"{pair.late} – {pair.reference}", fontweight="bold")
        headline = pair.headline if pair.misalignment else str(pair.verdict)
        right.set_title(wrap(headline, 58, 2), color=_COLOURS[pair.verdict])
        _draw_curve(left, pair)
        _draw_offset(right, pair, audit.length_s)
    _label_lowest(grid[:, 0], "offset (ms)")
    _label_lowest(grid[:, 1], "time in the recording (min:s)")
    return Picture(figure, title, _alt(audit, title))


def _label_lowest(column: np.ndarray, label: str) -> None:
    """Put the label below the lowest of a column's axes that has a scale."""
    scaled = [ax for ax in column if len(ax.get_xticks())]
    for ax in scaled:
        ax.set_xlabel(label if ax is scaled[-1] else "")


def _title(audit: SyncAudit) -> str:
    found = {verdict: [p for p in audit.pairs if p.verdict is verdict] for verdict in SyncVerdict}
    n_good, unknown = len(found[SyncVerdict.SYNCHRONISED]), len(found[SyncVerdict.CANNOT_TELL])
    parts = [f"{_NUMBERS[n_good].capitalize()} pair{'s' * (n_good > 1)} of streams synchronised"]
    if off := found[SyncVerdict.OFF]:
        parts.append(f"{', '.join(f'the {pair.late}' for pair in off)} off")
    if unknown:
        parts.append(f"{_NUMBERS[unknown]} undecided")
    return "; ".join(parts)


def _draw_curve(ax: Axes, pair: ClockPair) -> None:
    """Draw correlation against offset, or say what was compared instead."""
    if pair.curve is None:
        empty_panel(ax, pair.evidence or "not compared", width=44)
        return
    offset_ms, height = pair.curve
    ax.axvline(0, color=FAINT, linewidth=1, zorder=0)
    ax.plot(offset_ms, height, color=BLUE, linewidth=1.1)
    if pair.misalignment:
        at_ms = pair.misalignment.offset_ms.value
        ax.plot(at_ms, np.interp(at_ms, offset_ms, height), "o", color=ORANGE, markersize=4.5)
    ax.set(xlim=(offset_ms[0], offset_ms[-1]), ylabel="correlation")


def _draw_offset(ax: Axes, pair: ClockPair, length_s: float) -> None:
    """Draw the offset and its interval from the start to the end of the recording."""
    found, colour = pair.misalignment, _COLOURS[pair.verdict]
    if found is None:
        empty_panel(ax, pair.reason or "", width=52)
        return
    time_s = np.array([0, length_s / 2, length_s])
    low, value, high = (
        [getattr(at, name) for at in found.moments] for name in ("low", "value", "high")
    )
    half_ms = pair.frame_ms / 2
    ax.axhspan(-half_ms, half_ms, color=FAINT, linewidth=0, zorder=0)
    ax.fill_between(time_s, low, high, color=colour, alpha=0.3, linewidth=0)
    ax.plot(time_s, value, color=colour, linewidth=1.4)
    reach_ms = max(pair.frame_ms, 1.1 * np.abs([low, high]).max())
    ax.set(ylim=(-reach_ms, reach_ms), ylabel="offset (ms)")
    time_axis(ax, round(length_s), 1.0)


def _alt(audit: SyncAudit, title: str) -> str:
    parts = [f"Two panels for each of {len(audit.pairs)} pairs of clocks. {title}."]
    for pair in audit.pairs:
        text = f"{pair.late} against {pair.reference}: {pair.headline}"
        if pair.misalignment:
            text += f", middle {pair.misalignment.offset_ms} ms"
        parts.append(f"{text}.")
    return " ".join(parts)
