"""Label overlap: how much of what validation and test ask for ever occurs in training."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xperience.cohort.manifest import ManifestError, SplitManifest
from xperience.errors import EpisodeError, ParamsError, XperienceError, did_you_mean
from xperience.evaluation.intervals import Segmentation, interval, interval_fields
from xperience.evaluation.metrics import SHARE
from xperience.evaluation.records import Record
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
    """The labels of a cohort, as far as its captions can be read."""

    manifest: SplitManifest  # the episodes that could be read, with their activities
    counts: Mapping[str, LabelCounts]  # windows by label, of each of them
    left_out: Mapping[str, str]  # why the others could not


def read_labels(manifest: SplitManifest, on_progress: OnProgress | None = None) -> CohortLabels:
    """Read the captions of each episode; its recording must be on disk, at least the annotation.

    If none can be read, that is a ManifestError. A single one that can't is named in ``left_out``.
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
    counts = {kind: Counter() for kind in KINDS}
    if is_labelled(said.main_task):
        counts["activity"][said.main_task.strip()] = len(starts)
    for start in starts:
        frames = slice(start, start + WINDOW_FRAMES)
        for kind in ("subtask", "action"):
            label, _ = window_label(getattr(said, kind)[frames])
            counts[kind].update([label] if label else [])
        named = {name for names in said.objects[frames] for name in names}
        counts["objects"].update(filter(is_labelled, named))
    return counts


# When two labels count as one


MATCHES: dict[str, tuple[KeyOf, KeyOf | None]] = {
    "as_written": (str, str),
    "same_text": (lambda x: tuple(labels.words_of(x)) or None,) * 2,
    "same_verb_and_noun": (lambda label: labels.split(label).both, None),
    # the rule for labels wants a verb in front of an object's name
    "same_noun": (lambda label: labels.split(label).noun, lambda x: labels.split(f"see {x}").noun),
    "same_verb": (lambda label: labels.split(label).verb, None),
}
"""When two labels count as one, from the strictest to the loosest: the key of a label that is a
verb with its object, and that of an object's name, None where the match says nothing of such.

same_text passes over case, punctuation and articles.
"""


def _missing(match: str) -> str | None:
    """Return why labels can't be matched like this here, if they can't."""
    if match in ("as_written", "same_text") or labels.can_split():
        return None
    return "not installed: lemminflect; `make extras` brings it"


def key_named(match: str) -> KeyOf:
    """Return the key of labels that are a verb with its object, by the name of a match.

    If there is none, or what it needs is not installed, that is a ParamsError.
    """
    if match not in MATCHES:
        known = did_you_mean(match, MATCHES)
        raise ParamsError("way to compare labels", f"is {match!r}", "a known one", known)
    if missing := _missing(match):
        raise ParamsError(
            f"way to compare labels: {match}", f"is {missing}", "lemminflect",
            "Install it, or compare same_text.",
        )  # fmt: skip
    return MATCHES[match][0]


# Overlap


def overlap_rows(cohort: CohortLabels, run: str, section: str) -> Iterator[Record]:
    """Yield how much of each kind of label in validation and test occurs in training.

    ``task`` is the kind of label and ``variant`` is ``<split>_<match>``. A metric each for windows
    (with an interval over recordings) and for distinct labels; ``n_train`` counts distinct labels
    in training, ``n_test`` what the share is of (for objects, windows are pairs of a window and an
    object). A match that lacks a package, or a split without such labels, is a row with its reason.
    """
    for kind, (match, keys), side in product(KINDS, MATCHES.items(), ("val", "test")):
        if (key_of := keys[kind == "objects"]) is None:
            continue
        base = {"run": run, "section": section, "contract": "corrected", "task": kind}
        base["variant"] = f"{side}_{match}"
        if missing := _missing(match):
            shares = ({"status": "skipped", "reason": missing},) * 2
        else:
            shares = _shares(cohort, kind, side, key_of)
        for metric, share in zip((OF_WINDOWS, OF_LABELS), shares, strict=True):
            yield Record(**base, metric=metric, **share)


def _shares(cohort: CohortLabels, kind: str, side: str, key_of: KeyOf) -> tuple[dict, dict]:
    """Return the fields of both metrics of one kind of label in one split."""

    def by_key(counts: Counter[str]) -> Counter[Hashable]:
        found: Counter[Hashable] = Counter()
        for label, n in counts.items():
            found[key_of(label)] += n
        del found[None]  # nothing to compare
        return found

    train, asked = (
        [by_key(cohort.counts[entry.episode][kind]) for entry in cohort.manifest.on(split)]
        for split in ("train", side)
    )
    known, here = set().union(*train), set().union(*asked)
    base = {"n_train": len(known)}
    if not here:
        base |= {"n_test": 0, "status": "skipped", "reason": f"no {kind} label in the split {side}"}
        return base, base
    windows = np.array([one.total() for one in asked])
    seen = np.array([sum(one[key] for key in one.keys() & known) for one in asked])

    def share(weights: np.ndarray) -> np.ndarray:
        total, unknown = weights @ windows, np.full(len(weights), np.nan)
        return np.divide(weights @ seen, total, out=unknown, where=total > 0)

    over = interval(share, len(asked), Segmentation(groups=np.arange(len(asked))), SHARE)
    of_windows = base | interval_fields(over) | {"n_effective": None}
    of_windows |= {"n_test": int(windows.sum()), "value": seen.sum() / windows.sum()}
    return of_windows, base | {"n_test": len(here), "value": len(here & known) / len(here)}


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
