"""The closer look at retrieval against plain references, and on recordings it was planted in."""

from dataclasses import replace
from itertools import permutations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from xperience.episode import layout
from xperience.features.blocks import CONTRACTS
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.scoring.records import write_records
from xperience.scoring.uncertainty import Resampling
from xperience.scoring.vectors import ranks
from xperience.simulator.settings import StandinSettings
from xperience.simulator.write import write_episode
from xperience.studies.retrieval.looks import contrast, examples, near, place_and_moment
from xperience.studies.retrieval.reconstruction import UNITS, WHOLE, reconstruct
from xperience.studies.retrieval.retrieval import RETRIEVALS, SOURCES, Ranking, answer, shifted
from xperience.studies.retrieval.rows import Closely, retrieval_rows
from xperience.studies.suite import run_suite
from xperience.tasks.catalogue import TASKS_BY_NAME

STEP = 5


def ranking(similarity, actions=None, targets=None, resampling=None):
    """Return a ranking of windows a step apart, all targets different unless given."""
    n = len(similarity)
    return Ranking(
        "cross_modal_retrieval",
        "corrected",
        np.asarray(similarity, dtype=float),
        np.arange(n),
        9 + STEP * np.arange(n),
        np.arange(n)[:, None] if targets is None else np.asarray(targets)[:, None],
        tuple([None] * n if actions is None else actions),
        resampling or Resampling(n_resamples=200),
    )


similarities = st.integers(2, 9).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75]), min_size=n, max_size=n),
        min_size=n,
        max_size=n,
    )
)


# --- near in time -----------------------------------------------------------------------------


def first_hits(similarity, hits):
    """Return the mean rank of each query's first hit, and how often it is first, over all orders.

    Candidates of equal similarity are put in every order.
    """
    found = []
    for values, hit in zip(similarity, hits, strict=True):
        best = values[hit].max()
        above, tied = (values > best).sum(), np.flatnonzero(values == best)
        orders = [[hit[i] for i in order].index(True) for order in permutations(tied)]
        firsts = [above == 0 and place == 0 for place in orders]
        found.append((above + 1 + np.mean(orders), np.mean(firsts)))
    return np.array(found).T


@given(similarities.filter(lambda rows: len(rows) <= 7), st.sampled_from([0, 5, 10]))
@settings(max_examples=40)
def test_ranks_at_a_tolerance_are_means_over_all_orders_of_ties(rows, tolerance):
    one = ranking(rows)
    found = near(one, tolerance)
    rank, first = first_hits(one.similarity, one.distance_frames <= tolerance)
    np.testing.assert_allclose(found.rank, rank)
    np.testing.assert_allclose(found.first, first)


@given(similarities)
@settings(max_examples=40)
def test_without_tolerance_the_rank_is_the_windows_own(rows):
    one = ranking(rows)
    np.testing.assert_allclose(near(one, 0).rank, one.ranks.expected)
    np.testing.assert_allclose(near(one, 0).first, one.ranks.expected_top(1))


@given(similarities)
@settings(max_examples=40)
def test_a_wider_tolerance_never_ranks_later(rows):
    one = ranking(rows)
    by_tolerance = [near(one, frames).rank for frames in (0, 5, 10, 20)]
    assert (np.diff(by_tolerance, axis=0) <= 1e-9).all()


def test_chance_at_a_tolerance_is_what_random_orders_give():
    n, tolerance = 40, 10
    rng = np.random.default_rng(7)
    drawn = [near(ranking(rng.random((n, n))), tolerance) for _ in range(200)]
    expected = drawn[0]
    assert expected.chance_first == pytest.approx(
        np.mean([one.first.mean() for one in drawn]), abs=0.01
    )
    pooled = np.median(np.concatenate([one.rank for one in drawn]))
    assert expected.chance_median_rank == pytest.approx(pooled, abs=1)


# --- equal targets ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.integers(0, 1000))
def test_no_ranking_beats_the_ceiling_of_equal_targets(groups, seed):
    by_group = np.random.default_rng(seed).random((4, len(groups)))
    one = ranking(by_group[groups], targets=groups)
    assert one.ranks.expected_reciprocal.mean() <= one.mrr_ceiling + 1e-12
    depths = np.arange(1, len(groups) + 1)
    assert (one.curve(depths) <= one.curve_ceiling(depths) + 1e-12).all()


