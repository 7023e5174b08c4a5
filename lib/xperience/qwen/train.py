"""LoRA fine-tuning on exported records, on one device or many, that can be killed at any step.

Everything random is a function of the seed and the step: which records a step sees, which units
dropout silences. So a run that goes on from a checkpoint takes the very steps that it would have
taken; on a CPU it gives the same bits. The loss of a step is the mean over the answers' tokens of
its whole batch, however that batch is cut into pieces and over processes.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from xperience.qwen.model import IGNORED, ModelSource, load, require
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import (
    Export,
    Supervised,
    check_key,
    open_export,
    read_key,
)
from xperience.storage import file_digest, whole_folder, write_json, write_text

ATTENTION = r".*language_model\.layers\.\d+\.self_attn\.[qkvo]_proj"
"""The text model's attention: not the experts, which are held as blocks, and not the towers."""
KEY, LOG, SUMMARY, STATE = "key.json", "log.jsonl", "training.json", "state.json"
ADAPTER, CONFIG, OPTIMISER = (
    "adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors"
)  # fmt: skip


@dataclass(frozen=True)
class TrainingSettings:
    """How an adapter is trained, and what a step sees: functions of the seed and the step."""

    steps: int = 100  # of the optimiser
    batch: int = 8  # records of a step, over all processes
    piece: int = 1
    """Records that a process takes through the model at once; what is left is accumulated."""
    learning_rate: float = 1e-4
    """Its peak: reached after ``warmup`` steps, 0 after the last, a cosine between."""
    warmup: int = 5
    weight_decay: float = 0.0
    most_gradient: float = 1.0  # a longer gradient is scaled to this length
    rank: int = 16  # of the adapter's matrices
    alpha: float = 32.0  # the adapter's output is scaled by alpha / rank
    dropout: float = 0.05  # of the adapter's input
    targets: str = ATTENTION  # regular expression of the linear layers that are adapted
    save_every: int = 50  # steps between checkpoints; each is validated
    most_validation: int = 256  # at most so many validation records, evenly spaced
    bf16: bool = False  # compute in bfloat16; the adapter stays in float32
    recompute: bool = False
    """Keep fewer activations and compute them again (gradient checkpointing)."""
    seed: int = 7

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "piece", "rank", "save_every", "most_validation"):
            if getattr(self, name) < 1:
                raise _wrong(name, getattr(self, name), "1 or more")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, the first being 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (1 + cos(pi * done)) / 2

    def records_of(self, step: int, n_records: int) -> list[int]:
        """Return which records a step sees: all before any again, in a new random order."""
        found = []
        for place in range(step * self.batch, (step + 1) * self.batch):
            epoch, within = divmod(place, n_records)
            order = np.random.default_rng([self.seed, epoch]).permutation(n_records)
            found.append(int(order[within]))
        return found


def _wrong(name: str, found: object, expected: str) -> AnswersError:
    return AnswersError(f"settings: {name}", f"is {found}", expected, "Name another value.")


USUAL = TrainingSettings()


