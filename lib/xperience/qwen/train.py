"""LoRA fine-tuning on exported records, on one device or many, that can be killed at any step.

Everything random is a function of the seed and the step: which records a step sees, which units
dropout silences. So a run that goes on from a checkpoint takes the very steps that it would have
taken; on a CPU it gives the same bits. The loss of a step is the mean over the answers' tokens of
its whole batch, however that batch is cut into pieces and over processes.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from xperience.qwen.checkpoints import (
    OPTIMISER,
    STATE,
    SUMMARY,
    RunFolder,
    State,
    read_optimiser,
    state_of,
    whole_folder,
    write_optimiser,
)
from xperience.qwen.model import Loaded, Source, load, require
from xperience.qwen.prompter import IGNORED, Prompter
from xperience.qwen.schema import AnswersError
from xperience.qwen.settings import Settings, wrong_setting
from xperience.qwen.supervised import Export, Supervised, open_export
from xperience.storage import file_digest, write_json

USUAL = Settings()
ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def train(
    records: Path | str,
    source: Source,
    out: Path | str,
    settings: Settings = USUAL,
    watch: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Train an adapter on the training side; go on where an earlier call was stopped.

    Started by ``accelerate launch``, several processes share each step's records.

    Parameters
    ----------
    records : path
        A finished export. Its validation side, if there is one, chooses the checkpoint.
    source : Source
        The model; it stays as it is.
    out : path
        Folder of the run: ``key.json`` (what it rests on), ``log.jsonl`` (a line a step),
        ``checkpoints/``, and at the end ``adapter/`` and ``training.json``.
    settings : Settings
    watch : callable, optional
        Told each line of the log, in the main process.

    Returns
    -------
    Path
        The adapter of least validation loss; the last, where nothing validates.

    Raises
    ------
    AnswersError
        If anything cannot be read, the source has an adapter, a run with another key lies there,
        or the batch cannot be cut over the processes.
    """
    require()
    if source.adapter is not None:
        raise wrong_setting("adapter", source.adapter.name, "none: a run trains one of its own")
    export, folder = open_export(records), Path(out)
    run = RunFolder(folder, training_key(export, source, settings))
    if (folder / SUMMARY).exists():
        run.open()
        return folder / "adapter"
    trainer = Trainer(export, source, settings)
    if trainer.is_main:
        run.open()
    trainer.wait()
    started = time.monotonic()
    trainer.run(run, watch or (lambda line: None))
    if trainer.is_main:
        _finish(run, trainer.n_processes, time.monotonic() - started)
    trainer.wait()
    trainer.end()
    return folder / "adapter"


def training_key(export: Export, source: Source, settings: Settings) -> dict[str, Any]:
    """Return what a training run rests on, as JSON. The number of processes is not in it."""
    return {
        "model": source.digest,
        "dtype": source.dtype,
        "most_pixels": source.most_pixels,
        "records": file_digest(export.path),
        # How a step is cut into pieces changes no more than how its sums are rounded.
        "settings": asdict(replace(settings, piece=1, recompute=False)),
    }


def _finish(run: RunFolder, n_processes: int, seconds: float) -> None:
    best, lines = run.best, run.logged()
    assert best is not None, "the last step leaves a checkpoint"
    with whole_folder(run.folder / "adapter") as scratch:
        for name in (ADAPTER, CONFIG):
            (scratch / name).write_bytes((best / name).read_bytes())
    losses = [line["loss"] for line in lines if "loss" in line]
    summary = {
        "best_step": state_of(best).step,
        "validation_loss": state_of(best).validation_loss,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "n_processes": n_processes,
        "seconds_of_last_call": round(seconds, 3),
    }
    write_json(run.folder / SUMMARY, summary)