def test_the_ceiling_is_reached_by_whoever_knows_the_group():
    groups = np.array([0, 0, 0, 1, 2, 2])
    listed = (groups[:, None] == groups) - 0.01 * np.arange(6)
    one = ranking(listed, targets=groups)
    assert one.n_distinct == 3
    assert one.ranks.expected_reciprocal.mean() == pytest.approx(one.mrr_ceiling)
    depths = np.arange(1, 7)
    np.testing.assert_allclose(one.curve(depths), one.curve_ceiling(depths))


# --- chance that keeps time -------------------------------------------------------------------


@given(similarities.filter(lambda rows: len(rows) == 9))
@settings(max_examples=15)
def test_shifts_are_ranks_of_another_window(rows):
    one = ranking(np.kron(rows, np.ones((2, 2))) + 1e-3 * np.arange(18))
    depths = np.array([1, 3, 9])
    found = shifted(one, depths)
    shifts = range(4, 15)  # nearer ones share frames
    assert len(found.mrr) == len(shifts)
    for row, shift in enumerate(shifts):
        plain = ranks(one.similarity, (np.arange(18) + shift) % 18)
        assert found.mrr[row] == pytest.approx(plain.expected_reciprocal.mean())
        np.testing.assert_allclose(
            found.curves[row], [plain.expected_top(k).mean() for k in depths]
        )


def smooth_series(rng, n, n_values=3, width=15):
    """Return values that stay alike for a while, (n, n_values)."""
    noise = rng.normal(size=(n + width, n_values))
    return np.stack([noise[i : i + width].mean(axis=0) for i in range(n)])


def test_unrelated_streams_that_move_slowly_are_rarely_called_related():
    rng = np.random.default_rng(7)
    called = []
    for _ in range(60):
        queries, candidates = (smooth_series(rng, 90) for _ in range(2))
        one = ranking(queries @ candidates.T)
        mrr = one.ranks.expected_reciprocal.mean()
        called.append(shifted(one, np.array([1])).p_value(mrr) <= 0.05)
    assert np.mean(called) <= 0.12


def test_streams_that_belong_together_beat_every_shift():
    values = smooth_series(np.random.default_rng(7), 90)
    one = ranking(-np.linalg.norm(values[:, None] - values, axis=2))
    found = shifted(one, np.array([1, 10]))
    assert found.p_value(one.ranks.expected_reciprocal.mean()) == found.least_p
    assert (one.curve(found.depths) > found.band()[1]).all()


def test_too_few_windows_have_no_shift():
    assert shifted(ranking(np.eye(4)), np.array([1])) is None


# --- the place and the moment -----------------------------------------------------------------


def test_shares_beaten_are_those_counted_by_hand():
    rng = np.random.default_rng(7)
    actions = ["a"] * 9 + [None] + ["b"] * 12 + ["a"] * 6
    one = ranking(rng.integers(0, 5, (28, 28)) / 4, actions)
    found = place_and_moment(one)
    for query, action in enumerate(actions):
        shares = {}
        for same in (True, False):
            others = [
                one.similarity[query, other]
                for other, name in enumerate(actions)
                if None not in (name, action) and (name == action) is same
                and abs(other - query) * STEP >= 20
            ]  # fmt: skip
            own = one.similarity[query, query]
            beaten = [1.0 * (value < own) + 0.5 * (value == own) for value in others]
            shares[same] = np.mean(beaten) if beaten else np.nan
        np.testing.assert_allclose(
            [found.within[query], found.across[query]], [shares[True], shares[False]]
        )


def test_knowing_the_place_is_not_knowing_the_moment():
    actions = ["pour"] * 30 + ["stir"] * 30
    place = np.array([a == "stir" for a in actions])
    only_place = ranking((place[:, None] == place) * 1.0, actions)
    found = place_and_moment(only_place)
    assert (found.across == 1).all()
    assert (found.within == 0.5).all()
    assert found.p_within == 1


def test_knowing_the_moment_is_told_within_an_action():
    actions = ["pour"] * 30 + ["stir"] * 30
    away = np.abs(np.arange(60)[:, None] - np.arange(60))
    found = place_and_moment(ranking(-(away % 30), actions))  # the same moment of either action
    assert (found.within == 1).all()
    assert found.across.mean() < 1
    assert found.p_within < 0.01


def test_without_labels_there_is_neither():
    found = place_and_moment(ranking(np.eye(12)))
    assert np.isnan(found.within).all()
    assert found.names == ()
    assert found.p_within is None


