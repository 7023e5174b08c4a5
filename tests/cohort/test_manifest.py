"""The split manifest is read as it was written, and says what is wrong with it."""

import os
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.cohort.manifest import (
    Entry,
    ManifestError,
    make_manifest,
    read_manifest,
    write_manifest,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=20)
ENTRY = st.builds(
    Entry,
    episode=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,10}\Z"),
    folder=TEXT.filter(bool),
    session=TEXT.filter(bool),
    side=st.just("train"),
    activity=TEXT,
    size_bytes=st.integers(0, 2**40),
    size_band=TEXT,
)


@settings(max_examples=30)
@given(entries=st.lists(ENTRY, min_size=1, max_size=5))
def test_what_is_written_is_read(entries, tmp_path_factory):
    path = tmp_path_factory.mktemp("manifest") / "episodes.csv"
    try:
        make_manifest(entries, path.parent)
    except ManifestError:
        entries = entries[:1]
    manifest = make_manifest(entries, path.parent)
    write_manifest(path, manifest)
    assert read_manifest(path) == manifest


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "names no episode"),
        ("a,a,s,train\na,b,s,train", "a: stands 2 times"),
        ("a,a,s,train\nA,b,t,train", "a: stands 2 times, expected once, whatever"),
        ("a,a,s,train\na.corrected,b,t,test", "names a table of"),
        ("a,a,s,train\nb,b,s,test", "session s: is in two splits"),
        ("a,a,Se 1,train\nb,b,se1,test", "'se1': is written 'Se 1'"),
        ("a,a,Se 1,train\nb,b,SE 1,train", "is written 'Se 1' on"),
        ("a,a,é,train\nb,b,e\u0301,test", "is written 'é'"),
        ("a,a,s,train\nb,./x/../a/,t,test", "the same folder"),
        ("a,a,s,dev", "line 2: side: is 'dev'"),
        ("a,a,s,", "line 2: side: is missing, expected a value"),
        ("../a,a,s,train", "line 2: episode: is '../a'"),
        (None, "episodes.csv: cannot be read (there is no"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, rows, message):
    path = tmp_path / "episodes.csv"
    if rows is not None:
        path.write_text(f"episode,folder,session,side\n{rows}\n")
    with pytest.raises(ManifestError, match=re.escape(message)):
        read_manifest(path)
    path.write_text("episode,folder,session,side,room\na,a,s,train,x\n")
    with pytest.raises(ManifestError, match="line 2: room"):
        read_manifest(path)


@pytest.mark.parametrize("way", ["link", "copy", "hard link"])
def test_the_same_recording_is_refused_under_whatever_name(tiny, tmp_path, way):
    other = tmp_path / "another"
    if way == "link":
        other.symlink_to(tiny)
    elif way == "copy":
        shutil.copytree(tiny, other)
    else:
        other.mkdir()
        os.link(tiny / "annotation.hdf5", other / "annotation.hdf5")
    path = tmp_path / "episodes.csv"
    for side in ("train", "test"):
        path.write_text(f"episode,folder,session,side\na,{tiny.name},s,train\nb,another,t,{side}\n")
        with pytest.raises(ManifestError, match=r"b: another: .* the same .* that of a"):
            read_manifest(path)


def test_splits_folders_and_names_of_any_script(tmp_path):
    path = tmp_path / "episodes.csv"
    text = "episode,folder,session,side\n厨房_1,rec/a,s,train\nकक्ष,/elsewhere/b,t,test\n"
    path.write_text(text, encoding="utf-8")
    manifest = read_manifest(path)
    assert [entry.episode for entry in manifest.on("test")] == ["कक्ष"]
    assert [str(manifest.folder(entry)) for entry in manifest] == [
        f"{tmp_path}/rec/a",
        "/elsewhere/b",
    ]
