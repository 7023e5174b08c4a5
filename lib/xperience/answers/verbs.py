"""``xperience answers …``: records for a language model, its training and its answers."""

import typer

app = typer.Typer(
    help="Strict-JSON answers of a language model: export, train, generate.", no_args_is_help=True
)