def test_contrast_tells_a_diagonal_from_blocks():
    actions = ["pour"] * 20 + ["stir"] * 20
    place = np.repeat([0, 1], 20)
    blocks = contrast(ranking((place[:, None] == place) * 1.0, actions))
    assert blocks.own == pytest.approx(blocks.action)
    assert blocks.own == pytest.approx(1)
    assert blocks.elsewhere == pytest.approx(-1)
    diagonal = contrast(ranking(np.eye(40), actions))
    assert diagonal.own > 5
    assert diagonal.action == pytest.approx(diagonal.elsewhere)
    assert contrast(ranking(np.eye(40))).action is None


# --- examples ---------------------------------------------------------------------------------


def test_examples_are_the_middle_queries_of_their_kind():
    similarity = np.full((12, 12), 0.0)
    answers = {0: (0, 0.9), 1: (1, 0.7), 2: (2, 0.8), 3: (4, 0.6), 4: (11, 0.5), 5: (11, 0.4)}
    for query, (answered, cosine) in answers.items():
        similarity[query, answered] = cosine
    for query in range(6, 12):
        similarity[query, 0] = 0.1 * query
    found = examples(ranking(similarity), near_frames=5, n_answers=2)
    assert {kind: one.query for kind, one in found.items()} == {
        "hit": 2,
        "near miss": 3,
        "failure": 8,
    }
    assert found["hit"].n_alike == 3
    assert found["failure"].n_alike == 8
    assert found["near miss"].answers.tolist() == [4, 0]
    assert found["near miss"].rank == pytest.approx(7)
    assert examples(ranking(np.eye(5)), 5)["failure"] is None


# --- on a recording ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def short(tmp_path_factory):
    """A simulated recording of a few seconds and its windows under both contracts."""
    folder = tmp_path_factory.mktemp("short")
    settings = StandinSettings(frames=140, size_px=(32, 24), workers=1)
    episode = write_episode(folder / "episode", settings)
    tables = {}
    for contract in CONTRACTS:
        path = folder / f"{contract}.parquet"
        extract(episode, path, contract=contract, cache=folder / "cache", workers=1)
        tables[contract] = WindowTable(path)
    return episode, tables


@pytest.fixture(scope="session", params=CONTRACTS)
def contract(request):
    return request.param


@pytest.fixture(scope="session")
def study(short, contract):
    episode, tables = short
    return Closely.of(episode, tables[contract], contract)


@pytest.fixture(scope="session")
def suite(short, contract):
    episode, tables = short
    tasks = [TASKS_BY_NAME[name] for name in (*RETRIEVALS, "modality_reconstruction")]
    found = run_suite(episode, tables[contract], contract=contract, tasks=tasks)
    return {one.task.name: one for one in found}


def test_answers_are_the_suites(study, suite):
    whole = list(SOURCES)[-1]
    for name, key in ((n, n) for n in RETRIEVALS):
        np.testing.assert_allclose(
            study.outcomes[key].answer.predicted, suite[name].answer.predicted, atol=1e-5
        )
    rebuilt = suite["modality_reconstruction"]
    shared = study.outcomes[whole]
    assert shared.task == rebuilt.task
    np.testing.assert_allclose(shared.answer.predicted, rebuilt.answer.predicted, atol=1e-5)
    assert np.array_equal(shared.problem.test_targets, rebuilt.problem.test_targets)


def test_each_input_gives_an_answer_of_its_own(study):
    motion, audio, both = (study.outcomes[name].answer.predicted for name in SOURCES)
    assert not np.allclose(motion, audio)
    assert not np.allclose(motion, both)


def test_mean_ranks_are_those_of_a_plain_ranking(study, suite):
    for name, found in study.rankings.items():
        problem, said = suite[name].problem, suite[name].answer.predicted
        sides = np.asarray(said, float), np.asarray(problem.test_targets, float)
        queries, candidates = sides if name == "cross_modal_retrieval" else sides[::-1]
        lengths = [
            np.maximum(np.linalg.norm(side, axis=1), 1e-300) for side in (queries, candidates)
        ]
        cosine = queries @ candidates.T / lengths[0][:, None] / lengths[1]
        plain = [rankdata(-row.round(11))[place] for place, row in enumerate(cosine)]
        np.testing.assert_allclose(found.ranks.expected, plain)


