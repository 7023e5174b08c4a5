"""Research takeaways: claims decided by metric rows, and written as a page and as JSON.

`Evidence` finds the rows that a claim's test asks for, `judge` decides, `assemble` puts all claims
of a run into one JSON-like object, and everything for readers is made from that object alone.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from scipy.special import bdtr

from xperience.errors import XperienceError, did_you_mean
from xperience.evaluation.records import (
    ALPHA,
    ANSWERED,
    UNSTABLE,
    Record,
    RecordError,
    read_records,
)
from xperience.project import PAGE, known_runs, located, results_folder
from xperience.report.claims import (
    EXTENTS,
    FLOOR,
    HALF,
    HELDOUT,
    LINEAR_HEAD,
    MIXED,
    NEITHER,
    NEURAL_HEAD,
    NO,
    OPEN,
    SECTIONS,
    TAKEAWAYS,
    THE_RECORD,
    YES,
    Aligned,
    Ask,
    Claim,
    Clears,
    Compares,
    Every,
    Fact,
    Largest,
    Matches,
    Outcome,
    Parts,
    Place,
    Rule,
    Same,
    Settles,
    Signs,
    Takeaway,
    Tally,
    Test,
    note,
    sections_of,
)
from xperience.report.note import (
    FAR,
    HEADLINES,
    LEADS,
    METRICS,
    NOT_COMPUTED,
    WITHDRAWN,
    NoteMetric,
    to_markdown,
)
from xperience.report.provenance import shown_path
from xperience.report.quantities import counted
from xperience.report.tables import (
    UNKNOWN,
    Rows,
    Verdict,
    capital,
    ends,
    listed,
    minus,
    moved,
    number,
    readable,
    reason_of,
    share,
    signed,
    times,
    verdict,
)
from xperience.storage import digest_state, file_digest, value_digest, write_text

HEADS = {LINEAR_HEAD, NEURAL_HEAD, "temporal", "forecast", "ridge"}
"""Rivals that are no baselines: their own scores have the variant of the head's."""
MOST_NAMED = 4
"""So many tasks at most are called by their names."""
OPEN_SENTENCE = "Not tested is whether {claim}{seen}: {why}."
_KEYS = {"run", "heldout", "sources", "extents", "takeaways", "digest"}
_TOLERANCE = 1e-6
"""Scores of neural heads are float32."""
_OUTCOMES = {
    Verdict.BETTER: YES,
    Verdict.WORSE: NO,
    Verdict.NO_DIFFERENCE: NEITHER,
    Verdict.NOT_TESTED: OPEN,
}
_STATES = {
    "absent": "is gone",
    "unrecorded": "was not there yet",
    "changed": "has changed since",
}
_TURNED = {YES: NO, NO: YES}
_UNTESTED = Verdict.NOT_TESTED


class TakeawaysError(XperienceError):
    """Takeaways that can't be made, or are not what their metrics say."""


# Evidence


class Found(NamedTuple):
    """What an ask brought: a row, or why there is none."""

    row: Record | None
    why: str = ""

    @property
    def lacking(self) -> str:
        """Why there is no number, or nothing."""
        if self.row is None or self.row.value is not None:
            return self.why
        return reason_of(self.row)

    @property
    def shown(self) -> str:
        """The row's value for readers."""
        return number(self.row.value, self.row.unit) if self.row is not None else UNKNOWN