class Trainer:
    """A model that is being taught.

    Parameters
    ----------
    export : Export
    source : Source
    settings : Settings
    """

    def __init__(self, export: Export, source: Source, settings: Settings):
        from accelerate import Accelerator  # noqa: PLC0415

        self.settings, self.folder = settings, export.folder
        self.name, self.local = source.model, Path(source.model).is_dir()
        self.taught = _of_side(export, "train", None)
        self.validating = _of_side(export, "val", settings.most_validation)
        self.accelerator = Accelerator()
        self._check_batch()
        loaded = load(source)
        self.prompter: Prompter = loaded.prompter
        self.adapted = _with_adapter(loaded, settings)
        self.parameters = [p for p in self.adapted.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.model = self.accelerator.prepare(self.adapted)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.accelerator.is_main_process

    @property
    def n_processes(self) -> int:
        """How many processes share a step."""
        return self.accelerator.num_processes

    def wait(self) -> None:
        """Wait until every process is here."""
        self.accelerator.wait_for_everyone()

    def end(self) -> None:
        """Take leave of the other processes."""
        self.accelerator.end_training()

    def _loss(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        # Ours, not the accelerator's autocast: that settles one precision for the whole process.
        device, bf16 = self.accelerator.device.type, self.settings.bf16
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            return answer_loss(model, inputs)

    def _check_batch(self) -> None:
        n = self.n_processes
        if self.settings.batch % n:
            raise wrong_setting("batch", self.settings.batch, f"a multiple of the {n} processes")

    def run(self, run: RunFolder, watch: Callable[[dict[str, Any]], None]) -> None:
        """Take all steps that are not done."""
        first = self._resume(run)
        for step in range(first, self.settings.steps):
            self._tell(run, watch, {"step": step + 1, **self._step(step)})
            done = step + 1
            if done % self.settings.save_every == 0 or done == self.settings.steps:
                loss = self._validate()
                if loss is not None:
                    self._tell(run, watch, {"step": done, "validation_loss": loss})
                self._save(run, State(done, loss))

    def _tell(
        self, run: RunFolder, watch: Callable[[dict[str, Any]], None], line: dict[str, Any]
    ) -> None:
        if self.is_main:
            run.log(line)
            watch(line)

    def _resume(self, run: RunFolder) -> int:
        found = run.checkpoints[-1:]
        self.wait()  # before anyone writes
        if self.is_main:
            run.cut_log(state_of(found[0]).step if found else 0)
        if not found:
            return 0
        from peft import set_peft_model_state_dict  # noqa: PLC0415
        from safetensors.torch import load_file  # noqa: PLC0415

        set_peft_model_state_dict(self.adapted, load_file(found[0] / ADAPTER))
        read_optimiser(found[0] / OPTIMISER, self.optimiser)
        return state_of(found[0]).step

    def _save(self, run: RunFolder, state: State) -> None:
        self.wait()
        if self.is_main:
            with whole_folder(run.path_of(state.step)) as scratch:
                self._save_adapter(scratch)
                write_optimiser(scratch / OPTIMISER, self.optimiser)
                write_json(scratch / STATE, asdict(state))
            run.prune()
        self.wait()

    def _save_adapter(self, folder: Path) -> None:
        self.adapted.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a form that nobody filled in
        path = folder / CONFIG
        config = json.loads(path.read_text(encoding="utf-8"))
        # Sets come in any order, and a folder's path is nobody's business: equal runs, equal files.
        config["target_modules"] = sorted(config["target_modules"])
        config["base_model_name_or_path"] = Path(self.name).name if self.local else self.name
        write_json(path, dict(sorted(config.items())))

    def _own(self, records: Sequence[Supervised]) -> Sequence[Supervised]:
        """Return this process's share of records."""
        return records[self.accelerator.process_index :: self.n_processes]

    def _pieces(self, records: Sequence[Supervised]) -> Iterator[dict[str, torch.Tensor]]:
        for start in range(0, len(records), self.settings.piece):
            some = records[start : start + self.settings.piece]
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
        with torch.random.fork_rng():
            # Each process draws its own dropout.
            torch.manual_seed(_seed_of(self.settings.seed, step, self.accelerator.process_index))
            loss = self._gradients(self._own(records), n_tokens)
        length = self.accelerator.clip_grad_norm_(self.parameters, self.settings.most_gradient)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return {
            "loss": self._total(loss) / n_tokens,
            "learning_rate": rate,
            "gradient_length": float(length),
            "n_tokens": n_tokens,
        }

    def _gradients(self, records: Sequence[Supervised], n_tokens: int) -> torch.Tensor:
        """Add up the gradients of this process's records; return the sum of their losses."""
        self.model.train()
        total = torch.zeros((), device=self.accelerator.device)
        n_pieces = -(-len(records) // self.settings.piece)
        for place, inputs in enumerate(self._pieces(records)):
            last = place == n_pieces - 1
            # Processes exchange gradients once, with the last piece.
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = self._loss(self.model, inputs)
                # Processes' gradients are averaged, ours are to be added.
                self.accelerator.backward(loss * (self.n_processes / n_tokens))
            total += loss.detach()
        return total

    def _validate(self) -> float | None:
        """Return the loss a token of the validation records, None without any."""
        if not self.validating:
            return None
        self.model.eval()
        total = torch.zeros((), device=self.accelerator.device)
        with torch.no_grad():
            for inputs in self._pieces(self._own(self.validating)):
                total += self._loss(self.adapted, inputs)
        return self._total(total) / sum(map(self.prompter.n_learnt, self.validating))

    def _total(self, value: torch.Tensor) -> float:
        return float(self.accelerator.reduce(value, reduction="sum"))


def _seed_of(seed: int, step: int, process: int) -> int:
    return int(np.random.SeedSequence([seed, step, process]).generate_state(1)[0])


def answer_loss(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the sum of cross-entropies of the tokens that are learnt.

    Parameters
    ----------
    model : module
        A thinker, adapted or not.
    inputs : dict of {str: tensor}
        See `xperience.qwen.prompter.Prompter.batch`.
    """
    given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    logits = model(**given, use_cache=False).logits[:, :-1]  # (n, n_tokens - 1, n_vocabulary)
    wanted = inputs["labels"][:, 1:]
    learnt = wanted != IGNORED
    return functional.cross_entropy(logits[learnt].float(), wanted[learnt], reduction="sum")


def _of_side(export: Export, side: str, most: int | None) -> list[Supervised]:
    found = list(export.records(side))
    if side == "train" and not found:
        raise AnswersError(
            export.path.name, "has no record of the training side", "at least one",
            "Export the training episodes too.",
        )  # fmt: skip
    if most is None or len(found) <= most:
        return found
    return [found[place] for place in np.linspace(0, len(found) - 1, most).round().astype(int)]


def _with_adapter(loaded: Loaded, settings: Settings) -> torch.nn.Module:
    """Return the model with a new adapter that is all that will be trained."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        # By full names: of a pattern, peft keeps the last part only where a model has experts, and
        # would adapt the sound's attention too.
        target_modules=_targets(loaded.model, settings.targets),
        bias="none",
    )
    if settings.recompute:
        loaded.model.activation_checkpointing_enable()
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return get_peft_model(loaded.model, config)


def _targets(model: torch.nn.Module, pattern: str) -> list[str]:
    linear = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    try:
        found = [name for name in linear if re.fullmatch(pattern, name)]
    except re.error as error:
        raise wrong_setting("targets", f"{pattern!r} ({error})", "a regular expression") from error
    if not found:
        raise wrong_setting("targets", repr(pattern), "a pattern of linear layers' whole names")
    return found