def plain_r2(truth, said):
    return 1 - ((truth - said) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()


def test_r2_by_block_and_statistic_is_the_plain_one(short, study, suite, contract):
    one = suite["modality_reconstruction"]
    names = one.task.target_blocks
    table, problem = short[1][contract], one.problem
    raw = np.concatenate([table.block(name) for name in names], axis=1).astype(float)
    raw = raw[problem.samples.members[:, 0]]
    train, test = raw[problem.split.train], raw[problem.split.test]
    std = train.std(axis=0)
    keep = std > np.maximum(1e-6, 1e-4 * np.abs(train).max(axis=0))
    said = np.asarray(one.answer.predicted, float)
    said = said[:, keep] if contract == "published" else said * std[keep] + train.mean(0)[keep]
    truth = test[:, keep]
    block = np.repeat(names, [table.block(name).shape[1] for name in names])[keep]
    scale = np.ones(keep.sum()) if contract == "published" else std[keep]
    scores = study.rebuilt.scores["motion and audio"]
    assert scores[WHOLE].r2.value == pytest.approx(plain_r2(truth / scale, said / scale), rel=1e-4)
    for name in names:
        mask = block == name
        expected = plain_r2((truth / scale)[:, mask], (said / scale)[:, mask])
        assert scores[name].r2.value == pytest.approx(expected, rel=1e-3, abs=1e-3)
    for unit, divisor in zip(UNITS, (1, std[keep]), strict=True):
        known = study.rebuilt.in_unit[unit]
        expected = plain_r2(truth / divisor, said / divisor)
        assert known["motion and audio"] == pytest.approx(expected, rel=1e-4)
        mean = np.broadcast_to(train.mean(0)[keep] / divisor, truth.shape)
        assert known["train_mean"] == pytest.approx(plain_r2(truth / divisor, mean), rel=1e-6)


def test_a_statistic_is_the_same_column_of_every_value(study):
    last, step = (study.rebuilt.scores["motion"][name] for name in ("last - first", "mean step"))
    if study.rebuilt.unit == UNITS[1]:  # one is the other divided by the number of steps
        assert last.r2.value == pytest.approx(step.r2.value, rel=1e-3)
    shares = study.rebuilt.spread_shares[study.rebuilt.unit]
    blocks = [share for name, share in shares.items() if name.startswith(("video", "depth"))]
    stats = [share for name, share in shares.items() if name not in {WHOLE} and not
             name.startswith(("video", "depth"))]  # fmt: skip
    assert sum(blocks) == pytest.approx(1)
    assert sum(stats) == pytest.approx(1)


def test_rows_can_be_written_and_say_their_contract(study, contract, tmp_path):
    rows = retrieval_rows(study, "short", "04")
    write_records(tmp_path / "04.json", rows)
    assert {row.contract for row in rows} == {contract}
    found = {(row.task, row.metric, row.variant, row.against): row for row in rows}
    name = "cross_modal_retrieval"
    assert found[name, "candidates", None, None].value == len(study.rankings[name])
    own = study.rebuilt.scores["motion"]["video_stereo_left"]
    row = found["modality_reconstruction", "r2", "video_stereo_left from motion", None]
    assert row.value == own.r2.value
    assert row.floor == max(own.floors.values())
    assert row.skill == pytest.approx((row.value - row.floor) / (1 - row.floor))
    against = found[
        "modality_reconstruction", "r2", "video_stereo_left from motion", row.floor_name
    ]
    assert against.value == pytest.approx(row.value - row.floor)


def test_a_missing_stream_is_said_in_every_row_it_costs(short, tmp_path):
    episode, _ = short
    lost = tmp_path / "episode"
    lost.mkdir()
    for path in episode.iterdir():
        if path.name != "stereo_right.mp4":
            (lost / path.name).write_bytes(path.read_bytes())
    with h5py.File(lost / layout.ANNOTATION, "r+") as file:
        for name in {"caption", "captions"} & set(file):
            del file[name]
    extract(lost, tmp_path / "lost.parquet", workers=1)
    study = Closely.of(lost, WindowTable(tmp_path / "lost.parquet"), "published")
    assert study.rankings == {}
    rows = retrieval_rows(study, "lost", "04")
    write_records(tmp_path / "04.json", rows)
    skipped = [row for row in rows if row.status == "skipped"]
    assert {row.task for row in skipped} == {*RETRIEVALS, "modality_reconstruction"}
    assert all("stereo_right" in row.reason for row in skipped if row.task != "caption_grounding")
    assert set(study.rebuilt.missing) == set(SOURCES)


def test_an_input_that_is_gone_leaves_the_others(short, tmp_path):
    episode, tables = short
    outcomes = answer(episode, tables["published"], "published")
    gone = replace(outcomes["audio"], answers=(), status="skipped", reason="no input: no sound")
    kept = {name: outcomes[name] for name in SOURCES} | {"audio": gone}
    found = reconstruct(kept, tables["published"], "published")
    assert found.missing == {"audio": "no input: no sound"}
    assert set(found.scores) == {"motion", "motion and audio"}
