"""``xperience answers …``: records for a language model, its training and its answers."""

from pathlib import Path
from typing import Annotated

import typer

from xperience.console import FOLDER, Verbs, say
from xperience.qwen import MOST_PIXELS

app = Verbs(
    help="Strict-JSON answers of a language model: export, train, generate.", no_args_is_help=True
)


@app.command()
def export(
    manifest: Annotated[Path, typer.Argument(help="The cohort: episodes.csv.")],
    out: Annotated[
        Path, typer.Option(help="Folder for records, options, manifest and media."), FOLDER
    ],
    side: Annotated[
        list[str] | None, typer.Option(help="Split to export; say it again for more. Default: all.")
    ] = None,
    per_episode: Annotated[int | None, typer.Option(help="Records per episode.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of the clips.")] = None,
    lead_s: Annotated[
        tuple[float, float] | None, typer.Option(help="Least and most seconds before a window.")
    ] = None,
    tile: Annotated[
        tuple[int, int] | None, typer.Option(help="Width and height of a view, pixels.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds the lead-ins' lengths.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one per episode.")] = 1,
) -> None:
    """Write supervised records: six-view clips, sound, questions and answers."""
    from xperience.cohort.manifest import SPLITS, read_manifest
    from xperience.errors import validated
    from xperience.progress import progress_bars
    from xperience.qwen.clips import ExportSettings
    from xperience.qwen.export import export_records

    with progress_bars() as show:
        asked = {"per_episode": per_episode, "fps": fps, "lead_s": lead_s, "tile_px": tile}
        settings = validated(ExportSettings, asked | {"seed": seed}, "export")
        cohort = read_manifest(manifest)
        found = export_records(cohort, out, settings, side or SPLITS, workers, show)
    written = found.manifest
    for name, reason in written["lost"].items():
        say(f"left out: {name}: {reason}", err=True)
    counts = ", ".join(f"{count} {name}" for name, count in written["records"].items())
    typer.echo(f"records: {counts}")
    typer.echo(str(found.path))


@app.command()
def baseline(
    records: Annotated[Path, typer.Argument(help="Folder of exported records.")],
    out: Annotated[Path, typer.Option(help="Predictions to write, JSON lines.")],
    kind: Annotated[str, typer.Option(help="majority, linear or oracle.")] = "majority",
    side: Annotated[str, typer.Option(help="Split to answer.")] = "test",
    predictions: Annotated[
        Path | None, typer.Option(help="For linear: heads' predictions across recordings, Parquet.")
    ] = None,
    head: Annotated[str, typer.Option(help="For linear: which head of that table.")] = "linear",
) -> None:
    """Answer records without a language model, in the same format."""
    from xperience.errors import ParamsError, did_you_mean, reading
    from xperience.qwen import baselines
    from xperience.qwen.schema import AnswersError
    from xperience.qwen.supervised import open_export, write_predictions

    found = open_export(records)
    asked = found.records(side)
    if kind == "majority":
        said = baselines.majority_json(found.some("train"), asked)
    elif kind == "oracle":
        said = baselines.oracle_json(asked)
    elif kind != "linear":
        kinds = ("majority", "linear", "oracle")
        raise ParamsError("--kind", f"is {kind!r}", "a baseline", did_you_mean(kind, kinds))
    elif predictions is None:
        raise ParamsError(
            "--predictions", "is absent", "a table of heads' predictions",
            "Name the one that the study across recordings wrote.",
        )  # fmt: skip
    else:
        import pyarrow.parquet as pq

        way_out = "Name the predictions of heads across recordings."
        expected = "a Parquet table of predictions"
        with reading(predictions.name, expected, AnswersError, way_out):
            table = pq.read_table(predictions).to_pandas()
        guesses = baselines.guesses_of(table, head, predictions.name)
        said = baselines.linear_json(guesses, asked, found.options)
    typer.echo(f"{write_predictions(out, said)} answers")
    typer.echo(str(out))


ModelOption = Annotated[
    str,
    typer.Option("--model", help="Folder or hub name, e.g. Qwen/Qwen3-Omni-30B-A3B-Instruct."),
]
RecordsArgument = Annotated[Path, typer.Argument(help="Folder of exported records.")]
RevisionOption = Annotated[str | None, typer.Option(help="Commit of a model on the hub.")]
DtypeOption = Annotated[str, typer.Option(help="Weights: float32, bfloat16 or float16.")]
DeviceOption = Annotated[
    str | None, typer.Option(help="Device map of transformers, e.g. auto or cuda:0.")
]
PixelsOption = Annotated[int, typer.Option(help="Pixels of a frame; larger ones are scaled down.")]


