"""Label overlap: how much of what validation and test ask for ever occurs in training."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xperience.cohort.manifest import ManifestError, SplitManifest
from xperience.errors import EpisodeError, ParamsError, XperienceError, did_you_mean
from xperience.evaluation.metrics import SHARE
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Resampling, interval
from xperience.features.windows import WINDOW_FRAMES, window_label, window_starts
from xperience.progress import OnProgress
from xperience.recording import labels
from xperience.recording.captions import FrameLabels, is_labelled
from xperience.recording.recording import Recording

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("activity", "subtask", "action", "objects")
OF_WINDOWS, OF_LABELS = "share_of_windows_seen_in_train", "share_of_labels_seen_in_train"
LabelCounts = Mapping[str, Counter[str]]
"""For each of `KINDS`, how many windows have a label, as written."""
KeyOf = Callable[[str], Hashable | None]
"""A label to what must be equal; None where the label has nothing to compare."""


# What captions say


@dataclass(frozen=True)
class CohortLabels:
    """The labels of a cohort, as far as its captions can be read.

    Parameters
    ----------
    manifest : SplitManifest
        The episodes that could be read, with their activities.
    counts : dict of {episode: LabelCounts}
        Windows by label, of each of them.
    left_out : dict of {episode: reason}
        Those that could not.
    """

    manifest: SplitManifest
    counts: Mapping[str, LabelCounts]
    left_out: Mapping[str, str]


def read_labels(manifest: SplitManifest, on_progress: OnProgress | None = None) -> CohortLabels:
    """Read the captions of each episode; its recording must be on disk, at least the annotation.

    Raises
    ------
    ManifestError
        If none can be read. A single one that can't is named in ``left_out``.
    """
    counts, left_out, entries = {}, {}, []
    for done, entry in enumerate(manifest, 1):
        try:
            counts[entry.episode] = _read(manifest.folder(entry))
        except (XperienceError, OSError) as error:
            left_out[entry.episode] = str(error)
        else:
            activity = next(iter(counts[entry.episode]["activity"]), "")
            entries.append(entry.model_copy(update={"activity": activity}))
        if on_progress:
            on_progress("captions", done, len(manifest))
    if not counts:
        raise ManifestError(
            "manifest",
            f"names {len(manifest)} episodes, none of them readable "
            f"(first: {next(iter(left_out.values()))})",
            "captions to read",
            "Stage the recordings first.",
        )
    return CohortLabels(SplitManifest(tuple(entries), manifest.root), counts, left_out)


def _read(folder: Path) -> LabelCounts:
    with Recording(folder) as episode:
        state = episode.streams["captions"]
        if not state.usable:
            raise EpisodeError(
                f"{episode.name}/captions",
                "; ".join(map(str, state.faults)) or f"are {state.status}",
                "captions",
                "Leave the episode out, or mend its captions.",
            )
        return count_labels(episode.labels_of("corrected"), episode.n_frames)


def count_labels(said: FrameLabels, n_frames: int) -> LabelCounts:
    """Count the labels of frames by window.

    A window has at most one action and one subtask (by the contract's rule), any number of objects,
    and always the activity.
    """
    starts = window_starts(n_frames)
    activity = said.main_task.strip() if is_labelled(said.main_task) else ""
    counts = {kind: Counter() for kind in KINDS}
    if activity:
        counts["activity"][activity] = len(starts)
    for start in starts:
        frames = slice(start, start + WINDOW_FRAMES)
        for kind in ("subtask", "action"):
            label, _ = window_label(getattr(said, kind)[frames])
            counts[kind].update([label] if label else [])
        named = {name for names in said.objects[frames] for name in names}
        counts["objects"].update(filter(is_labelled, named))
    return counts


# When two labels count as one


@dataclass(frozen=True)
class LabelMatch:
    """When two labels count as one.

    Parameters
    ----------
    phrase, noun : function or None
        The key of a label that is a verb with its object, and of an object's name; None where the
        match says nothing of such labels.
    needs_lemmas : bool
        Whether the lemmatiser, an extra, must be installed.
    """

    phrase: KeyOf | None
    noun: KeyOf | None
    needs_lemmas: bool = True

    @property
    def missing(self) -> str | None:
        """Why labels can't be matched like this here, if they can't."""
        if self.needs_lemmas and not labels.can_split():
            return "not installed: lemminflect; `make extras` brings it"
        return None


def _words(label: str) -> Hashable | None:
    return tuple(labels.words_of(label)) or None


def _verb_and_noun(label: str) -> Hashable | None:
    parts = labels.split(label)
    return (parts.verb, parts.noun) if parts.verb and parts.noun else None


def _head(name: str) -> Hashable | None:
    return labels.split(f"see {name}").noun  # the rule for labels wants a verb in front


MATCHES = {
    "as_written": LabelMatch(str, str, needs_lemmas=False),
    "same_text": LabelMatch(_words, _words, needs_lemmas=False),
    "same_verb_and_noun": LabelMatch(_verb_and_noun, None),
    "same_noun": LabelMatch(lambda label: labels.split(label).noun, _head),
    "same_verb": LabelMatch(lambda label: labels.split(label).verb, None),
}
"""From the strictest to the loosest; same_text passes over case, punctuation and articles."""


def match_named(name: str) -> LabelMatch:
    """Return the match of that name.

    Raises
    ------
    ParamsError
        If there is none, or what it needs is not installed.
    """
    if name not in MATCHES:
        known = did_you_mean(name, MATCHES)
        raise ParamsError("way to compare labels", f"is {name!r}", "a known one", known)
    if MATCHES[name].missing:
        raise ParamsError(
            f"way to compare labels: {name}", f"is {MATCHES[name].missing}", "lemminflect",
            "Install it, or compare same_text.",
        )  # fmt: skip
    return MATCHES[name]


# Overlap


def overlap_rows(cohort: CohortLabels, run: str, section: str) -> Iterator[Record]:
    """Yield how much of each kind of label in validation and test occurs in training.

    Yields
    ------
    Record
        ``task`` is the kind of label and ``variant`` is ``<split>_<match>``. A metric each for
        windows (with an interval over recordings) and for distinct labels; ``n_train`` counts
        distinct labels in training, ``n_test`` what the share is of (for objects, windows are pairs
        of a window and an object). A match that lacks a package, or a split without such labels, is
        a row with its reason.
    """
    for kind in KINDS:
        for name, match in MATCHES.items():
            key_of = match.noun if kind == "objects" else match.phrase
            for side in ("val", "test") if key_of else ():
                base = {"run": run, "section": section, "contract": "corrected", "task": kind}
                base["variant"] = f"{side}_{name}"
                for row in _shares(cohort, kind, side, key_of, match.missing):
                    yield Record(**base | row)


def _shares(
    cohort: CohortLabels, kind: str, side: str, key_of: KeyOf, missing: str | None
) -> Iterator[dict]:
    """Yield the fields of both metrics of one kind of label in one split."""
    if missing:
        for metric in (OF_WINDOWS, OF_LABELS):
            yield {"metric": metric, "status": "skipped", "reason": missing}
        return
    train, asked = (
        [_by_key(cohort.counts[entry.episode][kind], key_of) for entry in cohort.manifest.on(split)]
        for split in ("train", side)
    )
    known, here = set().union(*train), set().union(*asked)
    base = {"n_train": len(known)}
    if not here:
        base |= {"n_test": 0, "status": "skipped", "reason": f"no {kind} label in the split {side}"}
        for metric in (OF_WINDOWS, OF_LABELS):
            yield base | {"metric": metric}
        return
    windows = np.array([one.total() for one in asked])
    seen = np.array([sum(one[key] for key in one.keys() & known) for one in asked])
    n_windows, n_labels, share = int(windows.sum()), len(here), len(here & known) / len(here)
    of_windows = {"n_test": n_windows, "value": int(seen.sum()) / n_windows}
    yield base | {"metric": OF_WINDOWS} | of_windows | _interval(windows, seen)
    yield base | {"metric": OF_LABELS, "n_test": n_labels, "value": share}


def _by_key(counts: Counter[str], key_of: KeyOf) -> Counter[Hashable]:
    """Return windows by key, without labels that have none."""
    found: Counter[Hashable] = Counter()
    for label, n in counts.items():
        if (key := key_of(label)) is not None:
            found[key] += n
    return found


def _interval(windows: np.ndarray, seen: np.ndarray) -> dict:
    """Return the interval over recordings, or why there is none, as fields of a row."""

    def share(weights: np.ndarray) -> np.ndarray:
        total, unknown = weights @ windows, np.full(len(weights), np.nan)
        return np.divide(weights @ seen, total, out=unknown, where=total > 0)

    n = len(windows)
    over = interval(share, n, Resampling(groups=np.arange(n)), SHARE)
    if over.low is None or over.high is None:
        return {"ci_reason": f"{over.verdict}: {over.reason}"}
    return {"ci_low": over.low, "ci_high": over.high}


def overlap_table(rows: Iterable[Record]) -> "pd.DataFrame":
    """Return rows of overlap as a table: a line per kind and match, a column per split and metric.

    Other rows are passed over; rows without a value are NaN.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that only tables need

    share_of = {OF_WINDOWS: "windows", OF_LABELS: "labels"}
    cells = [
        (row.task, match, side, share_of[row.metric], row.value)
        for row in rows
        if row.metric in share_of and row.task and row.variant
        for side, _, match in [row.variant.partition("_")]
    ]
    names = ["labels", "way", "side", "share of"]
    table = pd.DataFrame(cells, columns=[*names, "value"]).set_index(names)["value"]
    return table.astype(float).unstack(names[2:], sort=False)  # noqa: PD010 - a pivot sorts
