"""``xperience cohort …``: choosing episodes, and the work on many of them."""

import typer

app = typer.Typer(
    help="Many episodes: choose them, featurise them in shards, say what it costs.",
    no_args_is_help=True,
)
