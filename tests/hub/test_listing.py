"""Which files of a dataset make an episode."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xperience.errors import DownloadError
from xperience.hub.faults import UnreachableError
from xperience.hub.listing import (
    VIDEOS,
    RemoteFile,
    group_episodes,
    list_episodes,
    list_files,
)
from xperience.hub.source import SampleSource

NAMES = ("annotation.hdf5", *VIDEOS, "caption.json", "meta/caption.json", "README.md", "x.mp4")


def remote(path: str) -> RemoteFile:
    return RemoteFile(path=path, size=1, digest="sha256:" + "0" * 64)


part = st.text(string.ascii_lowercase + "0", min_size=1, max_size=2)
paths = st.builds(
    lambda folder, name: "/".join([*folder, name]),
    st.lists(part, max_size=3),
    st.sampled_from(NAMES),
)


@settings(max_examples=150, deadline=None)
@given(st.sets(paths, max_size=40), st.randoms())
def test_grouping_holds_for_any_listing(listed, random):
    order = sorted(listed)
    random.shuffle(order)
    episodes = group_episodes(remote(path) for path in order)

    assert episodes == group_episodes(remote(path) for path in sorted(listed))
    assert [e.folder for e in episodes] == sorted({e.folder for e in episodes})
    used = [file.path for e in episodes for file in e.files]
    assert len(used) == len(set(used)), "no file is in two episodes"
    assert set(used) <= listed
    core = {path for path in listed if path.rpartition("/")[2] in ("annotation.hdf5", *VIDEOS)}
    assert core <= set(used), "no annotation or video is left out"
    for e in episodes:
        names = {e.local_name(file) for file in e.files}
        assert set(e.missing) == {"annotation.hdf5", *VIDEOS} - names
        assert e.usable == ("annotation.hdf5" in names)
        assert all(f"{e.folder}/{n}".lstrip("/") in listed for n in names)


def test_captions_go_to_the_nearest_episode_and_hidden_files_to_none():
    listed = ["annotation.hdf5", "a/annotation.hdf5", "a/b/c.json", "top.json", "a/.x/c.json"]
    top, inner = group_episodes(map(remote, listed))
    assert [f.path for f in top.files] == ["annotation.hdf5", "top.json"]
    assert [f.path for f in inner.files] == ["a/annotation.hdf5", "a/b/c.json"]
    assert inner.local_name(inner.files[1]) == "b/c.json"


def test_thousands_of_episodes_are_listed(hub, source):
    content = {f"s{i // 100}/e{i:05d}/annotation.hdf5": b"" for i in range(3000)}
    hub.commits[source.revision] = content
    episodes = list_episodes(source)
    assert len(episodes) == 3000
    assert not episodes[0].complete
    assert episodes[0].usable
    inside = list_episodes(source.model_copy(update={"folder": "s7"}))
    assert {e.folder.split("/")[0] for e in inside} == {"s7"}
    assert len(inside) == 100


def test_listing_gives_commit_sizes_and_hashes(hub, source):
    listing = list_files(source.model_copy(update={"revision": "main"}))
    assert listing.commit == source.revision
    assert listing.licence == "cc-by-nc-4.0"
    kinds = {f.path: f.digest.partition(":")[0] for f in listing.files}
    assert kinds["ep01/annotation.hdf5"] == "sha256"
    assert kinds["ep01/caption.json"] == "git-sha1"
    (episode,) = list_episodes(source)
    assert episode.complete
    assert episode.size == sum(
        len(content) for path, content in hub.commits[source.revision].items() if "ep01/" in path
    )


@pytest.mark.parametrize(
    "path", ["../evil.mp4", "/etc/evil", "ep01/../../evil", "ep01\\evil", "C:evil", "a//b", "a\0b"]
)
def test_a_path_that_would_escape_is_refused(hub, source, path):
    hub.commits[source.revision][path] = b"evil"
    with pytest.raises(DownloadError, match="could leave the folder"):
        list_files(source)


@pytest.mark.parametrize(
    "change",
    [
        {"size": None, "lfs": None},
        {"blobId": None, "lfs": None},
        {"lfs": {"size": 3, "sha256": "../" * 21 + "a", "pointerSize": 1}},
    ],
)
def test_a_file_that_cannot_be_checked_is_refused(hub, source, change):
    hub.lie["ep01/annotation.hdf5"] = change
    with pytest.raises(DownloadError, match="a size and a hash to check the file by"):
        list_files(source)


def test_another_commit_than_the_pinned_one_is_refused(hub, source):
    hub.answer_commit = "d" * 40
    with pytest.raises(DownloadError, match="answered for commit d"):
        list_files(source)


@pytest.mark.parametrize("answer", [b"<html>log in</html>", b"[]", b"{}", b'{"id": "a/b"}'])
def test_an_answer_that_is_no_listing_is_named(hub, source, answer):
    hub.answer = answer
    with pytest.raises(DownloadError, match="HF_ENDPOINT"):
        list_files(source)


def test_a_hub_that_is_out_of_order_is_named(hub, source):
    hub.status["/api/"] = 500
    with pytest.raises(UnreachableError, match="HTTP 500"):
        list_files(source)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_bare_refusals_are_errors_with_a_way_out(hub, source, status):
    hub.status["/api/"] = status
    with pytest.raises(DownloadError, match=r"HF_TOKEN|HF_ENDPOINT"):
        list_files(source)


@pytest.mark.parametrize(
    "wrong",
    [
        {"repo_id": "no-owner"},
        {"repo_id": "a/b/c"},
        {"folder": "../up"},
        {"revision": ""},
        {"token": "secret"},
    ],
)
def test_a_source_that_makes_no_sense_is_refused(wrong):
    right = {"repo_id": "lab/walks", "revision": "main", "licence": "CC-BY-NC-4.0"}
    with pytest.raises(ValidationError):
        SampleSource(**(right | wrong))


def test_slashes_around_a_folder_do_not_matter():
    source = SampleSource(repo_id="lab/walks", revision="v1", folder="/a/b/", licence="x")
    assert source.folder == "a/b"
    assert source.model_copy(update={"folder": ""}).folder == ""
