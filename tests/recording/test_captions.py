"""Captions: where the document may be, every way to refer to a frame, the four rules, spelling."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.features.windows import window_starts
from xperience.recording.captions import FrameIndex, FrameLabels, frame_labels, is_labelled
from xperience.recording.recording import Recording
from xperience.tasks import targets
from xperience.tasks.truth import Truth

from .conftest import ALL, TEXT, Extract, N, Tables, null_windows, report_of

FIRST_NS, STEP_NS = 75_294_505_147_569, 50_000_000
STAMPED = [f"{FIRST_NS + i * STEP_NS}.jpg" for i in range(N)]
NUMBERED = [f"frame_{i:06d}.jpg" for i in range(1, N + 1)]
NAMES = STAMPED[:12]


def state_of(folder: Path) -> tuple[str, str]:
    row = report_of(folder, "captions")
    return row.status, " ".join(row.faults)


def labelled(builder: ModuleType, *labels: str) -> dict:
    document = builder.caption_document(builder.frame_names(N))
    for segment, label in zip(document["segments"], labels, strict=True):
        segment["Current Action"][0]["label"] = label
    return document


# where the document is


@pytest.mark.parametrize(
    ("captions", "found"),
    [
        ('{"config": {}, "segments": [', "is not JSON"),
        ('{"segments": [{"start_frame": 1' + "9" * 5000 + "}]}", "is not JSON"),
        ("[1, 2]", "has no list 'segments'"),
        ('{"segments": {}}', "has no list 'segments'"),
        ('{"segments": [1, null]}', "says nothing of any frame"),
        ("nowhere.json", "is not there"),
        ("two\nlines", "is not JSON"),
        ("x" * 1000, "name too long"),
        ("a\0b", "is not JSON"),
        (3.0, "is not a single text"),
    ],
)
def test_a_broken_document_is_named_and_all_else_is_there(
    tiny: Path, builder: ModuleType, windows_of: Extract, captions: object, found: str
) -> None:
    is_text = isinstance(captions, str)
    builder.put(tiny, caption=np.bytes_(captions.encode()) if is_text else captions)
    row = report_of(tiny, "captions")
    assert row.status == "broken"
    assert found in " ".join(row.faults)
    assert all(len(fault) < 400 for fault in row.faults)
    if found == "is not there":
        table = windows_of(tiny)
        assert set(table.info.missing_blocks) == {TEXT}
        assert found in table.info.missing_blocks[TEXT]
        assert table.labels["action"].isna().all()
        assert table.labels["subtask"].isna().all()
        assert null_windows(table, TEXT) == ALL


@pytest.mark.parametrize("name", ["caption.json", "notes/caption.json"])
def test_captions_in_another_file(tiny: Path, builder: ModuleType, name: str) -> None:
    text = builder.get(tiny, "caption")
    (tiny / name).parent.mkdir(exist_ok=True)
    (tiny / name).write_text("\ufeff" + text.decode(), encoding="utf-8")
    builder.put(tiny, caption=None, captions=np.array([name], dtype="S64"))  # padded with NUL
    (tiny.parent / "link").symlink_to(tiny, target_is_directory=True)
    with Recording(tiny.parent / "link") as episode:
        assert episode.labels.action[0] == "Action 0"
        assert episode.streams["captions"].status == "ok"


def linked(folder: Path) -> str:
    (folder / "inside.json").symlink_to(folder.parent / "caption.json")
    return "inside.json"


def linked_folder(folder: Path) -> str:
    (folder / "notes").symlink_to(folder.parent, target_is_directory=True)
    return "notes/caption.json"


@pytest.mark.parametrize(
    "name_of",
    [
        lambda folder: "../caption.json",
        lambda folder: str(folder.parent / "caption.json"),
        linked,
        linked_folder,
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(
    tiny: Path, builder: ModuleType, name_of: Callable
) -> None:
    (tiny.parent / "caption.json").write_bytes(builder.get(tiny, "caption"))
    builder.put_captions(tiny, name_of(tiny))
    status, told = state_of(tiny)
    assert status == "broken"
    assert "leaves the episode folder and is refused" in told


# encodings


def in_file(folder: Path, builder: ModuleType, raw: bytes) -> None:
    (folder / "caption.json").write_bytes(raw)
    builder.put(folder, caption=np.bytes_(b"caption.json"))


def inside(folder: Path, builder: ModuleType, raw: bytes) -> None:
    builder.put(folder, caption=np.bytes_(raw))  # HDF5 takes zeros from the end


def byte_by_byte(folder: Path, builder: ModuleType, raw: bytes) -> None:
    builder.put(folder, caption=np.frombuffer(raw, dtype=np.uint8))


@pytest.mark.parametrize("place", [in_file, inside, byte_by_byte])
def test_captions_in_unicode(tiny: Path, builder: ModuleType, place: Callable) -> None:
    document = labelled(builder, "倒水☕", "Prépare le café 😀")
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        place(tiny, builder, json.dumps(document, ensure_ascii=False).encode(encoding))
        with Recording(tiny) as episode:
            assert episode.streams["captions"].status == "ok"
            assert episode.labels.action[0] == "倒水☕"
            assert episode.labels.action[-1] == "Prépare le café 😀"


@pytest.mark.parametrize(
    ("encoding", "labels", "likely"),
    [
        ("cp1252", ("Prépare le café", "Prèpare le café"), "Windows-1252"),
        ("utf-16-le", ("Pour", "Stir"), "UTF-16 without its byte-order mark"),
    ],
)
def test_captions_in_anything_else_are_a_fault(
    tiny: Path, builder: ModuleType, encoding: str, labels: tuple, likely: str
) -> None:
    text = json.dumps(labelled(builder, *labels), ensure_ascii=False, indent=1)
    inside(tiny, builder, text.encode(encoding))
    status, told = state_of(tiny)
    assert status == "broken"
    assert f"likely {likely}" in told
    line = 1 + text.split(labels[0])[0].count("\n") if encoding != "utf-16-le" else 1
    assert f", line {line}:" in told
    assert "\ufffd" not in told
    with Recording(tiny) as episode:
        assert set(episode.labels.action) == {""}
        assert episode.streams["body"].status == "ok"


# how frames are referred to


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (NAMES[4], (4, 4)),
        (NAMES[4].replace(".jpg", ".png"), (4, 4)),
        (f" {NAMES[4].removesuffix('.jpg')} ", (4, 4)),
        (FIRST_NS + 4 * STEP_NS, (4, 4)),
        (float(FIRST_NS + 4 * STEP_NS), (4, 4)),
        (str(FIRST_NS + 4 * STEP_NS + STEP_NS // 2 - 1), (4, 4)),
        (FIRST_NS - STEP_NS, (0, 0)),
        (FIRST_NS - 10**9, (0, -1)),
        (10**30, (11, 12)),
        ("frame_000005.jpg", (4, 4)),
        ("frame_5", (4, 4)),
        (5, (4, 4)),
        (5.0, (4, 4)),
        ("5.0", (4, 4)),
        (-3, (0, -1)),
        (99_999_999, (11, 12)),
        ("frame_999999999999", (11, 12)),
        *((text, None) for text in (5.5, "5.5", float("nan"), float("inf"), "", "frame_", "first")),
        *((value, None) for value in (True, None, [5], {"frame": 5})),
    ],
)
def test_references(reference: Any, found: tuple[int, int] | None) -> None:
    assert FrameIndex(NAMES).find(reference) == found


def test_a_time_needs_a_clock() -> None:
    stamps_ns = np.array([10, 20, 30]) * 10**9
    assert FrameIndex(NUMBERED[:3]).find(21 * 10**9) is None
    assert FrameIndex(NUMBERED[:3], stamps_ns).find(21 * 10**9) == (1, 1)
    index = FrameIndex(NAMES, stamps_ns=np.arange(12))  # names come first
    assert index.find(FIRST_NS + STEP_NS) == (1, 1)


@given(
    gaps=st.lists(st.integers(1, 10**9), min_size=1, max_size=20),
    reference=st.one_of(
        st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=20), st.booleans(), st.none()
    ),
)
@settings(max_examples=50)
def test_a_reference_is_the_nearest_frame_or_none(gaps: list[int], reference: Any) -> None:
    stamps = (10**9 + np.cumsum(gaps)).tolist()
    index = FrameIndex([f"{stamp}.jpg" for stamp in stamps])
    for frame, stamp in enumerate(stamps):
        assert index.find(f"{stamp}.jpg") == index.find(stamp) == (frame, frame)
    frame, place = index.find(reference) or (None, None)
    assert frame is None or place in (-1, frame, len(stamps))
    if isinstance(reference, int) and not isinstance(reference, bool):
        distances = [abs(stamp - reference) for stamp in stamps]
        small = min(max(reference - 1, 0), len(stamps) - 1)
        assert frame == (distances.index(min(distances)) if reference >= 10**8 else small)


# the four rules


def action(label: str, start: object, end: object) -> dict:
    return {"label": label, "description": f"{label}!", "start_frame": start, "end_frame": end}


def segment(start: object, end: object, *actions: dict, name: str = "S", **more: Any) -> dict:
    bounds = {"start_frame": start, "end_frame": end}
    return {"Sub Task": name, **bounds, "Current Action": list(actions), **more}


def labels_of(*segments: dict) -> FrameLabels:
    labels, faults = frame_labels({"segments": list(segments)}, FrameIndex(NUMBERED[:12]))
    assert faults == []
    return labels


def test_a_later_action_overwrites_and_reversed_ends_are_swapped() -> None:
    labels = labels_of(segment(1, 6, action("b", 6, 3), action("a", 1, 4)))
    assert labels.action[:6] == ["a", "a", "b", "b", "b", "b"]
    assert labels.description[:6] == ["a!", "a!", "b!", "b!", "b!", "b!"]


def test_frames_between_actions_take_the_one_that_ended_else_the_first_and_carry_forward() -> None:
    labels = labels_of(segment(1, 9, action("a", 3, 4), action("b", 7, 7)))
    assert labels.action == [*["a"] * 6, *["b"] * 6]
    assert labels.subtask == ["S"] * 12
    labels = labels_of(segment(1, 3, action("a", 1, 3)), segment(7, 8, name="T"))
    assert labels.action == ["a"] * 12
    assert labels.subtask == ["S"] * 6 + ["T"] * 6


def test_objects_carry_forward_within_their_segment() -> None:
    first = segment(1, 4, objects={"2": ["cup", "lid"]}, interaction={"3": "on cup"})
    labels = labels_of(first, segment(5, 8, objects={"7": "pot"}))
    cup, pot = ("cup", "lid"), ("pot",)
    assert labels.objects == [(), cup, cup, cup, (), (), pot, pot, *[()] * 4]
    assert labels.interaction[:5] == ["", "", "on cup", "on cup", ""]


def test_bounds_that_do_not_resolve_fall_back_to_the_frames_touched() -> None:
    raw = segment("?", "?", action("a", 3, 4), objects={"6": ["cup"]})
    labels, faults = frame_labels({"segments": [raw]}, FrameIndex(NUMBERED[:12]))
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


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"objects": {"nowhere": ["pot"], "x": ["lid"]}}, "2 objects references name no frame"),
        ({"Current Action": [{"label": "?"}]}, "1 action start references name no frame"),
        ({"Sub Task": 7}, "1 'Sub Task' are not text"),
        ({"Current Action": {"label": "x"}}, "1 'Current Action' are not objects in a list"),
        ({"Current Action": ["x", 3]}, "2 'Current Action' are not objects in a list"),
        ({"objects": ["cup"]}, "1 'objects' are not keyed by frame"),
        ({"objects": {"3": 12, "4": {"a": 1}}}, "2 'objects' are not text"),
        ({"interaction": {"3": ["on cup"]}}, "1 'interaction' are not text"),
    ],
)
def test_what_does_not_fit_is_counted_and_the_rest_is_used(
    tiny: Path, builder: ModuleType, change: dict, fault: str
) -> None:
    document = json.loads(builder.get(tiny, "caption"))
    document["segments"][0] |= change
    builder.put_captions(tiny, document)
    status, told = state_of(tiny)
    assert status == "partial"
    assert fault in told
    with Recording(tiny) as episode:
        assert episode.labels.action[-1] == "Action 1"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(
    [
        *("Sub Task", "start_frame", "end_frame", "Current Action", "objects", "interaction"),
        *("label", "description", "start_frame_name", "end_frame_name", "Main Task", "config"),
        *NAMES,
    ]
) | st.text(max_size=4)
ANYTHING = st.recursive(
    SCALARS | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
)


@given(st.fixed_dictionaries({"segments": ANYTHING, "config": ANYTHING}))
@settings(max_examples=60)
def test_labels_of_any_json_are_texts_in_length(document: dict) -> None:
    labels, faults = frame_labels(document, FrameIndex(NAMES))
    for kind in (labels.subtask, labels.action, labels.description, labels.interaction):
        assert len(kind) == len(NAMES)
        assert all(isinstance(text, str) for text in kind)
    assert all(isinstance(name, str) for names in labels.objects for name in names)
    "".join([labels.main_task, *labels.action]).encode()
    assert all(str(fault) for fault in faults)


# references outside


def both(document: dict, names: list[str] = NUMBERED) -> tuple[FrameLabels, FrameLabels, str]:
    """Return the labels under `published` and `corrected`, and the faults that both name."""
    index = FrameIndex(names)
    published, faults = frame_labels(document, index)
    corrected, same = frame_labels(document, index, "corrected")
    assert faults == same
    return published, corrected, " ".join(map(str, faults))


@pytest.mark.parametrize(
    ("names", "start", "end", "edge"),
    [
        (NUMBERED, N + 1, N + 30, -1),
        (NUMBERED, -8, 0, 0),
        (STAMPED, FIRST_NS - 10**10, str(FIRST_NS - 10**9), 0),
        (STAMPED, 10**17, 10**30, -1),
    ],
)
def test_what_lies_outside_is_dropped_and_counted(
    names: list[str], start: object, end: object, edge: int
) -> None:
    actions = [action("Pour", 1, N), action("Ghost", start, end)]
    things = {"5": ["cup"], str(start): ["ghost"]}
    one = segment(1, N, *actions, objects=things, interaction={str(end): "ghost"})
    published, corrected, told = both({"segments": [one]}, names)
    assert published.action[edge] == "Ghost"
    assert set(corrected.action) == {"Pour"}
    assert "ghost" in published.objects[edge]
    assert set(corrected.objects) == {(), ("cup",)}
    assert set(corrected.interaction) == {""}
    for what in ("action start", "action end", "objects", "interaction"):
        assert f"1 {what} references lie outside the recording, such as " in told
    assert str(start) in told


@pytest.mark.parametrize(
    ("start", "end", "first"),
    [
        (51, N + 500, 50),  # goes on when the recording ends
        (-20, 10, 0),
        (30, 0, None),  # ends before it starts: an end that means nothing
        (N + 9, 5, None),
    ],
)
def test_of_a_range_the_part_inside_is_kept(start: int, end: int, first: int | None) -> None:
    found = both({"segments": [{"Current Action": [action("Pour", start, end)]}]})[1]
    assert next((i for i in range(N) if found.action[i] == "Pour"), None) == first


def test_a_time_within_a_frame_of_the_end_is_inside_and_bounds_outside_fall_back() -> None:
    late = FIRST_NS + N * STEP_NS - 1
    document = {"segments": [{"objects": {str(late): ["cup"], str(late + 10**8): ["far"]}}]}
    published, corrected, told = both(document, STAMPED)
    assert corrected.objects[-1] == ("cup",)
    assert published.objects[-1] == ("far",)
    assert "1 objects references lie outside" in told
    one = segment(N + 1, N + 9, objects={"3": ["cup"], "7": ["lid"]})
    corrected = both({"segments": [one]})[1]
    assert corrected.objects[1:8] == [(), *[("cup",)] * 4, ("lid",), ()]


# labels that look the same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((f"Pour{space}water", "Pour water") for space in "\t\n\xa0\u2003\u2028\u3000\u3164"),
        ("\u200b Pour  \u200b water\u2060", "Pour water"),
        ("Cafe\u0301", "Café"),
        ("Po\u200bur", "Pour"),
        ("c\u00adup", "cup"),
        ("\u202acup\u202c", "cup"),
        ("\u1100\u1161\u1107\u1161\u11bc", "가방"),
    ],
)
def test_what_cannot_be_seen_makes_no_label(one: str, other: str) -> None:
    said = [action(one, 1, 10), action(other, 11, 20)]
    things = {"1": [one], "2": [other], "3": ["\u200b"]}
    document = {
        "config": {"Main Task": f" {one} "},
        "segments": [segment(1, N, *said, name=one, objects=things)],
    }
    published, corrected, told = both(document)
    assert len(set(published.action)) == 2
    assert set(corrected.action) == {other}
    assert {name for names in corrected.objects for name in names} == {other}
    assert corrected.main_task == corrected.subtask[0] == other
    for kind in ("label", "description", "objects"):
        assert f"2 {kind!r} labels differ only in how they are written: " in told
    assert ascii(other) in told


@pytest.mark.parametrize(
    "label", ["👩\u200d🍳 cooks", "می\u200cخواهم", "Pour (hot) water!", "ａ b"]
)
def test_what_can_be_seen_stays(label: str) -> None:
    assert set(both({"segments": [{"Current Action": [action(label, 1, N)]}]})[1].action) == {label}


def test_every_reader_takes_its_contracts_labels(
    tiny: Path, builder: ModuleType, tables: Tables
) -> None:
    document = labelled(builder, "Pour\xa0water", "Pour  water")
    document["segments"].append({"Current Action": [action("Ghost", N + 5, N + 9)]})
    document["segments"][0]["objects"]["999"] = ["ghost"]
    builder.put_captions(tiny, document)
    status, told = state_of(tiny)
    assert status == "partial"
    assert "1 action start references lie outside the recording, such as '65'" in told
    assert r"2 'label' labels differ only in how they are written: 'Pour\xa0water'" in told
    found = {}
    for contract, table in tables(tiny).items():
        with Recording(tiny) as episode:
            truth = Truth.of(episode, window_starts(N), contract)
        last = np.arange(len(truth.starts))[:, None]
        found[contract] = (
            set(table.labels["action"].dropna()),
            set(targets.next_action(truth, last)),
            len(targets.boundary_frames(truth.action)),
            {name for names in targets.named_objects(truth, last) for name in names},
        )
    things = {"cup", "kettle", "lid"}
    spelt = {"Pour\xa0water", "Pour  water"}
    assert found["corrected"] == ({"Pour water"}, {"Pour water"}, 0, things)
    assert found["published"] == (spelt, {"Pour  water", "Ghost"}, 2, {*things, "ghost"})


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.integers(-90, 150))
@settings(max_examples=50)
def test_corrected_labels_are_written_in_one_way(labels: list[str], shift: int) -> None:
    said = [action(label, 10 * i + shift, 10 * i + 9 + shift) for i, label in enumerate(labels)]
    _, corrected, _ = both({"segments": [{"Current Action": said}]})
    again = [action(label, i + 1, i + 1) for i, label in enumerate(corrected.action) if label]
    assert both({"segments": [{"Current Action": again}]})[1].action == corrected.action
    for label in corrected.action:
        assert label == unicodedata.normalize("NFC", " ".join(label.split()))
