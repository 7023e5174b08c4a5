"""An episode is brought once, whole and as listed, or the user learns why not and what to do."""

import json
import string
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xperience.cohort.manifest import Entry
from xperience.cohort.shards import stage_from
from xperience.errors import DownloadError
from xperience.hub.download import UnreachableError, download_episode, list_episodes
from xperience.hub.source import (
    EPISODE_FILES,
    RemoteFile,
    SampleSource,
    group_episodes,
    is_unfinished,
    read_receipt,
)

from .conftest import CHUNK, FIRST, SECOND, listed

ANNOTATION, LAST = "ep01/annotation.hdf5", "ep01/caption.json"


def bring(source, out, **changes):
    return download_episode(source.model_copy(update=changes), out, say=lambda _: None)


def content(out):
    """Return what lies in a folder, without the receipt and parts."""
    files = (p for p in out.rglob("*") if p.is_file() and ".download" not in p.parts)
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def expected(hub, commit=FIRST):
    files = hub.commits[commit].items()
    return {path.removeprefix("ep01/"): data for path, data in files if "ep01/" in path}


# Which files make an episode

NAMES = (*EPISODE_FILES, "caption.json", "meta/caption.json", "README.md", "x.mp4")
PATHS = st.builds(
    lambda folder, name: "/".join([*folder, name]),
    st.lists(st.text(string.ascii_lowercase + "0", min_size=1, max_size=2), max_size=3),
    st.sampled_from(NAMES),
)


def grouped(paths):
    return group_episodes(RemoteFile(path=path, size=1) for path in paths)


@settings(max_examples=60)
@given(st.sets(PATHS, max_size=30), st.randoms())
def test_grouping_holds_for_any_listing(paths, random):
    order = sorted(paths)
    random.shuffle(order)
    episodes = grouped(order)
    assert episodes == grouped(sorted(paths))
    assert [e.folder for e in episodes] == sorted({e.folder for e in episodes})
    used = [file.path for e in episodes for file in e.files]
    assert len(used) == len(set(used)), "no file is in two episodes"
    assert set(used) <= paths
    core = {path for path in paths if path.rpartition("/")[2] in EPISODE_FILES}
    assert core <= set(used), "no annotation or video is left out"
    for e in episodes:
        assert set(e.missing) == set(EPISODE_FILES) - e.local_files.keys()
        assert all(f"{e.folder}/{name}".lstrip("/") in paths for name in e.local_files)


def test_captions_go_to_the_nearest_episode_and_hidden_files_to_none():
    paths = ["annotation.hdf5", "a/annotation.hdf5", "a/b/c.json", "top.json", "a/.x/c.json"]
    top, inner = grouped(paths)
    assert list(top.local_files) == ["annotation.hdf5", "top.json"]
    assert list(inner.local_files) == ["annotation.hdf5", "b/c.json"]


def test_all_episodes_are_listed_or_those_of_a_folder(hub, source):
    hub.commits[FIRST] = {f"s{i // 100}/e{i:04d}/annotation.hdf5": b"four" for i in range(300)}
    episodes = list_episodes(source.model_copy(update={"revision": "main"}))
    assert (len(episodes), sum(episode.size for episode in episodes)) == (300, 1200)
    inside = list_episodes(source.model_copy(update={"folder": "s2"}))
    assert [e.folder for e in inside] == [f"s2/e{i:04d}" for i in range(200, 300)]
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
    lines = [listed(LAST, b"{}") | line]
    hub.answers["/tree/"] = (200, json.dumps(lines).encode())
    with pytest.raises(DownloadError, match="a plain relative path, and a size and a hash"):
        list_episodes(source)


