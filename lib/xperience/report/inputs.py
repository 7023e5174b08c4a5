"""What a notebook starts from: the recording and its windows table, or the way to make them."""

from xperience.errors import XperienceError
from xperience.features.table import TableError, WindowTable
from xperience.project import at_root, windows_path
from xperience.recording.recording import Episode
from xperience.report.provenance import shown_path


class InputError(XperienceError):
    """A notebook's input that is not there or doesn't fit the others."""


def open_inputs(run: str, episode: str, contract: str) -> tuple[Episode, WindowTable]:
    """Return a run's recording, opened read-only, and its windows table under a contract.

    If one of them is absent or they don't belong together, an InputError says what makes them.
    """
    folder, path = at_root(episode), windows_path(run, episode, contract)
    way_out = (
        f"Run `make reproduce RUN={run} AGAIN=1` in the repository's top folder; it makes both."
    )
    if not folder.is_dir():
        raise InputError(shown_path(folder), "is not there", "the run's recording", way_out)
    if not path.is_file():
        raise InputError(shown_path(path), "is not there", "the run's windows table", way_out)
    table = WindowTable(path)
    try:
        table.check_made_from(folder, contract)
    except TableError as error:
        raise InputError(shown_path(path), error.found, error.expected, way_out) from error
    return Episode(folder), table
