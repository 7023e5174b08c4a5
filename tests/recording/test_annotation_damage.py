"""Damaged parts of an ``annotation.hdf5`` that opens, and how little is read at a time."""

from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.annotation import Annotation
from xperience.recording.inspect import inspect_episode

from .expecting import (
    BODY,
    HANDS,
    N_WINDOWS,
    Extract,
    N,
    assert_only_missing,
    null_windows,
    report_of,
    windows_on,
)


@pytest.mark.parametrize("path", [layout.DEPTH, layout.CONFIDENCE])
def test_a_damaged_depth_chunk_costs_its_windows_only(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable, path: str
) -> None:
    builder.damage_chunk(tiny, path, 1)  # frames 4 to 7
    table = windows_of(tiny)
    lost = windows_on(4, 7)
    assert lost == {0, 1}
    assert null_windows(table, "depth_confidence") == lost
    assert table.info.partial_blocks["depth_confidence"] == "4 of 60 frames cannot be read"
    assert table.info.missing_blocks == {}
    kept = [w for w in range(N_WINDOWS) if w not in lost]
    got, want = (t.block("depth_confidence")[kept] for t in (table, whole_table))
    np.testing.assert_array_equal(got, want)


def test_a_damaged_depth_chunk_is_inspected(tiny: Path, builder: ModuleType) -> None:
    builder.damage_chunk(tiny, layout.DEPTH, 1)
    row = report_of(tiny, "depth")
    assert row.status == "partial"
    assert "cannot be read" in row.faults[0]
    assert 0 < row.coverage < 1


def test_depth_damaged_throughout_is_missing(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    for chunk in range(N // builder.DEPTH_CHUNK):
        builder.damage_chunk(tiny, layout.DEPTH, chunk)
    assert report_of(tiny, "depth").status == "broken"
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, {"depth_confidence"})
    assert "cannot be read" in table.info.missing_blocks["depth_confidence"]


@pytest.mark.parametrize(
    ("path", "stream", "blocks"),
    [
        (layout.KEYPOINTS, "body", BODY | HANDS),
        (layout.IMU_ACCEL, "imu", {"imu_accel_gyro"}),
        (layout.IMU_KEYFRAMES, "imu", {"imu_accel_gyro"}),
        (layout.IMU_STAMPS, "imu", {"imu_accel_gyro"}),
        (layout.POINT_CLOUD, "point_cloud", {"slam_point_cloud"}),
    ],
)
def test_a_damaged_chunk_elsewhere_costs_its_stream(
    *,
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    whole_table: WindowTable,
    path: str,
    stream: str,
    blocks: set[str],
) -> None:
    rows = builder.get(tiny, path)
    with h5py.File(tiny / "annotation.hdf5", "r+") as file:
        del file[path]
        chunks = (10, *rows.shape[1:])
        file.create_dataset(path, data=rows, chunks=chunks, compression="gzip")
    builder.damage_chunk(tiny, path, 2)
    row = report_of(tiny, stream)
    assert row.status == "broken"
    assert "cannot be read" in row.faults[-1]
    assert_only_missing(windows_of(tiny), whole_table, blocks)


def test_depth_is_never_read_whole(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    true_read = Annotation.read

    def counted(self: Annotation, path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        rows = true_read(self, path, start, stop)
        if path in (layout.DEPTH, layout.CONFIDENCE):
            asked.append(len(rows))
        return rows

    monkeypatch.setattr(Annotation, "read", counted)
    inspect_episode(tiny)
    assert set(asked) == {1}
    monkeypatch.setattr("xperience.features.depth._BATCH_BYTES", 7 * 12 * 16 * 4)
    asked.clear()
    assert extract(tiny, tmp_path / "w.parquet", workers=1).missing_blocks == {}
    assert sum(asked) == 2 * N
    assert max(asked) == 7
