"""Retrieval and reconstruction of a simulated recording, against plain formulas; their figures."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.stats import rankdata

from xperience.evaluation.evaluate import base_of, evaluate
from xperience.evaluation.predictions import predict_all
from xperience.evaluation.reconstruction import (
    RAW,
    SCALED,
    TargetColumns,
    group_rows,
    unit_rows,
    weight_rows,
)
from xperience.evaluation.records import write_records
from xperience.evaluation.retrieval import Ranking
from xperience.features.table import WindowTable
from xperience.recording.recording import Recording
from xperience.report.figures.retrieval import (
    draw_actions,
    draw_distances,
    draw_hits,
    draw_query,
    draw_ranks,
    draw_reconstruction,
    draw_similarity,
    draw_weights,
)
from xperience.report.figures.style import style
from xperience.tasks.catalogue import MOTION, TASKS_BY_NAME
from xperience.tasks.problem import problems_of

RETRIEVALS = ("caption_grounding", "cross_modal_retrieval")
REBUILT = "modality_reconstruction"
WHY = "no target (video_stereo_left: the file is not there)"


@pytest.fixture(scope="module")
def recorded(simulated):
    return simulated(frames=900)


@pytest.fixture(scope="module")
def answered(recorded, tables_of):
    """Return {task: (problem, prediction)} under the corrected contract."""
    table = WindowTable(tables_of(recorded)["corrected"])
    tasks = [TASKS_BY_NAME[name] for name in (*RETRIEVALS, REBUILT)]
    problems = problems_of(recorded, table, "corrected", tasks)
    found = predict_all(problems)
    return {one.task.name: (one, made[0]) for one, made in zip(problems, found, strict=True)}


@pytest.fixture(scope="module")
def rows(answered):
    """Return what notebook 04 writes of the reconstruction from motion and audio."""
    problem, prediction = answered[REBUILT]
    base, found = base_of(problem, {"run": "r", "section": "04"}), []
    for unit in (RAW, SCALED):
        columns = TargetColumns.of(problem, unit)
        values = columns.predicted(prediction)
        found += unit_rows(columns, {"motion and audio": values}, base)
        found += weight_rows(columns, base)
    return found + list(group_rows(columns, values, "motion and audio", base))


def check(picture):
    assert picture.title in picture.alt
    drawn = io.BytesIO()
    with style():
        picture.figure.savefig(drawn, format="png", dpi=45)
    assert len(np.unique(np.asarray(Image.open(drawn)))) > 5
    return picture


def test_mean_ranks_are_those_of_a_plain_ranking(answered):
    for name in RETRIEVALS:
        problem, prediction = answered[name]
        sides = np.asarray(prediction.predicted, float), np.asarray(problem.test_targets, float)
        queries, candidates = sides if name == "cross_modal_retrieval" else sides[::-1]
        lengths = [np.maximum(np.linalg.norm(one, axis=1), 1e-300) for one in (queries, candidates)]
        cosine = queries @ candidates.T / lengths[0][:, None] / lengths[1]
        plain = [rankdata(-row.round(11))[place] for place, row in enumerate(cosine)]
        np.testing.assert_allclose(Ranking.of(problem, prediction).ranks.expected, plain)


def plain_r2(truth, predicted):
    return 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()


def test_r2_by_block_and_unit_is_the_plain_one(answered, rows, tmp_path):
    write_records(tmp_path / "04.json", rows)  # no two rows of one key
    problem, prediction = answered[REBUILT]
    names = problem.task.target_blocks
    raw = np.concatenate([problem.blocks.raw(name) for name in names], axis=1).astype(float)
    raw = raw[problem.samples.members[:, 0]]
    train, truth = raw[problem.split.train], raw[problem.split.test]
    mean, std = train.mean(axis=0), train.std(axis=0)
    keep = std > np.maximum(1e-6, 1e-4 * np.abs(train).max(axis=0))
    predicted, truth = np.asarray(prediction.predicted, float), truth[:, keep]
    found = {(row.metric, row.variant, row.against): row for row in rows if row.head == "linear"}
    raw_whole = found["r2", f"from motion and audio, in {RAW}", None]
    assert raw_whole.value == pytest.approx(
        plain_r2(truth, predicted * std[keep] + mean[keep]), rel=1e-4
    )
    truth = (truth - mean[keep]) / std[keep]
    whole = found["r2", f"from motion and audio, in {SCALED}", None]
    assert whole.value == pytest.approx(plain_r2(truth, predicted), rel=1e-4)
    assert found["r2", "all columns from motion and audio", None].value == pytest.approx(
        whole.value
    )
    block = np.repeat(names, [problem.blocks.raw(name).shape[1] for name in names])[keep]
    for name in names:
        mask = block == name
        one = found["r2", f"{name} from motion and audio", None]
        expected = plain_r2(truth[:, mask], predicted[:, mask])
        assert one.value == pytest.approx(expected, rel=1e-3, abs=1e-3)
        gain = found["r2", one.variant, one.floor_name]
        assert gain.value == pytest.approx(one.value - one.floor)


def test_the_reconstructions_figures_follow_their_rows(rows):
    gains = [row for row in rows if row.against]
    sure = [
        row.model_copy(update={"value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "p": 0.01})
        for row in gains
    ]
    told = [row for row in rows if not row.against] + [
        row.model_copy(update={"variant": row.variant.replace("motion and audio", "motion")})
        for row in sure
    ]
    assert (
        "from motion 14 of 14 tested column groups, from audio none is tested"
        in check(draw_reconstruction(told)).title
    )
    title = check(draw_weights(rows)).title
    shares = {row.variant: row.value for row in rows if row.metric.endswith("_share")}
    name = title.split(" is ")[0].lower().replace(" ", "_")
    assert f"{100 * shares[f'{name}, in {RAW}']:.0f} % of its variance in raw units" in title


def test_a_problem_that_cannot_be_asked_leaves_rows_and_figures_with_the_reason(answered):
    rows = []
    for problem, _ in answered.values():
        skipped = replace(problem, status="skipped", reason=WHY)
        if problem.task.name == REBUILT:
            skipped = skipped.with_inputs(*MOTION)
        rows += evaluate(skipped, {"linear": ()}, "r", "04")
    assert {row.task for row in rows if row.reason == WHY} == {*RETRIEVALS, REBUILT}
    pictures = [draw_ranks({}, {}, rows), draw_distances({}, rows, 20.0), draw_actions(rows)]
    pictures += [draw_similarity({}, rows, 20.0), draw_reconstruction(rows), draw_weights(rows)]
    assert all("stereo_left" in check(one).alt for one in pictures)


# --- pictures of answers ----------------------------------------------------------------------


def first_answers(answered, *places):
    """Return a retrieval's first windows with these first answers."""
    one, n = Ranking.of(*answered["cross_modal_retrieval"]), len(places)
    centers, targets = one.centers[:n], one.targets[:n]
    similarity = np.eye(n)[list(places)]
    actions = one.actions[:n]
    return replace(one, similarity=similarity, centers=centers, targets=targets, actions=actions)


