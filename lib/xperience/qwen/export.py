"""Supervised records of a cohort: clips, questions and answers, for training and for evaluation.

First the labels of every episode are read and the options fixed, from training episodes alone; then
each episode's videos are decoded once and its clips written; then the records, in the split
manifest's order. A call that was stopped goes on: clips that are there and whole are kept. The
export's manifest, written last, holds the digests that evaluations can be keyed by.

No prompt sees an answer. The system message holds the same for every record: the rules and, while
they are few, the options. The user message says what is shown. Neither names a label of the record
or where anything happens but for the one thing that is asked about: the window at the clip's end.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from xperience.cohort.manifest import SPLITS, Entry, SplitManifest
from xperience.errors import EpisodeError, did_you_mean
from xperience.features.windows import WINDOW_FRAMES, window_starts
from xperience.outputs import check_output
from xperience.qwen.clips import Clip, ExportSettings, plan_clips, true_answers
from xperience.qwen.media import media_of
from xperience.qwen.schema import (
    LISTS,
    MAX_OBJECTS,
    UNKNOWN,
    AnswersError,
    FrameRange,
    Options,
    answer_text,
)
from xperience.qwen.supervised import (
    MANIFEST,
    OPTIONS,
    RECORDS,
    Export,
    Media,
    Supervised,
    as_target,
)
from xperience.recording.captions import is_labelled
from xperience.recording.recording import Recording
from xperience.storage import file_digest, value_digest, whole_file, write_json
from xperience.tasks import targets
from xperience.tasks.truth import Truth

CONTRACT = "corrected"

_RULES = f"""\
You watch short clips from cameras and a microphone that a person wears while doing something.
Each clip ends with the segment that you are asked about; what comes before is lead-in.
Answer with one JSON object on one line and nothing else. Its fields, in this order:
"action": what the wearer does in that segment.
"subtask": the larger step that this belongs to.
"objects": a list of the things that matter in it, at most {MAX_OBJECTS}, none twice.
"contact": "yes" if a part of the wearer's body touches something in it, else "no".
"transition": "yes" if one action gives way to another around its middle, else "no".
"next_action": what the wearer does one such segment after the clip has ended.
"evidence_window": {{"start_frame", "end_frame"}}, the first and the last frame of the video, \
counted from 0, between which that action goes on without a break up to the segment's own frames; \
it may begin in the lead-in.
Where you cannot tell, or no option fits, say "{UNKNOWN}"."""


@dataclass(frozen=True)
class _Planned:
    """The clips of an episode, what is true of them, and every label of its windows."""

    entry: Entry
    folder: Path
    clips: tuple[Clip, ...]
    answers: list[dict[str, Any]]
    labels: dict[str, set[str]]


def export_records(
    cohort: SplitManifest,
    out: Path | str,
    settings: ExportSettings | None = None,
    sides: Iterable[str] = SPLITS,
    workers: int = 1,
    on_episode: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Export:
    """Write the supervised records of a cohort whose recordings have their videos.

    In the folder come ``records.jsonl``, ``options.json``, ``manifest.json`` and ``media/``.
    Records are of the splits named in ``sides``; options come from the training split in any case.
    No result depends on the number of workers. ``on_episode`` takes (stage, done, total).

    If a split is unknown, no training episode has labels, or nothing can be exported, that is an
    AnswersError; if the folder holds one of the recordings, or lies in one, an OutputError. An
    episode that cannot be used is named in the manifest with its reason, and the others go on.
    """
    out, settings, asked = Path(out), settings or ExportSettings(), tuple(sides)
    for side in asked:
        if side not in SPLITS:
            raise AnswersError("side", f"is {side!r}", "a split", did_you_mean(side, SPLITS))
    check_output(out, map(cohort.folder, cohort), emptied=True)
    read, lost, entries = [], {}, [one for one in cohort if one.side in {*asked, "train"}]
    for number, entry in enumerate(entries, 1):
        try:
            read.append(_read(entry, cohort.folder(entry), settings))
        except (EpisodeError, OSError) as error:
            lost[entry.episode] = " ".join(str(error).split())
        on_episode("labels", number, len(entries))
    options = _options(one.labels for one in read if one.entry.side == "train")
    planned = [one for one in read if one.entry.side in asked]
    (out / MANIFEST).unlink(missing_ok=True)  # while records change, the export isn't finished
    write_json(out / OPTIONS, options.as_json())
    system = system_message(options, settings.listed_options)
    work, n, counts = partial(_media, out, settings), min(workers, len(planned)), Counter[str]()
    pool = ProcessPoolExecutor(n, mp_context=get_context("spawn")) if n > 1 else None
    try:
        with whole_file(out / RECORDS) as scratch, scratch.open("w", encoding="utf-8") as file:
            for number, media in enumerate((map if pool is None else pool.map)(work, planned)):
                for record in _records(planned[number], media, options, system, lost):
                    file.write(json.dumps(record.model_dump(), ensure_ascii=False) + "\n")
                    counts[record.side] += 1
                on_episode("clips", number + 1, len(planned))
            if not counts:
                why = [f"{name}: {reason}" for name, reason in lost.items()][:2]
                raise AnswersError(
                    "split manifest", f"gives no record ({'; '.join(why) or 'no episode'})",
                    "at least one", "Mend the recordings, or choose others.",
                )  # fmt: skip
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    chosen = settings.model_dump(mode="json")
    manifest = {
        "records": counts,
        "lost": lost,
        "options": {name: len(labels) for name, labels in options.as_json().items()},
        "settings": chosen,
        "digests": {
            "records": file_digest(out / RECORDS),
            "options": file_digest(out / OPTIONS),
            "settings": value_digest(chosen),
            "manifest": value_digest([entry.model_dump() for entry in cohort]),
        },
        "sides": [side for side in SPLITS if side in asked],
    }
    write_json(out / MANIFEST, manifest)
    return Export(out, options)


def _read(entry: Entry, folder: Path, settings: ExportSettings) -> _Planned:
    with Recording(folder) as episode:
        captions = episode.streams["captions"]
        starts = window_starts(episode.n_frames)
        if not captions.usable or not len(starts):
            faults = "; ".join(map(str, captions.faults)) or f"{episode.n_frames} frames"
            raise EpisodeError(
                entry.episode, f"has nothing to ask about ({faults})",
                "captions, and at least one window", "Leave the episode out.",
            )  # fmt: skip
        truth = Truth.of(episode, starts, CONTRACT)
        clips = plan_clips(entry.episode, episode.n_frames, episode.fps, settings)
    members = np.arange(len(starts))[:, None]
    said = {
        "action": [
            *targets.window_labels("action")(truth, members),
            *targets.next_action(truth, members),
        ],
        "subtask": targets.window_labels("subtask")(truth, members),
        "objects": [name for names in targets.named_objects(truth, members) for name in names],
    }
    labels = {
        field: {x for x in some if x is not None and is_labelled(x) and x != UNKNOWN}
        for field, some in said.items()
    }
    of_clips = Truth(**vars(truth) | {"starts": np.array([clip.start_frame for clip in clips])})
    return _Planned(entry, folder, clips, true_answers(of_clips, clips), labels)


def _options(found: Iterable[dict[str, set[str]]]) -> Options:
    """Return every label that training episodes use, each list in order of the alphabet."""
    used = list(found)
    lists = {name: sorted(set().union(*(one[name] for one in used))) for name in LISTS}
    for name, labels in lists.items():
        if not labels:
            raise AnswersError(
                f"options: {name}", "is empty: no window of a training episode has one",
                "at least one label", "Choose training episodes that have captions.",
            )  # fmt: skip
    return Options(**{name: tuple(labels) for name, labels in lists.items()})


def _media(out: Path, settings: ExportSettings, planned: _Planned) -> list[Media | None] | str:
    """Return the media of one episode, or why there are none."""
    try:
        with Recording(planned.folder) as episode:
            return media_of(out, planned.entry.episode, episode, planned.clips, settings)
    except (EpisodeError, AnswersError) as error:
        return " ".join(str(error).split())


def _records(
    planned: _Planned,
    media: list[Media | None] | str,
    options: Options,
    system: str,
    lost: dict[str, str],
) -> Iterator[Supervised]:
    """Yield the records of an episode; note what is lost."""
    entry = planned.entry
    if isinstance(media, str):
        lost[entry.episode] = media
        return
    for clip, shown, answer in zip(planned.clips, media, planned.answers, strict=True):
        name = f"{entry.episode}:{clip.start_frame:06d}"
        if shown is None:
            lost[name] = "no camera has a picture of the window"
            continue
        yield Supervised(
            id=name, episode=entry.episode, side=entry.side, system=system,
            user=user_message(clip, shown), media=shown,
            window=FrameRange(start_frame=clip.start_frame, end_frame=clip.end_frame),
            clip=FrameRange(start_frame=clip.shown[0], end_frame=clip.end_frame),
            answer=answer_text(answer), target=answer_text(as_target(answer, options)),
            action_is_option=answer["action"] in options.allowed("action"),
        )  # fmt: skip


def system_message(options: Options, listed: int) -> str:
    """Return what a model is told before every record; only lists up to a length are listed."""
    told, names = [_RULES], ("action and next_action", "subtask", "objects")
    for name, labels in zip(names, (getattr(options, field) for field in LISTS), strict=True):
        if labels is not None:
            too_many = f"{len(labels)} labels, too many to list here"
            shown = "; ".join(labels) if len(labels) <= listed else too_many
            told.append(f"Options for {name}: {shown}.")
    return "\n".join(told)


def user_message(clip: Clip, media: Media) -> str:
    """Return what is shown of a clip, and the question."""
    half, last = len(media.cameras) // 2, media.n_frames - 1
    sentences = [
        f"The video has {media.n_frames} frames, numbered 0 to {last}, {media.fps:.3g} a second.",
        "Each shows several views of one moment: "
        f"{', '.join(media.cameras[:half])} above, {', '.join(media.cameras[half:])} below.",
    ]
    for camera in media.cameras:
        if camera not in media.lost:
            continue
        runs = media.lost[camera].frames
        when = [f"{first} to {end}" if first < end else f"{first}" for first, end in runs]
        gone = "throughout" if runs == [(0, last)] else f"in frames {', '.join(when)}"
        sentences.append(f"{camera} is missing {gone}: its tile is hatched.")
    if media.audio is None:
        sentences.append("There is no sound.")
    elif media.silent_s:
        gaps = [f"{start:.3g} to {stop:.3g} s" for start, stop in media.silent_s]
        silent = f"but none was recorded at {', '.join(gaps)}"
        sentences.append(f"The sound is of the same time, {silent}.")
    else:
        sentences.append("The sound is of the same time.")
    first = media.n_frames - media.window_frames
    asked = f"Describe the last {WINDOW_FRAMES / clip.source_fps:.3g} s, frames {first} to {last}."
    return " ".join([*sentences, asked])
