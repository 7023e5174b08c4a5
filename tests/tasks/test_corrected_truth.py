"""Hands under the corrected contract: told from the body, whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xperience.errors import CoordinateFrameError, ParamsError
from xperience.features.windows import window_starts
from xperience.recording import layout
from xperience.recording.geometry import LEFT_WRIST, PELVIS, RIGHT_WRIST, Points, Transform
from xperience.recording.recording import Recording
from xperience.tasks import targets
from xperience.tasks.truth import Truth

from ..features import worlds

N, AHEAD, WRISTS = 120, 10, (0, 21)


@pytest.fixture(scope="module")
def walk(simulated: Callable[..., Path]) -> Path:
    """A simulated episode of six seconds that nobody changes."""
    return simulated(frames=N)


@pytest.fixture
def copy(walk: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return worlds.copy(walk, tmp_path / "ep")


def put(folder: Path, path: str, rows: slice, value: float) -> None:
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file[path][rows] = value


def truth_of(folder: Path, contract: str = "corrected") -> Truth:
    with Recording(folder) as episode:
        return Truth.of(episode, window_starts(episode.n_frames), contract)


def members(truth: Truth) -> np.ndarray:
    return np.arange(len(truth.starts))[:, None]


def kept(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Return which windows have a target, and the targets, (n, 10, 42, 3)."""
    found = targets.future_hands(truth, members(truth))
    windows = np.array([w for w, value in enumerate(found) if value is not None])
    values = np.stack([found[w] for w in windows])
    assert (values.dtype, values.shape[1:]) == (np.float32, (1260,))
    assert np.isfinite(values).all()
    return windows, values.reshape(-1, AHEAD, 42, 3)


def mpjpe(forecast: np.ndarray, true: np.ndarray) -> float:
    off = forecast.astype(np.float64).reshape(true.shape) - true
    return float(np.linalg.norm(off, axis=-1).mean())


def test_targets_are_told_from_the_body_in_the_windows_last_frame(walk: Path) -> None:
    truth = truth_of(walk)
    with Recording(walk) as episode:
        camera = episode.camera_to_world()
        hands = [camera(Points(episode.read(path), episode.reference_camera)).xyz
                 for path in (layout.HAND_LEFT, layout.HAND_RIGHT)]  # fmt: skip
        body = episode.read(layout.KEYPOINTS)
    world = np.concatenate(hands, axis=1)
    windows, values = kept(truth)
    assert windows.tolist() == [w for w, s in enumerate(truth.starts) if s + 19 + AHEAD < N]
    for window, value in zip(windows, values, strict=True):
        end = truth.ends[window]
        heading = truth.to_body.rotation[end]
        want = (world[end + 1 : end + 11] - body[end, PELVIS]) @ heading.T
        np.testing.assert_allclose(value, want, atol=1e-5)
    still = targets.resting_hands(truth, windows[:, None]).reshape(-1, AHEAD, 42, 3)
    moving = targets.coasting_hands(truth, windows[:, None]).reshape(-1, AHEAD, 42, 3)
    for row, end in enumerate(truth.ends[windows]):
        heading = truth.to_body.rotation[end]
        before, present = ((world[t] - body[end, PELVIS]) @ heading.T for t in (end - 1, end))
        np.testing.assert_allclose(still[row], np.tile(present, (AHEAD, 1, 1)), atol=1e-9)
        np.testing.assert_allclose(moving[row, 9], present + 10 * (present - before), atol=1e-9)


@pytest.mark.parametrize("source", ["walk", "oracle"])
def test_standing_still_errs_by_as_much_in_the_world(
    source: str, request: pytest.FixtureRequest
) -> None:
    """A rigid motion changes no distance, so the task is as hard as in the world: no new ease."""
    folder = request.getfixturevalue(source)
    truth = truth_of(folder if source == "walk" else folder / "episode")
    windows, true = kept(truth)
    ends = truth.ends[windows]
    world = truth.world_hands.xyz
    seen = mpjpe(targets.resting_hands(truth, windows[:, None]), true)
    ahead = world[ends[:, None] + np.arange(1, 11)]
    assert seen == pytest.approx(mpjpe(np.repeat(world[ends][:, None], 10, 1), ahead), rel=1e-4)
    assert seen > 0.001


