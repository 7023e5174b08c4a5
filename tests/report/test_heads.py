"""What is said and drawn of heads follows from intervals, whichever way they fall."""

import numpy as np
import pytest

from xperience.evaluation.predictions import Prediction
from xperience.evaluation.records import Record
from xperience.models.goals import Epoch
from xperience.report.figures.heads import draw_curves, draw_gains, draw_near_changes
from xperience.report.heads import (
    FLOOR,
    claim_text,
    difference_of,
    gained,
    heads_table,
)
from xperience.report.tables import Rows, Verdict, verdict
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.problem import Problem

BETTER, WORSE, NO_DIFFERENCE, NOT_TESTED = Verdict

HANDS, ACTION = TASKS_BY_NAME["hand_trajectory_forecast"], TASKS_BY_NAME["timeline_action"]


def row(task, head, value, against=None, ends=None, **more) -> Record:
    metric = task.primary.metric
    fields = {"metric": task.primary.name, "unit": metric.unit, "value": value}
    fields |= {"higher_is_better": metric.higher_is_better, "against": against}
    if ends:
        fields |= {"ci_low": ends[0], "ci_high": ends[1]}
    fields |= {"run": "r", "section": "s", "contract": "corrected", "task": task.name, "head": head}
    return Record(**fields | more)


def scores(task, floor, *heads) -> list[Record]:
    """Return rows of heads: (name, score, ends of the difference from floor, from linear)."""
    rows = []
    for name, value, to_floor, to_linear in heads:
        known = {"floor": floor, "floor_name": "still", "skill": 0.0}
        rows.append(row(task, name, value, **known))
        rows.append(row(task, name, value - floor, "still", to_floor))
        if name != "linear":
            rows.append(row(task, name, value - heads[0][1], "linear", to_linear))
    return rows


