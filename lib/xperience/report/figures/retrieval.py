"""Retrieval and reconstruction: ranks, tolerance in time, actions, example queries, R² by block.

Scores come from a section's rows; what rows don't hold (matrices, centres) from rankings.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from xperience.errors import EpisodeError
from xperience.evaluation.metrics import Ranks, cosine
from xperience.evaluation.reconstruction import RAW, SCALED, STATS, UNITS, WHOLE
from xperience.evaluation.records import ALPHA, Record
from xperience.evaluation.retrieval import (
    AUC_CHANCE,
    BETWEEN,
    KINDS,
    WITHIN,
    Ranking,
    curve,
    queries_by_kind,
    shift_p,
    standard_rows,
)
from xperience.features.blocks import BLOCKS_BY_NAME
from xperience.recording.recording import Recording
from xperience.report.figures import style
from xperience.report.figures.style import FAINT, INK, MUTED, PAPER, Picture, empty_panel, styled
from xperience.report.moment import frame_at
from xperience.report.quantities import percent, place_at
from xperience.report.tables import Rows, Verdict, capital, described, minus, readable, verdict

Rankings = Mapping[tuple[str, str], Ranking]
"""Rankings by contract and task."""
Shifts = Mapping[tuple[str, str], Ranks | None]
"""Ranks of pairings shifted in time, likewise."""
TASKS = ("cross_modal_retrieval", "caption_grounding")
REBUILT = "modality_reconstruction"
COLOURS = {"published": style.ORANGE, "corrected": style.BLUE}
DASHES = {"published": (0, (5, 1.5)), "corrected": "-"}
CHANCE = {"color": MUTED, "linestyle": (0, (2, 2)), "linewidth": 1.1}
PERCENT = mpl.ticker.PercentFormatter(1, decimals=0, symbol=" %")
_LIMIT, _N_TICKS, _MAX_NAMES = 2.5, 4, 24


def _ranked(rows: Rows) -> dict[str, list[str]]:
    """Return the contracts under which each retrieval was ranked; none that never was."""
    found = {task: [row.contract for row in rows.all(task=task, metric="candidates")]
             for task in TASKS}  # fmt: skip
    return {task: contracts for task, contracts in found.items() if contracts}


def _lost(rows: Iterable[Record], *tasks: str) -> str:
    """Return why tasks have no prediction, one reason per contract unless they are the same."""
    found = [row.reason for row in rows if row.task in tasks and row.status != "ok"]
    return "; ".join(dict.fromkeys(filter(None, found))) or "not asked"


def _titled(figure: Figure, rows: Rows, words: Callable[[str, str], str], subtitle: str) -> str:
    """Write and return a title of what is said of each retrieval, under `corrected` if it can."""
    told, quoted = [], []
    for task, contracts in _ranked(rows).items():
        quoted.append("corrected" if "corrected" in contracts else contracts[0])
        told.append(words(task, quoted[-1]))
    title = capital("; ".join(told)) or "No retrieval has a prediction"
    under = f" Title: {' and '.join(dict.fromkeys(quoted))}." if quoted else ""
    style.set_title(figure, title, subtitle + under)
    return title


def _panels(
    figure: Figure, rows: Rows, n_rows: int = 1
) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Yield each retrieval with its contracts and column of axes; without any, say why."""
    ranked = _ranked(rows)
    shape = {"nrows": n_rows, "ncols": max(1, len(ranked)), "squeeze": False}
    grid = figure.subplots(sharex="col", sharey="row", **shape)
    for ax in grid.flat if not ranked else ():
        empty_panel(ax, _lost(rows, *TASKS), width=80)
    for axes, (task, contracts) in zip(grid.T, ranked.items(), strict=False):
        axes[0].set_title(capital(readable(task)), fontweight="bold")
        yield task, contracts, axes


def _picture(figure: Figure, title: str, kind: str, rows: Rows, shown: Iterable[Record]) -> Picture:
    """Return a figure with its description: the rows that it shows, and what is missing."""
    lost = [task for task in TASKS if task not in _ranked(rows)]
    missing = [f"{capital(readable(task))} is missing: {_lost(rows, task)}." for task in lost]
    return Picture(figure, title, " ".join([kind, f"{title}.", described(shown), *missing]))