@pytest.mark.parametrize("source", ["walk", "oracle"])
def test_another_world_has_the_same_targets(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(source)
    folder = folder if source == "walk" else folder / "episode"
    moved = worlds.copy(folder, tmp_path / "moved")
    worlds.move_world(moved, Rotation.from_rotvec([-1, 0.5, 1.5]), np.array([4.0, 7, -2]))
    (windows, here), (same, there) = kept(truth_of(folder)), kept(truth_of(moved))
    assert windows.tolist() == same.tolist()
    np.testing.assert_allclose(there, here, atol=1e-5)
    old, new = (truth_of(path, "published").hands for path in (folder, moved))
    assert np.abs(new - old).max() > 3


def test_each_hand_hangs_on_its_own_wrist(walk: Path) -> None:
    """The simulator's hands and bodies share their wrists: so do ours, left with left."""
    truth = truth_of(walk)
    with Recording(walk) as episode:
        body = Points(episode.read(layout.KEYPOINTS), "world")
    seen = truth.to_body(body).xyz
    frames = np.arange(N)
    hands = truth.hands_at(frames[:, None], frames)[:, 0]
    for wrist, joint in zip(WRISTS, (LEFT_WRIST, RIGHT_WRIST), strict=True):
        np.testing.assert_allclose(hands[:, wrist], seen[:, joint], atol=1e-9)
    assert (hands[:, 0, 1] > hands[:, 21, 1]).mean() > 0.9  # y points to the left


@pytest.mark.parametrize("value", [np.nan, 0.0])
@pytest.mark.parametrize("path", [layout.HAND_RIGHT, layout.KEYPOINTS, layout.QUATERNION])
def test_a_sample_without_hands_is_dropped(copy: Path, path: str, value: float) -> None:
    lost = range(40, 80)
    put(copy, path, slice(40, 80), value)
    truth = truth_of(copy)
    windows, values = kept(truth)
    ends = truth.ends
    if path == layout.KEYPOINTS:  # only the body that positions are told from is needed
        want = [w for w, e in enumerate(ends) if e + 10 < N and e not in lost]
    else:
        reach = [set(range(e - 1, e + 11)) for e in ends]
        want = [w for w, e in enumerate(ends) if e + 10 < N and not reach[w] & set(lost)]
    assert windows.tolist() == want
    assert len(want) < 19
    assert (np.abs(values).max(axis=(2, 3)) > 0.1).all()
    for naive in (targets.resting_hands, targets.coasting_hands):
        assert np.isfinite(naive(truth, windows[:, None])).all()
    hit = {
        layout.HAND_RIGHT: {"hand_right"},
        layout.KEYPOINTS: {"body"},
        layout.QUATERNION: {"hand_left", "hand_right"},
    }[path]
    doubtful = {"body"} if path == layout.QUATERNION else set()  # gravity is found through poses
    assert set(truth.odd) == hit | doubtful
    assert all(truth.odd[name].startswith("40 of 120 frames") for name in hit)
    everyone = targets.future_hands(truth_of(copy, "published"), members(truth))
    assert sum(value is not None for value in everyone) == 19


def test_without_a_pose_there_are_no_hands(copy: Path) -> None:
    with h5py.File(copy / "annotation.hdf5", "r+") as file:
        del file["slam"]
    truth = truth_of(copy)
    assert truth.world_hands is None
    with pytest.raises(ParamsError, match="Did you mean 'corrected'"):
        truth_of(copy, "correct")
    assert truth.missing.keys() == {"hand_left", "hand_right"}
    assert all(reason.startswith("pose: ") for reason in truth.missing.values())
    assert truth_of(copy, "published").missing == {}


def test_up_from_the_trunk_is_said(copy: Path) -> None:
    assert truth_of(copy).odd == {}
    with h5py.File(copy / "annotation.hdf5", "r+") as file:
        del file["imu"]
    assert "no gravity" in truth_of(copy).odd["body"]


def test_unknown_contacts_are_not_none(copy: Path) -> None:
    put(copy, layout.CONTACTS, slice(None), 0)
    put(copy, layout.CONTACTS, slice(30, 50), np.nan)
    put(copy, layout.CONTACTS, slice(52, 53), 1)
    truth = truth_of(copy)
    for start, said in zip(truth.starts, targets.any_contact(truth, members(truth)), strict=True):
        frames = set(range(start, start + 20))
        if 52 in frames:
            assert said == "contact"
        else:
            assert said == (None if frames & set(range(30, 50)) else "no_contact")
    assert "20 of 120 frames" in truth.odd["contacts"]
    assert None not in targets.any_contact(truth_of(copy, "published"), members(truth))


def test_coordinate_frames_do_not_mix() -> None:
    joints = Points(np.zeros((40, 42, 3)), "fisheye_cam0")
    to_body = Transform(np.tile(np.eye(3), (40, 1, 1)), np.zeros((40, 3)), "world", "body")
    truth = Truth(40, window_starts(40), world_hands=joints, to_body=to_body)
    with pytest.raises(CoordinateFrameError, match="fisheye_cam0"):
        targets.future_hands(truth, members(truth))


def lose_a_group(folder: Path, builder: ModuleType) -> None:
    builder.put(folder, hand_mocap=None)


def misshape_it(folder: Path, builder: ModuleType) -> None:
    builder.put(folder, **{layout.HAND_LEFT: np.ones((60, 20, 3))})


@pytest.mark.parametrize("contract", ["published", "corrected"])
@pytest.mark.parametrize(
    ("plant", "found"), [(lose_a_group, "hand_mocap"), (misshape_it, layout.HAND_LEFT)]
)
def test_a_hand_that_is_lost_or_broken_is_named_with_what_was_found(
    tiny: Path, builder: ModuleType, contract: str, plant: Callable, found: str
) -> None:
    assert "hand_left" not in truth_of(tiny, contract).missing
    plant(tiny, builder)
    assert found in truth_of(tiny, contract).missing["hand_left"]
