"""The takeaways on disk: written whole, and checked against what their metrics say now."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xperience.project import at_root, run_folder
from xperience.report.takeaways.evidence import NAME, Evidence, TakeawaysError, open_evidence
from xperience.report.takeaways.render import assemble, to_json, to_markdown
from xperience.storage import digest_state, value_digest, write_text

KEYS = {"run", "heldout", "sources", "extents", "takeaways", "digest"}
"""Of assembled takeaways."""


def takeaways_path(run: str, suffix: str = ".md") -> Path:
    """Return where a run keeps its takeaways: a page (.md), or an object for programs (.json)."""
    return run_folder(run) / f"{NAME}{suffix}"


def write_takeaways(evidence: Evidence) -> dict[str, Any]:
    """Write a run's takeaways as a page and as JSON, and return them.

    Parameters
    ----------
    evidence : Evidence
    """
    content = assemble(evidence)
    texts = {".json": to_json(content), ".md": to_markdown(content)}
    for suffix, text in texts.items():
        write_text(takeaways_path(evidence.run, suffix), text)
    return content


def check_takeaways(run: str) -> None:
    """Refuse takeaways that aren't what the run's metric files and the rules say.

    Metric files of another run that aren't there are not held against the takeaways.

    Parameters
    ----------
    run : str

    Raises
    ------
    TakeawaysError
        If one of the two files is absent or was changed by hand, or a metrics file or a rule has
        changed since.
    """
    faults = list(faults_of(run))
    if faults:
        raise TakeawaysError(
            f"artifacts/{run}/{NAME}.md",
            "; ".join(faults),
            "what the metric files say",
            f"Write it anew: make reproduce RUN={run}, or xperience takeaways {run}.",
        )


def faults_of(run: str) -> Iterator[str]:
    """Yield what is wrong with a run's takeaways, in words."""
    page, data = takeaways_path(run), takeaways_path(run, ".json")
    lacking = [path.name for path in (page, data) if not path.is_file()]
    if lacking:
        yield f"{' and '.join(lacking)} {'are' if len(lacking) > 1 else 'is'} not there"
        return
    content = _read(data)
    if content is None:
        yield f"{data.name} was changed by hand"
        return
    if set(content) != KEYS:
        yield f"{data.name} was made by other rules"
        return
    if page.read_text(encoding="utf-8") != to_markdown(content):
        yield f"{page.name} is not what its metrics say: it was changed by hand, or the layout was"
    changed = list(_changed(content["sources"], run))
    yield from changed
    if not changed and _all_there(content["sources"]):
        now = assemble(open_evidence(run, content["heldout"]))
        if now["digest"] != content["digest"]:
            yield "the rules or their sentences have changed since"


def _read(path: Path) -> dict[str, Any] | None:
    """Return the object in a file; None if it isn't what was written there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rest = {key: value for key, value in content.items() if key != "digest"}
        return content if content["digest"] == value_digest(rest) else None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _changed(sources: Mapping[str, str | None], run: str) -> Iterator[str]:
    for shown, digest in sources.items():
        state = digest_state(at_root(shown), digest)
        if state == "absent" and digest is not None and f"/{run}/" in f"/{shown}":
            yield f"{shown} is gone"
        elif state == "unrecorded":
            yield f"{shown} was not there yet"
        elif state == "changed":
            yield f"{shown} has changed since"


def _all_there(sources: Mapping[str, str | None]) -> bool:
    return all(digest is None or at_root(shown).is_file() for shown, digest in sources.items())
