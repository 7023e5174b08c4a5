"""The chain from a sentence to the files that it came from, each link checked as it is now."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from xperience.cohort.roster import read_roster
from xperience.errors import XperienceError
from xperience.evaluation.records import KEY, Record
from xperience.features.table import WindowTable
from xperience.project import at_root, episode_name, metrics_path, provenance_path, run_folder
from xperience.report.provenance import shown_path, versions
from xperience.report.selector import SelectorError, listed_rows, rows_of_run, select, selector_of
from xperience.sources import source_digests, sources_of
from xperience.storage import file_digest, value_digest

State = Literal["same", "changed", "absent", "unrecorded"]
TAKEAWAYS = "RESEARCH_TAKEAWAYS.json"
_SHORT = 12


@dataclass(frozen=True)
class Link:
    """One link of the chain.

    Parameters
    ----------
    kind : str
        What it is: "sentence", "metrics", "provenance", "parameters", "library", …
    name : str
        Which one: a path as seen from the repository's top, or a few words.
    state : {"same", "changed", "absent", "unrecorded"}
        Whether what is here now is what the result was made from; "unrecorded" if nobody wrote
        down what that was.
    recorded : str, optional
        Digest (or value) that was written down.
    detail : str
        What else is worth saying.
    """

    kind: str
    name: str
    state: State
    recorded: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class Trace:
    """A metric row and all that it rests on.

    Parameters
    ----------
    row : Record
    links : tuple of Link
        From the sentences that use the row down to the recording's files.
    """

    row: Record
    links: tuple[Link, ...]

    @property
    def broken(self) -> tuple[Link, ...]:
        """Links whose present file is not the one that the result was made from."""
        return tuple(link for link in self.links if link.state == "changed")

    def to_json(self) -> str:
        """Return the trace as JSON text."""
        found = {"row": self.row.model_dump(mode="json"), "links": list(map(asdict, self.links))}
        return json.dumps(found, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """Return the trace as lines for readers."""
        lines = [f"{selector_of(self.row)} = {_score(self.row)}", ""]
        width = max((len(link.kind) for link in self.links), default=0)
        for link in self.links:
            digest = f" {link.recorded[:_SHORT]}" if link.recorded else ""
            detail = f" ({link.detail})" if link.detail else ""
            lines.append(f"{link.state:<10} {link.kind:<{width}}  {link.name}{digest}{detail}")
        return "\n".join([*lines, "", _summary(self.links)])


def _score(row: Record) -> str:
    if row.value is None:
        return f"no score, {row.status}: {row.reason}"
    unit = "" if row.unit == "1" else f" {row.unit}"
    ends = "" if row.ci_low is None else f" [{row.ci_low:.6g}, {row.ci_high:.6g}]"
    return f"{row.value:.6g}{unit}{ends}"


def _summary(links: tuple[Link, ...]) -> str:
    count = {state: sum(link.state == state for link in links) for state in ("changed", "absent")}
    if not any(count.values()):
        return "Every link that was recorded is as it was."
    said = [f"{n} {state}" for state, n in count.items() if n]
    return f"Of {len(links)} links, {' and '.join(said)}: see above."


def trace(selector: str, run: str = "standin") -> Trace:
    """Return what a metric row rests on, from the sentences that use it to the recording.

    Parameters
    ----------
    selector : str
        See `xperience.report.selector.select`; or the name of a claim of the run's takeaways, with
        a column and a contract if need be: ``hands_beat_linear/record``.
    run : str

    Raises
    ------
    SelectorError
        If the run left no metrics, or the selector means no row or several.
    """
    place, rows = f"metrics of run {run}", rows_of_run(run)
    row = _row_of_claim(selector, run) or select(selector, rows, place)
    return Trace(row, tuple(dict.fromkeys(_links(row, row.run))))


def _row_of_claim(selector: str, run: str) -> Record | None:
    """Return the one row that a claim rests on; None if the words name no claim."""
    words = {word.strip() for word in selector.split("/")}
    known = [claim for _, found in _takeaways_on(run) for claim in _claims(found)]
    claims = [one for one in known if one.get("claim") in words]
    told = [one for one in claims if words <= {one["claim"], one["column"], one["contract"]}]
    if not claims or not told:
        return None
    rows = [Record.model_validate(fields) for claim in told for fields in claim["rows"]]
    rows = list({row.key: row for row in rows}.values())
    if len(rows) == 1:
        return rows[0]
    found = f"{selector!r} is a claim that rests on {len(rows)} rows"
    others = sorted({row.run for row in rows} - {run})
    hint = f"\nRows of {', '.join(others)} need --run." if others else ""
    raise SelectorError(f"takeaways of run {run}", found, "one row", listed_rows(rows) + hint)


def _links(row: Record, run: str) -> Iterator[Link]:
    yield from _sentences(row, run)
    metrics = metrics_path(run, row.section)
    executed = run_folder(run) / "notebooks" / f"{row.section}.ipynb"
    sealed = _sealed(executed)
    outputs = sealed.get("outputs", {})
    for kind, path in (("metrics", metrics), ("provenance", provenance_path(metrics))):
        yield _file(kind, path, outputs.get(shown_path(path)), "sealed in the executed notebook")
    found = _read(provenance_path(metrics))
    if found is None:
        return
    yield _parameters(found, sealed)
    yield _library(found, sealed)
    yield _versions(found)
    notebook = found.get("notebook", {})
    source = at_root("notebooks") / f"{notebook.get('name')}.py"
    yield _file("notebook", source, notebook.get("digest"))
    yield _executed(executed, sealed, notebook.get("digest"))
    for name, digest in found.get("data", {}).items():
        yield from _data(name, digest, found)


def _read(path: Path) -> Any:
    """Return a JSON file's content, or None if it is absent or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _sealed(executed: Path) -> dict[str, Any]:
    """Return what the runner wrote into an executed notebook; empty if there is none."""
    found = _read(executed)
    return found.get("metadata", {}).get("xperience", {}) if isinstance(found, dict) else {}