def test_example_queries_are_titled_by_what_came_of_them(answered, recorded):
    one = first_answers(answered, 0, 2, 2, 9, 4, 5, 6, 7, 8, 0)
    with Recording(recorded) as opened:
        picture = check(draw_hits(opened, one, near_frames=5))
        assert picture.title.endswith("retrieval: 70 % hits, 10 % near misses, 20 % failures")
        assert "missing" not in picture.alt
        for share, kind, place in ((0.0, "hit", 0), (1 / 9, "near miss", 1), (1.0, "failure", 9)):
            minutes, seconds = divmod(one.centers[place] / opened.fps, 60)
            title = f"Cross-modal retrieval: a {kind} at {minutes:.0f}:{seconds:04.1f}"
            assert check(draw_query(opened, one, share, 5)).title == title
        same = first_answers(answered, *range(9))
        assert "No query is a failure." in check(draw_hits(opened, same, 5)).alt


def test_without_videos_the_pictures_are_missing_and_say_so(answered, recorded, tmp_path):
    bare = shutil.copytree(recorded, tmp_path / "ep", ignore=shutil.ignore_patterns("*.mp4"))
    with Recording(bare) as opened:
        picture = check(draw_hits(opened, first_answers(answered, 0, 0, 2), 20))
    assert "Picture missing: " in picture.alt
