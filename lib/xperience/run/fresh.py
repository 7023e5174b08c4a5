"""Freshness by content: whether executed notebooks still say what their sources would say."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xperience.errors import NotebookError
from xperience.run.plan import Plan
from xperience.storage import file_digest


@dataclass(frozen=True)
class Stale:
    """An executed notebook that no longer follows from its sources.

    Parameters
    ----------
    notebook : str
        Its name.
    reason : str
        What changed, or that it was never run.
    """

    notebook: str
    reason: str

    def __str__(self) -> str:
        return f"{self.notebook}: {self.reason}"


def seal(plan: Plan, notebook: str) -> dict[str, Any]:
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
    read = [*plan.data(), *plan.reads(notebook)]
    data = {plan.shown(path): file_digest(path) for path in read}
    left = [*plan.outputs(notebook), *plan.figures(notebook)]
    outputs = {plan.shown(path): file_digest(path) for path in left}
    return {**plan.record(notebook), "data": data, "outputs": outputs}


def stale(plan: Plan, *, data: bool = True) -> list[Stale]:
    """Return the run's notebooks whose executed copy is absent or out of date.

    Parameters
    ----------
    plan : Plan
        The run.
    data : bool, optional
        Whether to compare data files too. Data that isn't there is never held against a notebook:
        a fresh clone has none.
    """
    found = ((name, why_stale(plan, name, data=data)) for name in plan.params.notebooks)
    return [Stale(name, reason) for name, reason in found if reason]


def why_stale(plan: Plan, notebook: str, *, data: bool = True) -> str | None:
    """Return why a notebook's executed copy is out of date, or None if it is fresh."""
    executed = plan.executed(notebook)
    if not executed.is_file():
        return "not executed yet"
    stored = json.loads(executed.read_text(encoding="utf-8"))["metadata"].get("xperience", {})
    present = plan.record(notebook)
    changed = [
        key for key in ("notebook", "parameters", "origin") if _differs(stored, present, key)
    ]
    changed += _changed_files(stored.get("library", {}), present["library"])
    changed += _changed_outputs(plan, stored.get("outputs", {}))
    changed += _changed_data(plan, stored.get("data", {})) if data else []
    return f"changed since: {_first_few(changed)}" if changed else None


def keep_fresh(plan: Plan) -> list[str]:
    """Make a clone's fresh notebooks younger than their sources, whose file times mean nothing.

    Only notebooks whose data isn't there are touched: with data, Snakemake knows better.

    Returns
    -------
    list of str
        The notebooks that count as done.
    """
    if any(path.exists() for path in plan.tables()):
        return []
    kept = [name for name in plan.params.notebooks if why_stale(plan, name) is None]
    for name in kept:
        for path in (plan.executed(name), *plan.outputs(name), *plan.figures(name)):
            os.utime(path)
    return kept


def _first_few(names: list[str], n_shown: int = 6) -> str:
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more


def _differs(stored: dict[str, Any], present: dict[str, Any], key: str) -> bool:
    return bool(stored.get(key) != present[key])


def _changed_files(stored: dict[str, str], present: dict[str, str]) -> list[str]:
    names = sorted(stored.keys() | present.keys())
    return [name for name in names if stored.get(name) != present.get(name)]


def _changed_outputs(plan: Plan, stored: dict[str, str]) -> list[str]:
    return [shown for shown, digest in stored.items() if _digest(plan.root / shown) != digest]


def _changed_data(plan: Plan, stored: dict[str, str]) -> list[str]:
    now = ((shown, digest, _digest(plan.root / shown)) for shown, digest in stored.items())
    return [shown for shown, digest, present in now if present and present != digest]


def _digest(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None