def _file(kind: str, path: Path, recorded: str | None, by: str = "") -> Link:
    """Return the link of a file whose digest was written down, or was not."""
    name = shown_path(path)
    if not path.is_file():
        return Link(kind, name, "absent", recorded)
    if recorded is None:
        return Link(kind, name, "unrecorded", None, f"now {file_digest(path)[:_SHORT]}")
    now = file_digest(path)
    if now == recorded:
        return Link(kind, name, "same", recorded, by)
    return Link(kind, name, "changed", recorded, f"now {now[:_SHORT]}")


def _sentences(row: Record, run: str) -> Iterator[Link]:
    """Yield each sentence that uses the row, of the run's takeaways or of those it is held out to.

    Where nobody uses it, yield that.
    """
    pages = list(_takeaways_on(run))
    if not pages:
        path = run_folder(run) / TAKEAWAYS
        yield Link("sentence", shown_path(path), "absent", None, "no takeaways of this run")
    used, unused = [], []
    for path, found in pages:
        state, recorded = _state_in(found, metrics_path(run, row.section))
        page = shown_path(path)
        claims = [claim for claim in _claims(found) if _uses(claim, row)]
        used += [
            Link("sentence", str(one.get("sentence")), state, recorded, page) for one in claims
        ]
        unused.append(Link("sentence", page, state, recorded, "no sentence uses this row"))
    yield from used or unused


def _state_in(found: Mapping[str, Any], metrics: Path) -> tuple[State, str | None]:
    """Return whether a metrics file is the one that takeaways were told from."""
    recorded = found.get("sources", {}).get(shown_path(metrics))
    if recorded is None:
        return "unrecorded", None
    now = file_digest(metrics) if metrics.is_file() else None
    return ("same" if now == recorded else "changed"), recorded


