"""Supervised records of a cohort: clips, questions and answers, for training and for evaluation.

First the labels of every episode are read and the options fixed, from training episodes alone; then
each episode's videos are decoded once and its clips written; then the records, in the roster's
order. A call that was stopped goes on where it was: clips that are there and whole are kept. The
manifest, written last, holds the digests that evaluations can be keyed by.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from xperience.cohort.roster import SIDES, Entry, Roster
from xperience.errors import EpisodeError, did_you_mean
from xperience.features.windows import WINDOW_FRAMES, window_starts
from xperience.outputs import check_output
from xperience.qwen.clips import Clip, ExportSettings, plan_clips, true_answers
from xperience.qwen.media_files import media_of
from xperience.qwen.prompt import system_message, user_message
from xperience.qwen.schema import AnswersError, Options, answer_text
from xperience.qwen.supervised import (
    MANIFEST,
    OPTIONS,
    RECORDS,
    Export,
    Media,
    Span,
    Supervised,
    as_target,
)
from xperience.qwen.vocabulary import Vocabulary, write_options
from xperience.recording.recording import Episode
from xperience.storage import file_digest, value_digest, whole_file, write_json
from xperience.tasks.truth import Truth

CONTRACT = "corrected"
OnEpisode = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Planned:
    """The clips of an episode and what is true of them."""

    entry: Entry
    clips: tuple[Clip, ...]
    answers: list[dict[str, Any]]


@dataclass
class _Plan:
    """All episodes of an export, and what training episodes are labelled with."""

    episodes: list[_Planned] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)


@dataclass(frozen=True)
class _Job:
    """One episode's media: what a worker process needs."""

    folder: Path
    out: Path
    name: str
    clips: tuple[Clip, ...]
    settings: ExportSettings

    def run(self) -> list[Media | None] | str:
        """Return the media, or why there are none."""
        try:
            with Episode(self.folder) as episode:
                return media_of(self.out, self.name, episode, self.clips, self.settings)
        except (EpisodeError, AnswersError) as error:
            return str(error)


def export_records(
    roster: Roster,
    out: Path | str,
    settings: ExportSettings | None = None,
    sides: Iterable[str] = SIDES,
    workers: int = 1,
    on_episode: OnEpisode | None = None,
) -> Export:
    """Write the supervised records of a cohort.

    Parameters
    ----------
    roster : Roster
        Whose folders hold recordings with their videos.
    out : path
        Folder for ``records.jsonl``, ``options.json``, ``manifest.json`` and ``media/``.
    settings : ExportSettings, optional
    sides : iterable of str
        Sides to write records of; options come from the training side in any case.
    workers : int
        Episodes worked on at a time; no result depends on it.
    on_episode : callable (stage, done, total), optional

    Returns
    -------
    Export

    Raises
    ------
    AnswersError
        If a side is unknown, no training episode has labels, or nothing can be exported. An episode
        that cannot be used is named in the manifest with its reason, and the others go on.
    OutputError
        If the folder holds one of the recordings, or lies in one.
    """
    out, settings, sides = Path(out), settings or ExportSettings(), _known_sides(sides)
    check_output(out, map(roster.folder, roster), emptied=True)
    tell = on_episode or (lambda stage, done, total: None)
    plan = _planned(roster, sides, settings, tell)
    options = plan.vocabulary.options()
    (out / MANIFEST).unlink(missing_ok=True)  # while records change, the export isn't finished
    write_options(out / OPTIONS, options)
    jobs = [
        _Job(roster.folder(one.entry), out, one.entry.episode, one.clips, settings)
        for one in plan.episodes
    ]
    media = _made(jobs, workers, tell)
    counts = _write_records(out, plan, options, settings, media)
    manifest = _manifest(out, roster, settings, counts, plan.lost)
    write_json(out / MANIFEST, manifest | {"sides": list(sides)})
    return Export(out, options)


def _known_sides(sides: Iterable[str]) -> tuple[str, ...]:
    asked = tuple(sides)
    for side in asked:
        if side not in SIDES:
            raise AnswersError("side", f"is {side!r}", "a side", did_you_mean(side, SIDES))
    return tuple(side for side in SIDES if side in asked)


def _planned(
    roster: Roster, sides: Sequence[str], settings: ExportSettings, tell: OnEpisode
) -> _Plan:
    plan, entries = _Plan(), [one for one in roster if one.side in {*sides, "train"}]
    for number, entry in enumerate(entries, 1):
        try:
            planned, labels = _read(roster, entry, settings)
        except (EpisodeError, OSError) as error:
            plan.lost[entry.episode] = " ".join(str(error).split())
        else:
            if entry.side == "train":
                plan.vocabulary.add(labels)
            if entry.side in sides:
                plan.episodes.append(planned)
        tell("labels", number, len(entries))
    return plan


