"""Section 8, the published record: which numbers come out, what scores are worth, real hands."""

from collections.abc import Iterable, Sequence

from matplotlib.lines import Line2D

from xperience.evaluation.agreement import Figure
from xperience.evaluation.records import PRESENT_KNOWN, ROLLING, SHUFFLED, Record
from xperience.report.figures.points import draw_point, key, name_lines, scale_of
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    INK,
    MUTED,
    NARROW_IN,
    ORANGE,
    RED,
    SKY,
    Picture,
    new_figure,
    nothing,
    set_title,
    styled,
)
from xperience.report.record import (
    HANDS,
    PRIMARY,
    agreement_of,
    answered_fields,
    by_verdict,
    from_zero,
)
from xperience.report.tables import (
    Rows,
    Verdict,
    any_tested,
    capital,
    difference,
    floor,
    listed,
    number,
    of_tested,
    readable,
    score,
    verdict,
    verdicts,
)

_STATUS = {
    "exact": (BLUE, "o"),
    "within tolerance": (SKY, "s"),
    "derived": (GREEN, "^"),
    "differs": (RED, "X"),
    "not recomputable": ("#A9AEB3", "D"),
    "skipped": ("#D5D8DB", "D"),
}
LINE_IN = 0.3


@styled
def draw_agreement(figures: Sequence[Figure]) -> Picture:
    """Return what became of every published number, by the place where it stands."""
    title = _agreement_title(figures)
    sections = list(dict.fromkeys(one.section for one in figures))
    canvas = new_figure(1.25 + LINE_IN * len(sections), NARROW_IN)
    others = [*agreement_of(figures).values()][1:]
    small = "A mark for each published number, by the place where it stands."
    set_title(canvas, title, " ".join([small, *(f"{text}." for text in others)]))
    ax = canvas.subplots()
    order = list(_STATUS)
    for place, section in enumerate(sections):
        found = sorted((one.status for one in figures if one.section == section), key=order.index)
        for column, status in enumerate(found):
            colour, marker = _STATUS[status]
            ax.plot(column, place, color=colour, marker=marker, markersize=7)
    name_lines(ax, sections)
    ax.set(xticks=[])
    ax.spines[:].set_visible(False)
    present = {one.status for one in figures}
    handles = [
        Line2D([], [], linestyle="", color=colour, marker=marker, label=name)
        for name, (colour, marker) in _STATUS.items()
        if name in present
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=3)
    said = [f"{name}: {'; '.join(one.what for one in figures if one.status == name)}."
            for name in order if name in present]  # fmt: skip
    return Picture(canvas, title, f"{title}. {' '.join(map(capital, said))}")


def _agreement_title(figures: Sequence[Figure]) -> str:
    if all(one.status == "skipped" for one in figures):
        return "No published record, nothing recomputed"
    return next(iter(agreement_of(figures).values()))


