"""The episode as files: layout, sizes, sameness, refusals, wholeness; its sound."""

import av
import h5py
import numpy as np
import pytest

from xperience.errors import ParamsError, validated
from xperience.recording import layout
from xperience.standin import write
from xperience.standin.choreography import SoundEvent
from xperience.standin.scene import build_scene
from xperience.standin.sensors import inertial
from xperience.standin.settings import SOUND_RATE_HZ, FamilySettings, StandinSettings
from xperience.standin.sound import band, soundtrack
from xperience.standin.write import write_episode

TINY = {"frames": 60, "size_px": (32, 24)}


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
    assert (small[layout.DEPTH].dtype, small[layout.DEPTH].shape[1:]) == (np.float16, (48, 64))
    assert small[layout.CONFIDENCE].dtype == np.uint8
    names = small[layout.FRAME_NAMES]
    assert [int(n.split(b".")[0]) for n in names] == small[layout.VIDEO_STAMPS].tolist()
    sizes = [a.size for path, a in small.arrays.items() if path.startswith("calibration/")]
    assert sum(sizes) == 117
    with h5py.File(small.folder / layout.ANNOTATION) as file:
        assert file[layout.DEPTH].chunks == (1, 48, 64)


@pytest.mark.parametrize("camera", layout.CAMERAS)
def test_videos_hold_every_frame_and_sound(small, camera: str) -> None:
    with av.open(str(small.folder / f"{camera}.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == small.settings.size_px
        assert (video.average_rate, video.frames) == (20, small.settings.frames)
        assert sound.codec_context.name == "aac"
        stamps = [frame.time for frame in container.decode(video)]
    assert np.allclose(stamps, np.arange(small.settings.frames) / 20)


def test_equal_settings_give_equal_bytes_whatever_the_workers(simulated, tmp_path) -> None:
    one, told = simulated(frames=60), {}

    def tell(step: str, done: int, total: int) -> None:
        told.setdefault(step, []).append((done, total))

    two = write_episode(tmp_path / "two", StandinSettings(**TINY, workers=3), tell)
    assert set(told) == {"scene", "compile", "annotation", "depth", "videos"}
    assert all(max(seen) == (seen[0][1], seen[0][1]) for seen in told.values()), "bars that end"
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(path.name for path in two.iterdir())
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_another_seed_is_another_episode() -> None:
    one, two = (build_scene(StandinSettings(**TINY, seed=seed)) for seed in (1, 2))
    assert (one.body != two.body).any()
    assert (one.solids.looks != two.solids.looks).any()


def test_clock_faults_touch_the_stamps_alone() -> None:
    plain = StandinSettings(**TINY)
    faulty = StandinSettings(**TINY, imu_offset_s=0.3, clock_drift_ppm=100)
    scene = build_scene(plain)
    good, bad = inertial(scene, plain), inertial(scene, faulty)
    assert (good[layout.IMU_GYRO] == bad[layout.IMU_GYRO]).all()
    shift = (bad[layout.IMU_STAMPS] - good[layout.IMU_STAMPS]) * 1e-9
    assert shift[0] == pytest.approx(0.3, abs=1e-4)
    assert (shift[-1] - shift[0]) / 3.0 == pytest.approx(100e-6, rel=0.05)


@pytest.mark.parametrize(
    ("make", "values", "hint"),
    [
        (StandinSettings, {"frame": 100}, "Did you mean 'frames'"),
        (StandinSettings, {"frames": 3}, "frames"),
        (StandinSettings, {"size_px": (33, 24)}, "even"),
        (StandinSettings, {"workers": 0}, "workers"),
        (FamilySettings, {"sides": (1, 0, 1)}, "each split"),
        (FamilySettings, {"frames": (30, 60)}, "frames"),
        (FamilySettings, {"frames": (90, 60)}, "frames"),
        (FamilySettings, {"size_px": (33, 24)}, "even"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, values: dict, hint: str) -> None:
    with pytest.raises(ParamsError, match=hint):
        validated(make, values, "standin")


def test_what_cannot_be_written_leaves_everything_as_it_is(tmp_path, monkeypatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ParamsError, match="never replaced"):
        write_episode(tmp_path, StandinSettings(**TINY))
    with pytest.raises(ParamsError, match="cannot be read"):
        write_episode(tmp_path / "ep", StandinSettings(**TINY, script=tmp_path / "none.yaml"))

    def fail(*_args: object) -> None:
        raise OSError("no space left")

    for step in ("write_depth", "write_video"):
        with monkeypatch.context() as patched:
            patched.setattr(write, step, fail)
            with pytest.raises(OSError, match="no space"):
                write_episode(tmp_path / "ep", StandinSettings(**TINY))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def onset_s(sound: np.ndarray, near_s: float) -> float:
    """Return when the sharpest rise of loudness near a time happens."""
    first = max(int((near_s - 0.12) * SOUND_RATE_HZ), 0)
    piece = np.abs(np.diff(sound[first : first + int(0.24 * SOUND_RATE_HZ)]))
    block = SOUND_RATE_HZ // 500
    level = piece[: len(piece) // block * block].reshape(-1, block).mean(1)
    rise = level[2:] - level[:-2]
    return (first + (int(rise.argmax()) + 1.5) * block) / SOUND_RATE_HZ


@pytest.mark.parametrize("camera", layout.CAMERAS[::5])
def test_onsets_are_within_one_frame_of_the_truth(small, camera: str) -> None:
    sound, sharp = small.sound(camera), {"clink", "knock"}
    assert len(sound) / SOUND_RATE_HZ == pytest.approx(30, abs=0.05)
    for event in small.sound_events:
        assert event["frame"] == int(event["time_s"] * 20 + 1e-4)
        assert event["end_s"] >= event["time_s"]
    times_s = [e["time_s"] for e in small.sound_events if e["name"] in sharp and e["time_s"] < 29.8]
    assert len(times_s) >= 5
    missed_s = [abs(onset_s(sound, time_s) - time_s) for time_s in times_s]
    assert np.median(missed_s) < 0.004
    assert max(missed_s) < 0.05


def test_sounds_go_with_what_is_done(small) -> None:
    plan = small.scene.plan
    clinks = [e["time_s"] for e in small.sound_events if e["name"] == "clink"]
    landed = np.array([hold.end_s for hold in plan.holds])
    assert all(min(abs(landed - time_s)) < 1e-5 for time_s in clinks)
    sound = small.sound()
    liquids = [pouring for pouring in plan.pourings if pouring.source != "tin"]
    longest = max(liquids, key=lambda pouring: pouring.end_s - pouring.start_s)
    inside = sound[int(longest.start_s * SOUND_RATE_HZ) : int(longest.end_s * SOUND_RATE_HZ)]
    assert np.sqrt((inside**2).mean()) > 3 * np.quantile(np.abs(sound), 0.25)


@pytest.mark.parametrize("offset_s", [0.0, 0.25])
def test_an_audio_offset_delays_the_sound_alone(offset_s: float) -> None:
    settings = StandinSettings(frames=60, audio_offset_s=offset_s)
    sound = soundtrack([SoundEvent("knock", 1.0, 1.1)], settings)
    assert onset_s(sound, 1.0 + offset_s) == pytest.approx(1.0 + offset_s, abs=0.005)
    assert len(sound) == 3 * SOUND_RATE_HZ


@pytest.mark.parametrize("n_samples", [479, 480, 5821])  # two primes among them
def test_a_band_of_noise_is_what_one_transform_of_it_all_gives(n_samples: int) -> None:
    noise = np.random.default_rng(0).normal(size=n_samples)
    rate_hz = np.fft.rfftfreq(n_samples, 1 / SOUND_RATE_HZ)
    rate_hz[0] = rate_hz[1]
    gain = 1 / np.sqrt((1 + (900 / rate_hz) ** 4) * (1 + (rate_hz / 5200) ** 4))
    whole = np.fft.irfft(np.fft.rfft(noise) * gain, n_samples)
    np.testing.assert_allclose(band(noise, 900, 5200), whole, atol=1e-13)
