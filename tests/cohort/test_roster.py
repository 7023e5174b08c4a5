"""The roster is read as it was written, and says what is wrong with it."""

import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.cohort.roster import (
    Entry,
    Roster,
    RosterError,
    make_roster,
    read_roster,
    write_roster,
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


@given(entries=st.lists(ENTRY, min_size=1, max_size=5))
def test_what_is_written_is_read(entries, tmp_path_factory):
    path = tmp_path_factory.mktemp("roster") / "episodes.csv"
    try:
        make_roster(entries, path.parent)
    except RosterError:
        entries = entries[:1]
    roster = make_roster(entries, path.parent)
    write_roster(path, roster)
    assert read_roster(path) == roster


def written(tmp_path, text):
    path = tmp_path / "episodes.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("episode,folder,session,side\n", "names no episode"),
        ("episode,folder,session,side\na,a,s,train\na,b,s,train\n", "a: stands 2 times"),
        ("episode,folder,session,side\na,a,s,train\nb,b,s,test\n", "session s: is on two sides"),
        ("episode,folder,session,side\na,a,s,dev\n", "line 2: side: is 'dev'"),
        ("episode,folder,session\na,a,s\n", "line 2: side: is missing, expected a value in"),
        ("episode,folder,session,side,room\na,a,s,train,x\n", "line 2: room"),
        ("episode,folder,session,side\n../a,a,s,train\n", "line 2: episode: is '../a'"),
        (
            "episode,folder,session,side\na,a,s,train\nA,b,t,train\n",
            "a: stands 2 times, expected once, whatever",
        ),
        ("episode,folder,session,side\na,a,s,train\na.corrected,b,t,test\n", "names a table of"),
        ("episode,folder,session,side\na,a,Se 1,train\nb,b,se1,test\n", "'se1': is written 'Se 1'"),
        ("episode,folder,session,side\na,a,Se 1,train\nb,b,SE 1,train\n", "is written 'Se 1' on"),
        ("episode,folder,session,side\na,a,é,train\nb,b,e\u0301,test\n", "is written 'é'"),
        ("episode,folder,session,side\na,a,s,train\nb,./x/../a/,t,test\n", "the same folder"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, message):
    with pytest.raises(RosterError, match=message.replace(".", r"\.")):
        read_roster(written(tmp_path, text))


@pytest.mark.parametrize("side", ["train", "test"])
@pytest.mark.parametrize("way", ["link", "copy", "hard link"])
def test_the_same_recording_is_refused_under_whatever_name(tiny, tmp_path, way, side):
    other = tmp_path / "another"
    if way == "link":
        other.symlink_to(tiny)
    elif way == "copy":
        shutil.copytree(tiny, other)
    else:
        other.mkdir()
        os.link(tiny / "annotation.hdf5", other / "annotation.hdf5")
    text = f"episode,folder,session,side\na,{tiny.name},s,train\nb,another,t,{side}\n"
    with pytest.raises(RosterError, match=r"b: another: .* the same .* that of a"):
        read_roster(written(tmp_path, text))


def test_a_name_of_any_script_is_one(tmp_path):
    text = "episode,folder,session,side\n厨房_1,a,s,train\nकक्ष,b,t,test\n"
    path = tmp_path / "episodes.csv"
    path.write_text(text, encoding="utf-8")
    assert [entry.episode for entry in read_roster(path)] == ["厨房_1", "कक्ष"]


def test_an_absent_file_is_said_to_be_absent(tmp_path):
    with pytest.raises(RosterError, match=r"episodes\.csv: cannot be read \(there is no"):
        read_roster(tmp_path / "episodes.csv")


def test_sides_and_folders(tmp_path):
    text = "episode,folder,session,side\na,rec/a,s,train\nb,/elsewhere/b,t,test\n"
    roster = read_roster(written(tmp_path, text))
    assert isinstance(roster, Roster)
    assert [entry.episode for entry in roster.on("test")] == ["b"]
    assert [str(roster.folder(entry)) for entry in roster] == [f"{tmp_path}/rec/a", "/elsewhere/b"]
