"""Takeaways about the recording: the benchmark contract, and label shift."""

from xperience.report.takeaways.claims import Claim, Rule, Sentences, Takeaway
from xperience.report.takeaways.comparisons import Compares
from xperience.report.takeaways.evidence import (
    CONTRACT,
    FLOOR,
    NOTE,
    SHIFT,
    Ask,
)
from xperience.report.takeaways.facts import Every, Fact, Same
from xperience.report.takeaways.outcome import HALF, NEITHER, NO, YES
from xperience.report.takeaways.phrases import (
    ACTION,
    CHRONOLOGICAL,
    LINEAR_HEAD,
    LOCAL,
    PURGED,
    RUN_CORRECTED,
    RUN_PUBLISHED,
    THE_RECORD,
    compared,
    note,
)

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
                            (note(name), note(name, "note"))
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
            "all pairs of the recording's clocks are in step",
            (
                Rule(
                    RUN_PUBLISHED,
                    Every(CONTRACT, "clocks_in_step", 1.0),
                    {
                        YES: "Of {n} pairs of clocks all are in step: {kept}.",
                        NO: "Clocks are out of step: {off}; in step: {kept}.",
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
    "window nearest in time: {metric} {mine} against {other}, difference {gap} {ends}.",
    NO: "Copying the label of the training window nearest in time is **better** than the linear "
    "head on the local split: {metric} {other} against the head's {mine}, difference of the head "
    "{gap} {ends}.",
    NEITHER: "The linear head on the local split can't be told apart from copying the label of the "
    "training window nearest in time: {metric} {mine} against {other}, difference {gap} {ends} "
    "includes zero.",
}
_FORWARD = compared(
    "Forward in time, the linear head for actions", "its best trivial baseline ({rival})"
)

LABEL_SHIFT = Takeaway(
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
