"""What the captions of a cohort say: each episode's labels, counted by window."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from xperience.cohort.roster import Roster, RosterError
from xperience.errors import EpisodeError, ParamsError, XperienceError, did_you_mean
from xperience.features.windows import WINDOW_FRAMES, window_label, window_starts
from xperience.progress import OnProgress
from xperience.recording import labels
from xperience.recording.captions import FrameLabels, is_labelled
from xperience.recording.recording import Episode

KINDS = ("activity", "subtask", "action", "objects")
PHRASES = ("activity", "subtask", "action")
"""Kinds whose labels are a verb with its object; objects are bare nouns."""


@dataclass(frozen=True)
class Wording:
    """What one episode's captions say.

    Parameters
    ----------
    activity : str
        What the whole recording shows, "" if the captions don't say.
    n_windows : int
    counts : dict of {kind: Counter of {label: windows}}
        How many windows have a label, as written. A window has at most one action and one subtask
        (by the contract's rule), any number of objects, and always the activity.
    """

    activity: str
    n_windows: int
    counts: dict[str, Counter[str]]


@dataclass(frozen=True)
class Reading:
    """The captions of a roster, as far as they can be read.

    Parameters
    ----------
    roster : Roster
        The episodes that could be read, with their activities.
    wordings : dict of {episode: Wording}
    left_out : dict of {episode: reason}
        Those that could not.
    """

    roster: Roster
    wordings: dict[str, Wording]
    left_out: dict[str, str] = field(default_factory=dict)


def read_wordings(roster: Roster, on_progress: OnProgress | None = None) -> Reading:
    """Read the captions of each episode of a roster.

    Parameters
    ----------
    roster : Roster
        Its recordings must be on disk; of them only annotations are needed.
    on_progress : callable (step, done, total), optional

    Raises
    ------
    RosterError
        If none can be read. A single one that can't is named in ``left_out``.
    """
    wordings, left_out = {}, {}
    for done, entry in enumerate(roster, 1):
        try:
            wordings[entry.episode] = read_wording(roster.folder(entry))
        except (XperienceError, OSError) as error:
            left_out[entry.episode] = str(error)
        if on_progress:
            on_progress("captions", done, len(roster))
    if not wordings:
        raise RosterError(
            "roster",
            f"names {len(roster)} episodes, none of them readable "
            f"(first: {next(iter(left_out.values()))})",
            "captions to read",
            "Stage the recordings first.",
        )
    entries = (
        entry.model_copy(update={"activity": wordings[entry.episode].activity})
        for entry in roster
        if entry.episode in wordings
    )
    return Reading(Roster(tuple(entries), roster.root), wordings, left_out)


def read_wording(folder: Path | str) -> Wording:
    """Read the captions of one episode.

    Raises
    ------
    EpisodeError
        If there is no usable annotation, or it holds no captions that can be read.
    """
    with Episode(folder) as episode:
        state = episode.streams["captions"]
        if not state.usable:
            raise EpisodeError(
                f"{episode.name}/captions",
                "; ".join(map(str, state.faults)) or f"are {state.status}",
                "captions",
                "Leave the episode out, or mend its captions.",
            )
        return wording_of(episode.labels_of("corrected"), episode.n_frames)


def wording_of(said: FrameLabels, n_frames: int) -> Wording:
    """Count the labels of frames by window.

    Parameters
    ----------
    said : FrameLabels
    n_frames : int
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
    return Wording(activity, len(starts), counts)


# Ways to call two labels the same.

KeyOf = Callable[[str], Hashable | None]
"""A label to what must be equal; None where the label has nothing to compare."""


@dataclass(frozen=True)
class Way:
    """A way to call two labels the same.

    Parameters
    ----------
    name, rule : str
    phrase, noun : function, optional
        The key of a label that is a verb with its object, and of one that is a bare noun; None
        where the way says nothing of such labels.
    needs_lemmas : bool
        Whether the lemmatiser, an extra, must be installed.
    """

    name: str
    rule: str
    phrase: KeyOf | None
    noun: KeyOf | None
    needs_lemmas: bool = True

    @property
    def missing(self) -> str | None:
        """Why this way can't be gone here, if it can't."""
        if self.needs_lemmas and not labels.can_split():
            return "not installed: lemminflect; `make extras` brings it"
        return None

    def key_of(self, kind: str) -> KeyOf | None:
        """Return the key of labels of one of `KINDS`, None if this way says nothing of it."""
        return self.phrase if kind in PHRASES else self.noun


def _words(label: str) -> Hashable | None:
    return tuple(labels.words_of(label)) or None


def _both(label: str) -> Hashable | None:
    parts = labels.split(label)
    return (parts.verb, parts.noun) if parts.verb and parts.noun else None


def _head(name: str) -> Hashable | None:
    return labels.split(f"see {name}").noun  # the rule for labels wants a verb in front


WAYS = {
    way.name: way
    for way in (
        Way("as_written", "The same text.", lambda x: x, lambda x: x, needs_lemmas=False),
        Way("same_text", "The same words, whatever case, punctuation and articles.",
            _words, _words, needs_lemmas=False),
        Way("same_verb_and_noun", "The same verb and the same head noun.", _both, None),
        Way("same_noun", "The same head noun.", lambda x: labels.split(x).noun, _head),
        Way("same_verb", "The same verb.", lambda x: labels.split(x).verb, None),
    )
}  # fmt: skip
"""From the strictest to the loosest."""


def way_named(name: str) -> Way:
    """Return a way by its name.

    Raises
    ------
    ParamsError
        If there is none of that name, or what it needs is not installed.
    """
    if name not in WAYS:
        known = did_you_mean(name, WAYS)
        raise ParamsError("way to compare labels", f"is {name!r}", "a known one", known)
    if WAYS[name].missing:
        raise ParamsError(
            f"way to compare labels: {name}", f"is {WAYS[name].missing}", "lemminflect",
            "Install it, or compare same_text.",
        )  # fmt: skip
    return WAYS[name]


def keys(counts: Iterable[str], key_of: KeyOf) -> dict[str, Hashable]:
    """Return the key of each label that has one."""
    found = {label: key_of(label) for label in counts}
    return {label: key for label, key in found.items() if key is not None}
