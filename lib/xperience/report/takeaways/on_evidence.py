"""Takeaways about what evidence lacks: audio, and held-out episodes with strict answers."""

from xperience.report.takeaways.claims import Claim, Rule, Sentences, Takeaway
from xperience.report.takeaways.evidence import (
    AUDIO,
    EPISODES,
    FLOOR,
    NOTE,
    Ask,
)
from xperience.report.takeaways.facts import Fact
from xperience.report.takeaways.outcome import NEITHER, NO, YES
from xperience.report.takeaways.phrases import (
    ACROSS,
    AS_IS,
    CONSTRAINED,
    FREE,
    LINEAR_HEAD,
    NEURAL_HEAD,
    PRIMARY,
    RAW_ONLY,
    RECORD_CORRECTED,
    REPLACED,
    ROTATED,
    ROTATED_GAP,
    RUN_CORRECTED,
    RUN_PUBLISHED,
    STRICT,
    THE_FAMILY,
    THE_RECORD,
    WITHIN,
    WITHOUT,
    counted,
    each,
    note,
)
from xperience.report.takeaways.tallies import Tally


def _gains(variant: str, against: str) -> Tally:
    metrics = {task: f"{metric}_gain" for task, metric in PRIMARY.items()}
    return Tally(each(AUDIO, LINEAR_HEAD, against, variant, metrics), guard="gain_p_holm")


def _published_gains(variant: str, against: str) -> Tally:
    metrics = {task: f"{_audio_metric(task)}_gain" for task in PRIMARY}
    return Tally(each(AUDIO, "ridge", against, variant, metrics), guard="gain_p_holm")


def _audio_metric(task: str) -> str:
    """Return the measure in which the published audio study scores a task."""
    errors = ("hand_trajectory_forecast", "modality_reconstruction")
    pairs = ("temporal_order", "misalignment_detection")
    return "mae" if task in errors else "macro_f1" if task in pairs else PRIMARY[task]


def _heard(subject: str, rival: str) -> Sentences:
    rest = "not told apart on {n_open}, without a verdict on {n_untold}"
    return {
        YES: f"{subject} {rival} helps on {{better}} and hurts on {{worse}}; {rest}.",
        NO: f"{subject} {rival} hurts on {{worse}} and helps on {{better}}; {rest}.",
        NEITHER: f"{{case}}: {subject} {rival} helps on {{better}} and hurts on {{worse}}; {rest}.",
    }


def _mean(metric: str, subject: str) -> Rule:
    """Return the rule of a published mean over tasks: it has no interval, and mixes units."""
    return Rule(
        THE_RECORD,
        Tally((note(metric),)),
        {
            YES: f"In the published mean {subject} helps.",
            NO: f"In the published mean {subject} hurts.",
            NEITHER: f"In the published mean {subject} can't be told apart from none.",
        },
    )


HEARD = Takeaway(
    "audio",
    "Audio",
    "What does sound add to the other sensors, and what does it say alone?",
    "Looks at many tasks are corrected for their number (Holm). The published means add up scores "
    "of different units, from which nothing follows in either direction.",
    (
        Claim(
            "sound_helps",
            "sound helps on most tasks and hurts on none",
            (
                Rule(
                    RUN_PUBLISHED,
                    _published_gains(AS_IS, WITHOUT),
                    _heard("sound", "beside all other features"),
                ),
                Rule(
                    RUN_CORRECTED,
                    _gains(AS_IS, WITHOUT),
                    _heard("sound", "beside all other features"),
                ),
                _mean("mean_current_audio_delta", "sound"),
            ),
        ),
        Claim(
            "other_account_helps",
            "another account of sound in place of the handcrafted one helps on most tasks and "
            "hurts on none",
            (
                Rule(
                    RUN_PUBLISHED,
                    _published_gains(REPLACED, AS_IS),
                    _heard("another account of sound", "in place of the handcrafted one"),
                ),
                Rule(
                    RUN_CORRECTED,
                    _gains(REPLACED, AS_IS),
                    _heard("another account of sound", "in place of the handcrafted one"),
                ),
                _mean("mean_raw_replacement_delta", "another account of sound"),
            ),
        ),
        Claim(
            "sound_alone",
            "sound alone beats the best trivial baseline on most tasks and is worse on none",
            tuple(
                Rule(
                    place,
                    Tally(each(NOTE, head, FLOOR, RAW_ONLY, metrics)),
                    counted("sound alone", "the best trivial baseline"),
                )
                for place, head, metrics in (
                    (THE_RECORD, "ridge", {task: _audio_metric(task) for task in PRIMARY}),
                    (RECORD_CORRECTED, LINEAR_HEAD, PRIMARY),
                )
            ),
        ),
    ),
)