@pytest.mark.parametrize(
    ("task", "ends", "said"),
    [
        (ACTION, (0.1, 0.3), BETTER),
        (ACTION, (-0.3, -0.1), WORSE),
        (ACTION, (-0.1, 0.1), NO_DIFFERENCE),
        (HANDS, (0.1, 0.3), WORSE),
        (HANDS, (-0.3, -0.1), BETTER),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(task, ends, said):
    assert verdict(row(task, "neural", np.mean(ends), "linear", ends)) == (said, "")


def test_a_verdict_without_interval_says_why():
    few = row(ACTION, "neural", 0.2, "linear", ci_reason="too_few_blocks: 3 blocks")
    assert verdict(few) == (NOT_TESTED, "no interval, 3 blocks")
    assert verdict(None)[0] is NOT_TESTED


def test_gains_are_shares_of_the_way_to_perfection():
    assert gained(row(ACTION, "a", 0.2, "still", (0.1, 0.3)), 0.6, ACTION) == pytest.approx(
        (0.5, 0.25, 0.75)
    )
    value, low, high = gained(row(HANDS, "a", -0.01, "still", (-0.02, 0.01)), 0.04, HANDS)
    assert (value, low, high) == pytest.approx((0.25, -0.25, 0.5))


def test_the_note_s_claim_comes_out_as_better_than_linear_and_far_worse_than_resting_hands():
    rows = scores(
        HANDS, 0.0276, ("linear", 0.5, (0.4, 0.5), None),
        ("neural", 0.1079, (0.06, 0.1), (-0.45, -0.35)),
    )  # fmt: skip
    said = claim_text(rows, HANDS)
    assert "**better** than the linear head (-392.1 mm" in said
    assert "**worse** than the best floor (still) (+80.3 mm" in said
    assert claim_text(rows, HANDS, "temporal") == (
        "The temporal head has no score on hand_trajectory_forecast."
    )


def studied(*heads) -> dict:
    return {"corrected": (scores(ACTION, 0.2, *heads), {ACTION.name: ACTION})}


def test_the_figure_s_title_follows_the_rows():
    won = studied(("linear", 0.3, (-0.1, 0.3), None), ("neural", 0.6, (0.3, 0.5), (0.1, 0.4)))
    assert "in 1 of 1 tested task under corrected" in draw_gains(won).title
    assert "in 1 of 1 tested task" in draw_gains(won, rival="linear").title
    lost = studied(("linear", 0.3, (-0.1, 0.3), None), ("neural", 0.1, (-0.3, 0.5), (-0.4, 0.1)))
    assert "in none of 1 tested task" in draw_gains(lost).title
    assert "neural -0.12 (no significant difference)" in draw_gains(lost).alt


def test_a_task_of_one_contract_has_a_line_of_its_own_and_the_largest_gain_comes_first():
    rows, tasks = studied(("linear", 0.6, (0.3, 0.5), None))["corrected"]
    hands = scores(HANDS, 0.2, ("linear", 0.3, (0.05, 0.2), None))
    canvas = draw_gains(
        {"published": (hands, {HANDS.name: HANDS}), "corrected": (rows, tasks)}
    ).figure
    published, corrected = canvas.axes
    labels = [text.get_text() for text in published.get_yticklabels()]
    assert labels == ["timeline action", "hand trajectory forecast"]
    ((_, at),) = corrected.collections[0].get_offsets()
    assert round(at) == 0, "on the line of its own name"


def test_a_contract_whose_differences_are_not_tested_has_no_panel():
    heads = ("linear", 0.3, (-0.1, 0.3), None), ("neural", 0.6, (0.3, 0.5), (0.1, 0.4))
    rows, tasks = studied(*heads)["corrected"]
    few = [
        one.model_copy(update={"no_verdict": "1 seed; 5 needed", "tells": False}) for one in rows
    ]
    picture = draw_gains({"published": (few, tasks), "corrected": (rows, tasks)}, rival="linear")
    assert [ax.get_title(loc="left") for ax in picture.figure.axes] == ["corrected"]
    assert picture.title.endswith(
        "in 1 of 1 tested task under corrected; not tested under published"
    )


def test_the_table_has_one_row_per_task_and_one_verdict_per_head():
    rows, tasks = studied(
        ("linear", 0.3, (-0.1, 0.3), None), ("neural", 0.6, (0.3, 0.5), (0.1, 0.4))
    )["corrected"]
    (line,) = heads_table(rows, tasks).to_dict("records")
    assert line["best floor"] == "0.200 (still)"
    assert (line["neural − floor"], line["neural − linear"]) == (BETTER, BETTER)
    assert difference_of(Rows(rows), ACTION, "linear", FLOOR).value == pytest.approx(0.1)


def curve(held) -> tuple[Epoch, ...]:
    return tuple(Epoch(i + 1, 1 / (i + 1), loss) for i, loss in enumerate(held))


def trained(held) -> list:
    """Return a problem with a network's prediction that has a learning curve."""
    problem = Problem(ACTION, "corrected", truth=None, blocks=None)
    return [(problem, {"neural": [Prediction([], curve=curve(held))]})]


def test_learning_curves_tell_where_they_turn():
    both = [*trained([3, 2, 1, 2, 3]), *trained([1, 2]), *trained([3, 2, 1])]
    assert draw_curves(both).title == (
        "Held-out loss is least after 3 epochs (median; 1 to 3 in 3 runs); in 1 the first epoch is "
        "the best"
    )
    assert draw_curves(trained([3, 2])).title.endswith("in none the first epoch is the best")
    picture = draw_curves(trained([None, None]))
    assert picture.title == "No learning curve was judged on held-out segments"
    assert "No learning" in draw_curves([]).title


def test_the_title_of_distances_names_the_nearest_and_the_farthest_zone_that_has_a_score():
    def zone(name, value, head="linear", ends=None):
        told = {"status": "ok" if value is not None else "degenerate", "reason": "no samples"}
        fields = {"metric": "accuracy", "unit": "1", "variant": f"boundary={name}", **told}
        return row(ACTION, head, value, ends=ends, n_test=4, **fields)

    rows = [zone("near", None), zone("middle", 0.25), zone("far", 0.75), zone("far", 1, "neural")]
    picture = draw_near_changes(rows, [ACTION.name])
    assert picture.title.endswith("25 % correct 0.5 to 2 s from a change, 75 % beyond 2 s")
    assert "far, accuracy: 1" in picture.alt
    assert draw_near_changes(rows[:2], [ACTION.name]).title.startswith("No accuracy")
    for high, said in ((0.8, "overlap"), (0.6, "lie apart")):
        rows = [zone("near", 0.25, ends=(0, high)), zone("far", 0.75, ends=(0.7, 1))]
        assert draw_near_changes(rows, [ACTION.name]).title.endswith(f"; the intervals {said}")
