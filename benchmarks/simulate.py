"""What simulating a recording costs, stage by stage: seconds and CPU seconds per 1,000 frames.

    python benchmarks/simulate.py [--frames N]

Stages run one after the other in one thread: cast (six videos and depth), encode (six videos),
depth (noise, confidence and storing), rest (scene, sound, annotation). What there is to compile is
compiled before, and told apart.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from xperience.progress import quiet
from xperience.recording import layout
from xperience.standin import write
from xperience.standin.raycast import Renderer, compile_caster
from xperience.standin.scene import build_scene
from xperience.standin.sensors import cameras
from xperience.standin.settings import StandinSettings
from xperience.standin.sound import soundtrack

SPENT: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
"""Seconds and CPU seconds of each stage."""


@contextmanager
def spent_on(stage: str) -> Iterator[None]:
    """Add what the block takes to a stage."""
    begin = np.array([time.perf_counter(), time.process_time()])
    yield
    SPENT[stage] += np.array([time.perf_counter(), time.process_time()]) - begin


def simulate(folder: Path, settings: StandinSettings) -> None:
    """Do what `write_episode` does, one stage after the other."""
    with spent_on("rest"):
        scene = build_scene(settings)
        write.encode_sound(soundtrack(scene.plan.events, settings))
        write.write_annotation(folder / layout.ANNOTATION, scene, settings)
    rig, rate = cameras(settings), Fraction(settings.fps).limit_denominator(1001)
    for camera in rig.values():
        renderer, poses = Renderer(camera.model, scene, settings.seed), camera.from_rig @ scene.rig
        with av.open(str(folder / f"{camera.name}.mp4"), "w") as container:
            stream = write.video_stream(container, camera.model.size_px, rate)
            for number in range(settings.frames):
                with spent_on("cast"):
                    renderer.draw(number, poses[number])
                with spent_on("encode"):
                    frame = av.VideoFrame.from_ndarray(renderer.rgb, format="rgb24")
                    container.mux(stream.encode(frame))
            with spent_on("encode"):
                container.mux(stream.encode(None))
    camera = rig[layout.STEREO_CAMERAS[0]]
    renderer = Renderer(camera.model.scaled(settings.depth_size_px), scene, settings.seed)
    poses = camera.from_rig @ scene.rig
    with spent_on("depth cast"):
        for number in range(settings.frames):
            renderer.draw(number, poses[number])
    with spent_on("depth"):
        write.write_depth(folder / layout.ANNOTATION, scene, settings, quiet)
    SPENT["depth"] -= SPENT["depth cast"]  # it casts as well
    SPENT["cast"] += SPENT.pop("depth cast")


def main() -> None:
    """Print what each stage took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    settings = StandinSettings(frames=parser.parse_args().frames)
    with spent_on("compile"):
        compile_caster(quiet)
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), settings)
    compiled = SPENT.pop("compile")
    per_1000 = {stage: 1000 / settings.frames * spent for stage, spent in SPENT.items()}
    per_1000["in all"] = np.sum(list(per_1000.values()), axis=0)
    print(f"{'per 1,000 frames':<18}{'seconds':>9}{'CPU':>9}")
    for stage, (seconds, cpu) in per_1000.items():
        print(f"{stage:<18}{seconds:>9.2f}{cpu:>9.2f}")
    print(f"{'compiling, once':<18}{compiled[0]:>9.2f}{compiled[1]:>9.2f}")


if __name__ == "__main__":
    main()
