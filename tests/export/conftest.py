from collections import defaultdict

import pytest


@pytest.fixture(scope="session")
def recording(simulated):
    """A simulated recording of three seconds that nobody changes."""
    return simulated(frames=60)


@pytest.fixture(scope="session")
def other(simulated):
    """A shorter one by another seed, that nobody changes either."""
    return simulated(frames=45, seed=3)


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
