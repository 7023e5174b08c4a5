"""``xperience run …``: the commands behind ``make`` and the Snakefile, each a step of a run.

What is slow to import is imported by the step that needs it.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xperience.console import Verbs
from xperience.project import BASE_RUN, at_root

if TYPE_CHECKING:
    from xperience.run.plan import RunPlan

app = Verbs(help="Runs: the graph, its steps and its checks.", no_args_is_help=True)
Run = Annotated[str, typer.Argument(help="Name of a file in params/.")]
Own = Annotated[str | None, typer.Option("--episode", help="A recording of your own.")]


def _plan(run: str, episode: str | None = None) -> "RunPlan":
    from xperience.run.plan import RunPlan

    return RunPlan.of(run, episode)


@contextmanager
def _step(plan: "RunPlan", what: str, result: Path) -> Iterator[None]:
    """Say on the console that a step begins, and where its result is and what it cost.

    Steps side by side share the console: `print` may cut a line in two, `echo` writes it at once.
    """
    from xperience.run.reproduction import StepCost, note_step

    typer.echo(f"… {what}")
    start = time.monotonic()
    yield
    wall_s, cpu_s = time.monotonic() - start, sum(os.times()[:4])  # with finished children
    note_step(plan, StepCost(what, round(wall_s, 1), round(cpu_s, 1)))
    typer.echo(f"✓ {what}: {plan.shown(result)} ({wall_s:.0f} s)")


@app.command()
def reproduce(
    run: Run = BASE_RUN,
    episode: Own = None,
    cores: Annotated[int | None, typer.Option(help="Jobs at a time; all cores if absent.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Do every step anew.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Stop at what notebooks read.")] = False,
    profile: Annotated[
        str, typer.Option(help="Where jobs run: a folder in profiles/.")
    ] = "default",
) -> None:
    """Bring a run up to date: recording, windows, notebooks, site."""
    from xperience.run.reproduce import reproduce as reproduce_run

    code = reproduce_run(
        run, episode or None, cores=cores, again=again, data_only=data, profile=profile
    )
    if code:
        raise typer.Exit(code)


@app.command()
def episode(run: Run) -> None:
    """Simulate or download a run's recording."""
    from xperience.progress import progress_bars
    from xperience.storage import write_text

    plan = _plan(run)
    params, verb = plan.params, "download" if plan.params.sample else "simulate"
    what = "recordings" if plan.is_cohort else "recording"
    with _step(plan, f"{verb} the {what}", plan.episode), progress_bars() as show:
        if params.family:
            from xperience.cohort.manifest import Entry, make_manifest, write_manifest
            from xperience.standin.family import write_family
            from xperience.standin.mark import check_replaceable, write_mark

            check_replaceable(plan.manifest)
            rows = write_family(plan.episode, params.family, on_progress=show)
            entries = (Entry.model_validate(row) for row in rows)
            write_manifest(plan.manifest, make_manifest(entries, plan.episode))
            write_mark(plan.episode, plan.manifest.name)
        elif params.standin:
            from xperience.standin.write import write_episode

            write_episode(plan.episode, params.standin, on_progress=show)
        elif params.sample:
            from xperience.hub.download import download_episode

            download_episode(params.sample, plan.episode)
        write_text(plan.stamp("episode"), plan.episode_state())


@app.command()
def windows(run: Run, episode: Own = None, workers: int | None = None) -> None:
    """Make a run's windows tables; finished streams serve all contracts."""
    from xperience.features.blocks import CONTRACTS
    from xperience.features.extract import extract
    from xperience.progress import progress_bars

    plan = _plan(run, episode)
    with _step(plan, "compute the windows tables", plan.windows("published").parent):
        cache = plan.folder / "cache" / "streams"
        with progress_bars() as show:
            for contract in CONTRACTS:
                how = {"contract": contract, "cache": cache, "workers": workers}
                out = plan.windows(contract)
                info = extract(plan.episode, out, **how, on_progress=show)
        for block, reason in info.missing_blocks.items():
            print(f"{plan.params.run}: no block {block}: {reason}")


