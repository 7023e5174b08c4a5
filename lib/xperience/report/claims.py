"""The claims of the six takeaways: where each is asked, by which test, and what is said then.

A claim is one entry: its clause, and for each place (whose rows, under which contract) a rule: the
test that decides it and a sentence for every outcome that the test can have. No number stands in a
sentence: numbers come in from rows. `xperience.report.takeaways` decides and writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from xperience.evaluation.records import (
    ACROSS,
    ANSWERED,
    ANSWERING,
    METADATA,
    ONE_WORTH,
    POOLED,
    POOLED_GAP,
    PRESENT_KNOWN,
    ROLLING,
    SCALING,
    STITCHED,
    WITHIN,
)
from xperience.features.blocks import CONTRACTS
from xperience.tasks.catalogue import TASKS, tasks_of

RUN, RECORD, HELDOUT = "run", "record", "heldout"
"""Whose rows: the run's, those of the published record, those of a cohort's run."""
CONTRACT, SHIFT, NEURAL, RETRIEVAL, AUDIO, EPISODES, NOTE = (
    "01_benchmark_contract",
    "02_label_shift",
    "03_neural_heads",
    "04_retrieval_and_reconstruction",
    "05_audio",
    "06_heldout_episodes",
    "08_published_record",
)
SECTIONS = {
    RUN: (CONTRACT, SHIFT, NEURAL, RETRIEVAL, AUDIO),
    RECORD: (NOTE,),
    HELDOUT: (EPISODES,),
}
"""The metric files of each column, by their notebook."""
FLOOR = "floor"
"""Stands for the best trivial baseline, whichever it is."""
HALF = 0.5


class Outcome(StrEnum):
    """What became of a claim."""

    SUPPORTED = "supported"
    NO_DIFFERENCE = "no significant difference"
    MIXED = "mixed"
    CONTRADICTED = "contradicted"
    NOT_TESTED = "not tested"


YES, NEITHER, MIXED, NO, OPEN = Outcome
Sentences = Mapping[Outcome, str]


@dataclass(frozen=True, order=True)
class Place:
    """Whose rows are asked, and under which contract; rows of another are never looked at.

    Parameters
    ----------
    column : {"run", "record", "heldout"}
        Whose rows, as in `SECTIONS`.
    """

    column: str
    contract: str


@dataclass(frozen=True)
class Ask:
    """Which row is meant; a field that is None must be None in the row too.

    Parameters
    ----------
    section : str
        The metrics file, by its notebook.
    metric : str, optional
        None takes whichever there is, if it is one.
    against : str, optional
        A head or baseline, or `FLOOR`: the baseline that the head's own score names.
    """

    section: str
    metric: str | None = None
    task: str | None = None
    head: str | None = None
    variant: str | None = None
    against: str | None = None

    def __str__(self) -> str:
        """Return the ask in the words of the metrics file."""
        parts = (self.task, self.head, self.variant, self.metric)
        text = " ".join(part for part in parts if part)
        return f"{text} minus {self.against}" if self.against else text


# Tests: which rows decide a claim, and how


@dataclass(frozen=True)
class Compares:
    """A head is better than a rival on the same samples.

    Parameters
    ----------
    ask : Ask
        The paired difference.
    rival_variant : str, optional
        Variant of the rival's own score.
    turned : bool
        Whether the claim is that the head is worse than its rival.
    """

    ask: Ask
    rival_variant: str | None = None
    turned: bool = False


@dataclass(frozen=True)
class Matches:
    """A head is not worse than its rival by more than a margin (non-inferiority).

    Supported if the interval of the difference lies above minus the margin, contradicted if the
    head is significantly worse.

    Parameters
    ----------
    ask : Ask
        The paired difference, in a metric where more is better.
    margin : float
        The least difference that would matter, in the metric's unit.
    rival_variant : str, optional
        Variant of the rival's own score.
    turned : bool
        Whether the claim is about the rival of the row.
    """

    ask: Ask
    margin: float
    rival_variant: str | None = None
    turned: bool = False


@dataclass(frozen=True)
class Aligned:
    """Two series belong together at their own times more than at others (circular shifts).

    Parameters
    ----------
    ask : Ask
        The score of the true pairing.
    p : Ask
        The share of shifts in time that score as high.
    """

    ask: Ask
    p: Ask


@dataclass(frozen=True)
class Clears:
    """A score's whole interval lies on the better side of a bound that is known exactly.

    Parameters
    ----------
    bound : Ask, optional
        A printed number.
    constant : float, optional
        Without a printed number: what the score's own floor must be.
    zero : bool
        Whether the bound is 0 instead.
    turned : bool
        Whether the claim is that the score lies on the worse side.
    """

    ask: Ask
    bound: Ask | None = None
    constant: float | None = None
    zero: bool = False
    turned: bool = False


@dataclass(frozen=True)
class Tally:
    """A head is better than its rival on more than half of the tasks, and worse on none.

    Parameters
    ----------
    asks : tuple of Ask
        The paired differences, one per task; a task that lacks its row counts as not tested.
    otherwise : tuple of Ask
        The same comparison on less data, used if the heads of ``asks`` were never scored.
    of : {"task", "answer field"}
        What is counted.
    """

    asks: tuple[Ask, ...]
    otherwise: tuple[Ask, ...] = ()
    of: Literal["task", "answer field"] = "task"


@dataclass(frozen=True)
class Signs:
    """An input helps on more tasks than by chance: a sign test, where only counts are known.

    Parameters
    ----------
    ask : Ask
        On how many tasks it helps.
    n : int
        Of so many.
    """

    ask: Ask
    n: int


@dataclass(frozen=True)
class Parts:
    """An input is significantly better on some tasks and significantly worse on others.

    Parameters
    ----------
    asks : tuple of Ask
        The paired differences, one per task.
    """

    asks: tuple[Ask, ...]


@dataclass(frozen=True)
class Largest:
    """One of several numbers is the largest as they stand, whatever their units.

    Parameters
    ----------
    asks : tuple of Ask
        The one first.
    """

    asks: tuple[Ask, ...]


@dataclass(frozen=True)
class Fact:
    """A count or share of the recording itself has a value: nothing is drawn at random in it.

    Parameters
    ----------
    also : tuple of str
        Metrics of the same file that the sentence shows besides.
    given : str, optional
        One of them: a count that must be above zero for the fact to mean anything.
    """

    ask: Ask
    relation: Literal["equals", "above"]
    bound: float
    also: tuple[str, ...] = ()
    given: str | None = None


@dataclass(frozen=True)
class Same:
    """Rows hold the very same numbers as those of another variant."""

    asks: tuple[Ask, ...]
    variant: str


@dataclass(frozen=True)
class Every:
    """All rows of a metric have one value; variants tell them apart, that of the ask is None."""

    ask: Ask
    value: float


@dataclass(frozen=True)
class Settles:
    """A head's predictions don't hang on rounding: none of its rows is unstable."""

    asks: tuple[Ask, ...]


Test = (
    Compares | Matches | Aligned | Clears | Tally | Parts | Signs | Largest | Fact | Same | Every
    | Settles
)  # fmt: skip


def sections_of(test: Test) -> set[str]:
    """Return the metric files that a test looks at."""
    match test:
        case Aligned(ask, p):
            return {ask.section, p.section}
        case Clears(ask, bound):
            return {one.section for one in (ask, bound) if one}
        case Tally() | Parts() | Largest() | Same() | Settles():
            return {one.section for one in test.asks}
    return {test.ask.section}


@dataclass(frozen=True)
class Rule:
    """How a claim is decided in one place, and the sentence for each outcome.

    Parameters
    ----------
    said : mapping of {Outcome: template}
        One for each outcome that the test can have; "not tested" has a common one.
    """

    test: Test
    said: Sentences

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """The outcomes that the test can have."""
        if isinstance(self.test, Largest | Fact | Same | Every | Settles):
            return frozenset({YES, NO, OPEN})
        if isinstance(self.test, Aligned | Parts):
            return frozenset({YES, NEITHER, OPEN})
        many = isinstance(self.test, Tally) and len(self.test.asks) > 1
        return frozenset(Outcome) - (set() if many else {MIXED})

    def __post_init__(self) -> None:
        if lacking := self.outcomes - {*self.said, OPEN}:
            raise ValueError(f"a rule has no sentence for {sorted(lacking)}")


@dataclass(frozen=True)
class Claim:
    """Something that may hold.

    Parameters
    ----------
    text : str
        The claim as a clause: "the neural head is better than the linear head".
    rules : mapping of {Place: Rule}
        Where it is asked, and how it is decided there.
    """

    name: str
    text: str
    rules: Mapping[Place, Rule]


@dataclass(frozen=True)
class Takeaway:
    """One of the six subjects that the research comes down to.

    Parameters
    ----------
    question, scope : str
        What it answers, and what its evidence doesn't reach.
    """

    name: str
    title: str
    question: str
    scope: str
    claims: tuple[Claim, ...]


# Places, and names as they stand in metric files


RUN_PUBLISHED, RUN_CORRECTED = Place(RUN, "published"), Place(RUN, "corrected")
THE_RECORD, RECORD_CORRECTED = Place(RECORD, "published"), Place(RECORD, "corrected")
THE_FAMILY = Place(HELDOUT, "corrected")
BOTH = (RUN_PUBLISHED, RUN_CORRECTED)
ACTION, HANDS = "timeline_action", "hand_trajectory_forecast"
ORDER, MISALIGNED = "temporal_order", "misalignment_detection"
RETRIEVING, REBUILDING = "cross_modal_retrieval", "modality_reconstruction"
LINEAR_HEAD, NEURAL_HEAD = "linear", "neural"
PRIMARY = {
    contract: {task.name: task.primary.name for task in tasks_of(contract, TASKS)}
    for contract in CONTRACTS
}
"""The measure that each task is judged by, under each contract that asks it."""
DESCENDED = {
    task.name: task.primary.name
    for task in tasks_of("published", TASKS)
    if task.kind in ("classify", "multilabel")
}
"""Tasks that the published linear head learns by gradient descent, and their measures."""
PUBLISHED_MEASURES = PRIMARY["published"] | {
    HANDS: "mae",
    REBUILDING: "mae",
    ORDER: "macro_f1",
    MISALIGNED: "macro_f1",
}
"""The measure in which the published audio study scores each task."""
AS_IS, WITHOUT = "all_handcrafted_audio", "all_except_audio"
REPLACED, RAW_ONLY = "replace_handcrafted_with_raw", "raw_logmel_audio_only"
LOCAL, SEGMENTS = "local", "local_blocks"
CHRONOLOGICAL, PURGED = "chronological", "chronological_purged"
CONSTRAINED, FREE, STRICT = "tiny_model_constrained", "tiny_model_free", "strict"
THE_MODEL = "the fine-tuned model on real held-out episodes"
ANSWER_FIELDS = ("action", "subtask", "next_action", "contact", "transition", "objects")


def each(
    section: str,
    head: str,
    against: str,
    metrics: Mapping[str, str],
    variant: str | None = None,
) -> tuple[Ask, ...]:
    """Return the differences of a head from a rival on every task, in its own measure."""
    return tuple(Ask(section, name, task, head, variant, against) for task, name in metrics.items())


def note(metric: str, variant: str = "recomputed") -> Ask:
    """Return a figure of the note: as it was recomputed, or as the note prints it."""
    return Ask(NOTE, metric, variant=variant)


# Sentences that several claims share


def compared(subject: str, rival: str, shown: str = "{metric} {mine} against {other}") -> Sentences:
    """Return what is said of a head against a rival; the claim is that the head is better."""
    shown += ", difference {gap} {ends}"
    return {
        YES: f"{subject} is **{{degree}}better** than {rival}: {shown}.",
        NO: f"{subject} is **{{degree}}worse** than {rival}: {shown}.",
        NEITHER: f"{subject} is not significantly different from {rival}: {shown}{{because}}.",
    }


def erring(subject: str, rival: str) -> Sentences:
    """Return the same where scores are errors, with their ratio."""
    return compared(subject, rival, "{metric} {mine} against {other} (ratio {times})")


def over_tasks(subject: str, rival: str) -> Sentences:
    """Return what is said of a head against a rival over all tasks."""
    return _tallied(f"{subject} is", "better", "worse", f" than {rival}")


def _tallied(subject: str, better: str, worse: str, than: str = "") -> Sentences:
    rest = "no significant difference on {n_open}{untested}"
    gains = f"{subject} {better}{than} on {{better}} and {worse} on {{worse}}; {rest}."
    losses = f"{subject} {worse}{than} on {{worse}} and {better} on {{better}}; {rest}."
    return {YES: gains, NO: losses, MIXED: f"{{case}}: {gains}", NEITHER: gains}


# The benchmark contract

BENCHMARK = Takeaway(
    "contract",
    "The benchmark contract",
    "Does a recording become what the contract says, and do the note's figures follow from it?",
    "The run is one recording. Of the published record only predictions, labels and sound features "
    "are known, so figures that need other inputs can't be recomputed.",
    (
        Claim(
            "whole_windows",
            "the recording becomes all the blocks that the contract describes",
            {
                RUN_PUBLISHED: Rule(
                    Fact(
                        Ask(CONTRACT, "n_blocks_missing"),
                        "equals",
                        0.0,
                        also=("n_frames", "n_windows", "feature_dim"),
                    ),
                    {
                        YES: "No block is missing: {n_frames} frames became {n_windows} windows of "
                        "{feature_dim} features.",
                        NO: "{value} blocks of the contract are missing from {n_windows} windows.",
                    },
                ),
                THE_RECORD: Rule(
                    Same((note("windows"), note("feature_dim")), variant="note"),
                    {
                        YES: "The published tables have the windows ({windows}) and the features "
                        "({feature_dim}) that the note prints.",
                        NO: "The published tables are not what the note prints: {apart}.",
                    },
                ),
            },
        ),
        Claim(
            "clocks",
            "all streams of the recording are synchronised",
            {
                RUN_PUBLISHED: Rule(
                    Every(Ask(CONTRACT, "clocks_in_step"), 1.0),
                    {
                        YES: "Of {n} pairs of streams none is off: {kept}.",
                        NO: "Streams are not synchronised: {off}; synchronised: {kept}.",
                    },
                ),
            },
        ),
        Claim(
            "note_reproduced",
            "published numbers come out when they are recomputed",
            {
                THE_RECORD: Rule(
                    Fact(
                        Ask(NOTE, "figures_differs"),
                        "equals",
                        0.0,
                        also=(
                            "figures_exact",
                            "figures_within_tolerance",
                            "figures_derived",
                            "figures_not_recomputable",
                        ),
                        given="figures_exact",
                    ),
                    {
                        YES: "No published number that can be recomputed differs: "
                        "{figures_exact} come out exactly, {figures_within_tolerance} within "
                        "tolerance, {figures_derived} within the bounds of what was published; "
                        "{figures_not_recomputable} can't be recomputed from it.",
                        NO: "{value} published numbers differ from what is recomputed; "
                        "{figures_exact} come out exactly.",
                    },
                ),
            },
        ),
    ),
)


# Label shift

_SHARED: Sentences = {
    YES: "{percent} of the local split's test windows share frames with a training window.",
    NO: "Of the local split's test windows {percent} share frames with a training window: not most "
    "of them.",
}
_UNSEEN: Sentences = {
    YES: "{percent} of the chronological test windows show an action that no training window has.",
    NO: "Only {percent} of the chronological test windows show an action that no training window "
    "has.",
}
_COPYING: Sentences = {
    YES: "On the local split copying the label of the training window nearest in time does **as "
    "well** as the linear head: {metric} {mine} against {other}, difference {gap} {ends}, at most "
    "{margin} worse.",
    NO: "On the local split the linear head is **better** than copying the label of the training "
    "window nearest in time: {metric} {other} against {mine}, difference of copying {gap} {ends}.",
    NEITHER: "On the local split copying the label of the training window nearest in time is not "
    "significantly different from the linear head, but may be more than {margin} worse: {metric} "
    "{mine} against {other}, difference {gap} {ends}.",
}
_MATTERS = 0.05
"""The least difference of macro-F1 that would matter."""

LABEL_SHIFT = Takeaway(
    "label_shift",
    "Label shift under chronological splits",
    "What do local and chronological splits of one recording test?",
    "A recording goes on in one direction, so what a chronological split tests is one contiguous "
    "segment of one activity; few segments are independent of each other.",
    (
        Claim(
            "local_shares_frames",
            "most test windows of the local split share frames with training",
            {
                place: Rule(Fact(ask, "above", HALF), _SHARED)
                for place, ask in {
                    RUN_PUBLISHED: Ask(SHIFT, "overlap_share", ACTION, variant=LOCAL),
                    THE_RECORD: Ask(NOTE, "test_windows_sharing_frames", "all_feature_action"),
                }.items()
            },
        ),
        Claim(
            "copying_suffices",
            "on the local split copying the label nearest in time does as well as the linear head",
            {
                RUN_PUBLISHED: Rule(
                    Matches(
                        Ask(SHIFT, "macro_f1", ACTION, "copy_nearest", LOCAL, LINEAR_HEAD),
                        _MATTERS,
                        rival_variant=LOCAL,
                    ),
                    _COPYING,
                ),
                THE_RECORD: Rule(
                    Matches(
                        Ask(
                            NOTE,
                            "macro_f1",
                            "all_feature_action",
                            LINEAR_HEAD,
                            "against_neighbours",
                            "nearest_in_time",
                        ),
                        _MATTERS,
                        turned=True,
                    ),
                    _COPYING,
                ),
            },
        ),
        Claim(
            "captions_give_away",
            "captions give the label away: their words alone name the action better than all "
            "sensors do",
            {
                RUN_CORRECTED: Rule(
                    Compares(
                        Ask(SHIFT, "macro_f1", ACTION, "linear_text_only", SEGMENTS, LINEAR_HEAD),
                        rival_variant=SEGMENTS,
                    ),
                    compared(
                        "On segments held out, the linear head that reads captions alone",
                        "the one that has all sensors",
                    ),
                )
            },
        ),
        Claim(
            "most_unseen",
            "most of the chronological test asks for actions that training never shows",
            {
                place: Rule(Fact(ask, "above", HALF), _UNSEEN)
                for place, ask in {
                    RUN_PUBLISHED: Ask(SHIFT, "open_set_share", ACTION, variant=CHRONOLOGICAL),
                    RUN_CORRECTED: Ask(SHIFT, "open_set_share", ACTION, variant=PURGED),
                    THE_RECORD: Ask(NOTE, "open_set_share", ACTION),
                }.items()
            },
        ),
        Claim(
            "forward_beats_floor",
            "the linear head recognises actions forward in time better than trivial baselines do",
            {
                place: Rule(
                    Compares(Ask(section, "macro_f1", ACTION, LINEAR_HEAD, variant, FLOOR)),
                    compared(
                        "Forward in time, the linear head for actions",
                        "its best trivial baseline ({rival})",
                    ),
                )
                for place, section, variant in (
                    (RUN_PUBLISHED, SHIFT, CHRONOLOGICAL),
                    (RUN_CORRECTED, SHIFT, PURGED),
                    (THE_RECORD, NOTE, None),
                )
            },
        ),
    ),
)


# Neural against linear heads

_BY_NEURAL = {RUN_CORRECTED: NEURAL, THE_RECORD: NOTE}
"""Where the rows of neural heads are, by place: under `published` the run's are a parity check."""


