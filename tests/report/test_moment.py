import shutil

import h5py
import numpy as np
import pytest

from xperience.errors import XperienceError
from xperience.recording import layout
from xperience.recording.geometry import WORLD
from xperience.recording.media import read_rgb
from xperience.recording.recording import Episode
from xperience.report.glance import frame_at, sound_level
from xperience.report.inputs import open_inputs
from xperience.report.moment import busiest_frame, read_moment
from xperience.report.validity import frame_validity


@pytest.mark.parametrize("index", [0, 1, 37, 99])
def test_a_glance_gives_the_frame_that_streaming_gives(episode, index):
    camera = "fisheye_cam1"
    streamed = [frame.copy() for frame in read_rgb(episode.video_path(camera))]
    far = [
        np.abs(frame_at(episode, camera, index).astype(int) - frame).mean() for frame in streamed
    ]
    assert int(np.argmin(far)) == index


def test_sound_has_a_level_where_there_is_sound(episode):
    level = sound_level(episode, 20, 40)
    assert level.shape == (20,)
    assert ((level >= 0) & (level <= 1)).all()


def test_the_body_and_the_hands_meet_at_the_wrists(episode):
    shapes = read_moment(episode, 40).shapes
    assert all(shape.joints.frame == WORLD for shape in shapes.values())
    body = shapes["body"].joints.xyz
    for wrist, hand in ((20, "left hand"), (21, "right hand")):
        assert np.linalg.norm(shapes[hand].joints.xyz[0] - body[wrist]) < 0.1


def test_depth_points_land_on_their_own_pixels(episode):
    moment = read_moment(episode, 40)
    view = next(view for view in moment.views if view.camera == "stereo_left")
    height, width = moment.depth_m.shape
    scale = np.array([width / view.image.shape[1], height / view.image.shape[0]])
    u, v = (view.dots_px * scale).astype(int).T
    np.testing.assert_allclose(moment.depth_m[v, u], view.dots_m)


def test_without_poses_the_body_is_not_projected(folder, tmp_path):
    copy = tmp_path / "episode"
    shutil.copytree(folder, copy)
    with h5py.File(copy / layout.ANNOTATION, "r+") as file:
        del file["slam"]
    with Episode(copy) as episode:
        moment = read_moment(episode, 40)
    assert "pose" in moment.problems
    assert all("body" not in view.lines_px for view in moment.views)
    assert "body" in moment.shapes


def test_the_busiest_frame_is_in_the_episode(episode):
    assert 0 <= busiest_frame(episode) < episode.n_frames


def test_validity_follows_gaps(folder, tmp_path):
    copy = tmp_path / "episode"
    shutil.copytree(folder, copy)
    with h5py.File(copy / layout.ANNOTATION, "r+") as file:
        node = file[layout.HAND_LEFT]
        rows = node[()]
        rows[10:20], rows[30] = np.nan, 0
        node[...] = rows
    with Episode(copy) as episode:
        valid = frame_validity(episode, "hand_left")
        assert np.flatnonzero(~valid).tolist() == [*range(10, 20), 30]
        timeless = {"point_cloud", "calibration"}
        assert all(frame_validity(episode, name) is None for name in timeless)
        others = set(episode.streams) - {"hand_left", "captions"} - timeless
        assert all(frame_validity(episode, name).all() for name in others)


def test_absent_inputs_name_the_way_out(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    with pytest.raises(XperienceError, match="make reproduce RUN=standin"):
        open_inputs("standin", "artifacts/standin/episode", "published")
    with pytest.raises(XperienceError, match="windows table"):
        open_inputs("standin", str(folder), "published")


def test_a_table_of_another_recording_is_refused(folder, make_table, tmp_path, monkeypatch):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    other = make_table(["pour"] * 3)
    place = tmp_path / "artifacts" / "r" / "windows" / f"{folder.parent.name}.parquet"
    place.parent.mkdir(parents=True)
    shutil.copy(other.path, place)
    with pytest.raises(XperienceError, match=r"was made from .tiny. with another"):
        open_inputs("r", str(folder), "published")
