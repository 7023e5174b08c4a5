"""Answers of a model to exported records, batch by batch, in the form that is evaluated.

What is done is kept record by record under a key: model, adapter, records, options, decoding. The
same call goes on where an earlier one was stopped, in the same batches, so that the file comes out
the same; a call with another key is refused.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from xperience.outputs import check_output
from xperience.qwen.constrained import ConstrainedLogits, Rules, answer_lengths
from xperience.qwen.model import ModelSource, load
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import (
    OPTIONS,
    Export,
    Supervised,
    check_key,
    open_export,
    prediction_line,
    read_key,
)
from xperience.storage import file_digest, whole_file, write_json


@dataclass(frozen=True)
class Decoding:
    """How answers are written."""

    constrained: bool = True  # to the grammar of strictly valid answers; else unconstrained
    limit: int | None = None
    """Most tokens of an answer; what every valid answer fits in, if not given."""
    temperature: float = 0.0  # 0 takes the likeliest token; above, tokens are drawn
    seed: int = 7  # of the draws
    batch: int = 4
    """Records at once. Another batch may round otherwise, so it is part of the key."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.temperature < 0:
            raise AnswersError(
                "decoding", f"has batch {self.batch} and temperature {self.temperature}",
                "a batch of at least 1 and a temperature of at least 0", "Name other values.",
            )  # fmt: skip


def generate(
    records: Path | str,
    source: ModelSource,
    out: Path | str,
    decoding: Decoding = Decoding(),
    sides: Sequence[str] = ("test",),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Let a model answer the records of some splits; write predictions, return how many.

    They are written for `xperience evaluate`, one JSON object per line; beside them
    ``<name>.key.json`` says what they rest on. Until all are there, they are kept in a hidden
    folder beside it. ``watch`` is told after each batch how many records are done, and of how many.

    If anything cannot be read, no record is in these splits, or predictions or parts that lie there
    rest on other data, that is an AnswersError.
    """
    out, export = Path(out), open_export(records)
    asked = export.some(*sides)
    key = {
        **source.key,
        "records": file_digest(export.path),
        "options": file_digest(export.folder / OPTIONS),
        "sides": sorted(sides),
        "decoding": asdict(decoding),
    }
    told = out.with_suffix(".key.json")
    for written in (out, told):
        check_output(written, [records])
    if out.exists():
        check_key(read_key(told), key, out.name)
        return len(asked)
    parts = out.parent / f".{out.stem}.parts"
    lines = parts / "predictions.jsonl"
    if (parts / "key.json").exists():
        check_key(read_key(parts / "key.json"), key, parts.name)
    else:
        write_json(parts / "key.json", key)
        lines.unlink(missing_ok=True)
    n_done = _kept(lines, asked, decoding.batch)
    write = _writer(source, export, decoding) if n_done < len(asked) else None
    for start in range(n_done, len(asked), decoding.batch):
        batch = asked[start : start + decoding.batch]
        said = write(batch, decoding.seed + start)
        with lines.open("a", encoding="utf-8") as file:  # to disk, before anything else is done
            file.writelines(said)
            file.flush()
            os.fsync(file.fileno())
        watch(start + len(batch), len(asked))
    write_json(told, key)
    lines.replace(out)
    shutil.rmtree(parts)
    return len(asked)


def _kept(lines: Path, asked: Sequence[Supervised], batch: int) -> int:
    """Keep the whole batches that an earlier call has done; return how many records they hold.

    A line that was cut off, and all that follows the last whole batch, is dropped.
    """
    if not lines.exists():
        return 0
    texts = lines.read_bytes().split(b"\n")[:-1]
    n_good = 0
    while n_good < min(len(texts), len(asked)) and _is_of(texts[n_good], asked[n_good]):
        n_good += 1
    n_kept = n_good if n_good == len(asked) else n_good // batch * batch
    with whole_file(lines) as scratch:
        scratch.write_bytes(b"".join(text + b"\n" for text in texts[:n_kept]))
    return n_kept


def _is_of(text: bytes, record: Supervised) -> bool:
    try:
        return json.loads(text)["id"] == record.id
    except (ValueError, KeyError, TypeError):
        return False


def _writer(
    source: ModelSource, export: Export, decoding: Decoding
) -> Callable[[Sequence[Supervised], int], list[str]]:
    """Return a function (records, seed) that lets the model answer, to lines of predictions.

    A line's ``ended`` says whether the answer ended by itself.
    """
    from transformers import GenerationConfig  # noqa: PLC0415 - an extra, slow to load

    loaded = load(source)
    tokenizer, end, prompter = loaded.tokenizer, loaded.end_token, loaded.prompter
    limit, rules = decoding.limit or answer_lengths(export.options).full_limit, None
    if decoding.constrained:
        rules = Rules(export.options, tokenizer, loaded.vocabulary, end)
    drawn = {"do_sample": True, "temperature": decoding.temperature, "top_k": 0}
    config = GenerationConfig(
        max_new_tokens=limit,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        **(drawn if decoding.temperature else {"do_sample": False}),
    )

    def write(records: Sequence[Supervised], seed: int) -> list[str]:
        processors = [ConstrainedLogits(rules, limit)] if rules else []
        items = [prompter.encode(record, export.folder, answered=False) for record in records]
        inputs = prompter.batch(items, left=True)
        del inputs["labels"]
        inputs = {name: tensor.to(loaded.model.device) for name, tensor in inputs.items()}
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            found = loaded.model.generate(
                **inputs, generation_config=config, logits_processor=processors
            )
        said = found[:, inputs["input_ids"].shape[1] :].tolist()
        lines = []
        for record, tokens in zip(records, said, strict=True):
            ended = end in tokens
            text = tokenizer.decode(
                tokens[: tokens.index(end)] if ended else tokens,
                skip_special_tokens=True, clean_up_tokenization_spaces=False,
            )  # fmt: skip
            lines.append(prediction_line(record, text, ended=ended))
        return lines

    return write