def _hands(against: str, rival: str) -> dict[Place, Rule]:
    ask = Ask(NEURAL, "mpjpe", HANDS, NEURAL_HEAD, against=against)
    said = erring("The neural head's hand forecast", rival)
    return {RUN_CORRECTED: Rule(Compares(ask), said)}


def _pairs(task: str, against: str, subject: str, rival: str) -> dict[Place, Rule]:
    said = compared(f"On {subject} the neural head", rival)
    return {
        place: Rule(Compares(Ask(section, metric, task, NEURAL_HEAD, against=against)), said)
        for place, section in _BY_NEURAL.items()
        for metric in [PRIMARY[place.contract][task]]
    }


def _all_tasks(against: str, rival: str) -> dict[Place, Rule]:
    rules = {}
    for place, section in _BY_NEURAL.items():
        measures = PRIMARY[place.contract]
        if (place, against) == (THE_RECORD, LINEAR_HEAD):
            measures = DESCENDED  # of vectors the record lacks what the linear head predicts
        asks = each(section, NEURAL_HEAD, against, measures)
        rules[place] = Rule(Tally(asks), over_tasks("the neural head", rival))
    return rules


HEADS_COMPARED = Takeaway(
    "neural_heads",
    "Neural against linear heads",
    "Where does a neural head do better than a linear one, and is either any use?",
    "One chronological split of one recording. The published record's network was trained from one "
    "seed, and what is said of it holds for that one.",
    (
        Claim(
            "hands_beat_linear",
            "the neural head forecasts hands better than the linear head",
            _hands(LINEAR_HEAD, "the linear head's")
            | {
                THE_RECORD: Rule(
                    Clears(
                        Ask(NOTE, "mpjpe", HANDS, NEURAL_HEAD), note("hand_mpjpe_minimal", "note")
                    ),
                    {
                        YES: "The neural head's hand forecast is **{degree}better** than the "
                        "linear head's as printed: {metric} {mine} {ends} against {other}. The "
                        "linear head's predictions were not published, so the printed score stands "
                        "without an interval of its own.",
                        NO: "The neural head's hand forecast is **{degree}worse** than the linear "
                        "head's as printed: {metric} {mine} {ends} against {other}.",
                        NEITHER: "The neural head's hand forecast is not significantly different "
                        "from the linear head's as printed: {metric} {mine} {ends} against "
                        "{other}.",
                    },
                )
            },
        ),
        Claim(
            "hands_beat_floor",
            "the neural head forecasts hands better than a trivial baseline such as zero velocity",
            _hands(FLOOR, "the best trivial baseline ({rival})")
            | {
                THE_RECORD: Rule(
                    Compares(Ask(NOTE, "mpjpe", HANDS, NEURAL_HEAD, PRESENT_KNOWN, FLOOR)),
                    erring(
                        "Where the hands are known at present too, the neural head's forecast of "
                        "them",
                        "the best trivial baseline ({rival})",
                    ),
                )
            },
        ),
        Claim(
            "velocity_beats_zero",
            "a forecaster that sees the hands' velocity beats zero velocity",
            {
                place: Rule(
                    Compares(
                        Ask(section, "mpjpe", task, "forecast", variant, "zero_velocity"),
                        rival_variant=floor,
                    ),
                    erring("The forecast from the hands' velocity", "zero velocity"),
                )
                for place, section, task, variant, floor in (
                    (RUN_CORRECTED, NEURAL, HANDS, None, FLOOR),
                    (RECORD_CORRECTED, NOTE, STITCHED, ROLLING, f"{ROLLING}_{FLOOR}"),
                )
            },
        ),
        Claim(
            "order_beats_linear",
            "the neural head tells temporal order better than the linear head",
            _pairs(ORDER, LINEAR_HEAD, "temporal order", "the linear head"),
        ),
        Claim(
            "order_beats_floor",
            "the neural head tells temporal order better than a trivial baseline",
            _pairs(ORDER, FLOOR, "temporal order", "the best trivial baseline ({rival})"),
        ),
        Claim(
            "synchrony_beats_linear",
            "the neural head tells synchronised from misaligned streams better than the linear "
            "head",
            _pairs(MISALIGNED, LINEAR_HEAD, "synchronisation", "the linear head"),
        ),
        Claim(
            "synchrony_beats_floor",
            "the neural head tells synchronised from misaligned streams better than a trivial "
            "baseline",
            _pairs(MISALIGNED, FLOOR, "synchronisation", "the best trivial baseline ({rival})"),
        ),
        Claim(
            "tasks_beat_linear",
            "the neural head is better than the linear head on most tasks and worse on none",
            _all_tasks(LINEAR_HEAD, "the linear head"),
        ),
        Claim(
            "tasks_beat_floor",
            "the neural head is better than the best trivial baseline on most tasks and worse on "
            "none",
            _all_tasks(FLOOR, "the best trivial baseline"),
        ),
        Claim(
            "linear_settles",
            "the published linear head predicts the same in single and in double precision",
            {
                RUN_PUBLISHED: Rule(
                    Settles(
                        tuple(
                            Ask(NEURAL, metric, task, LINEAR_HEAD)
                            for task, metric in DESCENDED.items()
                        )
                    ),
                    {
                        YES: "On none of the {n} tasks that it learns by descent does the "
                        "published linear head predict otherwise in single precision than in "
                        "double.",
                        NO: "The published linear head's descent is **unstable** on {off}: in "
                        "single precision it predicts otherwise than in double, so nothing follows "
                        "from its scores there. The note's scores of it on these tasks come from "
                        "the same descent, which can't be run again, and may be as uncertain.",
                    },
                )
            },
        ),
    ),
)


