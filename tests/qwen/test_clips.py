"""Clips show a lead-in and the whole window; settings name what is wrong with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.qwen.clips import Clip, ExportSettings, evidence, plan_clips

seconds = st.floats(0, 3)


@given(
    n_frames=st.integers(0, 400),
    fps=st.sampled_from([15.0, 20.0, 20.00137, 29.97]),
    clip_fps=st.floats(0.5, 60),
    lead=st.tuples(seconds, seconds).map(sorted).map(tuple),
)
def test_clips_show_a_lead_in_and_the_whole_window_and_nothing_after_it(
    n_frames, fps, clip_fps, lead
):
    settings = ExportSettings(fps=clip_fps, lead_s=lead, per_episode=7)
    clips = plan_clips("ep", n_frames, fps, settings)
    assert clips == plan_clips("ep", n_frames, fps, settings)
    assert len(clips) == min(7, len(clips))
    assert bool(clips) == (n_frames >= 20)
    long_enough = n_frames >= 20 + round(lead[1] * fps) + 5
    for clip in clips:
        shown = np.array(clip.shown)
        assert (np.diff(shown) > 0).all()
        assert shown[0] >= 0
        assert shown[-1] == clip.end_frame < n_frames
        if long_enough:
            most = round(lead[1] * fps)
            step = max(fps / clip_fps, 1)
            assert clip.start_frame - most <= shown[0]
            if clip_fps * 20 / fps >= 1:
                assert shown[0] < clip.start_frame - round(lead[0] * fps) + step + 1
        assert clip.in_window[-1] == len(shown) - 1


@given(
    runs=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), min_size=3, max_size=12),
    place=st.integers(0, 60),
    step=st.integers(1, 9),
)
def test_evidence_is_the_unbroken_stretch_of_the_action_up_to_the_window(runs, place, step):
    action = [label for label, length in runs for _ in range(length)]
    action += ["a"] * max(0, 80 - len(action))
    start = min(place, len(action) - 20)
    clip = Clip(start, tuple(range(start + 19, max(-1, start - 30), -step))[::-1], 20 / step, 20.0)
    inside = action[start : start + 20]
    label = max(sorted(set(inside)), key=inside.count)
    found = evidence(action, label, clip)
    first, last = found["start_frame"], found["end_frame"]
    assert 0 <= first <= last < len(clip.shown)
    said = [action[frame] for frame in clip.shown]
    stretch = action[clip.shown[first] : clip.shown[last] + 1]
    if set(stretch) == {label}:
        before = action[clip.shown[first - 1] : clip.shown[first]] if first else [""]
        assert first == 0 or set(before) != {label}
        after = last + 1 < len(said) and action[clip.shown[last] : clip.shown[last + 1] + 1]
        assert not after or set(after) != {label}
    else:  # the run slips between two frames that are shown
        assert first == last
        assert step > 1


def test_settings_name_what_is_wrong_with_them():
    with pytest.raises(ValueError, match="must be even"):
        ExportSettings.checked(tile_px=(33, 24))
    with pytest.raises(ValueError, match="Did you mean 'fps'"):
        ExportSettings.checked(fsp=3)
    with pytest.raises(ValueError, match="least to the most"):
        ExportSettings.checked(lead_s=(3, 2))