@dataclass(frozen=True)
class Evidence:
    """The metric files of a run, of the published record and of a cohort's run.

    Parameters
    ----------
    heldout : str, optional
        The cohort's run.
    given : mapping of {(column, section): rows}, optional
        Rows to use in place of files, for trying rules out.
    """

    run: str
    heldout: str | None = None
    given: Mapping[tuple[str, str], Sequence[Record]] | None = field(default=None, repr=False)

    def rows(self, column: str, section: str) -> tuple[list[Record], str]:
        """Return the rows of a metrics file, or none and why."""
        found = self._files.get((column, section))
        return found if found is not None else ([], f"no metrics file {section} is read here")

    def find(self, place: Place, ask: Ask) -> Found:
        """Return the row that is meant under a contract, or why there is none.

        The mean over seeds is preferred; a seed's own row counts only if it is the only one. More
        than one row that could be meant is none: nothing says which of them to believe.
        """
        rows, why = self.rows(place.column, ask.section)
        if why:
            return Found(None, why)
        if ask.against == FLOOR:
            return self._against_floor(place, ask)
        wanted = asdict(ask) | {"contract": place.contract}
        if ask.metric is None:
            del wanted["metric"]
        fits = Rows(rows).all(**wanted)
        means = [row for row in fits if row.seed is None] or fits
        if not means:
            file = f"{ask.section}.json of run {self._run_of(place.column)}"
            return Found(None, f"{ask} under {place.contract} is not in {file}")
        if len({row.metric for row in means}) > 1:
            return Found(None, f"{ask} is given in several measures")
        if len(means) > 1:
            many = means[0].seed is None
            why = f"stands in {len(means)} rows" if many else "has one score a seed and no mean"
            return Found(None, f"{ask} {why}")
        return Found(means[0])

    def _against_floor(self, place: Place, ask: Ask) -> Found:
        """Return the difference from the baseline that the head's own score names as its floor."""
        plain = replace(ask, against=None)
        score = self.find(place, plain)
        if score.row is None or score.row.value is None:
            return Found(None, score.lacking)
        if score.row.floor_name is None:
            return Found(None, f"{plain} has no floor beside it")
        return self.find(place, replace(ask, against=score.row.floor_name))

    def sources(self) -> dict[str, str | None]:
        """Return the digest of each metrics file by its shown path; None where there is none."""
        paths = [
            _metrics(run, section)
            for column, sections in SECTIONS.items()
            for section in sections
            if (run := self._run_of(column)) is not None
        ]
        return {shown_path(p): file_digest(p) if p.is_file() else None for p in paths}

    def files(self) -> list[Path]:
        """Return the metric files that are there."""
        return [located(name) for name, digest in self.sources().items() if digest]

    def _run_of(self, column: str) -> str | None:
        return self.heldout if column == HELDOUT else self.run

    @cached_property
    def _files(self) -> dict[tuple[str, str], tuple[list[Record], str]]:
        if self.given is not None:
            return {key: (list(rows), "") for key, rows in self.given.items()}
        return {
            (column, section): self._read(self._run_of(column), section)
            for column, sections in SECTIONS.items()
            for section in sections
        }

    def _read(self, run: str | None, section: str) -> tuple[list[Record], str]:
        if run is None:
            return [], "no run of held-out episodes was named"
        path = _metrics(run, section)
        if not path.is_file():
            return [], f"{shown_path(path)} is not there"
        try:
            rows = read_records(path)
            return [row for row in rows if (row.run, row.section) == (run, section)], ""
        except RecordError as error:
            return [], f"{error.place} {error.found}"


def open_evidence(run: str, heldout: str | None = None) -> Evidence:
    """Return the evidence of a run; TakeawaysError if it has left no folder of metrics.

    The cohort's run need not be there.
    """
    if not (results_folder(run) / "metrics").is_dir():
        way_out = f"{did_you_mean(run, known_runs())} Or make reproduce RUN={run}."
        raise TakeawaysError(f"artifacts/{run}/metrics", "is not there", "metric files", way_out)
    return Evidence(run, heldout)


def _metrics(run: str, section: str) -> Path:
    return results_folder(run) / "metrics" / f"{section}.json"


# Tests


