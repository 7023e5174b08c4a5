"""The audio study told: tables and titles follow the rows, and figures draw whatever came."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.errors import MissingStreamError
from xperience.evaluation.ablation import NET_WINS, ablations, comparison_rows
from xperience.evaluation.intervals import Segmentation
from xperience.evaluation.predictions import Prediction
from xperience.evaluation.records import Record
from xperience.features.sound import spectrogram
from xperience.recording.recording import Recording
from xperience.report.audio import (
    Wins,
    comparison_table,
    kinds_of,
    loudness_table,
    mixed_mean_words,
    most_wins,
    open_sound,
    score_table,
)
from xperience.report.contract import Timeline
from xperience.report.figures.audio import (
    action_levels,
    draw_audio_forest,
    draw_sound,
    draw_when,
)
from xperience.tasks.audio import OTHER_SOUND, WITH_SOUND, WITHOUT, audio_problems
from xperience.tasks.catalogue import TASKS_BY_NAME

PRIMARY = {
    "contact_prediction": "macro_f1",
    "next_action": "macro_f1",
    "cross_modal_retrieval": "mrr",
    "modality_reconstruction": "mae",
}
FEW = "too_few_segments: 2 segments"


def drawn(picture):
    assert picture.title in picture.alt
    picture.figure.savefig(io.BytesIO(), dpi=40)
    return picture


def rows_of(contract: str, *found: tuple[float | None, tuple[float, float] | None, float]):
    """Rows of four tasks: (gain, its interval, Holm's p); no gain was not tested, no interval."""
    rows = []
    for (task, metric), (gain, ends, p) in zip(PRIMARY.items(), found, strict=True):
        base = {"run": "r", "section": "s", "contract": contract, "task": task}
        for variant, value in zip(WITH_SOUND, (0.7, 0.5), strict=True):
            score = {"metric": metric, "value": value, "skill": -0.1, "floor": 0.6, "unit": "1"}
            rows.append(Record(**base, **score, variant=variant, floor_name="majority"))
        for variant, against in (WITH_SOUND, OTHER_SOUND):
            own = base | {"variant": variant, "against": against, "higher_is_better": True}
            own |= {"unit": "1", "metric": f"{metric}_gain"}
            if gain is None:
                rows.append(Record(**own, status="skipped", reason="no sound: it is gone"))
                continue
            low, high = ends or (None, None)
            own |= {"ci_low": low, "ci_high": high, "ci_reason": None if ends else FEW}
            own |= {"p_holm": p} if ends else {}
            rows.append(Record(**own, value=gain))
            rows.append(Record(**own | {"metric": NET_WINS, "value": np.sign(gain) / 4}))
    return rows


UP, DOWN, OPEN = (0.2, (0.1, 0.3)), (-0.2, (-0.3, -0.1)), (0.1, (-0.1, 0.3), 0.9)
HELPS = ((*UP, 0.02), (*DOWN, 0.02), (*UP, 0.06), (0.1, None, 0.0))
NOTHING, MUTE = (OPEN,) * 4, ((None, None, 0.0),) * 4


@pytest.mark.parametrize(
    ("published", "corrected", "title"),
    [
        (
            NOTHING,
            HELPS,
            "Audio significantly improves none and worsens none of 4 tested tasks under published; "
            "improves 1 (contact prediction) and worsens 1 of 3 tested tasks (1 not tested) under "
            "corrected",
        ),
        (
            NOTHING,
            NOTHING,
            "Audio significantly improves none and worsens none of 4 tested tasks under both "
            "contracts",
        ),
        (MUTE, MUTE, "Whether audio improves any task is not tested"),
    ],
    ids=["helps", "open", "mute"],
)
def test_the_forests_title_says_what_is_significant(published, corrected, title):
    rows = rows_of("published", *published) + rows_of("corrected", *corrected)
    assert drawn(draw_audio_forest(rows)).title == title


def test_a_table_has_a_row_per_task_and_contract_with_its_finding():
    rows = rows_of("published", *HELPS) + rows_of("corrected", *MUTE)
    table = comparison_table(rows, WITH_SOUND)
    assert table.loc["published", "gain"].tolist()[0] == "+0.200 [+0.100, +0.300]"
    assert table["finding"].tolist() == [
        "better (still below the best trivial baseline)",
        "worse",
        "no significant difference",
        "not tested (no interval, 2 segments)",
        *["not tested (skipped, no sound: it is gone)"] * 4,
    ]
    scores = score_table(rows, "published").loc[("contact prediction", "macro-F1")]
    assert scores.tolist() == ["0.700", "0.500", "0.600 (majority)"]


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        (
            (0.1, 0.1, -0.1, -0.9),
            "The mean over 4 tasks is -0.200; 1 MAE task of 4 makes up 75 % of what it sums. "
            "Another unit could turn its sign.",
        ),
        (
            (0.1, 0.1, 0.1, 0.1),
            "The mean over 4 tasks is +0.100; no kind of score outweighs the others. "
            "No unit turns its sign.",
        ),
        ((0.0, 0.0, 0.0, 0.0), "The mean over 4 tasks is +0.000: every gain is zero, in any unit."),
        ((None,) * 4, "No task can be compared, so there is no mean."),
    ],
)
def test_what_is_said_of_the_mixed_mean_names_the_unit_that_weighs(gains, said):
    rows = rows_of("published", *((gain, None, 0.0) for gain in gains))
    assert mixed_mean_words(rows, WITH_SOUND) == said


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(-1000, 1000), st.sampled_from(["macro_f1", "micro_f1", "mrr", "mae"])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_parts_sum_to_the_mean_and_the_turning_factor_makes_it_zero(found):
    base = {"run": "r", "section": "s", "contract": "published", "unit": "1"}
    rows = [Record(**base, metric=f"{name}_gain", value=gain / 1000) for gain, name in found]
    kinds = kinds_of(rows)
    mean = np.mean([row.value for row in rows])
    assert set(kinds.index) <= {"F1", "MRR", "MAE"}
    assert kinds["tasks"].sum() == len(found)
    assert kinds["part"].sum() == pytest.approx(mean)
    assert kinds["size"].sum() == pytest.approx(1 if any(row.value for row in rows) else 0)
    for _, one in kinds[kinds["turning"].notna()].iterrows():
        assert one["turning"] > 0
        assert mean + (one["turning"] - 1) * one["part"] == pytest.approx(0, abs=1e-9)


