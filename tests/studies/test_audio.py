"""The audio study against the published one, on an episode that the published pipeline saw."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.evaluation.ablation import (
    MIXED_MEAN,
    ablations,
    variant_rows,
)
from xperience.evaluation.metrics import cosine
from xperience.evaluation.predictions import AUDIO_HEADS, predict, predict_all
from xperience.evaluation.records import read_records, records_table
from xperience.features.extract import extract
from xperience.features.sound import SOUND_COLUMNS
from xperience.features.table import WindowTable
from xperience.tasks.audio import (
    AS_IS,
    LOGMEL,
    OTHER_SOUND,
    RAW_ONLY,
    REPLACED,
    WITH_SOUND,
    WITHOUT,
    asked_as_published,
    audio_problems,
    published_variants,
    with_sound,
)
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, AUDIO, TASKS_BY_NAME, tasks_of

BLOCKS_OF = published_variants("published")
VARIANTS = list(BLOCKS_OF)
TASKS = [task for task in tasks_of("published") if task != ALL_FEATURE_ACTION]
NAMES = [task.name for task in TASKS]
ERRORS = [
    task.name for task in TASKS if not asked_as_published(task).primary.metric.higher_is_better
]

TIED = {
    "caption_grounding": "Many windows share one text, so that their targets are equal but for "
    "rounding; which comes first, the last bit of a similarity decides."
}
"""Tasks whose rows rounding decides: the published score lies between the two orders of ties."""
ROUNDING = 1e-5
"""Cosines nearer than this are equal in float32."""


def rows_of(episode: Path, table: WindowTable, *options: str) -> pd.DataFrame:
    """Return the rows that the command writes."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        call = ["audio", str(episode), "--windows", str(table.path), "--out", str(out), *options]
        done = CliRunner().invoke(app, call)
        assert done.exit_code == 0, done.output
        return records_table(read_records(out))


@pytest.fixture(scope="module")
def rows(oracle, oracle_table) -> pd.DataFrame:
    return rows_of(oracle / "episode", oracle_table, "--details")


@pytest.fixture(scope="module")
def problems(oracle, oracle_table) -> dict:
    return {one.task.name: one for one in audio_problems(oracle / "episode", oracle_table)}


@pytest.fixture(scope="module")
def published_rows(expected) -> pd.DataFrame:
    return pd.DataFrame(expected["audio"])


def test_the_published_rows_are_72(published_rows):
    pairs = list(zip(published_rows["task"], published_rows["variant"], strict=True))
    assert pairs == [(name, variant) for name in NAMES for variant in VARIANTS]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TIED])
