"""Honest scores of an answer's fields: validity, floors, intervals over recordings."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from xperience.evaluation.metrics import METRICS, Metric
from xperience.evaluation.records import Record
from xperience.qwen.predictions import Item, Predictions
from xperience.qwen.rows import HONEST, Author, metric, named
from xperience.qwen.schema import FAULTS, UNKNOWN
from xperience.qwen.tallies import Measured, Tally, WeightedScore, average, share, tally

LABEL_METRICS = ("accuracy", "macro_f1_present")
FLOOR_DRAWS, FLOOR_SEED = 25, 7
PARSED, STRICT, ANSWERABLE = "parsed", "strict", "answerable"
"""Variants: what could be read from an answer counts; only answers that are valid whole count; only
windows count whose true label may be said."""
VARIANTS: dict[str, Callable[[Item], bool]] = {
    PARSED: lambda item: True,
    STRICT: lambda item: item.strict,
}

TRUTH_FLOORS = "the constant floor is fitted on the test truth: no constant answer does better"


def validity_rows(predictions: Predictions, author: Author) -> Iterator[Record]:
    """Yield how many answers are valid, by both rules, and what the others lack."""
    items, episodes = predictions.items, predictions.episodes
    rates = {
        "strict_validity": (
            "The whole text is an answer as declared, every label an option.",
            lambda item: item.strict,
        ),
        "lenient_validity": (
            "An object with all seven keys can be found in the text (the published rule).",
            lambda item: item.lenient,
        ),
    }
    for name, (rule, holds) in rates.items():
        hits = np.array([holds(item) for item in items], dtype=float)
        yield from author.rows(_measured(metric(name, rule), hits, episodes), rule)
    for fault in FAULTS:
        hits = np.array([fault in item.faults for item in items], dtype=float)
        one = metric("fault_share", "Answers with this fault; one may have several.", False)
        yield from author.rows(_measured(one, hits, episodes), variant=fault)


def _measured(one: Metric, hits: np.ndarray, episodes: np.ndarray) -> Measured:
    return Measured(one, share(hits, episodes), int(episodes.max()) + 1, len(hits))


def openness_rows(predictions: Predictions, author: Author) -> Iterator[Record]:
    """Yield what bounds the scores: labels never trained, options taken from the test side."""
    options = predictions.options
    items = [one for one in predictions.items if one.truth["action"] != UNKNOWN]
    if not items:
        return
    in_options = float(np.mean([item.truth["action"] in options.action for item in items]))
    note = "1 means that the options were not drawn from training episodes alone"
    tells = all(item.seen is not None for item in items)
    trained = float(np.mean([item.seen for item in items])) if tells else None
    leaked = trained is not None and in_options > trained
    yield author.plain(
        "truth_in_options_share", in_options, "1", task="action", n_test=len(items),
        reason=f"only {trained:.1%} of the true labels were trained: the options hold labels of "
        "the test side" if leaked else note,
    )  # fmt: skip
    if trained is not None:
        yield author.row(
            HONEST, metric="open_set_share", task="action", value=1 - trained,
            higher_is_better=False, n_test=len(items),
        )  # fmt: skip
    same = float(np.mean([item.truth["action"] == item.truth["next_action"] for item in items]))
    yield author.plain(
        "next_action_is_action_share", same, "1", task="next_action", n_test=len(items),
        reason="where the next action is the present one, this field asks nothing new",
    )  # fmt: skip


def field_rows(predictions: Predictions, author: Author, field: str) -> Iterator[Record]:
    """Yield the scores of a field of one label; true labels "unknown" are left out.

    Parameters
    ----------
    predictions : Predictions
    author : Author
    field : str
        One of `xperience.qwen.schema.TEXT_FIELDS`.

    Notes
    -----
    Floors: the most frequent true label; the model's own answers dealt out anew over all windows,
    and among the windows of their recording. The last knows what a recording is about, but not what
    happens when.
    """
    known = _known(predictions.items, field)
    if not known.any():
        yield from _nothing(author, field, LABEL_METRICS[0], "every true label is unknown", 0)
        return
    items = [item for item, keep in zip(predictions.items, known, strict=True) if keep]
    truth = [item.truth[field] for item in items]
    if len(set(truth)) == 1:
        reason = f"every true label is {truth[0]!r}: one class tests nothing"
        yield from _nothing(author, field, LABEL_METRICS[0], reason, len(items))
        return
    _, episodes = np.unique(predictions.episodes[known], return_inverse=True)
    options = predictions.options.allowed(field) or frozenset()
    for variant, counts in VARIANTS.items():
        said = [_labels(item, field, counts(item)) for item in items]
        for measured in _measures(truth, said, episodes, options):
            yield from author.rows(measured, TRUTH_FLOORS, task=field, variant=variant)
    yield from _answerable_rows(items, field, options, author)


def _known(items: Sequence[Item], field: str) -> np.ndarray:
    return np.array([item.truth[field] != UNKNOWN for item in items])


def _answerable_rows(
    items: Sequence[Item], field: str, options: frozenset[str], author: Author
) -> Iterator[Record]:
    """Yield the scores over windows whose true label is an option, if some others' isn't."""
    able = [item for item in items if item.truth[field] in options]
    truth = [item.truth[field] for item in able]
    if not options or len(able) == len(items):
        return
    if len(set(truth)) < 2:
        reason = f"{len(able)} of {len(items)} true labels are options, of {len(set(truth))} kinds"
        shown = named(METRICS[LABEL_METRICS[0]]) | {"n_test": len(able), "variant": ANSWERABLE}
        yield author.row(HONEST, task=field, **shown, status="degenerate", reason=reason)
        return
    _, episodes = np.unique([item.episode for item in able], return_inverse=True)
    said = [_labels(item, field, True) for item in able]
    for measured in _measures(truth, said, episodes, options):
        yield from author.rows(measured, TRUTH_FLOORS, task=field, variant=ANSWERABLE)


def _nothing(author: Author, field: str, metric: str, reason: str, n_test: int) -> Iterator[Record]:
    """Yield why a field has no score, a row a variant: each stands where the score would."""
    fields = named(METRICS[metric]) | {"n_test": n_test, "status": "degenerate", "reason": reason}
    for variant in VARIANTS:
        yield author.row(HONEST, task=field, variant=variant, **fields)


def _labels(item: Item, field: str, counts: bool) -> tuple[str, ...]:
    """Return what was said, or nothing, which is never right."""
    return (item.said[field],) if counts and field in item.said else ()


def _measures(
    truth: Sequence[str],
    said: Sequence[tuple[str, ...]],
    episodes: np.ndarray,
    options: frozenset[str],
) -> Iterator[Measured]:
    """Yield the metrics of a field with its trivial baselines."""
    true = [(name,) for name in truth]

    def counted(answers: Sequence[tuple[str, ...]]) -> Tally:
        return tally(true, answers, episodes, options)

    constant = [(Counter(truth).most_common(1)[0][0],)] * len(truth)
    floors = {
        "majority_of_test_truth": [counted(constant)],
        "shuffled_answers": [counted(dealt) for dealt in shuffled(said)],
        "shuffled_within_episode": [counted(dealt) for dealt in shuffled(said, episodes)],
    }
    mine, n_episodes = counted(said), int(episodes.max()) + 1
    able = float(np.mean([name in options for name in truth])) if options else None
    for name in LABEL_METRICS:
        trivial = {
            floor: average([one.score_of(name) for one in draws]) for floor, draws in floors.items()
        }
        most = able if name == "accuracy" else None
        yield Measured(METRICS[name], mine.score_of(name), n_episodes, len(true), trivial, most)


def shuffled(said: Sequence, episodes: np.ndarray | None = None) -> Iterator[list]:
    """Yield the same answers dealt out anew, `FLOOR_DRAWS` times.

    Parameters
    ----------
    said : sequence, length n
    episodes : int array, shape (n,), optional
        Answers stay in their recording.
    """
    rng = np.random.default_rng(FLOOR_SEED)
    groups = np.zeros(len(said), dtype=int) if episodes is None else episodes
    home = np.argsort(groups, kind="stable")
    for _ in range(FLOOR_DRAWS):
        dealt = [None] * len(said)
        drawn = np.lexsort((rng.random(len(said)), groups))
        for place, source in zip(home.tolist(), drawn.tolist(), strict=True):
            dealt[place] = said[source]
        yield dealt


def object_rows(predictions: Predictions, author: Author) -> Iterator[Record]:
    """Yield the scores of the named objects, exact names, pooled over windows."""
    items, episodes = predictions.items, predictions.episodes
    truth = [item.true_objects for item in items]
    if not any(truth):
        yield from _nothing(author, "objects", "micro_f1", "every true set is empty", len(items))
        return
    constant = [best_constant_set(truth)] * len(items)
    for variant, counts in VARIANTS.items():
        said = [item.said_objects if counts(item) else frozenset() for item in items]
        answers = {
            "best_constant_set": [constant],
            "shuffled_answers": shuffled(said),
            "shuffled_within_episode": shuffled(said, episodes),
        }
        floors = {
            floor: average([_micro_f1(truth, dealt, episodes) for dealt in draws])
            for floor, draws in answers.items()
        }
        measured = Measured(
            METRICS["micro_f1"],
            _micro_f1(truth, said, episodes),
            predictions.n_episodes,
            len(items),
            floors,
            _most_objects(predictions, truth),
        )
        yield from author.rows(measured, TRUTH_FLOORS, task="objects", variant=variant)


def _most_objects(predictions: Predictions, truth: Sequence[frozenset[str]]) -> float | None:
    """Return the micro-F1 of naming every true object that is an option, if they are a list."""
    allowed = predictions.options.allowed("objects")
    if allowed is None:
        return None
    said = [names & allowed for names in truth]
    weights = np.ones((1, predictions.n_episodes))
    return float(_micro_f1(truth, said, predictions.episodes)(weights)[0])


def _micro_f1(truth: Sequence, said: Sequence, episodes: np.ndarray) -> WeightedScore:
    return tally(truth, said, episodes).score_of("micro_f1")


def best_constant_set(truth: Sequence[frozenset[str]]) -> frozenset[str]:
    """Return the set that, said every time, has the greatest micro-F1.

    Parameters
    ----------
    truth : sequence of sets of names, length n
        At least one is not empty.

    Returns
    -------
    frozenset of str
        The most frequent names, as many as pay: a name's hits depend on its frequency alone, so the
        best set of each size holds the most frequent ones.
    """
    ranked = Counter(name for names in truth for name in names).most_common()
    hits = np.cumsum([count for _, count in ranked])
    sizes = np.arange(1, len(ranked) + 1)
    best = int((2 * hits / (hits[-1] + sizes * len(truth))).argmax())
    return frozenset(name for name, _ in ranked[: best + 1])
