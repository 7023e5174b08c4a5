"""A recording as a Rerun file, read back with Rerun's own reader."""

import io
import json
import shutil

import av
import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.export.common import ExportError
from xperience.export.scene import changes, export_rerun, imu_times_s
from xperience.features.posture import Postures
from xperience.recording.geometry import SMPLH_BONES
from xperience.recording.recording import Recording

pytestmark = pytest.mark.extras("rerun")
N_FRAMES = 60
CAMERAS = {f"fisheye_cam{i}" for i in range(4)} | {"stereo_left", "stereo_right"}


@pytest.fixture(scope="module")
def written(recording, tmp_path_factory, read_rerun):
    folder = tmp_path_factory.mktemp("out")
    starts = [0, 5, 10, 30]
    base = {"contract": "corrected", "head": "linear", "seed": None, "start_frame": starts}
    said = base | {"task": "timeline_action", "truth": list("aabb"), "predicted": list("abbb")}
    errors = base | {"task": "hand_trajectory_forecast", "truth": None, "predicted": None}
    errors |= {"error": [0.1, 0.2, 0.3, 0.4], "unit": "m"}
    path = folder / "03.parquet"
    pd.concat([pd.DataFrame(said), pd.DataFrame(errors)]).to_parquet(path)
    assert export_rerun(recording, folder / "ep.rrd", predictions=path) == {}
    return read_rerun(folder / "ep.rrd")


def test_every_stream_is_on_the_timeline_of_the_device(recording, written):
    entities = {entity for entity, _ in written}
    assert {f"cameras/{camera}" for camera in CAMERAS} <= entities
    assert {"world/body", "world/hand_left", "world/hand_right", "world/map"} <= entities
    assert {"depth", "imu/accel", "imu/gyro", "sound/level", "notes"} <= entities
    assert {"labels/action", "labels/subtask"} <= entities
    assert "world/reference_camera/stereo_right/frustum" in entities
    with Recording(recording) as episode:
        wanted = episode.frame_times_s
    for key in (
        ("cameras/fisheye_cam0", "VideoFrameReference:timestamp"),
        ("world/reference_camera", "Transform3D:translation"),
        ("world/body", "Points3D:positions"),
    ):
        times = [t for t, _ in written[key] if t is not None]
        np.testing.assert_allclose(times, wanted, atol=1e-9)


def test_skeletons_and_poses_are_those_of_the_recording(recording, written):
    with Recording(recording) as episode:
        postures = Postures.of(episode)
        body, hand = postures.body(0, N_FRAMES).xyz, postures.hand("hand_left", 0, N_FRAMES).xyz
        camera = postures.camera(0, N_FRAMES).translation
    for name, wanted in (("body", body), ("hand_left", hand)):
        rows = [value for t, value in written[f"world/{name}", "Points3D:positions"]]
        known = np.isfinite(wanted).all(axis=(1, 2))
        assert [bool(row) for row in rows] == known.tolist()
        seen = np.array([row for row in rows if row])
        np.testing.assert_allclose(seen, wanted[known], atol=1e-5)
    moved = [value[0] for _, value in written["world/reference_camera", "Transform3D:translation"]]
    np.testing.assert_allclose(moved, camera, atol=1e-5)
    (_, context), = written["", "AnnotationContext:context"]  # fmt: skip
    classes = {one["class_id"]: one["class_description"] for one in context[0]}
    bones = {(b["keypoint0"], b["keypoint1"]) for b in classes[1]["keypoint_connections"]}
    assert bones == set(SMPLH_BONES)


def test_depth_is_in_millimetres_every_few_frames(recording, written):
    rows = written["depth", "EncodedDepthImage:blob"]
    assert len(rows) == N_FRAMES // 5
    with Recording(recording) as episode:
        wanted = np.asarray(episode.read("depth/depth", 5, 6)[0], float)
    blob = bytes(np.array(rows[1][1][0], dtype=np.uint8))
    seen = cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_UNCHANGED)
    known = np.isfinite(wanted) & (wanted > 0)
    np.testing.assert_allclose(seen[known] / 1000, wanted[known], atol=0.0006)
    assert (seen[~known] == 0).all()
    assert written["depth", "EncodedDepthImage:meter"][0][1] == [1000.0]


def test_imu_keeps_its_own_rate_and_meets_the_frames(recording, written):
    with Recording(recording) as episode:
        wanted = episode.read("imu/accel_xyz")
        times, frames = imu_times_s(episode), episode.frame_times_s
        keys = episode.annotation.keyframes()
    rows = written["imu/accel", "Scalars:scalars"]
    np.testing.assert_allclose([value for _, value in rows], wanted, atol=1e-6)
    np.testing.assert_allclose([t for t, _ in rows], times, atol=1e-8)
    np.testing.assert_allclose(times[keys], frames, atol=0.02)


