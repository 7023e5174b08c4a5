"""The six takeaways: their claims, how each is decided, and what is said of each outcome.

No number stands in a sentence: numbers come in from rows.
"""

from xperience.report.takeaways.claims import Claim, Rule, Sentences, Takeaway
from xperience.report.takeaways.evidence import (
    AUDIO,
    CONTRACT,
    CORRECTED,
    EPISODES,
    FLOOR,
    HELDOUT,
    NEURAL,
    NOTE,
    PUBLISHED,
    RECORD,
    RETRIEVAL,
    RUN,
    SHIFT,
    Ask,
    Place,
)
from xperience.report.takeaways.judge import (
    HALF,
    NEITHER,
    NO,
    YES,
    Clears,
    Compares,
    Every,
    Fact,
    Same,
    Tally,
)
from xperience.studies.audio_variants import AS_IS, RAW_ONLY, REPLACED, WITHOUT
from xperience.studies.heldout.rotation import ROTATED, ROTATED_GAP
from xperience.studies.heldout.within import WITHIN
from xperience.studies.record_scores import PRESENT_KNOWN
from xperience.studies.shift import CHRONOLOGICAL, LOCAL, PURGED
from xperience.tasks.catalogue import TASKS

RUN_PUBLISHED, RUN_CORRECTED = Place(RUN, PUBLISHED), Place(RUN, CORRECTED)
THE_RECORD, RECORD_CORRECTED = Place(RECORD, PUBLISHED), Place(RECORD, CORRECTED)
THE_FAMILY = Place(HELDOUT, CORRECTED)
BOTH = (RUN_PUBLISHED, RUN_CORRECTED)
ACTION, HANDS, ORDER = "timeline_action", "hand_trajectory_forecast", "temporal_order"
LINEAR_HEAD, NEURAL_HEAD = "linear", "neural"
TASK_NAMES = tuple(task.name for task in TASKS)


def _compared(subject: str, rival: str) -> Sentences:
    """Return what is said of a head against a rival; the claim is that the head is better."""
    scores = "{metric} {mine} against {other}, difference {gap} {ends}"
    return {
        YES: f"{subject} is **{{degree}}better** than {rival}: {scores}.",
        NO: f"{subject} is **{{degree}}worse** than {rival}: {scores}.",
        NEITHER: f"{subject} can't be told apart from {rival}: {scores} includes zero.",
    }


def _erring(subject: str, rival: str) -> Sentences:
    """Return the same where scores are errors: how many times as large they are is told."""
    scores = "{metric} {mine} against {other} ({times} times as large), difference {gap} {ends}"
    return {
        YES: f"{subject} is **{{degree}}better** than {rival}: {scores}.",
        NO: f"{subject} is **{{degree}}worse** than {rival}: {scores}.",
        NEITHER: f"{subject} can't be told apart from {rival}: {scores} includes zero.",
    }


def _counted(subject: str, rival: str) -> Sentences:
    """Return what is said of a head against a rival over all tasks."""
    rest = "not told apart on {n_open}, without a verdict on {n_untold}"
    compared = f"{{side}} than {rival} on"
    better, worse = compared.format(side="better"), compared.format(side="worse")
    return {
        YES: f"{subject} is {better} {{better}} and worse on {{worse}}; {rest}.",
        NO: f"{subject} is {worse} {{worse}} and better on {{better}}; {rest}.",
        NEITHER: f"It isn't so in general: {subject} is {better} {{better}} and worse on "
        f"{{worse}}; {rest}.",
    }


def _each(section: str, head: str, against: str, variant: str | None = None) -> Tally:
    return Tally(
        tuple(
            Ask(section, task=task, head=head, against=against, variant=variant)
            for task in TASK_NAMES
        )
    )


def _note(metric: str, variant: str = "recomputed") -> Ask:
    return Ask(NOTE, metric, variant=variant)


