"""What a whole run costs beside the least that its parts could: bare decode, bare products.

    python benchmarks/run.py [RUN] [--json FILE]

Ours: the steps of the last `make reproduce`, as ``artifacts/RUN/reproduction.json`` lists them.
Floors, timed now: the recording's six videos decoded once, its sound and its depth read once, the
windows table read once, and one product of all windows' features with themselves in double
precision, which is what the linear heads of all tasks could share. Both in CPU seconds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features import floor as decode_and_read
from xperience.features.table import WindowTable
from xperience.recording.layout import ANNOTATION


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds that work takes, all its threads together."""
    before = time.process_time()
    work()
    return time.process_time() - before


def floors(folder: Path, run: str) -> dict[str, float]:
    """Return the CPU seconds of each part's floor, for what of the run is there."""
    found: dict[str, float] = {}
    episode, windows = folder / "episode", folder / "windows" / f"{run}.parquet"
    if (episode / ANNOTATION).is_file():
        found["decode and read the recording"] = cpu_s(lambda: decode_and_read(episode, 1))
    if windows.is_file():
        table = WindowTable(windows)
        found["read the windows table"] = cpu_s(table.matrix)
        features = np.nan_to_num(table.matrix().astype(np.float64))
        found["{} x {} features, times themselves".format(*features.shape)] = cpu_s(
            lambda: features @ features.T
        )
    return found


def line(name: str, seconds: float) -> str:
    """Return a row of the printed table."""
    return f"{name:<48} {seconds:9.1f}"


def main() -> int:
    """Print steps, floors and the ratio; status 1 if the run has not been made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip  # noqa: E501
    parser.add_argument("run", nargs="?", default="standin")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    folder = Path(os.environ.get("XPERIENCE_ROOT", ".")) / "artifacts" / args.run
    told = folder / "reproduction.json"
    steps = json.loads(told.read_text(encoding="utf-8"))["steps"] if told.is_file() else []
    if not steps:
        print(f"{told} lists no steps: `make reproduce RUN={args.run}` first.", file=sys.stderr)
        return 1
    least, ours = floors(folder, args.run), sum(step["cpu_s"] for step in steps)
    print(f"{'CPU seconds':<48} {'ours':>9}")
    print(*(line(step["step"], step["cpu_s"]) for step in steps), sep="\n")
    print(f"\n{'CPU seconds':<48} {'floor':>9}")
    print(*(line(name, seconds) for name, seconds in least.items()), sep="\n")
    total = sum(least.values())
    print(f"\nfloor {total:.1f} s, ours {ours:.1f} s", end="")
    print(f", ratio {ours / total:.1f}" if total else ": no recording, so no floor")
    if args.json:
        figures = {"steps": steps, "floors": least, "ours_s": ours, "floor_s": total}
        args.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
