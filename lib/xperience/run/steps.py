"""The steps of a run that the graph calls: recording, windows, notebook, site.

What is slow to import is imported by the step that needs it.
"""

import json
from pathlib import Path

from xperience.cohort.roster import Entry, make_roster, read_roster, write_roster
from xperience.cohort.shards import ShardReport
from xperience.progress import progress_bars
from xperience.project import predictions_path, run_folder
from xperience.run.plan import Plan
from xperience.simulator.settings import FamilySettings
from xperience.storage import write_text


def make_episode(plan: Plan) -> None:
    """Simulate or download the run's recordings, as its params file says."""
    if plan.params.family:
        _make_family(plan, plan.params.family)
    elif plan.params.standin:
        from xperience.simulator.write import write_episode  # noqa: PLC0415

        with progress_bars() as show:
            write_episode(plan.episode, plan.params.standin, on_progress=show)
    elif plan.params.sample:
        from xperience.hub.download import download_episode  # noqa: PLC0415

        download_episode(plan.params.sample, plan.episode)
        write_text(plan.download_stamp, plan.params.sample.model_dump_json() + "\n")


def _make_family(plan: Plan, settings: FamilySettings) -> None:
    from xperience.simulator.family import write_family  # noqa: PLC0415

    with progress_bars() as show:
        rows = write_family(plan.episode, settings, on_progress=show)
    entries = (Entry.model_validate(row) for row in rows)
    write_roster(plan.roster, make_roster(entries, plan.episode))


def make_shard(plan: Plan, shard: int) -> ShardReport:
    """Work on one shard of the run's cohort."""
    from xperience.cohort.shards import Work, run_shard  # noqa: PLC0415

    work = Work(plan.folder, plan.params.discard)
    with progress_bars() as show:
        return run_shard(
            read_roster(plan.roster), shard, plan.params.n_shards, work, on_progress=show
        )


def make_windows(plan: Plan, workers: int | None = None) -> None:
    """Turn the run's recording into its windows tables; finished streams serve all contracts."""
    from xperience.features.blocks import CONTRACTS  # noqa: PLC0415
    from xperience.features.extract import extract  # noqa: PLC0415

    with progress_bars() as show:
        for contract in CONTRACTS:
            info = extract(
                plan.episode,
                plan.windows(contract),
                contract=contract,
                cache=plan.folder / "cache" / "streams",
                workers=workers,
                on_progress=show,
            )
    for block, reason in info.missing_blocks.items():
        print(f"{plan.params.run}: no block {block}: {reason}")


def make_notebook(plan: Plan, notebook: str) -> Path:
    """Execute a notebook with the run's values and keep it, sealed with what it follows from.

    Raises
    ------
    NotebookError
        If it fails, or doesn't leave the metrics and provenance that every section must.
    """
    from xperience.run.execute import execute_notebook  # noqa: PLC0415
    from xperience.run.fresh import seal  # noqa: PLC0415

    for path in (*plan.outputs(notebook), *plan.figures(notebook)):
        path.unlink(missing_ok=True)
    return execute_notebook(
        plan.source(notebook),
        plan.values(notebook),
        plan.executed(notebook),
        log=plan.log(notebook),
        seal=lambda: seal(plan, notebook),
    )


def make_site(plan: Plan) -> None:
    """Build the run's site from its executed notebooks and metric files."""
    from xperience.report.site import Shown, build_site  # noqa: PLC0415

    answers = predictions_path(plan.params.run, "03_neural_heads")
    others = tuple(run_folder(name) for name in plan.params.companions)
    if plan.is_cohort:
        shown = Shown(companions=others, api=plan.params.api)
    else:
        tables = plan.windows("published")
        shown = Shown(tables, answers, plan.episode, others, plan.params.api)
    build_site(plan.root / "docs", plan.folder, plan.params.notebooks, plan.site, shown)
    write_text(plan.site_stamp, json.dumps(plan.params.notebooks) + "\n")