def test_a_source_that_makes_no_sense_is_refused():
    right = {"repo_id": "lab/walks", "revision": "main", "licence": "CC-BY-NC-4.0"}
    assert SampleSource(**right, folder="/a/b/").folder == "a/b"
    assert SampleSource(**right, folder="/").folder == ""
    for wrong in (
        {"repo_id": "no-owner"}, {"repo_id": "a/b/c"}, {"folder": "../up"}, {"revision": ""},
        {"x": 1},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            SampleSource(**(right | wrong))


# A whole download


def test_an_episode_arrives_whole_and_the_licence_is_shown_first(hub, source, out):
    lines, fetched_before = [], {}

    def say(line):
        lines.append(line)
        fetched_before[line.split(":")[0]] = len(hub.ranges)

    receipt = download_episode(source, out, say=say)
    assert content(out) == expected(hub)
    assert receipt == read_receipt(out)
    assert (receipt.commit, receipt.episode.folder, receipt.episode.missing) == (FIRST, "ep01", ())
    assert fetched_before["Licence"] == 0
    text = "\n".join(lines)
    for words in ("CC BY-NC 4.0", "not commercially", "yours to accept", "8 files, 0.0 MB"):
        assert words in text
    assert "declares" not in text
    noted = json.loads((out / ".download/receipt.json").read_text())
    assert (noted["commit"], noted["licence"]) == (FIRST, "CC-BY-NC-4.0")
    other = source.model_copy(update={"licence": "mit"})
    download_episode(other, out.parent / "other", say=lines.append)
    assert any("declares the licence 'cc-by-nc-4.0'" in line for line in lines)


def test_nothing_is_fetched_twice(hub, source, out):
    with ThreadPoolExecutor(2) as pool:  # two downloads into one folder wait for each other
        receipt, second = pool.map(lambda _: bring(source, out), range(2))
    assert receipt == second
    assert set(hub.fetched().values()) == {1}
    hub.requests.clear()
    assert bring(source, out) == receipt
    assert hub.requests == [], "a pinned commit needs no network"
    moving = bring(source, out, revision="main")
    assert (moving.revision, moving.commit) == ("main", FIRST)
    (out / "stereo_left.mp4").unlink()
    (out / ".download/receipt.json").write_text("{broken")
    bring(source, out)
    assert content(out) == expected(hub)
    assert hub.fetched() == dict.fromkeys(hub.fetched(), 1) | {"ep01/stereo_left.mp4": 2}


def test_one_of_several_episodes_must_be_named(hub, source, out):
    hub.commits[FIRST] |= {"annotation.hdf5": b"top", "a/b.json": b"{}"}
    with pytest.raises(DownloadError, match=r"2 usable episodes, no folder.*'', 'ep01'"):
        bring(source, out)
    receipt = bring(source, out, folder="")
    assert content(out) == {"annotation.hdf5": b"top", "a/b.json": b"{}"}
    assert len(receipt.episode.missing) == 6
    with pytest.raises(DownloadError, match="already holds lab/walks, folder ''"):
        bring(source, out, folder="ep01")


# Interruptions


def test_a_break_goes_on_where_it_stopped(hub, source, out):
    hub.cut[ANNOTATION] = [5 * CHUNK, 3 * CHUNK] + [0] * 6  # then the line stays dead
    with pytest.raises(UnreachableError, match="it resumes"):
        bring(source, out)
    assert content(out) == {}, "an episode appears whole or not at all"
    hub.cut.clear()
    bring(source, out)
    assert content(out) == expected(hub)
    asked = [wanted for path, wanted in hub.ranges if path == ANNOTATION]
    assert asked[:3] == [None, f"bytes={5 * CHUNK}-", f"bytes={8 * CHUNK}-"]
    assert asked[-1] == f"bytes={8 * CHUNK}-"
    assert not (out / ".download/parts").exists()


def test_a_kill_while_files_are_put_in_place_leaves_no_whole_episode(hub, source, out, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("xperience.hub.download.write_text", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bring(source, out)
    assert is_unfinished(out)
    bring(source, out)
    assert not is_unfinished(out)
    assert set(hub.fetched().values()) == {1}


@pytest.mark.parametrize("part", [bytes(5 * CHUNK), bytes(50 * CHUNK)])
def test_a_part_that_is_spoilt_is_dropped_and_begun_anew(hub, source, out, part):
    hub.cut[ANNOTATION] = [5 * CHUNK] + [0] * 6
    with pytest.raises(UnreachableError):
        bring(source, out)
    next((out / ".download/parts").glob("annotation*")).write_bytes(part)
    with pytest.raises(DownloadError, match="begins anew"):
        bring(source, out)
    bring(source, out)
    assert content(out) == expected(hub)


@pytest.mark.parametrize("path", [ANNOTATION, LAST])
@pytest.mark.parametrize("sent", ["other", "short", "long"])
def test_a_file_that_is_not_as_listed_is_kept_out(hub, source, out, path, sent):
    right = hub.commits[FIRST][path]
    wrong = {"other": bytes(len(right)), "short": right[:-1], "long": right + b"more"}
    hub.swap[path] = wrong[sent]
    with pytest.raises(DownloadError, match=r"that are not the file, expected [\d,]+ bytes with"):
        bring(source, out)
    assert content(out) == {}
    hub.swap.clear()
    bring(source, out)
    assert content(out) == expected(hub)


def test_an_episode_of_a_manifest_is_unfinished_until_the_next_call_brings_the_rest(
    hub, source, out
):
    lines, entry = [], Entry(episode="e", folder="ep01", session="s", side="train")
    stage = stage_from(source, lines.append)
    hub.answers[f"/resolve/{FIRST}/{LAST}"] = (404, b"")
    with pytest.raises(DownloadError, match=r"caption\.json: is not there"):
        stage(entry, out)
    assert is_unfinished(out)
    hub.answers.clear()
    stage(entry, out)
    assert not is_unfinished(out)
    assert content(out) == expected(hub)
    assert set(hub.fetched().values()) == {1}, "what had arrived is not fetched again"
    assert any("CC BY-NC 4.0" in line for line in lines)


# What is there already is not replaced


def test_an_own_file_is_left_alone(hub, source, out):
    out.mkdir()
    (out / "annotation.hdf5").write_bytes(b"my own recording")
    with pytest.raises(DownloadError, match=r"annotation\.hdf5: is in the way"):
        bring(source, out)
    assert not hub.ranges
    hub.requests.clear()
    stage_from(source)(Entry(episode="e", folder="ep01", session="s", side="train"), out)
    assert content(out) == {"annotation.hdf5": b"my own recording"}
    assert not is_unfinished(out)
    assert not hub.requests


def test_a_changed_file_and_a_changed_revision_are_named(hub, source, out):
    bring(source, out)
    with pytest.raises(DownloadError, match=r"fisheye_cam0\.mp4: is in the way"):
        bring(source, out, revision=SECOND)
    assert content(out) == expected(hub)
    (out / "fisheye_cam0.mp4").unlink()
    bring(source, out, revision=SECOND)
    assert content(out) == expected(hub, SECOND)
    (out / "annotation.hdf5").write_bytes(b"edited")
    with pytest.raises(DownloadError, match=r"annotation\.hdf5: is in the way"):
        bring(source, out, revision=SECOND)


def test_a_video_that_the_revision_lacks_does_not_pass_for_part_of_it(hub, source, out):
    bring(source, out)
    del hub.commits[SECOND]["ep01/stereo_right.mp4"]
    (out / "fisheye_cam0.mp4").unlink()
    with pytest.raises(DownloadError, match=r"stereo_right\.mp4: .* expected no such file"):
        bring(source, out, revision=SECOND)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(hub, source, out, tmp_path):
    hub.commits[FIRST]["ep01/meta/words.json"] = b"{}"
    (tmp_path / "elsewhere").mkdir()
    out.mkdir()
    (out / "meta").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match="leads to"):
        bring(source, out)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_full_disk_is_noticed_before_the_transfer(hub, source, out, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("xperience.hub.download.shutil.disk_usage", lambda _: usage(10))
    with pytest.raises(DownloadError, match=r"10 bytes are left.*Free some space"):
        bring(source, out)
    assert not hub.ranges


# The hub says no


def test_a_gated_dataset_says_how_to_get_in_and_its_token_stays_there(
    hub, source, out, monkeypatch
):
    hub.token = "good"
    with pytest.raises(DownloadError, match=r"gated.*accept the terms.*HF_TOKEN"):
        bring(source, out)
    monkeypatch.setenv("HF_TOKEN", "bad")
    with pytest.raises(DownloadError, match=r"gated.*accept the terms.*HF_TOKEN"):
        bring(source, out)
    monkeypatch.setenv("HF_TOKEN", "good")
    bring(source, out)
    assert content(out) == expected(hub)
    assert {token for path, token in hub.requests if path.startswith("/stored")} == {None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repo_id": "lab/nothing"}, "does not exist, or is private.*HF_TOKEN"),
        ({"repo_id": "lab/-a..b"}, "not a name the hub knows"),
        ({"revision": "v9"}, "no such revision"),
        ({"revision": "e" * 40}, "no such revision"),
        ({"folder": "ep1"}, "1 usable episodes, folder 'ep1' names.*nearest: 'ep01'"),
        ({"folder": ""}, "1 usable episodes, folder '' names.*nearest: 'ep01'"),
    ],
)
def test_a_wrong_name_is_told_from_a_closed_door(hub, source, out, change, words):
    with pytest.raises(DownloadError, match=words):
        bring(source, out, **change)
    assert not out.exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "HF_TOKEN"),
        (403, "HF_TOKEN"),
        (404, "HF_ENDPOINT"),
        (429, "wait some minutes.*it resumes"),
        (500, "HTTP 500.*it resumes"),
    ],
)
def test_a_refusal_is_an_error_with_a_way_out(hub, source, out, status, words):
    for url in ("/revision/", "/tree/", "/resolve/"):
        hub.answers = {url: (status, b"no")}
        with pytest.raises(DownloadError, match=words) as caught:
            bring(source, out)
        assert isinstance(caught.value, UnreachableError) == (status >= 429)
    assert content(out) == {}