@app.command()
def shard(run: Run, shard: int) -> None:
    """Make the windows tables of one shard of a cohort; episodes that fail are named."""
    from xperience.cohort.manifest import read_manifest
    from xperience.cohort.shards import Work, run_shard
    from xperience.progress import progress_bars

    plan = _plan(run)
    with _step(plan, f"work on shard {shard}", plan.tables()[shard]):
        work, manifest = Work(plan.folder, plan.params.discard), read_manifest(plan.manifest)
        with progress_bars() as show:
            report = run_shard(manifest, shard, plan.params.n_shards, work, on_progress=show)
        for one in report.failed:
            print(f"failed: {one.episode}: {one.reason}", flush=True)


@app.command()
def notebook(name: str, run: Run = BASE_RUN, episode: Own = None) -> None:
    """Execute one notebook with a run's values and keep it, sealed with what it follows from."""
    from xperience.run.execute import execute_notebook
    from xperience.run.fresh import seal

    plan = _plan(run, episode)
    if why := plan.kept(name):
        plan.keep(name)
        typer.echo(f"Kept as committed: notebook {name}, since {why}.")
        return
    with _step(plan, f"execute notebook {name}", plan.executed(name)):
        for path in (*plan.outputs(name), *plan.figures(name)):
            path.unlink(missing_ok=True)
        execute_notebook(
            plan.source(name),
            plan.values(name),
            plan.executed(name),
            log=plan.folder / "logs" / f"{name}.ipynb",
            seal=lambda: seal(plan, name),
        )


@app.command()
def compare(run: Run = BASE_RUN, episode: Own = None) -> None:
    """Compare a run's rows, verdicts and claims with its committed reference."""
    from xperience.run.reproduction import compare_with_reference
    from xperience.storage import write_json

    plan = _plan(run, episode)
    for path in plan.reports():
        write_json(path, compare_with_reference(plan))


@app.command()
def reproduced(run: Run = BASE_RUN) -> None:
    """Say how a run agrees with its committed reference; exit 1 if anything differs."""
    from xperience.errors import ParamsError
    from xperience.run.reproduction import reproduces, told

    plan = _plan(run)
    found = [path for path in plan.reports() if path.is_file()]
    if not found:
        way_out = f"make reproduce RUN={run}"
        raise ParamsError(f"run {run}", "has not been compared", "reproduction.json", way_out)
    report = json.loads(found[0].read_text(encoding="utf-8"))
    typer.echo(told(report))
    if not reproduces(report):
        raise typer.Exit(1)


@app.command()
def publish(run: Run = BASE_RUN) -> None:
    """Make a run's results its committed reference; refused while one is out of date."""
    from xperience.errors import ParamsError
    from xperience.project import PAGE
    from xperience.run.fresh import stale
    from xperience.run.plan import RESULTS
    from xperience.storage import whole_folder

    plan = _plan(run)
    old = [str(entry) for entry in stale(plan) if not plan.kept(entry.notebook)]
    if old or not plan.executed(plan.params.notebooks[0]).is_file():
        found = f"is out of date ({'; '.join(old)})" if old else "has not run here"
        way_out = f"make reproduce RUN={run}"
        raise ParamsError(f"run {run}", found, "executed notebooks that are fresh", way_out)
    committed = plan.reference.folder
    with whole_folder(committed, replace=True) as scratch:
        for part in RESULTS:
            if (plan.folder / part).is_dir():
                shutil.copytree(plan.folder / part, scratch / part)
        for page in plan.folder.glob(f"{PAGE}.*"):
            shutil.copy(page, scratch)
    typer.echo(f"The reference of run {run} is what it says now: {plan.shown(committed)}")


@app.command()
def site(run: Run = BASE_RUN, episode: Own = None) -> None:
    """Build a run's site from its executed notebooks and metric files."""
    from xperience.project import predictions_path, results_folder
    from xperience.report.site import Shown, build_site
    from xperience.storage import write_text

    plan = _plan(run, episode)
    names, others = plan.params.notebooks, tuple(map(results_folder, plan.params.companions))
    with _step(plan, "build the site", plan.site / "index.html"):
        shown = Shown(companions=others, api=plan.params.api)
        if not plan.is_cohort:
            predictions = predictions_path(plan.params.run, "03_neural_heads")
            tables = plan.windows("published")
            shown = Shown(tables, predictions, plan.episode, others, plan.params.api)
        build_site(plan.root / "docs", plan.folder, names, plan.site, shown)
        write_text(plan.stamp("site"), json.dumps(names) + "\n")