# Retrieval and reconstruction


def _ranked(
    metric: str, task: str, subject: str, of_record: str = LINEAR_HEAD
) -> dict[Place, Rule]:
    return {
        place: Rule(
            Compares(Ask(section, metric, task, head, against=FLOOR)),
            compared(f"{subject} by the {head} head", "the best trivial baseline ({rival})"),
        )
        for place, section, head in (
            (RUN_PUBLISHED, RETRIEVAL, LINEAR_HEAD),
            (RUN_CORRECTED, RETRIEVAL, LINEAR_HEAD),
            (THE_RECORD, NOTE, of_record),
        )
    }


def _aligned(task: str, subject: str, of_record: str = LINEAR_HEAD) -> dict[Place, Rule]:
    """Return the rules of a retrieval: by circular shifts where the ranking is known."""
    asks = (Ask(RETRIEVAL, name, task, LINEAR_HEAD) for name in ("mrr", "mrr_shift_p"))
    test, by = Aligned(*asks), f"{subject} by the {LINEAR_HEAD} head ranks"
    shown = "{metric} {mine}, chance {other}, reached by {p} of all shifts in time"
    said = {
        YES: f"{by} **better** than chance: {shown}.",
        NEITHER: f"{by} no better than circular shifts do: {shown}.",
    }
    return _ranked("mrr", task, subject, of_record) | dict.fromkeys(BOTH, Rule(test, said))


