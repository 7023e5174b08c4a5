"""Label shift: which windows a split puts where, what it is worth, and what distance costs."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from xperience.evaluation.predictions import Predictions
from xperience.evaluation.records import Record
from xperience.features.table import TableInfo
from xperience.features.windows import STRIDE_FRAMES
from xperience.report import tables
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    SKY,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
    time_axis,
)
from xperience.report.shift import HEAD_NAMES, METRIC, SPLIT_NAMES, parts_of
from xperience.report.tables import Rows, Verdict
from xperience.tasks.problem import Problem

MARKS = {
    "linear": (BLUE, "o"),
    "linear_with_text": (SKY, "s"),
    "linear_sensors_only": (SKY, "s"),
    "linear_text_only": (GREEN, "D"),
    "time_only": (ORANGE, "^"),
    "copy_nearest": (RED, "v"),
}
"""Colour and shape of each head, the same in every figure of the section."""
_PARTS = {"": PAPER, "train": SKY, "test": BLACK, "purged": "#C6CACE"}
_LOOKS = {
    "training": (0.3, SKY),
    "test, correctly classified": (0.74, BLUE),
    "test, misclassified": (0.74, ORANGE),
    "test, no prediction": (0.74, "#5F6368"),
    "purged": (0.3, "#B8BDC2"),
}
"""Height and colour of the windows of a class, by what they are for."""
_COLUMNS = {"train": 1.055, "test": 1.11, "recall": 1.195}
_MOST_CLASSES, _LABEL_CHARS = 28, 30
_PANELS = {
    "local": "single test windows at random places",
    "local_blocks": "test windows in contiguous segments",
}


@styled
def draw_splits(
    problems: Mapping[str, Problem], rows: Sequence[Record], info: TableInfo
) -> Picture:
    """Return a strip per split: where its training, test and purged windows lie.

    Parameters
    ----------
    problems : mapping of {split: Problem}
        One task under one contract.
    rows : sequence of Record
        Theirs, for what training and test windows share.
    info : TableInfo
    """
    there = {split: one for split, one in problems.items() if one.split is not None}
    if not there:
        return _nothing("No split: the task cannot be asked", next(iter(problems.values())))
    shares = {split: tables.share(_shared(rows, one, split)) for split, one in there.items()}
    first, share = next(iter(shares.items()))
    title = f"{share} of the {SPLIT_NAMES[first]} split's test windows share frames"
    title += " with training windows"
    figure = new_figure(1.75 + 0.34 * len(there))
    text = "Right: share of test windows that share a frame with a training window."
    set_title(figure, title, text)
    ax = figure.subplots()
    strips = np.zeros((len(there), -(-info.n_frames // STRIDE_FRAMES)), dtype=int)
    for strip, one in zip(strips, there.values(), strict=True):
        for code, part in enumerate(_parts(one).values(), start=1):
            strip[one.samples.centers[part] // STRIDE_FRAMES] = code
    extent = (0, strips.shape[1] * STRIDE_FRAMES / info.fps, len(there) - 0.5, -0.5)
    look = {"cmap": mpl.colors.ListedColormap(list(_PARTS.values())), "vmin": -0.5, "vmax": 3.5}
    ax.imshow(strips, aspect="auto", extent=extent, interpolation="nearest", **look)
    for row, share in enumerate(shares.values()):
        ax.axhline(row - 0.5, color=PAPER, linewidth=7)
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "clip_on": False}
        ax.text(1.01, row, share, fontsize=8.5, **place)
    _name_rows(ax, [SPLIT_NAMES[split] for split in there])
    ax.spines[:].set_visible(False)
    time_axis(ax, info.n_frames, info.fps)
    names = {"train": "training window", "test": "test window", "purged": "purged"}
    handles = [Patch(facecolor=_PARTS[part], label=name) for part, name in names.items()]
    ax.legend(handles=handles, ncols=3, loc="lower left", bbox_to_anchor=(-0.01, 0.98))
    alt = [f"Strips over time, one per split. {title}."]
    alt += [
        f"{SPLIT_NAMES[split]}: {one.n_train:,} training, {one.n_test:,} test, "
        f"{len(one.split.purged):,} purged windows; {shares[split]} of test windows share frames."
        for split, one in there.items()
    ]
    return Picture(figure, title, " ".join(alt))


def _parts(problem: Problem) -> dict[str, np.ndarray]:
    """Return the places of the samples of each part of the split, in the order of ``_PARTS``."""
    return {name: getattr(problem.split, name) for name in ("train", "test", "purged")}


def _shared(rows: Sequence[Record], problem: Problem, split: str) -> float:
    own = {"task": problem.task.name, "contract": problem.contract, "variant": split}
    return Rows(rows).one(**own, metric="overlap_share").value


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set(yticks=range(len(names)), yticklabels=names)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _nothing(title: str, problem: Problem) -> Picture:
    figure = new_figure(1.9)
    set_title(figure, title)
    empty_panel(figure.subplots(), problem.reason, width=80)
    return Picture(figure, title, f"An empty panel. {title}. The reason: {problem.reason}.")


@styled
def draw_class_times(
    problem: Problem, predictions: Predictions, split: str, info: TableInfo
) -> Picture:
    """Return a row per class over time: training windows, and test windows by what was predicted.

    Parameters
    ----------
    problem : Problem
    predictions : sequence of Prediction
        Of the linear head; empty if it has none.
    split : str
        The problem's.
    info : TableInfo
    """
    name = SPLIT_NAMES[split].capitalize()
    if problem.split is None:
        return _nothing(f"{name}: no class can be placed", problem)
    windows = _windows(problem, predictions)
    classes = list(dict.fromkeys(windows["label"]))
    shown, left_out = classes[:_MOST_CLASSES], len(classes[_MOST_CLASSES:])
    title = _class_title(problem, windows, name)
    figure = new_figure(1.95 + 0.2 * len(shown))
    text = f"{problem.task.name}, {problem.contract}, linear head on all features. "
    text += "Red: never trained." + (f" Classes not drawn: {left_out}." if left_out else "")
    set_title(figure, title, text)
    ax = figure.subplots()
    alt = [f"Timeline with a row per class and its windows by what they are for. {title}."]
    _name_rows(ax, [elide(label, _LABEL_CHARS) for label in shown])
    for row, label in enumerate(classes):
        own = windows[windows["label"] == label]
        n_train, n_test = ((own["part"] == part).sum() for part in ("train", "test"))
        recall = tables.share(own["hit"].mean()) if n_test and predictions else ""
        if n_test:
            alt.append(f"{label}: {n_train} training windows, recall {recall or 'unknown'}.")
        if label in shown:
            texts = {"train": f"{n_train}", "test": f"{n_test}", "recall": recall}
            _draw_class(ax, row, own, info.fps, texts)
    ax.set_ylim(len(shown) - 0.4, -0.7)
    time_axis(ax, info.n_frames, info.fps)
    at = {"transform": ax.transAxes, "ha": "right", "va": "bottom", "fontsize": 8, "color": MUTED}
    for column, x in _COLUMNS.items():
        ax.text(x, 1.0, column, **at)
    looks = {name: look for name, look in _LOOKS.items() if (windows["look"] == name).any()}
    handles = [Patch(facecolor=colour, label=name) for name, (_, colour) in looks.items()]
    spot = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.015)}
    ax.legend(handles=handles, ncols=4, handlelength=1.2, columnspacing=1.2, **spot)
    return Picture(figure, title, " ".join(alt))


def _windows(problem: Problem, predictions: Predictions) -> pd.DataFrame:
    """Return one row per labelled window in time order: label, frame, part, hit, look.

    ``hit`` is 1 or 0 for test windows, NaN for all else.
    """
    samples = problem.samples
    table = pd.DataFrame({"label": samples.values, "frame": samples.centers, "part": ""})
    for name, places in _parts(problem).items():
        table.loc[places, "part"] = name
    names = {"train": "training", "test": "test, no prediction"}
    table["look"] = table["part"].replace(names)
    table["hit"] = np.nan
    if predictions:
        pairs = zip(problem.test_targets, predictions[0].predicted, strict=True)
        hits = np.array([truth == said for truth, said in pairs])
        table.loc[problem.split.test, "hit"] = hits.astype(float)
        looks = np.where(hits, "test, correctly classified", "test, misclassified")
        table.loc[problem.split.test, "look"] = looks
    return table.sort_values("frame", kind="stable")


def _class_title(problem: Problem, windows: pd.DataFrame, name: str) -> str:
    tested = windows[windows["part"] == "test"]
    if problem.unseen.any():
        unseen = {
            one for one, lost in zip(problem.test_targets, problem.unseen, strict=True) if lost
        }
        return (
            f"{name}: {len(unseen)} of {tested['label'].nunique()} tested classes were never "
            f"trained, {tables.share(problem.unseen.mean())} of the test windows"
        )
    if tested["hit"].isna().all():
        return f"{name}: every tested class was trained, but there are no predictions"
    share = tables.share(tested["hit"].mean())
    return f"{name}: every tested class was trained; {share} of test windows correctly classified"


def _draw_class(
    ax: Axes, row: int, windows: pd.DataFrame, fps: float, texts: Mapping[str, str]
) -> None:
    ax.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
    for name, (height, colour) in _LOOKS.items():
        spans = _spans(windows.loc[windows["look"] == name, "frame"].to_numpy(), fps)
        ax.broken_barh(spans, (row - height / 2, height), linewidth=0, facecolor=colour)
    unseen = texts["train"] == "0" and texts["test"] != "0"
    ax.get_yticklabels()[row].set_color(RED if unseen else INK)
    at = {"transform": ax.get_yaxis_transform(), "va": "center", "ha": "right", "fontsize": 8}
    for column, text in texts.items():
        colour = RED if unseen and column == "train" else MUTED
        ax.text(_COLUMNS[column], row, text, color=colour, **at)


def _spans(frames: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Return (start, length) in seconds of each contiguous segment of windows."""
    if not len(frames):
        return []
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > STRIDE_FRAMES) + 1)
    half = STRIDE_FRAMES / 2
    return [((run[0] - half) / fps, (run[-1] - run[0] + 2 * half) / fps) for run in runs]


