"""Episodes of a roster brought from the hub, one by one, with resume and checks."""

from collections.abc import Callable
from pathlib import Path

from xperience.cohort.roster import Entry
from xperience.hub.download import download_episode
from xperience.hub.source import STORE, SampleSource


def stage_from(
    dataset: SampleSource, say: Callable[[str], None] = print
) -> Callable[[Entry, Path], object]:
    """Return what brings an episode of a dataset into a folder.

    Parameters
    ----------
    dataset : SampleSource
        Its ``folder`` is set to that of each episode.
    say : callable
        Takes each line for the user, the licence first.

    Returns
    -------
    callable (entry, folder)
        A folder that was filled otherwise stays as it is. Raises `DownloadError` if the episode
        cannot be had; what arrived is kept, and the next call goes on from there.
    """

    def stage(entry: Entry, folder: Path) -> object:
        if folder.is_dir() and not (folder / STORE).is_dir():
            return None
        source = dataset.model_copy(update={"folder": entry.folder})
        return download_episode(source, folder, say=say)

    return stage
