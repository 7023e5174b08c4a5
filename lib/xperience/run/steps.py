"""The steps of a run that the graph calls: recording, windows, notebook, site.

What is slow to import is imported by the step that needs it.
"""

import json
import os
import shutil
from pathlib import Path

from xperience.cohort.roster import Entry, make_roster, read_roster, write_roster
from xperience.cohort.shards import ShardReport
from xperience.errors import ParamsError
from xperience.hub.source import is_own_download
from xperience.outputs import check_output
from xperience.progress import progress_bars
from xperience.project import predictions_path, run_folder
from xperience.run.plan import DATA, Plan
from xperience.standin.mark import check_replaceable, is_simulated, write_mark
from xperience.standin.settings import FamilySettings
from xperience.storage import remove_folder, write_text


def make_episode(plan: Plan) -> None:
    """Simulate or download the run's recordings, as its params file says."""
    if plan.params.family:
        _make_family(plan, plan.params.family)
    elif plan.params.standin:
        from xperience.standin.write import write_episode  # noqa: PLC0415

        with progress_bars() as show:
            write_episode(plan.episode, plan.params.standin, on_progress=show)
    elif plan.params.sample:
        from xperience.hub.download import download_episode  # noqa: PLC0415

        download_episode(plan.params.sample, plan.episode)
    write_text(plan.episode_stamp, plan.episode_state())


def _make_family(plan: Plan, settings: FamilySettings) -> None:
    from xperience.standin.family import write_family  # noqa: PLC0415

    check_replaceable(plan.roster)
    with progress_bars() as show:
        rows = write_family(plan.episode, settings, on_progress=show)
    entries = (Entry.model_validate(row) for row in rows)
    write_roster(plan.roster, make_roster(entries, plan.episode))
    write_mark(plan.episode, plan.roster.name)


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


def clean(run: str, download: bool = False) -> dict[str, str]:
    """Remove what a run made and isn't committed; return what is kept, with the reason.

    Parameters
    ----------
    run : str
        Name of a folder in ``artifacts/``.
    download : bool, optional
        Whether a downloaded recording goes too.

    Raises
    ------
    ParamsError
        If the name leads elsewhere.
    OutputError
        If a recording lies where the run's results should be.
    """
    if not run:
        raise ParamsError("run", "is empty", "a run's name", "Name a folder in artifacts/.")
    folder, kept = run_folder(run), {}
    check_output(folder)
    parts = [folder / part for part in DATA]
    for part in parts:
        check_output(part, emptied=True)
    for part in [folder, *parts]:
        if part.is_symlink():
            kept[part.name] = "is a link, and leads elsewhere"
    if folder.name not in kept:
        for part in parts:
            if part.is_dir() and part.name not in kept:
                remove_folder(part)
        kept |= _without_episode(folder / "episode", download)
    return kept


def _without_episode(episode: Path, download: bool) -> dict[str, str]:
    """Remove a recording that can be had again; return why it is kept otherwise."""
    if not os.path.lexists(episode):
        return {}
    if is_simulated(episode) or (download and is_own_download(episode)):
        shutil.rmtree(episode)
        return {}
    if is_own_download(episode):
        return {"episode": "was downloaded; to drop it too: make clean DOWNLOAD=1"}
    return {"episode": "holds something that no run has made"}


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
