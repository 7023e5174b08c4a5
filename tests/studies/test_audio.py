"""The audio study against the published one on the small episode, and against plain algebra."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import ParamsError
from xperience.evaluation.metrics import score
from xperience.evaluation.records import read_records, records_table
from xperience.features.blocks import BLOCKS
from xperience.features.extract import extract
from xperience.features.table import TableInfo, WindowRows, WindowTable, write_table
from xperience.recording.files import recording_digests
from xperience.studies.audio.rows import (
    COMPARED,
    MIXED_MEAN,
    contests,
    study_rows,
    variant_rows,
)
from xperience.studies.audio.study import published_ridge, run_audio
from xperience.studies.audio.variants import (
    AS_IS,
    LIBROSA,
    LOGMEL,
    RAW_ONLY,
    REPLACED,
    VARIANTS,
    WITHOUT,
    variant_task,
)
from xperience.tasks.catalogue import AUDIO, TASKS, TASKS_BY_NAME

SOUND = AUDIO[0]
NAMES = [task.name for task in TASKS]


def write_windows(path: Path, oracle: Path, lose: tuple[str, ...] = ()) -> WindowTable:
    """Write the oracle's windows as a table, some blocks lost."""
    with np.load(oracle / "expected/windows.npz") as stored:
        values, starts = stored["X"], stored["starts"]
    blocks = np.split(values, np.cumsum([block.dim for block in BLOCKS])[:-1], axis=1)
    named = {block.name: rows for block, rows in zip(BLOCKS, blocks, strict=True)}
    named |= dict.fromkeys(lose)
    lost = dict.fromkeys(lose, "the stream is gone")
    info = TableInfo(
        "published", "episode", "", 400, 20.0, recording_digests(oracle / "episode"), lost, {}
    )
    none = [(None, 0.0)] * len(starts)
    write_table(path, info, [WindowRows(np.arange(len(starts)), starts, none, none, named)])
    return WindowTable(path)


@pytest.fixture(scope="module")
def table(oracle, tmp_path_factory) -> WindowTable:
    return write_windows(tmp_path_factory.mktemp("audio") / "windows.parquet", oracle)


@pytest.fixture(scope="module")
def outcomes(oracle, table) -> list:
    return list(run_audio(oracle / "episode", table))


@pytest.fixture(scope="module")
def rows(outcomes) -> pd.DataFrame:
    return records_table(study_rows(outcomes, "small"))


@pytest.fixture(scope="module")
def published_rows(oracle) -> pd.DataFrame:
    return pd.read_csv(oracle / "expected/audio_ablation.csv")


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_the_72_rows_is_the_published_one(name, rows, outcomes, published_rows):
    want = published_rows[published_rows["task"] == name].set_index("variant")
    mine = rows[(rows["task"] == name) & rows["against"].isna()].set_index("variant")
    assert list(want.index) == list(VARIANTS)
    for variant, row in want.iterrows():
        of_variant = mine.loc[variant].set_index("metric")
        primary = of_variant.loc[row["primary_metric"]]
        assert of_variant.index[0] == row["primary_metric"]
        assert primary["value"] == pytest.approx(row["primary_value"], rel=1e-5)
        assert primary["higher_is_better"] == row["higher_is_better"]
        assert (primary["n_train"], primary["n_test"]) == (row["num_train"], row["num_test"])
        assert of_variant.loc["feature_dim", "value"] == row["feature_dim"]


def test_means_over_tasks_are_those_of_the_published_rows(rows, published_rows):
    values = published_rows.pivot_table("primary_value", "task", "variant")
    sign = published_rows.groupby("task")["higher_is_better"].first().map({True: 1, False: -1})
    for variant, against in COMPARED:
        deltas = sign * (values[variant] - values[against])
        mine = rows[(rows["variant"] == variant) & (rows["against"] == against)]
        gains = mine[mine["metric"].str.endswith("_gain") & mine["task"].notna()]
        np.testing.assert_allclose(
            gains.set_index("task")["value"].loc[deltas.index], deltas, atol=3e-4
        )
        over = mine[mine["task"].isna()].set_index("metric")["value"]
        assert over[MIXED_MEAN] == pytest.approx(deltas.mean(), abs=1e-4)
        assert over["tasks_with_gain"] == (deltas > 0).sum()
        assert -1 <= over["mean_net_wins"] <= 1


