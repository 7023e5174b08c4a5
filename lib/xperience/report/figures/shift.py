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
    NARROW_IN,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    Picture,
    elide,
    empty_panel,
    new_figure,
    nothing,
    set_title,
    styled,
    time_axis,
)
from xperience.report.shift import HEAD_NAMES, METRIC, SPLIT_NAMES, parts_of
from xperience.report.tables import Rows, Verdict
from xperience.tasks.problem import Problem

MARKS = {
    "linear": (BLUE, "o"),
    "linear_with_text": (PURPLE, "P"),
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
_MOST_CLASSES, _LABEL_CHARS = 28, 27
_UNSCORED = "The local and the chronological split can't be set side by side"
_PANELS = {"local": "single test windows", "local_blocks": "contiguous test segments"}


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
        return nothing("No split: the task gives no problem", _reason(problems))
    shares = {split: tables.share(_shared(rows, one, split)) for split, one in there.items()}
    (first, share), *others = shares.items()
    title = f"{share} of test windows share frames with training on the {SPLIT_NAMES[first]} split"
    if others:
        title += f", {others[0][1]} on {SPLIT_NAMES[others[0][0]]}"
    figure = new_figure(2.1 + 0.3 * len(there), NARROW_IN)
    text = "Each strip is the recording. Right: share of test windows that share training frames."
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
        ax.text(1.01, row, share, fontsize=8, **place)
    _name_rows(ax, [SPLIT_NAMES[split] for split in there])
    ax.spines[:].set_visible(False)
    time_axis(ax, info.n_frames, info.fps)
    names = {"train": "training window", "test": "test window", "purged": "purged"}
    handles = [Patch(facecolor=_PARTS[part], label=name) for part, name in names.items()]
    figure.legend(handles=handles, ncols=3, loc="outside lower center")
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


def _shared(rows: Sequence[Record], problem: Problem, split: str) -> float | None:
    own = {"task": problem.task.name, "contract": problem.contract, "variant": split}
    row = Rows(rows).one(**own, metric="overlap_share")
    return row and row.value


def _reason(problems: Mapping[str, Problem]) -> str:
    return next((one.reason for one in problems.values() if one.reason), "no split was asked for")


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set(yticks=range(len(names)), yticklabels=names)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


@styled
def draw_class_times(
    problems: Mapping[str, Problem], predictions: Mapping[str, Predictions], info: TableInfo
) -> Picture:
    """Return a row per class, a panel per split: what its windows are for, and what was predicted.

    Parameters
    ----------
    problems : mapping of {split: Problem}
        One task under one contract.
    predictions : mapping of {split: sequence of Prediction}
        Of the linear head; empty if it has none.
    info : TableInfo
    """
    there = {split: one for split, one in problems.items() if one.split is not None}
    if not there:
        return nothing("No class can be placed", _reason(problems))
    windows = {split: _windows(one, predictions[split]) for split, one in there.items()}
    classes = list(dict.fromkeys(label for one in windows.values() for label in one["label"]))
    shown, left_out = classes[:_MOST_CLASSES], len(classes[_MOST_CLASSES:])
    unseen = {split: set(one[one["unseen"]]["label"]) for split, one in windows.items()}
    counts = [
        f"{SPLIT_NAMES[split]}: {len(unseen[split])} of "
        f"{one[one['part'] == 'test']['label'].nunique()}"
        for split, one in windows.items()
    ]
    counts[0] = tables.capital(f"{counts[0]} tested classes never trained")
    title = "; ".join(counts)
    figure = new_figure(2.1 + 0.2 * len(shown), NARROW_IN)
    first = next(iter(there.values()))
    text = (
        f"{tables.capital(tables.readable(first.task.name))}, {first.contract}, linear head on all "
    )
    text += "features. Right: recall of each tested class; red: never trained."
    set_title(figure, title, text + (f" Classes not drawn: {left_out}." if left_out else ""))
    panels = figure.subplots(1, len(windows), sharey=True, squeeze=False)[0]
    alt = [f"Timeline with a row per class, a panel per split. {title}."]
    for ax, (split, one) in zip(panels, windows.items(), strict=True):
        ax.set_title(f"{SPLIT_NAMES[split]}\n{_correct(one)}", fontsize=8)
        for row, label in enumerate(classes):
            own = one[one["label"] == label]
            hit, n_train = own["hit"].mean(), (own["part"] == "train").sum()
            recall = "" if np.isnan(hit) else tables.share(hit)
            if (own["part"] == "test").any():
                told = f"{n_train} training windows, recall {recall or 'unknown'}"
                alt.append(f"{SPLIT_NAMES[split]}, {label}: {told}.")
            if label in shown:
                _draw_class(ax, row, own, info.fps)
                at = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 7.5}
                ax.text(1.02, row, recall, color=RED if label in unseen[split] else MUTED, **at)
        time_axis(ax, info.n_frames, info.fps, most=4)
        ax.set_xlabel("time (min:s)")
    _name_rows(panels[0], [elide(label, _LABEL_CHARS) for label in shown])
    panels[0].set_ylim(len(shown) - 0.4, -0.7)
    for ax in panels[1:]:
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    drawn = {look for one in windows.values() for look in one["look"]}
    handles = [
        Patch(facecolor=colour, label=name) for name, (_, colour) in _LOOKS.items() if name in drawn
    ]
    figure.legend(handles=handles, ncols=2, handlelength=1.2, loc="outside lower center")
    return Picture(figure, title, " ".join(alt))


