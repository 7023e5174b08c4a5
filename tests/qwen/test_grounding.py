"""The evidence window is scored where clips hide it, and nowhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.qwen.predictions import read_predictions
from xperience.qwen.schema import Options
from xperience.qwen.scores import Author, evidence_rows, overlap

OPTIONS = Options(("Hold pen",))
AUTHOR = Author("run", "model")
frames = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple)


def answer(stretch, action="Hold pen"):
    evidence = dict(zip(("start_frame", "end_frame"), stretch, strict=True))
    return {
        "action": action, "subtask": "Draw", "objects": [], "contact": "yes", "transition": "no",
        "next_action": "Hold pen", "evidence_window": evidence,
    }  # fmt: skip


def line(place, said, true, **more):
    return {
        "id": str(place),
        "episode_id": f"ep{place % 4}",
        "raw_prediction": json.dumps(answer(said)),
        "true_json": answer(true),
        "clip_frames": 20,
        "window_frames": 4,
    } | more


@pytest.fixture
def rows(write):
    """Return a function (lines) to the evidence rows by head and what they are against."""

    def scored(lines):
        found = read_predictions(write(lines), OPTIONS)
        return {(row.head, row.against): row for row in evidence_rows(found, AUTHOR)}

    return scored


@given(one=frames, other=frames)
def test_overlap_is_a_share_that_is_whole_only_for_the_same_frames(one, other):
    value = overlap(one, other)
    assert value == overlap(other, one)
    assert 0 <= value <= 1
    assert (value == 1) == (one == other)
    shared = set(range(one[0], one[1] + 1)) & set(range(other[0], other[1] + 1))
    assert (value == 0) == (not shared)


@pytest.mark.parametrize("said", [None, (9, 3), (40, 50)])
def test_no_stretch_and_one_elsewhere_overlap_nothing(said):
    assert overlap(said, (3, 9)) == 0


def test_the_score_is_the_mean_overlap_beside_answers_of_one_place(rows):
    found = rows([line(0, (10, 19), (10, 19)), line(1, (0, 9), (10, 19))])
    assert found["model", None].value == 0.5
    floors = {name: found[name, None].value for name, against in found if against is None}
    assert floors["whole_clip"] == 0.5
    assert floors["asked_window"] == 0.4  # frames 16 to 19
    assert floors["last_frames"] == 1  # the last ten
    assert floors["centre_of_clip"] == 0.5  # the whole clip is the best that starts in its middle
    assert floors["shuffled_answers"] == 0.5
    assert found["model", "last_frames"].value == -0.5


def test_an_action_that_is_found_earns_what_no_place_does(rows):
    true = [(2 * place, 19 - place % 3) for place in range(8)]
    row = rows([line(place, stretch, stretch) for place, stretch in enumerate(true)])["model", None]
    assert row.value == 1 > row.floor
    assert row.skill == 1


@pytest.mark.parametrize(
    "more",
    [{"clip_frames": None}, {"true_json": answer((0, 3), "unknown")}],
    ids=["the clip's length is not told", "no action is known"],
)
def test_nothing_is_scored_where_nothing_could_be_found(rows, more):
    row = rows([line(0, (0, 3), (0, 3), **more)])["model", None]
    assert (row.status, row.value) == ("skipped", None)
    assert row.reason


def test_an_answer_without_a_window_counts_as_wrong(rows):
    broken = line(1, (0, 0), (0, 9)) | {"raw_prediction": "no JSON"}
    assert rows([line(0, (0, 9), (0, 9)), broken])["model", None].value == 0.5
