"""The rows and claims of the committed runs change only on purpose, listed here with the reason.

`golden.parquet` holds them as they were before the library was rebuilt; `freeze` writes it anew.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xperience.evaluation.records import KEY, read_records, records_table

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "reference"
GOLDEN = Path(__file__).with_name("golden.parquet")
CLAIMS = Path(__file__).with_name("claims.json")
NUMBERS = ["value", "ci_low", "ci_high", "floor"]
NETWORKS = {"neural", "temporal", "tiny_model_constrained", "tiny_model_free"}
"""Heads whose training another processor rounds otherwise: only their means over seeds are held."""


@dataclass(frozen=True)
class Change:
    """A change made on purpose.

    Parameters
    ----------
    reason : str
    where : dict
        Values of key columns that the changed rows share; a list means any of its values.
    """

    reason: str
    where: dict[str, object]

    def covers(self, rows: pd.DataFrame) -> pd.Series:
        covered = pd.Series(True, index=rows.index)
        for column, wanted in self.where.items():
            covered &= rows[column].isin(wanted if isinstance(wanted, list) else [wanted])
        return covered


CHANGES = [
    Change(
        "one seed of the published network, trained by a plain loop and on another processor",
        {"section": "03_neural_heads", "contract": "published", "head": "neural"},
    ),
    Change(
        "axes across recordings are fitted with another processor's rounding",
        {"section": "06_heldout_episodes", "head": ["linear", "linear_json", "train_mean"]},
    ),
    Change(
        "costs follow from times that are measured anew, on a busy machine",
        {
            "section": "06_heldout_episodes",
            "metric": [
                "core_hours_by_bytes",
                "core_hours_by_frames",
                "keep_without_videos",
                "most_wall_time",
            ],
        },
    ),
    Change(
        "a seed has a row of its own for the primary measure only",
        {
            "section": ["03_neural_heads", "08_published_record"],
            "seed": [7, 8, 9, 10, 11],
            "head": ["neural", "temporal"],
            "metric": [
                "accuracy",
                "balanced_accuracy",
                "weighted_f1",
                "boundary_f1",
                "boundary_precision",
                "boundary_recall",
                "mean_abs_timing_error_frames",
                "exact_match",
                "macro_f1",
                "precision",
                "recall",
                "mae",
                "mse",
                "r2",
                "final_frame_mpjpe",
                "mean_rank",
                "median_rank",
                "top1_accuracy",
                "top5_accuracy",
                "top10_accuracy",
            ],
        },
    ),
    Change(
        "one claim rests on that seed",
        {"section": "07_takeaways", "variant": ["run: supported", "run: can't tell"]},
    ),
]
CHANGED_CLAIMS: dict[str, tuple[str, str | None]] = {
    "neural_heads: order_beats_floor, run, published": ("supported", "can't tell"),
}
"""{claim: (outcome before, outcome now)}."""


def committed_rows() -> pd.DataFrame:
    paths = sorted(ARTIFACTS.glob("*/metrics/*.json"))
    rows = [row for p in paths if "provenance" not in p.name for row in read_records(p)]
    return records_table(rows)[[*KEY, *NUMBERS, "spread", "status"]]


def committed_claims() -> dict[str, str]:
    """Return {"takeaway: claim, column, contract": outcome} of the default run."""
    note = json.loads((ARTIFACTS / "standin" / "RESEARCH_TAKEAWAYS.json").read_text())
    return {
        f"{takeaway['name']}: {one['claim']}, {one['column']}, {one['contract']}": one["outcome"]
        for takeaway in note["takeaways"]
        for one in takeaway["claims"]
    }


def freeze() -> None:
    """Take the committed rows and claims as the golden ones."""
    committed_rows().to_parquet(GOLDEN, index=False, compression="zstd")
    CLAIMS.write_text(json.dumps(committed_claims(), indent=1, ensure_ascii=False) + "\n")


def tolerance(golden: pd.DataFrame) -> pd.Series:
    """Return by how much each row's numbers may differ; infinite for one seed of a network."""
    size = golden[NUMBERS].abs().max(axis=1).fillna(0)
    exact = 1e-9 + 1e-6 * size
    of_network = golden["head"].isin(NETWORKS) | golden["against"].isin(NETWORKS)
    return exact.where(~of_network, 3 * golden["spread"].fillna(np.inf))


def differences(golden: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are gone, or differ by more than their tolerance."""
    both = golden.merge(now, on=list(KEY), how="left", suffixes=("", "_now"))
    gone = both["status_now"].isna()
    other = both["status_now"] != both["status"]
    for name in NUMBERS:
        apart = (both[name] - both[f"{name}_now"]).abs() > tolerance(both)
        other |= apart | (both[name].isna() != both[f"{name}_now"].isna())
    return both[gone | other]


@pytest.fixture(scope="module")
def changed() -> pd.DataFrame:
    return differences(pd.read_parquet(GOLDEN), committed_rows())


def test_rows_change_only_on_purpose(changed):
    listed = pd.Series(False, index=changed.index)
    for change in CHANGES:
        listed |= change.covers(changed)
    columns = [*KEY, "value", "value_now", "status", "status_now"]
    assert changed[~listed].empty, changed.loc[~listed, columns].to_string(max_rows=40)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.reason)
def test_each_listed_change_is_there(change, changed):
    assert change.covers(changed).any(), "nothing changed there: take the entry out"


def test_claims_change_only_on_purpose():
    golden, now = json.loads(CLAIMS.read_text()), committed_claims()
    other = {key: (was, now.get(key)) for key, was in golden.items() if now.get(key) != was}
    assert other == CHANGED_CLAIMS
