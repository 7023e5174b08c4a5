"""What a window is made of, as the site shows it: from the declarations of the features."""

from xperience.features.blocks import BLOCKS, CONTRACTS, N_FEATURES, N_STATS, streams_needed
from xperience.features.windows import MIN_SHARE, STRIDE_FRAMES, WINDOW_FRAMES
from xperience.tasks.splits import LOCAL_TEST_SHARE, TRAIN_SHARE


def windows_page() -> str:
    """Return the page of windows, labels, splits and feature blocks, as Markdown."""
    moving = f"{N_STATS} numbers for each value that a frame has"
    return f"""# Windows and features

Window
: {WINDOW_FRAMES} frames of the recording, one every {STRIDE_FRAMES} frames. Neighbours therefore
  share frames: of two windows side by side {WINDOW_FRAMES - STRIDE_FRAMES} of {WINDOW_FRAMES}.

Label
: What most of the window's labelled frames are called, if at least {100 * MIN_SHARE:.0f} % of
  them are; otherwise the window has none.

Features
: {N_FEATURES:,} numbers in {len(BLOCKS)} blocks: {moving} (mean, standard deviation, minimum,
  maximum, last minus first, and mean and standard deviation of the steps from frame to frame); a
  block that doesn't change with time is there as it is.

Splits
: *Chronological*: the first {100 * TRAIN_SHARE:.0f} % of the labelled windows train, the rest test.
  *Local*: {100 * LOCAL_TEST_SHARE:.0f} % of each class's windows test, from between the others.

How the two contracts differ in each of these is told in [the benchmark contract](../contract.md).

## Blocks

{_table()}
"""


def _table() -> str:
    published, corrected = CONTRACTS
    lines = ["| block | measures | values a frame | features | streams it needs |"]
    lines.append("|---|---|--:|--:|---|")
    for block in BLOCKS:
        needed = list(streams_needed(block, published))
        more = [one for one in streams_needed(block, corrected) if one not in needed]
        also = f"; under `{corrected}` also {', '.join(more)}" if more else ""
        frames = f"{block.per_frame}" if block.per_frame else "does not change"
        streams = f"{', '.join(needed)}{also}"
        lines.append(
            f"| `{block.name}` | {block.modality} | {frames} | {block.dim:,} | {streams} |"
        )
    return "\n".join(lines)