def _takeaways_on(run: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the takeaways of a run, and those of other runs that it is the held-out run of."""
    mine = run_folder(run) / TAKEAWAYS
    others = sorted(run_folder("").glob(f"*/{TAKEAWAYS}"))
    for path in dict.fromkeys((mine, *others)):
        found = _read(path)
        if isinstance(found, dict) and (path == mine or found.get("heldout") == run):
            yield path, found


def _claims(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for takeaway in found.get("takeaways", []):
        yield from takeaway.get("claims", [])


def _uses(claim: Mapping[str, Any], row: Record) -> bool:
    wanted = dict(zip(KEY, row.key, strict=True))
    return any({name: used.get(name) for name in KEY} == wanted for used in claim.get("rows", []))


def _parameters(found: Mapping[str, Any], sealed: Mapping[str, Any]) -> Link:
    """Return whether parameters are those of the digest, and those that the runner gave."""
    given, recorded = found.get("parameters", {}), found.get("parameters_digest")
    name = ", ".join(f"{key}={value}" for key, value in given.items())
    if value_digest(given) != recorded:
        return Link("parameters", name, "changed", recorded, "they don't give their own digest")
    theirs = sealed.get("parameters", {})
    other = sorted(key for key in given.keys() & theirs.keys() if given[key] != theirs[key])
    if other:
        detail = f"the executed notebook was given other {', '.join(other)}"
        return Link("parameters", name, "changed", recorded, detail)
    return Link("parameters", name, "same", recorded)


def _library(found: Mapping[str, Any], sealed: Mapping[str, Any]) -> Link:
    """Return whether the library files that the notebook uses are those of the result."""
    recorded = found.get("library")
    source = at_root("notebooks") / f"{found.get('notebook', {}).get('name')}.py"
    if not source.is_file():
        detail = f"{shown_path(source)} is gone: which files it used is not known"
        return Link("library", "xperience", "absent", recorded, detail)
    present = source_digests(sources_of(source))
    name = f"{len(present)} files of xperience"
    if value_digest(present) == recorded:
        return Link("library", name, "same", recorded)
    old = sealed.get("library", {})
    named = sorted(file for file in present if old and old.get(file) != present[file])
    detail = f"other files: {', '.join(named)}" if named else "the set of files is another"
    return Link("library", name, "changed", recorded, detail)


def _versions(found: Mapping[str, Any]) -> Link:
    recorded, now = found.get("versions", {}), versions()
    name = ", ".join(f"{package} {version}" for package, version in recorded.items())
    other = [
        f"{key} is {now.get(key, 'absent')}" for key in recorded if now.get(key) != recorded[key]
    ]
    return Link("versions", name, "changed" if other else "same", None, "; ".join(other))


def _executed(executed: Path, sealed: Mapping[str, Any], digest: str | None) -> Link:
    """Return whether the executed copy was made from the notebook of the result."""
    name = shown_path(executed)
    if not executed.is_file():
        return Link("executed", name, "absent", digest)
    made_from = sealed.get("notebook")
    if made_from is None:
        return Link("executed", name, "unrecorded", None, "the runner's seal is not in it")
    state: State = "same" if made_from == digest else "changed"
    return Link("executed", name, state, made_from, "the notebook that it was made from")


def _data(name: str, digest: str, found: Mapping[str, Any]) -> Iterator[Link]:
    """Yield the link of a file that the notebook read, and of the recording behind it."""
    path = at_root(name)
    yield _file("data", path, digest)
    if path.suffix != ".parquet" or not path.is_file():
        return
    try:
        table = WindowTable(path)
    except XperienceError:
        return  # not a windows table: nothing behind it is known
    folder = _recording_folder(path, found.get("parameters", {}))
    for file, recorded in table.info.sources.items():
        if folder is None:
            yield Link("recording", file, "absent", recorded, f"of {path.stem}: folder unknown")
        else:
            yield _recording_file(folder / file, recorded)


def _recording_file(path: Path, recorded: str) -> Link:
    link = _file("recording", path, recorded)
    if link.state == "changed" and path.suffix == ".hdf5":
        return Link(**asdict(link) | {"detail": f"{link.detail}; a slim copy is kept of cohorts"})
    return link


def _recording_folder(table: Path, parameters: Mapping[str, Any]) -> Path | None:
    """Return where the recording of a windows table lies, from the notebook's parameters."""
    name = table.stem.removesuffix(".corrected")
    if parameters.get("episodes"):
        roster_path = at_root(parameters["episodes"])
        roster = read_roster(roster_path) if roster_path.is_file() else None
        entries = [entry for entry in roster or () if entry.episode == name]
        return roster.folder(entries[0]) if roster is not None and entries else None
    given = (value for value in parameters.values() if isinstance(value, str))
    folders = [at_root(value) for value in given if episode_name(value) == name]
    return next((folder for folder in folders if folder.is_dir()), None)
