"""The work on many recordings, a shard at a time: stage, featurise, discard if asked, report.

A shard is minutes of work. What is done stays done: a shard that is started again goes on where it
stopped. A recording that cannot be used is reported with its fault, and the rest goes on.
"""

import heapq
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
from pydantic import BaseModel, ConfigDict, ValidationError

from xperience.cohort.manifest import Entry, SplitManifest
from xperience.errors import XperienceError
from xperience.features.blocks import CONTRACTS
from xperience.hub.source import STORE, SampleSource, is_own_download, is_unfinished
from xperience.outputs import check_output
from xperience.progress import OnProgress, quiet
from xperience.recording import layout
from xperience.recording.files import SLIM, recording_digests, recording_files
from xperience.sources import source_digests, sources_of
from xperience.standin.mark import is_simulated, write_mark
from xperience.storage import remove_folder, value_digest, whole_file, write_text

BULK = ("depth", layout.POINT_CLOUD)
"""What of an annotation is not needed once the windows are made: most of its bytes."""
Stage = Callable[[Entry, Path], object]
"""Brings an episode's files into a folder, unless they are there; called for each episode."""


class ShardError(XperienceError):
    """A shard that cannot be worked on."""


class Done(BaseModel):
    """What became of one episode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode: str
    status: Literal["ok", "failed"]
    reason: str = ""  # why it failed
    n_frames: int = 0
    n_windows: int = 0
    bytes_read: int = 0  # of its files when windows were made
    bytes_freed: int = 0  # of depth, cloud and videos that were discarded
    seconds: float = 0.0  # wall time of featurising, when it was done
    workers: int = 1  # processes that shared it
    table_bytes: int = 0  # of its windows tables
    missing: dict[str, str] = {}  # feature blocks that the recording lacks, and why
    key: tuple[str, ...] = ()  # of files (before and after discarding) and code of the windows
    code: str = ""  # the code alone: all that can be compared once files are discarded


class ShardReport(BaseModel):
    """What became of the episodes of shard number ``shard``, from 0, of ``of`` shards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shard: int
    of: int
    episodes: tuple[Done, ...]

    @property
    def failed(self) -> list[Done]:
        """The episodes that could not be used."""
        return [one for one in self.episodes if one.status == "failed"]


def split_shards(manifest: SplitManifest, n_shards: int) -> list[list[Entry]]:
    """Return the episodes of every shard: about the same bytes each, the same every time.

    If there are fewer episodes than shards, that is a ShardError.
    """
    if not 1 <= n_shards <= len(manifest):
        raise ShardError(
            "shards", f"are {n_shards}", f"1 to {len(manifest)}, the episodes there are",
            "Take fewer shards.",
        )  # fmt: skip
    shards: list[list[Entry]] = [[] for _ in range(n_shards)]
    loads = [(0, 0, number) for number in range(n_shards)]
    for entry in sorted(manifest, key=lambda one: (-one.size_bytes, one.episode)):
        load, count, number = loads[0]
        shards[number].append(entry)
        heapq.heapreplace(loads, (load + entry.size_bytes, count + 1, number))
    return [sorted(shard, key=lambda one: one.episode) for shard in shards]


def stage_from(dataset: SampleSource, say: Callable[[str], None] = print) -> Stage:
    """Return what downloads an episode of a dataset, with resume and checks.

    A folder that was filled otherwise stays as it is. What arrived of an episode that cannot be had
    is kept, and the next call goes on from there. ``say`` takes each line for the user, the licence
    first.
    """
    from xperience.hub.download import download_episode  # noqa: PLC0415 - a library for the network

    def stage(entry: Entry, folder: Path) -> None:
        if not folder.is_dir() or (folder / STORE).is_dir():
            source = dataset.model_copy(update={"folder": entry.folder})
            download_episode(source, folder, say=say)

    return stage


# The work on one shard


@dataclass(frozen=True)
class Work:
    """How episodes are worked on."""

    out: Path  # the run's folder: tables go to ``windows/``, reports to ``shards/``
    discard: bool = False
    """Whether to drop depth, cloud and videos of an episode whose windows are made. Only what was
    downloaded or simulated is dropped; any other recording stays whole."""
    stage: Stage | None = None  # without it an episode that is not there is a failed one
    workers: int = 1  # processes per recording


