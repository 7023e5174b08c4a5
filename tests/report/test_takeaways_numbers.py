"""A number in a sentence is its row's own, reads as what it is, and is told of the right head."""

import re

from hypothesis import given
from hypothesis import strategies as st

from xperience.report.claims import NO, OPEN, YES, Clears, Compares, Fact, Same
from xperience.report.tables import number, share, signed
from xperience.report.takeaways import FAR

from .takeaway_rows import judged, named, of, rows_of, said


@of(Compares, Clears, Fact, Same)
def test_every_number_of_a_sentence_is_a_rows_own(entry):
    for outcome in entry[2].outcomes - {OPEN}:
        rows = rows_of(entry, outcome)
        known = [v for row in rows for v in (row.value, row.ci_low, row.ci_high) if v is not None]
        known += [-v for v in known] + [row.floor for row in rows if row.floor is not None]
        ratios = [a / b for a in known for b in known if b]
        for text in re.findall(r"[-+]?\d[\d,]*\.?\d*", said(entry, rows)):
            decimals = len(text.partition(".")[2])
            value = float(text.replace(",", ""))
            scaled = [s * v for v in known for s in (1, 100, 1000)] + ratios
            assert any(round(one, decimals) == value for one in scaled), text


def test_a_turned_claim_speaks_of_its_own_head_first():
    entry = named("local_beats_copying")
    for outcome, sign in ((YES, "+"), (NO, "-")):
        copy, gap, linear = rows_of(entry, outcome)
        assert (copy.head, linear.head, gap.against) == ("copy_nearest", "linear", "linear")
        words = judged(entry, [copy, gap, linear]).words
        assert (words["mine"], words["other"]) == (number(linear.value), number(copy.value))
        assert words["gap"] == signed(linear.value - copy.value)
        assert words["gap"].startswith(sign)
        assert words["ends"] == f"[{signed(-gap.ci_high)}, {signed(-gap.ci_low)}]"


@of(Compares)
def test_far_is_said_of_scores_that_are_far(entry):
    mine, gap, rival = rows_of(entry)
    better = 1 if mine.higher_is_better else -1
    turned = entry[2].test.turned
    for factor in (FAR * 1.01, FAR / 1.01):
        high, low = 0.4 * factor, 0.4
        ahead, behind = (high, low) if better > 0 else (low, high)
        first, second = (behind, ahead) if turned else (ahead, behind)
        apart = first - second
        ends = {"ci_low": apart - 1e-3, "ci_high": apart + 1e-3}
        rows = [mine.model_copy(update={"value": first}),
                gap.model_copy(update={"value": apart, **ends}),
                rival.model_copy(update={"value": second})]  # fmt: skip
        judgement = judged(entry, rows)
        assert judgement.outcome is YES
        assert judgement.words["degree"] == ("far " if factor > FAR else "")


reals = st.floats(-90, 90, allow_nan=False)
units = st.sampled_from(["1", "m"])


@given(reals, units)
def test_a_number_reads_as_what_it_is_and_never_as_zero(value, unit):
    for written in (number(value, unit), signed(value, unit)):
        text = written.removesuffix(" mm")
        read = float(text)
        scaled = 1000 * value if unit == "m" else value
        assert (read == 0) == (value == 0)
        assert read * value >= 0
        assert not text.startswith("-0.000") or value < 0
        step = 0.051 if unit == "m" else 0.00051
        assert abs(read - scaled) <= max(step, 0.5 * abs(scaled) if "e" in text else 0)


def test_small_numbers_are_written_out():
    assert (number(0.00004), signed(-0.00004, "m")) == ("0.00004", "-0.04 mm")


@given(st.floats(0, 1), st.sampled_from([0.5, 0.25]))
def test_a_share_reads_on_the_right_side_of_its_bound(value, bound):
    read = float(share(value, bound).removesuffix(" %")) / 100
    for edge in (0.0, bound, 1.0):
        if abs(value - edge) > 1e-9:
            assert (read > edge) == (value > edge)
    assert abs(read - value) <= 0.005 + 1e-12
