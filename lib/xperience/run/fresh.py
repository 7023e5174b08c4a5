"""Freshness by content: whether executed notebooks still say what their sources would say."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xperience.errors import NotebookError
from xperience.run.plan import FEATURES, SIMULATOR, RunPlan
from xperience.sources import source_digests, sources_of
from xperience.storage import digest_state, file_digest, value_digest

N_NAMED = 6


@dataclass(frozen=True)
class Stale:
    """An executed notebook that no longer follows from its sources, and what changed."""

    notebook: str
    reason: str

    def __str__(self) -> str:
        return f"{self.notebook}: {self.reason}"


def _follows_from(plan: RunPlan, notebook: str) -> dict[str, Any]:
    """Return what a notebook's result follows from, by content; the same on any machine.

    The library files are those that the notebook imports and those that make its inputs.
    """
    origin = plan.params.model_dump(
        mode="json",
        include={"sample": True, "standin": True, "family": True},
        exclude={"standin": {"workers", "script"}, "family": {"workers", "activities"}},
        exclude_unset=True,
    )
    simulated = plan.params.standin or plan.params.family
    upstream = [FEATURES] + ([SIMULATOR] if simulated else [])
    return {
        "notebook": file_digest(plan.source(notebook)),
        "parameters": plan.values(notebook),
        "origin": value_digest({**origin, "script": [file_digest(path) for path in plan.script]}),
        "library": source_digests(sources_of(plan.source(notebook), *upstream)),
    }


def seal(plan: RunPlan, notebook: str) -> dict[str, Any]:
    """Return what a notebook's result follows from, and the digests of its data and outputs.

    Raises
    ------
    NotebookError
        If the notebook didn't write what every section must.
    """
    for path in plan.outputs(notebook):
        if not path.is_file():
            raise NotebookError(
                f"notebooks/{notebook}.py",
                f"ran through but left no {plan.shown(path)}",
                "a metrics file with its provenance from every section",
                "Call write_records(metrics_path(run, section), …) in its last cell.",
            )

    def digests(paths: list[Path]) -> dict[str, str]:
        return {plan.recorded(path): file_digest(path) for path in paths}

    return {
        **_follows_from(plan, notebook),
        "data": digests([*plan.data(), *plan.reads(notebook)]),
        "outputs": digests([*plan.outputs(notebook), *plan.figures(notebook)]),
    }


def stale(plan: RunPlan, *, data: bool = True) -> list[Stale]:
    """Return the run's notebooks whose executed copy is absent or out of date.

    Data files are compared too unless ``data`` is off. Data that isn't there is never held against
    a notebook: a fresh clone has none.
    """
    found = ((name, _why_stale(plan, name, data=data)) for name in plan.params.notebooks)
    return [Stale(name, reason) for name, reason in found if reason]


def _why_stale(plan: RunPlan, notebook: str, *, data: bool = True) -> str | None:
    executed = plan.executed(notebook)
    if not executed.is_file():
        return "not executed yet"
    sealed = json.loads(executed.read_text(encoding="utf-8"))["metadata"].get("xperience", {})
    now = _follows_from(plan, notebook)
    changed = [key for key in ("notebook", "parameters", "origin") if sealed.get(key) != now[key]]
    old, new = sealed.get("library", {}), now["library"]
    changed += [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    for part, faults in (("outputs", ("changed", "absent")), ("data", ("changed",))):
        if data or part != "data":
            recorded = sealed.get(part, {}).items()
            changed += [
                name for name, one in recorded if digest_state(plan.located(name), one) in faults
            ]
    if not changed:
        return None
    more = f" and {len(changed) - N_NAMED} more" if len(changed) > N_NAMED else ""
    return f"changed since: {', '.join(changed[:N_NAMED])}{more}"
