"""Files are whole or absent; digests follow from content."""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.errors import FileError
from xperience.storage import (
    digest_state,
    file_digest,
    value_digest,
    whole_file,
    whole_folder,
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


IN_THE_WAY = {
    "file": (lambda path: path.write_text("mine"), "is no folder"),
    "link": (lambda path: path.symlink_to(path.parent), "is a link"),
    "link to nowhere": (lambda path: path.symlink_to("gone"), "is a link"),
    "full folder": (lambda path: write_text(path / "old.txt", "mine"), "that holds something"),
}


def state(folder: Path) -> dict[str, str]:
    """Return what a folder holds: links with where they lead, files with their text."""
    return {
        str(p.relative_to(folder)): str(p.readlink()) if p.is_symlink() else p.read_text()
        for p in folder.rglob("*")
        if p.is_symlink() or p.is_file()
    }


def fill(path: Path, *, replace: bool = False, meanwhile: Callable = lambda path: None) -> None:
    with whole_folder(path, replace=replace) as scratch:
        write_text(scratch / "new.txt", "new")
        meanwhile(path)


@pytest.mark.parametrize("late", [False, True], ids=["before", "meanwhile"])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_in_a_folders_way_stays(
    tmp_path: Path, what: str, replace: bool, late: bool
) -> None:
    path, (put, found) = tmp_path / "out", IN_THE_WAY[what]
    if what == "full folder" and replace:
        put(path)
        fill(path, replace=True)
        assert state(tmp_path) == {"out/new.txt": "new"}
        return
    if not late:
        put(path)
    way_out = rf"out: .*{found}, expected nothing, or .*Move it away, or name another place\."
    with pytest.raises(FileError, match=way_out):
        fill(path, replace=replace, meanwhile=put if late else lambda path: None)
    there = state(tmp_path)
    assert len(there) == 1
    assert path.is_symlink() or set(there.values()) == {"mine"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out")
    assert state(tmp_path) == {"out/new.txt": "new"}


@pytest.mark.parametrize("fails", ["block", "swap"])
def test_the_old_folder_is_there_after_a_failure(
    tmp_path: Path, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename = tmp_path / "out", Path.rename
    write_text(path / "old.txt", "mine")

    def refuse(here: Path, there: Path) -> Path:
        if here.suffix == ".part":
            raise OSError(5, "Input/output error")
        return rename(here, there)

    def lose(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output"):
        fill(path, replace=True, meanwhile=lose if fails == "block" else lambda path: None)
    assert state(tmp_path) == {"out/old.txt": "mine"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_old_folder_that_cannot_be_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    write_text(path / "old.txt", "mine")

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(FileError, match=r"\.old: can't be removed .*the new folder is whole"):
        fill(path, replace=True)
    assert (path / "new.txt").read_text() == "new"
