"""What is said of a recording, on its timeline: labels, texts and what is not there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xperience.export.log import Log
from xperience.recording.captions import FrameLabels, is_labelled
from xperience.recording.recording import Episode
from xperience.text import as_markdown


def log_labels(log: Log, episode: Episode) -> None:
    """Log action and subtask where they change, and what is said of objects as text.

    A label that says nothing, such as ``N/A``, ends the one before it.
    """
    if "captions" in log.absent:
        return
    said = episode.labels_of("corrected")
    for name in ("action", "subtask"):
        labels = [label if is_labelled(label) else None for label in getattr(said, name)]
        frames = changes(labels)
        states = [labels[i] for i in frames if labels[i] is not None]
        there = np.array([labels[i] is not None for i in frames], dtype=int)
        columns = log.rr.StateChange.columns(state=states).partition(there)
        log.by_frame(f"labels/{name}", frames, columns)
    objects = [", ".join(names) for names in said.objects]
    for name, texts in (("objects", objects), ("interaction", said.interaction)):
        frames = np.array([i for i in changes(texts) if is_labelled(texts[i])], dtype=int)
        if len(frames):
            columns = log.rr.TextLog.columns(text=[texts[i] for i in frames])
            log.by_frame(f"labels/{name}", frames, columns)
    _log_now(log, said)


def _log_now(log: Log, said: FrameLabels) -> None:
    """Log what is going on as a page that changes with the cursor."""
    pages = [_page(said, frame) for frame in range(len(said.action))]
    frames = changes(pages)
    texts, kind = [pages[i] for i in frames], ["text/markdown"] * len(frames)
    columns = log.rr.TextDocument.columns(text=texts, media_type=kind)
    log.by_frame("now", frames, columns)


def _page(said: FrameLabels, frame: int) -> str:
    """Return what is said of a frame, as Markdown."""
    action, subtask = said.action[frame], said.subtask[frame]
    lines = [f"### {_plain(action) if is_labelled(action) else 'no action is labelled'}"]
    lines += [f"*{_plain(subtask)}*"] if is_labelled(subtask) else []
    lines += map(_plain, filter(is_labelled, (said.description[frame], said.interaction[frame])))
    objects = _plain(", ".join(said.objects[frame]))
    lines += [f"**Objects:** {objects}"] if objects else []
    return "\n\n".join(lines)


def _plain(text: str) -> str:
    return as_markdown(text, html=False)


def changes(values: Sequence[Any]) -> np.ndarray:
    """Return the places where a series says something else than before, the first included."""
    return np.array([i for i, one in enumerate(values) if not i or one != values[i - 1]], dtype=int)


def log_notes(log: Log, episode: Episode) -> None:
    """Log which recording it is, and what of it is not in the file."""
    lines = [f"# {_plain(episode.name)}", "", _plain(episode.labels_of("corrected").main_task), ""]
    lines += [f"- not here: **{name}**: {_plain(reason)}" for name, reason in log.absent.items()]
    document = log.rr.TextDocument("\n".join(lines), media_type="text/markdown")
    log.still("notes", document)