RETRIEVED = Takeaway(
    "retrieval",
    "Retrieval and reconstruction",
    "Do motion and sound say which moment is seen, and do windows say what was written of them?",
    "Candidates are the windows of one recording: a rank says nothing of other kitchens or people.",
    (
        Claim(
            "retrieval_beats_chance",
            "retrieval across modalities ranks better than chance",
            _aligned(RETRIEVING, "Retrieval across modalities"),
        ),
        Claim(
            "retrieval_finds_moments",
            "within-action retrieval ranks better than chance",
            {
                place: Rule(
                    Clears(
                        Ask(RETRIEVAL, "within_action_auc", RETRIEVING, LINEAR_HEAD),
                        constant=HALF,
                    ),
                    {
                        YES: "Within an action, retrieval ranks the true window **above** chance: "
                        "of the other windows of the action a share of {mine} {ends} ranks below "
                        "it, where chance has {other}.",
                        NO: "Within an action, retrieval ranks the true window **below** chance: "
                        "a share of {mine} {ends} ranks below it, where chance has {other}.",
                        NEITHER: "Within an action, retrieval is not significantly different from "
                        "chance: {mine} {ends} where chance has {other}.",
                    },
                )
                for place in BOTH
            },
        ),
        Claim(
            "grounding_beats_chance",
            "sensors find the text of their window better than chance",
            _aligned("caption_grounding", "Caption grounding", NEURAL_HEAD),
        ),
        Claim(
            "rebuilt_beats_mean",
            "motion and sound rebuild the visual features better than a trivial baseline",
            _ranked("r2", REBUILDING, "Reconstruction"),
        ),
        Claim(
            "linear_retrieves_better",
            "the linear head retrieves across modalities better than the neural head",
            {
                place: Rule(
                    Compares(
                        Ask(section, "mrr", RETRIEVING, NEURAL_HEAD, against=LINEAR_HEAD),
                        turned=True,
                    ),
                    compared("Retrieval by the linear head", "that by the neural head"),
                )
                for place, section in _BY_NEURAL.items()
            },
        ),
        Claim(
            "rebuilt_below_zero",
            "reconstruction is worse than the mean of the test windows",
            {
                place: Rule(
                    Clears(
                        Ask(section, "r2", REBUILDING, LINEAR_HEAD),
                        zero=True,
                        turned=True,
                    ),
                    {
                        YES: "Reconstruction by the linear head is **worse** than the mean of the "
                        "test windows: {metric} {mine} {ends}.",
                        NO: "Reconstruction by the linear head is **better** than the mean of the "
                        "test windows: {metric} {mine} {ends}.",
                        NEITHER: "Reconstruction by the linear head is not significantly different "
                        "from the mean of the test windows: {metric} {mine} {ends}.",
                    },
                )
                for place, section in (
                    (RUN_PUBLISHED, RETRIEVAL),
                    (RUN_CORRECTED, RETRIEVAL),
                    (THE_RECORD, NOTE),
                )
            },
        ),
    ),
)