def _read(roster: Roster, entry: Entry, settings: ExportSettings) -> tuple[_Planned, Vocabulary]:
    with Episode(roster.folder(entry)) as episode:
        captions = episode.streams["captions"]
        if not captions.usable or not len(window_starts(episode.n_frames)):
            faults = "; ".join(map(str, captions.faults)) or f"{episode.n_frames} frames"
            raise EpisodeError(
                entry.episode, f"has nothing to ask about ({faults})",
                "captions, and at least one window", "Leave the episode out.",
            )  # fmt: skip
        whole = Truth.of(episode, window_starts(episode.n_frames), CONTRACT)
        clips = plan_clips(entry.episode, episode.n_frames, episode.fps, settings)
    starts = np.array([clip.start_frame for clip in clips])
    answers = true_answers(_over(whole, starts), clips)
    return _Planned(entry, clips, answers), Vocabulary.of(whole)


def _over(truth: Truth, starts: np.ndarray) -> Truth:
    """Return the same truth over other windows."""
    return Truth(**{**vars(truth), "starts": starts})


def _made(jobs: list[_Job], workers: int, tell: OnEpisode) -> Iterator[list[Media | None] | str]:
    """Yield each episode's media in order, or why there are none."""
    if workers <= 1 or len(jobs) <= 1:
        for number, job in enumerate(jobs, 1):
            yield job.run()
            tell("clips", number, len(jobs))
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        try:
            for number, found in enumerate(pool.map(_Job.run, jobs), 1):
                yield found
                tell("clips", number, len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_records(
    out: Path,
    plan: _Plan,
    options: Options,
    settings: ExportSettings,
    media: Iterator[list[Media | None] | str],
) -> dict[str, int]:
    """Write every record; return counts by side. What is lost is noted in the plan."""
    system = system_message(options, settings.listed_options)
    counts: Counter[str] = Counter()
    with whole_file(out / RECORDS) as scratch, scratch.open("w", encoding="utf-8") as file:
        for planned, found in zip(plan.episodes, media, strict=True):
            if isinstance(found, str):
                plan.lost[planned.entry.episode] = " ".join(found.split())
                continue
            for clip, shown in zip(planned.clips, found, strict=True):
                if shown is None:
                    plan.lost[_id(planned.entry, clip)] = "no camera has a picture of the window"
            for record in _records(planned, found, options, system):
                file.write(json.dumps(record.model_dump(), ensure_ascii=False) + "\n")
                counts[record.side] += 1
        if not counts:
            raise AnswersError(
                "roster", f"gives no record ({_some(plan.lost)})", "at least one",
                "Mend the recordings, or choose others.",
            )  # fmt: skip
    return dict(counts)


def _id(entry: Entry, clip: Clip) -> str:
    return f"{entry.episode}:{clip.start_frame:06d}"


def _some(lost: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in list(lost.items())[:2]) or "no episode"


def _records(
    planned: _Planned, media: list[Media | None], options: Options, system: str
) -> Iterator[Supervised]:
    entry = planned.entry
    for clip, shown, answer in zip(planned.clips, media, planned.answers, strict=True):
        if shown is None:
            continue
        yield Supervised(
            id=_id(entry, clip),
            episode=entry.episode,
            side=entry.side,
            system=system,
            user=user_message(clip, shown),
            media=shown,
            window=Span(
                start_frame=clip.start_frame, end_frame=clip.start_frame + WINDOW_FRAMES - 1
            ),
            clip=Span(start_frame=clip.shown[0], end_frame=clip.end_frame),
            answer=answer_text(answer),
            target=answer_text(as_target(answer, options)),
            action_is_option=answer["action"] in options.allowed("action"),
        )


def _manifest(
    out: Path,
    roster: Roster,
    settings: ExportSettings,
    counts: dict[str, int],
    lost: dict[str, str],
) -> dict[str, Any]:
    options = json.loads((out / OPTIONS).read_text(encoding="utf-8"))
    return {
        "records": counts,
        "lost": lost,
        "options": {name: len(labels) for name, labels in options.items()},
        "settings": settings.model_dump(mode="json"),
        "digests": {
            "records": file_digest(out / RECORDS),
            "options": file_digest(out / OPTIONS),
            "settings": value_digest(settings.model_dump(mode="json")),
            "roster": value_digest([entry.model_dump() for entry in roster]),
        },
    }
