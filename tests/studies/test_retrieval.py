"""The closer look at retrieval on a recording that it was planted in."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.stats import rankdata

from xperience.evaluation.records import write_records
from xperience.features.blocks import CONTRACTS
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.studies.retrieval.reconstruction import UNITS, WHOLE, reconstruct
from xperience.studies.retrieval.retrieval import RETRIEVALS, SOURCES, answer
from xperience.studies.retrieval.rows import Closely, retrieval_rows
from xperience.studies.suite import run_suite
from xperience.tasks.catalogue import TASKS_BY_NAME


@pytest.fixture(scope="session")
def short(simulated, tmp_path_factory):
    """A simulated recording of a few seconds and its windows under both contracts."""
    episode, folder = simulated(frames=140), tmp_path_factory.mktemp("short")
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