# Audio


def _audio(blocks: tuple[str, str], subject: str, beside: str, count: str) -> dict[Place, Rule]:
    """Return the rules of a variant against another, and of its published count of tasks.

    The published mean over tasks mixes units, and nothing follows from it.
    """
    variant, against = blocks
    said = _tallied(f"{subject} {beside}", "helps", "hurts")
    rules = {}
    for place, head, measures in (
        (RUN_PUBLISHED, "ridge", PUBLISHED_MEASURES),
        (RUN_CORRECTED, LINEAR_HEAD, PRIMARY["corrected"]),
    ):
        gains = {task: f"{metric}_gain" for task, metric in measures.items()}
        asks = each(AUDIO, head, against, gains, variant)
        rules[place] = Rule(Tally(asks), said)
    shown = "by the published scores on {mine} of {n} tasks (sign test, p {p})"
    of_count = {
        YES: f"{subject} {beside} helps more often than not: {shown}.",
        NO: f"{subject} {beside} hurts more often than not: it helps {shown}.",
        NEITHER: f"{subject} {beside} helps no more often than by chance: {shown}.",
    }
    test = Signs(note(count), len(PUBLISHED_MEASURES))
    return rules | {THE_RECORD: Rule(test, of_count)}


def _gains(head: str, measures: Mapping[str, str], section: str = AUDIO) -> tuple[Ask, ...]:
    """Return what sound adds to each task."""
    gains = {task: f"{metric}_gain" for task, metric in measures.items()}
    return each(section, head, WITHOUT, gains, AS_IS)