def plain_rows(problem, block) -> np.ndarray:
    """The inputs of a problem written out, z-scored, with a column of ones."""
    members = problem.samples.members
    parts = []
    for piece in problem.task.pieces:
        values = np.concatenate([block(name) for name in piece.blocks], axis=1)
        part = values[members[:, piece.member]]
        parts.append(part if piece.minus is None else part - values[members[:, piece.minus]])
    inputs = np.concatenate(parts, axis=1)
    train = inputs[problem.split.train]
    std = train.std(axis=0)
    z = (inputs - train.mean(axis=0)) / np.where(std < 1e-6, 1, std)
    return np.concatenate([z, np.ones((len(z), 1))], axis=1).astype(float)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("timeline_action", REPLACED),
        ("object_relevance", WITHOUT),
        ("cross_modal_retrieval", REPLACED),
        ("temporal_order", RAW_ONLY),
        ("misalignment_detection", RAW_ONLY),
    ],
)
def test_answers_are_those_of_plain_algebra(name, variant, outcomes, oracle, table):
    one = contests(outcomes)[name].outcomes[variant]
    with np.load(oracle / "expected/logmel_windows.npz") as stored:
        raw = stored["features"]
    z = plain_rows(one.problem, lambda b: raw if b == LOGMEL.name else table.block(b))
    fit, test = z[one.problem.split.train], z[one.problem.split.test]
    targets = one.problem.train_targets
    if one.task.kind == "classify":
        targets = [[label == target for label in one.problem.labels] for target in targets]
    elif one.task.kind == "multilabel":
        targets = [[label in target for label in one.problem.labels] for target in targets]
    targets = np.array(targets, dtype=float)
    inner = np.linalg.solve(fit @ fit.T + 10 * np.eye(len(fit)), targets)
    values = test @ (fit.T @ inner)
    if one.task.kind == "classify":
        said = [one.problem.labels[code] for code in values.argmax(axis=1)]
        assert one.answer.predicted == said
    elif one.task.kind == "multilabel":
        chosen = values >= 0.5
        chosen[np.arange(len(values)), values.argmax(axis=1)] |= ~chosen.any(axis=1)
        assert one.answer.predicted == one.problem.named(chosen)
    else:
        error = np.abs(one.answer.predicted - values).max()
        assert error < 1e-3 * np.abs(values).max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_change_nothing_but_sound(name, variant):
    task = TASKS_BY_NAME[name]
    changed = variant_task(task, variant)
    other = {block for block in task.input_blocks if block != SOUND}
    kept = set(changed.input_blocks) - {SOUND, LOGMEL.name}
    assert kept == (set() if variant.endswith("_only") else other)
    assert (changed.name, changed.measures, changed.split) == (
        task.name,
        task.measures,
        task.split,
    )
    if variant == AS_IS:
        assert changed.pieces == task.pieces


def test_a_misspelt_variant_or_contract_is_refused(oracle, table):
    with pytest.raises(ParamsError, match="Did you mean 'all_except_audio'"):
        variant_task(TASKS[0], "all_exept_audio")
    with pytest.raises(ParamsError, match="contract"):
        list(run_audio(oracle / "episode", table, contract="publisht"))


def test_a_head_of_ones_own_answers_every_variant(oracle, table):
    asked = []

    def counted(problems, context):
        asked.extend((problem.task.name, problem.task.variant) for problem in problems)
        yield from published_ridge(problems, context)

    tasks = [TASKS_BY_NAME["contact_prediction"]]
    found = list(run_audio(oracle / "episode", table, head=("counted", counted), tasks=tasks))
    assert asked == [("contact_prediction", variant) for variant in VARIANTS]
    assert {one.head for one in found} == {"counted"}


