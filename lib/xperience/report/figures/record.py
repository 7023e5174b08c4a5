"""Section 8, the published record: which figures come out, what scores are worth, real hands."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from xperience.evaluation.agreement import Figure
from xperience.evaluation.evaluate import FLOOR
from xperience.evaluation.records import (
    ANSWERING,
    METADATA,
    PRESENT_KNOWN,
    ROLLING,
    SHUFFLED,
    STITCHED,
    Record,
)
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted
from xperience.report.record import HANDS, PRIMARY, ZERO, answered_fields, winners
from xperience.report.tables import Rows, Verdict, floor, readable, score, verdict

_STATUS = {
    "exact": (BLUE, "o"),
    "within tolerance": (SKY, "s"),
    "differs": (RED, "X"),
    "not recomputable": ("#C6CACE", "D"),
    "skipped": ("#E9EBED", "D"),
}


@styled
def draw_agreement(figures: Sequence[Figure]) -> Picture:
    """Return published figures against recomputed ones, and what became of every figure.

    Parameters
    ----------
    figures : sequence of Figure
    """
    known = [one for one in figures if None not in (one.published, one.recomputed)]
    title = _agreement_title(figures)
    canvas = new_figure(3.9)
    set_title(canvas, title, "Left: shares and metres. Right: every figure, by where it stands.")
    line, grid = canvas.subplots(1, 2, width_ratios=(1, 1.25))
    _identity(line, [one for one in known if one.unit in ("1", "m")])
    _mosaic(grid, figures)
    return Picture(canvas, title, f"{title}. {_agreement_alt(figures)}")


def _agreement_title(figures: Sequence[Figure]) -> str:
    told = [one for one in figures if one.status != "skipped"]
    if not told:
        return "No published record, nothing recomputed"
    exact, off = (sum(one.status == name for one in told) for name in ("exact", "differs"))
    known = sum(one.recomputed is not None for one in told)
    whole = f"of {counted(known, 'recomputable figure')} come{'s' if known == 1 else ''} out"
    if off:
        return f"{off} {whole} differently"
    near = known - exact
    return f"{exact} {whole} exactly" + (f", {near} nearly" if near else "")


def _identity(ax: Axes, known: Sequence[Figure]) -> None:
    if not known:
        empty_panel(ax, "nothing could be recomputed")
        return
    for status, (colour, marker) in _STATUS.items():
        points = [(one.published, one.recomputed) for one in known if one.status == status]
        if points:
            look = {"color": colour, "edgecolor": "white", "linewidth": 0.6, "zorder": 3}
            ax.scatter(*zip(*points, strict=True), marker=marker, s=34, **look)
    ends = [min(0, *(one.published for one in known)), max(one.published for one in known)]
    room = 0.05 * (ends[1] - ends[0])
    ends = [ends[0] - room, ends[1] + room]
    ax.plot(ends, ends, color=MUTED, linewidth=0.8, zorder=1)
    ax.set(xlim=ends, ylim=ends, xlabel="published", ylabel="recomputed", aspect="equal")


def _mosaic(ax: Axes, figures: Sequence[Figure]) -> None:
    sections = list(dict.fromkeys(one.section for one in figures))
    for row, section in enumerate(sections):
        of = sorted(
            (one for one in figures if one.section == section),
            key=lambda one: list(_STATUS).index(one.status),
        )
        for column, one in enumerate(of):
            colour, marker = _STATUS[one.status]
            ax.scatter(column, row, color=colour, marker=marker, s=52, linewidth=0)
    labels = [section.replace(", ", ",\n").replace(" and ", "\nand ") for section in sections]
    ax.set(yticks=range(len(sections)), yticklabels=labels, xticks=[], ylim=(len(sections), -0.6))
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="y", length=0)
    present = [name for name in _STATUS if any(one.status == name for one in figures)]
    handles = [
        Line2D([], [], linestyle="", color=_STATUS[name][0], marker=_STATUS[name][1], label=name)
        for name in present
    ]
    ax.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(-0.02, -0.06))


def _agreement_alt(figures: Sequence[Figure]) -> str:
    lost = [one.what for one in figures if one.status == "not recomputable"]
    off = [f"{one.what}: {one.published} and {one.recomputed}" for one in figures
           if one.status == "differs"]  # fmt: skip
    parts = [f"Points lie on the diagonal where the two agree, for {len(figures)} figures in all."]
    parts += [f"Not recomputable: {'; '.join(lost)}."] if lost else []
    return " ".join(parts + ([f"Different: {'; '.join(off)}."] if off else []))


_HEADS = {"linear": (ORANGE, "s"), "neural": (BLUE, "o")}
_ANSWERING = {ANSWERING: (BLUE, "o"), METADATA: (ORANGE, "s")}
_LOOKS = _HEADS | _ANSWERING
_METRICS = {"macro_f1": "macro-F1", "micro_f1": "micro-F1", "f1": "F1", "mrr": "MRR"}


@styled
def draw_scores(rows: Iterable[Record]) -> Picture:
    """Return every published score with its interval, its best floor and its ceiling.

    Parameters
    ----------
    rows : iterable of Record
        Of the published predictions.
    """
    rows = Rows(rows)
    found = [(task, _published_heads(rows, task)) for task in PRIMARY]
    found = [(task, heads) for task, heads in found if heads]
    title = _scores_title(rows, [row for _, heads in found for row in heads])
    canvas = new_figure(1.5 + 0.46 * max(len(found), 3))
    set_title(
        canvas, title, "Primary metric of each task, 95 % intervals where they can be trusted."
    )
    ax = canvas.subplots()
    if not found:
        empty_panel(ax, "no published score could be recomputed")
        return Picture(canvas, title, f"{title}. There is nothing to draw: the record is absent.")
    for place, (_, heads) in enumerate(found):
        _task_scores(ax, place, heads)
    labels = [f"{readable(task)}\n{_METRICS[PRIMARY[task]]}" for task, _ in found]
    ax.set(yticks=range(len(found)), yticklabels=labels, xlim=(-0.02, 1.03), xlabel="score")
    ax.set_ylim(len(found) - 0.5, -0.6)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    _scores_legend(ax)
    said = [f"{readable(row.task)}, {row.head}: {row.value:.3f}, floor {_or_none(row.floor)}"
            for _, heads in found for row in heads]  # fmt: skip
    return Picture(canvas, title, f"{title}. {'; '.join(said)}.")


def _or_none(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _published_heads(rows: Rows, task: str) -> list[Record]:
    found = [rows.scored(contract="published", task=task, head=head, metric=PRIMARY[task])
             for head in _HEADS]  # fmt: skip
    return [row for row in found if row is not None]


def _scores_title(rows: Rows, heads: Sequence[Record]) -> str:
    if not heads:
        return "No published score could be recomputed"
    judged = [(row, _against_floor(rows, row)) for row in heads if row.floor is not None]
    above = [pair for pair in judged if pair[0].value > pair[0].floor]
    claimed = [found for _, found in above if found is not None and (found.ci_low or -1) > 0]
    return (
        f"{len(above)} of {counted(len(judged), 'published score')} lie above their best floor, "
        f"{len(claimed) or 'none'} of them with a gain whose interval excludes 0"
    )


def _against_floor(rows: Rows, row: Record) -> Record | None:
    return rows.scored(
        contract="published",
        task=row.task,
        head=row.head,
        metric=row.metric,
        against=row.floor_name,
    )


def _task_scores(ax: Axes, place: int, heads: Sequence[Record]) -> None:
    for shift, row in zip((-0.16, 0.16), heads, strict=False):
        colour, marker = _LOOKS[row.head]
        at = place + shift
        if row.ci_low is not None:
            ax.plot([row.ci_low, row.ci_high], [at, at], color=colour, linewidth=2.2)
        ax.scatter(row.value, at, color=colour, marker=marker, s=30, zorder=3, linewidth=0)
    span = [place - 0.34, place + 0.34]
    floors = [row.floor for row in heads if row.floor is not None]
    ceilings = [row.ceiling for row in heads if row.ceiling is not None and row.ceiling < 1]
    if floors:
        ax.plot([max(floors)] * 2, span, color=BLACK, linewidth=1.8)
    if ceilings:
        ax.plot([ceilings[0]] * 2, span, color=RED, linewidth=1.4, linestyle=(0, (1.5, 1.2)))


def _keys(looks: Mapping[str, tuple[str, str]]) -> list[Line2D]:
    look = {"linewidth": 2.2, "markersize": 5}
    return [
        Line2D([], [], color=colour, marker=marker, label=readable(head), **look)
        for head, (colour, marker) in looks.items()
    ]


def _scores_legend(ax: Axes) -> None:
    handles = _keys(_HEADS)
    handles += [
        Line2D([], [], color=BLACK, linewidth=1.8, label="best trivial floor"),
        Line2D([], [], color=RED, linewidth=1.4, linestyle=(0, (1.5, 1.2)),
               label="ceiling: classes never trained"),
    ]  # fmt: skip
    ax.legend(handles=handles, ncols=4, loc="lower left", bbox_to_anchor=(-0.02, 1.0))


@styled
def draw_differences(rows: Iterable[Record]) -> Picture:
    """Return the published neural scores minus the linear ones, paired, with intervals.

    Parameters
    ----------
    rows : iterable of Record
        Of the published predictions.
    """
    rows = Rows(rows)
    found = [
        row
        for task, metric in PRIMARY.items()
        if (row := rows.scored(task=task, head="neural", metric=metric, against="linear"))
    ]
    title = _differences_title(found)
    canvas = new_figure(1.35 + 0.34 * max(len(found), 3))
    set_title(canvas, title, "Paired on the same test samples; hollow: no interval can be trusted.")
    ax = canvas.subplots()
    if not found:
        empty_panel(ax, "no pair of published predictions")
        return Picture(canvas, title, f"{title}. There is nothing to draw: predictions are absent.")
    ax.axvline(0, color=BLACK, linewidth=0.9)
    for place, row in enumerate(found):
        draw_difference(ax, place, row, BLUE)
    labels = [f"{readable(row.task)}, {_METRICS[row.metric]}" for row in found]
    ax.set(yticks=range(len(found)), yticklabels=labels, xlabel="neural minus linear")
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    said = "; ".join(f"{readable(row.task)} {row.value:+.3f}" for row in found)
    return Picture(canvas, title, f"{title}. Differences: {said}.")


def _differences_title(found: Sequence[Record]) -> str:
    if not found:
        return "No difference between published heads can be computed"
    judged = [row for row in found if row.ci_low is not None]
    up, down = sum(row.ci_low > 0 for row in judged), sum(row.ci_high < 0 for row in judged)
    lost = f"loses in {down}" if down else "loses in none"
    return f"Neural beats linear in {up or 'none'} of {counted(len(found), 'task')} and {lost}"


def draw_difference(ax: Axes, place: float, row: Record, colour: str, scale: float = 1.0) -> None:
    """Draw a difference with its interval on a line of its own; hollow where there is none."""
    known = row.ci_low is not None
    if known:
        ends = [scale * row.ci_low, scale * row.ci_high]
        ax.plot(ends, [place, place], color=colour, linewidth=2.2)
    face = colour if known else "white"
    look = {"facecolor": face, "edgecolor": colour, "s": 32, "zorder": 3, "linewidth": 1.2}
    ax.scatter(scale * row.value, place, **look)


_FORECASTS = {
    ZERO: BLACK,
    "constant_velocity": MUTED,
    "damped_velocity": RED,
    "ridge_shared": GREEN,
    "ridge_joint": SKY,
    "temporal": PURPLE,
    "forecast": BLUE,
}
_MM = 1000


@styled
def draw_hand_forecasts(rows: Iterable[Record]) -> Picture:
    """Return errors of forecasts of the real hands, and their differences from zero velocity.

    Parameters
    ----------
    rows : iterable of Record
        Of the published predictions and of the stitched trajectory.
    """
    rows = Rows(rows)
    title = _forecast_title(rows)
    canvas = new_figure(5.3)
    set_title(
        canvas, title, "Joint position errors in mm; camera axes minus world root, as published."
    )
    top, bottom = canvas.subfigures(2, 1, height_ratios=(1.15, 1))
    published, ahead = top.subplots(1, 2, width_ratios=(1, 1.25))
    _published_windows(published, rows)
    _by_frame(ahead, rows)
    _gains(bottom, rows)
    return Picture(canvas, title, f"{title}. {_forecast_alt(rows)}")


def _forecast_title(rows: Rows) -> str:
    found = _from_zero(rows, ROLLING) or _from_zero(rows, None)
    if not found:
        return "No real trajectory to forecast"
    won = sorted(winners(found), key=lambda row: row.value)
    if not won:
        return "No forecast of the real hands is significantly better than zero velocity"
    names = " and ".join(readable(row.head) for row in won)
    beats = f"Only {names} beats" if len(won) == 1 else f"{names.capitalize()} beat"
    walked = "With a rolling origin, " if won[0].variant == ROLLING else ""
    said = f"{beats} zero velocity: {-_MM * won[0].value:.1f} mm less error"
    return walked + (said[0].lower() + said[1:] if walked else said)


def _from_zero(rows: Rows, variant: str | None) -> list[Record]:
    found = rows.all(task=STITCHED, metric="mpjpe", against=ZERO, variant=variant)
    return [row for row in found if row.value is not None]


def _published_windows(ax: Axes, rows: Rows) -> None:
    found = [
        rows.scored(task=HANDS, head=ZERO, variant=FLOOR, metric="mpjpe"),
        rows.scored(task=HANDS, head="constant_velocity", variant=FLOOR, metric="mpjpe"),
        rows.scored(task=HANDS, head="neural", variant=PRESENT_KNOWN, metric="mpjpe"),
    ]
    found = [row for row in found if row is not None]
    ax.set_title("published test windows")
    if not found:
        empty_panel(ax, "no published hands")
        return
    for place, row in enumerate(found):
        colour = _FORECASTS.get(row.head, BLUE)
        if row.ci_low is not None:
            ends = [_MM * row.ci_low, _MM * row.ci_high]
            ax.plot(ends, [place, place], color=colour, linewidth=2.2)
        ax.scatter(_MM * row.value, place, color=colour, s=32, zorder=3, linewidth=0)
    labels = [readable(row.head) if row.head != "neural" else "published\nneural" for row in found]
    ax.set(yticks=range(len(found)), yticklabels=[label.replace(" ", "\n") for label in labels])
    ax.set(xlim=(0, None), xlabel="error (mm)", ylim=(len(found) - 0.5, -0.5))
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)


def _by_frame(ax: Axes, rows: Rows) -> None:
    ax.set_title("stitched trajectory, one split")
    ends = []
    for name, colour in _FORECASTS.items():
        found = [
            row
            for row in rows
            if (row.task, row.head, row.against) == (STITCHED, name, None)
            and (row.variant or "").startswith("frame_")
            and row.value is not None
        ]
        if found:
            errors = [_MM * row.value for row in sorted(found, key=lambda row: row.variant)]
            style = "--" if name in (ZERO, "constant_velocity") else "-"
            look = {"color": colour, "linewidth": 1.5, "label": readable(name)}
            ax.plot(np.arange(1, len(errors) + 1), errors, style, **look)
            ends.append(errors[-1])
    if not ends:
        empty_panel(ax, "no trajectory")
        return
    order = np.argsort([-error for error in ends])  # as the lines end, from the top
    lines = ax.get_lines()
    ax.legend(handles=[lines[place] for place in order], loc="upper left", handlelength=1.6)
    ax.set(xlabel="frames ahead", ylabel="error (mm)", ylim=(0, None))


def _gains(canvas: Canvas, rows: Rows) -> None:
    panels = canvas.subplots(1, 2, sharey=True, sharex=True)
    names = [name for name in _FORECASTS if name not in (ZERO, "constant_velocity")]
    texts = {ROLLING: "rolling origin", None: "one chronological split"}
    for ax, (variant, text) in zip(panels, texts.items(), strict=True):
        found = {row.head: row for row in _from_zero(rows, variant)}
        n_test = next((f", {row.n_test:,} samples" for row in found.values()), "")
        ax.set_title(text + n_test)
        ax.axvline(0, color=BLACK, linewidth=0.9)
        for place, name in enumerate(names):
            if name in found:
                draw_difference(ax, place, found[name], _FORECASTS[name], _MM)
            else:
                look = {"ha": "right", "va": "center", "fontsize": 8, "color": MUTED}
                ax.text(0.98, place, "not evaluated", transform=ax.get_yaxis_transform(), **look)
        ax.set_xlabel("error minus that of zero velocity (mm)", color=INK)
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        ax.tick_params(axis="y", length=0)
    panels[0].set(yticks=range(len(names)), yticklabels=[readable(name) for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)


def _forecast_alt(rows: Rows) -> str:
    parts = []
    for variant, text in ((ROLLING, "With a rolling origin"), (None, "On one split")):
        said = [
            f"{readable(row.head)} {_MM * row.value:+.1f} mm" for row in _from_zero(rows, variant)
        ]
        if said:
            parts.append(f"{text}, compared with zero velocity: {', '.join(said)}.")
    return " ".join(parts) or "There is nothing to draw: the published hands are absent."


_FEW = ("contact", "transition", "objects")
"""Fields of few labels, or of sets: their scores have a range of their own."""


@styled
def draw_answers(rows: Iterable[Record], target: float) -> Picture:
    """Return validity and scores of the real answers on held-out episodes, beside floors.

    Parameters
    ----------
    rows : iterable of Record
        Of the published answers.
    target : float
        Share of valid answers that the note aims at.
    """
    rows = Rows(rows)
    found, title = answered_fields(rows), _answers_title(rows)
    canvas = new_figure(4.9 if found else 2.4)
    note = (
        "Published answers about windows of held-out episodes, 95 % intervals over episodes. "
        "Black: best floor. Grey cross: the model's own answers shuffled within each episode."
    )
    set_title(canvas, title, note)
    if not found:
        empty_panel(canvas.subplots(), "no published answers")
        return Picture(canvas, title, f"{title}. There is nothing to draw: the record is absent.")
    rules = {"published rule": "lenient_validity", "strict rule": "strict_validity"}
    valid = {text: rows.one(head=ANSWERING, metric=name) for text, name in rules.items()}
    groups = (
        {text: row for text, row in valid.items() if row is not None},
        {text: row for text, row in found.items() if text not in _FEW},
        {text: row for text, row in found.items() if text in _FEW},
    )
    panels = canvas.subplots(3, 1, height_ratios=[max(len(some), 2) for some in groups])
    for ax, some in zip(panels, groups, strict=True):
        drawn = [one for place, row in enumerate(some.values())
                 for one in _answered(ax, place, row, rows)]  # fmt: skip
        # A score of 0 may be anything up to a bound that says nothing: it sets no limit.
        reach = max((one.ci_high or one.value for one in drawn if one.value), default=1.0)
        names = [f"{text}, {_METRICS[row.metric]}" if row.metric in _METRICS else text
                 for text, row in some.items()]  # fmt: skip
        ax.set(yticks=range(len(names)), yticklabels=names, xlim=(0, 1.04 * reach), xlabel="score")
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        ax.tick_params(axis="y", length=0)
    panels[0].axvline(target, color=RED, linewidth=1.4, linestyle=(0, (1.5, 1.2)))
    panels[0].set(xlim=(0, 1.02), xlabel="share of valid answers; red: the note's target")
    canvas.legend(handles=_keys(_ANSWERING), loc="outside lower right", ncols=2)
    said = [f"{text}: {score(row)}, floor {floor(row)}"
            for some in groups for text, row in some.items()]  # fmt: skip
    return Picture(canvas, title, f"{title}. {'; '.join(said)}.")


def _answers_title(rows: Rows) -> str:
    found = answered_fields(rows).values()
    if not found:
        return "No published answers on held-out episodes"
    gaps = [rows.one(task=row.task, head=row.head, metric=row.metric, against=row.floor_name)
            for row in found]  # fmt: skip
    sides = [verdict(gap)[0] for gap in gaps]
    better, worse = sides.count(Verdict.BETTER), sides.count(Verdict.WORSE)
    return (
        f"Real answers are significantly better than the best floor in {better or 'none'} of "
        f"{counted(len(sides), 'field')}, and worse in {worse or 'none'}"
    )


def _answered(ax: Axes, place: int, row: Record, rows: Rows) -> list[Record]:
    """Draw a field: the model above the baseline, their floor, the shuffled answers."""
    of = {"task": row.task, "metric": row.metric}
    heads = [one for one in (row, rows.one(**of, head=METADATA)) if one and one.value is not None]
    _task_scores(ax, place, heads)
    shuffled = rows.scored(**of, head=ANSWERING, against=SHUFFLED)
    if shuffled is not None:
        ax.scatter(row.value - shuffled.value, place - 0.16, marker="x", color=MUTED, s=28)
    return heads