SOUND = Takeaway(
    "audio",
    "Audio",
    "What does sound add to the other sensors, and what does it say alone?",
    "The published means add up scores of different units, from which nothing follows in either "
    "direction.",
    (
        Claim(
            "sound_helps",
            "sound helps on most tasks and hurts on none",
            _audio(
                (AS_IS, WITHOUT),
                "sound",
                "beside all other features",
                "tasks_where_current_audio_improves",
            ),
        ),
        Claim(
            "alternative_audio_helps",
            "alternative audio features in place of the handcrafted ones help on most tasks and "
            "hurt on none",
            _audio(
                (REPLACED, AS_IS),
                "the alternative audio block",
                "in place of the handcrafted one",
                "tasks_where_raw_replacement_improves",
            ),
        ),
        Claim(
            "sound_alone",
            "sound alone beats the best trivial baseline on most tasks and is worse on none",
            {
                place: Rule(
                    Tally(each(NOTE, head, FLOOR, measures, RAW_ONLY)),
                    over_tasks("sound alone", "the best trivial baseline"),
                )
                for place, head, measures in (
                    (THE_RECORD, "ridge", PUBLISHED_MEASURES),
                    (RECORD_CORRECTED, LINEAR_HEAD, PRIMARY["corrected"]),
                )
            },
        ),
        Claim(
            "sound_helps_some",
            "sound helps some tasks and hurts others",
            {
                place: Rule(
                    Parts(asks),
                    {
                        YES: "sound helps on {better} and hurts on {worse}.",
                        NEITHER: "That sound helps some tasks and hurts others is not shown: it "
                        "helps on {better} and hurts on {worse}; no significant difference on "
                        "{n_open} tasks.",
                    },
                )
                for place, asks in {
                    RUN_PUBLISHED: _gains("ridge", PUBLISHED_MEASURES),
                    RUN_CORRECTED: _gains(LINEAR_HEAD, PRIMARY["corrected"]),
                    THE_RECORD: _gains("ridge", PUBLISHED_MEASURES, NOTE),
                }.items()
            },
        ),
        Claim(
            "sound_rebuilds",
            "the largest gain from sound is in reconstruction",
            {
                place: Rule(
                    Largest(tuple(sorted(asks, key=lambda ask: ask.task != REBUILDING))),
                    {
                        YES: "Of all gains from sound, in whatever unit, that in {first} is the "
                        "**largest**: {mine}; next is {next} with {other}.",
                        NO: "Of all gains from sound, in whatever unit, that in {first} is **not** "
                        "the largest: {mine}, where {next} has {other}.",
                    },
                )
                for place, asks in {
                    RUN_PUBLISHED: _gains("ridge", PUBLISHED_MEASURES),
                    THE_RECORD: _gains("ridge", PUBLISHED_MEASURES, NOTE),
                }.items()
            },
        ),
    ),
)


