"""Captions: from the JSON that annotators wrote to one label of each kind a frame."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from xperience.episode.annotation import Fault

_TIMESTAMP_FROM, _LATEST_NS = 100_000_000, 2**63 - 1
_SHOWN, _LONGEST_PATH = 60, 1024
Convert = Callable[[Any], Any]

_UNLABELLED = frozenset({"", "n/a"})


def is_labelled(label: str) -> bool:
    """Return whether a label says something: it is neither empty nor ``N/A``."""
    return label.strip().lower() not in _UNLABELLED


@dataclass
class FrameLabels:
    """What the captions say of each frame; "" or () where they say nothing.

    Parameters
    ----------
    main_task : str
        What the recording shows as a whole.
    subtask, action, description, interaction : list of str, length n_frames
    objects : list of tuple of str, length n_frames
        Names in the order written.
    """

    main_task: str
    subtask: list[str]
    action: list[str]
    description: list[str]
    interaction: list[str]
    objects: list[tuple[str, ...]]

    @classmethod
    def empty(cls, n_frames: int, main_task: str = "") -> "FrameLabels":
        """Return labels that say nothing."""
        blank = [[""] * n_frames for _ in range(4)]
        return cls(main_task, *blank, objects=[()] * n_frames)


class FrameIndex:
    """Resolves the ways in which captions refer to a frame.

    Parameters
    ----------
    names : list of str, length n_frames
        Image names, in order.
    stamps_ns : int array, shape (n_frames,), or None
        Device time of each frame, for names that hold none.
    """

    def __init__(self, names: list[str], stamps_ns: np.ndarray | None = None):
        self.n_frames = len(names)
        self._by_name: dict[str, int] = {}
        for index, name in reversed(list(enumerate(names))):
            self._by_name[name] = self._by_name[PurePosixPath(name).stem] = index
        named_ns = name_stamps(names)
        self._stamps_ns = stamps_ns if named_ns is None else named_ns

    def __call__(self, reference: Any) -> int | None:
        """Return the frame's index, or None if the reference names no frame.

        Tried in turn: exact name; its stem; ``frame_000123`` or a small number, both 1-based and
        clamped to the episode; a device time, which takes the nearest frame.
        """
        if isinstance(reference, float) and reference.is_integer():
            reference = int(reference)
        if isinstance(reference, bool) or not isinstance(reference, str | int):
            return None
        text = str(reference).strip()
        path = PurePosixPath(text)
        for key in (text, path.stem):
            if key in self._by_name:
                return self._by_name[key]
        fraction = path.suffix[1:].strip("0").isdecimal()  # 12.5 is no frame, 12.jpg and 12.0 are
        number = None if fraction else _integer(path.stem.removeprefix("frame_"))
        return None if number is None else self._numbered(number, path.stem.startswith("frame_"))

    def _numbered(self, number: int, is_position: bool) -> int | None:
        if is_position or number < _TIMESTAMP_FROM:
            return min(max(number - 1, 0), self.n_frames - 1)
        if self._stamps_ns is None:
            return None
        return int(np.abs(self._stamps_ns - min(number, _LATEST_NS)).argmin())


def name_stamps(names: list[str]) -> np.ndarray | None:
    """Return the device times in ns that image names hold, or None if they are no such times.

    Parameters
    ----------
    names : list of str
        ``75294505147569.jpg`` is a time; ``000123.jpg`` is a mere number.

    Returns
    -------
    int64 array, shape (n_frames,), or None
    """
    stems = [PurePosixPath(name).stem for name in names]
    stamps = [_integer(stem) if stem.isdecimal() else None for stem in stems]
    if all(stamp is not None and _TIMESTAMP_FROM <= stamp <= _LATEST_NS for stamp in stamps):
        return np.array(stamps, dtype=np.int64)
    return None


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def load_captions(text: str, folder: Path) -> tuple[dict[str, Any] | None, Fault | None]:
    """Return the caption document, from JSON text or from the file that the text names.

    Parameters
    ----------
    text : str
        JSON, or the path of a JSON file relative to the episode.
    folder : Path
        The episode's folder; a path that leaves it is refused.

    Returns
    -------
    dict or None, Fault or None
        One of the two.
    """
    place = "caption"
    stripped = text.strip("\0 \n\r\t\ufeff")
    if _may_be_path(stripped):
        place = f"caption file {_shown(stripped)}"
        try:
            stripped = _read_inside(folder, stripped)
        except (OSError, RuntimeError) as error:
            found = getattr(error, "strerror", None) or str(error)
            return None, Fault("captions", place, found, "a JSON file inside the episode folder")
    try:
        document = json.loads(stripped)
    except (ValueError, RecursionError) as error:
        return None, Fault("captions", place, f"is not JSON ({error})", "a JSON object")
    if not isinstance(document, dict) or not isinstance(document.get("segments"), list):
        return None, Fault("captions", place, "has no list 'segments'", "config and segments")
    return document, None


def _may_be_path(text: str) -> bool:
    one_line = "\n" not in text and "\0" not in text and len(text) <= _LONGEST_PATH
    return bool(text) and one_line and not text.startswith(("{", "[", '"'))


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _read_inside(folder: Path, name: str) -> str:
    """Return the text of a file in a folder; OSError or RuntimeError (a loop of links) if not."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise OSError("leaves the episode folder and is refused")
    if not path.is_file():
        raise OSError("is not there")
    return path.read_text(encoding="utf-8-sig", errors="replace")