def test_without_sound_its_rows_are_skipped_and_the_others_stand(tiny, builder, windows_of):
    builder.write_video(tiny / "fisheye_cam0.mp4", 60)
    outcomes = list(run_audio(tiny, windows_of(tiny)))
    rows = variant_rows(outcomes, "mute")
    assert len(rows) == 72
    for row in rows:
        if row.variant == WITHOUT:
            assert row.status == "ok", row
        else:
            assert row.status == "skipped"
            assert "fisheye_cam0.mp4: has no audio stream" in row.reason
    behind = records_table(study_rows(outcomes, "mute"))
    assert behind[behind["against"].notna()]["status"].eq("skipped").all()


def test_a_lost_account_of_sound_skips_its_own_variants_only(oracle, tmp_path):
    table = write_windows(tmp_path / "w.parquet", oracle, lose=(SOUND,))
    task = TASKS_BY_NAME["contact_prediction"]
    found = {one.task.variant: one for one in run_audio(oracle / "episode", table, tasks=[task])}
    ok = {variant for variant, one in found.items() if one.status == "ok"}
    assert ok == {WITHOUT, RAW_ONLY, REPLACED}
    assert found[AS_IS].reason == f"no sound: {SOUND}: the stream is gone"


def test_one_class_is_scored_as_published_and_said_to_be_one(oracle, table):
    always = replace(
        TASKS_BY_NAME["contact_prediction"], target=lambda truth, members: ["yes"] * len(members)
    )
    rows = variant_rows(run_audio(oracle / "episode", table, tasks=[always]), "small")
    assert {row.value for row in rows} == {1.0}
    assert all("one class only" in row.reason for row in rows)
    assert {row.ci_low for row in rows} == {None}


def test_the_command_writes_72_rows_or_all(oracle, table, tmp_path):
    arguments = ["audio", str(oracle / "episode"), "--windows", str(table.path)]
    out = tmp_path / "m.json"
    done = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = read_records(out)
    assert [(row.task, row.variant) for row in rows] == [(n, v) for n in NAMES for v in VARIANTS]
    assert {row.contract for row in rows} == {"published"}
    assert len(json.loads(out.read_text())) == 72


def test_gains_are_differences_of_scores(outcomes, rows):
    for name, contest in contests(outcomes).items():
        for variant, against in COMPARED:
            mine, other = (
                score(
                    contest.primary.metric,
                    contest.contestants[side].draws[0][0],
                    as_published=True,
                ).value
                for side in (variant, against)
            )
            sign = 1 if contest.primary.metric.higher_is_better else -1
            found = rows[
                (rows["task"] == name)
                & (rows["variant"] == variant)
                & (rows["against"] == against)
                & (rows["metric"] == f"{contest.primary.name}_gain")
            ]
            assert found["value"].item() == pytest.approx(sign * (mine - other), abs=1e-9)


@pytest.mark.slow
def test_under_corrected_no_mean_mixes_units(oracle, tmp_path_factory):
    path = tmp_path_factory.mktemp("corrected") / "windows.parquet"
    extract(oracle / "episode", path, contract="corrected", workers=1)
    tasks = [TASKS_BY_NAME[name] for name in ("timeline_action", "contact_prediction")]
    found = list(
        run_audio(oracle / "episode", WindowTable(path), contract="corrected", tasks=tasks)
    )
    assert {one.head for one in found} == {"linear"}
    assert {one.problem.contract for one in found} == {"corrected"}
    by_variant = {one.task.variant: one.task for one in found}
    assert by_variant[RAW_ONLY].input_blocks == (LIBROSA.name,)
    rows = records_table(study_rows(found, "small", "corrected"))
    assert MIXED_MEAN not in set(rows["metric"])
    over = rows[rows["task"].isna()]
    assert set(over["unit"]) == {"1", "task"}
    assert over["value"].notna().all()
