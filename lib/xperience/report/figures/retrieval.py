"""Retrieval and reconstruction: ranks, distance in time, actions, example queries, R² by block.

Scores come from a section's rows; what rows don't hold (matrices, centres) from rankings.
"""

from collections.abc import Iterable, Iterator, Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
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
from xperience.report.figures.points import draw_point, key, name_lines
from xperience.report.figures.style import (
    FAINT,
    MUTED,
    NARROW_IN,
    PAPER,
    Picture,
    empty_panel,
    nothing,
    styled,
)
from xperience.report.moment import frame_at
from xperience.report.quantities import percent, place_at
from xperience.report.tables import (
    Rows,
    Verdict,
    any_tested,
    capital,
    described,
    listed,
    minus,
    of_tested,
    readable,
    verdict,
    verdicts,
)

Rankings = Mapping[tuple[str, str], Ranking]
"""Rankings by contract and task."""
Shifts = Mapping[tuple[str, str], Ranks | None]
"""Ranks of pairings shifted in time, likewise."""
TASKS = ("cross_modal_retrieval", "caption_grounding")
REBUILT = "modality_reconstruction"
COLOURS = {"published": style.ORANGE, "corrected": style.BLUE}
DASHES = {"published": (0, (5, 1.5)), "corrected": "-"}
CHANCE = {"color": MUTED, "linestyle": (0, (2, 2)), "linewidth": 1.3}
PERCENT = mpl.ticker.PercentFormatter(1, decimals=0, symbol=" %")
_LIMIT, _N_TICKS, _MAX_NAMES = 2.5, 3, 24


def _ranked(rows: Rows) -> dict[str, list[str]]:
    """Return the contracts under which each retrieval was ranked; none that never was."""
    found = {task: [row.contract for row in rows.all(task=task, metric="candidates")]
             for task in TASKS}  # fmt: skip
    return {task: contracts for task, contracts in found.items() if contracts}


def _quoted(rows: Rows) -> dict[str, str]:
    """Return the contract that a retrieval's title is about: `corrected` if it can be."""
    return {task: "corrected" if "corrected" in contracts else contracts[0]
            for task, contracts in _ranked(rows).items()}  # fmt: skip


def _lost(rows: Iterable[Record], *tasks: str) -> str:
    """Return why tasks have no prediction, one reason per contract unless they are the same."""
    found = [row.reason for row in rows if row.task in tasks and row.status != "ok"]
    return "; ".join(dict.fromkeys(filter(None, found))) or "not asked"


def _titled(figure: Figure, rows: Rows, title: str, subtitle: str) -> str:
    """Write and return a title, with the contract that it is about below."""
    quoted = " and ".join(dict.fromkeys(_quoted(rows).values()))
    title = title if quoted else "No retrieval has a prediction"
    style.set_title(figure, title, f"{subtitle} Title: {quoted}." if quoted else subtitle)
    return title


def _panels(figure: Figure, rows: Rows) -> Iterator[tuple[str, list[str], Axes]]:
    """Yield each retrieval with its contracts and its axes; without any, say why."""
    ranked = _ranked(rows)
    axes = figure.subplots(1, max(1, len(ranked)), squeeze=False, sharey=True)[0]
    if not ranked:
        empty_panel(axes[0], _lost(rows, *TASKS), width=60)
    for ax, (task, contracts) in zip(axes, ranked.items(), strict=False):
        ax.set_title(capital(readable(task)), fontweight="bold")
        yield task, contracts, ax


def _shares(ax: Axes) -> None:
    """Make the y axis one of shares, from none to all."""
    ax.set(ylim=(0, 1.02), yticks=np.linspace(0, 1, 6))
    ax.yaxis.set_major_formatter(PERCENT)
    ax.grid(color=FAINT, linewidth=0.6)


def _legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """Put one legend below for the lines of all panels."""
    lines = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    handles = [line for label, line in lines.items() if not label.startswith("_")]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=2.2)


