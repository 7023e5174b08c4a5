from collections import defaultdict

import pytest

from xperience.standin.settings import StandinSettings
from xperience.standin.write import write_episode

N_FRAMES = 60


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    """A simulated recording of three seconds that nobody changes."""
    settings = StandinSettings(frames=N_FRAMES, size_px=(32, 24), workers=1)
    return write_episode(tmp_path_factory.mktemp("tiny") / "episode", settings)


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """A shorter one by another seed, that nobody changes either."""
    settings = StandinSettings(frames=45, size_px=(32, 24), workers=1, seed=3)
    return write_episode(tmp_path_factory.mktemp("other") / "second", settings)


def read_back(path):
    """Return {(entity, component): [(seconds or None, values)]} of a Rerun file."""
    from rerun.chunk import RrdReader  # noqa: PLC0415

    found = defaultdict(list)
    for chunk in RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        times = [None] * batch.num_rows
        if "time" in batch.schema.names:
            times = batch.column("time").cast("int64").to_numpy() / 1e9
        for name in batch.schema.names:
            if ":" in name:
                values = batch.column(name).to_pylist()
                found[chunk.entity_path.lstrip("/"), name].extend(zip(times, values, strict=True))
    return {key: sorted(rows, key=lambda row: row[0] or 0) for key, rows in found.items()}


@pytest.fixture(scope="session")
def read_rerun():
    """A function (path) that reads a Rerun file back with Rerun's own reader."""
    return read_back
