"""A simulated episode on disk, whole or not at all."""

import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from xperience.episode import layout
from xperience.errors import ParamsError
from xperience.geometry import Transform
from xperience.progress import OnProgress
from xperience.simulator import annotation, sensors, video
from xperience.simulator.picture import Gallery, Picture
from xperience.simulator.scene import Scene, build_scene
from xperience.simulator.settings import StandinSettings
from xperience.simulator.sound import soundtrack

_DEPTH_STRIDE = 200


def write_episode(
    folder: Path, settings: StandinSettings, on_progress: OnProgress | None = None
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

    Returns
    -------
    Path
        The folder. It appears, or changes, only when everything in it is written.

    Raises
    ------
    ParamsError
        If the folder holds something else than a simulated episode, or the script is unusable.
    """
    folder = Path(folder)
    tell = on_progress or (lambda stage, done, total: None)
    _check_folder(folder)
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


def _check_folder(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not is_standin(folder)):
        raise ParamsError(
            str(folder),
            "holds something that the simulator did not write",
            "a new or empty folder, or a simulated episode",
            "Name another folder, or empty this one yourself.",
        )


def is_standin(folder: Path) -> bool:
    """Return whether a folder holds a simulated episode and nothing else."""
    known = {layout.ANNOTATION, *(f"{camera}.mp4" for camera in layout.CAMERAS)}
    path = folder / layout.ANNOTATION
    if not path.is_file() or {child.name for child in folder.iterdir()} - known:
        return False
    try:
        with h5py.File(path) as file:
            return "metadata/generator" in file and (
                file["metadata/generator"].asstr()[()] == annotation.GENERATOR
            )
    except OSError:
        return False


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