def train(
    records: Path | str,
    source: ModelSource,
    out: Path | str,
    settings: TrainingSettings = USUAL,
    watch: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Path:
    """Train an adapter on the training split; go on where an earlier call was stopped.

    Started by ``accelerate launch``, several processes share each step's records. What is returned
    is the adapter of least validation loss; the last, where nothing validates. The run's folder
    holds ``key.json`` (what it rests on), ``log.jsonl`` (one line per step, which ``watch`` is told
    too, in the main process), ``checkpoints/``, and at the end ``adapter/`` and ``training.json``.

    If anything cannot be read, the source has an adapter, a run with another key lies there, or the
    batch cannot be cut over the processes, that is an AnswersError.
    """
    require()
    if source.adapter is not None:
        raise _wrong("adapter", source.adapter.name, "none: a run trains one of its own")
    export, run = open_export(records), RunFolder(Path(out))
    # The number of processes is not in the key, and how a step is cut into pieces changes no more
    # than how its sums are rounded.
    key = source.key | {
        "records": file_digest(export.path),
        "settings": asdict(replace(settings, piece=1, recompute=False)),
    }
    del key["adapter"]
    adapter = run.folder / "adapter"
    if (run.folder / SUMMARY).exists():
        run.open(key)
        return adapter
    trainer = Trainer(export, source, settings)
    accelerator = trainer.accelerator
    if accelerator.is_main_process:
        run.open(key)
    accelerator.wait_for_everyone()
    started = time.monotonic()
    trainer.run(run, watch)
    if accelerator.is_main_process:
        best, losses = run.best, [line["loss"] for line in run.logged() if "loss" in line]
        with whole_folder(adapter, replace=True) as scratch:
            for name in (ADAPTER, CONFIG):
                shutil.copyfile(best / name, scratch / name)
        state = read_key(best / STATE)
        summary = {
            "best_step": state["step"],
            "validation_loss": state["validation_loss"],
            "first_loss": losses[0],
            "last_loss": losses[-1],
            "n_processes": accelerator.num_processes,
            "seconds_of_last_call": round(time.monotonic() - started, 3),
        }
        write_json(run.folder / SUMMARY, summary)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return adapter


@dataclass(frozen=True)
class RunFolder:
    """The folder of a training run: each state on disk is whole or absent."""

    folder: Path

    def open(self, key: dict[str, Any]) -> None:
        """Write the key, or refuse a folder that has another."""
        told = self.folder / KEY
        if not told.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise AnswersError(
                    self.folder.name, "holds other files",
                    "a new folder, or the same run to go on with",
                    "Name another --out, or move that one away.",
                )  # fmt: skip
            write_json(told, key)
        check_key(read_key(told), key, self.folder.name)

    @property
    def checkpoints(self) -> list[Path]:
        """Folders of whole checkpoints, the newest last."""
        return sorted((self.folder / "checkpoints").glob("[0-9]*"))

    @property
    def best(self) -> Path:
        """The checkpoint of least validation loss, the earliest of equals; without one, the last.

        There is one after the last step.
        """
        found = self.checkpoints
        losses = [(read_key(path / STATE)["validation_loss"], path) for path in found]
        return min((one for one in losses if one[0] is not None), default=(None, found[-1]))[1]

    def log(self, line: dict[str, Any]) -> None:
        """Append a line to the log."""
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def logged(self) -> list[dict[str, Any]]:
        """Return the log, without a last line that was cut off."""
        path = self.folder / LOG
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]

    def cut_log(self, step: int) -> None:
        """Drop what was logged after a step: it will be logged again."""
        kept = [line for line in self.logged() if line["step"] <= step]
        write_text(self.folder / LOG, "".join(json.dumps(line) + "\n" for line in kept))


