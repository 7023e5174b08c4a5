"""``python -m xperience.run``: the same commands as ``xperience run``."""

from xperience.run.verbs import app

app(prog_name="xperience run")
