"""The table of a tiny episode: every block against a direct computation, and what it says."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import av
import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import ParamsError, XperienceError
from xperience.features import audio, depth, text, video
from xperience.features.blocks import BLOCKS, BLOCKS_BY_NAME, N_FEATURES
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording.plausible import DepthLimits
from xperience.storage import file_digest

N_WINDOWS = 9
STARTS = range(0, 41, 5)


def seven(frames: np.ndarray) -> np.ndarray:
    flat = np.nan_to_num(np.asarray(frames, np.float64).reshape(len(frames), -1))
    steps = np.diff(flat, axis=0)
    rows = [flat.mean(0), flat.std(0), flat.min(0), flat.max(0)]
    return np.concatenate([*rows, flat[-1] - flat[0], steps.mean(0), steps.std(0)])


def assert_windows(table: WindowTable, block: str, window: Callable[[int], np.ndarray]) -> None:
    want = np.stack([window(start) for start in STARTS])
    np.testing.assert_allclose(table.block(block), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_hands_are_relative_to_the_body(
    whole_table: WindowTable, builder: ModuleType, side: str
) -> None:
    values = builder.arrays(60)
    joints = values[f"hand_mocap/{side}_joints_3d"]
    root = values["full_body_mocap/keypoints"][:, :1]
    assert_windows(whole_table, f"hand_{side}_joints", lambda s: seven((joints - root)[s : s + 20]))


def test_body_and_contacts(whole_table: WindowTable, builder: ModuleType) -> None:
    values = builder.arrays(60)
    body, contacts = (values[f"full_body_mocap/{kind}"] for kind in ("keypoints", "contacts"))
    assert_windows(whole_table, "body_joints", lambda s: seven((body - body[:, :1])[s : s + 20]))
    assert_windows(whole_table, "body_contacts", lambda s: seven(contacts[s : s + 20]))


def test_camera(whole_table: WindowTable, builder: ModuleType) -> None:
    values = builder.arrays(60)
    rotations, places = [], []
    for (w, x, y, z), shift in zip(values["slam/quat_wxyz"], values["slam/trans_xyz"], strict=True):
        rig = np.eye(4)
        rig[:3, 3] = shift
        rig[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        c2w = np.linalg.inv(values["calibration/cam01/T_c0_b"] @ rig)
        rotations.append(c2w[:3, :3])
        places.append(c2w[:3, 3])
    places = np.array(places)
    assert_windows(
        whole_table, "camera_translation", lambda s: seven(places[s : s + 20] - places[s])
    )
    assert_windows(
        whole_table, "camera_rotation_matrix", lambda s: seven(np.array(rotations[s : s + 20]))
    )


def test_imu(whole_table: WindowTable, builder: ModuleType) -> None:
    values = builder.arrays(60)
    samples = np.concatenate([values["imu/accel_xyz"], values["imu/gyro_xyz"]], axis=1)
    keys = values["imu/keyframe_indices"]
    assert_windows(
        whole_table, "imu_accel_gyro", lambda s: seven(samples[keys[s] : keys[s + 19] + 1])
    )


def test_depth(whole_table: WindowTable, builder: ModuleType) -> None:
    limits = DepthLimits(0.0, 5.0, 1.0, ())
    rows = depth.as_published(depth.kept_rows(*builder.depth_maps(0, 60), (0.0, 5.0), limits))
    assert_windows(whole_table, "depth_confidence", lambda s: seven(rows[s : s + 20]))


@pytest.mark.parametrize("camera", ["fisheye_cam0", "fisheye_cam3", "stereo_right"])
def test_video(whole_tiny: Path, whole_table: WindowTable, camera: str) -> None:
    with av.open(str(whole_tiny / f"{camera}.mp4")) as container:
        pictures = [
            frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
            for frame in container.decode(video=0)
        ]
    small = [cv2.resize(one, (32, 32), interpolation=cv2.INTER_AREA) for one in pictures]
    rows = video.frame_features(np.stack(small))
    assert_windows(whole_table, f"video_{camera}", lambda s: seven(rows[s : s + 20]))


def test_sound(whole_tiny: Path, whole_table: WindowTable) -> None:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    with av.open(str(whole_tiny / "fisheye_cam0.mp4")) as container:
        frames = [*container.decode(audio=0), None]
        parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    sound = np.concatenate(parts)
    bounds = [round(i / 20 * 16_000) for i in range(61)]
    rows = audio.segment_features([sound[a:b] for a, b in pairwise(bounds)])
    assert_windows(whole_table, "audio_fisheye_cam0_aac", lambda s: seven(rows[s : s + 20]))


def test_text(whole_table: WindowTable) -> None:
    """Objects and interaction are named at frames 0, 14, 30, 44 and hold to the segment's end."""
    said = {
        range(14): "cup kettle hand on cup 0",
        range(14, 30): "lid hand on cup 0",
        range(30, 44): "cup kettle hand on cup 1",
        range(44, 60): "lid hand on cup 1",
    }
    rows = np.stack([text.hashed_words(words) for span, words in said.items() for _ in span])
    assert_windows(
        whole_table, "caption_objects_interaction_text", lambda s: seven(rows[s : s + 20])
    )


