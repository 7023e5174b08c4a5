"""Retrieval for readers: what was said, in words, and the pictures of a query and its answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xperience.errors import EpisodeError
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Interval
from xperience.recording.recording import Episode
from xperience.report.video_seek import frame_at
from xperience.studies.retrieval.looks import Example, example_of, examples
from xperience.studies.retrieval.reconstruction import UNITS
from xperience.studies.retrieval.retrieval import HEAD, RETRIEVALS, SOURCES, Ranking
from xperience.studies.retrieval.rows import AUC_CHANCE, CEILING, SHIFTED, Closely
from xperience.tasks.measures import TIED_RANKS

CERTAIN_P = 0.05
"""Largest share of shifted pairings that score as well, for a retrieval to count as more."""


def task_words(task: str) -> str:
    """Return a task's name in words.

    >>> task_words("cross_modal_retrieval")
    'cross-modal retrieval'
    """
    return task.replace("cross_modal", "cross-modal").replace("_", " ")


def capital(text: str) -> str:
    """Return a text that begins a sentence."""
    return text[:1].upper() + text[1:]


def above_chance(study: Closely, task: str) -> bool | None:
    """Return whether a retrieval's mean reciprocal rank is above chance; None if it can't be told.

    The whole interval has to be. Where there is none, fewer than one in twenty pairings shifted in
    time may score as well.
    """
    ranking, chance = study.rankings[task], study.chances.get(task)
    found = ranking.mean(ranking.ranks.expected_reciprocal)
    if found.low is not None:
        return found.low > ranking.mrr_chance
    if chance is None or chance.least_p > CERTAIN_P:
        return None
    return chance.p_value(found.estimate) <= CERTAIN_P


def finding(ranking: Ranking, within: np.ndarray, across: np.ndarray) -> str:
    """Return what a retrieval finds: the moment, the place only, neither, or what can't be told.

    Parameters
    ----------
    ranking : Ranking
    within, across : float array, shape (n,)
        See `xperience.studies.retrieval.retrieval.Split`.

    Notes
    -----
    It is said to find something if the whole interval of the share of candidates that the true one
    beats lies above one half.
    """
    inside, outside = (_verdict(ranking.mean(values)) for values in (within, across))
    if inside:
        return "the moment"
    if outside:
        return "the place, not the moment" if inside is False else "the place"
    if inside is None and outside is None:
        return "nothing that could be told from this few windows"
    return "no moment for sure" if outside is None else "neither place nor moment for sure"


def _verdict(found: Interval) -> bool | None:
    return None if found.low is None else found.low > AUC_CHANCE


def fit_and_unit(studies: Mapping[str, Closely]) -> pd.DataFrame:
    """Return R² of the reconstruction by who fitted it and in which unit it is scored.

    Parameters
    ----------
    studies : mapping of {contract: Closely}

    Returns
    -------
    DataFrame
        One row a contract and input or floor, one column a unit.
    """
    rows = {
        (contract, name): {unit: study.rebuilt.in_unit[unit][name] for unit in UNITS}
        for contract, study in studies.items()
        for name in (study.rebuilt.in_unit.get(UNITS[0]) or {})
    }
    index = pd.MultiIndex.from_tuples(rows, names=["contract", "prediction"]) if rows else None
    return pd.DataFrame(list(rows.values()), index=index, columns=list(UNITS))


def why_missing(studies: Mapping[str, Closely]) -> pd.DataFrame:
    """Return the tasks and inputs without an answer, and why; no rows if all have one."""
    rows = [
        (contract, task_words(name) if name not in SOURCES else f"reconstruction from {name}", why)
        for contract, study in studies.items()
        for name in study.outcomes
        if (why := study.why_not(name))
    ]
    return pd.DataFrame(rows, columns=["contract", "task", "why there is no answer"])


def score_table(rows: Iterable[Record]) -> pd.DataFrame:
    """Return the retrievals' scores: value, interval or why there is none, chance.

    Parameters
    ----------
    rows : iterable of Record
        See `xperience.studies.retrieval.rows.retrieval_rows`.
    """
    found = [
        (task_words(row.task), row.metric, row.contract, row.value, _interval(row), _floor(row))
        for row in rows
        if row.task in RETRIEVALS and row.head == HEAD and row.metric in _SCORES
        and row.variant is None and row.against is None
    ]  # fmt: skip
    columns = ["task", "score", "contract", "value", "95 % interval", "best floor"]
    return _indexed(found, columns)


def closer_table(rows: Iterable[Record]) -> pd.DataFrame:
    """Return what the closer look at the retrievals found, actions and tolerances left out.

    Parameters
    ----------
    rows : iterable of Record
    """
    found = [
        (task_words(row.task), " ".join(filter(None, (row.metric, row.variant))), row.contract,
         row.value, row.unit.replace("1", ""), _interval(row), row.reason or "")
        for row in rows
        if row.task in RETRIEVALS and (row.metric in _CLOSER or row.variant in _CLOSER_VARIANTS)
        and not (row.variant or "").startswith("action: ")
    ]  # fmt: skip
    columns = ["task", "metric", "contract", "value", "unit", "95 % interval", "reason"]
    return _indexed(found, columns)


_SCORES = tuple(one.name for one in TIED_RANKS)
_CLOSER = ("candidates", "distinct_candidates", "mrr_shift_p", "median_answer_distance",
           "within_action_auc", "across_action_auc", "within_action_rotation_p",
           "similarity")  # fmt: skip
_CLOSER_VARIANTS = (SHIFTED, CEILING)


def _interval(row: Record) -> str:
    if row.value is None:
        return row.status
    if row.ci_low is not None:
        return f"{row.ci_low:.3g} to {row.ci_high:.3g}"
    return f"none: {row.ci_reason.partition(':')[0].replace('_', ' ')}" if row.ci_reason else ""


def _floor(row: Record) -> str:
    return "" if row.floor is None else f"{row.floor:.3g} ({row.floor_name.replace('_', ' ')})"


def _indexed(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    table["value"] = [f"{value:.4g}" if pd.notna(value) else "" for value in table["value"]]
    order = {name: {key: i for i, key in enumerate(dict.fromkeys(table[name]))}
             for name in columns[:3]}  # fmt: skip
    table = table.sort_values(columns[:3], key=lambda column: column.map(order[column.name]))
    return table.set_index(columns[:3])


@dataclass(frozen=True)
class Shot:
    """A window as one sees it.

    Parameters
    ----------
    center : int
        Its centre frame.
    time_s : float
        When that is.
    action, objects, interaction : str
        What the captions say then; empty where they say nothing.
    image : uint8 array, shape (height, width, 3), or None
        The centre frame.
    problem : str
        Why there is no picture.
    """

    center: int
    time_s: float
    action: str
    objects: str
    interaction: str
    image: np.ndarray | None = None
    problem: str = ""


@dataclass(frozen=True)
class Answered:
    """An example query with its pictures.

    Parameters
    ----------
    example : Example
    query : Shot
        The query's own window.
    answers : list of Shot
        The most similar windows, best first.
    """

    example: Example
    query: Shot
    answers: list[Shot]


def read_examples(
    episode: Episode, ranking: Ranking, near_frames: int, n_answers: int = 3
) -> dict[str, Answered | None]:
    """Return the example query of each kind with its pictures, None where no query is of it.

    Parameters
    ----------
    episode : Episode
    ranking : Ranking
    near_frames : int
    n_answers : int
    """
    found = examples(ranking, near_frames, n_answers)
    return {kind: one and _answered(episode, ranking, one) for kind, one in found.items()}


def read_query(episode: Episode, ranking: Ranking, query: int, near_frames: int) -> Answered:
    """Return one query with its pictures.

    Parameters
    ----------
    episode : Episode
    ranking : Ranking
    query : int
        Place in the ranking.
    near_frames : int
        As for `read_examples`.
    """
    return _answered(episode, ranking, example_of(ranking, query, near_frames))


def _answered(episode: Episode, ranking: Ranking, example: Example) -> Answered:
    centers = ranking.centers
    answers = [read_shot(episode, int(centers[place])) for place in example.answers]
    return Answered(example, read_shot(episode, int(centers[example.query])), answers)


def read_shot(episode: Episode, center: int) -> Shot:
    """Return a moment as one sees it, in the first camera that there is.

    Parameters
    ----------
    episode : Episode
    center : int
        Frame.
    """
    labels = episode.labels_of("corrected")
    said = (labels.action[center], ", ".join(labels.objects[center]), labels.interaction[center])
    camera = next(iter(episode.videos), None)
    image, problem = None, "" if camera else "no video"
    if camera:
        try:
            image = frame_at(episode, camera, center)
        except EpisodeError as error:
            problem = f"{camera} {error.found}"
    return Shot(center, center / episode.fps, *said, image, problem)