@pytest.mark.parametrize("url", ["/revision/", "/tree/"])
@pytest.mark.parametrize("answer", [b"<html>log in</html>", b'["a"]', b"{}", b'{"id": "a/b"}'])
def test_an_answer_that_is_no_listing_is_named(hub, source, out, url, answer):
    hub.answers[url] = (200, answer)
    with pytest.raises(DownloadError, match="HF_ENDPOINT"):
        bring(source, out)


def test_another_commit_than_the_pinned_one_is_refused(hub, source, out):
    hub.answers["/revision/"] = (200, json.dumps({"id": "lab/walks", "sha": "d" * 40}).encode())
    with pytest.raises(DownloadError, match="answered for commit d"):
        bring(source, out)


def test_without_the_network_what_is_there_serves_if_it_is_what_was_asked(
    hub, source, out, monkeypatch
):
    main, lines = source.model_copy(update={"revision": "main"}), []
    bring(main, out)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert download_episode(main, out, say=lines.append) == read_receipt(out)
    assert "Going on with what is in" in lines[0]
    with pytest.raises(UnreachableError, match="EPISODE=<folder>"):
        bring(source, out, revision="v1")
    (out / "fisheye_cam0.mp4").write_bytes(b"changed")
    with pytest.raises(UnreachableError):
        bring(main, out)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnreachableError, match="Unset HF_HUB_OFFLINE"):
        bring(main, out)
