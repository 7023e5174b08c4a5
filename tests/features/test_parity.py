"""Parity with the published pipeline: on the episode that every clone holds, and wholly on another.

The committed oracle holds some values of every block. The whole one, where it is there, adds every
value of another episode, rows of single frames and labels of windows.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xperience.features.audio import LOGMEL_COLUMNS, logmel_windows
from xperience.features.blocks import BLOCKS, N_FEATURES
from xperience.features.depth import as_published
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.features.windows import window_starts
from xperience.recording.recording import Recording


def assert_close(block: str, got: np.ndarray, want: np.ndarray) -> None:
    """The tolerances of the whole oracle: resamplers of sound differ in the last bit."""
    assert got.shape == want.shape
    assert np.isfinite(got).all()
    off = np.abs(got.astype(np.float64) - want)
    if block.startswith("audio_"):
        assert np.mean(off <= 2e-3 + 1e-2 * np.abs(want)) >= 0.995
    else:
        worst = np.max(off - (1e-3 + 1e-3 * np.abs(want)))
        assert worst <= 0, f"{block}: {worst:.3g} beyond the tolerance"


def test_every_block_is_the_published_one(expected: dict, oracle_table: WindowTable) -> None:
    described = expected["blocks"]
    assert [(one["name"], one["dim"]) for one in described] == [(b.name, b.dim) for b in BLOCKS]
    assert oracle_table.matrix().shape == (expected["windows"], expected["features"])
    for one in described:
        values = oracle_table.block(one["name"])
        some = values[one["rows"], one["columns"]]
        np.testing.assert_allclose(some, one["values"], rtol=1e-6, atol=2e-7, err_msg=one["name"])
        assert values.mean() == pytest.approx(one["mean"], abs=1e-7)
        assert values.std() == pytest.approx(one["std"], abs=1e-7)
    assert oracle_table.info.missing_blocks == oracle_table.info.partial_blocks == {}


def logmel_of(folder: Path) -> np.ndarray:
    with Recording(folder / "episode") as episode:
        return logmel_windows(episode, window_starts(episode.n_frames))


def test_log_mel_is_the_published_one(oracle: Path, expected: dict) -> None:
    want, got = expected["logmel"], logmel_of(oracle)
    assert got.dtype == np.float32
    assert got.shape == (*want["shape"],) == (expected["windows"], len(LOGMEL_COLUMNS))
    np.testing.assert_allclose(got[want["rows"], want["columns"]], want["values"], atol=2e-6)
    assert got.mean() == pytest.approx(want["mean"], rel=1e-6)


# --- the whole oracle -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(whole_oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    extract(whole_oracle / "episode", folder / "windows.parquet", workers=1)
    return folder


def test_every_value_of_every_block_and_of_log_mel(whole_oracle: Path, made: Path) -> None:
    with np.load(whole_oracle / "expected" / "windows.npz") as stored:
        published = stored["X"]
    described = json.loads((whole_oracle / "expected" / "feature_blocks.json").read_text())
    table = WindowTable(made / "windows.parquet")
    assert table.matrix().shape == published.shape == (77, N_FEATURES)
    start = 0
    for block, other in zip(BLOCKS, described, strict=True):
        assert (block.name, start + block.dim) == (other["name"], other["end"])
        assert_close(block.name, table.block(block.name), published[:, start : other["end"]])
        start = other["end"]
    with np.load(whole_oracle / "expected" / "logmel_windows.npz") as stored:
        want = stored["features"]
    np.testing.assert_allclose(logmel_of(whole_oracle), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("block", "file"),
    [
        ("video_fisheye_cam0", "video_fisheye_cam0"),
        ("depth_confidence", "depth"),
        ("audio_fisheye_cam0_aac", "audio_fisheye_cam0"),
    ],
)
def test_each_frame_is_the_published_one(
    whole_oracle: Path, made: Path, block: str, file: str
) -> None:
    (path,) = (made / "cache").glob(f"{block}-*.npy")
    with np.load(whole_oracle / "expected" / f"frames_{file}.npz") as stored:
        rows = np.load(path)
        if file == "depth":
            rows = as_published(rows)  # kept rows hold the true minimum, which serves `corrected`
        if file.startswith("video"):
            assert not rows[:, -1].any()  # no picture is damaged
            rows = rows[:, :-1]
        assert_close(block, rows, stored["features"])


def test_frames_labels_and_shares_are_the_published_ones(whole_oracle: Path, made: Path) -> None:
    want = pd.read_csv(whole_oracle / "expected" / "windows.csv", keep_default_na=False)
    got = WindowTable(made / "windows.parquet").labels
    for mine in ("window", "start_frame", "end_frame", "center_frame"):
        theirs = "window_index" if mine == "window" else mine
        assert got[mine].tolist() == want[theirs].tolist()
    for kind in ("action", "subtask"):
        labels = ["N/A" if pd.isna(label) else label for label in got[kind]]
        assert labels == [label or "N/A" for label in want[f"{kind}_label"]]
        np.testing.assert_allclose(got[f"{kind}_share"], want[f"{kind}_fraction"], atol=1e-6)