# Held-out episodes and strict answers


def _unseen(head: str, against: str, rival: str) -> dict[Place, Rule]:
    """Return the rule of a head on recordings that it never saw.

    It rests on the folds of a cross-validation where the head was trained often enough, else on the
    few test recordings of one split.
    """
    measures = PRIMARY["corrected"]
    few = () if head == LINEAR_HEAD else each(EPISODES, head, against, measures, ACROSS)
    test = Tally(each(EPISODES, head, against, measures, POOLED), otherwise=few)
    return {THE_FAMILY: Rule(test, over_tasks(f"the {head} head on unseen recordings", rival))}


def _recordings(ending: str, subject: str) -> dict[Place, Rule]:
    """Return the rule of 16 training recordings against one."""
    gains = {task: f"{name}_gain" for task, name in PRIMARY["corrected"].items()}
    del gains[REBUILDING]  # scored in deviations of what was learnt from
    asks = each(EPISODES, LINEAR_HEAD, f"{SCALING}1", gains, f"{SCALING}16{ending}")
    said = over_tasks(subject, "one trained on a single recording")
    return {THE_FAMILY: Rule(Tally(asks), said)}


SPLITS = ("train", "val", "test")


def _valid(head: str, yes: str, no: str) -> dict[Place, Rule]:
    share = "{percent} of a tiny model's {n_test} answers are valid as strict JSON"
    test = Fact(Ask(EPISODES, "strict_validity", head=head), "equals", 1.0)
    return {THE_FAMILY: Rule(test, {YES: yes.format(share), NO: no.format(share)})}


def _of_answers(against: str, *fields: str) -> tuple[Ask, ...]:
    """Return the real answers' differences from a rival, one per field."""
    metrics = {name: "micro_f1" if name == "objects" else "macro_f1" for name in fields}
    return tuple(
        Ask(NOTE, metric, ANSWERED + name, ANSWERING, against=against)
        for name, metric in metrics.items()
    )


def _meets_target(rule: str, valid: str) -> dict[Place, Rule]:
    shown = f"a share of {{mine}} {{ends}} of them {valid}, where the target is {{other}}"
    ask = Ask(NOTE, f"{rule}_validity", head=ANSWERING)
    said = {
        YES: f"The fine-tuned model's published answers **meet** the note's target: {shown}.",
        NO: f"The fine-tuned model's published answers **miss** the note's target: {shown}.",
        NEITHER: f"The fine-tuned model's published answers neither clearly meet nor clearly miss "
        f"the note's target: {shown}.",
    }
    return {THE_RECORD: Rule(Clears(ask, note("json_validity_target", "note")), said)}