def run_shard(
    manifest: SplitManifest,
    shard: int,
    n_shards: int,
    work: Work,
    on_progress: OnProgress | None = None,
) -> ShardReport:
    """Work on the episodes of one shard, counted from 0, and write its report.

    If there is no such shard, that is a ShardError; if a recording lies where tables, reports or
    the cache would be, an OutputError.
    """
    if not 0 <= shard < n_shards:
        raise ShardError("shard", f"is {shard}", f"0 to {n_shards - 1}", "Count from 0.")
    entries = split_shards(manifest, n_shards)[shard]
    for part in ("windows", "shards", "cache"):
        check_output(Path(work.out) / part, map(manifest.folder, manifest), emptied=True)
    code = value_digest(source_digests(sources_of("xperience.features")))[:16]
    tell, found = on_progress or quiet, []
    for number, entry in enumerate(entries):
        tell("episodes", number, len(entries))
        folder = manifest.folder(entry)
        one = _kept(work.out, folder, entry, code)
        if one is None:
            one = _worked(folder, entry, work, code)
            _write_done(work.out, one)
        can_be_had_again = is_slim, is_own_download, is_simulated
        if work.discard and one.status == "ok" and any(of(folder) for of in can_be_had_again):
            slim(folder)  # after it was written that windows count, for fear of a kill
            key = _key(folder, one.code)
            if key not in one.key:
                freed = one.bytes_read - recording_bytes(folder)
                one = one.model_copy(update={"bytes_freed": freed, "key": (*one.key, key)})
                _write_done(work.out, one)
        found.append(one)
    tell("episodes", len(entries), len(entries))
    report = ShardReport(shard=shard, of=n_shards, episodes=tuple(found))
    write_text(report_path(work.out, shard), report.model_dump_json(indent=1) + "\n")
    return report


def tables_of(out: Path, episode: str) -> list[Path]:
    """Return where an episode's windows tables are, one a contract."""
    kinds = ["" if contract == "published" else f".{contract}" for contract in CONTRACTS]
    return [Path(out) / "windows" / f"{episode}{kind}.parquet" for kind in kinds]


def report_path(out: Path, shard: int) -> Path:
    """Return where a shard's report is."""
    return Path(out) / "shards" / f"shard-{shard:04d}.json"


def _done_path(out: Path, episode: str) -> Path:
    return Path(out) / "shards" / "episodes" / f"{episode}.json"


def _write_done(out: Path, done: Done) -> None:
    write_text(_done_path(out, done.episode), done.model_dump_json() + "\n")


def _kept(out: Path, folder: Path, entry: Entry, code: str) -> Done | None:
    """Return what an earlier start made of an episode, if it still holds."""
    try:
        text = _done_path(out, entry.episode).read_text(encoding="utf-8")
        done = Done.model_validate_json(text)
    except (OSError, ValidationError):
        return None  # never done, or cut off: it is done now
    if done.status != "ok" or not all(map(Path.is_file, tables_of(out, entry.episode))):
        return None
    same = done.code == code if is_slim(folder) else _key(folder, code) in done.key
    return done.model_copy(update={"code": code}) if same else None


def _worked(folder: Path, entry: Entry, work: Work, code: str) -> Done:
    """Return what became of an episode: its windows are made, or a reason is given."""
    from xperience.features.extract import extract  # noqa: PLC0415 brings decoders: plans need none
    from xperience.features.table import WindowTable  # noqa: PLC0415
    from xperience.recording.inspect import inspect_episode  # noqa: PLC0415

    cache, tables = Path(work.out) / "cache" / entry.episode, tables_of(work.out, entry.episode)
    try:
        _stage(folder, entry, work)
        report = inspect_episode(folder)
        if report.usable:
            before, read = _key(folder, code), recording_bytes(folder)
            began = time.perf_counter()
            for contract, table in zip(CONTRACTS, tables, strict=True):
                info = extract(folder, table, contract=contract, cache=cache, workers=work.workers)
            remove_folder(cache)  # finished streams only serve the other contract
            return Done(
                episode=entry.episode,
                status="ok",
                n_frames=report.n_frames,
                n_windows=len(WindowTable(tables[0])),
                bytes_read=read,
                seconds=round(time.perf_counter() - began, 3),
                workers=work.workers,
                table_bytes=sum(table.stat().st_size for table in tables),
                missing=info.missing_blocks,
                key=(before,),
                code=code,
            )
        reason = "; ".join(map(str, report.faults)) or "it cannot be read"
    except (XperienceError, OSError) as error:
        reason = " ".join(str(error).split())
    key = (_key(folder, code),)
    return Done(episode=entry.episode, status="failed", reason=reason, key=key, code=code)