@app.command()
def tiny(
    out: Annotated[Path, typer.Argument(help="Folder to make."), FOLDER],
    records: Annotated[
        Path | None, typer.Option(help="Exported records whose words its tokenizer learns.")
    ] = None,
    options: Annotated[Path | None, typer.Option(help="Options instead: options.json.")] = None,
    seed: Annotated[int, typer.Option(help="Seeds the weights.")] = 0,
) -> None:
    """Make a tiny Qwen3-Omni with random weights, which loads like the real one."""
    from xperience.qwen.tiny import make_tiny, words_of

    made = make_tiny(out, words_of(records, options), seed)
    typer.echo(str(made))


@app.command()
def train(
    records: RecordsArgument,
    model: ModelOption,
    out: Annotated[
        Path, typer.Option(help="Folder of the run; the same call goes on in it."), FOLDER
    ],
    revision: RevisionOption = None,
    dtype: DtypeOption = "float32",
    device_map: DeviceOption = None,
    most_pixels: PixelsOption = MOST_PIXELS,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Records per step, over all processes.")] = None,
    piece: Annotated[int | None, typer.Option(help="Records per forward pass.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the learning rate.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout on the adapter's input.")] = None,
    targets: Annotated[str | None, typer.Option(help="Pattern of the layers adapted.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Save memory, take longer.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="Seeds the adapter, the order, the dropout.")
    ] = None,
) -> None:
    """Train a LoRA adapter on the training split; several processes with `accelerate launch`."""
    from xperience.qwen.model import ModelSource
    from xperience.qwen.train import TrainingSettings
    from xperience.qwen.train import train as train_on

    def show(line: dict[str, float]) -> None:
        found = (f"{name} {value:.6g}" for name, value in line.items() if name != "step")
        typer.echo(f"step {line['step']}: {', '.join(found)}", err=True)

    chosen = {
        "steps": steps, "batch": batch, "piece": piece, "learning_rate": learning_rate,
        "rank": rank, "dropout": dropout, "targets": targets, "save_every": save_every,
        "seed": seed, "bf16": bf16, "recompute": recompute,
    }  # fmt: skip
    settings = TrainingSettings(**{k: value for k, value in chosen.items() if value is not None})
    source = ModelSource(model, revision, None, dtype, device_map, most_pixels)
    typer.echo(str(train_on(records, source, out, settings, show)))


@app.command()
def generate(
    records: RecordsArgument,
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="Predictions to write, JSON lines.")],
    adapter: Annotated[Path | None, typer.Option(help="Adapter that training wrote.")] = None,
    revision: RevisionOption = None,
    dtype: DtypeOption = "float32",
    device_map: DeviceOption = None,
    most_pixels: PixelsOption = MOST_PIXELS,
    side: Annotated[
        list[str] | None,
        typer.Option(help="Split to answer; say it again for more. Default: test."),
    ] = None,
    constrained: Annotated[
        bool, typer.Option("--constrained/--free", help="Grammar-constrained decoding, or free.")
    ] = True,
    limit: Annotated[
        int | None, typer.Option(help="Tokens of an answer; default: what every valid one fits in.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token.")] = 0.0,
    batch: Annotated[int, typer.Option(min=1, help="Records per batch.")] = 4,
    seed: Annotated[int, typer.Option(help="Seeds the sampling of tokens.")] = 7,
) -> None:
    """Let a model answer records; the same call goes on where it was stopped."""
    from xperience.progress import progress_bars
    from xperience.qwen.generate import Decoding
    from xperience.qwen.generate import generate as answers_of
    from xperience.qwen.model import ModelSource

    with progress_bars() as show:
        source = ModelSource(model, revision, adapter, dtype, device_map, most_pixels)
        decoding = Decoding(constrained, limit, temperature, seed, batch)
        n = answers_of(
            records, source, out, decoding, side or ("test",),
            lambda done, total: show("answers", done, total),
        )  # fmt: skip
    typer.echo(f"{n} answers")
    typer.echo(str(out))
