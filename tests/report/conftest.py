import numpy as np
import pytest

from xperience.features.blocks import BLOCKS
from xperience.features.table import TableInfo, WindowRows, WindowTable, write_table
from xperience.recording.inspect import inspect_episode
from xperience.recording.recording import Recording

N_FRAMES = 100


@pytest.fixture(scope="session")
def folder(simulated):
    """A simulated episode of a few seconds; tests copy it before they change it."""
    return simulated(frames=N_FRAMES)


@pytest.fixture(scope="session")
def table(folder, tables_of):
    return WindowTable(tables_of(folder)["published"])


@pytest.fixture(scope="session")
def report(folder):
    return inspect_episode(folder)


@pytest.fixture
def episode(folder):
    with Recording(folder) as opened:
        yield opened


@pytest.fixture
def make_table(tmp_path):
    """Return a function that writes a table with given labels and missing blocks."""

    def make(actions, subtasks=None, missing=()):
        n = len(actions)
        subtasks = ["step"] * n if subtasks is None else subtasks
        reasons = dict.fromkeys(missing, "the file is not there")
        info = TableInfo("published", "tiny", "", 5 * n + 15, 20.0, {}, reasons, {})
        values = np.random.default_rng(7).normal(size=n).astype(np.float32)
        blocks = {
            block.name: None if block.name in missing else np.tile(values[:, None], (1, block.dim))
            for block in BLOCKS
        }
        rows = WindowRows(
            np.arange(n),
            5 * np.arange(n),
            [(label, 1.0) for label in actions],
            [(label, 1.0) for label in subtasks],
            blocks,
        )
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        write_table(path, info, [rows])
        return WindowTable(path)

    return make
