"""Run by an interpreter that has LeRobot: read a data set and keep what the loader gave.

Usage: python lerobot_reader.py FOLDER BACKEND OUT.npz
"""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

CAMERA = "observation.images.fisheye_cam0"
STEPS_S = [-0.1, -0.05, 0.0]


def main(folder: str, backend: str, out: str) -> None:
    where = {"repo_id": "local/set", "root": folder, "video_backend": backend}
    whole = LeRobotDataset(**where)
    found = {"n": len(whole), "cameras": np.array(whole.meta.video_keys)}
    rows = [whole[i] for i in range(len(whole))]
    for name in ("observation.state", "action", "observation.known", "timestamp", "episode_index"):
        found[name] = np.stack([row[name].numpy() for row in rows])
    for name in whole.meta.video_keys:
        pictures = np.stack([row[name].numpy() for row in rows])
        found[name] = np.round(pictures * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    found["task"] = np.array([row["task"] for row in rows])
    found["mean"] = whole.meta.stats["observation.state"]["mean"]
    before = LeRobotDataset(**where, delta_timestamps={CAMERA: STEPS_S})
    past = np.stack([before[i][CAMERA].numpy() for i in range(len(before))])
    found["past"] = np.round(past * 255).astype(np.uint8).transpose(0, 1, 3, 4, 2)
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