def test_every_audio_row_is_the_published_one(name, rows, published_rows):
    want = published_rows[published_rows["task"] == name].set_index("variant")
    mine = rows[(rows["task"] == name) & rows["against"].isna()].set_index("variant")
    for variant, row in want.iterrows():
        of_variant = mine.loc[variant].set_index("metric")
        assert of_variant.index[0] == row["metric"]
        assert of_variant.loc[row["metric"], "value"] == pytest.approx(row["value"], rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", TIED)
def test_where_candidates_tie_the_published_row_lies_between_their_two_orders(
    name, variant, problems, published_rows
):
    problem = with_sound(problems[name], BLOCKS_OF[variant])
    (one,) = predict(problem, AUDIO_HEADS["published"][1])
    similar = cosine(one.predicted, np.asarray(problem.test_targets))
    ahead = similar - np.diag(similar)[:, None]
    last, first = ((ahead > edge).sum(axis=1) for edge in (-ROUNDING, ROUNDING))
    assert (last > first + 1).any(), "nothing ties: leave it out of TIED"
    row = published_rows[(published_rows["task"] == name) & (published_rows["variant"] == variant)]
    assert np.mean(1 / last) <= row["value"].item() <= np.mean(1 / (first + 1))


def test_gains_and_their_means_follow_from_the_rows(rows, published_rows):
    """Those of the rows that come out are the published ones."""
    for pair in (WITH_SOUND, OTHER_SOUND):
        mine = rows[(rows["variant"] == pair[0]) & (rows["against"] == pair[1])]
        gains = mine[mine["metric"].str.endswith("_gain") & mine["task"].notna()]
        gains = gains.set_index("task")["value"]
        values = published_rows.pivot_table("value", "task", "variant")
        sign = [-1 if name in ERRORS else 1 for name in values.index]
        deltas = sign * (values[pair[0]] - values[pair[1]])
        clear = [name for name in NAMES if name not in TIED]
        np.testing.assert_allclose(gains.loc[clear], deltas.loc[clear], atol=3e-4)
        over = mine[mine["task"].isna()].set_index("metric")["value"]
        assert over[MIXED_MEAN] == pytest.approx(gains.mean(), abs=1e-9)
        assert over["tasks_with_gain"] == (gains > 0).sum()
        assert -1 <= over["mean_net_wins"] <= 1


def test_tied_rows_are_the_published_ones_from_the_published_features(
    whole_oracle, published_table
):
    """What rounding decides comes out where the features are the published ones to the bit."""
    rows = rows_of(whole_oracle / "episode", published_table, "--details")
    rows = rows[rows["against"].isna()].set_index(["task", "variant", "metric"]).sort_index()
    for _, row in pd.read_csv(whole_oracle / "expected/audio_ablation.csv").iterrows():
        mine = rows.loc[row["task"], row["variant"]]
        primary = mine.loc[row["primary_metric"]]
        assert primary["higher_is_better"] == row["higher_is_better"]
        assert (primary["n_train"], primary["n_test"]) == (row["num_train"], row["num_test"])
        assert mine.loc["feature_dim", "value"] == row["feature_dim"]
        if row["task"] in TIED:
            assert primary["value"] == pytest.approx(row["primary_value"], rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_change_nothing_but_sound(variant, problems):
    for problem in problems.values():
        changed = with_sound(problem, BLOCKS_OF[variant])
        kept = set(changed.input_blocks) - {*AUDIO, LOGMEL}
        other = set(problem.input_blocks) - set(AUDIO)
        assert kept == (set() if variant.endswith("_only") else other)
        assert changed.samples is problem.samples
        assert (changed.task, changed.split) == (problem.task, problem.split)
        if variant == AS_IS:
            assert changed.input_pieces == problem.task.pieces


def test_without_sound_its_rows_are_skipped_and_the_others_stand(tiny, builder, windows_of):
    builder.write_video(tiny / "fisheye_cam0.mp4", 60)
    table = windows_of(tiny)
    rows = rows_of(tiny, table)
    assert list(rows[["task", "variant"]].itertuples(index=False, name=None)) == [
        (name, variant) for name in NAMES for variant in VARIANTS
    ]
    without = rows["variant"] == WITHOUT
    assert rows[without]["status"].eq("ok").all()
    assert rows[~without]["status"].eq("skipped").all()
    assert rows[~without]["reason"].str.contains("fisheye_cam0.mp4: has no audio stream").all()
    behind = rows_of(tiny, table, "--details")
    behind = behind[behind["against"].notna()]
    assert behind["status"].eq("skipped").all()
    assert "12 of 12 tasks cannot be compared" in behind["reason"].iloc[-1]


def test_a_lost_block_of_sound_skips_its_own_variants_only(oracle, rewritten):
    table = rewritten(lose=AUDIO)
    tasks = [TASKS_BY_NAME["contact_prediction"]]
    (problem,) = audio_problems(oracle / "episode", table, tasks=tasks)
    found = {name: with_sound(problem, blocks) for name, blocks in BLOCKS_OF.items()}
    assert {name for name, one in found.items() if one.ok} == {WITHOUT, RAW_ONLY, REPLACED}
    assert found[AS_IS].reason == f"no input: {AUDIO[0]}: the stream is gone"


def test_one_class_is_scored_as_published_and_said_to_be_one(oracle, oracle_table):
    always = replace(
        TASKS_BY_NAME["contact_prediction"], target=lambda truth, members: ["yes"] * len(members)
    )
    (problem,) = audio_problems(oracle / "episode", oracle_table, tasks=[always])
    predicted = predict(problem, AUDIO_HEADS["published"][1])
    (one,) = ablations("ridge", {("always", AS_IS): problem}, [predicted]).values()
    row = variant_rows([one], {"run": "small", "section": "audio"})[0]
    assert (row.value, row.ci_low) == (1.0, None)
    assert "one class only" in row.reason


def test_fits_that_problems_share_are_those_made_one_by_one(whole_tiny, whole_table):
    names = ("transition_detection", "cross_modal_retrieval", "modality_reconstruction")
    problems = [
        with_sound(problem, blocks)
        for problem in audio_problems(whole_tiny, whole_table)
        for variant, blocks in BLOCKS_OF.items()
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
def test_under_corrected_no_mean_mixes_units(whole_oracle, tmp_path):
    path = tmp_path / "windows.parquet"
    extract(whole_oracle / "episode", path, contract="corrected", workers=1)
    rows = rows_of(
        whole_oracle / "episode", WindowTable(path), "--contract", "corrected", "--details"
    )
    assert set(rows["contract"]) == {"corrected"}
    assert set(rows["head"]) == {"linear"}
    alone = rows[(rows["variant"] == RAW_ONLY) & (rows["metric"] == "feature_dim")]
    assert len(SOUND_COLUMNS) in set(alone["value"])
    over = rows[rows["task"].isna()]
    assert set(over["unit"]) == {"1", "task"}
    assert over["value"].notna().all()