class Trainer:
    """A model that is being taught the training split of an export."""

    def __init__(self, export: Export, source: ModelSource, settings: TrainingSettings):
        from accelerate import Accelerator  # noqa: PLC0415

        self.settings, self.folder, self.source = settings, export.folder, source
        self.taught = export.some("train")
        self.validating = list(export.records("val"))
        if len(self.validating) > settings.most_validation:
            places = np.linspace(0, len(self.validating) - 1, settings.most_validation)
            self.validating = [self.validating[place] for place in places.round().astype(int)]
        self.accelerator = Accelerator()
        self.n_processes = self.accelerator.num_processes
        if settings.batch % self.n_processes:
            expected = f"a multiple of the {self.n_processes} processes"
            raise _wrong("batch", settings.batch, expected)
        loaded = load(source)
        self.prompter = loaded.prompter
        self.adapted = _with_adapter(loaded.model, settings)
        self.parameters = [p for p in self.adapted.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.model = self.accelerator.prepare(self.adapted)

    def run(self, run: RunFolder, watch: Callable[[dict[str, Any]], None]) -> None:
        """Take all steps that are not done."""
        settings = self.settings

        def tell(line: dict[str, Any]) -> None:
            if self.accelerator.is_main_process:
                run.log(line)
                watch(line)

        for step in range(self._resume(run), settings.steps):
            done = step + 1
            tell({"step": done, **self._step(step)})
            if done % settings.save_every == 0 or done == settings.steps:
                loss = self._validate()
                if loss is not None:
                    tell({"step": done, "validation_loss": loss})
                self._save(run, {"step": done, "validation_loss": loss})

    # --- checkpoints

    def _resume(self, run: RunFolder) -> int:
        """Go on from the newest checkpoint; return how many steps are done."""
        newest = run.checkpoints[-1] if run.checkpoints else None
        done = read_key(newest / STATE)["step"] if newest else 0
        self.accelerator.wait_for_everyone()  # before anyone writes
        if self.accelerator.is_main_process:
            run.cut_log(done)
        if newest:
            from peft import set_peft_model_state_dict  # noqa: PLC0415
            from safetensors.torch import load_file  # noqa: PLC0415

            set_peft_model_state_dict(self.adapted, load_file(newest / ADAPTER))
            state: dict[int, dict[str, torch.Tensor]] = {}
            for full, tensor in load_file(newest / OPTIMISER).items():
                place, name = full.split(".")
                state.setdefault(int(place), {})[name] = tensor
            if sorted(state) != list(range(n := len(self.parameters))):
                raise AnswersError(
                    OPTIMISER, f"holds {len(state)} parameters", f"{n}, those that are trained",
                    "Move the checkpoint away, or train with the settings that made it.",
                )  # fmt: skip
            self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        return done

    def _save(self, run: RunFolder, state: dict[str, Any]) -> None:
        """Write a checkpoint; delete all others but the best."""
        from safetensors.torch import save_file  # noqa: PLC0415

        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            checkpoint = run.folder / "checkpoints" / f"{state['step']:08d}"
            with whole_folder(checkpoint, replace=True) as scratch:
                self._save_adapter(scratch)
                held = self.optimiser.state_dict()["state"].items()
                tensors = {f"{i}.{name}": t for i, one in held for name, t in one.items()}
                save_file(tensors, scratch / OPTIMISER)  # named by the place of their parameter
                write_json(scratch / STATE, state)
            for path in {*run.checkpoints[:-1]} - {run.best}:
                shutil.rmtree(path)
        self.accelerator.wait_for_everyone()

    def _save_adapter(self, folder: Path) -> None:
        self.adapted.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a form that nobody filled in
        path, model = folder / CONFIG, Path(self.source.model)
        config = json.loads(path.read_text(encoding="utf-8"))
        # Sets come in any order, and a folder's path is nobody's business: equal runs, equal files.
        config["target_modules"] = sorted(config["target_modules"])
        config["base_model_name_or_path"] = model.name if model.is_dir() else self.source.model
        write_json(path, dict(sorted(config.items())))

    # --- steps

    def _pieces(self, records: Sequence[Supervised]) -> Iterator[dict[str, torch.Tensor]]:
        """Yield this process's share of records, piece by piece, as the model's inputs."""
        own = records[self.accelerator.process_index :: self.n_processes]
        for start in range(0, len(own), self.settings.piece):
            some = own[start : start + self.settings.piece]
            items = [self.prompter.encode(one, self.folder, answered=True) for one in some]
            made = self.prompter.batch(items, left=False)
            yield {k: v.to(self.accelerator.device) for k, v in made.items()}

    def _step(self, step: int) -> dict[str, float]:
        """Take one step; return its line of the log."""
        chosen = self.settings.records_of(step, len(self.taught))
        records = [self.taught[place] for place in chosen]
        n_tokens = sum(map(self.prompter.n_learnt, records))
        rate = self.settings.rate(step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Each process draws its own dropout.
        entropy = [self.settings.seed, step, self.accelerator.process_index]
        self.model.train()
        total = torch.zeros((), device=self.accelerator.device)
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
            n_pieces = -(-len(records) // self.n_processes // self.settings.piece)
            for place, inputs in enumerate(self._pieces(records), 1):
                # Processes exchange gradients once, with the last piece.
                is_last = place == n_pieces
                with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                    loss = self._loss(self.model, inputs)
                    # Processes' gradients are averaged, ours are to be added.
                    self.accelerator.backward(loss * (self.n_processes / n_tokens))
                total += loss.detach()
        length = self.accelerator.clip_grad_norm_(self.parameters, self.settings.most_gradient)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return {
            "loss": self._summed(total) / n_tokens,
            "learning_rate": rate,
            "gradient_length": float(length),
            "n_tokens": n_tokens,
        }

    def _validate(self) -> float | None:
        """Return the loss a token of the validation records, None without any."""
        if not self.validating:
            return None
        self.model.eval()
        total = torch.zeros((), device=self.accelerator.device)
        with torch.no_grad():
            for inputs in self._pieces(self.validating):
                total += self._loss(self.adapted, inputs)
        return self._summed(total) / sum(map(self.prompter.n_learnt, self.validating))

    def _loss(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of cross-entropies of the tokens that are learnt."""
        given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
        # Ours, not the accelerator's autocast: that settles one precision for the whole process.
        device, bf16 = self.accelerator.device.type, self.settings.bf16
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(**given, use_cache=False).logits[:, :-1]  # (n, n_tokens - 1, n_vocab)
            wanted = inputs["labels"][:, 1:]
            learnt = wanted != IGNORED
            return functional.cross_entropy(logits[learnt].float(), wanted[learnt], reduction="sum")

    def _summed(self, value: torch.Tensor) -> float:
        """Return a value added up over all processes."""
        return float(self.accelerator.reduce(value, reduction="sum"))


def _with_adapter(model: torch.nn.Module, settings: TrainingSettings) -> torch.nn.Module:
    """Return the model with a new adapter that is all that will be trained."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415

    linear = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    try:
        chosen = [name for name in linear if re.fullmatch(settings.targets, name)]
    except re.error as error:
        found = f"{settings.targets!r} ({error})"
        raise _wrong("targets", found, "a regular expression") from error
    if not chosen:
        raise _wrong("targets", repr(settings.targets), "a pattern of linear layers' whole names")
    # By full names: of a pattern, peft keeps the last part only where a model has experts, and
    # would adapt the sound's attention too.
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=chosen,
        bias="none",
    )
    if settings.recompute:
        model.activation_checkpointing_enable()
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return get_peft_model(model, config)
