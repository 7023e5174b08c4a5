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
    OPTION_FIELDS,
    UNKNOWN,
    AnswerReading,
    AnswersError,
    FrameRange,
    Options,
    read_options,
)
from xperience.storage import whole_file
from xperience.text import read_lines

RECORDS, OPTIONS, MANIFEST = "records.jsonl", "options.json", "manifest.json"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MissingView(_Stored):
    """A camera that is not there in all of a clip."""

    frames: list[tuple[int, int]] = Field(min_length=1)
    """First and last of each run of frames of the clip's video in which its tile is hatched."""
    reason: str = Field(min_length=1)


class Media(_Stored):
    """The files of a clip; paths are relative to the records' folder."""

    video: str  # the mosaic, an MP4 file
    video_sha256: str
    fps: float = Field(gt=0)  # of that video
    n_frames: int = Field(ge=1)  # of that video; the last one shows the last frame of the window
    window_frames: int = Field(ge=1)  # how many of them, the last ones, show the window
    seconds: float = Field(gt=0)  # from its first to its last frame, that one included
    cameras: list[str]  # tiles in order, row by row
    lost: dict[str, MissingView]  # cameras whose tile is hatched in some frames
    audio: str | None  # mono WAV file as long as the clip; None without sound
    audio_sha256: str | None
    audio_rate_hz: int
    audio_seconds: float = Field(ge=0)
    silent_s: list[tuple[float, float]] = []
    """From and to, in seconds of the clip: where no sound was recorded and the file is silent."""
    why_no_audio: str | None  # why there is no sound, or not in all of the clip


class Supervised(_Stored):
    """One supervised record, one line of ``records.jsonl``."""

    id: str = Field(min_length=1)  # episode and first frame of the window
    episode: str = Field(min_length=1)
    side: Literal["train", "val", "test"]
    system: str  # what the model is told
    user: str  # what the model is asked
    media: Media
    window: FrameRange  # the frames of the recording that the answer describes
    clip: FrameRange  # the frames that are shown: they end with the window and start before it
    answer: str  # the truth as `answer_text` writes it, in the annotators' words
    target: str  # what a model can be taught to say; strictly valid
    action_is_option: bool  # whether the true action occurs in training episodes, or is "unknown"

    @cached_property
    def truth(self) -> dict[str, Any]:
        """The true answer, parsed."""
        return json.loads(self.answer)

    @cached_property
    def taught(self) -> dict[str, Any]:
        """The target, parsed."""
        return json.loads(self.target)


@dataclass(frozen=True)
class ClipAnswer:
    """What an author said about one clip."""

    author: str
    record: Supervised  # what was asked, and the truth
    raw: str  # all that the author wrote
    reading: AnswerReading  # what counts of it


@dataclass(frozen=True)
class Export:
    """A folder of supervised records, and the options that they were made with."""

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

    def records(self, *sides: str) -> Iterator[Supervised]:
        """Yield the records of some splits, or all, in the file's order.

        A line that is not a record is an AnswersError at ``file:line``.
        """
        for number, line in read_lines(self.path):
            try:
                record = Supervised.model_validate_json(line)
            except ValidationError as error:
                place, found = first_fault(error)
                raise AnswersError(
                    f"{RECORDS}:{number}: {place}", found, "a supervised record",
                    "Export the records again.",
                ) from error  # fmt: skip
            if not sides or record.side in sides:
                yield record

    def some(self, *sides: str) -> list[Supervised]:
        """Return the records of some splits; an AnswersError if there is none."""
        if not (found := list(self.records(*sides))):
            raise AnswersError(
                RECORDS, f"has no record of {', '.join(sides)}", "at least one",
                "Name another split, or export it.",
            )  # fmt: skip
        return found


def first_fault(error: ValidationError) -> tuple[str, str]:
    """Return where in a line the first fault is, and what it is."""
    one = error.errors(include_url=False)[0]
    return ".".join(map(str, one["loc"])) or "the line", f"is wrong ({one['msg']})"


def open_export(folder: Path | str) -> Export:
    """Open a finished export: the folder that `export_records` wrote, or the records in it."""
    folder = Path(folder)
    folder = folder.parent if folder.name == RECORDS else folder
    for name in (RECORDS, MANIFEST):
        if not (folder / name).is_file():
            raise AnswersError(
                folder.name, f"has no {name}", "a folder of exported records",
                "Run `xperience answers export` until it ends.",
            )  # fmt: skip
    return Export(folder, read_options(folder / OPTIONS))


def as_target(answer: dict[str, Any], options: Options) -> dict[str, Any]:
    """Return what a model can be taught to say in place of a true answer.

    Labels that are no option are "unknown"; objects are the first eight that are options.
    """
    target = dict(answer)
    for field in OPTION_FIELDS:
        allowed = options.allowed(field)
        if allowed is not None and answer[field] not in allowed:
            target[field] = UNKNOWN
    allowed = options.allowed("objects")
    named = [name for name in answer["objects"] if allowed is None or name in allowed]
    return target | {"objects": named[:MAX_OBJECTS]}


def prediction_line(record: Supervised, raw: str, **more: Any) -> str:
    """Return all that a model wrote of a record as a line that `xperience evaluate` reads."""
    line = {
        "id": record.id,
        "episode_id": record.episode,
        "raw_prediction": raw,
        "true_json": record.truth,
        "true_label_seen_in_train": int(record.action_is_option),
        "clip_frames": record.media.n_frames,
        "window_frames": record.media.window_frames,
    }
    return json.dumps(line | more, ensure_ascii=False) + "\n"


def write_predictions(path: Path | str, answers: Iterable[tuple[Supervised, str]]) -> int:
    """Write each record with all that was said of it, whole or not at all; return how many."""
    with whole_file(path) as scratch, scratch.open("w", encoding="utf-8") as file:
        count = 0
        for count, (record, raw) in enumerate(answers, 1):  # noqa: B007 - told at the end
            file.write(prediction_line(record, raw))
    return count


# --- results that are whole or absent, and never mixed ------------------------------------------


def read_key(path: Path) -> dict[str, Any]:
    """Return what results say that they rest on; nothing if their file says nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check_key(found: dict[str, Any], key: dict[str, Any], what: str) -> None:
    """Refuse results that rest on something else than the key, by an AnswersError that names what.

    ``found`` is what they rest on, as `read_key` returns it.
    """
    other = sorted(name for name in key if found.get(name, ...) != key[name])
    if other:
        raise AnswersError(
            what, f"rests on another {', '.join(other)}" if found else "does not say its key",
            "results of the same model, data and settings",
            "Name another --out, or move that one away.",
        )  # fmt: skip
