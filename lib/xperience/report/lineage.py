"""The way from a sentence to the files that it came from, each link checked as it is now.

A row is asked for by a few words: `03/timeline_action/linear/macro_f1/corrected`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from xperience.cohort.manifest import read_manifest
from xperience.errors import XperienceError, did_you_mean
from xperience.evaluation.records import KEY, Record, read_records
from xperience.features.table import WindowTable
from xperience.project import (
    at_root,
    episode_name,
    known_runs,
    located,
    provenance_path,
    results_folder,
)
from xperience.report.provenance import shown_path, versions
from xperience.sources import source_digests, sources_of
from xperience.storage import digest_state, file_digest, value_digest

FIELDS = tuple(name for name in KEY if name != "run")
_PLAIN_WITHOUT = ("against", "variant", "seed", "head", "task")
"""Of several rows the plainest is meant: the one without these, the first of them first."""
_N_LISTED = 12
_SHORT = 12
_TAKEAWAYS = "RESEARCH_TAKEAWAYS.json"
_FAULTS = ("changed", "absent")


class SelectorError(XperienceError):
    """Words that mean no metric row, or more than one."""


def rows_of_run(run: str) -> list[Record]:
    """Return every metric row that a run left, section by section.

    Raises
    ------
    SelectorError
        If the run left no metrics; the nearest run is suggested.
    """
    files = sorted((results_folder(run) / "metrics").glob("*.json"))
    files = [path for path in files if not path.name.endswith(".provenance.json")]
    if not files:
        way_out = did_you_mean(run, known_runs())
        raise SelectorError(f"artifacts/{run}/metrics", "holds no metrics", "a run's", way_out)
    return [row for path in files for row in read_records(path)]


def select(selector: str, rows: Sequence[Record], place: str = "METRIC") -> Record:
    """Return the one row that a selector means; of several, the plainest.

    Parameters
    ----------
    selector : str
        Words joined by "/", in any order: each is the value of one of the row's fields (section,
        contract, task, head, variant, against, metric, seed), a section's number ("03"), or
        ``field=value``; ``field=`` asks for an empty one.
    rows : sequence of Record
        Those to choose from.
    place : str, optional
        What errors name.

    Raises
    ------
    SelectorError
        If a word is unknown (the nearest one is suggested), no row has all of them, or several
        have and none of these is plainer than the others: without ``against``, then without
        ``variant``, then without ``seed`` (the mean over seeds), and so on.
    """
    left, words = list(rows), list(_words_of(selector, rows))
    for word in words:
        fitting = [row for row in left if _fits(row, word)]
        if not fitting:
            before = "/".join(words[: words.index(word)])
            raise SelectorError(place, *_why_nothing(word, before, left, rows))
        left = fitting
    for name in _PLAIN_WITHOUT:
        left = [row for row in left if getattr(row, name) is None] or left
    if len(left) != 1:
        found = f"{selector!r} means {len(left)} rows"
        raise SelectorError(place, found, "one", _listed(left))
    return left[0]


def _words_of(selector: str, rows: Sequence[Record]) -> Iterator[str]:
    """Yield the words of a selector; a value that itself holds "/" stays whole."""
    parts = [part.strip() for part in selector.split("/") if part.strip()]
    while parts:
        tries = ["/".join(parts[:n]) for n in range(len(parts), 1, -1)]
        known = (word for word in tries if any(_fits(row, word) for row in rows))
        word = next(known, parts[0])
        yield word
        parts = parts[1 + word.count("/") :]


def _fits(row: Record, word: str) -> bool:
    name, given, value = word.partition("=")
    if given and name in FIELDS:
        return _text(row, name) == value
    return word in _names(row)


def _names(row: Record) -> set[str]:
    found = {_text(row, name) for name in FIELDS} | {row.section.partition("_")[0]}
    return (found | set(_text(row, "variant").split("/"))) - {""}


def _text(row: Record, name: str) -> str:
    value = getattr(row, name)
    return "" if value is None else str(value)


def _why_nothing(
    word: str, before: str, left: list[Record], rows: Sequence[Record]
) -> tuple[str, str, str]:
    """Return what is wrong with a word that no row has, what is expected and the way out."""
    if any(_fits(row, word) for row in rows):
        found = f"{word!r} names rows, but none of those that {before!r} leaves"
        return found, "words of one row", _listed(left)
    found, (name, given, value) = f"no row has {word!r}", word.partition("=")
    if given and name in FIELDS:
        known = {_text(row, name) for row in rows} - {""}
        return found, f"a {name}", did_you_mean(value, known)
    if given and name.isidentifier():
        return found, "a field", did_you_mean(name, FIELDS)
    near = did_you_mean(word, set().union(*map(_names, rows)))
    hint = near.partition(" Known names: ")[0] if near.startswith("Did") else "No such name."
    known = "Sections, contracts, tasks, heads, variants, metrics and seeds are known."
    return found, "a name of one", f"{hint} {known}"


def _listed(rows: Iterable[Record]) -> str:
    """Return the way out of asking for several rows: their names, the first of them."""
    names = [selector_of(row) for row in rows]
    more = f"\n  and {len(names) - _N_LISTED} more" if len(names) > _N_LISTED else ""
    return "Ask for one of\n  " + "\n  ".join(names[:_N_LISTED]) + more


def selector_of(row: Record) -> str:
    """Return the words that name a row, ready to be asked for."""
    plain = ("section", "contract", "task", "head", "metric")
    parts = [_text(row, name) for name in plain if _text(row, name)]
    rest = ("variant", "against", "seed")
    return "/".join(parts + [f"{name}={_text(row, name)}" for name in rest if _text(row, name)])


@dataclass(frozen=True)
class Link:
    """One link of the way from a sentence to the recording.

    Its state says whether what is here now is what the result was made from; "unrecorded" if nobody
    wrote down what that was.
    """

    kind: str  #: "sentence", "metrics", "provenance", "parameters", "library", …
    name: str  #: A path as seen from the repository's top, or a few words.
    state: Literal["same", "changed", "absent", "unrecorded"]
    recorded: str | None = None  #: Digest (or value) that was written down.
    detail: str = ""  #: What else is worth saying.


@dataclass(frozen=True)
class Trace:
    """A metric row and all that it rests on, from sentences down to the recording's files."""

    row: Record
    links: tuple[Link, ...]

    def to_json(self) -> str:
        """Return the trace as JSON text."""
        found = {"row": self.row.model_dump(mode="json"), "links": list(map(asdict, self.links))}
        return json.dumps(found, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """Return the trace as lines for readers."""
        row, links = self.row, self.links
        score = f"no score, {row.status}: {row.reason}"
        if row.value is not None:
            ends = "" if row.ci_low is None else f" [{row.ci_low:.6g}, {row.ci_high:.6g}]"
            score = f"{row.value:.6g}{'' if row.unit == '1' else f' {row.unit}'}{ends}"
        lines = [f"{selector_of(row)} = {score}", ""]
        width = max((len(link.kind) for link in links), default=0)
        for link in links:
            digest = f" {link.recorded[:_SHORT]}" if link.recorded else ""
            detail = f" ({link.detail})" if link.detail else ""
            lines.append(f"{link.state:<10} {link.kind:<{width}}  {link.name}{digest}{detail}")
        counts = {fault: sum(link.state == fault for link in links) for fault in _FAULTS}
        said = " and ".join(f"{n} {fault}" for fault, n in counts.items() if n)
        whole = "Every link that was recorded is as it was."
        return "\n".join(
            [*lines, "", f"Of {len(links)} links, {said}: see above." if said else whole]
        )


def trace(selector: str, run: str = "standin") -> Trace:
    """Return what a metric row rests on, from the sentences that use it to the recording.

    Parameters
    ----------
    selector : str
        See `select`; or the name of a claim of the run's takeaways, with a column and a contract if
        need be: ``hands_beat_linear/record``.
    run : str
        The run that left the row.

    Raises
    ------
    SelectorError
        If the run left no metrics, or the selector means no row or several.
    """
    rows = rows_of_run(run)
    row = _row_of_claim(selector, run) or select(selector, rows, f"metrics of run {run}")
    return Trace(row, tuple(dict.fromkeys(_links(row, row.run))))


def _row_of_claim(selector: str, run: str) -> Record | None:
    """Return the one row that a claim rests on; None if the words name no claim."""
    words = {word.strip() for word in selector.split("/")}
    known = [claim for _, found in _takeaways_on(run) for claim in _claims(found)]
    meant = [
        one
        for one in known
        if one.get("claim") in words and words <= {one["claim"], one["column"], one["contract"]}
    ]
    if not meant:
        return None
    rows = [Record.model_validate(fields) for claim in meant for fields in claim["rows"]]
    rows = list({row.key: row for row in rows}.values())
    if len(rows) == 1:
        return rows[0]
    found = f"{selector!r} is a claim that rests on {len(rows)} rows"
    others = sorted({row.run for row in rows} - {run})
    hint = f"\nRows of {', '.join(others)} need --run." if others else ""
    raise SelectorError(f"takeaways of run {run}", found, "one row", _listed(rows) + hint)


def _takeaways_on(run: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the takeaways of a run, and those of other runs that it is the held-out run of."""
    mine = results_folder(run) / _TAKEAWAYS
    others = (results_folder(other) / _TAKEAWAYS for other in known_runs(_TAKEAWAYS))
    for path in dict.fromkeys((mine, *others)):
        found = _read(path)
        if found and (path == mine or found.get("heldout") == run):
            yield path, found


def _claims(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for takeaway in found.get("takeaways", []):
        yield from takeaway.get("claims", [])


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if it is absent or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _links(row: Record, run: str) -> Iterator[Link]:
    folder = results_folder(run)
    metrics = folder / "metrics" / f"{row.section}.json"
    executed = folder / "notebooks" / f"{row.section}.ipynb"
    sealed = _read(executed).get("metadata", {}).get("xperience", {})
    yield from _sentences(row, run, metrics)
    for kind, path in (("metrics", metrics), ("provenance", provenance_path(metrics))):
        recorded = sealed.get("outputs", {}).get(shown_path(path))
        yield _file(kind, path, recorded, "sealed in the executed notebook")
    found = _read(provenance_path(metrics))
    if not found:
        return
    notebook = found.get("notebook", {})
    source = at_root("notebooks") / f"{notebook.get('name')}.py"
    yield _parameters(found, sealed)
    yield _library(source, found.get("library"), sealed.get("library", {}))
    yield _versions(found.get("versions", {}))
    yield _file("notebook", source, notebook.get("digest"))
    yield _executed(executed, sealed.get("notebook"), notebook.get("digest"))
    for name, digest in found.get("data", {}).items():
        yield from _data(located(name), digest, found.get("parameters", {}))


def _sentences(row: Record, run: str, metrics: Path) -> Iterator[Link]:
    """Yield each sentence that uses the row, of the run's takeaways or of those it is held out to.

    Where nobody uses it, yield that.
    """
    used, unused = [], []
    wanted = dict(zip(KEY, row.key, strict=True))
    for path, found in _takeaways_on(run):
        recorded, page = found.get("sources", {}).get(shown_path(metrics)), shown_path(path)
        state = digest_state(metrics, recorded)
        for claim in _claims(found):
            rows = claim.get("rows", [])
            if any({name: one.get(name) for name in KEY} == wanted for one in rows):
                used.append(Link("sentence", str(claim.get("sentence")), state, recorded, page))
        unused.append(Link("sentence", page, state, recorded, "no sentence uses this row"))
    if not unused:
        name = shown_path(results_folder(run) / _TAKEAWAYS)
        unused = [Link("sentence", name, "absent", None, "no takeaways of this run")]
    yield from used or unused


def _file(kind: str, path: Path, recorded: str | None, by: str = "") -> Link:
    """Return the link of a file whose digest was written down, or was not."""
    state = digest_state(path, recorded)
    if state in ("changed", "unrecorded"):
        by = f"now {file_digest(path)[:_SHORT]}"
    return Link(kind, shown_path(path), state, recorded, "" if state == "absent" else by)


def _parameters(found: Mapping[str, Any], sealed: Mapping[str, Any]) -> Link:
    """Return whether parameters are those of the digest, and those that the runner gave."""
    given, recorded = found.get("parameters", {}), found.get("parameters_digest")
    theirs, detail = sealed.get("parameters", {}), ""
    other = sorted(key for key in given.keys() & theirs.keys() if given[key] != theirs[key])
    if value_digest(given) != recorded:
        detail = "they don't give their own digest"
    elif other:
        detail = f"the executed notebook was given other {', '.join(other)}"
    name = ", ".join(f"{key}={value}" for key, value in given.items())
    return Link("parameters", name, "changed" if detail else "same", recorded, detail)


def _library(source: Path, recorded: str | None, sealed: Mapping[str, str]) -> Link:
    """Return whether the library files that the notebook uses are those of the result."""
    if not source.is_file():
        detail = f"{shown_path(source)} is gone: which files it used is not known"
        return Link("library", "xperience", "absent", recorded, detail)
    present = source_digests(sources_of(source))
    name = f"{len(present)} files of xperience"
    if value_digest(present) == recorded:
        return Link("library", name, "same", recorded)
    named = sorted(file for file in present if sealed and sealed.get(file) != present[file])
    detail = f"other files: {', '.join(named)}" if named else "the set of files is another"
    return Link("library", name, "changed", recorded, detail)


def _versions(recorded: Mapping[str, str]) -> Link:
    now = versions()
    name = ", ".join(f"{package} {version}" for package, version in recorded.items())
    other = [
        f"{key} is {now.get(key, 'absent')}" for key in recorded if now.get(key) != recorded[key]
    ]
    return Link("versions", name, "changed" if other else "same", None, "; ".join(other))


def _executed(executed: Path, made_from: str | None, digest: str | None) -> Link:
    """Return whether the executed copy was made from the notebook of the result."""
    name = shown_path(executed)
    if not executed.is_file():
        return Link("executed", name, "absent", digest)
    if made_from is None:
        return Link("executed", name, "unrecorded", None, "the runner's seal is not in it")
    state: Literal["same", "changed"] = "same" if made_from == digest else "changed"
    return Link("executed", name, state, made_from, "the notebook that it was made from")


def _data(path: Path, digest: str, parameters: Mapping[str, Any]) -> Iterator[Link]:
    """Yield the link of a file that the notebook read, and of the recording behind it."""
    yield _file("data", path, digest)
    if path.suffix != ".parquet" or not path.is_file():
        return
    try:
        sources = WindowTable(path).info.sources
    except XperienceError:
        return  # not a windows table: nothing behind it is known
    folder = _recording_folder(path, parameters)
    for name, recorded in sources.items():
        if folder is None:
            yield Link("recording", name, "absent", recorded, f"of {path.stem}: folder unknown")
            continue
        link = _file("recording", folder / name, recorded)
        if link.state == "changed" and name.endswith(".hdf5"):
            detail = f"{link.detail}; a slim copy is kept of cohorts"
            link = Link("recording", link.name, "changed", recorded, detail)
        yield link


def _recording_folder(table: Path, parameters: Mapping[str, Any]) -> Path | None:
    """Return where the recording of a windows table lies, from the notebook's parameters."""
    name = table.stem.removesuffix(".corrected")
    if parameters.get("episodes"):
        path = at_root(parameters["episodes"])
        manifest = read_manifest(path) if path.is_file() else None
        entries = [entry for entry in manifest or () if entry.episode == name]
        return manifest.folder(entries[0]) if manifest is not None and entries else None
    given = (value for value in parameters.values() if isinstance(value, str))
    folders = [at_root(value) for value in given if episode_name(value) == name]
    return next((folder for folder in folders if folder.is_dir()), None)