def _stage(folder: Path, entry: Entry, work: Work) -> None:
    """See that the whole recording is there: windows of less would be worse, and nobody see it."""
    if is_slim(folder):
        raise ShardError(
            entry.episode, "has had its videos and depth discarded", "the whole recording",
            "Move its folder away and stage it again.",
        )  # fmt: skip
    if work.stage is not None:
        work.stage(entry, folder)
    if is_unfinished(folder):
        raise ShardError(
            entry.episode, "has arrived in part", "a finished download",
            "Run the shard again with --dataset: the download goes on where it stopped.",
        )  # fmt: skip


def recording_bytes(folder: Path) -> int:
    """Return the bytes of a recording's files."""
    return sum(path.stat().st_size for path in recording_files(folder).values())


def _key(folder: Path, code: str) -> str:
    """Return what stands for a recording's files, without reading them, and for the code."""
    files = {path.name: path for path in folder.glob("*") if path.is_file()}
    files = sorted((files | recording_files(folder)).items())
    stats = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files]
    return value_digest([code, stats])[:16]


# Recordings without their bulk


def is_slim(episode: Path) -> bool:
    """Return whether a recording has been made slim, or was about to be when it was cut off."""
    try:
        with h5py.File(episode / layout.ANNOTATION) as file:
            return SLIM in file.attrs
    except OSError:
        return False  # absent or broken: others tell


def slim(episode: Path) -> None:
    """Drop depth, cloud and videos of a recording in place; labels, poses, hands and body stay.

    The annotation is copied without its bulk and replaced only when the copy is whole; videos are
    removed after that, so that an interrupted call can be made again. A slim one stays as it is.
    """
    path = episode / layout.ANNOTATION
    videos = [video for video in episode.glob("*.mp4") if video.stem in layout.CAMERAS]
    ours, is_whole = is_simulated(episode), not is_slim(episode)
    if is_whole:
        noted = json.dumps(recording_digests(episode))
        with (
            whole_file(path, in_recording=True) as scratch,
            h5py.File(path) as source,
            h5py.File(scratch, "w") as target,
        ):
            _copy_slim(source, target)
            target.attrs[SLIM] = noted
    for video in videos:
        video.unlink()
    if ours and (is_whole or videos):
        write_mark(episode)


def _copy_slim(source: h5py.Group, target: h5py.Group, above: str = "") -> None:
    target.attrs.update(source.attrs)
    for name, item in source.items():
        path = f"{above}/{name}".lstrip("/")
        if path in BULK:
            continue
        if isinstance(item, h5py.Group):
            _copy_slim(item, target.create_group(name), path)
        else:
            source.copy(item, target, name)


# How far a cohort is


def read_reports(out: Path) -> list[ShardReport]:
    """Return the reports of all shards that are done.

    If a report cannot be read, that is a ShardError.
    """
    found = []
    for path in sorted((Path(out) / "shards").glob("shard-*.json")):
        try:
            found.append(ShardReport.model_validate_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ShardError(
                path.name, f"is no report ({error})", "what a shard writes", "Run that shard again."
            ) from error
    return found


def changed_episodes(manifest: SplitManifest, out: Path) -> dict[int, list[str]]:
    """Return by shard the episodes whose files are no longer those that its report tells of.

    One that failed counts only if its files have changed since: it would fail again otherwise.

    If a report cannot be read, that is a ShardError.
    """
    folders = {entry.episode: manifest.folder(entry) for entry in manifest}

    def is_changed(done: Done) -> bool:
        folder = folders.get(done.episode)
        there = folder is not None and folder.is_dir() and not is_slim(folder)
        return there and _key(folder, done.code) not in done.key

    found = {
        report.shard: [done.episode for done in report.episodes if is_changed(done)]
        for report in read_reports(out)
    }
    return {shard: episodes for shard, episodes in found.items() if episodes}


def status_text(manifest: SplitManifest, reports: Sequence[ShardReport]) -> str:
    """Return how far a cohort is: shards, episodes, faults, throughput."""
    done = [one for report in reports for one in report.episodes]
    failed = [one for report in reports for one in report.failed]
    lines = [
        f"shards: {len(reports)} of {reports[0].of if reports else 'none planned yet'}",
        f"episodes: {len(done) - len(failed)} ok, {len(failed)} failed, "
        f"{len(manifest) - len(done)} to do",
    ]
    worked = [one for one in done if one.status == "ok" and one.seconds]
    if worked:
        seconds = sum(one.seconds for one in worked)
        frames = sum(one.n_frames for one in worked) / seconds
        read_mb = sum(one.bytes_read for one in worked) / seconds / 1e6
        lines.append(f"throughput: {frames:.0f} frames and {read_mb:.1f} MB a second and job")
    lines += [f"failed: {one.episode}: {one.reason}" for one in failed]
    return "\n".join(lines)