@styled
def draw_split_scores(rows: Sequence[Record]) -> Picture:
    """Return what heads score on each split: a row of panels per task, one per contract."""
    own = [row for row in rows if row.metric == METRIC and row.variant in SPLIT_NAMES]
    own = [row for row in own if row.head in MARKS and not row.against]
    scored = [row for row in own if row.value is not None]
    contracts = list(dict.fromkeys(row.contract for row in own))
    pairs = {(row.task, row.head) for row in own}
    heads = {row.task: [one for one in MARKS if (row.task, one) in pairs] for row in own}
    heights = [len(SPLIT_NAMES) * (len(some) * 0.135 + 0.17) + 0.35 for some in heads.values()]
    figure = new_figure(1.9 + sum(heights))
    title = _scores_title(own)
    text = f"Title: {own[0].task}, published, linear head. Bars: 95 % block-bootstrap intervals."
    if lacking := sum(row.ci_low is None for row in scored):
        text += f" {lacking} of {len(scored)} scores have none: the rows say why."
    set_title(figure, title, text)
    grid = figure.subplots(
        len(heads), len(contracts), sharex=True, squeeze=False, height_ratios=heights
    )
    for task, axes in zip(heads, grid, strict=True):
        for contract, ax in zip(contracts, axes, strict=True):
            mine = [row for row in own if (row.task, row.contract) == (task, contract)]
            _draw_scores(ax, mine, heads[task])
            ax.set_title(f"{task}, {contract}")
        for ax in axes[1:]:
            ax.set_yticklabels([])
    for ax in grid[-1]:
        ax.set_xlabel(tables.readable(METRIC))
    handles = [
        Line2D([], [], color=colour, marker=shape, label=HEAD_NAMES[head], ls="", markersize=5)
        for head, (colour, shape) in MARKS.items()
    ]
    handles += [
        Line2D([], [], color=MUTED, linestyle=":", label="best trivial baseline"),
        Line2D([], [], color=INK, label="ceiling: classes that were trained"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.6)
    alt = [f"Dot plot of scores by split, task and contract. {title}."]
    alt += [
        f"{row.task}, {row.contract}, {SPLIT_NAMES[row.variant]}: {HEAD_NAMES[row.head]} "
        f"{tables.score(row)}."
        for row in scored
        if row.head in ("linear", "copy_nearest")
    ]
    return Picture(figure, title, " ".join(alt))


def _draw_scores(ax: Axes, rows: Sequence[Record], heads: list[str]) -> None:
    for place, split in enumerate(SPLIT_NAMES):
        if place:
            ax.axhline(place - 0.5, color=FAINT, linewidth=0.8)
        found = [row for row in rows if row.variant == split]
        scored = [row for row in found if row.value is not None]
        if not scored:
            why = f"no score: {found[0].reason}" if found else "not asked: this contract purges"
            ax.text(0.02, place, elide(why, 44), va="center", fontsize=7.5, color=MUTED)
        for row in scored:
            colour, shape = MARKS[row.head]
            y = place - 0.34 + 0.68 * heads.index(row.head) / max(1, len(heads) - 1)
            if row.ci_low is not None:
                ax.plot([row.ci_low, row.ci_high], [y, y], color=colour, linewidth=1.4, zorder=2)
            look = {"color": colour, "markeredgecolor": PAPER, "markeredgewidth": 0.5}
            ax.plot(row.value, y, marker=shape, markersize=5, zorder=3, **look)
        for row in scored[:1]:
            look = {"linewidth": 1.2, "zorder": 1}
            ends = (place - 0.45, place + 0.45)
            if row.floor is not None:
                ax.plot([row.floor] * 2, ends, color=MUTED, linestyle=":", **look)
            if row.ceiling is not None:
                ax.plot([row.ceiling] * 2, ends, color=INK, **look)
    ax.set(ylim=(len(SPLIT_NAMES) - 0.5, -0.5), xlim=(-0.02, 1.03))
    _name_rows(ax, list(SPLIT_NAMES.values()))
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def _scores_title(rows: Sequence[Record]) -> str:
    base, known = {"task": rows[0].task, "contract": "published"}, Rows(rows)
    wanted = (("local", "linear"), ("chronological", "linear"), ("local", "copy_nearest"))
    found = [known.one(**base, variant=split, head=head) for split, head in wanted]
    if any(row is None or row.value is None for row in found):
        return "Not every split of this recording can be scored"
    local, late, copied = (tables.number(row.value) for row in found)
    change = f"rises from {local} to {late}"
    if found[1].value < found[0].value:
        change = f"falls from {local} to {late}"
    if late == local:
        change = f"stays at {local}"
    return (
        f"From the local to the chronological split the score {change}; "
        f"on the local one the nearest window's label alone scores {copied}"
    )


@styled
def draw_embargo(rows: Sequence[Record]) -> Picture:
    """Return scores by the distance that training windows keep from test windows.

    Parameters
    ----------
    rows : sequence of Record
        With variants such as "local/embargo=5".
    """
    title, text = _embargo_title(rows)
    figure = new_figure(4.6)
    set_title(figure, title, text)
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    alt = [f"Line plot of scores by the distance of training from test windows. {title}."]
    for (split, name), ax in zip(_PANELS.items(), axes, strict=True):
        mine = [row for row in rows if parts_of(row)[0] == split and not row.against]
        scored = [row for row in mine if row.value is not None]
        if scored:
            _draw_curves(ax, scored)
        else:
            empty_panel(ax, next((row.reason for row in mine), "no distance was asked for"))
        ax.set_title(name, pad=16)
        ax.set_xlabel("frames between training and test windows\n(below 0: frames shared)")
        alt += [
            f"{name}, {_distance(row)} frames: {HEAD_NAMES[row.head]} {tables.score(row)}."
            for row in scored
            if row.head in ("linear", "time_only")
        ]
    axes[0].set_ylabel("macro-F1, published features")
    pairs = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in axes]
    named = {label: handle for pair in pairs for handle, label in pair}
    if named:
        spot = {"loc": "outside lower center", "ncols": 2, "columnspacing": 1.6}
        figure.legend(named.values(), named.keys(), **spot)
    return Picture(figure, title, " ".join(alt))


