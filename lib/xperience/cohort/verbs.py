"""``xperience cohort …``: choosing episodes, and the work on many of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xperience.console import told

if TYPE_CHECKING:
    from xperience.cohort.stock import Listed
    from xperience.hub.source import SampleSource

app = typer.Typer(
    help="Many episodes: choose them, featurise them in shards, say what it costs.",
    no_args_is_help=True,
)

HUB = "hub:"
RosterOption = Annotated[Path, typer.Option("--out", help="Roster to write, a CSV file.")]


@app.command()
def choose(
    listing: Annotated[
        str,
        typer.Argument(help="A dataset's listing: CSV, JSON, or hub:owner/name@revision."),
    ],
    out: RosterOption,
    episodes: Annotated[int | None, typer.Option(min=1, help="How many; default: 128.")] = None,
    sides: Annotated[
        str | None, typer.Option(help="TRAIN/VAL/TEST in episodes; default: 6 to 1 to 1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seeds every draw.")] = 7,
    pick: Annotated[
        str, typer.Option(help="Of a size band: those nearest to its middle, or random ones.")
    ] = "middle",
) -> None:
    """Choose episodes of a dataset: one a session, size bands balanced, sides drawn."""
    from xperience.cohort.roster import write_roster
    from xperience.cohort.selection import ChoiceRules, parse_sides
    from xperience.cohort.selection import choose as choose_from

    with told():
        counts = parse_sides(sides, episodes)
        rules = ChoiceRules(sides=counts, seed=seed, pick=_pick(pick))
        choice = choose_from(_stock(listing), rules, root=out.parent)
        write_roster(out, choice.roster)
    typer.echo(choice.to_text())
    typer.echo(str(out))


def _pick(name: str) -> str:
    from xperience.errors import ParamsError, did_you_mean

    known = ("middle", "random")
    if name not in known:
        raise ParamsError("--pick", f"is {name!r}", "a way to pick", did_you_mean(name, known))
    return name


def _stock(listing: str) -> "list[Listed]":
    """Return what a file or the hub lists."""
    from xperience.cohort.stock import read_stock, stock_of

    if not listing.startswith(HUB):
        return read_stock(Path(listing))
    from xperience.hub.listing import list_episodes

    return stock_of(list_episodes(_dataset(listing.removeprefix(HUB))))


def _dataset(name: str) -> "SampleSource":
    from pydantic import ValidationError

    from xperience.errors import ParamsError
    from xperience.hub.source import SampleSource

    repo_id, _, revision = name.partition("@")
    try:
        # Only files and sizes are asked for: no licence is shown, nothing is downloaded.
        return SampleSource(repo_id=repo_id, revision=revision or "main", licence="of its card")
    except ValidationError as error:
        raise ParamsError(
            "LISTING", f"is {HUB}{name}", f"{HUB}owner/name[@revision]", "Correct the name."
        ) from error
