"""No sentence is said that its rows don't bear: rows that lack, contradict or don't belong."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.evaluation.records import write_records
from xperience.project import metrics_path
from xperience.report.claims import (
    AUDIO,
    FLOOR,
    NEITHER,
    NEURAL,
    NO,
    OPEN,
    RUN,
    YES,
    Ask,
    Clears,
    Compares,
    Fact,
    Place,
    Same,
    Tally,
    sections_of,
)
from xperience.report.takeaways import ALPHA, Evidence, judge

from . import takeaway_rows as made
from .takeaway_rows import RULES, changed, judged, named, of, rows_of, said, told

PUBLISHED, CORRECTED = "published", "corrected"
PLACE = Place(RUN, CORRECTED)


# A comparison needs its interval, its two scores, and all of one measure


SPOILT = {
    "no interval": ({"ci_low": None, "ci_high": None, "ci_reason": "few: 3 blocks"}, "3 blocks"),
    "no value": ({"value": None, "ci_low": None, "ci_high": None, "status": "degenerate",
                  "reason": "one class"}, "degenerate, one class"),
    "no direction": ({"higher_is_better": None}, "no better direction"),
    "an interval beside its value": ({"value": 7.0}, "does not hold its value"),
    "mixed units": ({"unit": "mixed"}, "different units"),
}  # fmt: skip


@of(Compares, Clears, Tally)
@pytest.mark.parametrize("spoilt", SPOILT)
def test_spoilt_intervals_bear_nothing(entry, spoilt):
    fields, why = SPOILT[spoilt]
    for outcome in (YES, NO, NEITHER):
        rows = rows_of(entry, outcome)
        judgement = judged(entry, changed(rows, told(rows), **fields))
        assert judgement.outcome is OPEN
        assert why in judgement.why
        assert why in said(entry, changed(rows, told(rows), **fields))


@of(Compares)
def test_a_comparison_is_not_told_without_both_scores(entry):
    rows = rows_of(entry)
    for lost in (rows[0], rows[2]):
        judgement = judged(entry, [row for row in rows if row is not lost])
        assert judgement.outcome is OPEN
        assert "is not in" in judgement.why


@of(Compares)
def test_scores_that_do_not_give_the_difference_are_not_told_with_it(entry):
    rows = rows_of(entry)
    for moved in (rows[0], rows[2]):
        off = changed(rows, [moved], value=moved.value + 0.01)
        assert judged(entry, off).outcome is OPEN
        assert "not that of the two scores" in judged(entry, off).why
        near = changed(rows, [moved], value=moved.value + 1e-9)
        assert judged(entry, near).outcome is YES


@of(Compares)
def test_one_row_in_another_unit_or_direction_is_no_comparison(entry):
    rows = rows_of(entry)
    for one in rows:
        other = changed(rows, [one], unit="furlong")
        assert "units differ" in judged(entry, other).why
        turned = changed(rows, [one], higher_is_better=not one.higher_is_better)
        assert judged(entry, turned).outcome is OPEN
        assert "which way is better" in judged(entry, turned).why


@of(Compares, Clears, Fact, Same, Tally)
def test_a_row_that_stands_twice_is_not_believed(entry):
    rows = rows_of(entry)
    judgement = judged(entry, [*rows, *(row.model_copy(update={"value": 0.9}) for row in rows)])
    assert judgement.outcome is OPEN
    assert "stands in 2 rows" in judgement.why


@of(Compares, Clears, Fact, Same, Tally)
def test_rows_of_another_contract_beside_the_right_ones_change_nothing(entry):
    other = CORRECTED if entry[1].contract == PUBLISHED else PUBLISHED
    rows = rows_of(entry)
    strangers = [row.model_copy(update={"contract": other, "value": -9.0, "ci_low": None,
                                        "ci_high": None}) for row in rows]  # fmt: skip
    for mixed in ([*strangers, *rows], [*rows, *strangers]):
        assert judged(entry, mixed) == judged(entry, rows)


# Seeds


def seeded(rows, mean, values):
    return rows + [
        mean.model_copy(update={"seed": seed, "value": value, "ci_low": None, "ci_high": None,
                                "floor": None, "floor_name": None})
        for seed, value in enumerate(values)
    ]  # fmt: skip


@of(Compares, Clears)
def test_seeds_on_both_sides_of_the_rival_leave_no_verdict(entry):
    for outcome in (YES, NO):
        rows = rows_of(entry, outcome)
        score = rows[0]
        single = isinstance(entry[2].test, Clears)
        gap = score.value - rows_bound(rows) if single else rows[1].value
        agreeing = seeded(rows, score, [score.value + step * gap for step in (-0.9, 0.0, 2.5)])
        assert judged(entry, agreeing).outcome is outcome
        for least in (-1.5, -1.0):  # worse than the rival, and no better
            apart = seeded(rows, score, [score.value + step * gap for step in (least, 0.0, 1.5)])
            assert judged(entry, apart).outcome is OPEN
            assert "2 of 3 are on the side of their mean" in judged(entry, apart).why


def rows_bound(rows):
    return rows[0].floor if len(rows) == 1 else rows[1].value


def test_seeds_that_disagree_keep_a_task_out_of_the_count():
    entry = named("tasks_beat_linear")
    rows = rows_of(entry)
    score = next(row for row in rows if row.against is None)
    gap = next(row for row in rows if row.task == score.task and row.against)
    split = [score.value - 2 * gap.value, score.value + 2 * gap.value]
    words = judged(entry, seeded(rows, score, split)).words
    assert words["n_untold"] == "1"
    assert words["n_better"] == str(len(entry[2].test.asks) - 1)


# Floors


def test_the_floor_is_the_one_that_the_mean_over_seeds_names():
    ask = Ask(NEURAL, "f1", "temporal_order", "neural", against=FLOOR)
    plain = replace(ask, against=None)
    mean = made.row(PLACE, plain, value=0.5, floor=0.3, floor_name="majority")
    seed = made.row(PLACE, plain, value=0.9, floor=0.1, floor_name="chance", seed=7)
    gaps = [made.row(PLACE, replace(ask, against=name), value=value)
            for name, value in (("chance", 0.8), ("majority", 0.2))]  # fmt: skip
    one_seed = gaps[1].model_copy(update={"seed": 7, "value": 0.6})
    evidence = made.evidence_of(PLACE, [seed, one_seed, *gaps, mean])
    assert evidence.find(PLACE, ask).row == gaps[1]
    without = made.evidence_of(PLACE, [mean.model_copy(update={"floor": None, "floor_name": None})])
    assert "has no floor" in without.find(PLACE, ask).why


def test_other_measures_of_a_task_never_stand_in_for_its_primary_one():
    entry = named("tasks_beat_floor")
    rows = rows_of(entry)
    others = [row.model_copy(update={"metric": "accuracy", "value": -0.2, "ci_low": None,
                                     "ci_high": None}) for row in rows]  # fmt: skip
    assert judged(entry, [*others, *rows]) == judged(entry, rows)
    assert judged(entry, others).outcome is OPEN


def test_an_ask_for_whatever_measure_is_answered_only_if_there_is_one():
    ask = Ask(NEURAL, None, "temporal_order", "neural")
    f1, accuracy = (made.row(PLACE, replace(ask, metric=name), value=0.5)
                    for name in ("f1", "accuracy"))  # fmt: skip
    assert made.evidence_of(PLACE, [f1]).find(PLACE, ask).row == f1
    assert "several measures" in made.evidence_of(PLACE, [f1, accuracy]).find(PLACE, ask).why


def test_a_floor_that_is_not_the_known_constant_is_no_bound():
    entry = named("retrieval_finds_moments")
    (score,) = rows_of(entry)
    assert judged(entry, [score]).outcome is YES
    judgement = judged(entry, [score.model_copy(update={"floor": 0.4})])
    assert judgement.outcome is OPEN
    assert "not the constant" in judgement.why


# Counting tasks


def tallied(n_better, n_worse, n_open, n_untold):
    """Return the count of so many tasks of each kind, by the rule of neural against linear."""
    entry = named("tasks_beat_linear")
    kinds = [YES] * n_better + [NO] * n_worse + [NEITHER] * n_open + [OPEN] * n_untold
    asks = entry[2].test.asks[: len(kinds)]
    rows = [made.difference(entry[1], ask, kind)
            for ask, kind in zip(asks, kinds, strict=True)]  # fmt: skip
    return judge(Tally(asks), made.evidence_of(entry[1], rows), entry[1])


counts = st.integers(0, 3)


@given(counts, counts, counts, counts)
def test_most_is_more_than_half_and_untold_tasks_are_no_evidence(better, worse, open_, untold):
    n = better + worse + open_ + untold
    if n == 0:
        return
    judgement = tallied(better, worse, open_, untold)
    assert (judgement.outcome is YES) == (2 * better > n and worse == 0)
    assert (judgement.outcome is NO) == (2 * worse > n and better == 0)
    could = (worse == 0 and 2 * (better + untold) > n) or (better == 0 and 2 * (worse + untold) > n)
    assert (judgement.outcome is OPEN) == (could and judgement.outcome not in (YES, NO))
    assert bool(judgement.why) == (judgement.outcome is OPEN)
    if judgement.outcome is NEITHER:
        assert judgement.words["case"].startswith("Tasks disagree") == (better > 0 and worse > 0)


def test_six_of_twelve_are_not_most():
    assert tallied(6, 0, 6, 0).outcome is NEITHER
    assert tallied(7, 0, 5, 0).outcome is YES
    assert tallied(6, 0, 5, 1).outcome is OPEN
    assert "1 tasks" not in tallied(6, 0, 5, 1).why


def test_every_look_at_what_sound_does_to_a_task_stands_a_correction_for_all_looks():
    looks = [
        entry
        for entry in RULES
        if isinstance(entry[2].test, Tally) and sections_of(entry[2].test) == {AUDIO}
    ]
    assert len(looks) == 4
    for entry in looks:
        rows = rows_of(entry)
        p_rows = [row for row in rows if row.metric == entry[2].test.guard]
        assert len(p_rows) == len(entry[2].test.asks)
        assert judged(entry, changed(rows, p_rows, value=ALPHA)).outcome is YES
        assert judged(entry, changed(rows, p_rows, value=ALPHA * 1.01)).outcome is NEITHER
        assert judged(entry, [row for row in rows if row not in p_rows]).outcome is OPEN


def test_heads_on_unseen_recordings_are_told_by_rotated_rows_else_by_few_recordings():
    for name in ("neural_across_beats_linear", "neural_across_beats_floor"):
        entry = named(name, "heldout")
        test, place = entry[2].test, entry[1]
        assert {ask.variant for ask in test.asks} == {"rotated"}
        assert judged(entry, rows_of(entry)).outcome is YES
        few = made.rows_for(Tally(test.otherwise), place, OPEN)
        assert "too few" in judged(entry, few).why
        assert judged(entry, [*few, *rows_of(entry, NO)]).outcome is NO


# Facts


@of(Fact)
def test_a_fact_is_not_told_with_a_hole_in_its_sentence(entry):
    rows = rows_of(entry)
    for lost in rows:
        judgement = judged(entry, [row for row in rows if row is not lost])
        assert judgement.outcome is OPEN
        skipped = {"value": None, "status": "skipped", "reason": "it was too dark"}
        judgement = judged(entry, changed(rows, [lost], **skipped))
        assert judgement.outcome is OPEN
        assert "too dark" in judgement.why


@of(Fact)
def test_a_share_that_is_just_what_it_must_be_above_is_not_above_it(entry):
    test = entry[2].test
    rows = rows_of(entry)
    at = judged(entry, changed(rows, rows[:1], value=test.bound))
    assert at.outcome is (NO if test.relation == "above" else YES)
    if test.relation == "above":
        over = judged(entry, changed(rows, rows[:1], value=test.bound + 0.002))
        assert over.outcome is YES
        assert over.words["percent"] == "50.2 %"


@of(Same)
def test_numbers_in_different_units_are_not_the_same(entry):
    rows = rows_of(entry)
    judgement = judged(entry, changed(rows, rows[:1], unit="furlong"))
    assert judgement.outcome is OPEN
    assert "units differ" in judgement.why


# Files


def test_rows_of_other_runs_and_sections_in_a_file_are_not_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    ask = Ask(NEURAL, "f1", "temporal_order", "neural")
    mine = made.row(PLACE, ask, value=0.5)
    strangers = [mine.model_copy(update={"run": "other"}),
                 mine.model_copy(update={"section": "05_audio"})]  # fmt: skip
    write_records(metrics_path(made.RUN, NEURAL), [*strangers, mine])
    assert Evidence(made.RUN).find(PLACE, ask).row == mine
    write_records(metrics_path(made.RUN, NEURAL), strangers)
    assert "is not in" in Evidence(made.RUN).find(PLACE, ask).why
