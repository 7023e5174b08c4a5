"""The audio study for readers: what may be claimed, in tables and in sentences."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from xperience.errors import MissingStreamError
from xperience.evaluation.uncertainty import Interval
from xperience.features.table import WindowTable
from xperience.recording.recording import Episode
from xperience.report.retrieval import capital, task_words
from xperience.studies.audio.looks import COMPARED, Finding, Heard, Look
from xperience.studies.audio.mean import MixedMean
from xperience.studies.audio.moments import Moments, Spectrogram, spectrogram
from xperience.studies.audio.study import SETTINGS
from xperience.studies.audio.variants import (
    AS_IS,
    BOTH,
    HANDCRAFTED_ONLY,
    LIBROSA,
    LOGMEL,
    RAW_ONLY,
    REPLACED,
    WITHOUT,
)
from xperience.studies.scores import strongest
from xperience.text import as_markdown

Studies = Mapping[str, Heard]
SOUND, OTHER = COMPARED
"""The two questions: what sound gains, and what another account of it gains."""

ACCOUNTS = {LOGMEL.name: "log-mel", LIBROSA.name: "librosa"}


def open_sound(recording: Episode, table: WindowTable) -> tuple[Spectrogram | None, str]:
    """Return the sound of a recording, or None and why there is none.

    Parameters
    ----------
    recording : Episode
    table : WindowTable
        Its windows.
    """
    try:
        return spectrogram(recording, table.labels["start_frame"].to_numpy()), ""
    except MissingStreamError as error:
        return None, f"{error.place}: {error.found}"


def account(contract: str) -> str:
    """Return what a contract calls the other account of sound."""
    return ACCOUNTS[SETTINGS[contract].raw.name]


def variant_words(variant: str, contract: str) -> str:
    """Return a variant in words.

    >>> variant_words("replace_handcrafted_with_raw", "corrected")
    'librosa instead'
    """
    other = account(contract)
    return {
        AS_IS: "as it is",
        WITHOUT: "without sound",
        HANDCRAFTED_ONLY: "sound alone",
        RAW_ONLY: f"{other} alone",
        REPLACED: f"{other} instead",
        BOTH: f"{other} added",
    }[variant]


def question_words(pair: tuple[str, str], contract: str) -> str:
    """Return what a pair of variants asks about, as the subject of a sentence.

    >>> question_words(SOUND, "published"), question_words(OTHER, "published")
    ('sound', 'log-mel instead of the handcrafted sound')
    """
    return "sound" if pair == SOUND else f"{account(contract)} instead of the handcrafted sound"


def listed(tasks: Sequence[str]) -> str:
    """Return task names as a text, in italics.

    >>> listed(["next_action", "timeline_action", "temporal_order"])
    '*next action*, *timeline action* and *temporal order*'
    """
    names = [f"*{task_words(task)}*" for task in tasks]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def by_finding(looks: Mapping[str, Look]) -> dict[Finding, list[str]]:
    """Return the tasks of each finding, every finding named."""
    found: dict[Finding, list[str]] = {finding: [] for finding in Finding}
    for task, look in looks.items():
        found[look.finding].append(task)
    return found


def claim_sentences(studies: Studies, pair: tuple[str, str]) -> str:
    """Return what may be claimed about a question, a paragraph a contract.

    Parameters
    ----------
    studies : mapping of {contract: Heard}
    pair : (variant, against)
    """
    return "\n\n".join(_paragraph(study, pair) for study in studies.values())


def _paragraph(study: Heard, pair: tuple[str, str]) -> str:
    looks, subject = study.looks[pair], question_words(pair, study.contract)
    found = by_finding(looks)
    better, worse = found[Finding.BETTER], found[Finding.WORSE]
    n = sum(look.effect is not None for look in looks.values())
    if not n:
        why = as_markdown("; ".join(dict.fromkeys(look.reason for look in looks.values())))
        return f"**Under `{study.contract}`** nothing can be asked about {subject}: {why}."
    said = [_claims_said(better, worse, subject, n)]
    said += [_with_floor(looks[task], task) for task in (*better, *worse)]
    said += [_rest_said(finding, found[finding]) for finding in _RESTS if found[finding]]
    for task in found[Finding.NOT_ASKED]:
        said.append(
            f"*{capital(task_words(task))}* can't be asked: {as_markdown(looks[task].reason)}."
        )
    return f"**Under `{study.contract}`** " + " ".join(said)


def _claims_said(better: Sequence[str], worse: Sequence[str], subject: str, n: int) -> str:
    if not better and not worse:
        return f"it may be claimed in none of {n} tasks that {subject} helps, nor that it hurts."
    parts = []
    if better:
        parts.append(f"that {subject} helps in {listed(better)}")
    if worse:
        parts.append(f"that {subject if not better else 'it'} hurts in {listed(worse)}")
    return f"it may be claimed {', and '.join(parts)}."


def _with_floor(look: Look, task: str) -> str:
    measure = look.contest.primary
    size = abs(look.effect.gain.estimate)
    above = look.contest.above_floor(look.variant)
    tail = "" if above is None else f", {'above' if above else 'still below'} the best floor"
    return f"({capital(task_words(task))}: {size:.3g} in {measure.name}{tail}.)"


_RESTS = {
    Finding.OPEN: "No difference can be claimed in {}: the interval holds zero, or the difference "
    "doesn't stand the correction for that many looks.",
    Finding.FEW: "Too few blocks of time to tell in {}.",
    Finding.SAME: "Both give the very same score whatever is left out in {}.",
    Finding.UNDEFINED: "The score is undefined in {}.",
}


def _rest_said(finding: Finding, tasks: Sequence[str]) -> str:
    return _RESTS[finding].format(listed(tasks))


def looks_table(studies: Studies, pair: tuple[str, str]) -> pd.DataFrame:
    """Return a question's looks, one row a task and contract.

    Parameters
    ----------
    studies : mapping of {contract: Heard}
    pair : (variant, against)
    """
    rows = [
        _look_row(task, look, study.contract)
        for study in studies.values()
        for task, look in study.looks[pair].items()
    ]
    columns = ["measure", "gain", "95 % interval", "p (Holm)"]
    columns += ["net wins", "their interval", "finding"]
    return pd.DataFrame(rows).set_index(["contract", "task"])[columns]


def _look_row(task: str, look: Look, contract: str) -> dict[str, object]:
    row: dict[str, object] = {"contract": contract, "task": task_words(task)}
    row |= {"measure": look.contest.primary.name}
    if look.effect is None:
        empty = dict.fromkeys(("gain", "p (Holm)", "net wins", "their interval"), "")
        return row | empty | {"95 % interval": look.reason, "finding": str(look.finding)}
    gain, wins = look.effect.gain, look.effect.net_wins
    return row | {
        "gain": f"{gain.estimate:+.3g}",
        "95 % interval": interval_text(gain),
        "p (Holm)": "" if look.p_holm is None else f"{look.p_holm:.3f}",
        "net wins": f"{wins.estimate:+.2g}",
        "their interval": interval_text(wins),
        "finding": str(look.finding),
    }


def interval_text(found: Interval) -> str:
    """Return an interval's ends; empty if it has none."""
    return "" if found.low is None else f"{found.low:+.2g} to {found.high:+.2g}"