@dataclass
class _Segment:
    """One segment with every frame reference resolved."""

    subtask: str
    start: int
    end: int
    actions: list[tuple[int, int, str, str]] = field(default_factory=list)
    objects: dict[int, tuple[str, ...]] = field(default_factory=dict)
    interaction: dict[int, str] = field(default_factory=dict)


class _Resolver:
    """Resolves segments and counts what does not resolve, or is not of the type it should be."""

    def __init__(self, index: FrameIndex):
        self.index = index
        self.lost: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()

    def frame(self, mapping: Mapping[str, Any], *keys: str, what: str) -> int | None:
        """Return the first of the keys that resolves; count it as lost if none does."""
        for key in keys:
            found = self.index(mapping[key]) if key in mapping else None
            if found is not None:
                return found
        self.lost[what] += 1
        return None

    def segment(self, raw: Mapping[str, Any]) -> _Segment | None:
        """Return the resolved segment, or None if it touches no frame at all."""
        segment = _Segment(self.text(raw, "Sub Task"), 0, 0)
        for action in self.mappings(raw, "Current Action"):
            start = self.frame(action, "start_frame_name", "start_frame", what="action start")
            end = self.frame(action, "end_frame_name", "end_frame", what="action end")
            if start is not None and end is not None:
                labels = self.text(action, "label"), self.text(action, "description")
                segment.actions.append((min(start, end), max(start, end), *labels))
        segment.actions.sort(key=lambda action: action[0])
        self._by_frame(raw, "objects", _names, segment.objects)
        self._by_frame(raw, "interaction", _text, segment.interaction)
        return self._bounded(segment, raw)

    def text(self, mapping: Mapping[str, Any], key: str) -> str:
        """Return a text, "" if absent; count anything else as odd."""
        self.odd[f"{key!r} are not text"] += not isinstance(mapping.get(key), str | None)
        return _text(mapping.get(key))

    def mappings(self, mapping: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        """Return the objects of a list; count what is no object, or no list, as odd."""
        value = mapping.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        found = [item for item in items if isinstance(item, Mapping)] if items is value else []
        self.odd[f"{key!r} are not objects in a list"] += len(items) - len(found)
        return found

    def _by_frame(self, raw: Mapping[str, Any], what: str, convert: Convert, into: dict) -> None:
        by_frame = raw.get(what)
        if not isinstance(by_frame, Mapping):
            self.odd[f"{what!r} are not keyed by frame"] += by_frame is not None
            return
        for key, value in by_frame.items():
            frame, said = self.index(key), convert(value)
            if frame is None:
                self.lost[what] += 1
            elif said:
                into[frame] = said
            else:
                self.odd[f"{what!r} are not text"] += value not in ("", [], None)

    def faults(self) -> list[Fault]:
        """Return what was counted."""
        counted = [
            (f"{n} {what} references name no frame", n) for what, n in sorted(self.lost.items())
        ]
        counted += [(f"{n} {what}", n) for what, n in sorted(self.odd.items())]
        return [
            Fault("captions", "caption", found, "what the layout says") for found, n in counted if n
        ]

    def _bounded(self, segment: _Segment, raw: Mapping[str, Any]) -> _Segment | None:
        start = self.frame(raw, "start_frame", "start_frame_name", what="segment start")
        end = self.frame(raw, "end_frame", "end_frame_name", what="segment end")
        touched = [frame for action in segment.actions for frame in action[:2]]
        touched += [*segment.objects, *segment.interaction]
        if (start is None or end is None) and not touched:
            return None
        start = min(touched) if start is None else start
        end = max(touched) if end is None else end
        segment.start, segment.end = min(start, end), max(start, end)
        return segment


def frame_labels(document: Mapping[str, Any], index: FrameIndex) -> tuple[FrameLabels, list[Fault]]:
    """Return the labels of every frame, by the four rules of the contract.

    Parameters
    ----------
    document : dict
        ``config`` and ``segments`` as in the recording.
    index : FrameIndex

    Returns
    -------
    FrameLabels
    list of Fault
        Frame references that name no frame and values of a wrong type, counted by kind.
    """
    resolver = _Resolver(index)
    found = [resolver.segment(raw) for raw in resolver.mappings(document, "segments")]
    segments = [segment for segment in found if segment is not None]
    config = document.get("config")
    main_task = resolver.text(config, "Main Task") if isinstance(config, Mapping) else ""
    labels = FrameLabels.empty(index.n_frames, main_task)
    _apply_actions(labels, segments)
    for segment in segments:
        for frame, names in segment.objects.items():
            labels.objects[frame] = names
        for frame, text in segment.interaction.items():
            labels.interaction[frame] = text
    for segment in segments:
        _fill_segment(labels, segment)
    for kind in (labels.subtask, labels.action, labels.description):
        _carry_forward(kind, range(index.n_frames))
    return labels, resolver.faults()


def _apply_actions(labels: FrameLabels, segments: list[_Segment]) -> None:
    pairs = [(action, segment) for segment in segments for action in segment.actions]
    for (start, end, action, description), segment in sorted(pairs, key=lambda pair: pair[0][0]):
        for frame in range(start, end + 1):
            labels.subtask[frame] = segment.subtask
            labels.action[frame] = action
            labels.description[frame] = description


def _fill_segment(labels: FrameLabels, segment: _Segment) -> None:
    for frame in range(segment.start, segment.end + 1):
        if labels.action[frame]:
            continue
        labels.subtask[frame] = segment.subtask
        if segment.actions:
            ended = [action for action in segment.actions if action[1] < frame]
            nearest = max(ended, key=lambda action: action[1]) if ended else segment.actions[0]
            labels.action[frame], labels.description[frame] = nearest[2:]
    span = range(segment.start, segment.end + 1)
    _carry_forward(labels.objects, span)
    _carry_forward(labels.interaction, span)


def _carry_forward(values: list, frames: Iterable[int]) -> None:
    last = None
    for frame in frames:
        if values[frame]:
            last = values[frame]
        elif last is not None:
            values[frame] = last


def _text(value: Any) -> str:
    """Return a text that UTF-8 can hold (JSON may escape half a character), "" for all else."""
    return value.encode(errors="replace").decode().strip() if isinstance(value, str) else ""


def _names(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(name for name in (_text(item) for item in items) if name)
