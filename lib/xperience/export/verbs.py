"""`xperience export …`: recordings and tables in the formats of other tools."""

from pathlib import Path
from typing import Annotated

import typer

from xperience.console import FOLDER, Verbs, say

app = Verbs(
    help="Write recordings and tables in the formats of other tools (extra: exports).",
    no_args_is_help=True,
)

N_READ = 32
"""Windows that are read back through Croissant: enough to see that every column is found."""


def _say_absent(absent: dict[str, str]) -> None:
    for name, reason in absent.items():
        say(f"not in it: {name} ({reason})", err=True)


@app.command()
def rerun(
    episode: Annotated[Path, typer.Argument(help="Folder of the recording; only read.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, .rrd.")],
    predictions: Annotated[
        Path | None, typer.Option(help="What heads predicted: predictions/<section>.parquet.")
    ] = None,
    depth_every: Annotated[
        int, typer.Option(min=1, help="Keep the depth map of every so many frames.")
    ] = 5,
) -> None:
    """Write a recording for the Rerun viewer: everything on one timeline."""
    from xperience.export.scene import export_rerun

    _say_absent(export_rerun(episode, out, predictions=predictions, depth_every=depth_every))
    typer.echo(str(out))


@app.command()
def lerobot(
    episodes: Annotated[
        list[Path], typer.Argument(help="Folders of recordings, one episode each; only read.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The dataset's folder, not there yet."), FOLDER
    ],
) -> None:
    """Write recordings as a LeRobot dataset (v3.0): Parquet, MP4, statistics."""
    from xperience.export.lerobot import export_lerobot

    _say_absent(export_lerobot(episodes, out))
    typer.echo(str(out))


@app.command()
def windows(
    tables: Annotated[list[Path], typer.Argument(help="Windows tables of one contract.")],
    out: Annotated[
        Path, typer.Option("--out", help="The data set's folder, not there yet."), FOLDER
    ],
    name: Annotated[str, typer.Option(help="Name of the data set.")] = "xperience-windows",
    licence: Annotated[
        str, typer.Option(help="Identifier of the recordings' licence.")
    ] = "unknown",
) -> None:
    """Write windows tables for Hugging Face datasets, with a card and Croissant metadata."""
    from xperience.export.windows import check_croissant, export_windows

    absent = export_windows(tables, out, name=name, licence=licence)
    n_read = check_croissant(out, at_most=N_READ)
    _say_absent(absent)
    typer.echo(f"{out}: its metadata is valid and leads to windows (the first {n_read} were read)")
