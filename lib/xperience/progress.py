"""Progress bars, one look for all commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, int, int], None]
"""(step, done, total): what long work calls as it goes on."""


def quiet(step: str, done: int, total: int) -> None:
    """Tell nobody: for long work that nobody watches."""


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Yield a function (step, done, total) that draws one bar per step on stderr.

    Where stderr is no terminal, the bars are printed once, as they stand at the end.
    """
    from rich import progress as bars  # noqa: PLC0415 - slow to import, and only needed here
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bars.TextColumn("{task.description:>32}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as progress:
        begun: dict[str, bars.TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in begun:
                begun[step] = progress.add_task(step, total=total)
            progress.update(begun[step], completed=done, total=total)

        yield show
