"""The sound: events at their moments, in the decoded video as in the plan."""

import json

import numpy as np
import pytest

from xperience.recording import layout
from xperience.standin.plan import Event
from xperience.standin.settings import StandinSettings
from xperience.standin.sound import SOUND_RATE_HZ, soundtrack

FRAME_S = 0.05
SHARP = {"clink", "knock"}


def events(small) -> list[dict]:
    return json.loads(small["metadata/sound_events"])


def onset_s(sound: np.ndarray, near_s: float) -> float:
    """Return when the sharpest rise of loudness near a time happens."""
    first = max(int((near_s - 0.12) * SOUND_RATE_HZ), 0)
    piece = np.abs(np.diff(sound[first : first + int(0.24 * SOUND_RATE_HZ)]))
    block = SOUND_RATE_HZ // 500
    level = piece[: len(piece) // block * block].reshape(-1, block).mean(1)
    rise = level[2:] - level[:-2]
    return (first + (int(rise.argmax()) + 1.5) * block) / SOUND_RATE_HZ


@pytest.mark.parametrize("camera", layout.CAMERAS)
def test_onsets_are_within_one_frame_of_the_truth(small, camera: str) -> None:
    sound = small.sound(camera)
    assert len(sound) / SOUND_RATE_HZ == pytest.approx(20, abs=FRAME_S)
    sharp = [e["time_s"] for e in events(small) if e["name"] in SHARP and e["time_s"] < 19.8]
    assert len(sharp) >= 5
    missed = [abs(onset_s(sound, time_s) - time_s) for time_s in sharp]
    assert np.median(missed) < 0.004
    assert max(missed) < FRAME_S


def test_clinks_happen_when_things_are_set_down(small) -> None:
    clinks = [e["time_s"] for e in events(small) if e["name"] == "clink"]
    landed = [hold.end_s for hold in small.scene.plan.holds]
    assert all(min(abs(np.array(landed) - time_s)) < 1e-5 for time_s in clinks)


def test_pouring_is_heard_while_it_runs(small) -> None:
    sound = small.sound()
    longest = max(
        small.scene.plan.streams, key=lambda s: (s.source != "tin") * (s.end_s - s.start_s)
    )
    inside = sound[int(longest.start_s * SOUND_RATE_HZ) : int(longest.end_s * SOUND_RATE_HZ)]
    assert np.sqrt((inside**2).mean()) > 3 * np.quantile(np.abs(sound), 0.25)


def test_events_name_their_frames(small) -> None:
    for event in events(small):
        assert event["frame"] == int(event["time_s"] * 20 + 1e-4)
        assert event["end_s"] >= event["time_s"]


def test_offset_delays_the_sound_alone() -> None:
    knock = [Event("knock", 1.0, 1.1)]
    plain = soundtrack(knock, StandinSettings(frames=60))
    late = soundtrack(knock, StandinSettings(frames=60, audio_offset_s=0.25))
    assert onset_s(plain, 1.0) == pytest.approx(1.0, abs=0.005)
    assert onset_s(late, 1.25) == pytest.approx(1.25, abs=0.005)
    assert len(plain) == len(late) == 3 * SOUND_RATE_HZ
