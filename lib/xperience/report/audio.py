"""The audio study for readers: which gains are significant, and what the published mean hides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xperience.errors import MissingStreamError
from xperience.evaluation.ablation import NET_WINS, Ablation
from xperience.evaluation.intervals import Interval, Segmentation, interval
from xperience.evaluation.records import Record
from xperience.features.sound import FLOOR_POWER, Spectrogram, level_db, spectrogram
from xperience.features.table import WindowTable
from xperience.recording.recording import Recording
from xperience.report.tables import (
    Rows,
    Verdict,
    ends,
    floor,
    number,
    readable,
    share,
    signed,
    verdict,
)
from xperience.tasks.audio import (
    AS_IS,
    BOTH,
    HANDCRAFTED_ONLY,
    RAW_ONLY,
    REPLACED,
    WITH_SOUND,
    WITHOUT,
)

_OUTWEIGHS = 1.5
"""Weight of a kind of score, as a multiple of its share of the tasks, that is worth a sentence."""
Pair = tuple[str, str]
"""(variant, against)."""

FEATURES = {"published": "log-mel", "corrected": "librosa"}
"""The alternative audio features of each contract."""
_VARIANTS = {
    AS_IS: "as it is",
    WITHOUT: "without sound",
    HANDCRAFTED_ONLY: "sound alone",
    RAW_ONLY: "{} alone",
    REPLACED: "{} instead",
    BOTH: "{} added",
}


def gains(rows: Iterable[Record], pair: Pair, contract: str) -> list[Record]:
    """Return the rows of a comparison's gains under a contract, one per task."""
    wanted = (*pair, contract)
    return [
        row
        for row in rows
        if (row.variant, row.against, row.contract) == wanted
        and row.task
        and row.metric.endswith("_gain")
    ]


def beside(rows: Rows, gain: Record, metric: str, **wanted: str | None) -> Record | None:
    """Return the row of another metric of the same task and variant."""
    own = {key: getattr(gain, key) for key in ("contract", "task", "variant", "against")}
    return rows.one(**own | wanted, metric=metric)


def comparison_table(rows: Iterable[Record], pair: Pair) -> pd.DataFrame:
    """Return a comparison, one row per contract and task.

    The finding names a significant gain that leaves the variant below the best trivial baseline.
    """
    rows, found = Rows(rows), []
    for gain in (one for contract in FEATURES for one in gains(rows, pair, contract)):
        primary, (said, why) = gain.metric.removesuffix("_gain"), verdict(gain)
        wins = beside(rows, gain, NET_WINS)
        own = beside(rows, gain, primary, against=None)
        if said == Verdict.BETTER and own and own.skill is not None and own.skill <= 0:
            why = "still below the best trivial baseline"
        found.append(
            {
                "contract": gain.contract,
                "task": readable(gain.task),
                "measure": readable(primary),
                "gain": f"{signed(gain.value, gain.unit)} {ends(gain)}",
                "p (Holm)": number(gain.p_holm),
                "net wins": f"{signed(wins and wins.value)} {ends(wins)}",
                "finding": f"{said} ({why})" if why else str(said),
            }
        )
    columns = ["contract", "task", "measure", "gain", "p (Holm)", "net wins", "finding"]
    return pd.DataFrame(found, columns=columns).set_index(columns[:2])


def score_table(rows: Iterable[Record], contract: str) -> pd.DataFrame:
    """Return primary scores, a row per task, a column per variant, and the best baseline."""
    rows = list(rows)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for gain in gains(rows, WITH_SOUND, contract):
        key = contract, gain.task, gain.metric.removesuffix("_gain"), None
        scores = [one for one in rows if (one.contract, one.task, one.metric, one.against) == key]
        names = [_VARIANTS.get(one.variant, one.variant) for one in scores]
        line = {
            name.format(FEATURES[contract]): number(one.value, one.unit)
            for name, one in zip(names, scores, strict=True)
        }
        best = next((one for one in scores if one.floor is not None), None)
        found[readable(gain.task), readable(key[2])] = line | {"best baseline": floor(best)}
    table = pd.DataFrame.from_dict(found, orient="index")
    return table.rename_axis(["task", "measure"])


# --- the mean over mixed units -----------------------------------------------------------------


def kind_of(gain: Record) -> str:
    """Return what a gain of the published study is a difference of: "F1", "MRR" or "MAE"."""
    name = gain.metric.removesuffix("_gain")
    return name.upper() if name in ("mrr", "mae") else "F1"


def kinds_of(found: Sequence[Record]) -> pd.DataFrame:
    """Return what a mean of gains in different units is made of, one row per kind of unit.

    Parameters
    ----------
    found : sequence of Record
        Gains, one per task; those without a value are left out.

    Returns
    -------
    table
        By kind ("F1", "MRR", "MAE"): ``tasks`` of it; its ``part`` of the mean; its share in the
        summed ``size`` of all gains; the ``turning`` factor of its unit at which the mean is 0, NaN
        if no positive factor makes it so.
    """
    found = [one for one in found if one.value is not None]
    pairs = [(kind_of(one), float(one.value)) for one in found]
    table = pd.DataFrame(pairs, columns=["kind", "gain"])
    table["size"] = table["gain"].abs()
    by_kind = table.groupby("kind", sort=False)
    kinds = by_kind["size"].agg(tasks="size", size="sum")
    kinds["size"] /= kinds["size"].sum() or 1.0
    kinds["part"] = by_kind["gain"].sum() / len(table)
    rest = kinds["part"].sum() - kinds["part"]
    turns = np.sign(rest) * np.sign(kinds["part"]) < 0
    kinds["turning"] = (-rest / kinds["part"]).where(turns)
    return kinds