def _windows(problem: Problem, predictions: Predictions) -> pd.DataFrame:
    """Return one row per labelled window in time order: label, frame, part, unseen, hit, look.

    ``hit`` is 1 or 0 for test windows, NaN for all else.
    """
    samples = problem.samples
    table = pd.DataFrame({"label": samples.values, "frame": samples.centers, "part": ""})
    for name, places in _parts(problem).items():
        table.loc[places, "part"] = name
    names = {"train": "training", "test": "test, no prediction"}
    table["look"] = table["part"].replace(names)
    table["hit"], table["unseen"] = np.nan, False
    table.loc[problem.split.test, "unseen"] = problem.unseen
    if predictions:
        pairs = zip(problem.test_targets, predictions[0].predicted, strict=True)
        hits = np.array([truth == said for truth, said in pairs])
        table.loc[problem.split.test, "hit"] = hits.astype(float)
        looks = np.where(hits, "test, correctly classified", "test, misclassified")
        table.loc[problem.split.test, "look"] = looks
    return table.sort_values("frame", kind="stable")


def _correct(windows: pd.DataFrame) -> str:
    share = windows["hit"].mean()
    return "no predictions" if np.isnan(share) else f"{tables.share(share)} of test windows correct"


def _draw_class(ax: Axes, row: int, windows: pd.DataFrame, fps: float) -> None:
    ax.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
    for name, (height, colour) in _LOOKS.items():
        spans = _spans(windows.loc[windows["look"] == name, "frame"].to_numpy(), fps)
        ax.broken_barh(spans, (row - height / 2, height), linewidth=0, facecolor=colour)


