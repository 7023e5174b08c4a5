"""How far rows may differ from their reference, by kind of row."""

import pytest

from xperience.evaluation.records import Record
from xperience.evaluation.tolerance import Kind, compare_rows, kind_of

OF = {"run": "a", "section": "s", "contract": "published"}
COUNT = Record(**OF, metric="purged_samples", unit="sample", value=12)
SCORE = Record(**OF, head="linear", metric="macro_f1", higher_is_better=True, value=0.5,
               ci_low=0.4, ci_high=0.6, floor=0.2, floor_name="majority", skill=0.375)  # fmt: skip
MEAN = SCORE.model_copy(update={"head": "neural", "n_seeds": 5, "spread": 0.02})
ONE_SEED = MEAN.model_copy(update={"n_seeds": 1, "seed": 7, "ci_low": None, "ci_high": None})
AGREED = MEAN.model_copy(update={"spread": 0.0, "ci_low": None, "ci_high": None})
ALONE = ONE_SEED.model_copy(update={"spread": None})
LOOSE = SCORE.model_copy(update={"no_verdict": "unstable: float32 and float64 differ"})
SURE = SCORE.model_copy(update={"metric": "calibration_error"})
HOURS = Record(**OF, metric="wall_time", unit="h", value=1.5)
SKIPPED = Record(**OF, metric="f1", higher_is_better=True, status="skipped", reason="no sound")


@pytest.mark.parametrize(
    ("row", "kind"),
    [(COUNT, Kind.COUNT), (SCORE, Kind.DETERMINISTIC), (MEAN, Kind.NETWORK),
     (ONE_SEED, Kind.NETWORK), (LOOSE, Kind.UNSTABLE), (HOURS, Kind.MEASURED),
     (SCORE.model_copy(update={"value": 1.0}), Kind.DETERMINISTIC)],
)  # fmt: skip
def test_the_kind_of_a_row_follows_from_what_its_numbers_rest_on(row, kind):
    assert kind_of(row) == kind
    assert compare_rows(row, row) == "equal"


@pytest.mark.parametrize(
    ("reference", "changed", "expected"),
    [
        (COUNT, {"value": 13}, "different"),
        (SCORE, {"value": 0.5 + 4e-7}, "within tolerance"),
        (SCORE, {"value": 0.5 + 1e-6}, "different"),
        (SCORE, {"ci_high": 0.61}, "different"),
        (SCORE, {"ci_low": None, "ci_high": None}, "different"),
        (SCORE, {"floor_name": "prior"}, "different"),
        (SCORE, {"n_test": 3}, "different"),
        (MEAN, {"value": 0.58}, "within tolerance"),  # 4 spreads of 0.02
        (MEAN, {"value": 0.59, "spread": 0.5}, "different"),  # the reference's spread counts
        (AGREED, {"value": 0.4, "spread": 0.1}, "within tolerance"),  # the other's seeds tell
        (AGREED, {"value": 0.4}, "different"),
        (MEAN, {"ci_low": 0.3}, "within tolerance"),  # it follows its score
        (SCORE, {"p_holm": 0.2}, "within tolerance"),  # of all its family; the verdict is compared
        (SURE, {"value": 0.51}, "within tolerance"),  # near ties tip
        (SURE, {"value": 0.53}, "different"),
        (MEAN, {"ci_low": None, "ci_high": None}, "within tolerance"),  # verdicts tell of it
        (MEAN, {"floor": 0.21}, "different"),
        (MEAN, {"n_seeds": 4}, "different"),
        (ONE_SEED, {"value": 0.67}, "within tolerance"),  # √5 times as far as a mean of five
        (ONE_SEED, {"value": 0.69}, "different"),
        (ALONE, {"value": 0.6}, "not compared"),
        (LOOSE, {"value": 0.9}, "not compared"),
        (MEAN.model_copy(update={"metric": "train_final_loss"}), {"value": 9.0}, "not compared"),
        (SCORE, {"value": 0.9, "no_verdict": "unstable: it is now"}, "not compared"),
        (HOURS, {"value": 9.0}, "not compared"),
        (SKIPPED, {"reason": "no sound at all"}, "equal"),
        (SKIPPED, {"status": "ok", "value": 0.5, "reason": None}, "different"),
        (LOOSE, {"status": "skipped", "value": None, "reason": "no sound"}, "different"),
    ],
)  # fmt: skip
def test_a_row_may_differ_by_what_its_kind_allows(reference, changed, expected):
    assert compare_rows(reference, reference.model_copy(update=changed)) == expected
