"""The episode as files: layout, sizes, sameness, refusals, wholeness."""

import os

import av
import h5py
import numpy as np
import pytest

from xperience.errors import ParamsError
from xperience.recording import layout
from xperience.recording.geometry import Transform
from xperience.standin import annotation, sensors
from xperience.standin.picture import Gallery, Picture
from xperience.standin.scene import build_scene
from xperience.standin.sensors import inertial
from xperience.standin.settings import StandinSettings
from xperience.standin.write import write_episode

TINY = {"frames": 60, "size_px": (32, 24), "depth_size_px": (16, 16)}


def test_every_stream_has_the_layout_of_a_recording(small) -> None:
    n_frames = small.settings.frames
    for stream in layout.STREAMS:
        for dataset in stream.datasets:
            shape = small[dataset.path].shape
            assert len(shape) == 1 + len(dataset.tail)
            wanted = zip(dataset.tail, shape[1:], strict=True)
            assert all(size is None or size == found for size, found in wanted), dataset.path
            assert dataset.rows != "frame" or shape[0] == n_frames
            assert np.isfinite(small[dataset.path].astype(float)).all()
    assert small[layout.DEPTH].dtype == np.float16
    assert small[layout.DEPTH].shape[1:] == (48, 64)
    assert small[layout.CONFIDENCE].dtype == np.uint8
    names = small[layout.FRAME_NAMES]
    assert [int(n.split(b".")[0]) for n in names] == small[layout.VIDEO_STAMPS].tolist()
    with h5py.File(small.folder / layout.ANNOTATION) as file:
        assert file[layout.DEPTH].chunks == (1, 48, 64)


def test_calibration_has_117_numbers(small) -> None:
    sizes = [a.size for path, a in small.arrays.items() if path.startswith("calibration/")]
    assert sum(sizes) == 117


@pytest.mark.parametrize("camera", layout.CAMERAS)
def test_videos_hold_every_frame_and_sound(small, camera: str) -> None:
    with av.open(str(small.folder / f"{camera}.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == small.settings.size_px
        assert video.average_rate == 20
        assert video.frames == small.settings.frames
        assert sound.codec_context.name == "aac"
        stamps = [frame.time for frame in container.decode(video)]
    assert np.allclose(stamps, np.arange(small.settings.frames) / 20)


def test_same_seed_same_bytes_whatever_the_workers(tmp_path) -> None:
    one = write_episode(tmp_path / "one", StandinSettings(**TINY, workers=1))
    two = write_episode(tmp_path / "two", StandinSettings(**TINY, workers=2))
    name = layout.ANNOTATION
    assert (one / name).read_bytes() == (two / name).read_bytes()
    for camera in layout.CAMERAS:
        assert np.array_equal(_sound(one, camera), _sound(two, camera))
        assert _n_pictures(one, camera) == _n_pictures(two, camera) == TINY["frames"]


def _sound(folder, camera: str) -> np.ndarray:
    with av.open(str(folder / f"{camera}.mp4")) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def _n_pictures(folder, camera: str) -> int:
    """Count the pictures; their bits are the encoder's, which differ from run to run."""
    with av.open(str(folder / f"{camera}.mp4")) as container:
        return sum(1 for _ in container.decode(video=0))


def test_the_same_moment_is_drawn_the_same(small) -> None:
    settings, scene = small.settings, build_scene(small.settings)
    poses = sensors.rig_from_world(*scene.wearer.rig(scene.time_s))
    for camera in sensors.cameras(settings).values():
        pose = camera.from_rig @ poses
        drawn = []
        for _ in range(2):
            picture = Picture(camera.model, Gallery.of(scene.solids, settings.seed))
            at = Transform(pose.rotation[30], pose.translation[30], "world", camera.name)
            picture.draw(30, at)
            drawn.append(picture.rgb.copy())
        assert np.array_equal(*drawn)


def test_another_seed_is_another_episode(tmp_path) -> None:
    found = []
    for seed in (1, 2):
        settings = StandinSettings(**TINY, seed=seed)
        scene = build_scene(settings)
        path = tmp_path / f"{seed}.hdf5"
        gallery = Gallery.of(scene.solids, seed)
        annotation.write_annotation(path, scene, settings, gallery)
        with h5py.File(path) as file:
            found.append({key: file[key][()] for key in (layout.KEYPOINTS, layout.IMU_GYRO)})
    assert all((found[0][key] != found[1][key]).any() for key in found[0])


def test_clock_faults_touch_the_stamps_alone() -> None:
    plain = StandinSettings(**TINY)
    faulty = StandinSettings(**TINY, imu_offset_s=0.3, clock_drift_ppm=100)
    scene = build_scene(plain)
    good, bad = inertial(scene, plain), inertial(scene, faulty)
    assert (good.gyro == bad.gyro).all()
    shift = (bad.stamp_ns - good.stamp_ns) * 1e-9
    assert shift[0] == pytest.approx(0.3, abs=1e-4)
    assert (shift[-1] - shift[0]) / 3.0 == pytest.approx(100e-6, rel=0.05)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"frame": 100}, "Did you mean 'frames'"),
        ({"frames": 3}, "frames"),
        ({"size_px": (33, 24)}, "even"),
        ({"workers": 0}, "workers"),
    ],
)
def test_wrong_settings_are_refused(values: dict, hint: str) -> None:
    with pytest.raises(ParamsError, match=hint):
        StandinSettings.checked(**values)


def test_missing_script_is_refused(tmp_path) -> None:
    settings = StandinSettings(**TINY, script=tmp_path / "none.yaml")
    with pytest.raises(ParamsError, match="cannot be read"):
        write_episode(tmp_path / "ep", settings)


def test_foreign_folder_is_left_alone(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ParamsError, match="never replaced"):
        write_episode(tmp_path, StandinSettings(**TINY))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_failed_run_leaves_nothing(tmp_path, monkeypatch) -> None:
    def fail(*_args) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(annotation, "write_depth", fail)
    with pytest.raises(OSError, match="no space"):
        write_episode(tmp_path / "ep", StandinSettings(**TINY))
    assert list(tmp_path.iterdir()) == []


def cpu_s() -> float:
    """Return the CPU time of this process and of those that it waited for."""
    spent = os.times()
    return sum(spent[:4])


@pytest.mark.slow
def test_default_episode_is_quick_and_small(tmp_path) -> None:
    begin = cpu_s()
    folder = write_episode(tmp_path / "ep", StandinSettings())
    assert cpu_s() - begin < 300  # about 150: some 75 s on two cores that have nothing else to do
    assert sum(path.stat().st_size for path in folder.iterdir()) < 150e6