@app.command()
def record(
    listing: Annotated[
        Path | None, typer.Option("--list", help="Write the list of files anew from this folder.")
    ] = None,
) -> None:
    """Bring the published record, which notebook 08 reads; its licence is shown first."""
    from xperience.hub import record as brought
    from xperience.params import read_values
    from xperience.project import NOTE, RECORD, RECORD_FILES, record_folder

    note, path = read_values(at_root(NOTE)), at_root(RECORD_FILES)
    if listing:
        brought.write_list(path, brought.list_record(listing, note["files"]))
    files, here, own = brought.read_list(path), record_folder(), at_root(RECORD)
    if here and here != own.resolve():
        brought.check_record(files, here)
        typer.echo(f"{here}: the published record is here, {len(files)} files, all checked")
    else:
        brought.download_record(note, files, own, say=typer.echo)


@app.command()
def clean(
    run: Annotated[str, typer.Argument(help="Name of a folder in artifacts/.")],
    episode: Own = None,
    download: Annotated[
        bool, typer.Option("--download", help="A downloaded recording goes too.")
    ] = False,
) -> None:
    """Remove what a run made; the reference, and recordings of anybody else, stay."""
    from xperience.errors import ParamsError
    from xperience.hub.source import is_own_download
    from xperience.outputs import check_output
    from xperience.params import own_run_name
    from xperience.project import PAGE, run_folder
    from xperience.run.plan import DATA, REPORT, RESULTS
    from xperience.standin.mark import is_simulated
    from xperience.storage import remove_folder

    run = own_run_name(episode) if episode else run
    if not run:
        raise ParamsError("run", "is empty", "a run's name", "Name a folder in artifacts/.")
    folder = run_folder(run)
    parts = [folder / part for part in (*DATA, *RESULTS)]
    check_output(folder)
    for part in parts:
        check_output(part, emptied=True)
    links = [part for part in (folder, *parts) if part.is_symlink()]
    kept = {part.name: "is a link, and leads elsewhere" for part in links}
    if folder not in links:
        for part in parts:
            if part.is_dir() and part not in links:
                remove_folder(part)
        for page in (*folder.glob(f"{PAGE}.*"), folder / REPORT):
            page.unlink(missing_ok=True)
        recording = folder / "episode"
        if is_simulated(recording) or (download and is_own_download(recording)):
            shutil.rmtree(recording)
        elif is_own_download(recording):
            kept["episode"] = "was downloaded; to drop it too: make clean DOWNLOAD=1"
        elif os.path.lexists(recording):
            kept["episode"] = "holds something that no run has made"
    for name, reason in kept.items():
        print(f"kept: artifacts/{run}/{name} {reason}", file=sys.stderr)


@app.command()
def fresh(run: Run = BASE_RUN, episode: Own = None) -> None:
    """Say which executed notebooks are out of date; exit 1 if any is."""
    from xperience.run.fresh import stale

    plan = _plan(run, episode)
    has_run = any(plan.executed(name).is_file() for name in plan.params.notebooks)
    found = stale(plan if has_run else plan.reference)
    way_out = f"make reproduce {'' if has_run else 'publish '}RUN={run}"
    for entry in found:
        print(entry, file=sys.stderr)
    if found:
        print(f"Mend it with: {way_out}", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def pair(
    sources: Annotated[list[Path] | None, typer.Argument(help="Notebooks' .py halves.")] = None,
) -> None:
    """Write the .ipynb half of notebooks (all of them if none is named)."""
    from xperience.run.notebooks import write_pair

    for source in sources or sorted(at_root("notebooks").glob("[0-9]*.py")):
        if write_pair(source):
            print(f"wrote {source.with_suffix('.ipynb').name}")
