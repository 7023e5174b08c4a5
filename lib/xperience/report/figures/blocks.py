"""The feature blocks and their sizes."""

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from xperience.features.blocks import BLOCKS, Block
from xperience.features.table import TableInfo, WindowTable
from xperience.report.figures.style import (
    FAINT,
    INK,
    MISSING_HATCH,
    MODALITY_COLOURS,
    MUTED,
    PAPER,
    Picture,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted


@styled
def draw_blocks(table: WindowTable) -> Picture:
    """Return the blocks as bars, as long as they have features; missing ones are hatched.

    Parameters
    ----------
    table : WindowTable
    """
    info = table.info
    figure = new_figure(5.2)
    title = _title(info)
    set_title(figure, title, _subtitle(info))
    ax = figure.subplots()
    for row, block in enumerate(BLOCKS):
        _draw_bar(ax, row, block, info)
    ax.set(yticks=range(len(BLOCKS)), yticklabels=[block.name for block in BLOCKS])
    ax.set(ylim=(len(BLOCKS) - 0.4, -0.6), xlabel="features a window")
    ax.set_xlim(0, 1.3 * max(block.dim for block in BLOCKS))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)
    _legend(ax, info)
    return Picture(figure, title, _alt(info, title))


def _title(info: TableInfo) -> str:
    total = f"{sum(block.dim for block in BLOCKS):,} features in {counted(len(BLOCKS), 'block')}"
    if not info.missing_blocks:
        return f"A window is {total}"
    there = sum(block.dim for block in BLOCKS if block.name not in info.missing_blocks)
    return f"{there:,} of {total} are there; {counted(len(info.missing_blocks), 'block')} missing"


def _subtitle(info: TableInfo) -> str:
    modalities = dict.fromkeys(MODALITY_COLOURS, 0)
    for block in BLOCKS:
        modalities[block.modality] += block.dim
    sums = ", ".join(f"{dim:,} {name}" for name, dim in modalities.items())
    return f"By modality: {sums}. Grey: values × statistics."


def _draw_bar(ax: Axes, row: int, block: Block, info: TableInfo) -> None:
    colour = MODALITY_COLOURS[block.modality]
    missing, partial = block.name in info.missing_blocks, block.name in info.partial_blocks
    look = {"facecolor": PAPER, "hatch": MISSING_HATCH} if missing else {"facecolor": colour}
    ax.barh(row, block.dim, height=0.72, edgecolor=colour, linewidth=0.8, **look)
    ways = f"{block.per_frame} × 7" if block.per_frame else "static"
    note = "  missing" if missing else "  partial" if partial else ""
    ax.text(block.dim + 12, row, f"{block.dim:,}", va="center", fontsize=8.5, color=INK)
    offset = 30 + 20 * len(f"{block.dim:,}")
    style = {"va": "center", "fontsize": 8, "color": MUTED}
    ax.text(block.dim + offset, row, f"{ways}{note}", **style)


def _legend(ax: Axes, info: TableInfo) -> None:
    handles = [Patch(facecolor=colour, label=name) for name, colour in MODALITY_COLOURS.items()]
    if info.missing_blocks:
        hatched = {"facecolor": PAPER, "edgecolor": MUTED, "hatch": MISSING_HATCH}
        handles.append(Patch(label="missing", **hatched))
    spot = {"loc": "lower left", "bbox_to_anchor": (-0.01, 0.995), "columnspacing": 1.4}
    ax.legend(handles=handles, ncols=len(handles), handlelength=1.2, **spot)


def _alt(info: TableInfo, title: str) -> str:
    ranked = sorted(BLOCKS, key=lambda block: -block.dim)
    parts = [
        f"Bar chart of the feature blocks. {title}.",
        f"The largest is {ranked[0].name} with {ranked[0].dim:,} features, "
        f"the smallest {ranked[-1].name} with {ranked[-1].dim}.",
    ]
    if info.missing_blocks:
        parts.append(f"Hatched as missing: {', '.join(info.missing_blocks)}.")
    return " ".join(parts)