_LABELS = ("action", "subtask", "next_action", "contact", "transition")
_FIELDS = dict.fromkeys(_LABELS, "macro_f1_present") | {"objects": "micro_f1"}
"""Fields of an answer, and the measure of each."""


def _validity(author: str) -> Ask:
    return Ask(EPISODES, "strict_validity", head=author)


def _unseen(head: str, against: str, rival: str) -> Rule:
    """Return the rule of a head on recordings that it never saw.

    Sides rotate where the head was trained often enough, so that every recording is tested once;
    otherwise it is asked on the few recordings of one set of sides.
    """
    asks = each(EPISODES, head, against, ROTATED)
    few = () if head == LINEAR_HEAD else each(EPISODES, head, against, ACROSS)
    said = counted(f"the {head} head on unseen recordings", rival)
    return Rule(THE_FAMILY, Tally(asks, otherwise=few), said)


HELD_OUT = Takeaway(
    "heldout",
    "Held-out episodes and strict answers",
    "What holds for people and places that nobody trained on, and does a model answer in form?",
    "The cohort is simulated unless its run says otherwise. Intervals draw whole recordings. "
    "Comparisons over all tasks are not corrected for the number of looks.",
    (
        *(
            Claim(
                f"{head}_across_beats_floor",
                f"on unseen recordings the {head} head beats the best trivial baseline on most "
                "tasks and is worse on none",
                (_unseen(head, FLOOR, "the best trivial baseline"),),
            )
            for head in (LINEAR_HEAD, NEURAL_HEAD)
        ),
        Claim(
            "neural_across_beats_linear",
            "on unseen recordings the neural head is better than the linear head on most tasks and "
            "worse on none",
            (_unseen(NEURAL_HEAD, LINEAR_HEAD, "the linear head"),),
        ),
        Claim(
            "others_beat_own_beginning",
            "training on other recordings is better than on a recording's own beginning on most "
            "tasks and worse on none",
            (
                Rule(
                    THE_FAMILY,
                    Tally(each(EPISODES, LINEAR_HEAD, WITHIN, ROTATED_GAP)),
                    counted(
                        "the linear head trained on other recordings",
                        "one trained on the recording's own beginning",
                    ),
                ),
            ),
        ),
        Claim(
            "grammar_makes_valid",
            "all answers of a model that is held to a grammar are valid as strict JSON",
            (
                Rule(
                    THE_FAMILY,
                    Fact(_validity(CONSTRAINED), "equals", 1.0),
                    {
                        YES: "Held to a grammar, {percent} of a tiny model's {n_test} answers are "
                        "valid as strict JSON.",
                        NO: "Even held to a grammar, only {percent} of a tiny model's {n_test} "
                        "answers are valid as strict JSON.",
                    },
                ),
            ),
        ),
        Claim(
            "valid_unaided",
            "all answers of a model that is left free are valid as strict JSON",
            (
                Rule(
                    THE_FAMILY,
                    Fact(_validity(FREE), "equals", 1.0),
                    {
                        YES: "Left free, {percent} of a tiny model's {n_test} answers are valid "
                        "as strict JSON all the same.",
                        NO: "Left free, {percent} of a tiny model's {n_test} answers are valid as "
                        "strict JSON.",
                    },
                ),
            ),
        ),
        Claim(
            "valid_is_skilled",
            "a model that is held to a grammar beats a trivial baseline on most fields and is "
            "worse on none",
            (
                Rule(
                    THE_FAMILY,
                    Tally(
                        tuple(
                            Ask(EPISODES, metric, field, CONSTRAINED, STRICT, FLOOR)
                            for field, metric in _FIELDS.items()
                        )
                    ),
                    counted("a tiny random model held to a grammar", "the best trivial baseline"),
                ),
            ),
        ),
    ),
)
