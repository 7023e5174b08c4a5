"""The evidence window: how well is the stretch of a clip found in which the action goes on.

It is scored only where predictions say how long their clips were; elsewhere the prompt may have
printed the frames. How well a stretch fits is its overlap with the true one, as a share of both
together.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from xperience.evaluation.records import Record
from xperience.qwen.fields import shuffled
from xperience.qwen.predictions import Frames, Grounding, Predictions
from xperience.qwen.rows import HONEST, Author, metric, named
from xperience.qwen.tallies import Measured, WeightedScore, average, share

EVIDENCE = "evidence_iou"
TASK = "evidence_window"
IOU = metric(EVIDENCE, "Frames in both stretches, as a share of those in either; mean over clips.")

_NOTE = "the floors' lengths are fitted on the test truth: no fixed place does better"


def overlap(one: Frames | None, other: Frames) -> float:
    """Return frames in both stretches as a share of those in either.

    Parameters
    ----------
    one : (int, int), optional
        First and last frame, both included; a stretch that ends before it starts holds none.
    other : (int, int)

    Returns
    -------
    float
        0 to 1; 0 for no stretch.
    """
    if one is None:
        return 0.0
    both = min(one[1], other[1]) - max(one[0], other[0]) + 1
    either = _length(one) + _length(other) - max(both, 0)
    return max(both, 0) / either if _length(one) and either else 0.0


def _length(frames: Frames) -> int:
    return max(frames[1] - frames[0] + 1, 0)


def evidence_rows(predictions: Predictions, author: Author) -> Iterator[Record]:
    """Yield how well the evidence window is found, beside answers that always name one place.

    Parameters
    ----------
    predictions : Predictions
    author : Author

    Notes
    -----
    Floors: the whole clip; the window that was asked about; the middle of the clip; the last frames
    of the clip, as many as fit the true stretches best; the model's own answers dealt out anew, by
    their distance from the clip's end.
    """
    asked = np.array([item.grounding is not None for item in predictions.items])
    if not asked.any():
        reason = "no line says how long its clip was: the prompt may have printed the frames"
        shown = named(IOU) | {"n_test": 0, "status": "skipped", "reason": reason}
        yield author.row(HONEST, task=TASK, **shown)
        return
    clips = [item.grounding for item in predictions.items if item.grounding is not None]
    _, episodes = np.unique(predictions.episodes[asked], return_inverse=True)
    n_episodes = int(episodes.max()) + 1
    mine = _score(clips, [clip.said for clip in clips], episodes)
    floors = {
        "whole_clip": _score(clips, [(0, clip.n_frames - 1) for clip in clips], episodes),
        "asked_window": _score(clips, [clip.window for clip in clips], episodes),
        "centre_of_clip": _best_length(clips, _centred, episodes),
        "last_frames": _best_length(clips, _ending, episodes),
        "shuffled_answers": _shuffled(clips, episodes),
    }
    measured = Measured(IOU, mine, n_episodes, len(clips), floors)
    yield from author.rows(measured, _NOTE, task=TASK, variant="parsed")


def _score(
    clips: Sequence[Grounding], said: Sequence[Frames | None], episodes: np.ndarray
) -> WeightedScore:
    hits = [overlap(frames, clip.truth) for frames, clip in zip(said, clips, strict=True)]
    return share(np.array(hits), episodes)


def _centred(clip: Grounding, length: int) -> Frames:
    length = min(length, clip.n_frames)
    first = (clip.n_frames - length) // 2
    return first, first + length - 1


def _ending(clip: Grounding, length: int) -> Frames:
    return max(0, clip.n_frames - length), clip.n_frames - 1


def _best_length(
    clips: Sequence[Grounding], place: Callable[[Grounding, int], Frames], episodes: np.ndarray
) -> WeightedScore:
    """Return the score of the length that does best over all clips."""
    lengths = range(1, max(clip.n_frames for clip in clips) + 1)
    said = [[place(clip, length) for clip in clips] for length in lengths]
    means = [
        np.mean([overlap(frames, clip.truth) for frames, clip in zip(one, clips, strict=True)])
        for one in said
    ]
    return _score(clips, said[int(np.argmax(means))], episodes)


def _shuffled(clips: Sequence[Grounding], episodes: np.ndarray) -> WeightedScore:
    back = [
        None if clip.said is None else tuple(clip.n_frames - frame for frame in clip.said)
        for clip in clips
    ]
    draws = []
    for dealt in shuffled(back):
        said = [
            None if one is None else tuple(clip.n_frames - distance for distance in one)
            for one, clip in zip(dealt, clips, strict=True)
        ]
        draws.append(_score(clips, said, episodes))
    return average(draws)
