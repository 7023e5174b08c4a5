"""Files are whole or absent; digests follow from content."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.storage import (
    digest_state,
    file_digest,
    value_digest,
    whole_file,
    write_json,
    write_text,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)  # fmt: skip


def write_half(path: Path, error: type[BaseException]) -> None:
    with whole_file(path) as scratch:
        scratch.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, "old"])
def test_an_error_leaves_nothing_behind(
    tmp_path: Path, error: type[BaseException], old: str | None
) -> None:
    path = tmp_path / "made" / "file.npy"
    if old:
        write_text(path, old)
    with pytest.raises(error):
        write_half(path, error)
    assert [p.read_text() for p in path.parent.iterdir()] == ([old] if old else [])


def test_nothing_is_there_before_the_end_and_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with whole_file(path) as one, whole_file(path) as other:
        assert (one.parent, one.suffix) == (path.parent, path.suffix)
        one.write_text("one")
        other.write_text("other")
        assert one != other
        assert not path.exists()
    assert path.read_text() == "one", "the last to finish"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_loses_its_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "file.txt") as scratch:
        scratch.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file.txt", "x")
    finally:
        assert os.umask(before) == mask
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1, float("-inf")]}, {1, 2}])
def test_json_that_is_no_json_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "file.json", value)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40)
@given(JSON)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value


@given(st.dictionaries(st.text("abcde", max_size=3), st.integers(), max_size=5))
def test_equal_values_have_equal_digests(value: dict) -> None:
    assert value_digest(value) == value_digest(dict(reversed(value.items())))
    assert value_digest(value) != value_digest(value | {"z": 1})
    assert len(value_digest(value)) == 64


def test_a_file_is_known_again_by_its_digest(tmp_path: Path) -> None:
    path, digest = tmp_path / "content.bin", hashlib.sha256(b"1").hexdigest()
    assert digest_state(path, digest) == digest_state(path, None) == "absent"
    path.write_bytes(b"1")
    assert file_digest(path) == digest
    assert digest_state(path, digest) == "same"
    assert digest_state(path, None) == "unrecorded"
    path.write_bytes(b"2")
    assert digest_state(path, digest) == "changed"