def _distance(row: Record) -> int:
    return int(parts_of(row)[1].removeprefix("embargo="))


def _draw_curves(ax: Axes, rows: list[Record]) -> None:
    """Draw each head's scores, the ceiling, and how many windows are left to train on."""
    rows = sorted(rows, key=_distance)
    for head in ("linear", "linear_thinned", "time_only", "copy_nearest"):
        mine = [row for row in rows if row.head == head]
        colour, marker = MARKS.get(head, (MUTED, "x"))
        edge, line = (colour, "--") if head not in MARKS else (PAPER, "-")
        look = {"color": colour, "marker": marker, "markeredgecolor": edge, "linestyle": line}
        at, values = [_distance(row) for row in mine], [row.value for row in mine]
        ax.plot(at, values, label=HEAD_NAMES[head], markersize=5, linewidth=1.4, **look)
        for x, row in zip(at, mine, strict=True):
            if row.ci_low is not None and head in ("linear", "linear_thinned"):
                ax.plot([x, x], [row.ci_low, row.ci_high], color=colour, linewidth=0.9)
    linear = [row for row in rows if row.head == "linear"]
    bounded = [row for row in linear if row.ceiling is not None]
    at, ceilings = [_distance(row) for row in bounded], [row.ceiling for row in bounded]
    ax.plot(at, ceilings, color=INK, linewidth=1, ls=":", label="ceiling: classes still trained")
    ax.axvline(0, color=FAINT, linewidth=1.2, zorder=0)
    top = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom", "fontsize": 7.5}
    for row in linear:
        ax.text(_distance(row), 1.01, f"{row.n_train}", color=MUTED, **top)
    ax.set_ylim(0, 1.04)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def _embargo_title(rows: Sequence[Record]) -> tuple[str, str]:
    """Return the title, about the farthest training windows of segments, and a line below it."""
    text = "Grey numbers: training windows left. Bars: 95 % intervals, where there is one."
    if not any(row.value is not None for row in rows):
        return "No distance can be scored", text
    paired = [row for row in rows if row.against == "linear_thinned"]
    if not paired:
        return "No distance beyond the split itself can be scored", text
    far = max(paired, key=lambda row: (parts_of(row)[0] == "local_blocks", _distance(row)))
    apart = _distance(far)
    apart = f"{apart} frames apart" if apart >= 0 else f"sharing at most {-apart} frames"
    text = f"Title: {_PANELS[parts_of(far)[0]]}, {apart}. {text}"
    titles = {
        Verdict.WORSE: "Distance lowers the score significantly beyond what fewer windows do:",
        Verdict.BETTER: "Windows farther away teach significantly more than as many at random:",
    }
    start = titles.get(tables.verdict(far)[0])
    if start is None:
        return "No significant cost of distance beyond that of fewer training windows", text
    return f"{start} {tables.signed(far.value)} {tables.ends(far)} macro-F1", text
