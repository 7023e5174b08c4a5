"""What looks find, what the mixed mean is made of, when sound wins, and fits that are shared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.errors import MissingStreamError
from xperience.evaluation.uncertainty import Interval, Verdict
from xperience.recording.recording import Episode
from xperience.studies.audio.effects import Effect
from xperience.studies.audio.looks import COMPARED, Contest, Finding, Heard, Look
from xperience.studies.audio.mean import MixedMean
from xperience.studies.audio.moments import SILENCE_DB, Moments, spectrogram, telling
from xperience.studies.audio.rows import heard_rows
from xperience.studies.audio.study import run_audio, shared_linear
from xperience.studies.audio.variants import AS_IS, REPLACED, WITHOUT, variant_task
from xperience.studies.heads import corrected_linear
from xperience.studies.problem import Answer, Outcome
from xperience.tasks.catalogue import TASKS_BY_NAME

NAMES = (AS_IS, WITHOUT, REPLACED)


def interval(estimate, ends=None, verdict=Verdict.OK) -> Interval:
    low, high = ends or (None, None)
    reason = None if ends else "why not"
    return Interval(estimate, low, high, 0.95, 100, 20.0, 9, 10, verdict, reason)


def look(gain: Interval, *, claimed=False, task="contact_prediction") -> Look:
    asked = {name: Outcome(variant_task(TASKS_BY_NAME[task], name), "ridge") for name in NAMES}
    return Look(Contest(asked), AS_IS, WITHOUT, Effect(gain, gain, None), None, claimed)


@pytest.mark.parametrize(
    ("one", "finding"),
    [
        (look(interval(0.2, (0.1, 0.3)), claimed=True), Finding.BETTER),
        (look(interval(-0.2, (-0.3, -0.1)), claimed=True), Finding.WORSE),
        (look(interval(0.2, (0.1, 0.3))), Finding.OPEN),
        (look(interval(0.2, (-0.1, 0.3))), Finding.OPEN),
        (look(interval(0.2, None, Verdict.TOO_FEW_BLOCKS)), Finding.FEW),
        (look(interval(0.0, None, Verdict.NO_VARIATION)), Finding.SAME),
        (look(interval(0.0, None, Verdict.UNDEFINED)), Finding.UNDEFINED),
    ],
)
def test_a_finding_follows_from_interval_and_claim(one, finding):
    assert one.finding is finding
    assert bool(one.reason) == (one.effect.gain.low is None)


def test_a_look_without_answers_gives_the_reason():
    task = variant_task(TASKS_BY_NAME["next_action"], AS_IS)
    lost = Outcome(task, "ridge", status="skipped", reason="no sound")
    one = Look(Contest({AS_IS: lost, WITHOUT: lost}), AS_IS, WITHOUT, None)
    assert (one.finding, one.reason) == (Finding.NOT_ASKED, "no sound")


# --- the mean over mixed units -----------------------------------------------------------------

KINDS = ("F1", "MRR", "MAE")


@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from(KINDS)), min_size=1, max_size=12))
def test_parts_sum_to_the_mean_and_the_turning_factor_makes_it_zero(found):
    names = [f"task {place}" for place in range(len(found))]
    gains, kinds = zip(*found, strict=True)
    mixed = MixedMean(dict(zip(names, gains, strict=True)), dict(zip(names, kinds, strict=True)))
    assert mixed.mean == pytest.approx(np.mean(gains))
    assert sum(mixed.part.values()) == pytest.approx(mixed.mean)
    assert sum(mixed.size.values()) == pytest.approx(1 if any(gains) else 0)
    for kind in mixed.n_tasks:
        changed = [2 * gain if own == kind else gain for gain, own in found]
        assert mixed.rescaled(kind, 2) == pytest.approx(np.mean(changed))
        factor = mixed.turning_factor(kind)
        if factor is not None:
            assert factor > 0
            size = abs(factor * mixed.part[kind])
            assert mixed.rescaled(kind, factor) == pytest.approx(0, abs=1e-9 * max(size, 1e-300))


def test_kinds_of_unit_are_those_of_the_measures():
    tasks = ("object_relevance", "cross_modal_retrieval", "modality_reconstruction")
    mixed = MixedMean.of({name: look(interval(0.1), task=name) for name in tasks})
    assert list(mixed.kinds.values()) == list(KINDS)


# --- moments -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heard(whole_tiny, whole_table):
    """One task whose answers with sound are right, and without it wrong at the first two."""

    def made_up(problems, context):
        for place, problem in enumerate(problems):
            said = list(problem.test_targets)
            if problem.task.variant == WITHOUT:
                said[:2] = ["something else"] * 2
            yield place, [Answer(said)]

    tasks = [TASKS_BY_NAME["transition_detection"]]
    head = ("made up", made_up)
    found = run_audio(whole_tiny, whole_table, head=head, tasks=tasks, variants=NAMES)
    return Heard.of(list(found), "published")


def test_wins_are_where_only_sound_was_right(heard):
    (one,) = telling(heard.looks[COMPARED[0]], 3)
    assert one.won.tolist() == [1, 1] + [0] * (len(one.won) - 2)
    assert (np.diff(one.window) > 0).all()
    assert one.net_wins == pytest.approx(2 / len(one.won))
    assert one.look.effect.net_wins.estimate == pytest.approx(one.net_wins)


def test_a_task_answered_alike_is_not_telling(heard):
    assert telling(heard.looks[COMPARED[1]], 3) == []


def test_loud_minus_quiet_is_the_difference_of_the_halves(heard, whole_table):
    one = Moments.of(heard.looks[COMPARED[0]]["transition_detection"])
    window_db = np.full(len(whole_table), -50.0)
    window_db[one.window[:2]] = -10
    loud = one.louder(window_db)
    want = one.won[loud].mean() - one.won[~loud].mean()
    assert one.loud_minus_quiet(window_db).estimate == pytest.approx(want) == 1
    assert one.loud_minus_quiet(np.full(len(window_db), -50.0)).estimate is None


def test_rows_carry_run_section_and_findings(heard):
    rows = heard_rows(heard, "tiny", "05_audio")
    assert {(row.run, row.section) for row in rows} == {("tiny", "05_audio")}
    gains = {row.against: row.value for row in rows if row.metric == "macro_f1_gain"}
    assert gains[WITHOUT] > 0 == gains[AS_IS]


def test_the_spectrogram_follows_a_chirps_pitch_and_level(whole_tiny):
    with Episode(whole_tiny) as episode:
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
    assert found.power_db.min() >= SILENCE_DB - 1e-3


def test_without_sound_there_is_no_spectrogram(tiny, builder):
    builder.write_video(tiny / "fisheye_cam0.mp4", 60)
    with Episode(tiny) as episode, pytest.raises(MissingStreamError, match="no audio stream"):
        spectrogram(episode, np.arange(9))


def test_shared_fits_are_those_made_one_by_one(whole_tiny, whole_table):
    names = ("transition_detection", "cross_modal_retrieval", "modality_reconstruction")
    tasks = [TASKS_BY_NAME[name] for name in names]
    both = [
        list(
            run_audio(whole_tiny, whole_table, head=("own", head), tasks=tasks, variants=NAMES[:2])
        )
        for head in (shared_linear, corrected_linear)
    ]
    assert [one.task.name for one in both[0] if one.answers] == [n for n in names for _ in "ab"]
    for shared, alone in zip(*both, strict=True):
        if shared.task.kind == "classify":
            assert shared.answer.predicted == alone.answer.predicted
            np.testing.assert_allclose(shared.answer.confidence, alone.answer.confidence, atol=1e-3)
        else:
            np.testing.assert_allclose(
                shared.answer.predicted, alone.answer.predicted, rtol=1e-3, atol=1e-3
            )
        assert shared.answer.facts == alone.answer.facts
