"""Figures and tables of retrieval: what they say follows the numbers, whatever came out."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from xperience.evaluation.metrics import Score
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Interval, Resampling, Verdict
from xperience.features.windows import STRIDE_FRAMES
from xperience.recording.recording import Episode
from xperience.report.figures.alignment import draw_place_and_moment, draw_similarity
from xperience.report.figures.hits import draw_hits, draw_query
from xperience.report.figures.rebuilt import draw_rebuilt, draw_weights
from xperience.report.figures.retrieval import draw_ranks, draw_tolerance
from xperience.report.figures.style import style
from xperience.report.retrieval import (
    above_chance,
    closer_table,
    finding,
    fit_and_unit,
    read_examples,
    read_shot,
    score_table,
    why_missing,
)
from xperience.studies.problem import Outcome
from xperience.studies.retrieval.reconstruction import (
    FLOORS,
    STATS,
    UNITS,
    WHOLE,
    GroupScore,
    Reconstruction,
)
from xperience.studies.retrieval.retrieval import RETRIEVALS, SOURCES, Ranking
from xperience.studies.retrieval.rows import Closely
from xperience.tasks.catalogue import TASKS_BY_NAME, VISUAL

N = 240
DRAW = {
    "ranks": draw_ranks,
    "tolerance": draw_tolerance,
    "similarity": draw_similarity,
    "place_and_moment": draw_place_and_moment,
    "rebuilt": draw_rebuilt,
    "weights": draw_weights,
}
WHY = "no target (video_stereo_left: the file is not there)"


def actions(n):
    return tuple(f"step {place // 60}" for place in range(n))


def ranking(similarity, task, contract="corrected"):
    n = len(similarity)
    centers = 9 + STRIDE_FRAMES * np.arange(n)
    again = Resampling(n_resamples=200)
    targets = np.arange(n)[:, None]
    return Ranking(task, contract, similarity, np.arange(n), centers, targets, actions(n), again)


def noise(n=N, seed=7):
    return np.random.default_rng(seed).random((n, n))


def aligned(n=N):
    """Return similarities in which only the window itself stands out, mostly."""
    return noise(n) + 0.8 * np.eye(n)


def placed(n=N):
    """Return similarities that know the action and nothing else, mostly."""
    place = np.array(actions(n))
    return noise(n) + 0.8 * (place[:, None] == place)


def interval(low, high):
    return Interval((low + high) / 2, low, high, 0.95, 50, 30.0, 9, 5, Verdict.OK)


def rebuilt(contract, gain=(-0.4, -0.1)):
    floors = dict.fromkeys(FLOORS, -0.2)
    weak = GroupScore(Score(-3.0), floors, interval(-4, -2), interval(-4, -1))
    one = GroupScore(Score(0.3), floors, interval(0.1, 0.5), interval(*gain))
    groups = [WHOLE, *VISUAL, *STATS]
    scores = {"motion": dict.fromkeys(groups, one), "audio": dict.fromkeys(groups, weak)}
    even = dict.fromkeys(groups, 1 / 7)
    raw = even | {"depth_confidence": 0.6}
    unit = UNITS[contract == "corrected"]
    known = dict.fromkeys([*scores, *FLOORS], 0.25)
    in_unit = {UNITS[0]: known, UNITS[1]: known}
    shares = {UNITS[0]: raw, UNITS[1]: even}
    return Reconstruction(contract, unit, scores, in_unit, shares, even, {"motion and audio": WHY})


def study(similarity_of=None, contract="corrected", **more):
    """Return a study in which the retrievals have planted similarities, or no answer."""
    names = dict(zip((*RETRIEVALS, *SOURCES), (*RETRIEVALS, *["modality_reconstruction"] * 3),
                     strict=True))  # fmt: skip
    outcomes = {
        name: Outcome(TASKS_BY_NAME[task], "linear", status="skipped", reason=WHY)
        for name, task in names.items()
    }
    rankings = {
        task: ranking(make(), task, contract) for task, make in (similarity_of or {}).items()
    }
    nothing = Reconstruction(contract, UNITS[1], {}, {}, {}, {}, dict.fromkeys(SOURCES, WHY))
    again = rebuilt(contract, **more) if more or similarity_of else nothing
    return Closely(contract, 20.0, outcomes, rankings, again)


GOOD = dict(zip(RETRIEVALS, (aligned, aligned), strict=True))
BAD = dict(zip(RETRIEVALS, (noise, noise), strict=True))
PLACE = dict(zip(RETRIEVALS, (noise, placed), strict=True))
SHORT = dict(zip(RETRIEVALS, (lambda: noise(12), lambda: noise(12)), strict=True))


def both(similarity_of=None, **more):
    return {name: study(similarity_of, name, **more) for name in ("published", "corrected")}


def check(picture):
    assert picture.title in picture.alt
    assert len(picture.alt) > 60
    drawn = io.BytesIO()
    with style():
        picture.figure.savefig(drawn, format="png", dpi=45)
    assert len(np.unique(np.asarray(Image.open(drawn)))) > 5
    return picture


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_study_makes_a_picture(draw):
    check(draw(both(GOOD)))


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_without_an_answer_the_picture_gives_the_reason(draw):
    assert "stereo_left" in check(draw(both())).alt


@pytest.mark.parametrize("task", RETRIEVALS)
@pytest.mark.parametrize("name", ["ranks", "tolerance", "place_and_moment"])
def test_a_retrieval_alone_keeps_its_axis(name, task):
    picture = DRAW[name](both({task: aligned}))
    left, right = picture.figure.axes[:2]
    kept, empty = (left, right) if task == RETRIEVALS[0] else (right, left)
    assert len(kept.get_yticks()) > 2
    assert len(empty.get_yticks()) == 0
    assert "is missing: no target" in picture.alt


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_handful_of_windows_makes_a_picture(draw):
    check(draw(both(SHORT)))


def test_the_title_of_ranks_follows_the_ranks():
    good = draw_ranks(both(GOOD)).title
    assert good.startswith("Cross-modal retrieval beats chance (median rank ")
    assert "caption grounding likewise" in good
    bad = draw_ranks(both(BAD)).title
    assert bad.startswith("Cross-modal retrieval doesn't surely beat chance")
    mixed = draw_ranks({"published": study(BAD, "published"), "corrected": study(GOOD)})
    assert "beats chance under corrected only" in mixed.title
    assert "can't be told" in draw_ranks(both(SHORT)).title


def test_the_median_rank_in_the_title_is_the_rankings():
    one = study(GOOD)
    median = np.median(one.rankings["cross_modal_retrieval"].ranks.expected)
    title = draw_ranks({"corrected": one}).title
    assert f"(median rank {median:g} of {N})" in title


def test_too_short_for_an_interval_shifts_decide():
    n = 70

    # One long spell above the mean: no interval, and every shift is worse.
    rising = np.tril(np.ones((n, n))) + np.eye(n) * np.linspace(0, 2, n)
    one = study({"cross_modal_retrieval": lambda: rising})
    found = one.rankings["cross_modal_retrieval"]
    assert found.mean(found.ranks.expected_reciprocal).low is None
    assert above_chance(one, "cross_modal_retrieval") is True
    backwards = study({"cross_modal_retrieval": lambda: -rising})
    assert not above_chance(backwards, "cross_modal_retrieval")


def test_the_title_of_tolerance_is_the_distance_of_first_answers():
    n, late = 60, 12
    far = np.roll(np.eye(n), late, axis=1)
    one = study({"cross_modal_retrieval": lambda: far})
    title = draw_tolerance({"corrected": one}).title
    assert title.startswith(f"Half of the first answers lie {late * STRIDE_FRAMES / 20:.1f} s")


def test_the_title_says_place_or_moment():
    title = draw_place_and_moment(both(PLACE)).title
    assert title == (
        "Cross-modal retrieval finds the place, not the moment; "
        "caption grounding finds neither place nor moment for sure"
    )
    moment = draw_place_and_moment(both(GOOD)).title
    assert moment == "Cross-modal retrieval finds the moment; caption grounding likewise"


def test_a_few_windows_find_nothing():
    few = ranking(noise(12), "cross_modal_retrieval")
    values = np.full(12, 0.9)
    assert finding(few, values, values) == "nothing that could be told from this few windows"


def test_the_title_of_similarity_is_the_contrast():
    one = {"corrected": study({"cross_modal_retrieval": lambda: np.eye(101)})}
    title = draw_similarity(one).title
    assert "stands out by 10.0 standard deviations in cross-modal retrieval" in title
    assert "(its action: −0.1)" in title


def test_the_title_of_the_reconstruction_counts_what_beats_every_floor():
    assert draw_rebuilt(both(GOOD, gain=(0.1, 0.4))).title == (
        "Surely above every floor, of 14 blocks and statistics: "
        "motion on 14 (published) and 14 (corrected), audio on 0 and 0"
    )
    below = draw_rebuilt(both(GOOD, gain=(-0.1, 0.4))).title
    assert below.endswith("motion on 0 (published) and 0 (corrected), audio on 0 and 0")


def test_the_title_of_weights_names_the_heaviest_block():
    title = draw_weights(both(GOOD)).title
    assert title.startswith("Depth confidence holds 14 % of the columns; in raw units")
    assert "60 % of the R², scaled 14 %" in title


# --- tables -----------------------------------------------------------------------------------


def test_missing_answers_are_listed_with_their_reason():
    found = why_missing(both())
    assert len(found) == 2 * (len(RETRIEVALS) + len(SOURCES))
    assert set(found["why there is no answer"]) == {WHY}


def test_fit_and_unit_has_a_row_a_prediction():
    found = fit_and_unit(both(GOOD))
    assert found.loc[("corrected", "motion"), UNITS[1]] == 0.25
    assert list(found.columns) == list(UNITS)
    assert len(fit_and_unit(both())) == 0


def row(metric, value, **more):
    base = {"run": "r", "section": "04", "contract": "corrected", "head": "linear"}
    return Record(**base, task="cross_modal_retrieval", metric=metric, value=value, **more)


def test_the_score_table_shows_intervals_or_why_there_is_none():
    rows = [
        row("mrr", 0.25, ci_low=0.125, ci_high=0.5, floor=0.02, floor_name="chance"),
        row("median_rank", 12.0, ci_reason="too_few_blocks: 5 blocks of 64 samples"),
        row("mrr", 0.2, against="chance"),
        row("mrr", 0.9, variant="equal_targets_ceiling"),
        row("mean_rank", None, status="degenerate", reason="one candidate"),
    ]
    found = score_table(rows).reset_index()
    assert found["score"].tolist() == ["mrr", "median_rank", "mean_rank"]
    assert found["95 % interval"].tolist() == [
        "0.125 to 0.5",
        "none: too few blocks",
        "degenerate",
    ]
    assert found["best floor"].tolist() == ["0.02 (chance)", "", ""]


def test_the_closer_table_leaves_single_actions_out():
    rows = [
        row("within_action_auc", 0.75),
        row("within_action_auc", 0.5, variant="action: pour"),
        row("mrr", 0.9, variant="equal_targets_ceiling"),
        row("mrr_shift_p", None, status="skipped", reason="few windows"),
        row("median_answer_distance", 130.5, unit="frame"),
    ]
    found = closer_table(rows).reset_index()
    assert found["metric"].tolist() == [
        "within_action_auc",
        "mrr equal_targets_ceiling",
        "mrr_shift_p",
        "median_answer_distance",
    ]
    assert found["value"].tolist() == ["0.75", "0.9", "", "130.5"]
    assert found["unit"].tolist() == ["", "", "", "frame"]
    assert found["reason"].tolist() == ["", "", "few windows", ""]


# --- pictures of answers ----------------------------------------------------------------------


def first_answers(*answered):
    """Return similarities whose first answers are given."""
    similarity = np.zeros((len(answered), len(answered)))
    similarity[np.arange(len(answered)), answered] = 1
    return similarity


def test_hits_are_drawn_with_their_times(episode):
    found = ranking(first_answers(0, 2, 2, 9, 4, 5, 6, 7, 8, 0), "cross_modal_retrieval")
    answered = read_examples(episode, found, near_frames=5)
    assert answered["near miss"].query.center == found.centers[1]
    assert answered["near miss"].answers[0].center == found.centers[2]
    assert answered["hit"].query.image is not None
    assert answered["failure"].example.rank > 1
    picture = check(draw_hits(found, answered, 5))
    assert picture.title == (
        "First answers of cross-modal retrieval: 70 % hits, 10 % near misses, 20 % failures"
    )


@pytest.mark.parametrize(
    ("share", "kind", "place"), [(0.0, "hit", 0), (1 / 9, "near miss", 1), (1.0, "failure", 9)]
)
def test_one_query_is_titled_by_what_came_of_it(episode, share, kind, place):
    found = ranking(first_answers(0, 2, 2, 9, 4, 5, 6, 7, 8, 0), "cross_modal_retrieval")
    picture = check(draw_query(episode, found, share, near_frames=5))
    seconds = found.centers[place] / episode.fps
    assert picture.title == f"Cross-modal retrieval: a {kind} at 0:{seconds:04.1f}"


def test_a_kind_that_does_not_occur_is_said(episode):
    found = ranking(first_answers(*range(9)), "caption_grounding")
    picture = check(draw_hits(found, read_examples(episode, found, 5), 5))
    assert "No query is a failure." in picture.alt
    assert "100 % hits, 0 % near misses, 0 % failures" in picture.title


def test_without_videos_the_pictures_are_missing_and_say_so(folder, tmp_path):
    bare = tmp_path / "episode"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("*.mp4"))
    with Episode(bare) as episode:
        shot = read_shot(episode, 9)
        assert shot.image is None
        assert shot.problem
        assert shot.action
        found = ranking(first_answers(0, 0, 2), "cross_modal_retrieval")
        picture = check(draw_hits(found, read_examples(episode, found, 20), 20))
    assert f"Pictures missing: {shot.problem}." in picture.alt