def mixed_mean_words(rows: Iterable[Record], pair: Pair) -> str:
    """Return what a mean over gains in different units is worth: what outweighs, what turns it."""
    found = [one for one in gains(rows, pair, "published") if one.value is not None]
    kinds, n = kinds_of(found), len(found)
    if not n:
        return "No task can be compared, so there is no mean."
    said = f"The mean over {n} tasks is {signed(kinds['part'].sum())}"
    if not kinds["size"].any():
        return f"{said}: every gain is zero, in any unit."
    turns = kinds["turning"].notna().any()
    tail = "Another unit could turn its sign." if turns else "No unit turns its sign."
    kind = (kinds["size"] / kinds["tasks"]).idxmax()
    own, size = kinds.loc[kind, ["tasks", "size"]]
    if size < _OUTWEIGHS * own / n:
        return f"{said}; no kind of score outweighs the others. {tail}"
    who = (
        f"{own:.0f} {kind} task of {n} makes" if own == 1 else f"{own:.0f} {kind} tasks of {n} make"
    )
    return f"{said}; {who} up {share(size)} of what it sums. {tail}"


# --- over time ---------------------------------------------------------------------------------


def open_sound(recording: Recording, table: WindowTable) -> tuple[Spectrogram | None, str]:
    """Return the sound of a recording and its windows, or None and why there is none."""
    try:
        return spectrogram(recording, table.labels["start_frame"].to_numpy()), ""
    except MissingStreamError as error:
        return None, f"{error.place}: {error.found}"


@dataclass(frozen=True)
class Wins:
    """A task's test samples in the order of the recording: which variant predicts each better.

    Parameters
    ----------
    task : str
    window : int array, shape (n,)
        First window of each sample.
    won : int array, shape (n,)
        1 where the variant predicts better, -1 where the other does, 0 where neither.
    segmentation : Segmentation
        Which test samples count as one piece of evidence.
    significant : bool
        Whether the gain in the task's score is significant.
    """

    task: str
    window: np.ndarray
    won: np.ndarray
    segmentation: Segmentation
    significant: bool = False

    @property
    def net(self) -> float:
        """Share of samples won minus share lost."""
        return float(self.won.mean())

    def loud_minus_quiet(self, window_db: np.ndarray) -> Interval:
        """Return how many more net wins the louder half of the samples has than the quieter.

        Samples at the median count as quiet, unless that leaves no loud ones.
        """
        own_db = np.nan_to_num(window_db[self.window], nan=level_db(FLOOR_POWER))
        middle_db = np.median(own_db)
        loud = own_db > middle_db if (own_db > middle_db).any() else own_db >= middle_db

        def mean(weights: np.ndarray) -> np.ndarray:
            total = weights.sum(axis=1)
            empty = np.full(len(total), np.nan)
            return np.divide(weights @ self.won, total, out=empty, where=total > 0)

        def score(weights: np.ndarray) -> np.ndarray:
            return mean(weights * loud) - mean(weights * ~loud)

        return interval(score, len(self.won), self.segmentation, (-2.0, 2.0))


def most_wins(
    rows: Iterable[Record], found: Mapping[str, Ablation], pair: Pair, n: int
) -> list[Wins]:
    """Return the wins of the tasks in which a variant matters most, the most first.

    Significant ones come first, then those with the greatest net wins or losses; a task in which no
    sample is predicted better by either is none of them.
    """
    rows, wins = Rows(rows), []
    for task, one in found.items():
        if one.missing(*pair):
            continue
        won = np.sign(one.margins(*pair)).astype(int)
        mine = one.scores[pair[0]]
        tested = mine.problem.split.test[mine.problem.by_time]
        windows = mine.problem.samples.members[tested, 0]
        (gain,) = (row for row in gains(rows, pair, mine.problem.contract) if row.task == task)
        sure = verdict(gain)[0] in (Verdict.BETTER, Verdict.WORSE)
        wins.append(Wins(task, windows, won, mine.segmentation, sure))
    decided = [one for one in wins if one.won.any()]
    return sorted(decided, key=lambda one: (not one.significant, -abs(one.net)))[:n]


def loudness_table(wins: Sequence[Wins], window_db: np.ndarray) -> pd.DataFrame:
    """Return, for each task, net wins of the louder half of the samples minus the quieter's."""
    rows = []
    for one in wins:
        found = one.loud_minus_quiet(window_db)
        why = f"no interval: {found.reason}" if found.low is None else "no significant difference"
        rows.append(
            {
                "task": readable(one.task),
                "net wins": signed(one.net),
                "loud minus quiet": signed(found.estimate),
                "from": signed(found.low),
                "to": signed(found.high),
                "finding": "significant" if found.excludes_zero else why,
            }
        )
    return pd.DataFrame(
        rows, columns=["task", "net wins", "loud minus quiet", "from", "to", "finding"]
    )
