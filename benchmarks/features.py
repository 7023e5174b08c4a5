"""How long features take beside the least that reading the recording takes, in one paired run.

    python benchmarks/features.py [EPISODE] [--frames N] [--rounds N] [--workers N] [--json FILE]

Floor: every picture of the six videos decoded, the sound decoded, every depth and confidence map
read, and all thrown away. Ours: the whole of `xperience features`, from an empty cache to the table
on disk. Both run in processes of their own with as many workers, and count from when their
libraries are loaded. The two take turns, so that a slow spell of the machine hits both.
"""

import argparse
import json
import multiprocessing
import os
import resource
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
import pandas  # noqa: F401 pyarrow loads it for the first table

from xperience.features.extract import extract
from xperience.recording import layout

FRAMES, SIZE_PX, DEPTH_PX = 600, (640, 480), (320, 240)
BIT_RATE = 3_300_000  # bits a second: the public sample's fisheye videos, 120 MB in 291 s
GRAIN_SD = 3.0  # of 255: a small camera's noise indoors; with less the coder saves bits
DEPTH_ROWS = 64


def decode(path: str, kind: str) -> None:
    """Decode every frame of a file's video or audio, keep none."""
    with av.open(path) as container:
        stream = getattr(container.streams, kind)[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass


def read_depth(path: str) -> None:
    """Read every depth and confidence map, keep none."""
    with h5py.File(path) as file:
        depth, confidence = file[layout.DEPTH], file[layout.CONFIDENCE]
        for start in range(0, len(depth), DEPTH_ROWS):
            depth[start : start + DEPTH_ROWS], confidence[start : start + DEPTH_ROWS]


def floor(episode: Path, workers: int) -> None:
    """Read all there is, compute nothing."""
    videos = [(decode, str(episode / f"{camera}.mp4"), "video") for camera in layout.CAMERAS]
    sound = (decode, str(episode / f"{layout.AUDIO_CAMERA}.mp4"), "audio")
    jobs = [(read_depth, str(episode / layout.ANNOTATION)), *videos, sound]
    if workers == 1:
        for work, *arguments in jobs:
            work(*arguments)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for job in [pool.submit(*job) for job in jobs]:
            job.result()


def ours(episode: Path, workers: int) -> None:
    """Extract with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        extract(episode, Path(folder) / "windows.parquet", workers=workers)


STEPS = {"floor": floor, "ours": ours}


def do(step: str, episode: Path, workers: int) -> None:
    """Do a step; print its seconds of CPU and on the clock, and its largest process in MB."""
    clock, cpu = time.perf_counter(), cpu_s()
    STEPS[step](episode, workers)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak_mb = max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1e3
    print(json.dumps([cpu_s() - cpu, time.perf_counter() - clock, peak_mb]))


def cpu_s() -> float:
    """Return the CPU seconds of this process and its ended children."""
    return sum(os.times()[:4])


def measured(step: str, episode: Path, workers: int) -> dict[str, float]:
    """Do a step in a process of its own; return what it printed."""
    command = [sys.executable, __file__, str(episode), "--step", step, "--workers", str(workers)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    names = (f"{step}_cpu_s", f"{step}_s", f"{step}_mb")
    return dict(zip(names, json.loads(printed), strict=True))


def real_size(folder: Path, frames: int) -> Path:
    """Make the benchmark's recording unless it is there: a simulated one, enlarged to real size.

    Drawing the scene at this size would take long; what counts is how much there is to decode. So
    its videos are scaled to 640x480, with grain that has the coder spend its bits as on a camera's
    pictures, and its depth to 320x240.
    """
    if (folder / layout.ANNOTATION).is_file():
        return folder
    from xperience.standin.settings import StandinSettings
    from xperience.standin.write import write_episode

    print(f"making {folder} (once, a minute or two) …", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        small = write_episode(Path(scratch) / "small", StandinSettings(frames=frames))
        large = Path(scratch) / "large"
        large.mkdir()
        for camera in layout.CAMERAS:
            enlarge_video(small / f"{camera}.mp4", large / f"{camera}.mp4")
        enlarge_depth(small / layout.ANNOTATION, large / layout.ANNOTATION)
        large.rename(folder)
    return folder


def enlarge_video(source: Path, out: Path) -> None:
    """Scale a video to 640x480, add grain, keep its sound."""
    width, height = SIZE_PX
    rng = np.random.default_rng(0)
    grain = rng.normal(0, GRAIN_SD, (8, height, width, 3)).round().astype(np.int16)
    with av.open(str(source)) as old, av.open(str(out), "w") as new:
        sound = old.streams.audio[0]
        picture = new.add_stream("libx264", 20, width=width, height=height, pix_fmt="yuv420p")
        picture.options = {"preset": "veryfast"}
        picture.bit_rate = BIT_RATE
        copied = new.add_stream_from_template(sound)
        for packet in old.demux(sound, old.streams.video[0]):
            if packet.stream is sound and packet.dts is not None:
                packet.stream = copied
                new.mux(packet)
                continue
            for frame in packet.decode() if packet.stream is not sound else ():
                pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
                noisy = np.clip(pixels + grain[rng.integers(8)], 0, 255).astype(np.uint8)
                new.mux(picture.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        new.mux(picture.encode())


def enlarge_depth(source: Path, out: Path) -> None:
    """Copy an annotation with its depth and confidence scaled to 320x240, stored as they were."""
    with h5py.File(source) as old, h5py.File(out, "w") as new:
        for name in old:
            if name != "depth":
                old.copy(name, new)
        new.create_group("depth")
        for name, node in old["depth"].items():
            if node.ndim != 3:
                old.copy(node, new["depth"])
                continue
            shape = (len(node), *DEPTH_PX[::-1])
            stored = {"compression": "gzip", "compression_opts": 1, "shuffle": node.shuffle}
            kept = new.create_dataset(
                f"depth/{name}", shape, node.dtype, chunks=(1, *shape[1:]), **stored
            )
            for row, image in enumerate(node):
                kept[row] = enlarge_map(image.astype(np.float32))


def enlarge_map(image: np.ndarray) -> np.ndarray:
    """Scale a map; nothing is made up between what was measured and 0, which is no measurement."""
    between = cv2.resize((image > 0).astype(np.float32), DEPTH_PX) % 1 > 0
    nearest = cv2.resize(image, DEPTH_PX, interpolation=cv2.INTER_NEAREST)
    return np.where(between, nearest, cv2.resize(image, DEPTH_PX))


def describe(episode: Path) -> str:
    """Return what a recording's first video is."""
    with av.open(str(episode / f"{layout.CAMERAS[0]}.mp4")) as container:
        video = container.streams.video[0]
        rate = video.bit_rate / 1e6
        return f"{video.frames} frames, {video.width}x{video.height}, {rate:.2f} Mbit/s a video"


def main() -> int:
    """Print a row a round and the medians; status 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip  # noqa: E501
    parser.add_argument("episode", nargs="?", type=Path, help="default: a simulated one")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of the simulated one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes, of both")
    parser.add_argument("--target", type=float, default=1.2, help="ratio of CPU not to be passed")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--step", choices=STEPS, help="do this once and print what it took")
    args = parser.parse_args()
    if args.step:
        do(args.step, args.episode, args.workers)
        return 0
    made = Path(tempfile.gettempdir()) / f"xperience-bench-{args.frames}"
    episode = args.episode or real_size(made, args.frames)
    print(describe(episode), flush=True)
    titles = ("floor cpu", "ours cpu", "ratio", "floor s", "ours s", "ratio", "ours MB")
    print(f"{'round':>6}", *(f"{title:>9}" for title in titles))
    rows = []
    for number in range(1, args.rounds + 1):
        row = measured("floor", episode, args.workers) | measured("ours", episode, args.workers)
        row |= {"ratio_cpu": row["ours_cpu_s"] / row["floor_cpu_s"]}
        row |= {"ratio": row["ours_s"] / row["floor_s"]}
        rows.append(row)
        print(f"{number:>6}", line(row), flush=True)
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    print(f"{'median':>6}", line(median))
    missed = median["ratio_cpu"] > args.target
    print(f"at most {args.target:g} of CPU is the target: {'missed' if missed else 'met'}")
    if args.json:
        args.json.write_text(json.dumps({"rounds": rows, "median": median}, indent=1))
    return int(missed)


def line(row: dict[str, float]) -> str:
    """Return the figures of a round for the terminal."""
    numbers = [row[name] for name in ("floor_cpu_s", "ours_cpu_s", "ratio_cpu", "floor_s", "ours_s", "ratio")]  # fmt: skip  # noqa: E501
    return " ".join([*(f"{number:9.2f}" for number in numbers), f"{row['ours_mb']:9.0f}"])


if __name__ == "__main__":
    raise SystemExit(main())