_CONTRACT = Takeaway(
    "contract",
    "The benchmark contract",
    "Does a recording become what the contract says, and do the note's figures follow from it?",
    "The run is one recording. Of the published record only predictions, labels and sound features "
    "are known, so figures that need other inputs can't be recomputed.",
    (
        Claim(
            "whole_windows",
            "the recording becomes all the blocks that the contract describes",
            (
                Rule(
                    RUN_PUBLISHED,
                    Fact(
                        Ask(CONTRACT, "n_blocks_missing"),
                        "equals",
                        0.0,
                        also={
                            "n_frames": Ask(CONTRACT, "n_frames"),
                            "n_windows": Ask(CONTRACT, "n_windows"),
                            "n_features": Ask(CONTRACT, "feature_dim"),
                        },
                    ),
                    {
                        YES: "No block is missing: {n_frames} frames became {n_windows} windows of "
                        "{n_features} features.",
                        NO: "{value} blocks of the contract are missing from {n_windows} windows.",
                    },
                ),
                Rule(
                    THE_RECORD,
                    Same(
                        tuple(
                            (_note(name), _note(name, "note"))
                            for name in ("n_windows", "feature_dim")
                        )
                    ),
                    {
                        YES: "The published tables have the windows ({n_windows}) and the features "
                        "({feature_dim}) that the note prints.",
                        NO: "The published tables are not what the note prints: {apart}.",
                    },
                ),
            ),
        ),
        Claim(
            "clocks",
            "all clocks of the recording are in step",
            (
                Rule(
                    RUN_PUBLISHED,
                    Every(CONTRACT, "clocks_in_step", 1.0),
                    {
                        YES: "All {n} pairs of clocks are in step: {kept}.",
                        NO: "Clocks are out of step: {off}.",
                    },
                ),
            ),
        ),
        Claim(
            "note_reproduced",
            "the note's figures come out when they are recomputed",
            (
                Rule(
                    THE_RECORD,
                    Fact(
                        Ask(NOTE, "figures_differs"),
                        "equals",
                        0.0,
                        given=Ask(NOTE, "figures_exact"),
                        also={
                            "exact": Ask(NOTE, "figures_exact"),
                            "near": Ask(NOTE, "figures_within_tolerance"),
                            "lacking": Ask(NOTE, "figures_not_recomputable"),
                        },
                    ),
                    {
                        YES: "No figure of the note that can be recomputed differs: {exact} come "
                        "out exactly and {near} within tolerance; {lacking} can't be recomputed "
                        "from what was published.",
                        NO: "{value} figures of the note differ from what is recomputed; {exact} "
                        "come out exactly.",
                    },
                ),
            ),
        ),
    ),
)

_SHARED: Sentences = {
    YES: "{percent} of the local split's test windows share frames with a training window.",
    NO: "Of the local split's test windows {percent} share frames with a training window: not most "
    "of them.",
}
_UNSEEN: Sentences = {
    YES: "{percent} of the chronological test asks for an action that no training window has.",
    NO: "Only {percent} of the chronological test asks for an action that no training window has.",
}
_COPYING: Sentences = {
    YES: "The linear head on the local split is **better** than copying the label of the training "
    "window nearest in time: difference {gap} {ends}.",
    NO: "Copying the label of the training window nearest in time is **better** than the linear "
    "head on the local split: difference {gap} {ends}.",
    NEITHER: "The linear head on the local split can't be told apart from copying the label of the "
    "training window nearest in time: difference {gap} {ends} includes zero.",
}
_FORWARD = _compared(
    "Forward in time, the linear head for actions", "its best trivial baseline ({rival})"
)

