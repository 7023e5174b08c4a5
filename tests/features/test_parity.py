"""Parity with the published pipeline on the small episode it was run on."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xperience.features.blocks import BLOCKS, N_FEATURES
from xperience.features.depth import as_published
from xperience.features.extract import extract
from xperience.features.table import WindowTable


@pytest.fixture(scope="module")
def made(oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    extract(oracle / "episode", folder / "windows.parquet", workers=1)
    return folder


@pytest.fixture(scope="module")
def table(made: Path) -> WindowTable:
    return WindowTable(made / "windows.parquet")


def assert_close(block: str, got: np.ndarray, want: np.ndarray) -> None:
    """The tolerances of the oracle's README: resamplers of sound differ in the last bit."""
    assert got.shape == want.shape
    assert np.isfinite(got).all()
    off = np.abs(got.astype(np.float64) - want)
    if block.startswith("audio_"):
        assert np.mean(off <= 2e-3 + 1e-2 * np.abs(want)) >= 0.995
    else:
        worst = np.max(off - (1e-3 + 1e-3 * np.abs(want)))
        assert worst <= 0, f"{block}: {worst:.3g} beyond the tolerance"


def test_each_block_is_the_published_one_where_that_lies(oracle: Path, table: WindowTable) -> None:
    with np.load(oracle / "expected" / "windows.npz") as stored:
        published = stored["X"]
    described = json.loads((oracle / "expected" / "feature_blocks.json").read_text())
    assert [block["name"] for block in described] == [block.name for block in BLOCKS]
    assert table.matrix().shape == published.shape == (77, N_FEATURES)
    start = 0
    for block, other in zip(BLOCKS, described, strict=True):
        assert other["end"] == start + block.dim
        assert_close(block.name, table.block(block.name), published[:, start : other["end"]])
        start = other["end"]
    assert table.info.missing_blocks == table.info.partial_blocks == {}


@pytest.mark.parametrize(
    ("block", "file"),
    [
        ("video_fisheye_cam0", "video_fisheye_cam0"),
        ("depth_confidence", "depth"),
        ("audio_fisheye_cam0_aac", "audio_fisheye_cam0"),
    ],
)
def test_each_frame_is_the_published_one(oracle: Path, made: Path, block: str, file: str) -> None:
    (path,) = (made / "cache").glob(f"{block}-*.npy")
    with np.load(oracle / "expected" / f"frames_{file}.npz") as stored:
        rows = np.load(path)
        if file == "depth":
            rows = as_published(rows)  # kept rows hold the true minimum, which serves `corrected`
        if file.startswith("video"):
            assert not rows[:, -1].any()  # no picture is damaged
            rows = rows[:, :-1]
        assert_close(block, rows, stored["features"])


def test_frames_labels_and_shares_are_the_published_ones(oracle: Path, table: WindowTable) -> None:
    want = pd.read_csv(oracle / "expected" / "windows.csv", keep_default_na=False)
    got = table.labels
    for mine in ("window", "start_frame", "end_frame", "center_frame"):
        theirs = "window_index" if mine == "window" else mine
        assert got[mine].tolist() == want[theirs].tolist()
    for kind in ("action", "subtask"):
        labels = ["N/A" if pd.isna(label) else label for label in got[kind]]
        assert labels == [label or "N/A" for label in want[f"{kind}_label"]]
        np.testing.assert_allclose(got[f"{kind}_share"], want[f"{kind}_fraction"], atol=1e-6)
