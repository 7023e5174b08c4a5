"""What the truth cannot be measured from is named with the reason that was found."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from xperience.features.windows import window_starts
from xperience.recording import layout
from xperience.recording.recording import Episode
from xperience.tasks.truth import Truth


def truth_of(folder: Path, contract: str) -> Truth:
    with Episode(folder) as episode:
        return Truth.of(episode, window_starts(episode.n_frames), contract)


def lose_a_group(folder: Path, builder: ModuleType) -> None:
    builder.put(folder, hand_mocap=None)


def misshape_it(folder: Path, builder: ModuleType) -> None:
    builder.put(folder, **{layout.HAND_LEFT: np.ones((60, 20, 3))})


@pytest.mark.parametrize("contract", ["published", "corrected"])
@pytest.mark.parametrize(
    ("plant", "found"), [(lose_a_group, "hand_mocap"), (misshape_it, layout.HAND_LEFT)]
)
def test_a_hand_that_is_lost_or_broken_is_named_with_what_was_found(
    tiny: Path, builder: ModuleType, contract: str, plant: Callable, found: str
) -> None:
    assert "hand_left" not in truth_of(tiny, contract).missing
    plant(tiny, builder)
    assert found in truth_of(tiny, contract).missing["hand_left"]
