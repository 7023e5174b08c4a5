"""Captions: from the JSON that annotators wrote to one label of each kind a frame."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from posixpath import basename, splitext
from typing import Any

import numpy as np

from xperience.errors import TextError
from xperience.recording.annotation import Fault
from xperience.recording.layout import DEFAULT_FPS
from xperience.text import parse_json, read_text, spelling

_TIMESTAMP_FROM, _LATEST_NS = 100_000_000, 2**63 - 1
_STEP_NS = round(1e9 / DEFAULT_FPS)
_SHOWN, _LONGEST_PATH = 60, 1024


def is_labelled(label: str) -> bool:
    """Return whether a label says something: it is neither empty nor ``N/A``."""
    return label.strip().lower() not in ("", "n/a")


@dataclass
class FrameLabels:
    """What the captions say of each frame, in lists of length n_frames; "" or () for nothing."""

    main_task: str  # what the recording shows as a whole
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

    @property
    def is_blank(self) -> bool:
        """Whether they say nothing of any frame."""
        return self == FrameLabels.empty(len(self.action), self.main_task)


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
            self._by_name[name] = self._by_name[_stem(name)] = index
        named_ns = name_stamps(names)
        self._stamps_ns = stamps_ns if named_ns is None else named_ns

    def find(self, reference: Any) -> tuple[int, int] | None:
        """Return a frame's index and where the reference truly points; None if it names no frame.

        Tried in turn: exact name; its stem; ``frame_000123`` or a small number, both 1-based and
        clamped to the episode; a device time, which takes the nearest frame. The two results differ
        where a reference points before the recording, to -1, or behind it, to ``n_frames``: a
        number that is no frame's, or a time more than a frame away from the first and the last.
        """
        if isinstance(reference, float) and reference.is_integer():
            reference = int(reference)
        if isinstance(reference, bool) or not isinstance(reference, str | int):
            return None
        text = str(reference).strip()
        path = PurePosixPath(text)
        for key in (text, path.stem):
            if key in self._by_name:
                return self._by_name[key], self._by_name[key]
        fraction = path.suffix[1:].strip("0").isdecimal()  # 12.5 is no frame, 12.jpg and 12.0 are
        number = None if fraction else _integer(path.stem.removeprefix("frame_"))
        is_position = path.stem.startswith("frame_")
        if number is not None and (is_position or number < _TIMESTAMP_FROM):
            place = min(max(number - 1, -1), self.n_frames)
            return min(max(place, 0), self.n_frames - 1), place
        if number is None or self._stamps_ns is None:
            return None
        nearest = int(np.abs(self._stamps_ns - min(number, _LATEST_NS)).argmin())
        first_ns, last_ns = int(self._stamps_ns.min()), int(self._stamps_ns.max())
        step_ns = (last_ns - first_ns) / (self.n_frames - 1) if self.n_frames > 1 else _STEP_NS
        place = self.n_frames if number > last_ns + step_ns else nearest
        return nearest, -1 if number < first_ns - step_ns else place


def name_stamps(names: list[str]) -> np.ndarray | None:
    """Return the device times in ns that image names hold, int64 (n_frames,); None if they don't.

    ``75294505147569.jpg`` is a time; ``000123.jpg`` is a mere number.
    """
    stems = [_stem(name) for name in names]
    stamps = [_integer(stem) if stem.isdecimal() else None for stem in stems]
    if all(stamp is not None and _TIMESTAMP_FROM <= stamp <= _LATEST_NS for stamp in stamps):
        return np.array(stamps, dtype=np.int64)
    return None


def _stem(name: str) -> str:
    return splitext(basename(name))[0]  # of thousands: a PurePosixPath takes ten times as long


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def load_captions(text: str, folder: Path) -> tuple[dict[str, Any] | None, Fault | None]:
    """Return the caption document, from JSON text or from the file that the text names.

    A path is relative to the episode's folder and may not leave it. The fault says why there is no
    document, or what in it is lost.
    """
    place = "caption"
    stripped = text.strip("\0 \n\r\t\ufeff")
    one_line = "\n" not in stripped and "\0" not in stripped and len(stripped) <= _LONGEST_PATH
    if stripped and one_line and not stripped.startswith(("{", "[", '"')):
        place = f"caption file {_shown(stripped)}"
        try:
            path = (folder / stripped).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise OSError("leaves the episode folder and is refused")
            if not path.is_file():
                raise OSError("is not there")
            stripped = read_text(path)
        except TextError as error:
            return None, not_text(place, error)
        except (OSError, RuntimeError) as error:
            found = getattr(error, "strerror", None) or str(error)
            return None, Fault("captions", place, found, "a JSON file inside the episode folder")
    doubled: set[str] = set()
    try:
        document = parse_json(stripped, doubled)
    except TextError as error:
        return None, Fault("captions", place, f"is not JSON ({error})", "a JSON object")
    if not isinstance(document, dict) or not isinstance(document.get("segments"), list):
        return None, Fault("captions", place, "has no list 'segments'", "config and segments")
    if doubled:
        found = f"writes {_shown(min(doubled))} twice in one object; the last one counts"
        return document, Fault("captions", place, found, "each key once")
    return document, None


def not_text(place: str, error: TextError) -> Fault:
    """Return the fault of captions that are in no encoding that is known."""
    return Fault("captions", place, f"is not JSON text: it {error}", "UTF-8: save it again as that")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


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
    """Resolves segments and counts what does not resolve, or is not of the type it should be.

    Under `corrected` what lies outside the recording is dropped, and labels that look the same are
    one; under `published` the former is moved to the nearest frame and the latter stay apart.
    """

    def __init__(self, index: FrameIndex, document: Mapping[str, Any], contract: str):
        self.index, self.corrected = index, contract == "corrected"
        self.one = spelling(_texts(document))
        self.lost: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()
        self.outside: dict[str, list[Any]] = defaultdict(list)
        self.spelt: dict[str, dict[str, None]] = defaultdict(dict)

    def find(self, reference: Any, what: str) -> int | None:
        """Return a reference's frame; under `corrected` -1 or ``n_frames`` for outside."""
        found = self.index.find(reference)
        if found is None:
            return None
        nearest, place = found
        if place != nearest:
            self.outside[what].append(reference)
        return place if self.corrected else nearest

    def frame(self, mapping: Mapping[str, Any], *keys: str, what: str) -> int | None:
        """Return the first of the keys that resolves; count it as lost if none does."""
        for key in keys:
            found = self.find(mapping[key], what) if key in mapping else None
            if found is not None:
                return found
        self.lost[what] += 1
        return None

    def span(self, start: int | None, end: int | None) -> tuple[int, int] | None:
        """Return the part of a range that lies in the recording, its first and last frame."""
        if start is None or end is None:
            return None
        last = self.index.n_frames - 1
        if min(start, end) >= 0 and max(start, end) <= last:
            return min(start, end), max(start, end)
        start, end = max(start, 0), min(end, last)
        return (start, end) if start <= end else None

    def segment(self, raw: Mapping[str, Any]) -> _Segment | None:
        """Return the resolved segment, or None if it touches no frame at all."""
        segment = _Segment(self.text(raw, "Sub Task"), 0, 0)
        for action in self.mappings(raw, "Current Action"):
            start = self.frame(action, "start_frame_name", "start_frame", what="action start")
            end = self.frame(action, "end_frame_name", "end_frame", what="action end")
            labels = self.text(action, "label"), self.text(action, "description")
            span = self.span(start, end)
            if span is not None:
                segment.actions.append((*span, *labels))
        segment.actions.sort(key=lambda action: action[0])
        self._by_frame(raw, "objects", _names, segment.objects)
        self._by_frame(raw, "interaction", _text, segment.interaction)
        return self._bounded(segment, raw)

    def text(self, mapping: Mapping[str, Any], key: str) -> str:
        """Return a text, "" if absent; count anything else as odd."""
        self.odd[f"{key!r} are not text"] += not isinstance(mapping.get(key), str | None)
        return self.spell(_text(mapping.get(key)), key)

    def spell(self, text: str, what: str) -> str:
        """Return a text as the contract writes it."""
        if text:
            self.spelt[what][text] = None
        return self.one(text) if self.corrected else text

    def mappings(self, mapping: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        """Return the objects of a list; count what is no object, or no list, as odd."""
        value = mapping.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        found = [item for item in items if isinstance(item, Mapping)] if items is value else []
        self.odd[f"{key!r} are not objects in a list"] += len(items) - len(found)
        return found

    def _by_frame(
        self, raw: Mapping[str, Any], what: str, convert: Callable[[Any], Any], into: dict
    ) -> None:
        by_frame = raw.get(what)
        if not isinstance(by_frame, Mapping):
            self.odd[f"{what!r} are not keyed by frame"] += by_frame is not None
            return
        for key, value in by_frame.items():
            frame, said = self.find(key, what), convert(value)
            if frame is None:
                self.lost[what] += 1
            elif not said:
                self.odd[f"{what!r} are not text"] += value not in ("", [], None)
            elif 0 <= frame < self.index.n_frames:
                into[frame] = (
                    self.spell(said, what)
                    if isinstance(said, str)
                    else tuple(filter(None, (self.spell(name, what) for name in said)))
                )

    def faults(self) -> list[Fault]:
        """Return what was counted."""
        counted = [f"{n} {what} references name no frame" for what, n in sorted(self.lost.items())]
        counted += [f"{n} {what}" for what, n in sorted(self.odd.items()) if n]
        faults = [Fault("captions", "caption", found, "what the layout says") for found in counted]
        for what, references in sorted(self.outside.items()):
            found = f"{len(references)} {what} references lie outside the recording"
            found += f", such as {_shown(str(references[0]))}"
            inside = f"one of its {self.index.n_frames} frames; `corrected` drops them"
            faults.append(Fault("captions", "caption", found, inside))
        for what, texts in sorted(self.spelt.items()):
            alike: dict[str, list[str]] = defaultdict(list)
            for text in texts:
                alike[self.one(text)].append(text)
            if twins := [text for same in alike.values() if len(same) > 1 for text in same]:
                found = f"{len(twins)} {what!r} labels differ only in how they are written"
                found += f": {', '.join(map(ascii, twins[:2]))}{' …' * (len(twins) > 2)}"
                once = "one way to write each; `corrected` takes them for one"
                faults.append(Fault("captions", "caption", found, once))
        marred = sum("\ufffd" in text for texts in self.spelt.values() for text in texts)
        if marred:
            found = f"{marred} texts hold U+FFFD, which some program wrote for letters it lost"
            faults.append(Fault("captions", "caption", found, "the letters"))
        return faults

    def _bounded(self, segment: _Segment, raw: Mapping[str, Any]) -> _Segment | None:
        start = self.frame(raw, "start_frame", "start_frame_name", what="segment start")
        end = self.frame(raw, "end_frame", "end_frame_name", what="segment end")
        touched = [frame for action in segment.actions for frame in action[:2]]
        touched += [*segment.objects, *segment.interaction]
        if touched and self.span(start, end) is None:
            last = self.index.n_frames - 1
            start = min(touched) if start is None or not 0 <= start <= last else start
            end = max(touched) if end is None or not 0 <= end <= last else end
        span = self.span(start, end)
        if span is None:
            return None
        segment.start, segment.end = span
        return segment


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def frame_labels(
    document: Mapping[str, Any], index: FrameIndex, contract: str = "published"
) -> tuple[FrameLabels, list[Fault]]:
    """Return the labels of every frame, by the four rules of the contract.

    Under `published` a reference outside the recording counts as its nearest frame. Under
    `corrected` it is dropped, of a range the part inside is kept, and labels that look the same are
    written in one way. The faults are the same under both: references that name no frame or lie
    outside, values of a wrong type, labels that look the same; counted by kind.
    """
    resolver = _Resolver(index, document, contract)
    found = [resolver.segment(raw) for raw in resolver.mappings(document, "segments")]
    segments = [segment for segment in found if segment is not None]
    config = document.get("config")
    main_task = resolver.text(config, "Main Task") if isinstance(config, Mapping) else ""
    labels = FrameLabels.empty(index.n_frames, main_task)
    pairs = [(action, segment) for segment in segments for action in segment.actions]
    for (start, end, action, description), segment in sorted(pairs, key=lambda pair: pair[0][0]):
        for frame in range(start, end + 1):
            labels.subtask[frame] = segment.subtask
            labels.action[frame] = action
            labels.description[frame] = description
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
    return value.strip() if isinstance(value, str) else ""


def _names(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(name for name in (_text(item) for item in items) if name)
