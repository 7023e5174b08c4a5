"""A family of simulated episodes: different wearers, kitchens, activities and ways of wording.

What a family has that one recording has not: sessions of one or two episodes, each with a wearer,
a kitchen and an annotator of its own; activities that come back in other sessions, and one that
only the test split has; episodes with another frame rate or an injected fault: without a modality,
with a video that stops early or a body that is lost for a while, as in any large collection.
"""

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import h5py
import numpy as np
import yaml

from xperience.progress import OnProgress, quiet
from xperience.recording import layout
from xperience.standin.mark import MARK, check_replaceable
from xperience.standin.raycast import compile_caster
from xperience.standin.script import Script, activities, choose_words, read_words, worded
from xperience.standin.settings import FPS, FamilySettings, StandinSettings
from xperience.standin.write import write_episode
from xperience.storage import file_url

SPLITS = ("train", "val", "test")
VARIETY = 1.5
"""How far wearers and kitchens of a family stray from average ones, against the stand-in's."""
OTHER_FPS = (15.0, 30000 / 1001)

_TWO_EPISODES_SHARE = 0.4
_STOPS_AT = 0.7  # share of a video after which it breaks off
_LOST = (0.4, 0.5)  # shares of the recording between which a body or hand is lost


@dataclass(frozen=True)
class Member:
    """One episode of a family, before it is written."""

    episode: str
    session: str
    side: str
    activity: Path
    script: Script  # the activity as the session's annotator words it
    settings: StandinSettings  # without the script's path
    fault: str = ""  # name in `FAULTS` of what is injected; empty for nothing


def plan_family(settings: FamilySettings) -> list[Member]:
    """Return every episode that a family will have, train split first."""
    rng = np.random.default_rng([settings.seed, 20])
    files, words = activities(settings.activities), read_words(settings.activities)
    order = [files[place] for place in rng.permutation(len(files))]
    known, withheld = (order[:-1], order[-1]) if len(order) > 1 else (order, order[0])
    members: list[Member] = []
    n_sessions = 0
    for side, count in zip(SPLITS, settings.splits, strict=True):
        todo = count
        while todo:
            size = 2 if todo > 1 and rng.random() < _TWO_EPISODES_SHARE else 1
            n_sessions += 1
            session = f"s{n_sessions:02d}"
            spoken = choose_words(words, rng)
            for number in range(size):
                first_of_test = side == "test" and todo == count and number == 0
                activity = withheld if first_of_test else known[len(members) % len(known)]
                wearer = int(rng.integers(2**31)) if number == 0 else members[-1].settings.seed
                script = _paced(worded(activity, spoken), rng)
                own = StandinSettings(
                    frames=int(rng.integers(settings.frames[0], settings.frames[1] + 1)),
                    size_px=settings.size_px,
                    depth_size_px=settings.depth_size_px,
                    seed=wearer,
                    variety=VARIETY,
                    workers=1,
                )
                name = f"{session}__ep{number + 1}"
                members.append(Member(name, session, side, activity, script, own))
            todo -= size
    return _with_faults(members, rng) if settings.inject_faults else members


def _paced(script: Script, rng: np.random.Generator) -> Script:
    """Return a script in which each action takes its own time, as it does from day to day."""
    document = script.document()
    for step in document["steps"]:
        for action in step.get("actions", ()):
            action["share"] = float(action["share"] * np.exp(rng.normal(0, 0.3)))
    return Script.model_validate(document)


def _with_faults(members: list[Member], rng: np.random.Generator) -> list[Member]:
    """Return the members with other frame rates and faults, spread over all of them."""
    found = list(members)
    injected = [*(("", fps) for fps in OTHER_FPS), *((name, FPS) for name in FAULTS)]
    places = rng.permutation(len(members))[: min(len(injected), len(members) // 2)]
    for place, (fault, fps) in zip(places, injected, strict=False):
        settings = found[place].settings
        changed = {"fps": fps, "frames": round(settings.frames / FPS * fps)}
        settings = settings.model_copy(update=changed)
        found[place] = replace(found[place], settings=settings, fault=fault)
    return found


def write_family(
    folder: Path, settings: FamilySettings, on_progress: OnProgress | None = None
) -> list[dict[str, str | int]]:
    """Write a family of simulated episodes, each whole or not at all; return its split manifest.

    Each episode gets a folder in ``folder``; simulated ones that are there are replaced. Rows have
    the columns of `xperience.cohort.manifest.Entry`, their folders relative to ``folder``. If
    activities or words cannot be used, or a folder holds something else, that is a ParamsError.
    """
    folder, tell = Path(folder), on_progress or quiet
    folder.mkdir(parents=True, exist_ok=True)
    members = plan_family(settings)
    for member in members:
        check_replaceable(folder / member.episode)
    compile_caster(tell)  # once, before each process would
    tell("episodes", 0, len(members))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(settings.workers, len(members)), mp_context=context) as pool:
        futures = [pool.submit(write_member, folder, member) for member in members]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                tell("episodes", done, len(members))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [_row(folder, member) for member in members]


def write_member(folder: Path, member: Member) -> None:
    """Write one episode of a family."""
    with tempfile.TemporaryDirectory(prefix=f".{member.episode}.", dir=folder) as scratch:
        script = Path(scratch) / "script.yaml"
        text = yaml.safe_dump(member.script.document(), allow_unicode=True)
        script.write_text(text, encoding="utf-8")
        settings = member.settings.model_copy(update={"script": script})
        write_episode(folder / member.episode, settings, fault=FAULTS.get(member.fault))


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


# -- fault injection ---------------------------------------------------------------------------


def _without_group(episode: Path, name: str) -> None:
    with h5py.File(episode / layout.ANNOTATION, "r+") as file:
        del file[name]


def _without_sound(episode: Path) -> None:
    for camera in layout.CAMERAS:
        _copy_pictures(episode / f"{camera}.mp4")


def _body_lost(episode: Path) -> None:
    """Lose the body, and the left hand, for a while: NaN and zeros, as trackers leave them."""
    with h5py.File(episode / layout.ANNOTATION, "r+") as file:
        for path, value in ((layout.KEYPOINTS, np.nan), (layout.HAND_LEFT, 0.0)):
            rows = file[path]
            first, last = (round(share * len(rows)) for share in _LOST)
            rows[first:last] = value


def _copy_pictures(path: Path, share: float = 1.0) -> None:
    """Write a video's pictures anew, up to a share of them, without its sound."""
    scratch = path.with_suffix(".part")
    with av.open(file_url(path)) as source, av.open(file_url(scratch), "w", format="mp4") as target:
        pictures = source.streams.video[0]
        kept = round(pictures.frames * share)
        copy = target.add_stream_from_template(pictures)
        for number, packet in enumerate(source.demux(pictures)):
            if packet.size and number < kept:
                packet.stream = copy
                target.mux(packet)
    scratch.replace(path)


FAULTS: dict[str, Callable[[Path], None]] = {
    "without_depth": partial(_without_group, name="depth"),
    "without_imu": partial(_without_group, name="imu"),
    "without_camera": lambda episode: (episode / f"{layout.CAMERAS[3]}.mp4").unlink(),
    "without_sound": _without_sound,
    "video_stops": lambda episode: _copy_pictures(episode / f"{layout.CAMERAS[1]}.mp4", _STOPS_AT),
    "body_lost": _body_lost,
}
"""What may be injected into an episode of a family, by name."""