def test_static_blocks_repeat(whole_table: WindowTable, builder: ModuleType) -> None:
    values = builder.arrays(60)
    numbers = [
        np.asarray(values[key], dtype=float).reshape(-1)
        for key in sorted(values, key=lambda key: key.split("/"))
        if key.startswith("calibration/") and not key.endswith("model")
    ]
    want = np.concatenate(numbers)
    assert_windows(whole_table, "calibration", lambda s: want)
    cloud = whole_table.block("slam_point_cloud")
    assert (cloud == cloud[0]).all()
    assert cloud.shape == (N_WINDOWS, 22)


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


def test_metadata(whole_tiny: Path, whole_table: WindowTable) -> None:
    raw = pq.read_schema(whole_table.path).metadata
    said = {key.decode(): json.loads(value) for key, value in raw.items() if key != b"ARROW:schema"}
    assert said["contract"] == "published"
    assert said["sources"] == {path.name: file_digest(path) for path in whole_tiny.iterdir()}
    assert (said["episode"], said["n_frames"], said["main_task"]) == ("ep", 60, "Making tea")
    assert said["fps"] == pytest.approx(20)
    assert said["missing_blocks"] == said["partial_blocks"] == {}


def test_nulls_are_nulls_to_any_reader(
    tiny: Path, builder: ModuleType, windows_of: Callable[[Path], WindowTable]
) -> None:
    keys = builder.get(tiny, "imu/keyframe_indices")
    keys[-1] = -1
    builder.put(tiny, depth=None, imu__keyframe_indices=keys)
    table = pq.read_table(windows_of(tiny).path)
    assert table["depth_confidence"].null_count == N_WINDOWS
    assert table["imu_accel_gyro"].to_pylist()[-1] is None
    assert table["imu_accel_gyro"].null_count == 1
    assert table["body_joints"].null_count == 0


def test_wrong_names_are_helped(whole_table: WindowTable, tmp_path: Path, whole_tiny: Path) -> None:
    with pytest.raises(XperienceError, match="Did you mean 'body_joints'"):
        whole_table.block("body_joint")
    with pytest.raises(ParamsError, match="Did you mean 'published'"):
        extract(whole_tiny, tmp_path / "w.parquet", contract="publish")
    assert not (tmp_path / "w.parquet").exists()
    with pytest.raises(XperienceError, match="is not there"):
        WindowTable(tmp_path / "w.parquet")
    (tmp_path / "w.parquet").write_text("no parquet")
    with pytest.raises(XperienceError, match="is not a windows table"):
        WindowTable(tmp_path / "w.parquet")
    pq.write_table(pq.read_table(whole_table.path).replace_schema_metadata({}), tmp_path / "x")
    with pytest.raises(XperienceError, match="is not a windows table"):
        WindowTable(tmp_path / "x")


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


def test_the_episode_is_only_read(tiny: Path, windows_of: Callable[[Path], WindowTable]) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(tiny.rglob("*"))}
    windows_of(tiny)
    assert {path: path.stat().st_mtime_ns for path in sorted(tiny.rglob("*"))} == before


def test_sizes() -> None:
    assert N_FEATURES == 8546
    assert len(BLOCKS_BY_NAME) == len(BLOCKS)