def _spans(frames: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Return (start, length) in seconds of each contiguous segment of windows."""
    if not len(frames):
        return []
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > STRIDE_FRAMES) + 1)
    half = STRIDE_FRAMES / 2
    return [((run[0] - half) / fps, (run[-1] - run[0] + 2 * half) / fps) for run in runs]


@styled
def draw_split_scores(rows: Sequence[Record], task: str) -> Picture:
    """Return what heads score on a task, a row per contract and split.

    Parameters
    ----------
    rows : sequence of Record
    task : str
        The task's name.
    """
    own = [row for row in rows if (row.task, row.metric) == (task, METRIC) and not row.against]
    own = [row for row in own if row.variant in SPLIT_NAMES and row.head in MARKS]
    if not own:
        return nothing(_UNSCORED, f"{tables.readable(task)} has no row of a split")
    places = list(dict.fromkeys((row.contract, row.variant) for row in own))
    heads = [head for head in MARKS if head in {row.head for row in own}]
    figure = new_figure(2.3 + 0.14 * (len(heads) + 1) * len(places), NARROW_IN)
    title, text = (
        _scores_title(own),
        f"{tables.capital(tables.readable(task))}. Bars: 95 % intervals.",
    )
    scored = [row for row in own if row.value is not None]
    if lacking := sum(row.ci_low is None for row in scored):
        text += f" {lacking} of {len(scored)} scores have none: the rows say why."
    set_title(figure, title, text)
    ax = figure.subplots()
    for place, (contract, split) in enumerate(places):
        mine = [row for row in own if (row.contract, row.variant) == (contract, split)]
        _draw_scores(ax, place, mine)
    ax.set(ylim=(len(places) - 0.5, -0.5), xlim=(-0.02, 1.03), xlabel=tables.readable(METRIC))
    _name_rows(ax, [f"{SPLIT_NAMES[split]}\n({contract})" for contract, split in places])
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    handles = [
        Line2D([], [], color=MARKS[head][0], marker=MARKS[head][1], label=HEAD_NAMES[head], ls="")
        for head in heads
    ]
    handles += [
        Line2D([], [], color=MUTED, linestyle=":", label="best trivial baseline"),
        Line2D([], [], color=INK, label="ceiling: classes that were trained"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.0)
    alt = [f"Dot plot of scores by contract and split. {title}."]
    alt += [
        f"{row.contract}, {SPLIT_NAMES[row.variant]}: {HEAD_NAMES[row.head]} {tables.score(row)}."
        for row in scored
        if row.head in ("linear", "copy_nearest")
    ]
    return Picture(figure, title, " ".join(alt))


def _draw_scores(ax: Axes, place: int, rows: Sequence[Record]) -> None:
    if place:
        ax.axhline(place - 0.5, color=FAINT, linewidth=0.8)
    scored = [row for row in rows if row.value is not None]
    if not scored:
        why = elide(f"no score: {rows[0].reason}", 50)
        ax.text(0.02, place, why, va="center", fontsize=8, color=MUTED)
        return
    scored.sort(key=lambda row: list(MARKS).index(row.head))
    for y, row in zip(np.linspace(place - 0.34, place + 0.34, len(scored)), scored, strict=True):
        colour, shape = MARKS[row.head]
        if row.ci_low is not None:
            ax.plot([row.ci_low, row.ci_high], [y, y], color=colour, linewidth=1.4, zorder=2)
        look = {"color": colour, "markeredgecolor": PAPER, "markeredgewidth": 0.5}
        ax.plot(row.value, y, marker=shape, markersize=5, zorder=3, **look)
    ends = (place - 0.45, place + 0.45)
    if scored[0].floor is not None:
        ax.plot([scored[0].floor] * 2, ends, color=MUTED, ls=":", linewidth=1.2, zorder=1)
    if scored[0].ceiling is not None:
        ax.plot([scored[0].ceiling] * 2, ends, color=INK, linewidth=1.2, zorder=1)


def _scores_title(rows: Sequence[Record]) -> str:
    known = Rows(row for row in rows if row.contract == "published")
    wanted = (("local", "linear"), ("chronological", "linear"), ("local", "copy_nearest"))
    found = [known.scored(task=rows[0].task, variant=split, head=one) for split, one in wanted]
    if None in found:
        return _UNSCORED
    local, late, copied = (tables.number(row.value) for row in found)
    return (
        f"Local split: linear head {local}, nearest window's label {copied}; "
        f"chronological split: linear head {late}"
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
    figure = new_figure(4.2, NARROW_IN)
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
        ax.set_xlabel("frames from training to test\n(below 0: frames shared)")
        alt += [
            f"{name}, {_distance(row)} frames: {HEAD_NAMES[row.head]} {tables.score(row)}."
            for row in scored
            if row.head in ("linear", "copy_nearest")
        ]
    axes[0].set_ylabel("macro-F1, published features")
    pairs = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in axes]
    named = {label: handle for pair in pairs for handle, label in pair}
    if named:
        spot = {"loc": "outside lower center", "ncols": 2, "columnspacing": 1.0}
        figure.legend(named.values(), named.keys(), **spot)
    return Picture(figure, title, " ".join(alt))


def _distance(row: Record) -> int:
    return int(parts_of(row)[1].removeprefix("embargo="))


def _draw_curves(ax: Axes, rows: list[Record]) -> None:
    """Draw each head's scores, the ceiling, and how many windows are left to train on."""
    rows = sorted(rows, key=_distance)
    for head in ("linear", "linear_thinned", "copy_nearest"):
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
    apart = f"A distance of {apart} frames" if apart >= 0 else f"Sharing at most {-apart} frames"
    text = f"The title is of {_PANELS[parts_of(far)[0]]}. {text}"
    found, lost = tables.verdict(far)[0], tables.moved(far, lambda value: -value)
    if found is Verdict.NOT_TESTED:
        return f"{apart}: the cost beyond that of fewer training windows is not tested", text
    if found is Verdict.WORSE:
        cost = f"{tables.number(lost.value)} {tables.ends(lost, with_sign=False)} macro-F1"
        return f"{apart} costs {cost} beyond what fewer training windows cost", text
    if found is Verdict.BETTER:
        gain = f"{tables.number(far.value)} {tables.ends(far, with_sign=False)} macro-F1"
        return f"{apart} teaches {gain} more than as many windows at random", text
    return f"{apart} has no significant cost beyond that of fewer training windows", text
