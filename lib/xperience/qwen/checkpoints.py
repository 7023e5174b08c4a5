"""States of a training run on disk: each whole or absent, so that a killed run goes on exactly."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xperience.qwen.schema import AnswersError
from xperience.storage import write_json, write_text

KEY, LOG, SUMMARY, STATE = "key.json", "log.jsonl", "training.json", "state.json"
OPTIMISER = "optimizer.safetensors"


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a scratch folder that becomes ``path`` only if the block succeeds.

    Parameters
    ----------
    path : Path
        Must not exist; parents are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass(frozen=True)
class State:
    """What a checkpoint holds besides tensors.

    Parameters
    ----------
    step : int
        Optimiser steps that were taken.
    validation_loss : float, optional
        After that step; None where nothing validates.
    """

    step: int
    validation_loss: float | None


class RunFolder:
    """The folder of a training run.

    Parameters
    ----------
    folder : Path
    key : dict
        Model, data and settings, as JSON.

    Raises
    ------
    AnswersError
        If a run with another key lies there.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]):
        self.folder, self.key = folder, json.loads(json.dumps(key))

    def open(self) -> None:
        """Write the key, or refuse a folder that has another."""
        told = self.folder / KEY
        if not told.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise self._refused("holds other files")
            write_json(told, self.key)
        found = json.loads(told.read_text(encoding="utf-8"))
        other = sorted(name for name in self.key if found.get(name) != self.key[name])
        if other:
            raise self._refused(f"is a run with another {', '.join(other)}")

    def _refused(self, found: str) -> AnswersError:
        return AnswersError(
            self.folder.name, found, "a new folder, or the same run to go on with",
            "Name another --out, or move that one away.",
        )  # fmt: skip

    @property
    def checkpoints(self) -> list[Path]:
        """Folders of whole checkpoints, the newest last."""
        return sorted((self.folder / "checkpoints").glob("[0-9]*"))

    @property
    def best(self) -> Path | None:
        """The checkpoint of least validation loss, the earliest of equals; without one, the last.

        None before the first checkpoint.
        """
        found = self.checkpoints
        scored = [(state.validation_loss, path) for path in found if (state := state_of(path))]
        known = [one for one in scored if one[0] is not None]
        return min(known)[1] if known else (found[-1] if found else None)

    def path_of(self, step: int) -> Path:
        """Return the folder of the checkpoint after a step."""
        return self.folder / "checkpoints" / f"{step:08d}"

    def prune(self) -> None:
        """Delete all checkpoints but the newest and the best."""
        kept = {*self.checkpoints[-1:], self.best}
        for path in self.checkpoints:
            if path not in kept:
                shutil.rmtree(path)

    def log(self, line: Mapping[str, Any]) -> None:
        """Append a line to the log."""
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def logged(self) -> list[dict[str, Any]]:
        """Return the log, without a last line that was cut off."""
        path = self.folder / LOG
        if not path.exists():
            return []
        whole = path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in whole]

    def cut_log(self, step: int) -> None:
        """Drop what was logged after a step: it will be logged again."""
        kept = [line for line in self.logged() if line["step"] <= step]
        write_text(self.folder / LOG, "".join(json.dumps(line) + "\n" for line in kept))


def state_of(checkpoint: Path) -> State:
    """Return what a checkpoint says of itself."""
    return State(**json.loads((checkpoint / STATE).read_text(encoding="utf-8")))


def write_optimiser(path: Path, optimiser: torch.optim.Optimizer) -> None:
    """Write an optimiser's tensors, by the place of their parameter."""
    from safetensors.torch import save_file  # noqa: PLC0415

    state = optimiser.state_dict()["state"]
    tensors = {f"{i}.{name}": t for i, held in state.items() for name, t in held.items()}
    save_file(tensors, path)


def read_optimiser(path: Path, optimiser: torch.optim.Optimizer) -> None:
    """Put an optimiser's tensors back.

    Raises
    ------
    AnswersError
        If they belong to other parameters.
    """
    from safetensors.torch import load_file  # noqa: PLC0415

    state: dict[int, dict[str, torch.Tensor]] = {}
    for full, tensor in load_file(path).items():
        place, name = full.split(".")
        state.setdefault(int(place), {})[name] = tensor
    n_held = sum(len(group["params"]) for group in optimiser.param_groups)
    if sorted(state) != list(range(n_held)):
        raise AnswersError(
            path.name, f"holds {len(state)} parameters", f"{n_held}, those that are trained",
            "Move the checkpoint away, or train with the settings that made it.",
        )  # fmt: skip
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
