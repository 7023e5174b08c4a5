"""Verbs that read what runs left: they stand at the top level of ``xperience``."""

from pathlib import Path
from typing import Annotated

import typer

from xperience.console import Verbs, say

app = Verbs()


@app.command()
def takeaways(
    run: Annotated[str, typer.Argument(help="The run whose metric files are read.")],
    heldout: Annotated[
        str, typer.Option(help="The run of held-out episodes; it need not be there.")
    ] = "family",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail unless they are up to date.")
    ] = False,
) -> None:
    """Write what a run's metric rows allow to be said, as a page and as JSON.

    Exit status: 0 if written or fresh, 1 if the run left no metrics or --check finds a difference.
    """
    from xperience.report.provenance import shown_path
    from xperience.report.takeaways import (
        check_takeaways,
        open_evidence,
        takeaways_path,
        write_takeaways,
    )

    if check:
        check_takeaways(run)
        typer.echo("The takeaways are what their metrics say.")
        return
    write_takeaways(open_evidence(run, heldout))
    typer.echo(shown_path(takeaways_path(run)))


@app.command()
def trace(
    metric: Annotated[
        str,
        typer.Argument(help="Words of a row joined by /: 03/timeline_action/linear/macro_f1."),
    ],
    run: Annotated[str, typer.Option(help="The run that left the row.")] = "standin",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Print the chain from a sentence to the files that it came from, each link checked now.

    Exit status: 0 whatever the links' states are, 1 if no row or more than one is meant.
    """
    from xperience.report.lineage import trace as trace_row

    found = trace_row(metric, run)
    say(found.to_json() if json else found.to_text())


@app.command()
def compare(
    run_a: Annotated[str, typer.Argument(help="A run; differences are its scores minus …")],
    run_b: Annotated[str, typer.Argument(help="… those of this run.")],
    task: Annotated[str | None, typer.Option(help="Only rows of this task.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File for the comparison as tidy rows.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Compare two runs on the same data, sample by sample where their predictions allow it.

    Exit status: 0 if compared, 1 if their data or contracts are not the same.
    """
    from xperience.evaluation.records import write_records
    from xperience.report.compare import compare_runs

    found = compare_runs(run_a, run_b, task=task)
    if out is not None:
        write_records(out, found.records())
    say(found.to_json() if json else found.to_text())