@dataclass(frozen=True)
class Judgement:
    """An outcome with the rows that it rests on.

    Parameters
    ----------
    rows : tuple of Record
        The score that is shown first.
    words : mapping of {placeholder: text}
        What sentences are filled with.
    why : str
        Why it can't be told; empty otherwise.
    """

    outcome: Outcome
    rows: tuple[Record, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


def judge(test: Test, evidence: Evidence, place: Place) -> Judgement:
    """Return what the rows of a place allow to be said."""
    return _JUDGES[type(test)](test, evidence, place)


def _compares(test: Compares, evidence: Evidence, place: Place) -> Judgement:
    difference = evidence.find(place, test.ask)
    mine = evidence.find(place, replace(test.ask, against=None))
    rival = _rival(test, evidence, place, difference.row)
    words = _compared(mine.row, difference.row, rival.row, turned=test.turned)
    rows = _known((mine, difference, rival))
    if difference.row is None:
        unscored = mine.row is not None and mine.row.value is None
        return Judgement(OPEN, rows, words, mine.lacking if unscored else difference.why)
    found, told = verdict(difference.row)
    why = told if found is Verdict.NOT_TESTED else ""
    why = why or mine.why or rival.why or _unlike(mine.row, difference.row, rival.row)
    outcome = OPEN if why else _OUTCOMES[found]
    return Judgement(_TURNED.get(outcome, outcome) if test.turned else outcome, rows, words, why)


def _matches(test: Matches, evidence: Evidence, place: Place) -> Judgement:
    compares = Compares(test.ask, test.rival_variant, test.turned)
    found = _compares(compares, evidence, place)
    words = dict(found.words) | {"margin": number(test.margin)}
    row = evidence.find(place, test.ask).row
    if found.outcome is not NEITHER or row is None or row.ci_low is None:
        return replace(found, words=words)
    least = -row.ci_high if test.turned else row.ci_low
    return replace(found, words=words, outcome=YES if least > -test.margin else NEITHER)


def _aligned(test: Aligned, evidence: Evidence, place: Place) -> Judgement:
    score, p = (evidence.find(place, ask) for ask in (test.ask, test.p))
    why = score.lacking or p.lacking
    row = score.row
    words = {"metric": readable(test.ask.metric), "mine": score.shown, "other": UNKNOWN}
    words["other"] = number(row.floor if row else None, row.unit if row else "1")
    words["p"] = share(p.row.value, ALPHA) if p.row is not None else UNKNOWN
    outcome = OPEN if why else YES if p.row.value <= ALPHA else NEITHER
    return Judgement(outcome, _known((score, p)), words, why)


def _rival(test: Compares, evidence: Evidence, place: Place, gap: Record | None) -> Found:
    """Return the rival's own score: a baseline's may stand under a variant of its own."""
    if gap is None:
        return Found(None, "no difference")
    own = replace(test.ask, head=gap.against, metric=gap.metric, against=None)
    variants = [test.rival_variant]
    if gap.against not in HEADS:
        variants += [FLOOR, f"{test.ask.variant}/{FLOOR}"]
    tries = [evidence.find(place, replace(own, variant=variant)) for variant in variants]
    return next((found for found in tries if found.row is not None), tries[0])


def _unlike(mine: Record, gap: Record, rival: Record) -> str:
    """Return why a difference is not that of the two scores which are told with it, or nothing."""
    rows = (mine, gap, rival)
    if len({row.unit for row in rows}) > 1:
        return "the units differ"
    if len({row.higher_is_better for row in rows}) > 1:
        return "its rows do not agree on which way is better"
    if any(row.value is None for row in rows):
        return "one of its scores has no value"
    scale = _TOLERANCE * max(1.0, abs(mine.value), abs(rival.value))
    apart = mine.value - rival.value
    if not math.isclose(apart, gap.value, rel_tol=_TOLERANCE, abs_tol=scale):
        return "the difference is not that of the two scores"
    return ""


def _compared(
    mine: Record | None, gap: Record | None, rival: Record | None, *, turned: bool
) -> dict[str, str]:
    """Return what sentences are filled with; turned, the rival is who is spoken of."""
    unit = next((row.unit for row in (mine, gap, rival) if row is not None), "1")
    named = gap or mine
    metric = readable(named.metric if named else None)
    against = readable(gap.against if gap else None)
    if turned:
        mine, rival, gap = rival, mine, gap and moved(gap, lambda value: -value)
    words = _scores(mine.value if mine else None, rival.value if rival else None, unit)
    pair = f"{metric} {words['mine']} against {words['other']}"
    both = mine and rival and None not in (mine.value, rival.value)
    return words | {
        "metric": metric,
        "seen": f" ({pair})" if both else "",
        "rival": against,
        "gap": signed(gap.value if gap else None, unit),
        "ends": ends(gap),
        "because": _because(gap),
    }


def _because(gap: Record | None) -> str:
    """Return why a difference is not significant, as the end of a sentence."""
    if gap is None or gap.ci_low is None or gap.ci_high is None:
        return ""
    if gap.no_verdict:
        return f", but {gap.no_verdict}"
    if gap.ci_low <= 0 <= gap.ci_high:
        return ", which includes zero"
    p = number(gap.p_holm)
    return f", p {p} after correction for the number of tasks"


def _scores(score: float | None, other: float | None, unit: str) -> dict[str, str]:
    ratio = times(score, other)
    far = ratio is not None and not 1 / FAR < ratio < FAR
    return {
        "mine": number(score, unit),
        "other": number(other, unit),
        "degree": "far " if far else "",
        "times": UNKNOWN if ratio is None else f"{ratio:.1f}",
    }


def _clears(test: Clears, evidence: Evidence, place: Place) -> Judgement:
    score = evidence.find(place, test.ask)
    printed = evidence.find(place, test.bound) if test.bound else Found(None)
    rows, row = _known((score, printed)), score.row
    bound, why, outcome = None, score.why or printed.why, OPEN
    if not why:
        bound, lacking = _bound(test, row, printed)
        beyond = row if bound is None else minus(row, bound)
        found, why = verdict(beyond)
        why = why or lacking
        outcome = OPEN if why else _OUTCOMES[found]
        outcome = _TURNED.get(outcome, outcome) if test.turned else outcome
    unit, value = (row.unit, row.value) if row else ("1", None)
    words = _scores(value, bound, unit) | {"ends": ends(row, with_sign=False)}
    words["metric"] = readable(row.metric if row else None)
    return Judgement(outcome, rows, words, why)


def _bound(test: Clears, score: Record, printed: Found) -> tuple[float | None, str]:
    """Return what is to be cleared, or why there is nothing."""
    if test.bound:
        same = printed.row.unit == score.unit
        why = printed.lacking or ("" if same else "the units differ")
        return (None, why) if why else (printed.row.value, "")
    if test.zero:
        return 0.0, ""
    if score.floor is None:
        return None, "there is nothing to clear"
    same = score.floor == test.constant
    return (score.floor, "") if same else (None, "its floor is not the constant expected")


def _tally(test: Tally, evidence: Evidence, place: Place) -> Judgement:
    """Return what most tasks say.

    Supported if the head is better on more than half of the tasks asked and worse on none,
    contradicted the other way round. Not tested if tasks without a verdict could still bring
    either about; otherwise mixed, or no significant difference where no task has one.
    """
    asks = test.asks
    if test.otherwise and not any(_was_scored(evidence, place, ask) for ask in asks):
        asks = test.otherwise
    tasks, rows, reasons = _counted(asks, evidence, place)
    better, worse, _, untold = (len(tasks[side]) for side in Verdict)
    most = HALF * len(asks)
    outcome, why = MIXED if better or worse else NEITHER, ""
    if better > most and not worse:
        outcome = YES
    elif worse > most and not better:
        outcome = NO
    elif (not worse and better + untold > most) or (not better and worse + untold > most):
        outcome, why = OPEN, _undecided(untold, len(asks), reasons, test.of)
    return Judgement(outcome, rows, _tallied(tasks, len(asks), test.of), why)


def _parts(test: Parts, evidence: Evidence, place: Place) -> Judgement:
    tasks, rows, reasons = _counted(test.asks, evidence, place)
    better, worse, _, untold = (len(tasks[side]) for side in Verdict)
    outcome, why = YES if better and worse else NEITHER, ""
    if outcome is NEITHER and untold and bool(better) + bool(worse) + untold >= 2:
        outcome, why = OPEN, _undecided(untold, len(test.asks), reasons)
    return Judgement(outcome, rows, _tallied(tasks, len(test.asks)), why)


def _counted(
    asks: Sequence[Ask], evidence: Evidence, place: Place
) -> tuple[dict[Verdict, list[str]], tuple[Record, ...], list[str]]:
    """Return the tasks of each verdict, the rows that say so, and why some have none."""
    tasks: dict[Verdict, list[str]] = {side: [] for side in Verdict}
    rows, reasons = [], {}
    for ask in asks:
        found = evidence.find(place, ask)
        side, why = verdict(found.row) if found.row is not None else (_UNTESTED, found.why)
        tasks[side].append(readable(ask.task.removeprefix(ANSWERED)))
        if found.row is not None:
            rows.append(found.row)
        if side is Verdict.NOT_TESTED:
            reasons[why] = None
    return tasks, tuple(rows), list(reasons)


def _undecided(untold: int, n: int, reasons: Sequence[str], of: str = "task") -> str:
    """Return why tasks or fields without a verdict leave a claim about all of them open."""
    why = _few(reasons)
    return (
        why if untold == n else f"{counted(untold, of)} without a verdict could decide it ({why})"
    )


def _largest(test: Largest, evidence: Evidence, place: Place) -> Judgement:
    found = [evidence.find(place, ask) for ask in test.asks]
    words = {"first": readable(test.asks[0].task), "mine": UNKNOWN, "next": "", "other": UNKNOWN}
    if lacking := next((one.lacking for one in found if one.lacking), ""):
        return Judgement(OPEN, _known(found), words, lacking)
    first, *others = (one.row for one in found)
    top = max(others, key=lambda row: row.value)
    words |= {"mine": signed(first.value), "next": readable(top.task), "other": signed(top.value)}
    is_largest = first.value > max(0.0, top.value)
    return Judgement(YES if is_largest else NO, _known(found), words)


def _signs(test: Signs, evidence: Evidence, place: Place) -> Judgement:
    found = evidence.find(place, test.ask)
    words = {"mine": found.shown, "n": str(test.n), "p": UNKNOWN}
    why = found.lacking
    if not why and not 0 <= found.row.value <= test.n:
        why = f"{found.shown} is no count of {test.n} tasks"
    if why:
        return Judgement(OPEN, _known((found,)), words, why)
    k = round(found.row.value)
    p = min(1.0, 2 * float(bdtr(min(k, test.n - k), test.n, 0.5)))  # exact, two-sided
    words["p"] = number(p)
    better = YES if 2 * found.row.value > test.n else NO
    return Judgement(better if p <= ALPHA else NEITHER, _known((found,)), words)


def _was_scored(evidence: Evidence, place: Place, ask: Ask) -> bool:
    """Return whether the head that is asked about was scored at all, in whatever measure."""
    rows, _ = evidence.rows(place.column, ask.section)
    wanted = (place.contract, ask.task, ask.head, ask.variant)
    return any((row.contract, row.task, row.head, row.variant) == wanted for row in rows)


def _few(reasons: Sequence[str], n_shown: int = 2) -> str:
    rest = len(reasons) - n_shown
    more = [f"and {counted(rest, 'more such reason')}"] if rest > 0 else []
    return "; ".join([*reasons[:n_shown], *more])


def _tasks(found: Sequence[str], n: int, of: str) -> str:
    """Return how many tasks or fields these are, and which if they are few."""
    if not found:
        return f"no {of}"
    return f"{len(found)} of {counted(n, of)}" + f" ({listed(found)})" * (len(found) <= MOST_NAMED)


def _tallied(tasks: Mapping[Verdict, Sequence[str]], n: int, of: str = "task") -> dict[str, str]:
    """Return what sentences about counted tasks are filled with."""
    names = ("better", "worse", "open", "untold")
    numbers = {
        f"n_{name}": str(len(found)) for name, found in zip(names, tasks.values(), strict=True)
    }
    words = {name: _tasks(found, n, of) for name, found in zip(names, tasks.values(), strict=True)}
    untold = len(tasks[Verdict.NOT_TESTED])
    words["untested"] = f", {untold} not tested" if untold else ""
    disagree = tasks[Verdict.BETTER] and tasks[Verdict.WORSE]
    few = f"Too few {of}s show it" if tasks[Verdict.BETTER] else f"No {of} shows it"
    words["case"] = f"{capital(of)}s disagree" if disagree else few
    seen = f" (better on {words['better']}, worse on {words['worse']})"
    words["seen"] = seen if untold < n else ""
    return words | numbers | {"n": str(n)}


def _fact(test: Fact, evidence: Evidence, place: Place) -> Judgement:
    found = evidence.find(place, test.ask)
    others = {name: evidence.find(place, Ask(test.ask.section, name)) for name in test.also}
    row, value = found.row, found.row.value if found.row else None
    percent = share(value, test.bound) if 0 <= (value or 0) <= 1 else UNKNOWN
    n_test = UNKNOWN if row is None or row.n_test is None else f"{row.n_test:,}"
    words = {"value": found.shown, "percent": percent, "n_test": n_test}
    words |= {name: one.shown for name, one in others.items()}
    rows = _known((found, *others.values()))
    why = next(filter(None, (one.lacking for one in (found, *others.values()))), "")
    if not why and test.given and not others[test.given].row.value:
        why = f"{readable(test.given)} is zero"
    if why:
        return Judgement(OPEN, rows, words, why)
    holds = value > test.bound if test.relation == "above" else value == test.bound
    return Judgement(YES if holds else NO, rows, words)


def _same(test: Same, evidence: Evidence, place: Place) -> Judgement:
    words, apart, lacking, seen = {}, [], [], []
    for ask in test.asks:
        mine = evidence.find(place, ask)
        other = evidence.find(place, replace(ask, variant=test.variant))
        seen += [mine, other]
        words[str(ask.metric)] = mine.shown
        if mine.lacking or other.lacking:
            lacking.append(mine.lacking or other.lacking)
        elif mine.row.unit != other.row.unit:
            lacking.append("the units differ")
        elif mine.row.value != other.row.value:
            apart.append(f"{readable(ask.metric)} {mine.shown} is {other.shown}")
    words["apart"] = listed(apart)
    outcome = NO if apart else OPEN if lacking else YES
    return Judgement(outcome, _known(seen), words, "; ".join(lacking) if outcome is OPEN else "")


def _every(test: Every, evidence: Evidence, place: Place) -> Judgement:
    section, metric = test.ask.section, test.ask.metric
    rows, why = evidence.rows(place.column, section)
    rows = [
        row
        for row in rows
        if (row.contract, row.metric, row.against) == (place.contract, metric, None)
        and FLOOR not in (row.variant or "")
    ]
    kept = [readable(row.variant) for row in rows if row.value == test.value]
    lacking = [f"{readable(row.variant)}: {reason_of(row)}" for row in rows if row.value is None]
    off = [
        f"{readable(row.variant)} ({Found(row).shown})"
        for row in rows
        if row.value is not None and row.value != test.value
    ]
    words = {"kept": listed(kept), "off": listed(off), "n": f"{len(rows):,}"}
    if not rows:
        lacking = [why or f"{metric} under {place.contract} is not in {section}.json"]
    outcome = NO if off else OPEN if lacking else YES
    return Judgement(outcome, tuple(rows), words, "; ".join(lacking) if outcome is OPEN else "")


def _settles(test: Settles, evidence: Evidence, place: Place) -> Judgement:
    found = [evidence.find(place, ask) for ask in test.asks]
    lacking = next((one.lacking for one in found if one.lacking), "")
    rows = _known(found)
    off = [readable(r.task) for r in rows if (r.no_verdict or "").startswith(UNSTABLE)]
    words = {"off": listed(off), "n": str(len(found))}
    outcome = NO if off else OPEN if lacking else YES
    return Judgement(outcome, rows, words, lacking if outcome is OPEN else "")


def _known(found: Iterable[Found]) -> tuple[Record, ...]:
    return tuple(one.row for one in found if one.row is not None)


_JUDGES = {
    Compares: _compares,
    Matches: _matches,
    Aligned: _aligned,
    Clears: _clears,
    Tally: _tally,
    Parts: _parts,
    Signs: _signs,
    Largest: _largest,
    Fact: _fact,
    Same: _same,
    Every: _every,
    Settles: _settles,
}


def say(claim: Claim, rule: Rule, judgement: Judgement) -> str:
    """Return the sentence of an outcome, filled and tidied."""
    template = rule.said.get(judgement.outcome, OPEN_SENTENCE)
    why = judgement.why.rstrip(".") or "the rows don't say"
    text = template.format(**{"seen": "", **judgement.words, "claim": claim.text, "why": why})
    return capital(" ".join(text.split()).replace(" .", ".").replace(" ,", ","))


# All takeaways of a run


def assemble(evidence: Evidence) -> dict[str, Any]:
    """Return the takeaways of a run as a JSON-like object.

    It holds ``run``, ``heldout``, ``sources`` (the digest of each metrics file, None where there is
    none), ``extents`` (how much each column is of), ``takeaways`` with their claims, and ``digest``
    of all of it.
    """
    content: dict[str, Any] = {
        "run": evidence.run,
        "heldout": evidence.heldout,
        "sources": evidence.sources() if evidence.given is None else {},
        "extents": {place.column: _extent(evidence, place) for place in EXTENTS},
        "takeaways": [_takeaway(evidence, one) for one in TAKEAWAYS],
    }
    return content | {"digest": value_digest(content)}


def _takeaway(evidence: Evidence, one: Takeaway) -> dict[str, Any]:
    """Return a takeaway: its headline, the claims that lead, the note's metrics, all claims."""
    claims = {
        (claim.name, place): decide(evidence, claim, place)
        for claim in one.claims
        for place in claim.rules
    }
    rules = {claim.name: claim.rules for claim in one.claims}
    said = []
    for name, place, words in HEADLINES[one.name]:
        judgement = judge(rules[name][place].test, evidence, place)
        said.append(words.get(judgement.outcome, "").format(**judgement.words))
    headline = capital("; ".join(filter(None, said))) or WITHDRAWN.format(title=one.title)
    return {
        "name": one.name,
        "title": one.title,
        "question": one.question,
        "scope": one.scope,
        "headline": headline,
        "leads": [list(claims).index(lead) for lead in LEADS[one.name]],
        "metrics": [_measured(evidence, metric) for metric in METRICS[one.name]],
        "claims": list(claims.values()),
    }


def _measured(evidence: Evidence, metric: NoteMetric) -> dict[str, Any]:
    """Return a metric of the note: as printed, as recomputed, how well they agree, and here."""
    printed, again, least, most = (
        evidence.find(THE_RECORD, note(metric.name, variant)).row
        for variant in ("note", "recomputed", "at_least", "at_most")
    )
    here = [evidence.find(metric.place, ask).row for ask in metric.asks]
    values = [row.value if row else None for row in here]
    told = again or least
    known = [row.value for row in (again, least, most) if row is not None and row.value is not None]
    agreed = (told.reason or UNKNOWN) if known else "not recomputable" if told else NOT_COMPUTED
    lacking = [row.reason for row in (printed, told) if row is not None and row.value is None]
    return {
        "metric": metric.name,
        "unit": next((row.unit for row in (printed, *here) if row is not None), "1"),
        "column": metric.place.column,
        "note": printed.value if printed else None,
        "recomputed": known,
        "verdict": agreed,
        "why": next(filter(None, lacking), ""),
        "here": None if None in values else metric.made(values),
    }


def decide(evidence: Evidence, claim: Claim, place: Place) -> dict[str, Any]:
    """Return a claim decided in one place: its outcome, the sentence, and the rows behind it."""
    rule = claim.rules[place]
    judgement = judge(rule.test, evidence, place)
    return {
        "claim": claim.name,
        "text": claim.text,
        "column": place.column,
        "contract": place.contract,
        "outcome": str(judgement.outcome),
        "sentence": say(claim, rule, judgement),
        "sections": sorted(sections_of(rule.test)),
        "rows": [row.model_dump(mode="json", exclude_none=True) for row in judgement.rows],
    }


def _extent(evidence: Evidence, place: Place) -> str:
    """Return how much a column is of, or why that isn't known."""
    template, asks = EXTENTS[place]
    found = {name: evidence.find(place, ask) for name, ask in asks.items()}
    why = next((one.why for one in found.values() if one.row is None), None)
    return f"not known, {why}" if why else template.format(**{n: f.shown for n, f in found.items()})


def outcome_rows(content: Mapping[str, Any], section: str) -> list[Record]:
    """Return how many claims of each place have each outcome.

    Rows of metric ``claims`` have the column and the outcome as ``variant``; ``section`` is the
    notebook's name.
    """
    claims = [claim for one in content["takeaways"] for claim in one["claims"]]
    counts = Counter((one["column"], one["contract"], one["outcome"]) for one in claims)
    return [
        Record(
            run=content["run"],
            section=section,
            contract=contract,
            metric="claims",
            unit="claim",
            variant=f"{column}: {outcome}",
            value=counts[column, contract, str(outcome)],
        )
        for column, contract in dict.fromkeys((one["column"], one["contract"]) for one in claims)
        for outcome in Outcome
    ]


# On disk


def takeaways_path(run: str, suffix: str = ".md") -> Path:
    """Return where a run keeps its takeaways: a page (.md), or an object for programs (.json)."""
    return results_folder(run) / f"{PAGE}{suffix}"


def write_takeaways(evidence: Evidence) -> dict[str, Any]:
    """Write a run's takeaways as a page and as JSON, and return them."""
    content = assemble(evidence)
    data = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for suffix, text in {".json": data, ".md": to_markdown(content)}.items():
        write_text(takeaways_path(evidence.run, suffix), text)
    return content


def check_takeaways(run: str) -> None:
    """Refuse takeaways that aren't what the run's metric files and the rules say.

    NoteMetric files of another run that aren't there are not held against the takeaways.

    Raises
    ------
    TakeawaysError
        If one of the two files is absent or was changed by hand, or a metrics file or a rule has
        changed since.
    """
    faults = list(_faults(run))
    if faults:
        raise TakeawaysError(
            f"artifacts/{run}/{PAGE}.md",
            "; ".join(faults),
            "what the metric files say",
            f"Write it anew: make reproduce RUN={run}, or xperience takeaways {run}.",
        )


def _faults(run: str) -> Iterator[str]:
    """Yield what is wrong with a run's takeaways, in words."""
    page, data = takeaways_path(run), takeaways_path(run, ".json")
    lacking = [path.name for path in (page, data) if not path.is_file()]
    if lacking:
        yield f"{' and '.join(lacking)} {'are' if len(lacking) > 1 else 'is'} not there"
        return
    content = _read_back(data)
    if content is None:
        yield f"{data.name} was changed by hand"
        return
    if set(content) != _KEYS:
        yield f"{data.name} was made by other rules"
        return
    if page.read_text(encoding="utf-8") != to_markdown(content):
        yield f"{page.name} is not what its metrics say: it was changed by hand, or the layout was"
    changed, n_lost = [], 0
    for name, was in content["sources"].items():
        state = digest_state(located(name), was)
        if state == "absent" and (was is None or f"/{run}/" not in f"/{name}"):
            n_lost += was is not None
        elif state != "same":
            changed.append(f"{name} {_STATES[state]}")
    yield from changed
    if not changed and not n_lost:
        now = assemble(open_evidence(run, content["heldout"]))
        if now["digest"] != content["digest"]:
            yield "the rules or their sentences have changed since"


def _read_back(path: Path) -> dict[str, Any] | None:
    """Return the object in a file; None if it isn't what was written there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rest = {key: value for key, value in content.items() if key != "digest"}
        return content if content["digest"] == value_digest(rest) else None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
