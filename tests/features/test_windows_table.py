"""The table of a tiny episode: blocks against a direct computation, and what it says of itself."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import ParamsError, XperienceError
from xperience.features import depth
from xperience.features.blocks import BLOCKS, N_FEATURES
from xperience.features.contracts import hashed_words
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording.plausible import DepthLimits
from xperience.storage import file_digest

from .conftest import seven

N_WINDOWS = 9
STARTS = range(0, 41, 5)


def assert_windows(table: WindowTable, block: str, window: Callable[[int], np.ndarray]) -> None:
    want = np.stack([window(start) for start in STARTS])
    np.testing.assert_allclose(table.block(block), want, rtol=1e-4, atol=1e-4)


def test_frames_of_the_annotation(whole_table: WindowTable, builder: ModuleType) -> None:
    """Hands and body are relative to the pelvis; objects and interaction hold until the next."""
    values = builder.arrays(60)
    body = values["full_body_mocap/keypoints"]
    limits = DepthLimits(0.0, 5.0, 1.0, ())
    said = {14: "cup kettle hand on cup 0", 30: "lid hand on cup 0",
            44: "cup kettle hand on cup 1", 60: "lid hand on cup 1"}  # fmt: skip
    words = [next(words for end, words in said.items() if frame < end) for frame in range(60)]
    frames = {
        "hand_left_joints": values["hand_mocap/left_joints_3d"] - body[:, :1],
        "hand_right_joints": values["hand_mocap/right_joints_3d"] - body[:, :1],
        "body_joints": body - body[:, :1],
        "body_contacts": values["full_body_mocap/contacts"],
        "depth_confidence": depth.as_published(
            depth.kept_rows(*builder.depth_maps(0, 60), (0.0, 5.0), limits)
        ),
        "caption_objects_interaction_text": np.stack([hashed_words(one) for one in words]),
    }
    for block, rows in frames.items():
        assert_windows(whole_table, block, lambda s, rows=rows: seven(rows[s : s + 20]))


def test_the_camera_s_motion_and_inertial_samples(
    whole_table: WindowTable, builder: ModuleType
) -> None:
    values = builder.arrays(60)
    rig = np.tile(np.eye(4), (60, 1, 1))
    quat = values["slam/quat_wxyz"]
    rig[:, :3, :3] = Rotation.from_quat(quat, scalar_first=True).as_matrix()
    rig[:, :3, 3] = values["slam/trans_xyz"]
    camera = np.linalg.inv(values["calibration/cam01/T_c0_b"] @ rig)
    turn, place = camera[:, :3, :3], camera[:, :3, 3]
    assert_windows(whole_table, "camera_translation", lambda s: seven(place[s : s + 20] - place[s]))
    assert_windows(whole_table, "camera_rotation_matrix", lambda s: seven(turn[s : s + 20]))
    samples = np.concatenate([values["imu/accel_xyz"], values["imu/gyro_xyz"]], axis=1)
    keys = values["imu/keyframe_indices"]
    assert_windows(
        whole_table, "imu_accel_gyro", lambda s: seven(samples[keys[s] : keys[s + 19] + 1])
    )


def test_frames_and_labels(whole_table: WindowTable) -> None:
    labels = whole_table.labels
    assert labels["window"].tolist() == list(range(N_WINDOWS))
    assert labels["start_frame"].tolist() == list(STARTS)
    assert labels["end_frame"].tolist() == [start + 19 for start in STARTS]
    assert labels["center_frame"].tolist() == [start + 9 for start in STARTS]
    assert labels["action"].tolist()[:4] == ["Action 0"] * 4
    assert pd.isna(labels["action"][4])  # frames 20 to 39: half and half
    assert labels["action_share"].tolist()[3:6] == [0.75, 0.5, 0.75]
    assert labels["subtask"].tolist()[5:] == ["Step 1"] * 4


def test_any_reader_of_parquet_can_read_it(whole_tiny: Path, whole_table: WindowTable) -> None:
    table = pq.read_table(whole_table.path)
    assert table.num_rows == N_WINDOWS
    assert table.column_names[8:] == [block.name for block in BLOCKS]
    for block in BLOCKS:
        kind = table.schema.field(block.name).type
        assert (kind.list_size, str(kind.value_type)) == (block.dim, "float")
    frame = pd.read_parquet(whole_table.path)
    got = np.concatenate([np.stack(frame[block.name]) for block in BLOCKS], axis=1)
    np.testing.assert_array_equal(got, whole_table.matrix())
    assert got.shape == (N_WINDOWS, N_FEATURES)
    assert N_FEATURES == 8546
    assert len({block.name for block in BLOCKS}) == len(BLOCKS)
    raw = table.schema.metadata
    said = {key.decode(): json.loads(value) for key, value in raw.items() if key != b"ARROW:schema"}
    assert said["contract"] == "published"
    assert said["sources"] == {path.name: file_digest(path) for path in whole_tiny.iterdir()}
    assert (said["episode"], said["n_frames"], said["main_task"]) == ("ep", 60, "Making tea")
    assert said["fps"] == pytest.approx(20)
    assert said["missing_blocks"] == said["partial_blocks"] == {}


def test_nulls_are_nulls_to_any_reader_and_the_episode_is_only_read(
    tiny: Path, builder: ModuleType, windows_of: Callable[[Path], WindowTable]
) -> None:
    keys = builder.get(tiny, "imu/keyframe_indices")
    keys[-1] = -1
    builder.put(tiny, depth=None, imu__keyframe_indices=keys)
    before = {path: path.stat().st_mtime_ns for path in sorted(tiny.rglob("*"))}
    table = pq.read_table(windows_of(tiny).path)
    assert table["depth_confidence"].null_count == N_WINDOWS
    assert table["imu_accel_gyro"].to_pylist()[-1] is None
    assert table["imu_accel_gyro"].null_count == 1
    assert table["body_joints"].null_count == 0
    assert {path: path.stat().st_mtime_ns for path in sorted(tiny.rglob("*"))} == before


def test_wrong_names_are_helped(whole_table: WindowTable, tmp_path: Path, whole_tiny: Path) -> None:
    with pytest.raises(XperienceError, match="Did you mean 'body_joints'"):
        whole_table.block("body_joint")
    with pytest.raises(ParamsError, match="Did you mean 'published'"):
        extract(whole_tiny, tmp_path / "w.parquet", contract="publish")
    with pytest.raises(XperienceError, match="is not there"):
        WindowTable(tmp_path / "w.parquet")
    (tmp_path / "w.parquet").write_text("no parquet")
    pq.write_table(pq.read_table(whole_table.path).replace_schema_metadata({}), tmp_path / "x")
    for name in ("w.parquet", "x"):
        with pytest.raises(XperienceError, match="is not a windows table"):
            WindowTable(tmp_path / name)


def test_the_command_line(tiny: Path, tmp_path: Path, stream_cache: Path) -> None:
    (tiny / "stereo_left.mp4").unlink()
    out = tmp_path / "made" / "windows.parquet"
    common = ["features", str(tiny), "--cache", str(stream_cache), "--workers", "1"]
    told = CliRunner().invoke(app, [*common, "--out", str(out)])
    assert told.exit_code == 0, told.stderr
    assert told.stdout.strip() == str(out)
    assert "missing: video_stereo_left" in told.stderr
    assert "is not there" in told.stderr
    assert set(WindowTable(out).info.missing_blocks) == {"video_stereo_left"}
    assert CliRunner().invoke(app, common).exit_code == 2
    wrong = CliRunner().invoke(app, [*common, "--out", str(out), "--contract", "publised"])
    assert wrong.exit_code == 1
    assert "Did you mean 'published'" in wrong.stderr
