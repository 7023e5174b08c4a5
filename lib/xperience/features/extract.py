"""From an episode to its windows table, under either contract."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xperience.episode.episode import Episode
from xperience.errors import EpisodeError
from xperience.features import windows
from xperience.features.blocks import BLOCKS, check_contract
from xperience.features.corrected import Corrected
from xperience.features.published import Published
from xperience.features.source import Source
from xperience.features.streams import run_jobs, source_digests, stream_jobs
from xperience.features.table import TableInfo, WindowRows, write_table
from xperience.progress import OnProgress

_CHUNK_WINDOWS = 128
_CONTRACTS = {"published": Published, "corrected": Corrected}


def extract(
    folder: Path | str,
    out: Path | str,
    *,
    contract: str = "published",
    cache: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> TableInfo:
    """Turn an episode into a Parquet table with one row a window and one column a block.

    Parameters
    ----------
    folder : path
        The episode; it is only read.
    out : path
        The table; it is replaced only by a whole new one.
    contract : {"published", "corrected"}
        Version of the feature contract.
    cache : Path or None
        Folder of finished streams, which serve every contract; ``cache`` beside the table by
        default.
    workers : int or None
        Processes; one a core by default.
    on_progress : callable (step, done, total) or None

    Returns
    -------
    TableInfo
        What the table says of itself.

    Raises
    ------
    EpisodeError
        If the episode cannot be opened or is shorter than one window.
    ParamsError
        If there is no such contract.
    """
    check_contract(contract)
    out = Path(out)
    cache = Path(cache) if cache else out.parent / "cache"
    # what is implausible is named; computing with it is no news
    with Episode(folder) as episode, np.errstate(over="ignore", invalid="ignore"):
        starts = windows.window_starts(episode.n_frames)
        if not len(starts):
            raise EpisodeError(
                episode.annotation.place,
                f"has {episode.n_frames} frames",
                f"at least one window of {windows.WINDOW_FRAMES}",
                "Use a longer recording.",
            )
        digests = source_digests(episode, on_progress)
        streams = run_jobs(stream_jobs(episode, digests), cache, workers, on_progress)
        blocks = _CONTRACTS[contract](episode, streams)
        sources = {block.name: blocks.source(block) for block in BLOCKS}
        info = TableInfo(
            contract=contract,
            episode=episode.name,
            main_task=episode.labels.main_task,
            n_frames=episode.n_frames,
            fps=episode.fps,
            sources=digests,
            missing_blocks={k: s.reason for k, s in sources.items() if s.compute is None},
            partial_blocks={k: s.reason for k, s in sources.items() if s.compute and s.reason},
        )
        return write_table(out, info, _chunks(episode, starts, sources, on_progress))


def _chunks(
    episode: Episode,
    starts: np.ndarray,
    sources: dict[str, Source],
    on_progress: OnProgress | None,
) -> Iterator[WindowRows]:
    """Yield the rows of some windows at a time."""
    for first in range(0, len(starts), _CHUNK_WINDOWS):
        chunk = starts[first : first + _CHUNK_WINDOWS]
        blocks = {
            name: source.compute and source.compute(chunk) for name, source in sources.items()
        }
        yield WindowRows(
            window=np.arange(first, first + len(chunk)),
            start_frame=chunk,
            action=[_label(episode.labels.action, start) for start in chunk],
            subtask=[_label(episode.labels.subtask, start) for start in chunk],
            blocks=blocks,
        )
        if on_progress:
            on_progress("windows", first + len(chunk), len(starts))


def _label(labels: list[str], start: int) -> tuple[str | None, float]:
    return windows.window_label(labels[start : start + windows.WINDOW_FRAMES])
