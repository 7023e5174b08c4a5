"""The audio study against the published one on the small episode."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import ParamsError
from xperience.evaluation.ablation import (
    MIXED_MEAN,
    Ablation,
    ablations,
    comparison_rows,
    variant_rows,
)
from xperience.evaluation.predictions import AUDIO_HEADS, predict, predict_all
from xperience.evaluation.records import read_records, records_table
from xperience.features.blocks import BLOCKS
from xperience.features.extract import extract
from xperience.features.table import TableInfo, WindowRows, WindowTable, write_table
from xperience.recording.files import recording_digests
from xperience.tasks.audio import (
    AS_IS,
    LIBROSA,
    LOGMEL,
    OTHER_SOUND,
    RAW_ONLY,
    REPLACED,
    WITH_SOUND,
    WITHOUT,
    audio_problems,
    published_variants,
    with_sound,
)
from xperience.tasks.catalogue import AUDIO, TASKS, TASKS_BY_NAME

VARIANTS = list(published_variants("published"))
NAMES = [task.name for task in TASKS]
BASE = {"run": "small", "section": "audio"}


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


def study(episode, table, contract="published", tasks=TASKS) -> dict[str, Ablation]:
    inputs = {
        (problem.task.name, variant): with_sound(problem, blocks)
        for problem in audio_problems(episode, table, contract, tasks)
        for variant, blocks in published_variants(contract).items()
    }
    name, head = AUDIO_HEADS[contract]
    return ablations(name, inputs, predict_all(list(inputs.values()), head))


def rows_of(found: dict[str, Ablation]) -> pd.DataFrame:
    rows = variant_rows(found.values(), BASE)
    for pair in (WITH_SOUND, OTHER_SOUND):
        rows += comparison_rows(found.values(), pair, BASE)
    return records_table(rows)


@pytest.fixture(scope="module")
def table(oracle, tmp_path_factory) -> WindowTable:
    return write_windows(tmp_path_factory.mktemp("audio") / "windows.parquet", oracle)


@pytest.fixture(scope="module")
def rows(oracle, table) -> pd.DataFrame:
    return rows_of(study(oracle / "episode", table))


@pytest.fixture(scope="module")
def problems(oracle, table) -> dict:
    return {one.task.name: one for one in audio_problems(oracle / "episode", table)}


@pytest.fixture(scope="module")
def published_rows(oracle) -> pd.DataFrame:
    return pd.read_csv(oracle / "expected/audio_ablation.csv")


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_the_72_rows_is_the_published_one(name, rows, published_rows):
    want = published_rows[published_rows["task"] == name].set_index("variant")
    mine = rows[(rows["task"] == name) & rows["against"].isna()].set_index("variant")
    assert list(want.index) == VARIANTS
    for variant, row in want.iterrows():
        of_variant = mine.loc[variant].set_index("metric")
        primary = of_variant.loc[row["primary_metric"]]
        assert of_variant.index[0] == row["primary_metric"]
        assert primary["value"] == pytest.approx(row["primary_value"], rel=1e-5)
        assert primary["higher_is_better"] == row["higher_is_better"]
        assert (primary["n_train"], primary["n_test"]) == (row["num_train"], row["num_test"])
        assert of_variant.loc["feature_dim", "value"] == row["feature_dim"]


@pytest.mark.parametrize("pair", [WITH_SOUND, OTHER_SOUND])
def test_gains_and_their_means_are_those_of_the_published_rows(pair, rows, published_rows):
    values = published_rows.pivot_table("primary_value", "task", "variant")
    sign = published_rows.groupby("task")["higher_is_better"].first().map({True: 1, False: -1})
    deltas = sign * (values[pair[0]] - values[pair[1]])
    mine = rows[(rows["variant"] == pair[0]) & (rows["against"] == pair[1])]
    gains = mine[mine["metric"].str.endswith("_gain") & mine["task"].notna()]
    np.testing.assert_allclose(
        gains.set_index("task")["value"].loc[deltas.index], deltas, atol=3e-4
    )
    assert gains["higher_is_better"].all()
    over = mine[mine["task"].isna()].set_index("metric")["value"]
    assert over[MIXED_MEAN] == pytest.approx(deltas.mean(), abs=1e-4)
    assert over["tasks_with_gain"] == (deltas > 0).sum()
    assert -1 <= over["mean_net_wins"] <= 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_change_nothing_but_sound(variant, problems):
    for problem in problems.values():
        changed = with_sound(problem, published_variants("published")[variant])
        kept = set(changed.input_blocks) - {*AUDIO, LOGMEL}
        other = set(problem.input_blocks) - set(AUDIO)
        assert kept == (set() if variant.endswith("_only") else other)
        assert changed.samples is problem.samples
        assert (changed.task, changed.split) == (problem.task, problem.split)
        if variant == AS_IS:
            assert changed.input_pieces == problem.task.pieces


def test_a_misspelt_contract_is_refused(oracle, table):
    with pytest.raises(ParamsError, match="contract"):
        audio_problems(oracle / "episode", table, "publisht")


def test_without_sound_its_rows_are_skipped_and_the_others_stand(tiny, builder, windows_of):
    builder.write_video(tiny / "fisheye_cam0.mp4", 60)
    found = study(tiny, windows_of(tiny))
    rows = variant_rows(found.values(), BASE, every=False)
    assert len(rows) == 72
    for row in rows:
        if row.variant == WITHOUT:
            assert row.status == "ok", row
        else:
            assert row.status == "skipped"
            assert "fisheye_cam0.mp4: has no audio stream" in row.reason
    behind = records_table(comparison_rows(found.values(), WITH_SOUND, BASE))
    assert behind["status"].eq("skipped").all()
    assert "12 of 12 tasks cannot be compared" in behind["reason"].iloc[-1]


def test_a_lost_block_of_sound_skips_its_own_variants_only(oracle, tmp_path):
    table = write_windows(tmp_path / "w.parquet", oracle, lose=AUDIO)
    (one,) = study(oracle / "episode", table, tasks=[TASKS_BY_NAME["contact_prediction"]]).values()
    assert set(one.scores) == {WITHOUT, RAW_ONLY, REPLACED}
    assert one.problems[AS_IS].reason == f"no sound: {AUDIO[0]}: the stream is gone"


def test_one_class_is_scored_as_published_and_said_to_be_one(oracle, table):
    always = replace(
        TASKS_BY_NAME["contact_prediction"], target=lambda truth, members: ["yes"] * len(members)
    )
    found = study(oracle / "episode", table, tasks=[always])
    rows = variant_rows(found.values(), BASE, every=False)
    assert {row.value for row in rows} == {1.0}
    assert all("one class only" in row.reason for row in rows)
    assert {row.ci_low for row in rows} == {None}


@pytest.mark.parametrize("options", [[], ["--details"]], ids=["primary", "details"])
def test_the_command_writes_the_studys_rows(options, oracle, table, tmp_path, rows):
    out, arguments = tmp_path / "m.json", ["audio", str(oracle / "episode"), *options]
    done = CliRunner().invoke(app, [*arguments, "--windows", str(table.path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = read_records(out)
    if options:
        assert [row.value for row in found] == rows["value"].replace(np.nan, None).tolist()
    else:
        assert [(row.task, row.variant) for row in found] == [
            (name, variant) for name in NAMES for variant in VARIANTS
        ]
    assert {row.contract for row in found} == {"published"}


def test_fits_that_problems_share_are_those_made_one_by_one(whole_tiny, whole_table):
    names = ("transition_detection", "cross_modal_retrieval", "modality_reconstruction")
    problems = [
        with_sound(problem, blocks)
        for problem in audio_problems(whole_tiny, whole_table, "published")
        for variant, blocks in published_variants("published").items()
        if problem.task.name in names and variant in WITH_SOUND
    ]
    name, head = AUDIO_HEADS["corrected"]
    together = predict_all(problems, head)
    assert len(together) == 6
    for problem, (shared,) in zip(problems, together, strict=True):
        (alone,) = predict(problem, head)
        assert shared.facts == alone.facts, name
        mine, other = ((one.confidence, one.predicted)[one.confidence is None]
                       for one in (shared, alone))  # fmt: skip
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_under_corrected_no_mean_mixes_units(oracle, tmp_path_factory):
    path = tmp_path_factory.mktemp("corrected") / "windows.parquet"
    extract(oracle / "episode", path, contract="corrected", workers=1)
    tasks = [TASKS_BY_NAME[name] for name in ("timeline_action", "contact_prediction")]
    found = study(oracle / "episode", WindowTable(path), "corrected", tasks)
    for one in found.values():
        assert one.head == "linear"
        assert one.problems[RAW_ONLY].input_blocks == (LIBROSA,)
    rows = rows_of(found)
    assert set(rows["contract"]) == {"corrected"}
    assert MIXED_MEAN not in set(rows["metric"])
    over = rows[rows["task"].isna()]
    assert set(over["unit"]) == {"1", "task"}
    assert over["value"].notna().all()