_SHIFT = Takeaway(
    "label_shift",
    "Label shift under chronological splits",
    "What do local and chronological splits of one recording test?",
    "A recording goes on in one direction, so what a chronological split tests is one stretch of "
    "one activity; few stretches are independent of each other.",
    (
        Claim(
            "local_shares_frames",
            "most test windows of the local split share frames with training",
            (
                Rule(
                    RUN_PUBLISHED,
                    Fact(Ask(SHIFT, "overlap_share", ACTION, variant=LOCAL), "above", HALF),
                    _SHARED,
                ),
                Rule(
                    THE_RECORD,
                    Fact(
                        Ask(NOTE, "test_windows_sharing_frames", "all_feature_action"),
                        "above",
                        HALF,
                    ),
                    _SHARED,
                ),
            ),
        ),
        Claim(
            "local_beats_copying",
            "the linear head on the local split beats copying the label nearest in time",
            (
                Rule(
                    RUN_PUBLISHED,
                    Compares(
                        Ask(SHIFT, "macro_f1", ACTION, "copy_nearest", LOCAL, LINEAR_HEAD),
                        rival_variant=LOCAL,
                        turned=True,
                    ),
                    _COPYING,
                ),
                Rule(
                    THE_RECORD,
                    Compares(
                        Ask(
                            NOTE,
                            "macro_f1",
                            "all_feature_action",
                            LINEAR_HEAD,
                            "against_neighbours",
                            "nearest_in_time",
                        )
                    ),
                    _COPYING,
                ),
            ),
        ),
        Claim(
            "most_unseen",
            "most of the chronological test asks for actions that training never shows",
            (
                Rule(
                    RUN_PUBLISHED,
                    Fact(
                        Ask(SHIFT, "open_set_share", ACTION, variant=CHRONOLOGICAL), "above", HALF
                    ),
                    _UNSEEN,
                ),
                Rule(
                    RUN_CORRECTED,
                    Fact(Ask(SHIFT, "open_set_share", ACTION, variant=PURGED), "above", HALF),
                    _UNSEEN,
                ),
                Rule(
                    THE_RECORD,
                    Fact(Ask(NOTE, "open_set_share", ACTION), "above", HALF),
                    _UNSEEN,
                ),
            ),
        ),
        Claim(
            "forward_beats_floor",
            "the linear head recognises actions forward in time better than trivial baselines do",
            (
                Rule(
                    RUN_PUBLISHED,
                    Compares(
                        Ask(SHIFT, "macro_f1", ACTION, LINEAR_HEAD, CHRONOLOGICAL, FLOOR),
                    ),
                    _FORWARD,
                ),
                Rule(
                    RUN_CORRECTED,
                    Compares(Ask(SHIFT, "macro_f1", ACTION, LINEAR_HEAD, PURGED, FLOOR)),
                    _FORWARD,
                ),
                Rule(
                    THE_RECORD,
                    Compares(Ask(NOTE, "macro_f1", ACTION, LINEAR_HEAD, against=FLOOR)),
                    _FORWARD,
                ),
            ),
        ),
    ),
)

_HAND_RIVALS = {
    LINEAR_HEAD: _erring("The neural head's hand forecast", "the linear head's"),
    FLOOR: _erring("The neural head's hand forecast", "hands at the best trivial guess ({rival})"),
}
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
        _compared("The neural head's verdict on temporal order", rival),
    )


