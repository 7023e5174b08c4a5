"""Progress bars, one look for all commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, int, int], None]
"""(step, done, total): what long work calls as it goes on."""


def quiet(step: str, done: int, total: int) -> None:
    """Tell nobody: for long work that nobody watches."""


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Yield a function (step, done, total) that draws one bar a step on stderr.

    Where stderr is no terminal, the bars are printed once, as they stand at the end.
    """
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only needed here
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description:>32}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, int] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = progress.add_task(step, total=total)
            progress.update(bars[step], completed=done, total=total)

        yield show
