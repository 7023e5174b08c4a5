"""``xperience answers …``: records for a language model, its training and its answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xperience.console import told

if TYPE_CHECKING:
    from xperience.answers.baselines import Said
    from xperience.answers.supervised import Export

app = typer.Typer(
    help="Strict-JSON answers of a language model: export, train, generate.", no_args_is_help=True
)


@app.command()
def export(
    roster: Annotated[Path, typer.Argument(help="The cohort: episodes.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for records, options, manifest and media.")],
    side: Annotated[
        list[str] | None, typer.Option(help="Side to export; say it again for more. Default: all.")
    ] = None,
    per_episode: Annotated[int | None, typer.Option(help="Records an episode.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of the clips.")] = None,
    lead_s: Annotated[
        tuple[float, float] | None, typer.Option(help="Least and most seconds before a window.")
    ] = None,
    tile: Annotated[
        tuple[int, int] | None, typer.Option(help="Width and height of a view, pixels.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the lead-ins.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Episodes worked on at a time.")] = 1,
) -> None:
    """Write supervised records: six-view clips, sound, questions and answers."""
    from xperience.answers.clips import ExportSettings
    from xperience.answers.export import export_records
    from xperience.cohort.roster import SIDES, read_roster
    from xperience.progress import progress_bars

    with told(), progress_bars() as show:
        settings = ExportSettings.checked(
            per_episode=per_episode, fps=fps, lead_s=lead_s, tile_px=tile, seed=seed
        )
        cohort = read_roster(roster)
        found = export_records(cohort, out, settings, side or SIDES, workers, show)
    manifest = found.manifest
    for name, reason in manifest["lost"].items():
        typer.echo(f"left out: {name}: {reason}", err=True)
    counts = ", ".join(f"{count} {name}" for name, count in manifest["records"].items())
    typer.echo(f"records: {counts}")
    typer.echo(str(found.path))


@app.command()
def baseline(
    records: Annotated[Path, typer.Argument(help="Folder of exported records.")],
    out: Annotated[Path, typer.Option(help="Predictions to write, JSON lines.")],
    kind: Annotated[str, typer.Option(help="majority, linear or oracle.")] = "majority",
    side: Annotated[str, typer.Option(help="Side to answer.")] = "test",
    predictions: Annotated[
        Path | None, typer.Option(help="For linear: heads' predictions across recordings, Parquet.")
    ] = None,
    head: Annotated[str, typer.Option(help="For linear: which head of that table.")] = "linear",
) -> None:
    """Answer records without a language model, in the same format."""
    from xperience.answers.supervised import open_export, write_predictions

    with told():
        found = open_export(records)
        said = _said(found, kind, side, predictions, head)
        count = write_predictions(out, said)
    typer.echo(f"{count} answers")
    typer.echo(str(out))


def _said(found: "Export", kind: str, side: str, predictions: Path | None, head: str) -> "Said":
    from xperience.answers import baselines
    from xperience.errors import ParamsError, did_you_mean

    asked = found.records(side)
    if kind == "majority":
        return baselines.majority_json(found.records("train"), asked)
    if kind == "oracle":
        return baselines.oracle_json(asked)
    if kind != "linear":
        kinds = ("majority", "linear", "oracle")
        raise ParamsError("--kind", f"is {kind!r}", "a baseline", did_you_mean(kind, kinds))
    if predictions is None:
        raise ParamsError(
            "--predictions", "is absent", "a table of heads' predictions",
            "Name the one that the study across recordings wrote.",
        )  # fmt: skip
    return baselines.linear_json(baselines.read_guesses(predictions, head), asked, found.options)
