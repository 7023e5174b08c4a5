"""The metric rows of the benchmark contract: what an episode holds and what became of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xperience.evaluation.records import Record
from xperience.features.blocks import BLOCKS, Block
from xperience.features.table import WindowTable
from xperience.recording.inspect import EpisodeReport, StreamReport
from xperience.report.timeline import Timeline


@dataclass(frozen=True)
class Section:
    """Whose rows they are: a run's, of a section (a notebook), under a feature contract."""

    run: str
    section: str
    contract: str

    def row(
        self, metric: str, unit: str, value: float | None, **more: str | float | bool | None
    ) -> Record:
        """Return a row of this section; with a reason and no value it is a skipped one."""
        status = "ok" if value is not None else "skipped"
        own = {"run": self.run, "section": self.section, "contract": self.contract}
        return Record(**own, metric=metric, unit=unit, value=value, status=status, **more)


def contract_rows(
    run: str, section: str, table: WindowTable, report: EpisodeReport
) -> list[Record]:
    """Return what there is to count in an episode and its windows.

    Rows are counts of the episode, the share of windows with a label, ``coverage`` with the stream
    as ``variant``, ``dim`` and ``windows_with_values`` with the block as ``variant``. A stream or
    block that is not there is a skipped row with its reason. The report is that of
    `inspect_episode` on the same episode.
    """
    own = Section(run, section, table.info.contract)
    rows = _episode_rows(own, table)
    rows += [_stream_row(own, stream) for stream in report.streams]
    for block in BLOCKS:
        rows += _block_rows(own, block, table)
    return rows


def _episode_rows(own: Section, table: WindowTable) -> list[Record]:
    line, info = Timeline.of(table), table.info
    captions = info.missing_blocks.get("caption_objects_interaction_text")
    rows = [
        own.row("n_frames", "frames", info.n_frames),
        own.row("fps", "Hz", info.fps),
        own.row("duration", "s", info.n_frames / info.fps),
        own.row("n_windows", "windows", len(table)),
        own.row("feature_dim", "features", sum(block.dim for block in BLOCKS)),
        own.row("n_blocks", "blocks", len(BLOCKS)),
        own.row("n_blocks_missing", "blocks", len(info.missing_blocks)),
    ]
    if captions is not None:
        names = (("labelled_share", "1"), ("n_actions", "labels"), ("n_subtasks", "labels"))
        return rows + [own.row(name, unit, None, reason=captions) for name, unit in names]
    steps = float(np.mean(line.subtask >= 0))
    return [
        *rows,
        own.row("labelled_share", "1", line.labelled_share, variant="action"),
        own.row("labelled_share", "1", steps, variant="subtask"),
        own.row("n_actions", "labels", len(line.actions)),
        own.row("n_subtasks", "labels", len(line.subtasks)),
        own.row("n_actions_only_after_cut", "labels", len(line.late_actions)),
    ]


def _stream_row(own: Section, stream: StreamReport) -> Record:
    why = {"variant": stream.stream, "reason": "; ".join(stream.faults) or None}
    if stream.status in ("missing", "broken"):
        return own.row("coverage", "1", None, **why | {"reason": why["reason"] or stream.status})
    return own.row("coverage", "1", stream.coverage, higher_is_better=True, **why)


def _block_rows(own: Section, block: Block, table: WindowTable) -> list[Record]:
    """Return a block's size, and the share of windows that have it."""
    missing = table.info.missing_blocks.get(block.name)
    why = {"variant": block.name, "reason": missing or table.info.partial_blocks.get(block.name)}
    if missing is not None:
        names = (("dim", "features"), ("windows_with_values", "1"))
        return [own.row(name, unit, None, **why) for name, unit in names]
    share = float(np.mean(np.isfinite(table.block(block.name)).all(axis=1)))
    return [
        own.row("dim", "features", block.dim, **why),
        own.row("windows_with_values", "1", share, higher_is_better=True, **why),
    ]


def stream_table(report: EpisodeReport) -> pd.DataFrame:
    """Return one row a stream for readers: its state, shape, rate, span and coverage."""
    rows = [
        {
            "stream": stream.stream,
            "status": stream.status,
            "shape": " × ".join(f"{size:,}" for size in stream.shape),
            "unit": stream.unit,
            "rate (Hz)": "" if stream.rate_hz is None else f"{stream.rate_hz:,.6g}",
            "span (s)": "" if stream.span_s is None else f"{stream.span_s:,.2f}",
            "coverage": f"{100 * stream.coverage:.1f} %" if stream.shape else "",
        }
        for stream in report.streams
    ]
    return pd.DataFrame(rows).set_index("stream")


def fault_table(report: EpisodeReport) -> pd.DataFrame:
    """Return one row a fault: the stream and what is odd about it."""
    rows = [(stream.stream, fault) for stream in report.streams for fault in stream.faults]
    return pd.DataFrame(rows, columns=["stream", "fault"]).set_index("stream")
