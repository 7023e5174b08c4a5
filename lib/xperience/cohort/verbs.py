"""``xperience cohort …``: choosing episodes, and the work on many of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xperience.console import FOLDER, Verbs, say

if TYPE_CHECKING:
    from xperience.cohort.manifest import SplitManifest
    from xperience.cohort.overlap import CohortLabels
    from xperience.hub.source import SampleSource

app = Verbs(
    help="Many episodes: choose them, featurise them in shards, say what it costs.",
    no_args_is_help=True,
)

HUB = "hub:"
ManifestArgument = Annotated[
    Path, typer.Argument(help="Split manifest of the recordings, a CSV file.")
]
ManifestOption = Annotated[Path, typer.Option("--out", help="Split manifest to write, a CSV file.")]


@app.command()
def choose(
    listing: Annotated[
        str,
        typer.Argument(help="A dataset's listing: CSV, JSON, or hub:owner/name@revision."),
    ],
    out: ManifestOption,
    episodes: Annotated[int | None, typer.Option(min=1, help="How many; default: 128.")] = None,
    sides: Annotated[
        str | None, typer.Option(help="Splits TRAIN/VAL/TEST in episodes; default: 6 to 1 to 1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seeds every draw.")] = 7,
    pick: Annotated[
        str, typer.Option(help="Of a size band: those nearest to its middle, or random ones.")
    ] = "middle",
) -> None:
    """Choose episodes of a dataset: one per session, size bands balanced, splits drawn."""
    from xperience.cohort import selection
    from xperience.cohort.manifest import write_manifest

    counts = selection.parse_splits(sides, episodes)
    if listing.startswith(HUB):
        from xperience.hub.download import list_episodes

        # Only files and sizes are asked for: no licence is shown, nothing is downloaded.
        source = _dataset(listing.removeprefix(HUB), "of its card", HUB)
        listed = selection.listed_episodes(list_episodes(source))
    else:
        listed = selection.read_listing(Path(listing))
    chosen, text = selection.choose(listed, counts, seed=seed, pick=pick, root=out.parent)
    write_manifest(out, chosen)
    say(text)
    typer.echo(str(out))


def _dataset(name: str, licence: str, prefix: str = "") -> "SampleSource":
    from xperience.errors import validated
    from xperience.hub.source import SampleSource

    repo_id, _, revision = name.partition("@")
    asked = {"repo_id": repo_id, "revision": revision or "main", "licence": licence}
    way_out = f"Write {prefix}owner/name[@revision]."
    return validated(SampleSource, asked, f"dataset {prefix}{name}", way_out=way_out)


@app.command()
def rebalance(
    manifest: ManifestArgument,
    out: ManifestOption,
    same: Annotated[
        str, typer.Option(help="When two activities count as one; same_noun, for instance.")
    ] = "same_text",
    seed: Annotated[int, typer.Option(help="Seeds the order of assignment.")] = 7,
) -> None:
    """Read captions and balance the splits by activity; episodes without captions are left out.

    Exit status: 0 also if some are left out (stderr names them), 1 if nothing remains.
    """
    from xperience.cohort import selection
    from xperience.cohort.manifest import SPLITS, read_manifest, write_manifest
    from xperience.cohort.overlap import key_named

    before, key_of = read_manifest(manifest), key_named(same)
    cohort = _labels_of(before)
    sizes = [len(before.on(side)) for side in SPLITS]
    sizes = selection.apportion(len(cohort.manifest), sizes)  # some may be left out
    after = selection.rebalance(cohort.manifest, key_of, seed, sizes)
    write_manifest(out, selection.rerooted(after, out.parent))
    say(selection.balance_text(after, key_of))
    typer.echo(str(out))


def _labels_of(manifest: "SplitManifest") -> "CohortLabels":
    """Return the labels of a cohort, saying which episodes are left out and why."""
    from xperience.cohort.overlap import read_labels
    from xperience.progress import progress_bars

    with progress_bars() as show:
        cohort = read_labels(manifest, on_progress=show)
    for episode, reason in cohort.left_out.items():
        say(f"left out: {episode} ({reason})", err=True)
    return cohort


@app.command()
def overlap(
    manifest: ManifestArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Metrics file to write.")] = None,
) -> None:
    """Say how much of what validation and test ask for ever occurs in training."""
    from xperience.cohort.manifest import read_manifest
    from xperience.cohort.overlap import overlap_rows, overlap_table
    from xperience.evaluation.records import write_records
    from xperience.project import episode_name

    cohort, run = _labels_of(read_manifest(manifest)), episode_name(manifest.absolute().parent)
    rows = list(overlap_rows(cohort, run, "cohort_overlap"))
    say(overlap_table(rows).to_string(float_format="{:.3f}".format, na_rep="-"))
    if out is not None:
        write_records(out, rows)
        typer.echo(str(out))


@app.command()
def measure(
    episode: Annotated[Path, typer.Argument(help="Folder of a recording; only read.")],
    out: Annotated[Path, typer.Option("--out", help="Measurements to write, JSON.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
) -> None:
    """Featurise an episode under both contracts, say what it took, and keep nothing else."""
    from xperience.cohort.cost import measure as measure_episode
    from xperience.progress import progress_bars
    from xperience.storage import write_json

    with progress_bars() as show:
        one = measure_episode(episode, workers=workers, on_progress=show)
        write_json(out, {"episodes": [one.model_dump()]})
    typer.echo(f"{one.n_frames:,} frames in {one.seconds:.1f} s, {one.core_s:.1f} core-seconds")
    typer.echo(str(out))


@app.command()
def cost(
    measured: Annotated[
        Path, typer.Option(help="A run with shards, or a file that `measure` wrote.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Argument(help="Split manifest or listing; default: episodes as measured."),
    ] = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="How many; default: all of the manifest or listing.")
    ] = None,
    frames: Annotated[
        float | None, typer.Option(min=1, help="Frames per episode; default: as measured.")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Cores, over all machines.")] = 1,
    mbit: Annotated[float, typer.Option(help="Bandwidth of the download, Mbit/s.")] = 1000,
) -> None:
    """Say what a cohort would take, in bytes and hours, and what that is extrapolated from."""
    from xperience.cohort.cost import cost_of, read_rates

    rates = read_rates(measured)
    found = cost_of(rates, manifest, episodes, frames, cores=cores, mbit_per_s=mbit)
    typer.echo(found.text)


@app.command()
def shard(
    manifest: ManifestArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run."), FOLDER],
    shard: Annotated[int, typer.Option(min=0, help="Which shard, from 0.")] = 0,
    of: Annotated[int, typer.Option(min=1, help="How many shards there are.")] = 1,
    discard: Annotated[
        bool, typer.Option("--discard", help="Drop depth, cloud and videos when windows are made.")
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(help="Where absent episodes are downloaded from: owner/name@revision."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="The dataset's licence, shown before a download.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes per recording.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if any episode failed.")] = False,
) -> None:
    """Stage and featurise the episodes of one shard; what is done is not done again.

    Exit status: 0 also if episodes failed (stderr names them) unless --strict, 1 if the shard
    could not be worked on.
    """
    from xperience.cohort.manifest import read_manifest
    from xperience.cohort.shards import Work, run_shard, stage_from
    from xperience.progress import progress_bars

    if (dataset is None) != (licence is None):
        raise typer.BadParameter("--dataset and --licence go together")
    with progress_bars() as show:
        stage = stage_from(_dataset(dataset, licence)) if dataset and licence else None
        work = Work(out, discard, stage, workers)
        report = run_shard(read_manifest(manifest), shard, of, work, on_progress=show)
    for one in report.episodes if discard else ():
        if one.status == "ok" and not one.bytes_freed:
            typer.echo(f"kept whole: {one.episode}: neither downloaded nor simulated", err=True)
    for one in report.failed:
        say(f"failed: {one.episode}: {one.reason}", err=True)
    good = len(report.episodes) - len(report.failed)
    typer.echo(f"shard {shard} of {of}: {good} of {len(report.episodes)} episodes have windows")
    if strict and report.failed:
        raise typer.Exit(1)


@app.command()
def status(
    manifest: ManifestArgument,
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
) -> None:
    """Say how far a cohort is: shards, episodes, faults, throughput."""
    from xperience.cohort.manifest import read_manifest
    from xperience.cohort.shards import read_reports, status_text

    say(status_text(read_manifest(manifest), read_reports(run)))
