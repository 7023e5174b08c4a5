"""`xperience …`: one thin verb a room."""

from pathlib import Path
from typing import Annotated

import typer

from xperience.cohort import verbs as cohort_verbs
from xperience.console import FOLDER, Verbs, say
from xperience.errors import ParamsError, validated
from xperience.export import verbs as exports_verbs
from xperience.progress import progress_bars
from xperience.project import BASE_RUN
from xperience.qwen import verbs as answers_verbs
from xperience.report import verbs as report_verbs
from xperience.run import verbs as run_verbs

app = Verbs(
    help="From one egocentric recording to a benchmark, its studies and their evidence.",
    no_args_is_help=True,
    add_completion=False,
)

app.add_typer(run_verbs.app, name="run")
app.add_typer(cohort_verbs.app, name="cohort")
app.add_typer(answers_verbs.app, name="answers")
app.add_typer(exports_verbs.app, name="export")
app.add_typer(report_verbs.app)

EpisodeArgument = Annotated[Path, typer.Argument(help="Folder of the recording; only read.")]
OutOption = Annotated[Path, typer.Option("--out", help="File to write.")]


@app.command()
def inspect(
    episode: EpisodeArgument,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print the streams of an episode: shape, rate, span, coverage, faults.

    Exit status: 0 if the episode is usable, 1 if not, 2 for a wrong call.
    """
    from xperience.recording.inspect import inspect_episode

    with progress_bars() as show:
        report = inspect_episode(episode, show)
    say(report.to_json() if json else report.to_text())
    raise typer.Exit(0 if report.usable else 1)


@app.command()
def sync(
    episode: EpisodeArgument,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Say whether sound, picture, poses and gyroscope share one clock; no labels are needed.

    Exit status: 0 whatever the verdicts are, 1 if the episode cannot be opened, 2 for a wrong call.
    """
    from xperience.sync.audit import audit_episode

    with progress_bars() as show:
        audit = audit_episode(episode, on_progress=show)
    say(audit.to_json() if json else audit.to_text())


@app.command()
def features(
    episode: EpisodeArgument,
    out: OutOption,
    contract: Annotated[str, typer.Option(help="Version of the feature contract.")] = "published",
    cache: Annotated[
        Path | None, typer.Option(help="Folder of finished streams; default: beside the table.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
    blocks: Annotated[
        str, typer.Option(help="Learned blocks to add, separated by commas (extra: learned).")
    ] = "",
) -> None:
    """Turn an episode into a Parquet table: one row per window, a column per block."""
    from xperience.features.extract import extract

    names = blocks.split(",") if blocks else []
    if names:
        from xperience.features.learned import add_learned, learned_block

        for name in names:
            learned_block(name)  # a wrong one is refused before the long work
    with progress_bars() as show:
        info = extract(
            episode, out, contract=contract, cache=cache, workers=workers, on_progress=show
        )
        if names:
            info = add_learned(out, episode, names, cache, show)
    for block, reason in info.missing_blocks.items():
        say(f"missing: {block} ({reason})", err=True)
    for block, reason in info.partial_blocks.items():
        say(f"partial: {block} ({reason})", err=True)
    typer.echo(str(out))


@app.command()
def suite(
    episode: EpisodeArgument,
    windows: Annotated[Path, typer.Option(help="Windows table of the recording.")],
    out: OutOption,
    contract: Annotated[str, typer.Option(help="Version of the contract.")] = "published",
    heads: Annotated[str, typer.Option(help="Heads, separated by commas.")] = "linear",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of heads that start at random.")] = 5,
    blocks: Annotated[
        str, typer.Option(help="Learned blocks of the table to try, separated by commas.")
    ] = "",
) -> None:
    """Score every task of an episode: a JSON list of tidy rows."""
    from xperience.evaluation.records import write_records
    from xperience.features.table import WindowTable
    from xperience.project import episode_name
    from xperience.studies.learned import suite_rows
    from xperience.tasks.problem import problems_of

    table = WindowTable(windows)
    added = {name: table.learned(name).modality for name in blocks.split(",") if name}
    problems, name = problems_of(episode, table, contract), episode_name(episode)
    write_records(out, suite_rows(problems, heads.split(","), seeds, name, added))
    typer.echo(str(out))


@app.command()
def audio(
    episode: EpisodeArgument,
    windows: Annotated[Path, typer.Option(help="Windows table of the recording.")],
    out: OutOption,
    contract: Annotated[str, typer.Option(help="Version of the contract.")] = "published",
    details: Annotated[
        bool, typer.Option("--details", help="Add other measures, gains and their means.")
    ] = False,
) -> None:
    """Score every task of an episode with and without sound: a row per task and variant."""
    from xperience.evaluation.ablation import ablations, comparison_rows, variant_rows
    from xperience.evaluation.predictions import AUDIO_HEADS, predict_all
    from xperience.evaluation.records import write_records
    from xperience.features.table import WindowTable
    from xperience.project import episode_name
    from xperience.tasks.audio import (
        OTHER_SOUND,
        WITH_SOUND,
        audio_problems,
        published_variants,
        with_sound,
    )

    inputs = {
        (problem.task.name, variant): with_sound(problem, blocks)
        for problem in audio_problems(episode, WindowTable(windows), contract)
        for variant, blocks in published_variants(contract).items()
    }
    name, head = AUDIO_HEADS[contract]
    found = ablations(name, inputs, predict_all(list(inputs.values()), head)).values()
    base = {"run": episode_name(episode), "section": "audio"}
    rows = variant_rows(found, base, every=details)
    for pair in (WITH_SOUND, OTHER_SOUND) if details else ():
        rows += comparison_rows(found, pair, base)
    write_records(out, rows)
    typer.echo(str(out))


@app.command()
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(help="Predictions of tasks (.parquet), or JSON answers, one per line.")
    ],
    out: OutOption,
    options: Annotated[
        Path | None, typer.Option(help="Of answers: JSON list of the labels to choose from.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of answers: who gave them; default: the file's folder.")
    ] = None,
    run: Annotated[
        str, typer.Option(help="Of predictions: the run whose test samples they are of.")
    ] = BASE_RUN,
    episode: Annotated[
        str | None, typer.Option(help="A recording of your own, with that run's settings.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="In place of each task's own split.")] = None,
    heads: Annotated[str, typer.Option(help="Our heads to compare with, by commas.")] = "linear",
    entry: Annotated[str | None, typer.Option(help="Add it to the run's entries.")] = None,
) -> None:
    """Score what others predicted: a table of any tasks' predictions, or answers in strict JSON."""
    if predictions.suffix != ".parquet":
        from xperience.qwen.evaluate import evaluate_to, summary

        if options is None:
            raise typer.BadParameter("answers need the labels to choose from", param_hint="options")
        rows = evaluate_to(predictions, options, out, model=model)
        typer.echo(summary(rows))
        typer.echo(str(out))
        return
    from xperience.evaluation.records import write_records
    from xperience.report.entries import entry_text
    from xperience.run.entries import keep_entry, score_submission
    from xperience.run.plan import RunPlan
    from xperience.storage import file_digest

    plan = RunPlan.of(run, episode)
    rows = score_submission(predictions, plan, split, heads.split(","))
    write_records(out, rows, {"command": "evaluate", "predictions": file_digest(predictions)})
    typer.echo(entry_text(rows))
    if entry:
        typer.echo(str(keep_entry(entry, predictions, rows, plan)))
    typer.echo(str(out))


@app.command(replaces=True)
def standin(
    out: Annotated[Path, typer.Argument(help="Folder to write the episode to."), FOLDER],
    frames: Annotated[int | None, typer.Option(help="Frames at 20 a second.")] = None,
    size: Annotated[str | None, typer.Option(help="Width and height of the videos: WxH.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds wearer, kitchen, noise.")] = None,
) -> None:
    """Write a simulated episode in the layout of the recordings."""
    from xperience.standin.settings import StandinSettings
    from xperience.standin.write import write_episode

    with progress_bars() as show:
        asked = {"frames": frames, "size_px": size and _size(size), "seed": seed}
        settings = validated(StandinSettings, asked, "standin")
        typer.echo(str(write_episode(out, settings, on_progress=show)))


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ParamsError("--size", f"is {text!r}", "WxH in pixels", "Write it like 640x480.")
    return int(width), int(height)
