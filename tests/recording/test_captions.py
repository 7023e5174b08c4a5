"""Captions: where the document may be, and whatever else may be written in it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.features.table import WindowTable
from xperience.recording.captions import FrameIndex, frame_labels
from xperience.recording.inspect import inspect_episode
from xperience.recording.recording import Episode

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