# --- ranks ------------------------------------------------------------------------------------

_AGAINST_CHANCE = {
    Verdict.BETTER: "is significantly better than chance",
    Verdict.WORSE: "is significantly worse than chance",
    Verdict.NO_DIFFERENCE: "does not differ significantly from chance",
    Verdict.NOT_TESTED: "has too few windows for a test against chance",
}


@styled
def draw_ranks(rankings: Rankings, shifts: Shifts, rows: Iterable[Record]) -> Picture:
    """Return how often the true window is among the first k candidates, one panel per task.

    Curves of the contracts, chance as a dashed line, 95 % of circular shifts as bands, and the best
    that equal true vectors allow as a dotted line.
    """
    rows, figure = Rows(rows), style.new_figure(3.75)

    def words(task: str, contract: str) -> str:
        ranking = rankings[contract, task]
        found = _AGAINST_CHANCE[above_chance(ranking, shifts[contract, task], rows)]
        place = f"median rank {np.median(ranking.ranks.expected):g} of {len(ranking)}"
        return f"{readable(task)} {found} ({place})"

    small = "Bands: 95 % of circular shifts in time, which keep the runs that time makes."
    title = _titled(figure, rows, words, small)
    for task, contracts, (ax,) in _panels(figure, rows):
        for name in contracts:
            ranking, shifted = rankings[name, task], shifts[name, task]
            depths = np.unique(np.geomspace(1, len(ranking), 60).round().astype(int))
            if shifted is not None:
                band = np.quantile(curve(shifted, depths), [0.025, 0.975], axis=0)
                ax.fill_between(depths, *band, color=COLOURS[name], alpha=0.16, linewidth=0)
            label = f"{name}: mean reciprocal rank {ranking.mrr:.3f}"
            look = {"color": COLOURS[name], "linestyle": DASHES[name], "linewidth": 1.9}
            ax.plot(depths, curve(ranking.ranks, depths), label=label, **look)
        n, n_distinct = len(ranking), ranking.n_distinct
        ax.plot(depths, depths / n, label="chance", **CHANCE)
        if n_distinct < n:
            label = f"limit: {n_distinct} distinct targets of {n}"
            look = {"color": style.BLACK, "linestyle": ":", "linewidth": 1.1}
            ax.plot(depths, ranking.curve_ceiling(depths), label=label, **look)
        ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if k <= n]
        ax.set(xscale="log", xlim=(1, n), ylim=(0, 1.5), xlabel="first k candidates")
        ax.set_xticks(ticks, [str(k) for k in ticks])
        ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        ax.set_yticks(np.linspace(0, 1, 6))
        ax.yaxis.set_major_formatter(PERCENT)
        ax.grid(color=FAINT, linewidth=0.6)
        ax.legend(loc="upper left", handlelength=2.2)
    figure.axes[0].set_ylabel("queries whose window is found")
    kind = "Rising curves over the number of candidates looked at."
    shown = [row for row in rows if row.metric in {"mrr", "top10_accuracy"} and not row.variant]
    return _picture(figure, title, kind, rows, (row for row in shown if not row.against))


def above_chance(ranking: Ranking, shifts: Ranks | None, rows: Rows) -> Verdict:
    """Return whether a retrieval's mean reciprocal rank is better than chance.

    At most one in twenty circular shifts may score as well. Where there are too few shifts for
    that, its paired difference from the best baseline decides.
    """
    if shifts is not None and 1 / (1 + len(shifts)) <= ALPHA:
        return Verdict.BETTER if shift_p(ranking, shifts) <= ALPHA else Verdict.NO_DIFFERENCE
    of = {"task": ranking.task, "contract": ranking.contract, "metric": "mrr"}
    score = rows.one(**of)
    return verdict(rows.one(**of, against=score and score.floor_name))[0]


# --- tolerance in time ------------------------------------------------------------------------


