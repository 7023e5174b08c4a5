"""Task cards: every declared task, as the site shows it."""

from collections.abc import Sequence

from xperience.features.blocks import BLOCKS, BLOCKS_BY_NAME
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, tasks_of
from xperience.tasks.task import Span, Task

_KINDS = {
    "classify": "one class a sample",
    "multilabel": "a set of labels a sample",
    "regress": "a vector a sample",
    "retrieve": "a ranking of the test windows for each of them",
}
_HEAD = """# The tasks

One card a task, made from its declaration in `lib/xperience/tasks/catalogue.py`. Frames are counted
from the window's; both ends are included. [Add a task of your own](../howto/your-own-task.md): it
is one entry there, and this page has a card for it.
"""
_EXTRA = (
    f"The benchmark has {len(TASKS)} tasks. The last card, `{ALL_FEATURE_ACTION.name}`, is none of "
    "them: it asks the first question once more under a split that leaks, to show how much."
)

SHOWN = (*TASKS, ALL_FEATURE_ACTION)


def tasks_page(tasks: Sequence[Task] = SHOWN) -> str:
    """Return the page of task cards, as Markdown.

    Parameters
    ----------
    tasks : sequence of Task
    """
    overview = ["| task | question | primary metric |", "|---|---|---|"]
    overview += [
        f"| [`{task.name}`](#{anchor(task.name)}) | {task.question} | {_metric(task)} |"
        for task in tasks
    ]
    head = [_HEAD] + [_EXTRA] * (ALL_FEATURE_ACTION in tasks)
    return "\n\n".join([*head, "\n".join(overview), *map(card, tasks)]) + "\n"


def anchor(name: str) -> str:
    """Return where on the page of task cards a task's card is."""
    return name.replace("_", "-")


def card(task: Task) -> str:
    """Return a task's card, as Markdown."""
    (corrected,) = tasks_of("corrected", [task])
    rows = {
        "answer": f"{_KINDS[task.kind]}, from {task.source}",
        "input": f"{task.n_features:,} features: {_inputs(task)}",
        "frames of the features": f"{_frames(task.feature_span)}; under `corrected` "
        f"{_frames(corrected.feature_span)}",
        "frames of the target": _frames(task.target_span) if task.target_span else "none",
        "split": f"{task.split}; under `corrected` {corrected.split}, purged",
        "head": f"{task.head} and its neural counterparts",
        "primary metric": _metric(task),
        "other metrics": ", ".join(f"`{one.name}`" for one in task.measures[1:]) or "none",
        "naive forecasts": ", ".join(f"`{name}`" for name in task.naive) or "none",
        "no score if": _degenerate(task),
    }
    lines = [f"| {name} | {text} |" for name, text in rows.items()]
    body = "\n".join(["| declared | as |", "|---|---|", *lines])
    return f"({anchor(task.name)})=\n## {task.name}\n\n{task.question}\n\n{body}"


def _metric(task: Task) -> str:
    metric = task.primary.metric
    better = "higher" if metric.higher_is_better else "lower"
    unit = "" if metric.unit == "1" else f" in {metric.unit}"
    return f"`{task.primary.name}`{unit}, {better} is better"


def _inputs(task: Task) -> str:
    """Return the input in words: what is left out, if that is shorter."""
    texts = []
    for piece in task.pieces:
        left_out = [block.name for block in BLOCKS if block.name not in piece.blocks]
        if not left_out:
            text = "all blocks"
        elif len(left_out) < len(piece.blocks):
            text = "all blocks but " + ", ".join(f"`{name}`" for name in left_out)
        else:
            kinds = dict.fromkeys(BLOCKS_BY_NAME[name].modality for name in piece.blocks)
            text = " and ".join(kinds)
        if len(task.pieces) > 1:
            other = "" if piece.minus is None else f" minus window {piece.minus + 1}"
            text += f" of window {piece.member + 1}{other}"
        texts.append(text)
    return "; ".join(texts)


def _frames(span: Span) -> str:
    if span == Span():
        return "the window's"
    return f"{_end(span.since, span.first)} to {_end(span.until, span.last)}"


def _end(anchor: str, offset: int) -> str:
    return f"{anchor} {'+' if offset > 0 else '−'} {abs(offset)}" if offset else anchor


def _degenerate(task: Task) -> str:
    if task.kind == "classify":
        return f"fewer than {task.needs_classes} classes occur"
    if task.kind == "multilabel":
        return "no label occurs"
    return "never"
