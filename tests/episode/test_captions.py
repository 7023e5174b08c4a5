"""Captions: every way to refer to a frame, the four rules, and whatever else may be written."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.episode.captions import FrameIndex, FrameLabels, frame_labels, is_labelled
from xperience.episode.episode import Episode
from xperience.episode.inspect import inspect_episode
from xperience.features.table import WindowTable

TEXT = "caption_objects_interaction_text"
FIRST_NS, STEP_NS = 75_294_505_147_569, 50_000_000
NAMES = [f"{FIRST_NS + i * STEP_NS}.jpg" for i in range(12)]
Extract = Callable[[Path], WindowTable]


def caption_faults(folder: Path) -> tuple[str, list[str]]:
    report = inspect_episode(folder)
    assert report.usable
    row = next(row for row in report.streams if row.stream == "captions")
    return row.status, row.faults


def assert_blank(folder: Path, windows_of: Extract, reason: str) -> None:
    """All else is there; labels are null, the text block is missing with its reason."""
    table = windows_of(folder)
    assert set(table.info.missing_blocks) == {TEXT}
    assert reason in table.info.missing_blocks[TEXT]
    assert table.labels["action"].isna().all()
    assert table.labels["subtask"].isna().all()
    assert np.isnan(table.block(TEXT)).all()
    assert np.isfinite(table.block("body_joints")).all()


# where the document is


@pytest.mark.parametrize(
    ("captions", "found"),
    [
        ('{"config": {}, "segments": [', "is not JSON"),
        ('{"segments": [{"start_frame": 1' + "9" * 5000 + "}]}", "is not JSON"),
        ('"a text"', "has no list 'segments'"),
        ("[1, 2]", "has no list 'segments'"),
        ("[" * 100_000, "is not JSON"),
        ('{"config": {}}', "has no list 'segments'"),
        ('{"segments": {}}', "has no list 'segments'"),
        ('{"segments": []}', "says nothing of any frame"),
        ('{"segments": [1, null]}', "says nothing of any frame"),
        ("", "is not JSON"),
        ("nowhere.json", "is not there"),
        (".", "is not there"),
        ("two\nlines", "is not JSON"),
        ("a person makes tea, slowly, and " * 200, "is not JSON"),
        ("x" * 1000, "name too long"),
        ("a\0b", "is not JSON"),
    ],
)
def test_a_broken_document(
    tiny: Path, builder: ModuleType, windows_of: Extract, captions: str, found: str
) -> None:
    builder.put(tiny, caption=np.bytes_(captions.encode()))
    status, faults = caption_faults(tiny)
    assert status == "broken"
    assert found in " ".join(faults)
    assert all(len(fault) < 400 for fault in faults)
    assert_blank(tiny, windows_of, "caption")


@pytest.mark.parametrize("value", [3.0, np.ones(4), [b"a", b"b"]])
def test_captions_that_are_no_text(tiny: Path, builder: ModuleType, value: object) -> None:
    builder.put(tiny, caption=value)
    status, faults = caption_faults(tiny)
    assert status == "broken"
    assert "is not a single text" in faults[0]


def test_captions_that_are_a_group(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, caption=None, **{"caption/inner": 3.0})
    assert caption_faults(tiny)[0] == "broken"


@pytest.mark.parametrize("name", ["caption.json", "notes/caption.json"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_captions_in_another_file(tiny: Path, builder: ModuleType, name: str, mark: str) -> None:
    document = json.loads(builder.get(tiny, "caption"))
    (tiny / name).parent.mkdir(exist_ok=True)
    (tiny / name).write_text(mark + json.dumps(document), encoding="utf-8")
    with Episode(tiny) as episode:
        want = episode.labels
    builder.put(tiny, caption=np.array(name, dtype="S64"))  # padded with NUL
    with Episode(tiny) as episode:
        assert episode.labels == want
        assert episode.streams["captions"].status == "ok"


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: [text]])
def test_a_dataset_named_captions(tiny: Path, builder: ModuleType, wrap: Callable) -> None:
    text = builder.get(tiny, "caption")
    builder.put(tiny, caption=None, captions=wrap(text))
    with Episode(tiny) as episode:
        assert episode.streams["captions"].status == "ok"
        assert episode.labels.action[0] == "Action 0"


def beside(folder: Path) -> str:
    return "../caption.json"


def absolute(folder: Path) -> str:
    return str(folder.parent / "caption.json")


def linked(folder: Path) -> str:
    (folder / "inside.json").symlink_to(folder.parent / "caption.json")
    return "inside.json"


def linked_folder(folder: Path) -> str:
    (folder / "notes").symlink_to(folder.parent, target_is_directory=True)
    return "notes/caption.json"


@pytest.mark.parametrize("name_of", [beside, absolute, linked, linked_folder])
def test_a_path_that_leaves_the_folder_is_refused(
    tiny: Path, builder: ModuleType, windows_of: Extract, name_of: Callable
) -> None:
    (tiny.parent / "caption.json").write_bytes(builder.get(tiny, "caption"))
    builder.put_captions(tiny, name_of(tiny))
    status, faults = caption_faults(tiny)
    assert status == "broken"
    assert "leaves the episode folder and is refused" in faults[0]
    assert_blank(tiny, windows_of, "leaves the episode folder")


def test_a_loop_of_links_is_a_fault(tiny: Path, builder: ModuleType) -> None:
    (tiny / "loop.json").symlink_to("loop.json")
    builder.put_captions(tiny, "loop.json")
    assert caption_faults(tiny)[0] == "broken"


def test_a_linked_episode_folder_is_fine(tiny: Path, builder: ModuleType) -> None:
    (tiny / "caption.json").write_bytes(builder.get(tiny, "caption"))
    builder.put_captions(tiny, "caption.json")
    (tiny.parent / "link").symlink_to(tiny, target_is_directory=True)
    assert caption_faults(tiny.parent / "link") == ("ok", [])


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


# references that lead nowhere, types that do not fit


def test_unknown_frames_are_counted_and_the_rest_is_used(tiny: Path, builder: ModuleType) -> None:
    document = json.loads(builder.get(tiny, "caption"))
    document["segments"][0]["objects"] |= {"elsewhere.jpg": ["pan"], "nowhere": ["pot"]}
    document["segments"][1]["Current Action"].append({"label": "?", "start_frame_name": "lost"})
    builder.put_captions(tiny, document)
    status, faults = caption_faults(tiny)
    assert status == "partial"
    told = " ".join(faults)
    assert "2 objects references name no frame" in told
    assert "1 action start references name no frame" in told
    assert "1 action end references name no frame" in told
    with Episode(tiny) as episode:
        assert "pan" not in {name for names in episode.labels.objects for name in names}
        assert episode.labels.action[0] == "Action 0"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"Sub Task": 7}, "1 'Sub Task' are not text"),
        ({"Current Action": {"label": "x"}}, "1 'Current Action' are not objects in a list"),
        ({"Current Action": ["x", 3]}, "2 'Current Action' are not objects in a list"),
        ({"objects": ["cup"]}, "1 'objects' are not keyed by frame"),
        ({"objects": {"3": 12, "4": {"a": 1}}}, "2 'objects' are not text"),
        ({"interaction": "on cup"}, "1 'interaction' are not keyed by frame"),
        ({"interaction": {"3": ["on cup"]}}, "1 'interaction' are not text"),
    ],
)
def test_values_of_a_wrong_type_are_counted(
    tiny: Path, builder: ModuleType, change: dict, fault: str
) -> None:
    document = json.loads(builder.get(tiny, "caption"))
    document["segments"][0] |= change
    builder.put_captions(tiny, document)
    status, faults = caption_faults(tiny)
    assert status == "partial"
    assert fault in " ".join(faults)


def test_half_a_character_can_still_be_written(
    tiny: Path, builder: ModuleType, windows_of: Extract
) -> None:
    document = json.loads(builder.get(tiny, "caption"))
    document["segments"][0]["Current Action"][0]["label"] = "Pour \ud83d"
    document["config"]["Main Task"] = "\udc00"
    builder.put_captions(tiny, document)
    inspect_episode(tiny).to_json().encode()
    assert windows_of(tiny).labels["action"][0] == "Pour ?"


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(NAMES),
)
KEYS = st.one_of(
    st.sampled_from(
        [
            *("Sub Task", "start_frame", "end_frame", "Current Action", "objects", "interaction"),
            *("label", "description", "start_frame_name", "end_frame_name", "Main Task", "config"),
        ]
    ),
    st.sampled_from(NAMES),
    st.text(max_size=4),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6)
)


@given(st.fixed_dictionaries({"segments": ANYTHING, "config": ANYTHING}))
def test_labels_of_any_json_are_texts_in_length(document: dict) -> None:
    labels, faults = frame_labels(document, FrameIndex(NAMES))
    for kind in (labels.subtask, labels.action, labels.description, labels.interaction):
        assert len(kind) == len(NAMES)
        assert all(isinstance(text, str) for text in kind)
    assert all(isinstance(name, str) for names in labels.objects for name in names)
    assert "".join([labels.main_task, *labels.action]).encode() is not None
    assert all(str(fault) for fault in faults)
