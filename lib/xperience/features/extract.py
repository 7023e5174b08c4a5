"""From an episode to its windows table, under either contract."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from xperience.errors import EpisodeError
from xperience.features import windows
from xperience.features.blocks import BLOCKS, check_contract
from xperience.features.contracts import BlockSource, Corrected, published_source
from xperience.features.streams import run_jobs, stream_jobs
from xperience.features.table import TableInfo, WindowRows, write_table
from xperience.outputs import check_output
from xperience.progress import OnProgress
from xperience.recording.captions import FrameLabels
from xperience.recording.files import lost_videos, recording_digests
from xperience.recording.recording import Recording

_CHUNK_WINDOWS = 128


def extract(
    folder: Path | str,
    out: Path | str,
    *,
    contract: str = "published",
    cache: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> TableInfo:
    """Turn an episode into a Parquet table with one row per window and one column per block.

    Parameters
    ----------
    folder : path
        The episode; it is only read.
    out : path
        The table; it is replaced only by a whole new one.
    contract : {"published", "corrected"}
        Formulas as they were published, or those without their flaws.
    cache : Path or None
        Folder of finished streams, which serve every contract; ``cache`` beside the table by
        default.
    workers : int or None
        Processes; one a core by default.
    on_progress : callable or None
        Called with (step, done, total).

    Raises
    ------
    EpisodeError
        If the episode cannot be opened or is shorter than one window.
    ParamsError
        If there is no such contract.
    OutputError
        If table or cache would lie in the recording, or in another one.
    """
    check_contract(contract)
    out = Path(out)
    cache = Path(cache) if cache else out.parent / "cache"
    for place in (out, cache):
        check_output(place, [folder])
    # what is implausible is named; computing with it is no news
    with Recording(folder) as episode, np.errstate(over="ignore", invalid="ignore"):
        starts = windows.window_starts(episode.n_frames)
        if not len(starts):
            raise EpisodeError(
                episode.annotation.place,
                f"has {episode.n_frames} frames",
                f"at least one window of {windows.WINDOW_FRAMES}",
                "Use a longer recording.",
            )
        digests = recording_digests(folder, on_progress)
        for camera, why in lost_videos(digests).items():
            episode.lose_video(camera, why)
        jobs = stream_jobs(episode, digests, contract)
        streams = run_jobs(jobs, cache, workers, on_progress)
        source_of = partial(published_source, episode, streams)
        if contract == "corrected":
            source_of = Corrected(episode, streams).source
        sources = {block.name: source_of(block) for block in BLOCKS}
        labels = episode.labels_of(contract)
        info = TableInfo(
            contract=contract,
            episode=episode.name,
            main_task=labels.main_task,
            n_frames=episode.n_frames,
            fps=episode.fps,
            sources=digests,
            missing_blocks={k: s.reason for k, s in sources.items() if s.compute is None},
            partial_blocks={k: s.reason for k, s in sources.items() if s.compute and s.reason},
        )
        return write_table(out, info, _chunks(labels, starts, sources, on_progress))


def _chunks(
    labels: FrameLabels,
    starts: np.ndarray,
    sources: dict[str, BlockSource],
    on_progress: OnProgress | None,
) -> Iterator[WindowRows]:
    """Yield the rows of some windows at a time."""
    for first in range(0, len(starts), _CHUNK_WINDOWS):
        chunk = starts[first : first + _CHUNK_WINDOWS]
        yield WindowRows(
            window=np.arange(first, first + len(chunk)),
            start_frame=chunk,
            action=[_label(labels.action, start) for start in chunk],
            subtask=[_label(labels.subtask, start) for start in chunk],
            blocks={name: one.compute and one.compute(chunk) for name, one in sources.items()},
        )
        if on_progress:
            on_progress("windows", first + len(chunk), len(starts))


def _label(labels: list[str], start: int) -> tuple[str | None, float]:
    return windows.window_label(labels[start : start + windows.WINDOW_FRAMES])
