"""What a hit, a near miss and a failure look like: the query's own window beside the answers."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from xperience.recording.recording import Episode
from xperience.report.figures.style import (
    BLUE,
    GREEN,
    MUTED,
    RED,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
    wrap,
)
from xperience.report.quantities import percent, place_at
from xperience.report.retrieval import Answered, Shot, capital, read_query, task_words
from xperience.studies.retrieval.retrieval import Ranking

_KIND_COLOURS = {"hit": GREEN, "near miss": BLUE, "failure": RED}
_KIND_WORDS = {"hit": "hits", "near miss": "near misses", "failure": "failures"}
_N_COLUMNS = 4


@styled
def draw_hits(
    ranking: Ranking, answered: Mapping[str, Answered | None], near_frames: int
) -> Picture:
    """Return example queries of a retrieval, one a kind of answer: own window, then the answers.

    Parameters
    ----------
    ranking : Ranking
    answered : mapping of {kind: Answered or None}
        From `xperience.report.retrieval.read_examples`.
    near_frames : int
        What a near miss was taken to be.

    Returns
    -------
    Picture
        Frames of answers are green for the window itself, blue nearby and red elsewhere.
    """
    title = _title(ranking, answered)
    each = "The middle query of each kind, by the cosine of its first answer."
    return _picture(ranking, answered, near_frames, (title, each))


def _picture(
    ranking: Ranking,
    answered: Mapping[str, Answered | None],
    near_frames: int,
    words: tuple[str, str],
) -> Picture:
    title, small = words
    figure = new_figure(0.75 + 1.36 * len(answered))
    set_title(
        figure, title, f"Contract: {ranking.contract}. Near: within {near_frames} frames. {small}"
    )
    widths = [1.15] + [1] * _N_COLUMNS
    grid = figure.subplots(len(answered), _N_COLUMNS + 1, width_ratios=widths, squeeze=False)
    for axes, (kind, one) in zip(grid, answered.items(), strict=True):
        _draw_text(axes[0], kind, one, len(ranking))
        if one is None:
            for ax in axes[1:]:
                ax.axis("off")
            continue
        _draw_shot(axes[1], one.query, f"own: {_clock(one.query.time_s)}", MUTED)
        for ax, shot, number in zip(axes[2:], one.answers, range(1, _N_COLUMNS), strict=False):
            frames = shot.center - one.query.center
            colour = GREEN if not frames else BLUE if abs(frames) <= near_frames else RED
            away = f"{shot.time_s - one.query.time_s:+.2f} s" if frames else "itself"
            _draw_shot(ax, shot, f"{number}: {_clock(shot.time_s)} ({away})", colour)
        for ax in axes[2 + len(one.answers) :]:
            ax.axis("off")
    return Picture(figure, title, _alt(answered, title))


@styled
def draw_query(episode: Episode, ranking: Ranking, share: float, near_frames: int) -> Picture:
    """Return one query of a retrieval with its answers.

    Parameters
    ----------
    episode : Episode
        Whose pictures are read.
    ranking : Ranking
    share : float
        How far along the queries, 0 to 1.
    near_frames : int
        What a near miss is taken to be.
    """
    asked = read_query(episode, ranking, place_at(share, len(ranking)), near_frames)
    kind = asked.example.kind
    title = f"{capital(task_words(ranking.task))}: a {kind} at {_clock(asked.query.time_s)}"
    return _picture(ranking, {kind: asked}, near_frames, (title, "Best answer first."))


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(time_s, 60)
    return f"{minutes:.0f}:{seconds:04.1f}"


def _title(ranking: Ranking, answered: Mapping[str, Answered | None]) -> str:
    shares = ", ".join(
        f"{percent((one.example.n_alike if one else 0) / len(ranking))} {_KIND_WORDS[kind]}"
        for kind, one in answered.items()
    )
    return f"First answers of {task_words(ranking.task)}: {shares}"


def _draw_text(ax: Axes, kind: str, one: Answered | None, n: int) -> None:
    ax.axis("off")
    look = {"transform": ax.transAxes, "va": "top", "fontsize": 8}
    ax.text(0, 1, capital(kind), color=_KIND_COLOURS[kind], fontweight="bold", **look)
    if one is None:
        ax.text(0, 0.84, f"none of {n} queries", color=MUTED, **look)
        return
    rank = f"own window ranks {one.example.rank:g}"
    ax.text(0, 0.85, rank, color=MUTED, **look)
    said = wrap(one.query.action or "no action label", 21, 2)
    ax.text(0, 0.68, said, fontweight="bold" if one.query.action else "normal", **look)
    lower = 0.66 - 0.14 * len(said.splitlines())
    told = one.query.interaction or one.query.objects
    ax.text(0, lower, wrap(told, 23, 3), color=MUTED, **look)


def _draw_shot(ax: Axes, shot: Shot, head: str, colour: str) -> None:
    ax.set_title(head, fontsize=7.5, color=colour, loc="left", pad=2.5)
    if shot.image is None:
        empty_panel(ax, shot.problem, width=18, n_lines=4)
    else:
        ax.imshow(shot.image)
        ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)
    below = wrap(shot.action or "no action label", 24, 1)
    ax.set_xlabel(below, fontsize=7, color=MUTED, labelpad=2)


def _alt(answered: Mapping[str, Answered | None], title: str) -> str:
    parts = [f"A row of pictures for each kind of answer. {title}."]
    for kind, one in answered.items():
        if one is None:
            parts.append(f"No query is a {kind}.")
            continue
        times = ", ".join(_clock(shot.time_s) for shot in one.answers)
        parts.append(
            f"{capital(kind)}: the query at {_clock(one.query.time_s)}, "
            f"{one.query.action or 'no action label'}, is answered with {times}; its own window "
            f"ranks {one.example.rank:g}."
        )
    lost = [shot.problem for one in answered.values() if one for shot in (one.query, *one.answers)]
    parts += [f"Pictures missing: {why}." for why in dict.fromkeys(lost) if why]
    return " ".join(parts)