def _picture(figure: Figure, title: str, kind: str, rows: Rows, shown: Iterable[Record]) -> Picture:
    """Return a figure with its description: the rows that it shows, and what is missing."""
    lost = [task for task in TASKS if task not in _ranked(rows)]
    missing = [f"{capital(readable(task))} is missing: {_lost(rows, task)}." for task in lost]
    return Picture(figure, title, " ".join([kind, f"{title}.", described(shown), *missing]))


# --- ranks ------------------------------------------------------------------------------------

_AGAINST_CHANCE = {
    Verdict.BETTER: "significantly better than chance",
    Verdict.WORSE: "significantly worse than chance",
    Verdict.NO_DIFFERENCE: "no significant difference from chance",
    Verdict.NOT_TESTED: "not tested against chance",
}


@styled
def draw_ranks(rankings: Rankings, shifts: Shifts, rows: Iterable[Record]) -> Picture:
    """Return how often the true window is among the first k candidates, one panel per task.

    Curves of the contracts, chance as a dashed line, 95 % of circular shifts as bands, and the best
    that equal true vectors allow as a dotted line.
    """
    rows, figure = Rows(rows), style.new_figure(3.9, NARROW_IN)
    said: dict[Verdict, list[str]] = {}
    for task, contract in _quoted(rows).items():
        ranking = rankings[contract, task]
        found = above_chance(ranking, shifts[contract, task], rows)
        said.setdefault(found, []).append(f"{readable(task)} (MRR {ranking.mrr:.3f})")
    parts = (f"{_AGAINST_CHANCE[one]}: {', '.join(of)}" for one, of in said.items())
    small = "Share of queries whose window is among the first k. Bands: 95 % of circular shifts."
    title = _titled(figure, rows, capital("; ".join(parts)), small)
    for task, contracts, ax in _panels(figure, rows):
        for name in contracts:
            ranking, shifted = rankings[name, task], shifts[name, task]
            depths = np.unique(np.geomspace(1, len(ranking), 60).round().astype(int))
            if shifted is not None:
                band = np.quantile(curve(shifted, depths), [0.025, 0.975], axis=0)
                ax.fill_between(depths, *band, color=COLOURS[name], alpha=0.16, linewidth=0)
            look = {"color": COLOURS[name], "linestyle": DASHES[name], "linewidth": 1.9}
            ax.plot(depths, curve(ranking.ranks, depths), label=name, **look)
        n = len(ranking)
        ax.plot(depths, depths / n, label="chance", **CHANCE)
        if ranking.n_distinct < n:
            look = {"color": style.BLACK, "linestyle": ":", "linewidth": 1.3}
            label = "limit of equal targets"
            ax.plot(depths, ranking.curve_ceiling(depths), label=label, **look)
        ticks = [k for k in (1, 5, 20, 100, 500, 2000) if k <= n]
        ax.set(xscale="log", xlim=(1, n), xlabel="first k candidates")
        ax.set_xticks(ticks, [str(k) for k in ticks])
        ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        _shares(ax)
    figure.axes[0].set_ylabel("queries")
    _legend(figure, figure.axes)
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


# --- distance in time -------------------------------------------------------------------------


@styled
def draw_distances(rankings: Rankings, rows: Iterable[Record], fps: float) -> Picture:
    """Return how far in time top results lie from the true window, one panel per task.

    Each curve is the share of the queries whose top result is at most so far away; chance is that
    of all pairs of test windows.
    """
    rows, figure = Rows(rows), style.new_figure(3.7, NARROW_IN)
    said = []
    for task, contract in _quoted(rows).items():
        ranking = rankings[contract, task]
        away_s = np.median(ranking.first_distance_frames) / fps
        random_s = np.median(ranking.distance_frames) / fps
        said.append(f"{away_s:.1f} s ({readable(task)}; at random {random_s:.1f} s)")
    title = f"Median distance of the top result: {', '.join(said)}"
    small = "Share of queries whose top result is at most so far away."
    title = _titled(figure, rows, title, small)
    for task, contracts, ax in _panels(figure, rows):
        for name in contracts:
            look = {"color": COLOURS[name], "linestyle": DASHES[name], "linewidth": 1.9}
            ax.ecdf(rankings[name, task].first_distance_frames / fps, label=name, **look)
        ax.ecdf(rankings[name, task].distance_frames.ravel() / fps, label="chance", **CHANCE)
        ax.set(xlim=(0, None), xlabel="distance in time (s)")
        _shares(ax)
    figure.axes[0].set_ylabel("queries")
    _legend(figure, figure.axes)
    shown = [row for row in rows if row.metric == "median_answer_distance"]
    return _picture(figure, title, "Rising curves over a distance in time.", rows, shown)


