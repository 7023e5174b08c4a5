"""Whether a run says what its committed reference says: rows, verdicts and claims, counted."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from xperience.evaluation.records import Record, read_records
from xperience.evaluation.tolerance import (
    ABSOLUTE,
    LEAST_SHARE,
    N_SPREADS,
    RELATIVE,
    SEEDS,
    Agreement,
    Kind,
    compare_rows,
    kind_of,
)
from xperience.project import PAGE, provenance_path
from xperience.run.plan import RunPlan
from xperience.storage import write_json

ONLY_HERE, ONLY_REFERENCE = "only here", "only in the reference"
TOLERANCES = {
    Kind.COUNT: "equal",
    Kind.DETERMINISTIC: f"{RELATIVE:g} of the number, or {ABSOLUTE:g}",
    Kind.NETWORK: f"{N_SPREADS:g} spreads over {SEEDS} seeds, and {LEAST_SHARE:.0%} of the score; "
    "training losses are not compared",
    Kind.UNSTABLE: "not compared: another rounding gives another score",
    Kind.MEASURED: "not compared: times are measured anew",
}
N_LISTED = 10
"""Differences that the terminal shows; the page has them all."""
_STEPS = "steps"


@dataclass(frozen=True)
class StepCost:
    """A step of a run, and what it cost."""

    step: str
    wall_s: float
    cpu_s: float


def note_step(plan: RunPlan, step: StepCost) -> None:
    """Keep what a step cost, so that the run can tell at its end."""
    write_json(plan.folder / "logs" / _STEPS / f"{step.step.replace(' ', '-')}.json", asdict(step))


def steps_of(plan: RunPlan, since: float = 0.0) -> list[StepCost]:
    """Return the steps that ended since then (seconds since the epoch), in their order."""
    found = (plan.folder / "logs" / _STEPS).glob("*.json")
    timed = sorted((path.stat().st_mtime, path) for path in found)
    return [StepCost(**json.loads(path.read_text())) for at, path in timed if at >= since]


def steps_table(steps: Iterable[StepCost]) -> str:
    """Return the steps as lines for the terminal."""
    lines = [f"{'step':<44} {'wall s':>8} {'CPU s':>8}"]
    lines += [f"{one.step:<44} {one.wall_s:>8.1f} {one.cpu_s:>8.1f}" for one in steps]
    return "\n".join(lines)


class _Side(NamedTuple):
    """What a run left: its rows by what they are of, its claims, and where they were made."""

    rows: dict[tuple[Any, ...], Record]
    claims: dict[str, str]
    origin: dict[str, Any]


def _side(plan: RunPlan, notebooks: Iterable[str]) -> _Side:
    rows, origin = {}, {}
    for path in (plan.outputs(name)[0] for name in notebooks):
        if path.is_file():
            rows |= {row.key: row for row in read_records(path)}
            made = json.loads(provenance_path(path).read_text(encoding="utf-8"))
            known = ("processor", "python", "versions")
            origin = {key: made[key] for key in known if key in made} | origin
    page = plan.folder / f"{PAGE}.json"
    told = json.loads(page.read_text(encoding="utf-8"))["takeaways"] if page.is_file() else []
    claims = {
        f"{one['claim']} · {one['column']} · {one['contract']}": one["outcome"]
        for takeaway in told
        for one in takeaway["claims"]
    }
    return _Side(rows, claims, origin)


def compare_with_reference(plan: RunPlan) -> dict[str, Any]:
    """Return how the run's rows, verdicts and claims agree with the committed reference.

    A JSON-like object: ``counts`` of rows by agreement, ``different`` with the rows that differ,
    ``verdicts`` and ``claims`` that are the same and that changed, the processor and versions of
    each side, the notebooks that were ``kept`` and not executed, ``tolerances`` and ``steps``.
    """
    from xperience.report.lineage import selector_of
    from xperience.report.tables import verdict

    kept = [
        {"notebook": name, "why": why, "way_out": "make record, then make reproduce"}
        for name in plan.params.notebooks
        if (why := plan.kept(name))
    ]
    left_out = {one["notebook"] for one in kept}
    made = [name for name in plan.params.notebooks if name not in left_out]
    reference, here = _side(plan.reference, made), _side(plan, made)
    pairs = {key: (reference.rows.get(key), here.rows.get(key))
             for key in {**reference.rows, **here.rows}}  # fmt: skip
    states = {key: _state(*pair) for key, pair in pairs.items()}
    both = [pair for pair in pairs.values() if None not in pair]
    verdicts = {
        selector_of(now): (verdict(was)[0], verdict(now)[0])
        for was, now in both
        if was.against is not None
    }
    claims = {
        name: (reference.claims.get(name), here.claims.get(name))
        for name in {**reference.claims, **here.claims}
    }
    return {
        "run": plan.params.run,
        "reference": reference.origin,
        "here": here.origin,
        "counts": dict(Counter(states.values())),
        "different": list(_differences(pairs, states)),
        "verdicts": _same_and_changed("row", verdicts),
        "claims": _same_and_changed("claim", claims),
        "kept": kept,
        "tolerances": [{"kind": kind, "rule": rule} for kind, rule in TOLERANCES.items()],
        "steps": [asdict(step) for step in steps_of(plan)],
    }


def _state(was: Record | None, now: Record | None) -> str:
    if was is None or now is None:
        return ONLY_HERE if was is None else ONLY_REFERENCE
    return compare_rows(was, now)


def _differences(
    pairs: Mapping[tuple[Any, ...], tuple[Record | None, Record | None]],
    states: Mapping[tuple[Any, ...], str],
) -> Iterator[dict[str, Any]]:
    from xperience.report.lineage import selector_of

    for key, (was, now) in pairs.items():
        if states[key] in (Agreement.DIFFERENT, ONLY_HERE, ONLY_REFERENCE):
            row = was or now
            yield {
                "row": selector_of(row),
                "kind": kind_of(row),
                "state": states[key],
                "reference": was.value if was else None,
                "here": now.value if now else None,
            }


def _same_and_changed(what: str, pairs: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    changed = [
        {what: name, "reference": was, "here": now}
        for name, (was, now) in sorted(pairs.items())
        if was != now
    ]
    return {"same": len(pairs) - len(changed), "changed": changed}


def reproduces(report: Mapping[str, Any]) -> bool:
    """Return whether no row, verdict or claim differs from the reference."""
    changed = report["verdicts"]["changed"] + report["claims"]["changed"]
    return not (report["different"] or changed)


def told(report: Mapping[str, Any]) -> str:
    """Return a comparison as lines for the terminal."""
    counts, lines = report["counts"], []
    states = (*Agreement, ONLY_HERE, ONLY_REFERENCE)
    said = ", ".join(f"{counts[state]:,} {state}" for state in states if counts.get(state))
    for what in ("verdicts", "claims"):
        same, changed = report[what]["same"], report[what]["changed"]
        said += f"; {what}: {same:,} of {same + len(changed):,} the same"
    lines.append(f"Compared with the committed reference, metric rows: {said}.")
    for name, side in (("reference", report["reference"]), ("here", report["here"])):
        versions = side.get("versions", {})
        packages = ", ".join(
            f"{key} {versions[key]}" for key in ("numpy", "torch") if key in versions
        )
        lines.append(f"  {name + ':':<10} {side.get('processor', 'processor unknown')}; {packages}")
    lines += [
        f"  kept, not executed: {one['notebook']}: {one['why']} ({one['way_out']})"
        for one in report["kept"]
    ]
    shown = report["different"][:N_LISTED]
    lines += [
        f"  {one['state']}: {one['row']}: {_number(one['reference'])} in the reference, "
        f"{_number(one['here'])} here ({one['kind']})"
        for one in shown
    ]
    if (rest := len(report["different"]) - len(shown)) > 0:
        lines.append(f"  and {rest:,} more rows: see reproduction.json and the site's page")
    for what, name in (("verdicts", "row"), ("claims", "claim")):
        lines += [
            f"  changed {name}: {one[name]}: {one['reference']} in the reference, "
            f"{one['here']} here"
            for one in report[what]["changed"][:N_LISTED]
        ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "no value" if value is None else f"{value:.6g}"
