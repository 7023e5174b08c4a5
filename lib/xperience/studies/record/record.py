"""The published record: its files, read in place, and the real recording's labels in them.

The record lies outside this repository: a folder of predictions, labels and features that were
published with the note whose figures `params/published.yaml` lists. Nothing of it is copied.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xperience.errors import XperienceError
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES, window_label
from xperience.params import read_values
from xperience.project import NOTE, RECORD_VARIABLE, at_root, record_folder
from xperience.storage import file_digest
from xperience.tasks.targets import boundary_frames
from xperience.tasks.truth import Truth


class PublishedRecordError(XperienceError):
    """A file of the published record that is absent or not what it should be."""


@dataclass(frozen=True)
class PublishedRecord:
    """The published record, or that there is none."""

    folder: Path | None  # reading without one says so
    note: dict[str, Any]  # `params/published.yaml`: source, files, mirror's files, figures

    @property
    def source(self) -> str:
        """The public home of the record, and its revision."""
        return f"{self.note['source']['repository']} at {self.note['source']['revision']}"

    @property
    def absence(self) -> str | None:
        """Why there is no record at all, if so."""
        if self.folder:
            return None
        return (
            f"the published record is not there; `make record` brings the files of {self.source}, "
            f"or set {RECORD_VARIABLE} to a folder with them"
        )

    @property
    def places(self) -> dict[str, list[str]]:
        """Where each file may lie, by its name in the note; those of a mirror only, too."""
        return self.note["files"] | self.note["mirror_only"]

    def has(self, name: str, task: str = "") -> bool:
        """Whether a file of ``files`` in the note is there."""
        return any(path.is_file() for path in self._places(name, task))

    def path(self, name: str, task: str = "") -> Path:
        """Return a file by its name in ``files`` of the note.

        Raises
        ------
        PublishedRecordError
            If none of its places holds it.
        """
        found = next((path for path in self._places(name, task) if path.is_file()), None)
        if found is None:
            places = " or ".join(self.places[name]).format(task=task)
            raise PublishedRecordError(
                "published record",
                self.absence or f"has no {places}",
                f"the files of {self.source}",
                f"Call `make record`, or set {RECORD_VARIABLE} to the folder that holds them.",
            )
        return found

    def _places(self, name: str, task: str) -> list[Path]:
        places = self.places[name] if self.folder else ()
        return [self.folder / place.format(task=task) for place in places]

    def table(self, name: str, task: str = "") -> pd.DataFrame:
        """Return a CSV file; an empty cell is an empty text."""
        return pd.read_csv(self.path(name, task), keep_default_na=False)

    def vectors(self, name: str, task: str = "") -> dict[str, np.ndarray]:
        """Return the arrays of an npz file."""
        with np.load(self.path(name, task)) as stored:
            return {key: stored[key] for key in stored.files}

    @cached_property
    def report(self) -> dict[str, Any]:
        """The record's own list of metrics."""
        return json.loads(self.path("report").read_text(encoding="utf-8"))

    def files(self) -> list[Path]:
        """Return the files that are there, for provenance."""
        if self.folder is None:
            return []
        patterns = [place for places in self.places.values() for place in places]
        return sorted(
            {path for place in patterns for path in self.folder.glob(place.format(task="*"))}
        )


def open_record(published: Path | str = "") -> PublishedRecord:
    """Return the published record; `xperience.project.record_folder` says where it is looked for.

    Parameters
    ----------
    published : path
        Its folder, seen from the repository's top, if it isn't in one of the usual places.
    """
    return PublishedRecord(record_folder(published), read_values(at_root(NOTE)))


def real_truth(record: PublishedRecord) -> Truth:
    """Return the real recording's labels frame by frame, from those of its windows.

    Raises
    ------
    PublishedRecordError
        If files are absent, or the frames found don't give back every window's label, or not the
        frames where the action changes.
    """
    windows, n_frames = record.table("windows"), int(record.report["num_frames"])
    starts = windows["start_frame"].to_numpy(dtype=np.int64)
    found = {}
    for kind in ("action", "subtask"):
        labels, shares = windows[f"{kind}_label"].tolist(), windows[f"{kind}_fraction"].to_numpy()
        found[kind] = frame_labels(labels, shares, starts, n_frames)
        _check_windows(found[kind], labels, starts, kind)
    changes = record.table("boundaries")["frame"].tolist()
    if boundary_frames(found["action"]).tolist() != changes:
        raise _unlike("boundaries", "the action changes elsewhere")
    return Truth(n_frames=n_frames, starts=starts, **found)


def frame_labels(
    labels: Sequence[str], shares: np.ndarray, starts: np.ndarray, n_frames: int
) -> list[str]:
    """Return a label for every frame that gives back the windows' labels and shares.

    Parameters
    ----------
    labels : sequence of str, length n_windows
        "" for a window without one.
    shares : float array, shape (n_windows,)
        Share of the window's frames that have its label.
    starts : int array, shape (n_windows,)
    n_frames : int

    Notes
    -----
    The last window before a change that still has the old label holds it in ``share`` of its
    frames, which are its first ones: so the change is found to the frame. It takes every segment
    to be as long as a window, and every frame to be labelled; the caller checks what comes out.
    """
    known = [place for place, label in enumerate(labels) if label]
    frames: list[str] = []
    for place, after in pairwise(known):
        if labels[place] != labels[after]:
            change = int(starts[place]) + round(WINDOW_FRAMES * float(shares[place]))
            frames += [labels[place]] * (change - len(frames))
    last = labels[known[-1]] if known else ""
    return frames + [last] * (n_frames - len(frames))


def _check_windows(frames: list[str], labels: list[str], starts: np.ndarray, kind: str) -> None:
    again = [window_label(frames[start : start + WINDOW_FRAMES])[0] or "" for start in starts]
    n_other = sum(one != other for one, other in zip(again, labels, strict=True))
    if n_other or (np.diff(starts) != STRIDE_FRAMES).any():
        raise _unlike("windows", f"the {kind} of {n_other} of {len(labels)} windows is another")


def _unlike(name: str, lost: str) -> PublishedRecordError:
    return PublishedRecordError(
        f"published record: {name}",
        f"doesn't follow from any labels of frames: {lost}",
        "labels of one recording, each for as long as a window or longer",
        "Fetch the files again.",
    )


def record_digests(record: PublishedRecord) -> dict[str, str]:
    """Return the digest of each file of the record that is there, by its place in it."""
    return {
        f"published/{path.relative_to(record.folder).as_posix()}": file_digest(path)
        for path in record.files()
    }
