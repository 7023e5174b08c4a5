"""Verbs that read what runs left: they stand at the top level of ``xperience``."""

import typer

app = typer.Typer()
