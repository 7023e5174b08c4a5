"""``xperience run …``: the commands behind ``make`` and the Snakefile."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from xperience.console import Verbs
from xperience.params import BASE_RUN
from xperience.project import at_root

app = Verbs(help="Runs: the graph, its steps and its checks.", no_args_is_help=True)
Run = Annotated[str, typer.Argument(help="Name of a file in params/.")]
Own = Annotated[str | None, typer.Option("--episode", help="A recording of your own.")]


@contextmanager
def _step(what: str, result: str) -> Iterator[None]:
    """Say on the console that a step begins, and where its result is and how long it took.

    Steps side by side share the console: `print` may cut a line in two, `echo` writes it at once.
    """
    typer.echo(f"… {what}")
    start = time.monotonic()
    yield
    typer.echo(f"✓ {what}: {result} ({time.monotonic() - start:.0f} s)")


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
    from xperience.run import steps
    from xperience.run.plan import Plan

    plan = Plan.of(run)
    verb = "download" if plan.params.sample else "simulate"
    what = "recordings" if plan.is_cohort else "recording"
    with _step(f"{verb} the {what}", plan.shown(plan.episode)):
        steps.make_episode(plan)


@app.command()
def windows(run: Run, episode: Own = None, workers: int | None = None) -> None:
    """Make a run's windows tables."""
    from xperience.run import steps
    from xperience.run.plan import Plan

    plan = Plan.of(run, episode)
    with _step("compute the windows tables", plan.shown(plan.windows("published").parent)):
        steps.make_windows(plan, workers)


@app.command()
def shard(run: Run, shard: int) -> None:
    """Make the windows tables of one shard of a cohort; episodes that fail are named."""
    from xperience.run import steps
    from xperience.run.plan import Plan

    plan = Plan.of(run)
    with _step(f"work on shard {shard}", plan.shown(plan.tables()[shard])):
        for one in steps.make_shard(plan, shard).failed:
            print(f"failed: {one.episode}: {one.reason}", flush=True)


@app.command()
def notebook(name: str, run: Run = BASE_RUN, episode: Own = None) -> None:
    """Execute one notebook with a run's values."""
    from xperience.run import steps
    from xperience.run.plan import Plan

    plan = Plan.of(run, episode)
    with _step(f"execute notebook {name}", plan.shown(plan.executed(name))):
        steps.make_notebook(plan, name)


@app.command()
def site(run: Run = BASE_RUN, episode: Own = None) -> None:
    """Build a run's site from its executed notebooks."""
    from xperience.run import steps
    from xperience.run.plan import Plan

    plan = Plan.of(run, episode)
    with _step("build the site", f"{plan.shown(plan.site)}/index.html"):
        steps.make_site(plan)


@app.command()
def clean(
    run: Annotated[str, typer.Argument(help="Name of a folder in artifacts/.")],
    episode: Own = None,
    download: Annotated[
        bool, typer.Option("--download", help="A downloaded recording goes too.")
    ] = False,
) -> None:
    """Remove what a run made and isn't committed; recordings of anybody else stay."""
    from xperience.params import own_run_name
    from xperience.run import steps

    run = own_run_name(episode) if episode else run
    for part, reason in steps.clean(run, download).items():
        print(f"kept: artifacts/{run}/{part} {reason}", file=sys.stderr)


@app.command()
def fresh(run: Run = BASE_RUN, episode: Own = None) -> None:
    """Say which executed notebooks are out of date; exit 1 if any is."""
    from xperience.run.fresh import stale
    from xperience.run.plan import Plan

    found = stale(Plan.of(run, episode))
    for entry in found:
        print(entry, file=sys.stderr)
    if found:
        print(f"Mend it with: make reproduce RUN={run}", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def pair(
    sources: Annotated[list[Path] | None, typer.Argument(help="Notebooks' .py halves.")] = None,
) -> None:
    """Write the .ipynb half of notebooks (all of them if none is named)."""
    from xperience.run.pairs import write_pair

    for source in sources or sorted(at_root("notebooks").glob("[0-9]*.py")):
        if write_pair(source):
            print(f"wrote {source.with_suffix('.ipynb').name}")