_HEADS = {"linear": (ORANGE, "s"), "neural": (BLUE, "o")}
_CEILING = {"color": RED, "linewidth": 1.6, "linestyle": (0, (1.5, 1.2))}
_FLOOR = {"color": BLACK, "linewidth": 2.2, "solid_capstyle": "butt"}
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
    found = {task: _published_heads(rows, task) for task in (*PRIMARY, HANDS)}
    found = {task: heads for task, heads in found.items() if heads}
    title = _scores_title(rows, [row for heads in found.values() for row in heads])
    if not found:
        return nothing(title, "the record is absent")
    canvas = new_figure(2.2 + 0.42 * len(found), NARROW_IN)
    note = (
        "Primary metrics with 95 % intervals. Filled: significantly better than the best trivial "
        "baseline (black). Red: the most that trained classes allow."
    )
    set_title(canvas, title, note)
    hands = found.pop(HANDS, None)
    panels = [found] + ([{HANDS: hands}] if hands else [])
    ratios = [max(len(some), 1.3) for some in panels]
    axes = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for ax, some in zip(axes, panels, strict=True):
        for place, heads in enumerate(some.values()):
            for shift, row in zip((-0.16, 0.16), heads, strict=False):
                better = verdict(_against_floor(rows, row))[0] is Verdict.BETTER
                draw_point(ax, row, place + shift, _HEADS[row.head], filled=better)
            row, span = heads[-1], [place - 0.34, place + 0.34]
            if row.floor is not None:
                ax.plot([scale_of(row) * row.floor] * 2, span, **_FLOOR)
            else:
                where = {"ha": "right", "va": "center", "transform": ax.get_yaxis_transform()}
                ax.text(0.99, place, "no baseline can be computed", color=MUTED, **where)
            if row.ceiling is not None and row.ceiling < 1:
                ax.plot([row.ceiling] * 2, span, **_CEILING)
        labels = [f"{readable(task)}\n{_METRICS.get(PRIMARY.get(task), 'mean joint error')}"
                  for task in some]  # fmt: skip
        name_lines(ax, labels)
    axes[0].set(xlim=(-0.03, 1.03), xlabel="score, more is better")
    if hands:
        axes[1].set(xlim=(0, None), xlabel="mm, less is better")
    handles = [key(head, look) for head, look in _HEADS.items()]
    handles += [Line2D([], [], label="best trivial baseline", **_FLOOR),
                Line2D([], [], label="ceiling", **_CEILING)]  # fmt: skip
    canvas.legend(handles=handles, loc="outside lower center", ncols=4)
    said = [f"{readable(row.task)}, {row.head}: {score(row)}, floor {floor(row)}"
            for heads in (*found.values(), hands or []) for row in heads]  # fmt: skip
    return Picture(canvas, title, f"{title}. {'; '.join(said)}.")


def _published_heads(rows: Rows, task: str) -> list[Record]:
    own = {
        "metric": PRIMARY.get(task, "mpjpe"),
        "variant": PRESENT_KNOWN if task == HANDS else None,
    }
    found = [rows.scored(contract="published", task=task, head=head, **own) for head in _HEADS]
    return [row for row in found if row is not None]


def _scores_title(rows: Rows, heads: Sequence[Record]) -> str:
    if not heads:
        return "No published score could be recomputed"
    counts = verdicts(_against_floor(rows, row) for row in heads)
    if not any_tested(counts):
        return "Whether published scores are better than trivial baselines is not tested"
    better, worse = counts[Verdict.BETTER], counts[Verdict.WORSE]
    return (
        f"Of {of_tested(counts, 'score')}, {better or 'none'} "
        f"{'is' if better < 2 else 'are'} significantly better than the best trivial baseline, "
        f"{worse or 'none'} worse"
    )


def _against_floor(rows: Rows, row: Record) -> Record | None:
    of = {name: getattr(row, name) for name in ("contract", "task", "head", "metric", "variant")}
    return rows.scored(**of, against=row.floor_name) if row.floor_name else None


_LOOKS = {ROLLING: (BLUE, "o"), None: (ORANGE, "s")}
_SPLITS = {ROLLING: "rolling origin", None: "one chronological split"}


@styled
def draw_hand_forecasts(rows: Iterable[Record]) -> Picture:
    """Return how much less forecasts of the real hands err than zero velocity does.

    Parameters
    ----------
    rows : iterable of Record
        Of the stitched trajectory.
    """
    rows, title = Rows(rows), _forecast_title(Rows(rows))
    found = {variant: from_zero(rows, variant) for variant in _SPLITS}
    names = list(dict.fromkeys(row.head for each in found.values() for row in each))
    if not names:
        return nothing(title, "the published hands are absent")
    canvas = new_figure(1.9 + 0.36 * len(names), NARROW_IN)
    note = "Mean joint error, paired, with 95 % intervals. Filled: a significant difference."
    set_title(canvas, title, note)
    ax, handles, alt = canvas.subplots(), [], []
    for shift, (variant, each) in zip((-0.15, 0.15), found.items(), strict=True):
        for row in each:
            if row.value is None:
                continue
            sure = verdict(row)[0] in (Verdict.BETTER, Verdict.WORSE)
            draw_point(ax, row, names.index(row.head) + shift, _LOOKS[variant], filled=sure)
        if each:
            n_test = max(row.n_test or 0 for row in each)
            handles.append(key(f"{_SPLITS[variant]}, {n_test:,} samples", _LOOKS[variant]))
        alt += [f"{readable(row.head)}, {_SPLITS[variant]}: {difference(row)}" for row in each]
    ax.axvline(0, color=INK, linewidth=0.9)
    name_lines(ax, list(map(readable, names)))
    ax.set_xlabel("error minus that of zero velocity (mm), less is better")
    canvas.legend(handles=handles, loc="outside lower center", ncols=2)
    return Picture(canvas, title, f"{title}. {'; '.join(alt)}.")


