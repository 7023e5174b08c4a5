"""A simulated episode on disk, whole or not at all."""

import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from xperience.outputs import check_output
from xperience.progress import OnProgress
from xperience.recording import layout
from xperience.recording.geometry import Transform
from xperience.standin import annotation, sensors, video
from xperience.standin.mark import check_replaceable, write_mark
from xperience.standin.picture import Gallery, Picture
from xperience.standin.scene import Scene, build_scene
from xperience.standin.settings import StandinSettings
from xperience.standin.sound import soundtrack

_DEPTH_STRIDE = 200


def write_episode(
    folder: Path,
    settings: StandinSettings,
    on_progress: OnProgress | None = None,
    mishap: Callable[[Path], object] | None = None,
) -> Path:
    """Write a simulated episode: ``annotation.hdf5`` and six videos with sound.

    Parameters
    ----------
    folder : Path
        Where the episode belongs; an older simulated episode there is replaced.
    settings : StandinSettings
        Equal settings give equal annotation arrays, whatever the number of workers.
    on_progress : callable, optional
        Called with a stage ("scene", "annotation", "depth", "videos"), what is done and the total.
    mishap : callable, optional
        Changes the episode's folder before it is in place; see `xperience.standin.mishaps`.

    Returns
    -------
    Path
        The folder. It appears, or changes, only when everything in it is written.

    Raises
    ------
    ParamsError
        If the folder holds anything but an episode that bears the simulator's mark, or the script
        is unusable.
    OutputError
        If the folder lies in a recording.
    """
    folder = Path(folder)
    tell = on_progress or (lambda stage, done, total: None)
    check_replaceable(folder)
    check_output(folder.absolute().parent)
    tell("scene", 0, 1)
    scene = build_scene(settings)
    tell("scene", 1, 1)
    with (
        _whole_folder(folder) as scratch,
        tempfile.TemporaryDirectory(
            prefix=f".{folder.name}.", suffix=".scene", dir=folder.parent
        ) as shared,
    ):
        _fill(scratch, Path(shared), scene, settings, tell)
        if mishap is not None:
            mishap(scratch)
        write_mark(scratch)
        check_replaceable(folder)  # it may have been filled meanwhile
    return folder


def _fill(
    scratch: Path, shared: Path, scene: Scene, settings: StandinSettings, tell: OnProgress
) -> None:
    gallery = Gallery.of(scene.solids, settings.seed)
    gallery.save(shared)
    sound = shared / "sound.mp4"
    video.encode_sound(soundtrack(scene.plan.events, settings), sound)
    # compiles the ray caster, or loads it, once: workers that start later find it in the cache
    Picture(sensors.cameras(settings)[layout.CAMERAS[0]].model.scaled((16, 16)), gallery).draw(
        0, Transform(np.eye(3), np.zeros(3), "world", layout.CAMERAS[0])
    )
    jobs = _jobs(scratch, shared, scene, settings)
    path = scratch / layout.ANNOTATION
    context = multiprocessing.get_context("spawn")
    workers = min(settings.workers, len(jobs))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(video.write_video, job) for job in jobs]
        try:
            tell("annotation", 0, 1)
            annotation.write_annotation(path, scene, settings, gallery)
            tell("annotation", 1, 1)
            annotation.write_depth(path, scene, settings, gallery, _sparsely(tell))
            _await(futures, tell)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _sparsely(tell: OnProgress) -> annotation.Progress:
    def on_frame(done: int, total: int) -> None:
        if done == total or done % _DEPTH_STRIDE == 0:
            tell("depth", done, total)

    return on_frame


def _await(futures: list[Future], tell: OnProgress) -> None:
    pending, total = set(futures), len(futures)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        tell("videos", total - len(pending), total)


def _jobs(
    scratch: Path, shared: Path, scene: Scene, settings: StandinSettings
) -> list[video.VideoJob]:
    poses = sensors.rig_from_world(*scene.wearer.rig(scene.time_s))
    jobs = []
    for name, camera in sensors.cameras(settings).items():
        pose = camera.from_rig @ poses
        jobs.append(
            video.VideoJob(
                scratch / f"{name}.mp4",
                camera.model,
                np.ascontiguousarray(pose.rotation),
                pose.translation,
                shared,
                shared / "sound.mp4",
                settings.fps,
            )
        )
    return jobs


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a scratch folder beside ``folder`` that takes its place only if the block succeeds."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        if folder.is_dir():
            old = scratch.with_suffix(".old")
            folder.rename(old)
            scratch.rename(folder)
            shutil.rmtree(old)
        else:
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