def score_table(study: Heard) -> pd.DataFrame:
    """Return primary scores, one row a task, a column a variant, and the best floor.

    Parameters
    ----------
    study : Heard
    """
    rows = []
    for task, contest in study.contests.items():
        row: dict[str, object] = {"task": task_words(task), "measure": contest.primary.name}
        for variant in contest.outcomes:
            mine = contest.contestants.get(variant)
            score = None if mine is None else mine.score(contest.primary).value
            row[variant_words(variant, study.contract)] = "" if score is None else f"{score:.3f}"
        floor, name = strongest(contest.primary, contest.floors)
        best = "" if floor is None else f"{floor.value:.3f} ({task_words(name)})"
        rows.append(row | {"best floor": best})
    return pd.DataFrame(rows).set_index(["task", "measure"])


def mean_sentences(looks: Mapping[str, Look]) -> str:
    """Return the mean over mixed units, what it is made of, and the mean of net wins.

    Parameters
    ----------
    looks : mapping of {task: Look}
        Of one question.
    """
    known = [look for look in looks.values() if look.effect is not None]
    if not known:
        return "No task has both answers, so there is no mean."
    mixed = MixedMean.of(looks)
    n_up = sum(gain > 0 for gain in mixed.gains.values())
    wins = sum(look.effect.net_wins.estimate for look in known) / len(known)
    parts = [
        f"{kind}: {mixed.part[kind]:+.4f} from {n} of {len(known)} tasks, "
        f"{mixed.size[kind]:.0%} of the size"
        for kind, n in mixed.n_tasks.items()
    ]
    return (
        f"Over mixed units the mean gain is **{mixed.mean:+.4f}**, and {n_up} of {len(known)} "
        f"gains are above zero. It is made of {'; '.join(parts)}. {_turning_said(mixed)} "
        f"Without units, as net wins, the mean over the same tasks is **{wins:+.4f}**."
    )


def _turning_said(mixed: MixedMean) -> str:
    factors = {kind: mixed.turning_factor(kind) for kind in mixed.n_tasks}
    turning = {kind: factor for kind, factor in factors.items() if factor is not None}
    if not turning:
        return "No choice of a unit turns its sign."
    kind, factor = min(turning.items(), key=lambda pair: max(pair[1], 1 / pair[1]))
    how = f"{1 / factor:.2g} times as large" if factor < 1 else f"{factor:.2g} times as small"
    return f"Were {kind} counted in a unit {how}, the mean would be zero, and beyond that turn."


def moments_sentences(moments: Sequence[Moments], window_db: np.ndarray | None) -> str:
    """Return in which tasks sound matters when it is loud.

    Parameters
    ----------
    moments : sequence of Moments
    window_db : float array, shape (n_windows,), optional
        Loudness of each window; None without sound.
    """
    if not moments:
        return "Hearing or not makes no difference to any answer."
    if window_db is None:
        return "Nothing is known about loudness: there is no sound."
    return " ".join(_loud_said(one, window_db) for one in moments)


def _loud_said(one: Moments, window_db: np.ndarray) -> str:
    found = one.loud_minus_quiet(window_db)
    name = f"*{capital(task_words(one.task))}*"
    if found.estimate is None:
        return f"{name}: all windows are equally loud."
    said = f"{name}: net wins of the louder half minus those of the quieter: {found.estimate:+.2f}"
    if found.low is None:
        return f"{said} ({str(found.verdict).replace('_', ' ')} for an interval)."
    sure = "" if found.excludes_zero else ", so nothing can be claimed"
    return f"{said} (95 % interval {found.low:+.2f} to {found.high:+.2f}{sure})."
