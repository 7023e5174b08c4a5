"""An episode is brought once, whole and as listed, or the user learns why not and what to do."""

import json
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from huggingface_hub import constants

from xperience.cohort.roster import Entry
from xperience.cohort.staging import stage_from
from xperience.errors import DownloadError
from xperience.hub.download import UnreachableError, download_episode
from xperience.hub.source import is_unfinished, read_receipt

from .conftest import CHUNK, FIRST, SECOND

ANNOTATION, VIDEO, LAST = "ep01/annotation.hdf5", "ep01/fisheye_cam0.mp4", "ep01/caption.json"


def bring(source, out, **changes):
    return download_episode(source.model_copy(update=changes), out, say=lambda _: None)


def content(out):
    """Return what lies in a folder, without the receipt and parts."""
    files = (p for p in out.rglob("*") if p.is_file() and ".download" not in p.parts)
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def expected(hub, commit=FIRST):
    files = hub.commits[commit].items()
    return {path.removeprefix("ep01/"): data for path, data in files if "ep01/" in path}


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


def test_another_licence_than_the_one_named_is_said(hub, source, out):
    lines = []
    download_episode(source.model_copy(update={"licence": "mit"}), out, say=lines.append)
    assert any("declares the licence 'cc-by-nc-4.0'" in line for line in lines)


def test_nothing_is_fetched_twice(hub, source, out):
    receipt = bring(source, out)
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


def test_two_downloads_into_one_folder_wait_for_each_other(hub, source, out):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: bring(source, out), range(2))
    assert first == second
    assert set(hub.fetched().values()) == {1}
    assert content(out) == expected(hub)


def test_one_of_several_episodes_must_be_named(hub, source, out):
    hub.commits[FIRST] |= {"annotation.hdf5": b"top", "a/b.json": b"{}"}
    with pytest.raises(DownloadError, match=r"2 usable episodes, no folder.*'', 'ep01'"):
        bring(source, out)
    receipt = bring(source, out, folder="")
    assert content(out) == {"annotation.hdf5": b"top", "a/b.json": b"{}"}
    assert len(receipt.episode.missing) == 6


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
    hub.swap[path] = {"other": bytes(len(right)), "short": right[:-1], "long": right + b"more"}[
        sent
    ]
    with pytest.raises(DownloadError, match=r"that are not the file, expected [\d,]+ bytes with"):
        bring(source, out)
    assert content(out) == {}
    hub.swap.clear()
    bring(source, out)
    assert content(out) == expected(hub)


# What is there already is not replaced


def test_an_own_file_is_left_alone(hub, source, out):
    out.mkdir()
    (out / "annotation.hdf5").write_bytes(b"my own recording")
    with pytest.raises(DownloadError, match=r"annotation\.hdf5: is in the way"):
        bring(source, out)
    assert content(out) == {"annotation.hdf5": b"my own recording"}
    assert not is_unfinished(out)
    assert not hub.ranges


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
    bring(source, out.parent / "other", revision=SECOND)


def test_a_video_that_the_revision_lacks_does_not_pass_for_part_of_it(hub, source, out):
    bring(source, out)
    del hub.commits[SECOND]["ep01/stereo_right.mp4"]
    (out / "fisheye_cam0.mp4").unlink()
    with pytest.raises(DownloadError, match=r"stereo_right\.mp4: .* expected no such file"):
        bring(source, out, revision=SECOND)


def test_a_folder_with_another_episode_is_refused(hub, source, out):
    hub.commits[FIRST]["ep02/annotation.hdf5"] = b"two"
    bring(source, out, folder="ep01")
    with pytest.raises(DownloadError, match="already holds lab/walks, folder 'ep01'"):
        bring(source, out, folder="ep02")


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
    for token in (None, "bad"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
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
    bring(source, out, revision="main")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    lines = []
    main = source.model_copy(update={"revision": "main"})
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


# Episodes of a roster

ENTRY = Entry(episode="e", folder="ep01", session="s", side="train")


def test_an_interrupted_episode_is_unfinished_until_the_next_call_brings_the_rest(hub, source, out):
    lines = []
    stage = stage_from(source, lines.append)
    hub.answers[f"/resolve/{FIRST}/{LAST}"] = (404, b"")
    with pytest.raises(DownloadError, match=r"caption\.json: is not there"):
        stage(ENTRY, out)
    assert is_unfinished(out)
    hub.answers.clear()
    stage(ENTRY, out)
    assert not is_unfinished(out)
    assert content(out) == expected(hub)
    assert set(hub.fetched().values()) == {1}, "what had arrived is not fetched again"
    assert any("CC BY-NC 4.0" in line for line in lines)


def test_a_folder_of_ones_own_is_left_alone(hub, source, out):
    out.mkdir()
    (out / "annotation.hdf5").write_bytes(b"mine")
    stage_from(source)(ENTRY, out)
    assert content(out) == {"annotation.hdf5": b"mine"}
    assert not is_unfinished(out)
    assert not hub.requests
