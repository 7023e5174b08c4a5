import numpy as np
import pytest
import torch

from xperience.qwen import embedding
from xperience.qwen.embedding import Encoder, embed
from xperience.qwen.schema import AnswersError

REFERENCE = [0.7700474, 0.1140023, 0.0149694]
"""Cosines of the first name below with the others, by sentence-transformers and this package."""
HIDDEN, HEADS, LAYERS, WORDS = 12, 3, 2, 30
needs_model = pytest.mark.extras(*embedding.NEEDS)


def torch_layers():
    torch.manual_seed(0)
    return [
        torch.nn.TransformerEncoderLayer(
            HIDDEN, HEADS, 4 * HIDDEN, dropout=0, activation="gelu", batch_first=True
        ).eval()
        for _ in range(LAYERS)
    ]


def named(layers):
    """The weights of torch's layers under the names of the published file."""
    rng = np.random.default_rng(1)
    found = {
        "embeddings.word_embeddings.weight": rng.normal(size=(WORDS, HIDDEN)),
        "embeddings.position_embeddings.weight": rng.normal(size=(9, HIDDEN)),
        "embeddings.token_type_embeddings.weight": rng.normal(size=(2, HIDDEN)),
        "embeddings.LayerNorm.weight": np.ones(HIDDEN),
        "embeddings.LayerNorm.bias": np.zeros(HIDDEN),
    }
    for i, layer in enumerate(layers):
        parts = {
            "attention.output.dense": layer.self_attn.out_proj,
            "attention.output.LayerNorm": layer.norm1,
            "intermediate.dense": layer.linear1,
            "output.dense": layer.linear2,
            "output.LayerNorm": layer.norm2,
        }
        for name, part in parts.items():
            for kind in ("weight", "bias"):
                found[f"encoder.layer.{i}.{name}.{kind}"] = getattr(part, kind).detach().numpy()
        for kind in ("weight", "bias"):
            joint = getattr(layer.self_attn, f"in_proj_{kind}").detach().numpy()
            for name, part in zip(("query", "key", "value"), np.split(joint, 3), strict=True):
                found[f"encoder.layer.{i}.attention.self.{name}.{kind}"] = part
    return {name: value.astype(np.float32) for name, value in found.items()}


def test_the_encoder_is_torchs():
    layers = torch_layers()
    weights = named(layers)
    ids = np.random.default_rng(2).integers(0, WORDS, size=(4, 7))
    found = Encoder(weights, LAYERS, HEADS, epsilon=1e-5).encode(ids)
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][:7]
    x = torch.tensor(x + weights["embeddings.token_type_embeddings.weight"][0])
    x = torch.nn.functional.layer_norm(x, (HIDDEN,))
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
    expected = torch.nn.functional.normalize(x.mean(dim=1), dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_without_the_packages_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(embedding, "NEEDS", ("no_such_package",))
    with pytest.raises(AnswersError, match=r"no_such_package.*answers"):
        embed(["a"])


@needs_model
@pytest.mark.slow
def test_the_packaged_model_gives_the_cosines_of_its_authors_library():
    names = ["Place paper star on table", "Place paper star", "Walk through the room", ""]
    vectors = embed(names)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    found = vectors @ vectors.T
    assert found[0, 1:] == pytest.approx(REFERENCE, abs=1e-5)
    again = embed(names[::-1])[::-1]
    np.testing.assert_allclose(again, vectors, atol=1e-6)


@needs_model
@pytest.mark.slow
def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(embedding, "WEIGHTS_DIGEST", "0" * 64)
    with pytest.raises(AnswersError, match="digest"):
        embed(["a"])