# --- within and between actions ---------------------------------------------------------------


@styled
def draw_similarity(rankings: Rankings, rows: Iterable[Record], fps: float) -> Picture:
    """Return similarity matrices of queries (rows) and candidates (columns), both over time.

    One row per task: of its prediction, and of the true targets with themselves, what a perfect
    prediction would look like. Lines are changes of action.
    """
    rows, figure = Rows(rows), style.new_figure(5.6, NARROW_IN)
    said, quoted = [], _quoted(rows)
    for task, contract in quoted.items():
        of = {"task": task, "contract": contract, "metric": "similarity"}
        own = rows.scored(**of, variant="own window")
        said.append(
            f"{own.value:+.1f} SD ({readable(task)})" if own else f"unknown ({readable(task)})"
        )
    small = "Rows are queries, columns candidates. Lines: the action changes."
    title = f"The true window's similarity to its query, from the query's mean: {listed(said)}"
    title = _titled(figure, rows, title, small)
    grid = figure.subplots(max(1, len(quoted)), 2 if quoted else 1, squeeze=False)
    for axes, (task, contract) in zip(grid, quoted.items(), strict=False):
        ranking = rankings[contract, task]
        axes[0].set_title(f"{readable(task)}: prediction")
        axes[1].set_title("true targets")
        _draw_matrix(axes[0], ranking.similarity, ranking, fps)
        image = _draw_matrix(axes[1], cosine(ranking.targets, ranking.targets), ranking, fps)
    if quoted:
        place = {"location": "bottom", "shrink": 0.6, "aspect": 40, "pad": 0.02}
        bar = figure.colorbar(image, ax=grid, extend="both", **place)
        bar.set_label("cosine, in SD from the query's mean; times in min:s")
        bar.outline.set_visible(False)
    else:
        empty_panel(grid[0, 0], _lost(rows, *TASKS), width=60)
    shown = [row for row in rows if row.metric == "similarity"]
    kind = "Matrices of similarity over time, queries by candidates."
    return _picture(figure, title, kind, rows, shown)


def _draw_matrix(
    ax: Axes, similarity: np.ndarray, ranking: Ranking, fps: float
) -> mpl.image.AxesImage:
    look = {"cmap": "cividis", "vmin": -_LIMIT, "vmax": _LIMIT, "interpolation": "nearest"}
    image = ax.imshow(standard_rows(similarity), **look)
    n = len(ranking)
    for place in range(1, n):
        if ranking.actions[place] != ranking.actions[place - 1]:
            ax.axhline(place - 0.5, color=PAPER, linewidth=0.4, alpha=0.5)
            ax.axvline(place - 0.5, color=PAPER, linewidth=0.4, alpha=0.5)
    ticks = np.unique(np.linspace(0, n - 1, _N_TICKS).astype(int))
    names = [f"{int(s // 60)}:{int(s % 60):02d}" for s in ranking.centers[ticks] / fps]
    ax.set(xticks=ticks, xticklabels=names, yticks=ticks, yticklabels=names)
    ax.tick_params(labelsize=7.5, length=2)
    ax.spines[:].set_visible(False)
    return image


_KIND_LOOKS = {WITHIN: (style.BLUE, "o"), BETWEEN: (style.ORANGE, "s")}