# --- over time ---------------------------------------------------------------------------------


def test_the_sounds_title_names_loudest_and_quietest_action(whole_tiny, make_table):
    table = make_table(["pour"] * 4 + [None] + ["sip"] * 4)
    with Recording(whole_tiny) as episode:
        sound, reason = open_sound(episode, table)
    assert reason == ""
    line = Timeline.of(table)
    window_db = np.where(line.action == 0, -40.0, -10.0)
    assert action_levels(line, window_db) == pytest.approx({"sip": -10, "pour": -40})
    levels = action_levels(line, sound.window_db)
    loud, quiet = sorted(levels, key=levels.get, reverse=True)
    apart = levels[loud] - levels[quiet]
    want = f"“{loud}” is the loudest action, {apart:.0f} dB above “{quiet}”"
    assert drawn(draw_sound(table, sound)).title == want


def test_the_spectrogram_follows_a_chirps_pitch_and_level(whole_tiny):
    with Recording(whole_tiny) as episode:
        found = spectrogram(episode, np.arange(0, 41, 5))
    time_s = (found.edges_s[1:] + found.edges_s[:-1]) / 2
    loud = found.power_db.max(axis=0) > found.power_db.max() - 20
    peak_hz = found.mel_hz[found.power_db.argmax(axis=0)]
    assert loud.sum() > 20
    np.testing.assert_allclose(peak_hz[loud], 440 * (1 + 0.2 * time_s[loud]), rtol=0.12)
    for first, level_db in zip(range(0, 41, 5), found.window_db, strict=True):
        within_s = np.linspace(first, first + 20, 2000) / 20
        amplitude = 0.3 * (1 + np.sin(7 * within_s)) / 2
        assert level_db == pytest.approx(10 * np.log10(np.square(amplitude).mean() / 2), abs=0.7)
    assert found.power_db.min() >= -100.001


def test_a_recording_without_sound_says_so(tiny, builder, make_table):
    builder.write_video(tiny / "fisheye_cam0.mp4", 60)
    table = make_table(["pour"] * 4)
    with Recording(tiny) as episode:
        with pytest.raises(MissingStreamError, match="no audio stream"):
            spectrogram(episode, np.arange(9))
        picture = drawn(draw_sound(table, *open_sound(episode, table)))
    assert picture.title == "This recording has no sound"
    assert "no audio stream" in picture.alt


def test_wins_over_time_are_counted_in_the_title(whole_tiny, whole_table):
    names = ("transition_detection", "timeline_action")
    problems = audio_problems(
        whole_tiny, whole_table, tasks=[TASKS_BY_NAME[name] for name in names]
    )
    inputs = {(p.task.name, variant): p for p in problems for variant in WITH_SOUND}
    predictions = [[Prediction(list(p.test_targets))] for p in inputs.values()]
    first = predictions[list(inputs).index(("transition_detection", WITHOUT))][0].predicted
    first[:2] = ["something else"] * 2
    found = ablations("made up", inputs, predictions)
    rows = comparison_rows(found.values(), WITH_SOUND, {"run": "r", "section": "s"})
    (one,) = most_wins(rows, found, WITH_SOUND, 3)  # the other task is predicted alike
    n = len(one.won)
    assert one.won.tolist() == [1, 1] + [0] * (n - 2)
    assert (np.diff(one.window) > 0).all()
    title = f"Sound decides 2 of {n} windows of transition detection (2 won, 0 lost)"
    assert drawn(draw_when(whole_table, [one], None)).title == title
    window_db = np.linspace(-60, -20, len(whole_table))
    few = drawn(draw_when(whole_table, [one], window_db)).title
    assert few == f"{title}; loud against quiet windows is not tested"
    window = np.arange(60) % len(whole_table)
    many = Wins("next_action", window, np.tile([1, 0], 30), Segmentation())
    said = drawn(draw_when(whole_table, [many], window_db)).title
    assert said.endswith("(30 won, 0 lost), not significantly more where it is loud")


def test_loud_minus_quiet_is_the_difference_of_the_halves():
    one = Wins("next_action", np.arange(3, 7), np.array([1, 1, 0, 0]), Segmentation())
    window_db = np.full(9, -50.0)
    assert one.loud_minus_quiet(window_db).estimate is None
    window_db[3:5] = -10
    assert one.loud_minus_quiet(window_db).estimate == 1
    shown = loudness_table([one], window_db).iloc[0]
    assert (shown["task"], shown["loud minus quiet"]) == ("next action", "+1.000")
    assert shown["finding"].startswith("no interval: ")


def test_nothing_decided_is_said(whole_table):
    title = "No window is known to be won or lost by sound"
    assert drawn(draw_when(whole_table, [], None)).title == title
    assert loudness_table([], np.zeros(3)).empty