_NEURAL = Takeaway(
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
                        Ask(NOTE, "mpjpe", HANDS, NEURAL_HEAD), _note("hand_mpjpe_minimal", "note")
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
                    _HAND_RIVALS[FLOOR],
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
            "the neural head is better than the linear head on most tasks",
            tuple(
                Rule(
                    place,
                    _each(section, NEURAL_HEAD, LINEAR_HEAD),
                    _counted("the neural head", "the linear head"),
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
            "the neural head is better than the best trivial baseline on most tasks",
            tuple(
                Rule(
                    place,
                    _each(section, NEURAL_HEAD, FLOOR),
                    _counted("the neural head", "the best trivial baseline"),
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
            _compared(f"{subject} by the {own} head", "the best trivial baseline ({rival})"),
        )
        for place, own in heads.items()
    )


_RETRIEVAL = Takeaway(
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
            "retrieval finds the moment, not just the action that goes on",
            tuple(
                Rule(
                    place,
                    Clears(
                        Ask(RETRIEVAL, "within_action_auc", "cross_modal_retrieval", LINEAR_HEAD)
                    ),
                    {
                        YES: "Retrieval finds the **moment**: of the other windows of the same "
                        "action a share of {mine} {ends} ranks below the true one, where chance "
                        "has {other}.",
                        NO: "Within an action retrieval ranks the true window **below** chance: "
                        "{mine} {ends} where chance has {other}.",
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


def _gains(variant: str, against: str) -> Tally:
    metrics = {task.name: task.primary.name for task in TASKS}
    return Tally(
        tuple(
            Ask(AUDIO, f"{metric}_gain", task, LINEAR_HEAD, variant, against)
            for task, metric in metrics.items()
        ),
        guard="gain_p_holm",
    )


def _published_gains(variant: str, against: str) -> Tally:
    return Tally(
        tuple(
            Ask(AUDIO, metric, task.name, "ridge", variant, against)
            for task, metric in ((task, _audio_metric(task.name)) for task in TASKS)
        ),
        guard="gain_p_holm",
    )


def _audio_metric(task: str) -> str:
    """Return the gain in which the published audio study scores a task."""
    known = {task.name: task.primary.name for task in TASKS}
    errors = ("hand_trajectory_forecast", "modality_reconstruction")
    pairs = ("temporal_order", "misalignment_detection")
    metric = "mae" if task in errors else "macro_f1" if task in pairs else known[task]
    return f"{metric}_gain"


def _heard(subject: str, rival: str) -> Sentences:
    rest = "no difference may be claimed on {n_open}, none can be judged on {n_untold}"
    return {
        YES: f"{subject} {rival} helps on {{better}} and hurts on {{worse}}; {rest}.",
        NO: f"{subject} {rival} hurts on {{worse}} and helps on {{better}}; {rest}.",
        NEITHER: f"It isn't so in general: {subject} {rival} helps on {{better}} and hurts "
        f"on {{worse}}; {rest}.",
    }


def _mean(metric: str, subject: str) -> Rule:
    """Return the rule of a published mean over tasks: it has no interval, and mixes units."""
    return Rule(
        THE_RECORD,
        Tally((_note(metric),)),
        {
            YES: f"In the published mean {subject} helps.",
            NO: f"In the published mean {subject} hurts.",
            NEITHER: f"In the published mean {subject} can't be told apart from none.",
        },
    )


_AUDIO = Takeaway(
    "audio",
    "Audio",
    "What does sound add to the other sensors, and what does it say alone?",
    "Looks at many tasks are corrected for their number (Holm). The published means add up scores "
    "of different units, from which nothing follows in either direction.",
    (
        Claim(
            "sound_helps",
            "sound helps on most tasks",
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
            "another account of sound in place of the handcrafted one helps on most tasks",
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
            "sound alone beats the best trivial baseline on most tasks",
            tuple(
                Rule(
                    place,
                    _each(NOTE, head, FLOOR, RAW_ONLY),
                    _counted("sound alone", "the best trivial baseline"),
                )
                for place, head in ((THE_RECORD, "ridge"), (RECORD_CORRECTED, LINEAR_HEAD))
            ),
        ),
    ),
)

_HELDOUT = Takeaway(
    "heldout",
    "Held-out episodes and strict answers",
    "What holds for people and places that nobody trained on, and does a model answer in form?",
    "The cohort is simulated unless its run says otherwise. Intervals draw whole recordings. "
    "Comparisons over all tasks are not corrected for the number of looks.",
    (
        *(
            Claim(
                f"{head}_across_beats_floor",
                f"the {head} head beats the best trivial baseline on unseen recordings",
                (
                    Rule(
                        THE_FAMILY,
                        _each(EPISODES, head, FLOOR, ROTATED),
                        _counted(
                            f"the {head} head on unseen recordings", "the best trivial baseline"
                        ),
                    ),
                ),
            )
            for head in (LINEAR_HEAD, NEURAL_HEAD)
        ),
        Claim(
            "others_beat_own_beginning",
            "training on other recordings is better than on a recording's own beginning",
            (
                Rule(
                    THE_FAMILY,
                    _each(EPISODES, LINEAR_HEAD, WITHIN, ROTATED_GAP),
                    _counted(
                        "the linear head trained on other recordings",
                        "one trained on the recording's own beginning",
                    ),
                ),
            ),
        ),
        Claim(
            "strict_answers",
            "every answer is valid as strict JSON",
            (
                Rule(
                    THE_FAMILY,
                    Every(EPISODES, "strict_validity", 1.0, "head"),
                    {
                        YES: "Every answer of {kept} is valid: the whole text parses and every "
                        "label is an option.",
                        NO: "Not every answer is valid: {off}; wholly valid are those of {kept}.",
                    },
                ),
            ),
        ),
    ),
)

TAKEAWAYS = (_CONTRACT, _SHIFT, _NEURAL, _RETRIEVAL, _AUDIO, _HELDOUT)
"""All takeaways in reading order."""