@styled
def draw_tolerance(rankings: Rankings, rows: Iterable[Record], fps: float) -> Picture:
    """Return hits and ranks if windows near the true one count too, one column per task."""
    rows, figure = Rows(rows), style.new_figure(4.6)

    def words(task: str, contract: str) -> str:
        ranking = rankings[contract, task]
        frames = np.median(ranking.first_distance_frames), np.median(ranking.distance_frames)
        away, random = (f"{one / fps:.1f} s" for one in frames)
        return f"{readable(task)} answers {away} from the truth in the median, random {random}"

    small = "Neighbouring windows share frames. Below: where the first such window ranks."
    title = _titled(figure, rows, words, small)
    metrics, near = ("top1_accuracy", "median_rank"), {}
    for row in rows:
        if row.metric in metrics and (row.variant or "").startswith("within "):
            near.setdefault((row.task, row.metric, row.contract), []).append(row)
    for task, contracts, axes in _panels(figure, rows, 2):
        for ax, metric in zip(axes, metrics, strict=True):
            for name, marker in zip(contracts, "os", strict=False):
                look = {"color": COLOURS[name], "linestyle": DASHES[name], "label": name}
                values = [row.value for row in near[task, metric, name]]
                ax.plot(values, marker=marker, markersize=4, linewidth=1.6, **look)
            ax.plot([row.floor for row in near[task, metric, name]], label="chance", **CHANCE)
            ax.grid(color=FAINT, linewidth=0.6)
        frames = [int(row.variant.split()[1]) for row in near[task, metric, name]]
        axes[1].set_xticks(range(len(frames)), [f"{one}\n{one / fps:.3g} s" for one in frames])
        axes[1].set(yscale="log", xlabel="tolerance: frames between centres, seconds")
        axes[1].yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axes[1].yaxis.set_minor_locator(mpl.ticker.NullLocator())
        axes[1].yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
        axes[0].yaxis.set_major_formatter(PERCENT)
        axes[0].legend(loc="upper left")
    figure.axes[0].set_ylabel("first answers that near")
    figure.axes[-1 if len(figure.axes) < 4 else 2].set_ylabel("median rank of the\nfirst that near")
    shown = [row for row in rows if row.variant in {"within 0 frames", "within 40 frames"}]
    return _picture(figure, title, "Curves over a tolerance in time.", rows, shown)


# --- within and between actions ---------------------------------------------------------------


@styled
def draw_similarity(rankings: Rankings, rows: Iterable[Record], fps: float) -> Picture:
    """Return similarity matrices of queries (rows) and candidates (columns), both over time.

    A column per contract; the last is the true targets with themselves, what a perfect prediction
    would look like. Lines are changes of action.
    """
    rows, figure = Rows(rows), style.new_figure(5.3)

    def words(task: str, contract: str) -> str:
        of = {"task": task, "contract": contract, "metric": "similarity"}
        own, action = (rows.one(**of, variant=kind) for kind in ("own window", "same action"))
        rest = f" (its action by {action.value:.1f})" if action.value is not None else ""
        return f"in {readable(task)} the own window stands out by {own.value:.1f} SD{rest}"

    small = "Rows are queries. Lines: the action changes. Last: perfect answers."
    title = _titled(figure, rows, words, small)
    ranked = _ranked(rows)
    n_columns = 1 + max(map(len, ranked.values()), default=0)
    grid = figure.subplots(max(1, len(ranked)), n_columns, squeeze=False)
    for axes, (task, contracts) in zip(grid, ranked.items(), strict=False):
        for ax, name in zip(axes, contracts, strict=False):
            ax.set_title(f"{readable(task)}, {name}")
            ranking = rankings[name, task]
            image = _draw_matrix(ax, ranking.similarity, ranking, fps)
        axes[-1].set_title("true targets")
        _draw_matrix(axes[-1], cosine(ranking.targets, ranking.targets), ranking, fps)
    if ranked:
        place = {"location": "bottom", "shrink": 0.5, "aspect": 40, "pad": 0.02}
        bar = figure.colorbar(image, ax=grid, extend="both", **place)
        bar.set_label("cosine, in standard deviations (SD) from the query's mean; times in min:s")
        bar.outline.set_visible(False)
    else:
        empty_panel(grid[0, 0], _lost(rows, *TASKS), width=80)
    shown = [row for row in rows if row.metric == "similarity"]
    kind = "Matrices of similarity over time, queries by candidates."
    return _picture(figure, title, kind, rows, shown)


