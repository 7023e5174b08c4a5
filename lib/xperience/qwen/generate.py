"""Answers of a model to exported records, batch by batch, in the form that is evaluated.

What is done is kept record by record under a key: model, adapter, records, options, decoding. The
same call goes on where an earlier one was stopped, in the same batches, so that the file comes out
the same; a call with another key is refused.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from xperience.outputs import check_output
from xperience.qwen.grammar import answer_lengths
from xperience.qwen.held import Rules
from xperience.qwen.model import Loaded, Source, load
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import (
    OPTIONS,
    Export,
    Supervised,
    open_export,
    prediction_line,
)
from xperience.storage import file_digest, whole_file, write_json


@dataclass(frozen=True)
class Decoding:
    """How answers are written.

    Parameters
    ----------
    constrained : bool
        Held to the grammar of strictly valid answers; else whatever the model writes.
    limit : int, optional
        Most tokens of an answer; what every valid answer fits in, if not given.
    temperature : float
        0 takes the likeliest token; above, tokens are drawn.
    seed : int
        Of the draws.
    batch : int
        Records at once. Another batch may round otherwise, so it is part of the key.
    """

    constrained: bool = True
    limit: int | None = None
    temperature: float = 0.0
    seed: int = 7
    batch: int = 4

    def __post_init__(self) -> None:
        if self.batch < 1 or self.temperature < 0:
            raise AnswersError(
                "decoding", f"has batch {self.batch} and temperature {self.temperature}",
                "a batch of at least 1 and a temperature of at least 0", "Name other values.",
            )  # fmt: skip


def generate(
    records: Path | str,
    source: Source,
    out: Path | str,
    decoding: Decoding = Decoding(),
    sides: Sequence[str] = ("test",),
    watch: Callable[[int, int], None] | None = None,
) -> int:
    """Let a model answer records; write predictions that `xperience evaluate` reads.

    Parameters
    ----------
    records : path
        A finished export.
    source : Source
        The model, perhaps with an adapter.
    out : path
        Predictions to write, one JSON object a line; beside it ``<name>.key.json`` says what they
        rest on. Until all are there, they are kept in a hidden folder beside it.
    decoding : Decoding
    sides : sequence of str
        Whose records are asked.
    watch : callable, optional
        Told after each batch how many records are done, and of how many.

    Returns
    -------
    int
        Number of predictions in the file.

    Raises
    ------
    AnswersError
        If anything cannot be read, no record is on these sides, or predictions or parts that lie
        there rest on other data.
    """
    out, export = Path(out), open_export(records)
    asked = [record for record in export.records() if record.side in sides]
    if not asked:
        raise AnswersError(
            export.path.name, f"has no record of {', '.join(sides)}", "at least one",
            "Name another side, or export it.",
        )  # fmt: skip
    key = generation_key(export, source, decoding, sides)
    told = out.with_suffix(".key.json")
    for written in (out, told):
        check_output(written, [records])
    if out.exists():
        _check(told, out.name, key)
        return len(asked)
    parts = Parts(out.parent / f".{out.stem}.parts", key)
    n_done = parts.keep(asked, decoding.batch)
    if n_done < len(asked):
        for lines in _answers(load(source), export, decoding, asked, n_done):
            parts.append(lines)
            n_done += len(lines)
            if watch is not None:
                watch(n_done, len(asked))
    write_json(told, key)
    parts.become(out)
    return len(asked)


def generation_key(
    export: Export, source: Source, decoding: Decoding, sides: Sequence[str]
) -> dict[str, Any]:
    """Return what predictions rest on, as JSON."""
    return {
        "model": source.digest,
        "adapter": source.adapter_digest,
        "dtype": source.dtype,
        "most_pixels": source.most_pixels,
        "records": file_digest(export.path),
        "options": file_digest(export.folder / OPTIONS),
        "sides": sorted(sides),
        "decoding": asdict(decoding),
    }


def _check(told: Path, what: str, key: dict[str, Any]) -> None:
    try:
        found = json.loads(told.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    other = sorted(name for name in key if name not in found or found[name] != key[name])
    if other:
        raise AnswersError(
            what, f"rests on another {', '.join(other)}" if found else "does not say its key",
            "answers of the same model to the same records, decoded the same way",
            "Name another --out, or move that one away.",
        )  # fmt: skip


class Parts:
    """Predictions of a run that has not ended.

    Parameters
    ----------
    folder : Path
    key : dict
        What they rest on; a folder with another key is refused.
    """

    def __init__(self, folder: Path, key: dict[str, Any]):
        self.folder, self.lines = folder, folder / "predictions.jsonl"
        told = folder / "key.json"
        if folder.exists() and told.exists():
            _check(told, folder.name, key)
        else:
            write_json(told, key)
            self.lines.unlink(missing_ok=True)

    def keep(self, asked: Sequence[Supervised], batch: int) -> int:
        """Keep the whole batches at the front that are done; return how many records they hold.

        A line that was cut off, and all that follows the last whole batch, is dropped.
        """
        if not self.lines.exists():
            return 0
        texts = self.lines.read_bytes().split(b"\n")[:-1]
        matching = [_is_of(text, record) for text, record in zip(texts, asked, strict=False)]
        n_good = matching.index(False) if False in matching else len(matching)
        n_kept = n_good if n_good == len(asked) else n_good // batch * batch
        with whole_file(self.lines) as scratch:
            scratch.write_bytes(b"".join(text + b"\n" for text in texts[:n_kept]))
        return n_kept

    def append(self, lines: Sequence[dict[str, Any]]) -> None:
        """Write further predictions to disk before anything else is done."""
        with self.lines.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())

    def become(self, out: Path) -> None:
        """Move the predictions to where they belong, and remove the rest."""
        self.lines.replace(out)
        shutil.rmtree(self.folder)


def _is_of(text: bytes, record: Supervised) -> bool:
    try:
        return json.loads(text)["id"] == record.id
    except (ValueError, KeyError, TypeError):
        return False


def _answers(
    loaded: Loaded, export: Export, decoding: Decoding, asked: Sequence[Supervised], first: int
) -> Iterator[list[dict[str, Any]]]:
    """Yield the lines of each batch from a record on."""
    writer = Writer(loaded, export, decoding)
    for start in range(first, len(asked), decoding.batch):
        batch = asked[start : start + decoding.batch]
        said = writer.write(batch, decoding.seed + start)
        yield [
            prediction_line(record, text) | {"ended": ended}
            for record, (text, ended) in zip(batch, said, strict=True)
        ]


class Writer:
    """Lets a model write answers.

    Parameters
    ----------
    loaded : Loaded
    export : Export
        Where media lie, and the options.
    decoding : Decoding
    """

    def __init__(self, loaded: Loaded, export: Export, decoding: Decoding):
        self.loaded, self.folder, self.decoding = loaded, export.folder, decoding
        self.limit = decoding.limit or answer_lengths(export.options).full_limit
        self.rules = None
        if decoding.constrained:
            self.rules = Rules(
                export.options, loaded.tokenizer, loaded.vocabulary, loaded.end_token
            )
            self.rules.check(self.limit)

    def write(self, records: Sequence[Supervised], seed: int) -> list[tuple[str, bool]]:
        """Return what the model says of each record, and whether it ended by itself.

        Parameters
        ----------
        records : sequence of Supervised
        seed : int
            Of the draws, if tokens are drawn.
        """
        prompter = self.loaded.prompter
        items = [prompter.encode(record, self.folder, answered=False) for record in records]
        inputs = prompter.batch(items, left=True)
        del inputs["labels"]
        device = self.loaded.model.device
        inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            found = self.loaded.model.generate(
                **inputs,
                generation_config=self._config(),
                logits_processor=[] if self.rules is None else [self.rules.holder(self.limit)],
            )
        said = found[:, inputs["input_ids"].shape[1] :].tolist()
        return [self._text(tokens) for tokens in said]

    def _config(self) -> Any:
        from transformers import GenerationConfig  # noqa: PLC0415

        drawn = {"do_sample": True, "temperature": self.decoding.temperature, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=self.limit,
            eos_token_id=self.loaded.end_token,
            pad_token_id=self.loaded.prompter.padding,
            **(drawn if self.decoding.temperature else {"do_sample": False}),
        )

    def _text(self, tokens: list[int]) -> tuple[str, bool]:
        ended = self.loaded.end_token in tokens
        said = tokens[: tokens.index(self.loaded.end_token)] if ended else tokens
        text = self.loaded.tokenizer.decode(
            said, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text, ended
