"""A LeRobot dataset against its documented layout, by a checker of our own that trusts nothing."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import av
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.export.common import ExportError, need
from xperience.export.lerobot import export_lerobot, pooled, states_and_actions, statistics, texts
from xperience.features.posture import Postures
from xperience.recording.media import read_rgb
from xperience.recording.recording import Recording

STATS = {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
TYPES = {"float32": "float", "int64": "int64", "bool": "bool"}
PYTHON = os.environ.get("XPERIENCE_LEROBOT_PYTHON")
READER = Path(__file__).with_name("lerobot_reader.py")


@pytest.fixture(scope="module")
def dataset(recording, other, tmp_path_factory):
    out = tmp_path_factory.mktemp("lerobot") / "set"
    export_lerobot([recording, other], out)
    return out


def rows_of(root, number=0):
    return pd.read_parquet(root / "data" / "chunk-000" / f"file-{number:03d}.parquet")


def check_layout(root):
    """Hold a data set to the documented layout of v3.0, file by file; return its features."""
    info = json.loads((root / "meta" / "info.json").read_text())
    features, episodes = info["features"], pd.read_parquet(root / "meta" / "episodes")
    tasks = pd.read_parquet(root / "meta" / "tasks.parquet")
    assert (info["codebase_version"], type(info["fps"])) == ("v3.0", int)
    assert info["total_episodes"] == len(episodes)
    assert info["total_frames"] == episodes["length"].sum()
    assert info["splits"] == {"train": f"0:{len(episodes)}"}
    assert info["total_tasks"] == len(tasks)
    assert tasks["task_index"].tolist() == list(range(len(tasks)))
    assert tasks.index.is_unique
    needed = {"timestamp", "frame_index", "episode_index", "index", "task_index"}
    assert needed <= set(features)
    for name, feature in features.items():
        assert "/" not in name
        n_names = 3 if feature["dtype"] == "video" else feature["shape"][0]
        assert feature["names"] is None or len(feature["names"]) == n_names
    for episode in episodes.to_dict("records"):
        rows = check_rows(root, info, episode)
        assert {tasks.index[index] for index in rows["task_index"]} == set(episode["tasks"])
        for name in (name for name, one in features.items() if one["dtype"] == "video"):
            check_video(root, info, episode, name)
    check_stats(json.loads((root / "meta" / "stats.json").read_text()), features, episodes)
    known = {"meta/info.json", "meta/stats.json", "meta/tasks.parquet", "README.md"}
    for path in filter(Path.is_file, root.rglob("*")):
        name = path.relative_to(root).as_posix()
        assert name in known or name.startswith(("data/chunk-", "videos/", "meta/episodes/chunk-"))
    return features


def check_rows(root, info, episode):
    place = {key: episode[f"data/{key}"] for key in ("chunk_index", "file_index")}
    table = pq.read_table(root / info["data_path"].format(**place))
    stored = {key: one for key, one in info["features"].items() if one["dtype"] != "video"}
    assert set(table.column_names) == set(stored)
    for name, feature in stored.items():
        kind = table.schema.field(name).type
        if feature["shape"] != [1]:
            assert kind.list_size == feature["shape"][0]
            kind = kind.value_type
        assert str(kind) == TYPES[feature["dtype"]]
    rows = table.to_pandas()
    assert set(rows["episode_index"]) == {episode["episode_index"]}
    n, first = episode["length"], episode["dataset_from_index"]
    assert rows["index"].tolist() == list(range(first, episode["dataset_to_index"]))
    assert rows["frame_index"].tolist() == list(range(n))
    np.testing.assert_allclose(rows["timestamp"], np.arange(n) / info["fps"], atol=1e-4)
    return rows


def check_video(root, info, episode, name):
    place = {key: episode[f"videos/{name}/{key}"] for key in ("chunk_index", "file_index")}
    with av.open(str(root / info["video_path"].format(video_key=name, **place))) as container:
        stream = container.streams.video[0]
        assert [stream.height, stream.width, 3] == info["features"][name]["shape"]
        times = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
        assert not container.streams.audio
    start, n = episode[f"videos/{name}/from_timestamp"], episode["length"]
    np.testing.assert_allclose(times[:n], start + np.arange(n) / info["fps"], atol=1e-4)
    assert episode[f"videos/{name}/to_timestamp"] - start == pytest.approx(n / info["fps"])


def check_stats(stats, features, episodes):
    assert set(stats) == set(features)
    for name, found in stats.items():
        assert set(found) >= STATS
        is_video = features[name]["dtype"] == "video"
        wanted = (3, 1, 1) if is_video else tuple(features[name]["shape"])
        for key, value in found.items():
            assert np.shape(value) == ((1,) if key == "count" else wanted)
        assert (np.array(found["min"]) <= np.array(found["max"])).all()
        assert (np.array(found["std"]) >= 0).all()
        assert f"stats/{name}/mean" in episodes


def test_the_dataset_has_the_documented_layout(dataset):
    assert sum(name.startswith("observation.images.") for name in check_layout(dataset)) == 6


def test_states_are_postures_seen_from_the_body(recording, dataset):
    rows = rows_of(dataset)
    state, action = np.stack(rows["observation.state"]), np.stack(rows["action"])
    with Recording(recording) as episode:
        postures, n = Postures.of(episode), episode.n_frames
        to_body = postures.to_body(0, n)
        body = to_body(postures.body(0, n)).xyz.reshape(n, -1)
        left = postures.hand("hand_left", 0, n)
        seen = to_body(left).xyz.reshape(n, -1)
        ahead = to_body[:-1](type(left)(left.xyz[1:], left.frame)).xyz.reshape(n - 1, -1)
        said, labels = texts(episode), episode.labels
    np.testing.assert_allclose(state[:, :156], body, atol=1e-5)
    np.testing.assert_allclose(state[:, 156:219], seen, atol=1e-5)
    np.testing.assert_allclose(np.abs(state[:, :3]).max(), 0, atol=1e-6)
    np.testing.assert_allclose(action[:-1, :63], ahead, atol=1e-5)
    assert np.isnan(action[-1]).all()
    assert np.stack(rows["observation.known"])[-1].tolist() == [True, True, True, False]
    tasks = pd.read_parquet(dataset / "meta" / "tasks.parquet").index
    assert [tasks[index] for index in rows["task_index"]] == said
    unlabelled = [said[i] for i, label in enumerate(labels.action) if label == "N/A"]
    assert set(unlabelled) == {labels.main_task}
    assert "N/A" not in tasks


def test_actions_go_on_over_the_ends_of_parts(recording, monkeypatch):
    with Recording(recording) as episode:
        whole = states_and_actions(episode)
        monkeypatch.setattr("xperience.export.lerobot._ROWS", 7)
        parts = states_and_actions(episode)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_are_of_known_rows(dataset):
    action = np.concatenate([np.stack(rows_of(dataset, number)["action"]) for number in (0, 1)])
    known = action[np.isfinite(action).all(axis=1)].astype(np.float64)
    stats = json.loads((dataset / "meta" / "stats.json").read_text())["action"]
    assert stats["count"] == [len(known)] == [59 + 44]
    np.testing.assert_allclose(stats["mean"], known.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["std"], known.std(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["max"], known.max(axis=0), atol=1e-9)
    one = statistics(np.random.default_rng(7).normal(size=(50, 3)))
    for name, value in pooled([one]).items():
        np.testing.assert_allclose(value, one[name])
    with pytest.raises(ExportError, match="known in no frame"):
        statistics(np.full((4, 2), np.nan))


def test_what_is_lost_is_nan_and_an_absent_stream_is_left_out_of_all(recording, tmp_path):
    gap, no_body = (shutil.copytree(recording, tmp_path / name) for name in ("gap", "no_body"))
    (gap / "stereo_left.mp4").unlink()
    with h5py.File(gap / "annotation.hdf5", "r+") as file:
        file["hand_mocap/left_joints_3d"][10:20] = 0
        del file["imu"]
    absent = export_lerobot([recording, gap], tmp_path / "set")
    assert absent["stereo_left"].startswith("gap: ")
    features = check_layout(tmp_path / "set")
    assert not {"observation.imu", "observation.images.stereo_left"} & set(features)
    rows = rows_of(tmp_path / "set", 1)
    left = np.stack(rows["observation.state"])[:, 156:219]
    assert np.flatnonzero(np.isnan(left).all(axis=1)).tolist() == list(range(10, 20))
    assert (np.stack(rows["observation.known"])[:, 1] == np.isfinite(left).all(axis=1)).all()
    readme = (tmp_path / "set" / "README.md").read_text()
    assert all(f"Left out: {name}" in readme for name in ("stereo_left", "imu"))

    with h5py.File(no_body / "annotation.hdf5", "r+") as file:
        del file["full_body_mocap"]
    out = tmp_path / "other"
    done = CliRunner().invoke(app, ["export", "lerobot", str(no_body), "--out", str(out)])
    assert done.exit_code == 0
    assert "not in it: state and action" in done.stderr
    assert "observation.state" not in check_layout(out)


def test_a_folder_that_is_there_is_kept_and_a_failure_leaves_none(recording, tmp_path):
    out = tmp_path / "set"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(ExportError, match="is there already"):
        export_lerobot([recording], out)
    with pytest.raises(ExportError, match="at least one"):
        export_lerobot([], tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert (out / "mine.txt").read_text() == "keep"
    with pytest.raises(ExportError, match=r"'no_such_package'.*extra 'exports'.*make extras"):
        need("no_such_package")


# Read by others: LeRobot's own loader, and Rerun. LeRobot asks for an older torch than the one
# pinned here, so it lives in an environment of its own, named by XPERIENCE_LEROBOT_PYTHON.


def pictures(folder, camera):
    return np.stack([frame.copy() for frame in read_rgb(folder / f"{camera}.mp4")])


@pytest.mark.slow
@pytest.mark.skipif(PYTHON is None, reason="XPERIENCE_LEROBOT_PYTHON names no interpreter")
@pytest.mark.parametrize("backend", ["torchcodec", "pyav"])
def test_lerobot_decodes_the_pictures_of_each_moment(recording, other, dataset, backend, tmp_path):
    command = [PYTHON, str(READER), str(dataset), backend, str(tmp_path / "found.npz")]
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found, rows = np.load(tmp_path / "found.npz"), pd.concat([rows_of(dataset, n) for n in (0, 1)])
    assert found["n"] == len(rows)
    np.testing.assert_array_equal(found["observation.state"], np.stack(rows["observation.state"]))
    np.testing.assert_array_equal(found["timestamp"], rows["timestamp"])
    assert found["mean"].shape == found["observation.state"].shape[1:]
    tasks = pd.read_parquet(dataset / "meta" / "tasks.parquet").index
    assert found["task"].tolist() == tasks[rows["task_index"]].tolist()
    assert len(found["cameras"]) == 6
    for key in found["cameras"]:
        camera = str(key).rpartition(".")[2]
        wanted = [pictures(folder, camera) for folder in (recording, other)]
        np.testing.assert_array_equal(found[key], np.concatenate(wanted))
    for number, folder in enumerate((recording, other)):
        seen = pictures(folder, "fisheye_cam0")
        past = found["past"][found["episode_index"] == number]
        for place, back in enumerate((2, 1, 0)):
            steps = np.maximum(np.arange(len(seen)) - back, 0)
            np.testing.assert_array_equal(past[:, place], seen[steps])


@pytest.mark.extras("rerun")
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="Rerun reads H.264 through ffmpeg")
def test_rerun_reads_the_dataset_as_lerobot_v3(dataset):
    from rerun.experimental import LeRobotReader  # noqa: PLC0415 - optional

    reader = LeRobotReader(str(dataset))
    assert reader.version == "v3"
    assert list(reader.episodes()) == [0, 1]
    samples, states, rows = 0, [], rows_of(dataset, 1)
    for chunk in reader.stream(1).to_chunks():
        batch, entity = chunk.to_record_batch(), chunk.entity_path.lstrip("/")
        if entity.endswith("fisheye_cam0") and "VideoStream:sample" in batch.schema.names:
            samples += batch.num_rows
        if entity == "observation.state" and "Scalars:scalars" in batch.schema.names:
            states += batch.column("Scalars:scalars").to_pylist()
    assert samples == len(rows)
    np.testing.assert_allclose(states, np.stack(rows["observation.state"]), atol=1e-6)