def _draw_matrix(
    ax: Axes, similarity: np.ndarray, ranking: Ranking, fps: float
) -> mpl.image.AxesImage:
    look = {"cmap": "PuOr_r", "vmin": -_LIMIT, "vmax": _LIMIT, "interpolation": "nearest"}
    image = ax.imshow(standard_rows(similarity), **look)
    n = len(ranking)
    for place in range(1, n):
        if ranking.actions[place] != ranking.actions[place - 1]:
            ax.axhline(place - 0.5, color=INK, linewidth=0.5, alpha=0.6)
            ax.axvline(place - 0.5, color=INK, linewidth=0.5, alpha=0.6)
    ticks = np.unique(np.linspace(0, n - 1, _N_TICKS).astype(int))
    names = [f"{int(s // 60)}:{int(s % 60):02d}" for s in ranking.centers[ticks] / fps]
    ax.set(xticks=ticks, xticklabels=names, yticks=ticks, yticklabels=names)
    ax.tick_params(labelsize=7.5, length=2)
    ax.spines[:].set_visible(False)
    return image


@styled
def draw_actions(rows: Iterable[Record]) -> Picture:
    """Return what the true window beats within its action and between actions, by action."""
    rows = Rows(rows)
    shares = [row for row in rows if row.metric in {WITHIN, BETWEEN} and row.value is not None]
    names = list(dict.fromkeys(row.variant for row in shares if row.variant))[:_MAX_NAMES]
    names = [None, *names]  # all actions first
    figure = style.new_figure(2.6 + 0.33 * len(names))
    small = "Candidates that share frames with the true window don't count. Lines: 95 % intervals."
    title = _titled(figure, rows, lambda *of: action_words(rows, *of), small)
    for task, contracts, (ax,) in _panels(figure, rows):
        for row in shares:
            if row.task == task and row.variant in names:
                offset = 0.17 * (2 * contracts.index(row.contract) - len(contracts) + 1)
                _draw_share(ax, names.index(row.variant) + offset, row)
        ax.axvline(AUC_CHANCE, **CHANCE)
        ax.axhline(0.5, color=MUTED, linewidth=0.6)
        ax.set(xlim=(-0.02, 1.02), xlabel="share of those candidates below the true one")
        labels = [
            style.elide((name or "all actions").removeprefix("action: "), 26) for name in names
        ]
        ax.set_yticks(range(len(labels)), labels)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.xaxis.set_major_formatter(PERCENT)
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        ax.tick_params(axis="y", length=0)
    marks = [("within-action retrieval", "o", INK), ("between-action retrieval", "s", PAPER)]
    handles = [
        Line2D([], [], color=INK, linestyle="none", label=name, marker=mark, markerfacecolor=face)
        for name, mark, face in marks
    ]
    handles += [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=1.2)
    kind = "Dots on a line from none to all candidates, one row per action."
    return _picture(figure, title, kind, rows, (row for row in shares if row.variant is None))


def _draw_share(ax: Axes, place: float, row: Record) -> None:
    colour, within = COLOURS[row.contract], row.metric == WITHIN
    if row.ci_low is not None:
        ax.plot([row.ci_low, row.ci_high], [place, place], color=colour, linewidth=1.1, alpha=0.8)
    look = {"marker": "o" if within else "s", "markerfacecolor": colour if within else PAPER}
    ax.plot([row.value], [place], markersize=5, linestyle="none", color=colour, **look)


def action_words(rows: Rows, task: str, contract: str) -> str:
    """Return whether a retrieval is better than chance within its actions, and between them."""
    found = {}
    for name, metric in (("within", WITHIN), ("between", BETWEEN)):
        row = rows.one(task=task, contract=contract, metric=metric)
        found[name] = verdict(row and minus(row, AUC_CHANCE))[0]
    better = [name for name, one in found.items() if one is Verdict.BETTER]
    if better:
        only = "only " if Verdict.NO_DIFFERENCE in found.values() else ""
        where = f"{only}{' and '.join(better)} actions"
        return f"{readable(task)} is significantly better than chance {where}"
    if set(found.values()) == {Verdict.NOT_TESTED}:
        return f"{readable(task)} has too few windows for a test within or between actions"
    return f"{readable(task)} is not significantly better than chance within or between actions"


# --- example queries --------------------------------------------------------------------------

_KIND_LOOKS = {
    "hit": ("hits", style.GREEN),
    "near miss": ("near misses", style.BLUE),
    "failure": ("failures", style.RED),
}
_N_ANSWERS = 3