def test_labels_and_predictions_change_where_they_do(recording, written):
    with Recording(recording) as episode:
        said, times = episode.labels, episode.frame_times_s
    assert "N/A" in said.action
    labels = ["" if label == "N/A" else label for label in said.action]
    rows = written["labels/action", "StateChange:state"]
    assert [t for t, _ in rows] == pytest.approx(times[changes(labels)])
    assert [value[0] if value else "" for _, value in rows] == [labels[i] for i in changes(labels)]
    name = "predictions/said/corrected/timeline_action/linear"
    rows = written[name, "StateChange:state"]
    assert [value or [] for _, value in rows] == [["a"], ["b"], [], ["b"], []]
    assert [t for t, _ in rows] == pytest.approx(times[[9, 14, 24, 39, 44]])
    name = "predictions/error/corrected/hand_trajectory_forecast/linear"
    errors, end = written[name, "Scalars:scalars"], float("nan")
    wanted = [0.1, 0.2, 0.3, end, 0.4, end]
    assert [value[0] for _, value in errors] == pytest.approx(wanted, nan_ok=True)
    assert [t for t, _ in errors] == pytest.approx(times[[9, 14, 19, 24, 39, 44]])
    pages = [(t, page[0]) for t, page in written["now", "TextDocument:text"]]
    for frame in (0, N_FRAMES // 2, said.action.index("N/A"), N_FRAMES - 1):
        shown = [page for t, page in pages if t <= times[frame] + 1e-9][-1]
        action = said.action[frame]
        assert f"### {'no action is labelled' if action == 'N/A' else action}\n" in f"{shown}\n"
        assert all(name in shown for name in said.objects[frame])
        assert "N/A" not in shown


def test_sound_can_be_heard_as_it_is(recording, written):
    ((start, blob),) = written["sound/heard", "AssetAudio:blob"]
    with av.open(io.BytesIO(bytes(np.array(blob[0], dtype=np.uint8)))) as copy:
        heard = np.concatenate([one.to_ndarray() for one in copy.decode(audio=0)], axis=1)
    with av.open(str(recording / "fisheye_cam0.mp4")) as source:
        wanted = np.concatenate([one.to_ndarray() for one in source.decode(audio=0)], axis=1)
    assert abs(start) < 0.1
    np.testing.assert_array_equal(heard, wanted)
    levels = [value[0] for _, value in written["sound/level", "Scalars:scalars"]]
    assert N_FRAMES - 2 <= len(levels) <= N_FRAMES
    assert all(-100 <= level <= 0 for level in levels)


def in_mp3(source, target):
    """Write a video again with its sound in another codec."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        pictures = write.add_stream_from_template(read.streams.video[0])
        sound = write.add_stream("mp3", rate=read.streams.audio[0].rate)
        for packet in read.demux(read.streams.video[0]):
            if packet.size:
                packet.stream = pictures
                write.mux(packet)
        read.seek(0)
        for heard in read.decode(audio=0):
            write.mux(sound.encode(heard))
        write.mux(sound.encode(None))


def test_what_is_absent_is_named_and_not_drawn(recording, tmp_path, read_rerun):
    folder, out = shutil.copytree(recording, tmp_path / "ep"), tmp_path / "ep.rrd"
    (folder / "fisheye_cam2.mp4").unlink()
    in_mp3(recording / "fisheye_cam0.mp4", folder / "fisheye_cam0.mp4")
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        del file["depth"], file["hand_mocap"]
        file["full_body_mocap/keypoints"][10:20] = 0
    done = CliRunner().invoke(app, ["export", "rerun", str(folder), "--out", str(out)])
    assert done.exit_code == 0
    assert "not in it: sound to hear (it isn't AAC" in done.stderr
    found = read_rerun(out)
    notes = found["notes", "TextDocument:text"][0][1][0]
    for name in ("fisheye_cam2", "depth", "hand_left", "hand_right", "sound to hear"):
        assert f"not in it: {name} (" in done.stderr
        assert f"**{name}**" in notes
    entities = {entity for entity, _ in found}
    assert "sound/level" in entities
    assert not entities & {"cameras/fisheye_cam2", "depth", "world/hand_left", "sound/heard"}
    rows = [value for _, value in found["world/body", "Points3D:positions"]]
    assert [bool(row) for row in rows[8:22]] == [True] * 2 + [False] * 10 + [True] * 2


def test_predictions_of_something_else_are_refused_and_leave_no_file(recording, tmp_path):
    path, out = tmp_path / "p.parquet", tmp_path / "ep.rrd"
    row = {"task": "a", "head": "b", "seed": 1, "start_frame": 9000, "truth": "x", "predicted": "y"}
    for table, message in (({"task": "a"}, "no column 'head'"), (row, "beyond the end")):
        pd.DataFrame([table]).to_parquet(path)
        with pytest.raises(ExportError, match=message):
            export_rerun(recording, out, predictions=path)
    path.write_bytes(b"")
    with pytest.raises(ExportError, match="cannot be read"):
        export_rerun(recording, out, predictions=path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p.parquet"]


def test_the_same_recording_gives_the_same_rows(recording, tmp_path, read_rerun):
    for name in ("a.rrd", "b.rrd"):
        export_rerun(recording, tmp_path / name, depth_every=30)
    first, second = (read_rerun(tmp_path / name) for name in ("a.rrd", "b.rrd"))
    assert json.dumps(list(first.items()), default=str) == json.dumps(
        list(second.items()), default=str
    )
