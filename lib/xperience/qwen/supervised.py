"""Supervised records: what a model is shown and asked, the true answer, and lines of predictions.

A record's ``answer`` is the truth in the annotators' own words, for evaluation. Its ``target`` is
what a model can be taught to say: the same, with "unknown" for a label that is no option.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xperience.qwen.schema import (
    MAX_OBJECTS,
    UNKNOWN,
    AnswersError,
    Options,
    read_options,
)
from xperience.storage import whole_file
from xperience.text import read_lines

RECORDS, OPTIONS, MANIFEST = "records.jsonl", "options.json", "manifest.json"

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Span(BaseModel):
    """Frames of the recording, both ends included."""

    model_config = _STRICT

    start_frame: int = Field(ge=0)
    end_frame: int = Field(ge=0)


class Lost(BaseModel):
    """A camera that is not there in all of a clip.

    Parameters
    ----------
    frames : list of (int, int)
        First and last of each run of frames of the clip's video in which its tile is hatched.
    reason : str
    """

    model_config = _STRICT

    frames: list[tuple[int, int]] = Field(min_length=1)
    reason: str = Field(min_length=1)


class Media(BaseModel):
    """The files of a clip.

    Parameters
    ----------
    video : str
        The mosaic, an MP4 file, relative to the records' folder.
    video_sha256 : str
    fps : float
        Frames a second of that video.
    n_frames : int
        Frames of that video; the last one shows the last frame of the window.
    window_frames : int
        How many of them, the last ones, show the window.
    seconds : float
        From its first to its last frame, that one included.
    cameras : list of str
        Tiles in order, row by row.
    lost : dict of {camera: Lost}
        Those whose tile is hatched in some frames: where there is no picture.
    audio : str, optional
        Mono WAV file relative to the records' folder, as long as the clip; None without sound.
    audio_sha256 : str, optional
    audio_rate_hz : int
    audio_seconds : float
    silent_s : list of (float, float)
        From and to, in seconds of the clip: where no sound was recorded and the file is silent.
    why_no_audio : str, optional
        Why there is no sound, or not in all of the clip.
    """

    model_config = _STRICT

    video: str
    video_sha256: str
    fps: float = Field(gt=0)
    n_frames: int = Field(ge=1)
    window_frames: int = Field(ge=1)
    seconds: float = Field(gt=0)
    cameras: list[str]
    lost: dict[str, Lost]
    audio: str | None
    audio_sha256: str | None
    audio_rate_hz: int
    audio_seconds: float = Field(ge=0)
    silent_s: list[tuple[float, float]] = []
    why_no_audio: str | None


class Supervised(BaseModel):
    """One supervised record, one line of ``records.jsonl``.

    Parameters
    ----------
    id : str
        Episode and first frame of the window.
    episode, side : str
    system, user : str
        What the model is told and asked.
    media : Media
    window, clip : Span
        The frames that the answer describes, and those that are shown: the clip ends with the
        window and starts before it.
    answer : str
        The truth as `answer_text` writes it, in the annotators' words.
    target : str
        What a model can be taught to say; strictly valid.
    action_is_option : bool
        Whether the true action may be said: it occurs in training episodes, or is "unknown".
    """

    model_config = _STRICT

    id: str = Field(min_length=1)
    episode: str = Field(min_length=1)
    side: Literal["train", "val", "test"]
    system: str
    user: str
    media: Media
    window: Span
    clip: Span
    answer: str
    target: str
    action_is_option: bool

    @cached_property
    def truth(self) -> dict[str, Any]:
        """The true answer, parsed."""
        return json.loads(self.answer)

    @cached_property
    def taught(self) -> dict[str, Any]:
        """The target, parsed."""
        return json.loads(self.target)


@dataclass(frozen=True)
class Export:
    """A folder of supervised records.

    Parameters
    ----------
    folder : Path
        Media paths are relative to it.
    options : Options
    """

    folder: Path
    options: Options

    @property
    def path(self) -> Path:
        """The file of records."""
        return self.folder / RECORDS

    @property
    def manifest(self) -> dict[str, Any]:
        """Counts, digests and settings, and which episodes were lost."""
        return json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))

    def records(self, side: str | None = None) -> Iterator[Supervised]:
        """Yield the records of one side, or all, in the file's order.

        Raises
        ------
        AnswersError
            If a line is not a record. The place is ``file:line``.
        """
        for number, line in read_lines(self.path):
            record = _record(f"{RECORDS}:{number}", line)
            if side in (None, record.side):
                yield record


def open_export(folder: Path | str) -> Export:
    """Open a folder that `xperience.qwen.export.export_records` wrote.

    Parameters
    ----------
    folder : path
        The folder, or the file of records in it.

    Raises
    ------
    AnswersError
        If it holds no finished export.
    """
    folder = Path(folder)
    folder = folder.parent if folder.name == RECORDS else folder
    for name in (RECORDS, MANIFEST):
        if not (folder / name).is_file():
            raise AnswersError(
                folder.name, f"has no {name}", "a folder of exported records",
                "Run `xperience answers export` until it ends.",
            )  # fmt: skip
    return Export(folder, read_options(folder / OPTIONS))


def _record(place: str, line: str) -> Supervised:
    try:
        return Supervised.model_validate_json(line)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        where = ".".join(map(str, one["loc"])) or "the line"
        raise AnswersError(
            f"{place}: {where}", f"is wrong ({one['msg']})", "a supervised record",
            "Export the records again.",
        ) from error  # fmt: skip


def as_target(answer: dict[str, Any], options: Options) -> dict[str, Any]:
    """Return what a model can be taught to say in place of a true answer.

    Parameters
    ----------
    answer : dict
        The fields of an answer.
    options : Options

    Returns
    -------
    dict
        Labels that are no option are "unknown"; objects are the first eight that are options.
    """
    target = dict(answer)
    for field in ("action", "subtask", "next_action"):
        allowed = options.allowed(field)
        if allowed is not None and answer[field] not in allowed:
            target[field] = UNKNOWN
    allowed = options.allowed("objects")
    named = [name for name in answer["objects"] if allowed is None or name in allowed]
    return target | {"objects": named[:MAX_OBJECTS]}


def prediction_line(record: Supervised, raw: str) -> dict[str, Any]:
    """Return what a model said of a record as a line that `xperience evaluate` reads.

    Parameters
    ----------
    record : Supervised
    raw : str
        All that the model wrote, unrepaired.
    """
    return {
        "id": record.id,
        "episode_id": record.episode,
        "raw_prediction": raw,
        "true_json": record.truth,
        "true_label_seen_in_train": int(record.action_is_option),
        "clip_frames": record.media.n_frames,
        "window_frames": record.media.window_frames,
    }


def write_predictions(path: Path | str, answers: Iterable[tuple[Supervised, str]]) -> int:
    """Write predictions, whole or not at all; return how many.

    Parameters
    ----------
    path : path
    answers : iterable of (Supervised, str)
        Each record with all that was said of it.
    """
    count = 0
    with whole_file(path) as scratch, scratch.open("w", encoding="utf-8") as file:
        for record, raw in answers:
            file.write(json.dumps(prediction_line(record, raw), ensure_ascii=False) + "\n")
            count += 1
    return count
