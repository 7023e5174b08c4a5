"""Which files of a dataset make an episode."""

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xperience.errors import DownloadError
from xperience.hub.download import list_episodes
from xperience.hub.source import EPISODE_FILES, RemoteFile, SampleSource, group_episodes

from .conftest import listed

NAMES = (*EPISODE_FILES, "caption.json", "meta/caption.json", "README.md", "x.mp4")

paths = st.builds(
    lambda folder, name: "/".join([*folder, name]),
    st.lists(st.text(string.ascii_lowercase + "0", min_size=1, max_size=2), max_size=3),
    st.sampled_from(NAMES),
)


def remote(path: str) -> RemoteFile:
    return RemoteFile(path=path, size=1, digest="")


@settings(max_examples=60, deadline=None)
@given(st.sets(paths, max_size=30), st.randoms())
def test_grouping_holds_for_any_listing(found, random):
    order = sorted(found)
    random.shuffle(order)
    episodes = group_episodes(map(remote, order))

    assert episodes == group_episodes(map(remote, sorted(found)))
    assert [e.folder for e in episodes] == sorted({e.folder for e in episodes})
    used = [file.path for e in episodes for file in e.files]
    assert len(used) == len(set(used)), "no file is in two episodes"
    assert set(used) <= found
    core = {path for path in found if path.rpartition("/")[2] in EPISODE_FILES}
    assert core <= set(used), "no annotation or video is left out"
    for e in episodes:
        assert set(e.missing) == set(EPISODE_FILES) - e.local_files.keys()
        assert all(f"{e.folder}/{name}".lstrip("/") in found for name in e.local_files)


def test_captions_go_to_the_nearest_episode_and_hidden_files_to_none():
    found = ["annotation.hdf5", "a/annotation.hdf5", "a/b/c.json", "top.json", "a/.x/c.json"]
    top, inner = group_episodes(map(remote, found))
    assert list(top.local_files) == ["annotation.hdf5", "top.json"]
    assert list(inner.local_files) == ["annotation.hdf5", "b/c.json"]


def test_thousands_of_episodes_are_listed_or_those_of_a_folder(hub, source):
    content = {f"s{i // 100}/e{i:05d}/annotation.hdf5": b"four" for i in range(1500)}
    hub.commits[source.revision] = content
    episodes = list_episodes(source.model_copy(update={"revision": "main"}))
    assert len(episodes) == 1500
    assert sum(episode.size for episode in episodes) == 1500 * 4
    inside = list_episodes(source.model_copy(update={"folder": "s7"}))
    assert [e.folder for e in inside] == [f"s7/e{i:05d}" for i in range(700, 800)]
    assert list_episodes(source.model_copy(update={"folder": "s"})) == []


@pytest.mark.parametrize(
    "line",
    [
        *(
            {"path": path}
            for path in ("../e", "/etc/e", "e/../../e", "e\\e", "C:e", "a//b", "a\0b")
        ),
        {"size": None},
        {"size": -1},
        {"oid": None},
        {"lfs": {"oid": "../" * 21 + "a", "size": 3, "pointerSize": 1}},
    ],
)
def test_a_file_that_cannot_be_checked_or_placed_is_refused(hub, source, line):
    lines = [listed("ep01/caption.json", b"{}") | line]
    hub.answers["/tree/"] = (200, json.dumps(lines).encode())
    with pytest.raises(DownloadError, match="a plain relative path, and a size and a hash"):
        list_episodes(source)


@pytest.mark.parametrize(
    "wrong",
    [
        {"repo_id": "no-owner"},
        {"repo_id": "a/b/c"},
        {"folder": "../up"},
        {"revision": ""},
        {"x": 1},
    ],
)
def test_a_source_that_makes_no_sense_is_refused(wrong):
    right = {"repo_id": "lab/walks", "revision": "main", "licence": "CC-BY-NC-4.0"}
    assert SampleSource(**right, folder="/a/b/").folder == "a/b"
    assert SampleSource(**right, folder="/").folder == ""
    with pytest.raises(ValidationError):
        SampleSource(**(right | wrong))
