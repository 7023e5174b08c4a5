"""A LeRobot dataset read by others: by LeRobot's own loader, with its pictures, and by Rerun.

LeRobot asks for an older torch than the one pinned here, so it lives in an environment of its own:
name its interpreter in ``XPERIENCE_LEROBOT_PYTHON`` to run these tests.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xperience.export.lerobot import export_lerobot
from xperience.recording.media import read_rgb

PYTHON = os.environ.get("XPERIENCE_LEROBOT_PYTHON")
READER = Path(__file__).with_name("lerobot_reader.py")
CAMERA = "observation.images.fisheye_cam0"


@pytest.fixture(scope="module")
def dataset(recording, other, tmp_path_factory):
    out = tmp_path_factory.mktemp("lerobot") / "set"
    export_lerobot([recording, other], out)
    return out


def pictures(folder, camera):
    return np.stack([frame.copy() for frame in read_rgb(folder / f"{camera}.mp4")])


@pytest.mark.slow
@pytest.mark.skipif(PYTHON is None, reason="XPERIENCE_LEROBOT_PYTHON names no interpreter")
@pytest.mark.parametrize("backend", ["torchcodec", "pyav"])
def test_lerobot_decodes_the_pictures_of_each_moment(recording, other, dataset, backend, tmp_path):
    command = [PYTHON, str(READER), str(dataset), backend, str(tmp_path / "found.npz")]
    done = subprocess.run(
        command,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "found.npz")
    files = sorted((dataset / "data").rglob("*.parquet"))
    rows = pd.concat([pd.read_parquet(file) for file in files])
    assert found["n"] == len(rows)
    np.testing.assert_array_equal(found["observation.state"], np.stack(rows["observation.state"]))
    np.testing.assert_array_equal(found["timestamp"], rows["timestamp"])
    assert found["mean"].shape == found["observation.state"].shape[1:]
    tasks = pd.read_parquet(dataset / "meta" / "tasks.parquet").index
    assert found["task"].tolist() == tasks[rows["task_index"]].tolist()
    assert len(found["cameras"]) == 6
    for key in found["cameras"]:
        camera = str(key).rpartition(".")[2]
        wanted = [pictures(folder, camera) for folder in (recording, other)]
        np.testing.assert_array_equal(found[key], np.concatenate(wanted))
    for number, folder in enumerate((recording, other)):
        seen = pictures(folder, "fisheye_cam0")
        past = found["past"][found["episode_index"] == number]
        for place, back in enumerate((2, 1, 0)):
            steps = np.maximum(np.arange(len(seen)) - back, 0)
            np.testing.assert_array_equal(past[:, place], seen[steps])


@pytest.mark.extras("rerun")
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="Rerun reads H.264 through ffmpeg")
def test_rerun_reads_the_dataset_as_lerobot_v3(recording, other, dataset):
    from rerun.experimental import LeRobotReader  # noqa: PLC0415 - optional

    reader = LeRobotReader(str(dataset))
    assert reader.version == "v3"
    assert list(reader.episodes()) == [0, 1]
    for number in reader.episodes():
        samples, states = 0, []
        for chunk in reader.stream(number).to_chunks():
            batch, entity = chunk.to_record_batch(), chunk.entity_path.lstrip("/")
            if entity == CAMERA and "VideoStream:sample" in batch.schema.names:
                samples += batch.num_rows
            if entity == "observation.state" and "Scalars:scalars" in batch.schema.names:
                states += batch.column("Scalars:scalars").to_pylist()
        rows = pd.read_parquet(dataset / "data" / "chunk-000" / f"file-{number:03d}.parquet")
        assert samples == len(rows)
        np.testing.assert_allclose(states, np.stack(rows["observation.state"]), atol=1e-6)
