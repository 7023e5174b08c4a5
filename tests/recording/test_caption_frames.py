"""Captions: every way to refer to a frame, and the four rules."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.recording.captions import FrameIndex, FrameLabels, frame_labels, is_labelled
from xperience.recording.recording import Episode

FIRST_NS, STEP_NS = 75_294_505_147_569, 50_000_000
NAMES = [f"{FIRST_NS + i * STEP_NS}.jpg" for i in range(12)]


# how frames are referred to


@pytest.mark.parametrize(
    ("reference", "frame"),
    [
        (NAMES[4], 4),
        (NAMES[4].removesuffix(".jpg"), 4),
        (NAMES[4].replace(".jpg", ".png"), 4),
        (f" {NAMES[4]} ", 4),
        (FIRST_NS + 4 * STEP_NS, 4),
        (float(FIRST_NS + 4 * STEP_NS), 4),
        (FIRST_NS + 4 * STEP_NS + STEP_NS // 2 - 1, 4),
        (str(FIRST_NS + 4 * STEP_NS + 7), 4),
        (FIRST_NS - 10**9, 0),
        (10**30, 11),
        ("frame_000005", 4),
        ("frame_000005.jpg", 4),
        ("frame_5", 4),
        (5, 4),
        (5.0, 4),
        ("5", 4),
        ("5.0", 4),
        (0, 0),
        (-3, 0),
        (99_999_999, 11),
        ("frame_999999999999", 11),
        (5.5, None),
        ("5.5", None),
        (float("nan"), None),
        (float("inf"), None),
        ("", None),
        ("frame_", None),
        ("first", None),
        (True, None),
        (None, None),
        ([5], None),
        ({"frame": 5}, None),
    ],
)
def test_references(reference: Any, frame: int | None) -> None:
    assert FrameIndex(NAMES)(reference) == frame


def test_a_time_needs_a_clock() -> None:
    names = [f"frame_{i:06d}.jpg" for i in range(1, 4)]
    stamps_ns = np.array([10, 20, 30]) * 10**9
    assert FrameIndex(names)(21 * 10**9) is None
    assert FrameIndex(names, stamps_ns)(21 * 10**9) == 1
    assert FrameIndex(NAMES, stamps_ns=np.arange(12))(FIRST_NS + STEP_NS) == 1  # names come first


@given(
    gaps=st.lists(st.integers(1, 10**9), min_size=1, max_size=30),
    reference=st.one_of(
        st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=20), st.booleans(), st.none()
    ),
)
def test_a_reference_is_a_frame_or_none(gaps: list[int], reference: Any) -> None:
    stamps = (10**9 + np.cumsum(gaps)).tolist()
    index = FrameIndex([f"{stamp}.jpg" for stamp in stamps])
    frame = index(reference)
    assert frame is None or 0 <= frame < len(stamps)
    if isinstance(reference, int) and not isinstance(reference, bool):
        distances = [abs(stamp - reference) for stamp in stamps]
        small = min(max(reference - 1, 0), len(stamps) - 1)
        assert frame == (distances.index(min(distances)) if reference >= 10**8 else small)


@given(st.lists(st.integers(10**8, 2**63 - 1), min_size=1, max_size=30, unique=True))
def test_every_name_and_stem_is_its_own_frame(stamps: list[int]) -> None:
    index = FrameIndex([f"{stamp}.jpg" for stamp in stamps])
    for frame, stamp in enumerate(stamps):
        assert index(f"{stamp}.jpg") == index(str(stamp)) == index(stamp) == frame


@pytest.mark.parametrize("kind", ["name", "stem", "number", "frame_number", "stamp", "float"])
def test_an_episode_captioned_in_any_way_reads_the_same(
    tiny: Path, builder: ModuleType, kind: str
) -> None:
    names = builder.frame_names(60)
    ways = {
        "name": lambda name: name,
        "stem": lambda name: Path(name).stem,
        "number": lambda name: names.index(name) + 1,
        "frame_number": lambda name: f"frame_{names.index(name) + 1:06d}",
        "stamp": lambda name: int(Path(name).stem),
        "float": lambda name: float(names.index(name) + 1),
    }
    document = builder.caption_document(names)
    with Episode(tiny) as episode:
        want = episode.labels
    for segment in document["segments"]:
        for holder in (segment, *segment["Current Action"]):
            for key in [key for key in holder if key.startswith(("start_", "end_"))]:
                holder[key] = ways[kind](holder[key])
        for what in ("objects", "interaction"):
            segment[what] = {ways[kind](name): value for name, value in segment[what].items()}
    builder.put_captions(tiny, document)
    with Episode(tiny) as episode:
        assert episode.labels == want
        assert episode.streams["captions"].status == "ok"


# the four rules


def labels_of(*segments: dict, n: int = 12) -> FrameLabels:
    names = [f"frame_{i:06d}.jpg" for i in range(1, n + 1)]
    labels, faults = frame_labels({"segments": list(segments)}, FrameIndex(names))
    assert faults == []
    return labels


def action(label: str, start: int, end: int) -> dict:
    return {"label": label, "description": f"{label}!", "start_frame": start, "end_frame": end}


def segment(start: int, end: int, *actions: dict, name: str = "S", **more: Any) -> dict:
    bounds = {"start_frame": start, "end_frame": end}
    return {"Sub Task": name, **bounds, "Current Action": list(actions), **more}


def test_a_later_action_overwrites_and_reversed_ends_are_swapped() -> None:
    labels = labels_of(segment(1, 6, action("b", 6, 3), action("a", 1, 4)))
    assert labels.action[:6] == ["a", "a", "b", "b", "b", "b"]
    assert labels.description[:6] == ["a!", "a!", "b!", "b!", "b!", "b!"]


def test_frames_between_actions_take_the_one_that_ended_else_the_first() -> None:
    labels = labels_of(segment(1, 9, action("a", 3, 4), action("b", 7, 7)))
    assert labels.action[:9] == ["a", "a", "a", "a", "a", "a", "b", "b", "b"]
    assert labels.subtask[:9] == ["S"] * 9


def test_labels_carry_forward_beyond_the_last_segment() -> None:
    labels = labels_of(segment(1, 3, action("a", 1, 3)), segment(7, 8, name="T"))
    assert labels.action == ["a"] * 12
    assert labels.subtask == ["S"] * 6 + ["T"] * 6


def test_objects_carry_forward_within_their_segment() -> None:
    first = segment(1, 4, objects={"2": ["cup", "lid"]}, interaction={"3": "on cup"})
    labels = labels_of(first, segment(5, 8, objects={"7": "pot"}))
    nothing = ()
    cup, pot = ("cup", "lid"), ("pot",)
    assert labels.objects == [nothing, cup, cup, cup, nothing, nothing, pot, pot, *[nothing] * 4]
    assert labels.interaction[:5] == ["", "", "on cup", "on cup", ""]


def test_bounds_that_do_not_resolve_fall_back_to_the_frames_touched() -> None:
    raw = segment("?", "?", action("a", 3, 4), objects={"6": ["cup"]})
    names = [f"frame_{i:06d}.jpg" for i in range(1, 13)]
    labels, faults = frame_labels({"segments": [raw]}, FrameIndex(names))
    assert labels.action == ["", "", *["a"] * 10]
    assert labels.objects[5:7] == [("cup",), ()]
    assert [fault.found for fault in faults] == [
        "1 segment end references name no frame",
        "1 segment start references name no frame",
    ]


@pytest.mark.parametrize("label", ["", "N/A", "n/a", " N/A "])
def test_unlabelled(label: str) -> None:
    assert not is_labelled(label)
    assert is_labelled("Pour")
