"""How long features take beside the least that reading the recording takes, in one paired run.

    python benchmarks/features.py [EPISODE] [--rounds N] [--json FILE]

Floor: every frame of the six videos decoded and thrown away, every depth and confidence map read
and thrown away, as separate jobs in as many processes as ours uses. Ours: the whole of
`xperience features`, from an empty cache to the table on disk. The two take turns, so that a slow
spell of the machine hits both; the ratio is taken round by round.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import psutil

from xperience.features.extract import extract
from xperience.recording import layout

DEFAULT_EPISODE = Path("artifacts/bench/episode")
DEPTH_ROWS = 64
VIDEO_BIT_RATE = 3_300_000  # bits a second: the public sample's fisheye videos, 120 MB in 291 s


def decode(path: str) -> int:
    """Decode every frame, keep none."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def read_depth(path: str) -> int:
    """Read every depth and confidence map, keep none."""
    with h5py.File(path) as file:
        depth, confidence = file[layout.DEPTH], file[layout.CONFIDENCE]
        for start in range(0, len(depth), DEPTH_ROWS):
            depth[start : start + DEPTH_ROWS], confidence[start : start + DEPTH_ROWS]
        return len(depth)


def floor(episode: Path, workers: int) -> None:
    """Read all there is, compute nothing."""
    videos = [str(episode / f"{camera}.mp4") for camera in layout.CAMERAS]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        jobs = [pool.submit(read_depth, str(episode / layout.ANNOTATION))]
        jobs += [pool.submit(decode, video) for video in videos]
        for job in jobs:
            job.result()


def ours(episode: Path, workers: int) -> None:
    """Extract with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        extract(episode, Path(folder) / "windows.parquet", workers=workers)


STEPS = {"floor": floor, "ours": ours}


def measured(step: str, episode: Path, workers: int) -> tuple[float, float]:
    """Run a step in a process of its own; return seconds and peak memory in MB.

    The memory is the resident memory of the process and its workers, added up: libraries that
    they share count once each.
    """
    command = [sys.executable, __file__, str(episode), "--step", step, "--workers", str(workers)]
    start, peak_mb = time.perf_counter(), 0.0
    with subprocess.Popen(command) as running:
        watched = psutil.Process(running.pid)
        while running.poll() is None:
            peak_mb = max(peak_mb, resident_mb(watched))
            time.sleep(0.05)
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, peak_mb


def resident_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process and its children in MB; 0 once it has ended."""
    try:
        members = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in members) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def real_size(folder: Path) -> Path:
    """Make the benchmark's episode unless it is there: the stand-in, enlarged to real size.

    Drawing the scene at this size would take a quarter of an hour; what counts here is how much
    there is to decode, so its videos are scaled to 640x480, with grain that keeps the coder as
    busy as a camera's, and its depth to 320x240.
    """
    if (folder / layout.ANNOTATION).is_file():
        return folder
    from xperience.standin.settings import StandinSettings
    from xperience.standin.write import write_episode

    print(f"making {folder} (once, some minutes) …", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        small = write_episode(Path(scratch) / "small", StandinSettings())
        large = Path(scratch) / "large"
        large.mkdir()
        with ProcessPoolExecutor() as pool:
            names = [f"{camera}.mp4" for camera in layout.CAMERAS]
            list(pool.map(enlarge_video, [small / n for n in names], [large / n for n in names]))
        enlarge_depth(small / layout.ANNOTATION, large / layout.ANNOTATION)
        large.rename(folder)
    return folder


def enlarge_video(source: Path, out: Path) -> None:
    """Scale a video to 640x480, add grain, keep its sound."""
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 7, (8, 480, 640, 3), dtype=np.uint8)
    with av.open(str(source)) as old, av.open(str(out), "w") as new:
        sound = old.streams.audio[0]
        picture = new.add_stream("libx264", 20, width=640, height=480, pix_fmt="yuv420p")
        picture.options = {"preset": "veryfast"}
        picture.bit_rate = VIDEO_BIT_RATE
        copied = new.add_stream_from_template(sound)
        for packet in old.demux(sound, old.streams.video[0]):
            if packet.stream is sound and packet.dts is not None:
                packet.stream = copied
                new.mux(packet)
                continue
            for frame in packet.decode() if packet.stream is not sound else ():
                pixels = frame.to_ndarray(format="rgb24", width=640, height=480)
                noisy = cv2.add(pixels, grain[rng.integers(8)])
                new.mux(picture.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        new.mux(picture.encode())


def enlarge_depth(source: Path, out: Path) -> None:
    """Copy an annotation with its depth and confidence scaled to 320x240."""
    with h5py.File(source) as old, h5py.File(out, "w") as new:
        for name in old:
            if name != "depth":
                old.copy(name, new)
        new.create_group("depth")
        for name, node in old["depth"].items():
            if node.ndim != 3:
                old.copy(node, new["depth"])
                continue
            shape = (len(node), 240, 320)
            kept = new.create_dataset(
                f"depth/{name}", shape, node.dtype, chunks=(1, 240, 320), compression="gzip"
            )
            for row, image in enumerate(node):
                kept[row] = cv2.resize(image.astype(np.float32), (320, 240))


def main() -> int:
    """Print a row a round and the medians; status 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip  # noqa: E501
    parser.add_argument("episode", nargs="?", type=Path, help="default: a simulated one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--target", type=float, default=1.5, help="ratio that must not be passed")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--step", choices=STEPS, help="do this once and measure nothing")
    args = parser.parse_args()
    if args.step:
        STEPS[args.step](args.episode, args.workers)
        return 0
    DEFAULT_EPISODE.parent.mkdir(parents=True, exist_ok=True)
    episode = args.episode or real_size(DEFAULT_EPISODE)
    rows = []
    print(f"{'round':>6} {'floor s':>9} {'ours s':>9} {'ratio':>7} {'peak MB':>8}")
    for number in range(1, args.rounds + 1):
        floor_s, _ = measured("floor", episode, args.workers)
        ours_s, peak_mb = measured("ours", episode, args.workers)
        rows.append({"floor_s": floor_s, "ours_s": ours_s, "ratio": ours_s / floor_s, "peak_mb": peak_mb})  # fmt: skip  # noqa: E501
        print(f"{number:>6} {floor_s:9.2f} {ours_s:9.2f} {ours_s / floor_s:7.2f} {peak_mb:8.0f}")
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    print(f"median {median['floor_s']:9.2f} {median['ours_s']:9.2f} {median['ratio']:7.2f} {median['peak_mb']:8.0f}")  # fmt: skip  # noqa: E501
    if args.json:
        args.json.write_text(json.dumps({"rounds": rows, "median": median}, indent=1))
    return int(median["ratio"] > args.target)


if __name__ == "__main__":
    raise SystemExit(main())
