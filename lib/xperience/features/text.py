"""128 values for what the captions name in a frame: hashed words, no vocabulary."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from xperience.features.blocks import N_TEXT

_TOKEN = re.compile(r"[a-zA-Z0-9_]+")


def text_rows(objects: Sequence[tuple[str, ...]], interaction: Sequence[str]) -> np.ndarray:
    """Return the hashed words of each frame, float32 (n_frames, 128)."""
    texts = [" ".join((*names, text)) for names, text in zip(objects, interaction, strict=True)]
    return np.stack([hashed_words(text) for text in texts]) if texts else np.zeros((0, N_TEXT))


@lru_cache(maxsize=4096)
def hashed_words(text: str) -> np.ndarray:
    """Return a text's words hashed into 128 signed buckets, float32, scaled to unit length.

    Words are letters, digits and underscores, lower-cased here; zero for a text without words.
    """
    vector = np.zeros(N_TEXT, dtype=np.float32)
    for token in _TOKEN.findall(text.lower()):
        digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
        bucket = int.from_bytes(digest[:4], "little") % N_TEXT
        vector[bucket] += 1 if digest[4] & 1 else -1
    size = np.linalg.norm(vector)
    vector = vector / size if size > 0 else vector
    vector.setflags(write=False)
    return vector