@styled
def draw_actions(rows: Iterable[Record]) -> Picture:
    """Return what the true window beats within its action and between actions, by action."""
    rows, quoted = Rows(rows), _quoted(Rows(rows))
    shares = [row for row in rows if row.metric in _KIND_LOOKS and row.value is not None]
    shares = [row for row in shares if quoted.get(row.task) == row.contract]
    names = list(dict.fromkeys(row.variant for row in shares if row.variant))[:_MAX_NAMES]
    names = [None, *names]  # all actions first
    figure = style.new_figure(2.2 + 0.36 * len(names), NARROW_IN)
    said = [action_words(rows, *of) for of in quoted.items()]
    small = "Share of candidates that rank below the true one, 95 % intervals; half is chance."
    title = _titled(figure, rows, f"Against chance: {'; '.join(said)}", small)
    for task, _, ax in _panels(figure, rows):
        for row in shares:
            if row.task == task and row.variant in names:
                shift = 0.16 if row.metric == BETWEEN else -0.16
                sure = verdict(minus(row, AUC_CHANCE))[0] is Verdict.BETTER
                draw_point(ax, row, names.index(row.variant) + shift, _KIND_LOOKS[row.metric],
                           filled=sure or row.variant is not None)  # fmt: skip
        ax.axvline(AUC_CHANCE, **CHANCE)
        ax.axhline(0.5, color=MUTED, linewidth=0.6)
        ax.set(xlim=(-0.04, 1.04), xticks=(0, 0.5, 1), xticklabels=("0", "50 %", "100 %"))
        labels = ((name or "all actions").removeprefix("action: ") for name in names)
        name_lines(ax, [style.elide(label, 22) for label in labels])
    texts = {WITHIN: "within its action", BETWEEN: "between actions"}
    handles = [key(text, _KIND_LOOKS[metric]) for metric, text in texts.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    kind = "Dots on a line from none to all candidates, one row per action."
    return _picture(figure, title, kind, rows, (row for row in shares if row.variant is None))


def action_words(rows: Rows, task: str, contract: str) -> str:
    """Return what a retrieval is against chance within its actions, and between them."""
    found: dict[Verdict, list[str]] = {}
    for name, metric in (("within", WITHIN), ("between", BETWEEN)):
        row = rows.one(task=task, contract=contract, metric=metric)
        found.setdefault(verdict(row and minus(row, AUC_CHANCE))[0], []).append(name)
    said = (f"{one} {listed(names)} actions" for one, names in found.items())
    return f"{readable(task)} {', '.join(said)}"


# --- example queries --------------------------------------------------------------------------

_ANSWER_LOOKS = {
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
        f"{percent(len(found[kind]) / len(ranking))} {_ANSWER_LOOKS[kind][0]}" for kind in KINDS
    ]
    title = f"Top results of {readable(ranking.task)}: {', '.join(shares)}"
    small = "The median query of each kind, by the cosine of its top result."
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
    words = f"{capital(readable(ranking.task))}: a {kind} at {at}", ""
    return _draw_queries(episode, ranking, near_frames, {kind: query}, words)


def _draw_queries(
    episode: Recording,
    ranking: Ranking,
    near_frames: int,
    queries: Mapping[str, int | None],
    words: tuple[str, str],
) -> Picture:
    figure = style.new_figure(0.8 + 1.75 * len(queries), NARROW_IN)
    small = f"Contract: {ranking.contract}. Near: within {near_frames} frames. {words[1]}".rstrip()
    style.set_title(figure, words[0], small)
    alt = [f"A row of pictures for each kind of result. {words[0]}."]
    parts = figure.subfigures(len(queries), 1, squeeze=False)[:, 0]
    for part, (kind, query) in zip(parts, queries.items(), strict=True):
        alt.append(_describe_query(part, episode, ranking, (kind, query)))
        axes = part.subplots(1, 1 + _N_ANSWERS)
        if query is None:
            for ax in axes:
                ax.axis("off")
            continue
        answers = np.argsort(-ranking.similarity[query], kind="stable")[:_N_ANSWERS]
        for number, (ax, place) in enumerate(zip(axes, (query, *answers), strict=False)):
            frames = int(ranking.centers[place] - ranking.centers[query])
            at = _clock(ranking.centers[place] / episode.fps)
            away = f"{frames / episode.fps:+.1f} s" if frames else "itself"
            near = "near miss" if abs(frames) <= near_frames else "failure"
            colour = _ANSWER_LOOKS[near if frames else "hit"][1] if number else MUTED
            head = f"{number}: {away}" if number else f"query: {at}"
            ax.set_title(head, color=colour, loc="left", pad=2.5)
            alt.append(f"{head}." + _draw_frame(ax, episode, int(ranking.centers[place]), colour))
    return Picture(figure, words[0], " ".join(alt))


def _describe_query(
    part: SubFigure, episode: Recording, ranking: Ranking, asked: tuple[str, int | None]
) -> str:
    """Write what a query is about, and return it as a sentence."""
    kind, query = asked
    look = {"x": 0.012, "ha": "left", "fontsize": 8.5, "color": _ANSWER_LOOKS[kind][1]}
    if query is None:
        said = f"No query is a {kind}."
        part.suptitle(said, **look)
        return said
    center, labels = int(ranking.centers[query]), episode.labels_of("corrected")
    rank = f"own window ranks {ranking.ranks.expected[query]:g}"
    action = labels.action[center] or "no action label"
    more = labels.interaction[center] or ", ".join(labels.objects[center])
    head = style.elide(f"{capital(kind)}, {rank}: {action}", 72)
    part.suptitle(f"{head}\n{style.elide(more, 72)}", **look)
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
    ax.set_xlabel(style.wrap(action, 21, 1), fontsize=8, color=MUTED, labelpad=2)
    return f" Picture missing: {lost}." if lost else ""


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(time_s, 60)
    return f"{minutes:.0f}:{seconds:04.1f}"


# --- reconstruction ---------------------------------------------------------------------------

_SOURCES = {
    "motion": (style.BLUE, "o"),
    "audio": (style.ORANGE, "^"),
    "motion and audio": (style.GREEN, "D"),
}
_NOT_REBUILT = "Nothing was reconstructed"
_UNIT_NAMES = {RAW: RAW, SCALED: "units of training SD"}


@styled
def draw_reconstruction(rows: Iterable[Record]) -> Picture:
    """Return R² by block and by statistic, with intervals and the better floor, of one contract."""
    rows = [row for row in rows if row.task == REBUILT]
    scores = [row for row in rows if row.metric == "r2" and _of(row)[1] in _SOURCES]
    known = sorted({row.contract for row in scores if row.value is not None})
    own = [row for row in scores if known and row.contract == known[0]]
    groups = list(dict.fromkeys(_of(row)[0] for row in own))
    if not groups:
        return nothing(_NOT_REBUILT, _lost(rows, REBUILT))
    figure = style.new_figure(2.0 + 0.36 * len(groups), NARROW_IN)
    better = {row.variant for row in own if row.against and verdict(row)[0] is Verdict.BETTER}
    title = _rebuilt_title(own)
    unit = _UNIT_NAMES[UNITS[known[0] == "corrected"]]
    small = (
        f"R² on test windows in {unit} ({known[0]}), 95 % intervals. Filled: significantly better "
        "than the better of training mean and nearest in time (black). Lines may go on at the left."
    )
    style.set_title(figure, title, small)
    ax = figure.subplots()
    for row in own:
        if row.value is None or row.against:
            continue
        group, source = _of(row)
        place = groups.index(group)
        shift = 0.22 * (list(_SOURCES).index(source) - 1)
        draw_point(ax, row, place + shift, _SOURCES[source], filled=row.variant in better)
        if row.floor is not None:
            ax.plot([row.floor] * 2, [place - 0.36, place + 0.36], color=style.BLACK, linewidth=1.6)
    values = [row.value for row in own if row.value is not None and not row.against]
    _name_groups(ax, groups)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.set(xlim=(min(values) - 0.5, 1), xlabel="R², 1 is perfect")
    for place in (0.5, sum(group not in STATS for group in groups) - 0.5):
        ax.axhline(place, color=MUTED, linewidth=0.6)
    handles = [key(f"from {name}", look) for name, look in _SOURCES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    told = [row for row in own if _of(row)[0] == WHOLE or row.variant in better]
    told += [row for row in rows if row.status != "ok"]
    alt = f"Dots for R² by block and by statistic. {title}. {described(told)}"
    return Picture(figure, title, alt)


def _of(row: Record) -> tuple[str, str]:
    """Return which columns a row is of, and from what they were predicted."""
    group, _, source = (row.variant or "").partition(" from ")
    return group, source


def _name_groups(ax: Axes, groups: list[str]) -> None:
    name_lines(ax, [group.removeprefix("video_").replace("_", " ") for group in groups])


def _rebuilt_title(rows: Iterable[Record]) -> str:
    gaps, parts = [row for row in rows if row.against and _of(row)[0] != WHOLE], []
    for source in ("motion", "audio"):
        counts = verdicts(row for row in gaps if _of(row)[1] == source)
        won = f"{counts[Verdict.BETTER] or 'none'} of {of_tested(counts, 'column group')}"
        parts.append(f"from {source} {won if any_tested(counts) else 'none is tested'}")
    return f"Significantly better than trivial baselines: {', '.join(parts)}"


@styled
def draw_weights(rows: Iterable[Record]) -> Picture:
    """Return what share of an R² each block and statistic makes up, in raw and in scaled units.

    Of the first contract that has a reconstruction.
    """
    rows = [row for row in rows if row.task == REBUILT]
    weights = [row for row in rows if row.metric in {"spread_share", "column_share"}]
    weights = [row for row in weights if row.contract == weights[0].contract]
    shares = {row.variant: row.value for row in weights}
    groups = [row.variant for row in weights if row.metric == "column_share"][1:]
    blocks = [group for group in groups if group in BLOCKS_BY_NAME]
    if not blocks:
        return nothing(_NOT_REBUILT, _lost(rows, REBUILT))
    figure = style.new_figure(4.9, NARROW_IN)
    heaviest = max(blocks, key=lambda name: shares[f"{name}, in {RAW}"] - shares[name])
    raw, scaled = (percent(shares[f"{heaviest}, in {unit}"]) for unit in UNITS)
    name, columns = capital(heaviest.replace("_", " ")), percent(shares[heaviest])
    title = (
        f"{name} is {columns} of the target's columns, {raw} of its variance in raw units "
        f"({scaled} in training SD)"
    )
    small = "A group's weight in R² is its share of the target's variance over the test windows."
    style.set_title(figure, title, small)
    kinds = {"blocks": blocks, "statistics": [one for one in groups if one not in blocks]}
    colours = {RAW: style.ORANGE, SCALED: style.BLUE}
    panels = figure.subplots(2, 1, sharex=True, height_ratios=[len(of) for of in kinds.values()])
    for ax, (name, members) in zip(panels, kinds.items(), strict=True):
        ax.set_title(name, fontweight="bold")
        places = np.arange(len(members))
        for offset, (unit, colour) in zip((-0.19, 0.19), colours.items(), strict=True):
            values = [shares[f"{group}, in {unit}"] for group in members]
            ax.barh(places + offset, values, height=0.36, color=colour)
        look = {"color": style.BLACK, "marker": "|", "markersize": 14, "linestyle": "none"}
        ax.plot([shares[group] for group in members], places, markeredgewidth=2, **look)
        _name_groups(ax, members)
        ax.xaxis.set_major_formatter(PERCENT)
    panels[1].set_xlabel("share of the target's variance")
    handles = [Patch(color=colour, label=_UNIT_NAMES[unit]) for unit, colour in colours.items()]
    handles.append(Line2D([], [], label="share of the columns", **look | {"markersize": 9}))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=1.2)
    alt = " ".join(
        f"{group}: " + ", ".join(f"{percent(shares[f'{group}, in {unit}'])} in {_UNIT_NAMES[unit]}"
                                 for unit in UNITS) + "."
        for group in groups
    )  # fmt: skip
    return Picture(figure, title, f"Pairs of bars for groups of columns. {title}. {alt}")
