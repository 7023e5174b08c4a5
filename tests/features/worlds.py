"""The same recording in another world: what a SLAM system's choice of axes must not change."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
from scipy.spatial.transform import Rotation


def copy(folder: Path, to: Path) -> Path:
    """Copy the annotation of an episode; the videos are linked, for nobody changes them."""
    to.mkdir(parents=True)
    shutil.copyfile(folder / "annotation.hdf5", to / "annotation.hdf5")
    for path in folder.glob("*.mp4"):
        os.symlink(path.resolve(), to / path.name)
    return to


def move_world(folder: Path, turn: Rotation, shift_m: np.ndarray) -> Path:
    """Turn and shift the world of an episode in place: x becomes ``turn x + shift``.

    Body joints lie in the world and move; the pose leads from the world to the rig and is undone
    first; hands lie in the camera and stay.
    """
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        joints = file["full_body_mocap/keypoints"]
        joints[...] = joints[...] @ turn.as_matrix().T + shift_m
        quat, place = file["slam/quat_wxyz"], file["slam/trans_xyz"]
        turned = Rotation.from_quat(quat[...], scalar_first=True) * turn.inv()
        quat[...] = turned.as_quat(scalar_first=True)
        place[...] = place[...] - turned.apply(shift_m)
    return folder