@styled
def draw_hits(episode: Recording, ranking: Ranking, near_frames: int) -> Picture:
    """Return example queries of a retrieval with their answers: the middle one of each kind.

    Frames of answers are green for the window itself, blue nearby and red elsewhere.
    """
    found = queries_by_kind(ranking, near_frames)
    shares = [
        f"{percent(len(found[kind]) / len(ranking))} {_KIND_LOOKS[kind][0]}" for kind in KINDS
    ]
    title = f"First answers of {readable(ranking.task)}: {', '.join(shares)}"
    small = "The middle query of each kind, by the cosine of its first answer."
    queries = {
        kind: int(alike[len(alike) // 2]) if len(alike) else None for kind, alike in found.items()
    }
    return _draw_queries(episode, ranking, near_frames, queries, (title, small))


@styled
def draw_query(episode: Recording, ranking: Ranking, share: float, near_frames: int) -> Picture:
    """Return one query of a retrieval with its answers: the one that far along, from 0 to 1."""
    query = place_at(share, len(ranking))
    found = queries_by_kind(ranking, near_frames)
    kind = next(name for name, alike in found.items() if query in alike)
    at = _clock(ranking.centers[query] / episode.fps)
    words = f"{capital(readable(ranking.task))}: a {kind} at {at}", "Best answer first."
    return _draw_queries(episode, ranking, near_frames, {kind: query}, words)


def _draw_queries(
    episode: Recording,
    ranking: Ranking,
    near_frames: int,
    queries: Mapping[str, int | None],
    words: tuple[str, str],
) -> Picture:
    figure = style.new_figure(0.75 + 1.36 * len(queries))
    small = f"Contract: {ranking.contract}. Near: within {near_frames} frames. {words[1]}"
    style.set_title(figure, words[0], small)
    widths = [1.15] + [1] * (1 + _N_ANSWERS)
    grid = figure.subplots(len(queries), len(widths), width_ratios=widths, squeeze=False)
    alt = [f"A row of pictures for each kind of answer. {words[0]}."]
    for axes, (kind, query) in zip(grid, queries.items(), strict=True):
        for ax in axes:
            ax.axis("off")
        alt.append(_describe_query(axes[0], episode, ranking, (kind, query)))
        if query is None:
            continue
        answers = np.argsort(-ranking.similarity[query], kind="stable")[:_N_ANSWERS]
        for number, (ax, place) in enumerate(zip(axes[1:], (query, *answers), strict=False)):
            frames = int(ranking.centers[place] - ranking.centers[query])
            at = _clock(ranking.centers[place] / episode.fps)
            away = f"{frames / episode.fps:+.2f} s" if frames else "itself"
            near = "near miss" if abs(frames) <= near_frames else "failure"
            colour = _KIND_LOOKS[near if frames else "hit"][1] if number else MUTED
            head = f"{number}: {at} ({away})" if number else f"own: {at}"
            ax.set_title(head, fontsize=7.5, color=colour, loc="left", pad=2.5)
            alt.append(f"{head}." + _draw_frame(ax, episode, int(ranking.centers[place]), colour))
    return Picture(figure, words[0], " ".join(alt))


def _describe_query(
    ax: Axes, episode: Recording, ranking: Ranking, asked: tuple[str, int | None]
) -> str:
    """Write what a query is about, and return it as a sentence."""
    kind, query = asked
    look = {"transform": ax.transAxes, "va": "top", "fontsize": 8}
    ax.text(0, 1, capital(kind), color=_KIND_LOOKS[kind][1], fontweight="bold", **look)
    if query is None:
        ax.text(0, 0.84, f"none of {len(ranking)} queries", color=MUTED, **look)
        return f"No query is a {kind}."
    center, labels = int(ranking.centers[query]), episode.labels_of("corrected")
    rank = f"own window ranks {ranking.ranks.expected[query]:g}"
    action = style.wrap(labels.action[center] or "no action label", 21, 2)
    more = labels.interaction[center] or ", ".join(labels.objects[center])
    ax.text(0, 0.85, rank, color=MUTED, **look)
    ax.text(0, 0.68, action, fontweight="bold" if labels.action[center] else "normal", **look)
    lower = 0.66 - 0.14 * len(action.splitlines())
    ax.text(0, lower, style.wrap(more, 23, 3), color=MUTED, **look)
    return f"{capital(kind)}, {action}: its {rank}."


def _draw_frame(ax: Axes, episode: Recording, center: int, colour: str) -> str:
    """Draw a frame of the first camera that there is; return what is missing, if something is."""
    ax.axis("on")
    camera, lost = next(iter(episode.videos), None), "no video"
    if camera:
        try:
            ax.imshow(frame_at(episode, camera, center))
            lost = ""
        except EpisodeError as error:
            lost = f"{camera} {error.found}"
    if lost:
        empty_panel(ax, lost, width=18, n_lines=4)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)
    action = episode.labels_of("corrected").action[center] or "no action label"
    ax.set_xlabel(style.wrap(action, 24, 1), fontsize=7, color=MUTED, labelpad=2)
    return f" Picture missing: {lost}." if lost else ""


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(time_s, 60)
    return f"{minutes:.0f}:{seconds:04.1f}"


# --- reconstruction ---------------------------------------------------------------------------

_SOURCES = {
    "motion": (style.BLUE, "o"),
    "audio": (style.ORANGE, "^"),
    "motion and audio": (style.BLACK, "D"),
}
_FLOORS = {"train_mean": ("training mean", "|"), "nearest_in_time": ("nearest in time", "x")}
_LOW, _HIGH = -2.0, 0.85


@styled
def draw_reconstruction(rows: Iterable[Record]) -> Picture:
    """Return R² by block and by statistic, one panel per contract, with intervals and floors.

    Full marks are significantly better than the better floor, which is drawn beside them.
    """
    rows, figure = [row for row in rows if row.task == REBUILT], style.new_figure(5.6)
    contracts = list(dict.fromkeys(row.contract for row in rows))
    scores = [row for row in rows if row.metric == "r2" and _of(row)[1] in _SOURCES]
    groups = list(dict.fromkeys(_of(row)[0] for row in scores))
    better = {
        (row.contract, row.variant)
        for row in scores
        if row.against and verdict(row)[0] is Verdict.BETTER
    }
    title = _rebuilt_title(better, contracts, groups)
    small = f"Full: significantly above the better floor. ◂: below {_LOW:g}. Lines: 95 % intervals."
    style.set_title(figure, title, small)
    axes = figure.subplots(1, len(contracts), sharey=True, squeeze=False)[0]
    for ax, contract in zip(axes, contracts, strict=True):
        ax.set_title(f"{contract}, {UNITS[contract == 'corrected']}", fontweight="bold")
        own = [row for row in scores if row.contract == contract and not row.against]
        if not own:
            empty_panel(ax, _lost((row for row in rows if row.contract == contract), REBUILT))
            continue
        for row in (row for row in own if row.value is not None):
            _draw_r2(ax, row, groups, filled=(contract, row.variant) in better)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        ax.set(xlim=(_LOW - 0.08, _HIGH), xlabel="R² on test windows")
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        for place in (0.5, sum(group not in STATS for group in groups) - 0.5):
            ax.axhline(place, color=MUTED, linewidth=0.6)
    _name_groups(axes[0], groups)
    marks = [(f"from {name}", *look) for name, look in _SOURCES.items()]
    marks += [(name, MUTED, mark) for name, mark in _FLOORS.values()]
    handles = [
        Line2D([], [], color=colour, marker=mark, linestyle="none", label=name)
        for name, colour, mark in marks
    ]
    place = {"loc": "outside lower center", "ncols": 5, "columnspacing": 1.2}
    figure.legend(handles=handles, handlelength=1, **place)
    told = [row for row in scores if _of(row)[0] == WHOLE or (row.contract, row.variant) in better]
    told += [row for row in rows if row.status != "ok"]
    alt = f"Dots for R² by block and by statistic. {title}. {described(told)}"
    return Picture(figure, title, alt)


def _of(row: Record) -> tuple[str, str]:
    """Return which columns a row is of, and from what they were predicted."""
    group, _, source = (row.variant or "").partition(" from ")
    return group, source


def _draw_r2(ax: Axes, row: Record, groups: list[str], *, filled: bool) -> None:
    group, source = _of(row)
    colour, marker = _SOURCES[source]
    place = groups.index(group)
    if row.floor >= _LOW:
        floor = {"marker": _FLOORS[row.floor_name][1], "color": MUTED, "markersize": 6, "zorder": 1}
        ax.plot([row.floor], [place], **floor)
    place += 0.2 * (list(_SOURCES).index(source) - 1)
    if row.ci_low is not None:
        ends = np.clip([row.ci_low, row.ci_high], _LOW, _HIGH)
        ax.plot(ends, [place, place], color=colour, linewidth=1, alpha=0.75)
    marker = marker if row.value >= _LOW else mpl.markers.CARETLEFTBASE
    look = {"marker": marker, "markersize": 4.6, "markerfacecolor": colour if filled else PAPER}
    ax.plot([max(row.value, _LOW)], [place], linestyle="none", color=colour, **look)


def _name_groups(ax: Axes, groups: list[str]) -> None:
    names = [group.removeprefix("video_").replace("_", " ") for group in groups]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def _rebuilt_title(better: set[tuple[str, str]], contracts: list[str], groups: list[str]) -> str:
    if not groups:
        return "Nothing was reconstructed"
    parts = []
    for source in ("motion", "audio"):
        won = [
            sum((contract, f"{group} from {source}") in better for group in groups[1:])
            for contract in contracts
        ]
        counts = [f"{n} ({contract})" for n, contract in zip(won, contracts, strict=True)]
        parts.append(f"{source} on {' and '.join(counts)}")
    n = len(groups) - 1
    return f"Of {n} blocks and statistics, significantly above every floor: {', '.join(parts)}"


@styled
def draw_weights(rows: Iterable[Record]) -> Picture:
    """Return what share of an R² each block and statistic makes up, in raw and in scaled units.

    Of the first contract that has a reconstruction.
    """
    rows, figure = [row for row in rows if row.task == REBUILT], style.new_figure(3.5)
    weights = [row for row in rows if row.metric in {"spread_share", "column_share"}]
    weights = [row for row in weights if row.contract == weights[0].contract]
    shares = {row.variant: row.value for row in weights}
    groups = [row.variant for row in weights if row.metric == "column_share"][1:]
    blocks = [group for group in groups if group in BLOCKS_BY_NAME]
    small = "A group's weight is its share of all that the test columns vary."
    if not blocks:
        title, why = "Nothing was reconstructed", _lost(rows, REBUILT)
        style.set_title(figure, title, small)
        empty_panel(figure.subplots(), why, width=80)
        return Picture(figure, title, f"An empty panel. {title}: {why}.")
    told = {
        group: " and ".join(f"{percent(shares[f'{group}, in {unit}'])} in {unit}" for unit in UNITS)
        for group in groups
    }
    heaviest = max(blocks, key=lambda name: shares[f"{name}, in {RAW}"] - shares[name])
    name, columns = capital(heaviest.replace("_", " ")), percent(shares[heaviest])
    title = f"{name} holds {columns} of the columns; its weight in R² is {told[heaviest]}"
    style.set_title(figure, title, small)
    kinds = {"by block": blocks, "by statistic": [one for one in groups if one not in blocks]}
    colours = {RAW: style.ORANGE, SCALED: style.BLUE}
    for ax, (name, members) in zip(figure.subplots(1, 2), kinds.items(), strict=True):
        ax.set_title(name, fontweight="bold")
        places = np.arange(len(members))
        for offset, (unit, colour) in zip((-0.19, 0.19), colours.items(), strict=True):
            values = [shares[f"{group}, in {unit}"] for group in members]
            ax.barh(places + offset, values, height=0.36, color=colour)
        look = {"color": INK, "marker": "|", "markersize": 13, "linestyle": "none"}
        ax.plot([shares[group] for group in members], places, **look)
        _name_groups(ax, members)
        ax.xaxis.set_major_formatter(PERCENT)
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
    handles = [Patch(color=colour, label=unit) for unit, colour in colours.items()]
    handles.append(Line2D([], [], color=INK, marker="|", linestyle="none", label="columns"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=1.2)
    alt = " ".join(f"{group}: {words}." for group, words in told.items())
    return Picture(figure, title, f"Pairs of bars for groups of columns. {title}. {alt}")
