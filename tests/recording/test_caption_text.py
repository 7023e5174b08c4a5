"""Captions as text: encodings, references outside the recording, labels that look the same."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.features.windows import window_starts
from xperience.recording.captions import FrameIndex, FrameLabels, frame_labels
from xperience.recording.inspect import inspect_episode
from xperience.recording.recording import Episode
from xperience.tasks import targets
from xperience.tasks.truth import Truth

N = 60
FIRST_NS, STEP_NS = 75_294_505_147_569, 50_000_000
NUMBERED = [f"frame_{i:06d}.jpg" for i in range(1, N + 1)]
STAMPED = [f"{FIRST_NS + i * STEP_NS}.jpg" for i in range(N)]


def state_of(folder: Path) -> tuple[str, str]:
    row = next(row for row in inspect_episode(folder).streams if row.stream == "captions")
    return row.status, " ".join(row.faults)


def labelled(builder: ModuleType, *labels: str) -> dict:
    document = builder.caption_document(builder.frame_names(N))
    for segment, label in zip(document["segments"], labels, strict=True):
        segment["Current Action"][0]["label"] = label
    return document


# encodings


def in_file(folder: Path, builder: ModuleType, raw: bytes) -> None:
    (folder / "caption.json").write_bytes(raw)
    builder.put(folder, caption=np.bytes_(b"caption.json"))


def inside(folder: Path, builder: ModuleType, raw: bytes) -> None:
    builder.put(folder, caption=np.bytes_(raw))  # HDF5 takes zeros from the end


def byte_by_byte(folder: Path, builder: ModuleType, raw: bytes) -> None:
    builder.put(folder, caption=np.frombuffer(raw, dtype=np.uint8))


PLACES = (in_file, inside, byte_by_byte)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_captions_in_unicode(
    tiny: Path, builder: ModuleType, place: Callable, encoding: str
) -> None:
    document = labelled(builder, "倒水☕", "Prépare le café 😀")
    place(tiny, builder, json.dumps(document, ensure_ascii=False).encode(encoding))
    with Episode(tiny) as episode:
        assert episode.streams["captions"].status == "ok"
        assert episode.labels.action[0] == "倒水☕"
        assert episode.labels.action[-1] == "Prépare le café 😀"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("encoding", "labels", "likely"),
    [
        ("cp1252", ("Prépare le café", "Prèpare le café"), "Windows-1252"),
        ("gb18030", ("倒水", "搅拌咖啡"), "GB18030"),
        ("shift_jis", ("水を注ぐ", "コップを持つ"), "Shift-JIS"),
        ("utf-16-le", ("Pour", "Stir"), "UTF-16 without its byte-order mark"),
    ],
)
def test_captions_in_anything_else_are_a_fault(
    tiny: Path, builder: ModuleType, place: Callable, encoding: str, labels: tuple, likely: str
) -> None:
    text = json.dumps(labelled(builder, *labels), ensure_ascii=False, indent=1)
    place(tiny, builder, text.encode(encoding))
    status, told = state_of(tiny)
    assert status == "broken"
    assert f"likely {likely}" in told
    line = 1 + text.split(labels[0])[0].count("\n") if encoding != "utf-16-le" else 1
    assert f", line {line}:" in told
    assert "\ufffd" not in told
    with Episode(tiny) as episode:
        assert set(episode.labels.action) == {""}
        assert episode.streams["body"].status == "ok"


def test_half_a_character_is_a_fault(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, caption=json.dumps(labelled(builder, "Pour \ud83d", "Stir")).encode())
    status, told = state_of(tiny)
    assert status == "broken"
    assert "half a character is escaped in line 1: \\ud83d" in told


def test_letters_that_were_lost_before_are_named(tiny: Path, builder: ModuleType) -> None:
    builder.put_captions(tiny, labelled(builder, "Pr\ufffdpare", "Stir"))
    status, told = state_of(tiny)
    assert status == "partial"
    assert "1 texts hold U+FFFD" in told


def test_frame_names_that_are_no_text(tiny: Path, builder: ModuleType) -> None:
    names = [name.encode() for name in builder.frame_names(N)]
    names[7] = "café.jpg".encode("cp1252")
    builder.put(tiny, slam__frame_names=np.array(names, dtype="S32"))
    with Episode(tiny) as episode:
        assert episode.frame_names[6:9] == [
            names[6].decode(), "frame_000008.jpg", names[8].decode(),
        ]  # fmt: skip
        told = " ".join(map(str, episode.streams["pose"].faults))
        assert "1 names are not UTF-8, the first is that of frame 7" in told


# references outside


def action(label: str, start: object, end: object) -> dict:
    return {"label": label, "description": label, "start_frame": start, "end_frame": end}


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
        (NUMBERED, "frame_000900", "frame_000999", -1),
        (NUMBERED, -8, 0, 0),
        (STAMPED, FIRST_NS + 10**10, FIRST_NS + 2 * 10**10, -1),
        (STAMPED, FIRST_NS - 10**10, str(FIRST_NS - 10**9), 0),
        (STAMPED, 10**17, 10**30, -1),
    ],
)
def test_what_lies_outside_is_dropped_and_counted(
    names: list[str], start: object, end: object, edge: int
) -> None:
    segment = {
        "start_frame": 1,
        "end_frame": N,
        "Current Action": [action("Pour", 1, N), action("Ghost", start, end)],
        "objects": {"5": ["cup"], str(start): ["ghost"]},
        "interaction": {str(end): "ghost"},
    }
    published, corrected, told = both({"segments": [segment]}, names)
    assert published.action[edge] == "Ghost"
    assert set(corrected.action) == {"Pour"}
    assert "ghost" in published.objects[edge]
    assert set(corrected.objects) == {(), ("cup",)}
    assert set(corrected.interaction) == {""}
    for what in ("action start", "action end", "objects", "interaction"):
        assert f"1 {what} references lie outside the recording, such as " in told
    assert str(start) in told


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [
        (51, N + 500, range(50, N)),  # goes on when the recording ends
        (-20, 10, range(10)),
        (-5, N + 5, range(N)),
        (30, 0, range(0)),  # ends before it starts: an end that means nothing
        (N + 9, 5, range(0)),
    ],
)
def test_of_a_range_the_part_inside_is_kept(start: int, end: int, frames: range) -> None:
    found = both({"segments": [{"Current Action": [action("Pour", start, end)]}]})[1]
    first = [i for i in range(N) if found.action[i] == "Pour"][:1]
    assert first == list(frames)[:1], "what follows is carried forward"


def test_a_time_within_a_frame_of_the_end_is_inside() -> None:
    late = FIRST_NS + N * STEP_NS - 1
    document = {"segments": [{"objects": {str(late): ["cup"], str(late + 10**8): ["far"]}}]}
    published, corrected, told = both(document, STAMPED)
    assert corrected.objects[-1] == ("cup",)
    assert published.objects[-1] == ("far",)
    assert "1 objects references lie outside" in told


def test_bounds_outside_fall_back_to_what_was_touched() -> None:
    segment = {"start_frame": N + 1, "end_frame": N + 9, "objects": {"3": ["cup"], "7": ["lid"]}}
    corrected = both({"segments": [segment]})[1]
    assert corrected.objects[1:8] == [(), *[("cup",)] * 4, ("lid",), ()]


# labels that look the same

SPACES = [" ", "  ", "\t", "\n", *"\xa0\u1680\u2003\u2009\u2028\u202f\u205f\u3000\u3164"]
SPACES += ["\u200b", "\ufeff", "\u2060", " \u200b", "\u200c "]


@pytest.mark.parametrize("space", SPACES)
def test_any_white_space_is_one_space(space: str) -> None:
    said = ["Pour water", f"Pour{space}water", f"{space}Pour water{space}"]
    actions = [action(label, 5 * i + 1, 5 * i + 5) for i, label in enumerate(said)]
    assert set(both({"segments": [{"Current Action": actions}]})[1].action) == {"Pour water"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café", "Cafe\u0301"),
        ("Pour", "Po\u200bur"),
        ("cup", "c\u00adup"),
        ("cup", "\u202acup\u202c"),
        ("가방", "\u1100\u1161\u1107\u1161\u11bc"),
    ],
)
def test_what_cannot_be_seen_makes_no_label(one: str, other: str) -> None:
    said = [action(one, 1, 10), action(other, 11, 20)]
    segment = {
        "Sub Task": other,
        "start_frame": 1,
        "end_frame": N,
        "Current Action": said,
        "objects": {"1": [one], "2": [other], "3": ["\u200b"]},
    }
    published, corrected, told = both(
        {"config": {"Main Task": f" {other} "}, "segments": [segment]}
    )
    assert len(set(published.action)) == 2
    assert (
        set(corrected.action) == set(corrected.description) == {unicodedata.normalize("NFC", one)}
    )
    assert {name for names in corrected.objects for name in names} == {corrected.action[0]}
    assert corrected.main_task == corrected.subtask[0] == corrected.action[0]
    for kind in ("label", "description", "objects"):
        assert f"2 {kind!r} labels differ only in how they are written: " in told
    assert ascii(one) in told
    assert ascii(other) in told


@pytest.mark.parametrize(
    "label", ["👩\u200d🍳 cooks", "می\u200cخواهم", "Pour (hot) water!", "ａ b"]
)
def test_what_can_be_seen_stays(label: str) -> None:
    assert set(both({"segments": [{"Current Action": [action(label, 1, N)]}]})[1].action) == {label}


def test_every_reader_takes_its_contracts_labels(tiny: Path, builder: ModuleType) -> None:
    document = labelled(builder, "Pour\xa0water", "Pour  water")
    document["segments"].append({"Current Action": [action("Ghost", N + 5, N + 9)]})
    document["segments"][0]["objects"]["999"] = ["ghost"]
    builder.put_captions(tiny, document)
    status, told = state_of(tiny)
    assert status == "partial"
    assert "1 action start references lie outside the recording, such as '65'" in told
    assert r"2 'label' labels differ only in how they are written: 'Pour\xa0water'" in told
    found = {}
    for contract in ("published", "corrected"):
        path = tiny.parent / f"{contract}.parquet"
        extract(tiny, path, contract=contract, workers=1)
        table = WindowTable(path)
        with Episode(tiny) as episode:
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


def test_captions_that_lie_outside_altogether_are_missing(tiny: Path, builder: ModuleType) -> None:
    outside = {"Current Action": [action("Ghost", 900, 999)], "objects": {"950": ["ghost"]}}
    builder.put_captions(tiny, {"segments": [outside]})
    path = tiny.parent / "table.parquet"
    info = extract(tiny, path, contract="corrected", workers=1)
    assert "outside the recording" in info.missing_blocks["caption_objects_interaction_text"]
    assert WindowTable(path).labels["action"].isna().all()


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.integers(-90, 150))
def test_corrected_labels_are_written_in_one_way(labels: list[str], shift: int) -> None:
    said = [action(label, 10 * i + shift, 10 * i + 9 + shift) for i, label in enumerate(labels)]
    _, corrected, _ = both({"segments": [{"Current Action": said}]})
    again = [action(label, i + 1, i + 1) for i, label in enumerate(corrected.action) if label]
    assert both({"segments": [{"Current Action": again}]})[1].action == corrected.action
    for label in corrected.action:
        assert label == unicodedata.normalize("NFC", " ".join(label.split()))
