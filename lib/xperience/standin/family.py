"""A family of simulated episodes: different wearers, kitchens, activities and ways of wording.

What a family has that one recording has not: sessions of one or two episodes, each with a wearer,
a kitchen and an annotator of its own; activities that come back in other sessions, and one that
only the test side has; episodes with another frame rate, without a modality, with a video that
stops early or a body that is lost for a while, as in any large collection.
"""

import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from xperience.progress import OnProgress
from xperience.standin import mishaps
from xperience.standin.mark import MARK, check_replaceable
from xperience.standin.script import Script
from xperience.standin.settings import FPS, FamilySettings, StandinSettings
from xperience.standin.wording import activities, choose_words, read_words, worded
from xperience.standin.write import write_episode

SIDES = ("train", "val", "test")
VARIETY = 1.5
"""How far wearers and kitchens of a family stray from average ones, against the stand-in's."""

TWO_EPISODES_SHARE = 0.4
OTHER_FPS = (15.0, 30000 / 1001)


@dataclass(frozen=True)
class Member:
    """One episode of a family, before it is written.

    Parameters
    ----------
    episode, session, side : str
    activity : Path
        Its activity file.
    script : Script
        The same, as the session's annotator words it.
    settings : StandinSettings
        Without the script's path.
    mishap : str
        Name of what befalls it (see `xperience.standin.mishaps`); empty for nothing.
    """

    episode: str
    session: str
    side: str
    activity: Path
    script: Script
    settings: StandinSettings
    mishap: str = ""


def plan_family(settings: FamilySettings) -> list[Member]:
    """Return every episode that a family will have, train side first.

    Raises
    ------
    ParamsError
        If activities or words cannot be used.
    """
    rng = np.random.default_rng([settings.seed, 20])
    files, words = activities(settings.activities), read_words(settings.activities)
    order = [files[place] for place in rng.permutation(len(files))]
    known, withheld = (order[:-1], order[-1]) if len(order) > 1 else (order, order[0])
    members: list[Member] = []
    for side, count in zip(SIDES, settings.sides, strict=True):
        todo = count
        while todo:
            size = 2 if todo > 1 and rng.random() < TWO_EPISODES_SHARE else 1
            session = f"s{len({one.session for one in members}) + 1:02d}"
            spoken = choose_words(words, rng)
            for number in range(size):
                first_of_test = side == "test" and todo == count and number == 0
                activity = withheld if first_of_test else known[len(members) % len(known)]
                build = int(rng.integers(2**31)) if number == 0 else members[-1].settings.seed
                members.append(
                    Member(
                        f"{session}__ep{number + 1}",
                        session,
                        side,
                        activity,
                        _paced(worded(activity, spoken), rng),
                        _settings(settings, build, rng),
                    )
                )
            todo -= size
    return _with_mishaps(members, rng) if settings.mishaps else members


def _settings(family: FamilySettings, seed: int, rng: np.random.Generator) -> StandinSettings:
    return StandinSettings(
        frames=int(rng.integers(family.frames[0], family.frames[1] + 1)),
        size_px=family.size_px,
        depth_size_px=family.depth_size_px,
        seed=seed,
        variety=VARIETY,
        workers=1,
    )


def _paced(script: Script, rng: np.random.Generator) -> Script:
    """Return a script in which each action takes its own time, as it does from day to day."""
    document = script.model_dump(mode="json", by_alias=True)
    for step in document["steps"]:
        for action in step.get("actions", ()):
            action["share"] = float(action["share"] * np.exp(rng.normal(0, 0.3)))
    return Script.model_validate(document)


def _with_mishaps(members: list[Member], rng: np.random.Generator) -> list[Member]:
    """Return the members with other frame rates and mishaps, spread over all of them."""
    found = list(members)
    befalls = [*(("fps", fps) for fps in OTHER_FPS), *((name, FPS) for name in mishaps.MISHAPS)]
    places = rng.permutation(len(members))[: min(len(befalls), len(members) // 2)]
    for place, (name, fps) in zip(places, befalls, strict=False):
        one = found[place]
        seconds = one.settings.frames / FPS
        changed = one.settings.model_copy(update={"fps": fps, "frames": round(seconds * fps)})
        found[place] = Member(
            one.episode, one.session, one.side, one.activity, one.script, changed,
            "" if name == "fps" else name,
        )  # fmt: skip
    return found


def write_family(
    folder: Path, settings: FamilySettings, on_progress: OnProgress | None = None
) -> list[dict[str, str | int]]:
    """Write a family of simulated episodes, each whole or not at all.

    Parameters
    ----------
    folder : Path
        Each episode gets a folder in it; simulated ones that are there are replaced.
    settings : FamilySettings
    on_progress : callable, optional
        Called with the stage "episodes", what is done and the total.

    Returns
    -------
    list of dict
        Rows of the roster, in the order of the family: the columns of
        `xperience.cohort.roster.Entry`, folders relative to ``folder``.

    Raises
    ------
    ParamsError
        If activities or words cannot be used, or a folder holds something else.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    members = plan_family(settings)
    for member in members:
        check_replaceable(folder / member.episode)
    tell = on_progress or (lambda stage, done, total: None)
    tell("episodes", 0, len(members))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(settings.workers, len(members)), mp_context=context) as pool:
        futures = [pool.submit(write_member, folder, member) for member in members]
        try:
            for done in _finished(futures):
                tell("episodes", done, len(members))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [_row(folder, member) for member in members]


def write_member(folder: Path, member: Member) -> None:
    """Write one episode of a family."""
    with tempfile.TemporaryDirectory(prefix=f".{member.episode}.", dir=folder) as scratch:
        script = Path(scratch) / "script.yaml"
        document = member.script.model_dump(mode="json", by_alias=True, exclude_none=True)
        script.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        settings = member.settings.model_copy(update={"script": script})
        mishap = mishaps.MISHAPS[member.mishap] if member.mishap else None
        write_episode(folder / member.episode, settings, mishap=mishap)


def _finished(futures: list[Future]) -> Iterator[int]:
    pending, total = set(futures), len(futures)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        yield total - len(pending)


def _row(folder: Path, member: Member) -> dict[str, str | int]:
    files = [path for path in (folder / member.episode).iterdir() if path.name != MARK]
    return {
        "episode": member.episode,
        "folder": member.episode,
        "session": member.session,
        "side": member.side,
        "activity": member.script.main_task,
        "size_bytes": sum(path.stat().st_size for path in files),
    }
