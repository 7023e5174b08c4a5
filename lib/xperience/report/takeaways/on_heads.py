"""Takeaways about heads: neural against linear, retrieval and reconstruction."""

from xperience.report.takeaways.claims import Claim, Rule, Sentences, Takeaway
from xperience.report.takeaways.comparisons import Clears, Compares
from xperience.report.takeaways.evidence import (
    FLOOR,
    NEURAL,
    NOTE,
    RECORD,
    RETRIEVAL,
    Ask,
    Place,
)
from xperience.report.takeaways.outcome import HALF, NEITHER, NO, YES
from xperience.report.takeaways.phrases import (
    BOTH,
    HANDS,
    LINEAR_HEAD,
    NEURAL_HEAD,
    ORDER,
    PRESENT_KNOWN,
    RUN_CORRECTED,
    RUN_PUBLISHED,
    THE_RECORD,
    compared,
    counted,
    each,
    erring,
    note,
)
from xperience.report.takeaways.tallies import Tally

_HAND_RIVALS = {
    LINEAR_HEAD: erring("The neural head's hand forecast", "the linear head's"),
    FLOOR: erring("The neural head's hand forecast", "the best trivial guess ({rival})"),
}
_SEEN_HANDS = erring(
    "Where the hands are known at present too, the neural head's forecast of them",
    "the best trivial guess ({rival})",
)
_PRINTED: Sentences = {
    YES: "The neural head's hand forecast is **{degree}better** than the linear head's as printed: "
    "{metric} {mine} {ends} against {other}. The linear head's predictions were not published, so "
    "the printed score stands without an interval of its own.",
    NO: "The neural head's hand forecast is **{degree}worse** than the linear head's as printed: "
    "{metric} {mine} {ends} against {other}.",
    NEITHER: "The neural head's hand forecast can't be told apart from the linear head's as "
    "printed: {metric} {mine} {ends} against {other}.",
}


def _hands(against: str, place: Place) -> Rule:
    return Rule(
        place,
        Compares(Ask(NEURAL, "mpjpe", HANDS, NEURAL_HEAD, against=against)),
        _HAND_RIVALS[against],
    )


def _ordered(against: str, place: Place) -> Rule:
    section = NOTE if place.column == RECORD else NEURAL
    rival = "the linear head's" if against == LINEAR_HEAD else "the best trivial baseline ({rival})"
    return Rule(
        place,
        Compares(Ask(section, "f1", ORDER, NEURAL_HEAD, against=against)),
        compared("The neural head's verdict on temporal order", rival),
    )


HEADS_COMPARED = Takeaway(
    "neural_heads",
    "Neural against linear heads",
    "Where does a neural head do better than a linear one, and is either any use?",
    "One chronological split of one recording. The comparison over all tasks is not corrected for "
    "the number of looks, so that one task may stand out by chance.",
    (
        Claim(
            "hands_beat_linear",
            "the neural head forecasts hands better than the linear head",
            (
                *(_hands(LINEAR_HEAD, place) for place in BOTH),
                Rule(
                    THE_RECORD,
                    Clears(
                        Ask(NOTE, "mpjpe", HANDS, NEURAL_HEAD), note("hand_mpjpe_minimal", "note")
                    ),
                    _PRINTED,
                ),
            ),
        ),
        Claim(
            "hands_beat_resting",
            "the neural head forecasts hands better than a trivial guess such as hands at rest",
            (
                *(_hands(FLOOR, place) for place in BOTH),
                Rule(
                    THE_RECORD,
                    Compares(Ask(NOTE, "mpjpe", HANDS, NEURAL_HEAD, PRESENT_KNOWN, FLOOR)),
                    _SEEN_HANDS,
                ),
            ),
        ),
        Claim(
            "order_beats_linear",
            "the neural head tells temporal order better than the linear head",
            tuple(_ordered(LINEAR_HEAD, place) for place in (*BOTH, THE_RECORD)),
        ),
        Claim(
            "order_beats_floor",
            "the neural head tells temporal order better than a trivial baseline",
            tuple(_ordered(FLOOR, place) for place in (*BOTH, THE_RECORD)),
        ),
        Claim(
            "tasks_beat_linear",
            "the neural head is better than the linear head on most tasks and worse on none",
            tuple(
                Rule(
                    place,
                    Tally(each(section, NEURAL_HEAD, LINEAR_HEAD)),
                    counted("the neural head", "the linear head"),
                )
                for place, section in (
                    (RUN_PUBLISHED, NEURAL),
                    (RUN_CORRECTED, NEURAL),
                    (THE_RECORD, NOTE),
                )
            ),
        ),
        Claim(
            "tasks_beat_floor",
            "the neural head is better than the best trivial baseline on most tasks and worse on "
            "none",
            tuple(
                Rule(
                    place,
                    Tally(each(section, NEURAL_HEAD, FLOOR)),
                    counted("the neural head", "the best trivial baseline"),
                )
                for place, section in (
                    (RUN_PUBLISHED, NEURAL),
                    (RUN_CORRECTED, NEURAL),
                    (THE_RECORD, NOTE),
                )
            ),
        ),
    ),
)


def _ranked(task: str, subject: str, *, head: str = LINEAR_HEAD) -> tuple[Rule, ...]:
    heads = {RUN_PUBLISHED: LINEAR_HEAD, RUN_CORRECTED: LINEAR_HEAD, THE_RECORD: head}
    metric = "r2" if task == "modality_reconstruction" else "mrr"
    return tuple(
        Rule(
            place,
            Compares(
                Ask(NOTE if place == THE_RECORD else RETRIEVAL, metric, task, own, against=FLOOR)
            ),
            compared(f"{subject} by the {own} head", "the best trivial baseline ({rival})"),
        )
        for place, own in heads.items()
    )


RETRIEVED = Takeaway(
    "retrieval",
    "Retrieval and reconstruction",
    "Do motion and sound say which moment is seen, and do windows say what was written of them?",
    "Candidates are the windows of one recording: a rank says nothing of other kitchens or people. "
    "The record holds no predictions of retrieval across modalities nor of reconstruction.",
    (
        Claim(
            "retrieval_beats_chance",
            "retrieval across modalities ranks better than chance",
            _ranked("cross_modal_retrieval", "Retrieval across modalities"),
        ),
        Claim(
            "retrieval_finds_moments",
            "retrieval tells the moments of one action apart better than chance",
            tuple(
                Rule(
                    place,
                    Clears(
                        Ask(RETRIEVAL, "within_action_auc", "cross_modal_retrieval", LINEAR_HEAD),
                        constant=HALF,
                    ),
                    {
                        YES: "Within an action retrieval ranks the true window **above** chance: "
                        "of the other windows of the action a share of {mine} {ends} ranks below "
                        "it, where chance has {other}.",
                        NO: "Within an action retrieval ranks the true window **below** chance: "
                        "a share of {mine} {ends} ranks below it, where chance has {other}.",
                        NEITHER: "Within an action retrieval can't be told apart from chance: "
                        "{mine} {ends} where chance has {other}.",
                    },
                )
                for place in BOTH
            ),
        ),
        Claim(
            "grounding_beats_chance",
            "sensors find the text of their window better than chance",
            _ranked("caption_grounding", "Caption grounding", head=NEURAL_HEAD),
        ),
        Claim(
            "rebuilt_beats_mean",
            "motion and sound rebuild the visual features better than a trivial guess",
            _ranked("modality_reconstruction", "Reconstruction"),
        ),
    ),
)