def _forecast_title(rows: Rows) -> str:
    found = from_zero(rows, ROLLING) or from_zero(rows, None)
    if not found:
        return "No real trajectory to forecast"
    told = by_verdict(found)
    won = sorted(told[Verdict.BETTER], key=lambda row: row.value)
    counts = {one: len(each) for one, each in told.items()}
    if not any_tested(counts):
        return "Whether a forecast of the real hands is better than zero velocity is not tested"
    if not won:
        of = of_tested(counts, "forecast")
        return f"Significantly better than zero velocity on the real hands: none of {of}"
    names = [f"{readable(row.head)} by {number(-row.value, row.unit)}" for row in won]
    return f"Significantly better than zero velocity: {listed(names)}"


_RIVALS = {"the best trivial baseline": (BLUE, "o"), "its own answers, shuffled": (ORANGE, "s")}


@styled
def draw_answers(rows: Iterable[Record]) -> Picture:
    """Return how much better real answers on held-out episodes are than knowing nothing.

    Parameters
    ----------
    rows : iterable of Record
        Of the published answers.
    """
    rows = Rows(rows)
    found, title = answered_fields(rows), _answers_title(rows)
    if not found:
        return nothing(title, "the record is absent")
    canvas = new_figure(2.0 + 0.36 * len(found), NARROW_IN)
    note = (
        "Paired differences of the published answers, 95 % intervals over episodes. Filled: "
        "significant. Shuffled: the same answers, exchanged within each episode."
    )
    set_title(canvas, title, note)
    ax = canvas.subplots()
    for place, row in enumerate(found.values()):
        gaps = (_against(rows, row, rival) for rival in (row.floor_name, SHUFFLED))
        for shift, look, gap in zip((-0.15, 0.15), _RIVALS.values(), gaps, strict=True):
            if gap is not None and gap.value is not None:
                sure = verdict(gap)[0] in (Verdict.BETTER, Verdict.WORSE)
                draw_point(ax, gap, place + shift, look, filled=sure)
    ax.axvline(0, color=INK, linewidth=0.9)
    name_lines(ax, [f"{text}, {readable(row.metric)}" for text, row in found.items()])
    ax.set_xlabel("model minus rival, more is better")
    handles = [key(f"minus {name}", look) for name, look in _RIVALS.items()]
    canvas.legend(handles=handles, loc="outside lower center", ncols=2)
    said = [f"{text}: {score(row)}, floor {floor(row)}" for text, row in found.items()]
    return Picture(canvas, title, f"{title}. {'; '.join(said)}.")


def _against(rows: Rows, row: Record, rival: str | None) -> Record | None:
    return rows.one(task=row.task, head=row.head, metric=row.metric, against=rival)


def _answers_title(rows: Rows) -> str:
    found = answered_fields(rows).values()
    if not found:
        return "No published answers on held-out episodes"
    counts = verdicts(_against(rows, row, row.floor_name) for row in found)
    if not any_tested(counts):
        return "Whether real answers are better than trivial baselines is not tested"
    better, worse = counts[Verdict.BETTER], counts[Verdict.WORSE]
    return (
        f"Real answers are significantly better than the best trivial baseline in "
        f"{better or 'none'} of {of_tested(counts, 'field')}, and worse in {worse or 'none'}"
    )
