"""The published evaluator's figures, by its own rules, whatever they are worth.

The rules were found from its record, which they reproduce exactly: an answer counts as valid if an
object with all seven keys can be found in it; an action is matched to the options first
(`xperience.qwen.schema.published_label`), every other field is compared as it stands; a field
that is missing is wrong; where the truth is "unknown" a field other than the action is left out.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from xperience.evaluation.records import Record
from xperience.qwen.predictions import Item, Predictions
from xperience.qwen.rows import PUBLISHED, Author
from xperience.qwen.schema import UNKNOWN
from xperience.qwen.tallies import tally

PREFIX = "published_"


def official_figures(predictions: Predictions) -> dict[str, float | None]:
    """Return the published evaluator's figures by their published names.

    Parameters
    ----------
    predictions : Predictions

    Returns
    -------
    dict of {str: float or None}
        None where nothing counts, or where the file does not say which labels were trained.
    """
    items = predictions.items
    right = np.array([item.published == item.truth["action"] for item in items])
    macro_f1 = _action_macro_f1(predictions)
    unseen = [item.seen is False for item in items] if _tells_seen(items) else None
    return {
        "num_samples": len(items),
        "accuracy": float(right.mean()),
        "macro_f1": macro_f1,
        "json_validity_rate": float(np.mean([item.lenient for item in items])),
        "action_macro_f1": macro_f1,
        **{
            f"{field}_accuracy": _field_accuracy(items, field)
            for field in ("subtask", "transition", "next_action", "contact")
        },
        "object_micro_f1": _object_micro_f1(predictions),
        "num_unseen_label_samples": None if unseen is None else sum(unseen),
        "seen_label_accuracy": _mean_where(right, unseen, lambda flags: ~flags),
        "unseen_label_accuracy": _mean_where(right, unseen, lambda flags: flags),
        "held_out_episode_count": predictions.n_episodes,
    }


def official_rows(predictions: Predictions, author: Author) -> Iterator[Record]:
    """Yield a row a figure of the published evaluator, names prefixed ``published_``."""
    units = {"num_samples": "sample", "num_unseen_label_samples": "sample"}
    units |= {"held_out_episode_count": "episode"}
    for name, value in official_figures(predictions).items():
        unit = units.get(name, "1")
        fields = {"metric": PREFIX + name, "unit": unit, "n_test": len(predictions)}
        fields |= {"higher_is_better": True if unit == "1" else None}
        if value is None:
            reason = "nothing counts, or the file does not say which labels occur in training"
            fields |= {"status": "skipped", "reason": reason}
        yield author.row(PUBLISHED, **fields, value=value)
    told = [item.agrees for item in predictions.items if item.agrees is not None]
    if told:
        yield author.row(
            PUBLISHED,
            metric=PREFIX + "parsing_agreement",
            higher_is_better=True,
            value=float(np.mean(told)),
            n_test=len(told),
            reason="share of lines whose own parsed fields are those that the rules give",
        )


def _tells_seen(items: Sequence[Item]) -> bool:
    return all(item.seen is not None for item in items)


def _mean_where(
    right: np.ndarray, unseen: list[bool] | None, of: Callable[[np.ndarray], np.ndarray]
) -> float | None:
    if unseen is None:
        return None
    chosen = right[of(np.array(unseen))]
    return float(chosen.mean()) if len(chosen) else None


def _action_macro_f1(predictions: Predictions) -> float:
    truth = [(item.truth["action"],) for item in predictions.items]
    said = [(item.published,) for item in predictions.items]
    counts = tally(truth, said, predictions.episodes, predictions.options.action)
    return _whole(counts.score_of("macro_f1_all"), predictions)


def _object_micro_f1(predictions: Predictions) -> float | None:
    truth = [item.true_objects for item in predictions.items]
    said = [item.said_objects for item in predictions.items]
    if not any(truth) and not any(said):
        return None
    return _whole(tally(truth, said, predictions.episodes).score_of("micro_f1"), predictions)


def _whole(score_of: Callable[[np.ndarray], np.ndarray], predictions: Predictions) -> float:
    return float(score_of(np.ones((1, predictions.n_episodes)))[0])


def _field_accuracy(items: Sequence[Item], field: str) -> float | None:
    known = [item for item in items if item.truth[field] != UNKNOWN]
    if not known:
        return None
    return float(np.mean([item.said.get(field) == item.truth[field] for item in known]))
