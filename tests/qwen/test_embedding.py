import numpy as np
import pytest

from xperience.qwen import wording as embedding
from xperience.qwen.schema import AnswersError
from xperience.qwen.wording import embed

REFERENCE = [0.7700474, 0.1140023, 0.0149694]
"""Cosines of the first name below with the others, by sentence-transformers and this package."""
needs_model = pytest.mark.extras(*embedding.NEEDS)


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
