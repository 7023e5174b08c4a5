"""A LeRobot dataset against its documented layout, by a checker of our own that trusts nothing."""

import json
import shutil

import av
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.export.extras import ExportError
from xperience.export.frame_table import states_and_actions, texts
from xperience.export.lerobot import export_lerobot
from xperience.export.statistics import pooled, statistics
from xperience.features.posture import Postures
from xperience.recording.media import read_rgb
from xperience.recording.recording import Episode

N_FRAMES = 60
STATS = {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
TYPES = {"float32": "float", "int64": "int64", "bool": "bool"}


@pytest.fixture(scope="module")
def dataset(recording, other, tmp_path_factory):
    out = tmp_path_factory.mktemp("lerobot") / "set"
    assert export_lerobot([recording, other], out) == {}
    return out


class Checker:
    """The documented layout of a v3.0 dataset, file by file."""

    def __init__(self, root):
        self.root = root
        self.info = json.loads((root / "meta" / "info.json").read_text())
        self.features = self.info["features"]
        self.episodes = pd.read_parquet(root / "meta" / "episodes")

    def check(self):
        self.check_info()
        self.check_tasks()
        for episode in self.episodes.to_dict("records"):
            rows = self.check_rows(episode)
            self.check_videos(episode, rows)
        self.check_stats()
        self.check_files()

    def check_info(self):
        info = self.info
        assert info["codebase_version"] == "v3.0"
        assert isinstance(info["fps"], int)
        assert info["total_episodes"] == len(self.episodes)
        assert info["total_frames"] == self.episodes["length"].sum()
        assert info["splits"] == {"train": f"0:{len(self.episodes)}"}
        assert {"timestamp", "frame_index", "episode_index", "index", "task_index"} <= set(
            self.features
        )
        for name, feature in self.features.items():
            assert "/" not in name
            assert set(feature) >= {"dtype", "shape", "names"}
            names = feature["names"]
            size = feature["shape"] if feature["dtype"] == "video" else feature["shape"][:1]
            assert names is None or len(names) == (3 if feature["dtype"] == "video" else size[0])

    def check_tasks(self):
        tasks = pd.read_parquet(self.root / "meta" / "tasks.parquet")
        assert tasks["task_index"].tolist() == list(range(len(tasks)))
        assert tasks.index.is_unique
        assert self.info["total_tasks"] == len(tasks)
        self.tasks = list(tasks.index)

    def check_rows(self, episode):
        path = self.info["data_path"].format(
            chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"]
        )
        table = pq.read_table(self.root / path)
        stored = {name for name, one in self.features.items() if one["dtype"] != "video"}
        assert set(table.column_names) == stored
        for name in stored:
            kind, shape = table.schema.field(name).type, self.features[name]["shape"]
            if shape != [1]:
                assert kind.list_size == shape[0]
                kind = kind.value_type
            assert str(kind) == TYPES[self.features[name]["dtype"]]
        rows = table.to_pandas()
        rows = rows[rows["episode_index"] == episode["episode_index"]]
        n, first = episode["length"], episode["dataset_from_index"]
        assert rows["index"].tolist() == list(range(first, episode["dataset_to_index"]))
        assert rows["frame_index"].tolist() == list(range(n))
        steps = np.arange(n) / self.info["fps"]
        np.testing.assert_allclose(rows["timestamp"], steps, atol=1e-4)
        said = {self.tasks[index] for index in rows["task_index"]}
        assert said == set(episode["tasks"])
        return rows

    def check_videos(self, episode, rows):
        for name in self.video_keys:
            path = self.info["video_path"].format(
                video_key=name,
                chunk_index=episode[f"videos/{name}/chunk_index"],
                file_index=episode[f"videos/{name}/file_index"],
            )
            with av.open(str(self.root / path)) as container:
                stream = container.streams.video[0]
                shape = [stream.height, stream.width, 3]
                times = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
                assert not container.streams.audio
            assert shape == self.features[name]["shape"]
            start = episode[f"videos/{name}/from_timestamp"]
            wanted = start + rows["timestamp"].to_numpy()
            apart = np.abs(wanted[:, None] - np.array(times)[None, :]).min(axis=1)
            assert apart.max() < 1e-4
            length = episode[f"videos/{name}/to_timestamp"] - start
            assert length == pytest.approx(episode["length"] / self.info["fps"])

    @property
    def video_keys(self):
        return [name for name, one in self.features.items() if one["dtype"] == "video"]

    def check_stats(self):
        stats = json.loads((self.root / "meta" / "stats.json").read_text())
        assert set(stats) == set(self.features)
        for name, found in stats.items():
            assert set(found) >= STATS
            is_video = self.features[name]["dtype"] == "video"
            wanted = (3, 1, 1) if is_video else tuple(self.features[name]["shape"])
            for key, value in found.items():
                assert np.shape(value) == ((1,) if key == "count" else wanted)
            assert (np.array(found["min"]) <= np.array(found["max"])).all()
            assert (np.array(found["std"]) >= 0).all()
            assert f"stats/{name}/mean" in self.episodes

    def check_files(self):
        known = {"meta/info.json", "meta/stats.json", "meta/tasks.parquet", "README.md"}
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            inside = name.startswith(("data/chunk-", "videos/", "meta/episodes/chunk-"))
            assert path.is_dir() or name in known or inside


def test_the_dataset_has_the_documented_layout(dataset):
    Checker(dataset).check()


def test_states_are_postures_seen_from_the_body(recording, dataset):
    rows = pd.read_parquet(dataset / "data" / "chunk-000" / "file-000.parquet")
    state = np.stack(rows["observation.state"])
    with Episode(recording) as episode:
        postures, n = Postures.of(episode), episode.n_frames
        to_body = postures.to_body(0, n)
        body = to_body(postures.body(0, n)).xyz.reshape(n, -1)
        left = postures.hand("hand_left", 0, n)
        seen = to_body(left).xyz.reshape(n, -1)
        ahead = to_body[:-1](type(left)(left.xyz[1:], left.frame)).xyz.reshape(n - 1, -1)
        said = texts(episode)
    np.testing.assert_allclose(state[:, :156], body, atol=1e-5)
    np.testing.assert_allclose(state[:, 156:219], seen, atol=1e-5)
    np.testing.assert_allclose(np.abs(state[:, :3]).max(), 0, atol=1e-6)
    action = np.stack(rows["action"])
    np.testing.assert_allclose(action[:-1, :63], ahead, atol=1e-5)
    assert np.isnan(action[-1]).all()
    assert np.stack(rows["observation.known"])[-1].tolist() == [True, True, True, False]
    tasks = pd.read_parquet(dataset / "meta" / "tasks.parquet").index
    assert [tasks[index] for index in rows["task_index"]] == said


def test_pictures_are_those_of_the_recording(recording, dataset):
    copy = dataset / "videos" / "observation.images.fisheye_cam0" / "chunk-000" / "file-000.mp4"
    pairs = zip(read_rgb(recording / "fisheye_cam0.mp4"), read_rgb(copy), strict=True)
    assert all((one == other).all() for one, other in pairs)


def test_a_frame_whose_label_says_nothing_takes_the_task_of_the_whole(recording, dataset):
    with Episode(recording) as episode:
        action, whole = episode.labels.action, episode.labels.main_task
    rows = pd.read_parquet(dataset / "data" / "chunk-000" / "file-000.parquet")
    tasks = pd.read_parquet(dataset / "meta" / "tasks.parquet").index
    unlabelled = rows["task_index"][[label == "N/A" for label in action]]
    assert len(unlabelled)
    assert {tasks[index] for index in unlabelled} == {whole}
    assert "N/A" not in tasks


def test_pictures_told_from_later_ones_keep_their_place(recording, tmp_path):
    folder = shutil.copytree(recording, tmp_path / "ep")
    with av.open(str(folder / "stereo_left.mp4"), "w") as write:
        stream = write.add_stream("libx264", rate=20, options={"bf": "3", "b_strategy": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for rgb in read_rgb(recording / "stereo_left.mp4"):
            write.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        write.mux(stream.encode(None))
    with av.open(str(folder / "stereo_left.mp4")) as read:
        packets = [packet for packet in read.demux(video=0) if packet.size]
        assert [p.pts for p in packets] != sorted(p.pts for p in packets)
    export_lerobot([folder], tmp_path / "set")
    Checker(tmp_path / "set").check()
    copy = next((tmp_path / "set" / "videos").rglob("*stereo_left/**/*.mp4"))
    pairs = zip(read_rgb(folder / "stereo_left.mp4"), read_rgb(copy), strict=True)
    assert all((one == other).all() for one, other in pairs)


def test_statistics_are_of_known_rows(dataset):
    files = sorted((dataset / "data" / "chunk-000").glob("*.parquet"))
    action = np.concatenate([np.stack(pd.read_parquet(file)["action"]) for file in files])
    known = action[np.isfinite(action).all(axis=1)].astype(np.float64)
    stats = json.loads((dataset / "meta" / "stats.json").read_text())["action"]
    assert stats["count"] == [len(known)] == [N_FRAMES - 1 + 44]
    np.testing.assert_allclose(stats["mean"], known.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["std"], known.std(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["max"], known.max(axis=0), atol=1e-9)


def test_pooled_statistics_of_one_are_its_own():
    rows = np.random.default_rng(7).normal(size=(50, 3))
    one = statistics(rows)
    for name, value in pooled([one]).items():
        np.testing.assert_allclose(value, one[name])
    with pytest.raises(ExportError, match="known in no frame"):
        statistics(np.full((4, 2), np.nan))


def test_a_gap_is_nan_and_not_known_and_an_absent_stream_is_left_out(recording, tmp_path):
    folder = shutil.copytree(recording, tmp_path / "ep")
    (folder / "stereo_left.mp4").unlink()
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file["hand_mocap/left_joints_3d"][10:20] = 0
        del file["imu"]
    absent = export_lerobot([folder], tmp_path / "set")
    assert {"stereo_left", "imu"} <= set(absent)
    Checker(tmp_path / "set").check()
    rows = pd.read_parquet(tmp_path / "set" / "data" / "chunk-000" / "file-000.parquet")
    assert "observation.imu" not in rows
    left = np.stack(rows["observation.state"])[:, 156:219]
    gap = np.isnan(left).all(axis=1)
    assert np.flatnonzero(gap).tolist() == list(range(10, 20))
    assert (np.stack(rows["observation.known"])[:, 1] == ~gap).all()
    readme = (tmp_path / "set" / "README.md").read_text()
    assert "Left out: stereo_left" in readme
    assert "Left out: imu" in readme


def test_without_a_body_there_is_no_state_and_it_is_said(recording, tmp_path):
    folder = shutil.copytree(recording, tmp_path / "ep")
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        del file["full_body_mocap"]
    absent = export_lerobot([folder], tmp_path / "set")
    assert "state and action" in absent
    assert "observation.state" not in Checker(tmp_path / "set").features
    Checker(tmp_path / "set").check()


def test_a_stream_that_one_episode_lacks_is_left_out_of_all(recording, other, tmp_path):
    folder = shutil.copytree(other, tmp_path / "lacking")
    (folder / "fisheye_cam3.mp4").unlink()
    absent = export_lerobot([recording, folder], tmp_path / "set")
    assert absent["fisheye_cam3"].startswith("lacking: ")
    assert "observation.images.fisheye_cam3" not in Checker(tmp_path / "set").features


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


def test_actions_go_on_over_the_ends_of_parts(recording, monkeypatch):
    with Episode(recording) as episode:
        whole = states_and_actions(episode)
        monkeypatch.setattr("xperience.export.frame_table._ROWS", 7)
        parts = states_and_actions(episode)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_verb_writes_a_dataset(other, tmp_path):
    out = tmp_path / "set"
    done = CliRunner().invoke(app, ["export", "lerobot", str(other), "--out", str(out)])
    assert done.exit_code == 0
    Checker(out).check()
    assert (
        CliRunner().invoke(app, ["export", "lerobot", str(other), "--out", str(out)]).exit_code == 1
    )
