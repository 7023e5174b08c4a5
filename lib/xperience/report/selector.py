"""Finding metric rows by a few words: `03/timeline_action/linear/macro_f1/corrected`."""

from collections.abc import Iterable, Sequence

from xperience.errors import XperienceError, did_you_mean
from xperience.evaluation.records import KEY, Record, read_records
from xperience.project import run_folder

FIELDS = tuple(name for name in KEY if name != "run")
_BY_DEFAULT_EMPTY = ("against", "variant", "seed", "head", "task")
_SHOWN = 12


class SelectorError(XperienceError):
    """Words that mean no metric row, or more than one."""


def rows_of_run(run: str) -> list[Record]:
    """Return every metric row that a run left, section by section.

    Parameters
    ----------
    run : str

    Raises
    ------
    SelectorError
        If the run left no metrics; the nearest run is suggested.
    RecordError
        If a metrics file is damaged.
    """
    folder = run_folder(run) / "metrics"
    files = [path for path in sorted(folder.glob("*.json")) if not _is_provenance(path.name)]
    if not files:
        known = {path.parents[1].name for path in run_folder("").glob("*/metrics/*.json")}
        raise SelectorError(
            f"artifacts/{run}/metrics", "holds no metrics", "a run's", did_you_mean(run, known)
        )
    return [row for path in files for row in read_records(path)]


def _is_provenance(name: str) -> bool:
    return name.endswith(".provenance.json")


def select(selector: str, rows: Sequence[Record], place: str = "METRIC") -> Record:
    """Return the one row that a selector means.

    Parameters
    ----------
    selector : str
        Words joined by "/", in any order: each is the value of one of the row's fields (section,
        contract, task, head, variant, against, metric, seed), a section's number ("03"), or
        ``field=value``; ``field=`` asks for an empty one.
    rows : sequence of Record
    place : str, optional
        What errors name.

    Raises
    ------
    SelectorError
        If a word is unknown (the nearest one is suggested), no row has all of them, or several
        have and none of these is plainer than the others.

    Notes
    -----
    Of several rows the plainest is meant: without ``against``, then without ``variant``, then
    without ``seed`` (the mean over seeds), and so on.
    """
    words, left = _split(selector, rows), list(rows)
    for word in words:
        fitting = [row for row in left if _fits(row, word)]
        if not fitting:
            raise _nothing(place, word, words, left, rows)
        left = fitting
    for name in _BY_DEFAULT_EMPTY:
        plain = [row for row in left if getattr(row, name) is None]
        left = plain or left
    if len(left) != 1:
        raise _several(place, selector, left)
    return left[0]


def _split(selector: str, rows: Sequence[Record]) -> list[str]:
    """Return the words of a selector; a value that itself holds "/" stays whole."""
    parts = [part.strip() for part in selector.split("/") if part.strip()]
    words = []
    while parts:
        tries = ["/".join(parts[:n]) for n in range(len(parts), 1, -1)]
        known = (word for word in tries if any(_fits(row, word) for row in rows))
        words.append(next(known, parts[0]))
        parts = parts[1 + words[-1].count("/") :]
    return words


def _fits(row: Record, word: str) -> bool:
    name, given, value = word.partition("=")
    if given and name in FIELDS:
        return _text(row, name) == value
    return word in _words(row)


def _words(row: Record) -> set[str]:
    said = {_text(row, name) for name in FIELDS} | {row.section.partition("_")[0]}
    return (said | set(_text(row, "variant").split("/"))) - {""}


def _text(row: Record, name: str) -> str:
    value = getattr(row, name)
    return "" if value is None else str(value)


def _nothing(
    place: str, word: str, words: list[str], left: list[Record], rows: Sequence[Record]
) -> SelectorError:
    if any(_fits(row, word) for row in rows):
        before = "/".join(words[: words.index(word)])
        found = f"{word!r} names rows, but none of those that {before!r} leaves"
        return SelectorError(place, found, "words of one row", listed_rows(left))
    name, given, value = word.partition("=")
    if given and name in FIELDS:
        known = {_text(row, name) for row in rows} - {""}
        return SelectorError(place, f"no row has {word!r}", f"a {name}", did_you_mean(value, known))
    if given and name.isidentifier():
        return SelectorError(place, f"no row has {word!r}", "a field", did_you_mean(name, FIELDS))
    known = set().union(*map(_words, rows))
    return SelectorError(place, f"no row has {word!r}", "a name of one", _nearest(word, known))


def _nearest(word: str, known: set[str]) -> str:
    way_out = did_you_mean(word, known)
    hint = way_out.partition(" Known names: ")[0] if way_out.startswith("Did") else "No such name."
    return f"{hint} Sections, contracts, tasks, heads, variants, metrics and seeds are known."


def _several(place: str, selector: str, left: list[Record]) -> SelectorError:
    found = f"{selector!r} means {len(left)} rows"
    return SelectorError(place, found, "one", listed_rows(left))


def listed_rows(rows: Iterable[Record]) -> str:
    """Return the way out of asking for several rows: their names, the first of them."""
    names = [selector_of(row) for row in rows]
    more = f"\n  and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "Ask for one of\n  " + "\n  ".join(names[:_SHOWN]) + more


def selector_of(row: Record) -> str:
    """Return the words that name a row, ready to be asked for."""
    plain = ("section", "contract", "task", "head", "metric")
    parts = [_text(row, name) for name in plain if _text(row, name)]
    rest = ("variant", "against", "seed")
    return "/".join(parts + [f"{name}={_text(row, name)}" for name in rest if _text(row, name)])