HELD_OUT = Takeaway(
    "heldout",
    "Held-out episodes and strict answers",
    "What holds for people and places that nobody trained on, and does a model answer in form?",
    "The cohort is simulated unless its run says otherwise; its answers are a tiny random model's. "
    "The published answers are about real episodes; their floors come from the test truth.",
    (
        Claim(
            "linear_across_beats_floor",
            "on unseen recordings the linear head beats the best trivial baseline on most tasks "
            "and is worse on none",
            _unseen(LINEAR_HEAD, FLOOR, "the best trivial baseline"),
        ),
        Claim(
            "neural_across_beats_floor",
            "on unseen recordings the neural head beats the best trivial baseline on most tasks "
            "and is worse on none",
            _unseen(NEURAL_HEAD, FLOOR, "the best trivial baseline"),
        ),
        Claim(
            "neural_across_beats_linear",
            "on unseen recordings the neural head is better than the linear head on most tasks and "
            "worse on none",
            _unseen(NEURAL_HEAD, LINEAR_HEAD, "the linear head"),
        ),
        Claim(
            "others_beat_own_beginning",
            "training on other recordings is better than on a recording's own beginning on most "
            "tasks and worse on none",
            {
                THE_FAMILY: Rule(
                    Tally(each(EPISODES, LINEAR_HEAD, WITHIN, PRIMARY["corrected"], POOLED_GAP)),
                    over_tasks(
                        "the linear head trained on other recordings",
                        "one trained on the recording's own beginning",
                    ),
                )
            },
        ),
        Claim(
            "more_recordings_help",
            "a head that learnt from sixteen recordings is better than one that learnt from one on "
            "most tasks and worse on none",
            _recordings("", "the linear head trained on sixteen recordings"),
        ),
        Claim(
            "recordings_beat_windows",
            "at equal numbers of training windows, windows of sixteen recordings are better than "
            "those of one on most tasks and worse on none",
            _recordings(
                ONE_WORTH, "the linear head trained on equally many windows, of sixteen recordings,"
            ),
        ),
        Claim(
            "grammar_makes_valid",
            "all answers of a model under grammar-constrained decoding are valid as strict JSON",
            _valid(
                CONSTRAINED,
                "With grammar-constrained decoding, {}.",
                "Even with grammar-constrained decoding, only {}.",
            ),
        ),
        Claim(
            "valid_unaided",
            "all answers of a model under unconstrained decoding are valid as strict JSON",
            _valid(
                FREE,
                "With unconstrained decoding, {} all the same.",
                "With unconstrained decoding, {}.",
            ),
        ),
        Claim(
            "valid_is_skilled",
            "a model under grammar-constrained decoding beats a trivial baseline on most fields "
            "and is worse on none",
            {
                THE_FAMILY: Rule(
                    Tally(
                        tuple(
                            Ask(EPISODES, metric, label, CONSTRAINED, STRICT, FLOOR)
                            for label, metric in (
                                ("action", "macro_f1_present"),
                                ("subtask", "macro_f1_present"),
                                ("next_action", "macro_f1_present"),
                                ("contact", "macro_f1_present"),
                                ("transition", "macro_f1_present"),
                                ("objects", "micro_f1"),
                            )
                        ),
                        of="answer field",
                    ),
                    over_tasks(
                        "a tiny random model under grammar-constrained decoding",
                        "the best trivial baseline",
                    ),
                )
            },
        ),
        Claim(
            "answers_meet_target",
            "the fine-tuned model's answers hold whole JSON as often as the note aims at",
            _meets_target("lenient", "hold an object with all keys"),
        ),
        Claim(
            "answers_valid_as_declared",
            "the fine-tuned model's answers are strictly valid as often as the note aims at",
            _meets_target("strict", "are valid as declared"),
        ),
        Claim(
            "answers_beat_floor",
            "the fine-tuned model beats the best trivial baseline on most fields and is worse on "
            "none",
            {
                THE_RECORD: Rule(
                    Tally(_of_answers(FLOOR, *ANSWER_FIELDS), of="answer field"),
                    over_tasks(THE_MODEL, "the best trivial baseline"),
                )
            },
        ),
        Claim(
            "answers_know_verbs",
            "the fine-tuned model predicts the action's verb better than a trivial baseline",
            {
                RECORD_CORRECTED: Rule(
                    Compares(*_of_answers(FLOOR, "action_verb")),
                    compared(
                        "The fine-tuned model's verb of the action",
                        "the best trivial baseline ({rival})",
                    ),
                )
            },
        ),
        Claim(
            "answers_beat_metadata",
            "the fine-tuned model beats a baseline that sees metadata alone on most fields and is "
            "worse on none",
            {
                THE_RECORD: Rule(
                    Tally(
                        _of_answers(METADATA, "action", "subtask", "contact", "transition"),
                        of="answer field",
                    ),
                    over_tasks(THE_MODEL, "the metadata baseline"),
                )
            },
        ),
        Claim(
            "metadata_names_actions",
            "the baseline that sees metadata alone predicts most of the actions that are tested",
            {
                THE_RECORD: Rule(
                    Fact(Ask(NOTE, "distinct_share", f"{ANSWERED}action", METADATA), "above", HALF),
                    {
                        YES: "The metadata baseline predicts {percent} of the number of different "
                        "actions that its {n_test} test windows show.",
                        NO: "The metadata baseline predicts few actions: only {percent} of the "
                        "number of different ones that its {n_test} test windows show.",
                    },
                )
            },
        ),
    ),
)

TAKEAWAYS = (BENCHMARK, LABEL_SHIFT, HEADS_COMPARED, RETRIEVED, SOUND, HELD_OUT)
"""All takeaways in reading order."""

EXTENTS: Mapping[Place, tuple[str, Mapping[str, Ask]]] = {
    RUN_PUBLISHED: (
        "one recording of {frames} frames, {windows} windows",
        {"frames": Ask(CONTRACT, "n_frames"), "windows": Ask(CONTRACT, "n_windows")},
    ),
    THE_RECORD: (
        "one recording of {windows} windows; {known} of its published scores are recomputed; "
        "{answered} answers about windows of {episodes} held-out episodes",
        {
            "windows": note("windows"),
            "known": Ask(NOTE, "report_scores_recomputed"),
            "answered": note("held_out_test_windows"),
            "episodes": Ask(NOTE, "heldout_episodes", variant="test"),
        },
    ),
    THE_FAMILY: (
        "{train} recordings to train on, {val} to choose on, {test} to test on",
        {side: Ask(EPISODES, "recordings", variant=side) for side in SPLITS},
    ),
}
"""How much a column's evidence is of: what is said, and the rows that it is said from."""
