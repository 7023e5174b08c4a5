"""An episode is brought once, whole and as listed, or the user learns why not."""

import errno
import json
import os
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest

from xperience.errors import DownloadError
from xperience.hub.download import download_episode, download_files
from xperience.hub.faults import UnreachableError
from xperience.hub.receipt import read_receipt

FIRST, SECOND, CHUNK = "a" * 40, "b" * 40, 1024
ANNOTATION, VIDEO = "ep01/annotation.hdf5", "ep01/fisheye_cam0.mp4"


def quiet(_):
    pass


def bring(source, out, **changes):
    return download_episode(source.model_copy(update=changes), out, say=quiet)


def content(out):
    """Return what lies in a folder, without receipt and parts."""
    files = (p for p in out.rglob("*") if p.is_file() and ".download" not in p.parts)
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def expected(hub, commit=FIRST):
    files = hub.commits[commit].items()
    return {path.removeprefix("ep01/"): data for path, data in files if "ep01/" in path}


def parts(out):
    return list((out / ".download").glob("*.part"))


def test_an_episode_arrives_whole(hub, source, out):
    lines, progress = [], []
    receipt = download_episode(
        source, out, say=lines.append, on_progress=lambda *step: progress.append(step)
    )

    assert content(out) == expected(hub)
    assert receipt == read_receipt(out)
    assert (receipt.commit, receipt.folder, receipt.missing) == (FIRST, "ep01", ())
    assert receipt.size == sum(map(len, expected(hub).values()))
    assert not parts(out)
    text = "\n".join(lines)
    assert "CC BY-NC 4.0" in text
    assert "not commercially" in text
    assert "yours to accept" in text
    assert "declares" not in text
    here = [n_bytes for _, n_bytes, _ in progress]
    assert here == sorted(here)
    assert progress[-1][1:] == (receipt.size, receipt.size)
    assert len(progress) > 20


def test_the_licence_is_shown_before_the_first_file(hub, source, out):
    seen = []
    download_episode(source, out, say=lambda line: seen.append((line, sum(hub.gets().values()))))
    assert next(n_gets for line, n_gets in seen if line.startswith("Licence")) == 0


def test_a_licence_that_has_changed_on_the_hub_is_said(hub, source, out):
    hub.tags = ("license:other",)
    lines = []
    download_episode(source, out, say=lines.append)
    assert any("declares the licence 'other'" in line for line in lines)


def test_a_second_call_uses_no_network(hub, source, out):
    first = bring(source, out)
    hub.requests.clear()
    assert bring(source, out) == first
    assert hub.requests == []


def test_a_moving_revision_is_resolved_and_nothing_fetched_twice(hub, source, out):
    receipt = bring(source, out, revision="main")
    assert (receipt.revision, receipt.commit) == ("main", FIRST)
    hub.requests.clear()
    assert bring(source, out, revision="main") == receipt
    assert len(hub.requests) == 1
    assert not hub.gets()


@pytest.mark.parametrize("same_size", [True, False])
def test_a_changed_file_is_fetched_again(hub, source, out, same_size):
    bring(source, out)
    video = out / "fisheye_cam0.mp4"
    video.write_bytes(bytes(video.stat().st_size) if same_size else b"short")
    hub.requests.clear()
    bring(source, out)
    assert content(out) == expected(hub)
    assert hub.gets() == {VIDEO: 1}


def test_a_deleted_file_is_fetched_again(hub, source, out):
    bring(source, out)
    (out / "stereo_left.mp4").unlink()
    hub.requests.clear()
    bring(source, out)
    assert content(out) == expected(hub)
    assert hub.gets() == {"ep01/stereo_left.mp4": 1}


def test_a_touched_file_is_read_again_and_kept(hub, source, out):
    first = bring(source, out)
    os.utime(out / "annotation.hdf5", ns=(1, 1))
    hub.requests.clear()
    second = bring(source, out)
    assert hub.requests == []
    assert second != first, "the new time is noted, so the content is read once"
    assert second == read_receipt(out)


def test_files_without_a_receipt_are_kept_if_they_agree(hub, source, out):
    bring(source, out)
    (out / ".download/receipt.json").write_text("{broken")
    hub.requests.clear()
    receipt = bring(source, out)
    assert not hub.gets()
    assert receipt == read_receipt(out)


def test_a_file_that_is_not_ours_is_never_replaced(hub, source, out):
    out.mkdir()
    (out / "annotation.hdf5").write_bytes(b"my own recording")
    with pytest.raises(DownloadError, match="in the way"):
        bring(source, out)
    assert content(out) == {"annotation.hdf5": b"my own recording"}
    assert not hub.gets()


def test_a_folder_with_another_episode_is_refused(hub, source, out):
    bring(source, out)
    with pytest.raises(DownloadError, match="already holds lab/walks"):
        bring(source, out, folder="ep02")


def test_another_revision_replaces_only_what_differs(hub, source, out):
    bring(source, out)
    hub.requests.clear()
    receipt = bring(source, out, revision=SECOND)
    assert hub.gets() == {VIDEO: 1}
    assert content(out) == expected(hub, SECOND), "a video that is gone must not stay behind"
    assert receipt.missing == ("stereo_right.mp4",)


def test_a_changed_leftover_is_not_removed(hub, source, out):
    bring(source, out)
    (out / "stereo_right.mp4").write_bytes(b"edited")
    with pytest.raises(DownloadError, match="changed since its download"):
        bring(source, out, revision=SECOND)
    assert (out / "stereo_right.mp4").read_bytes() == b"edited"


# Interruptions


def test_a_break_goes_on_where_it_stopped_within_one_call(hub, source, out):
    hub.cut[ANNOTATION] = [5 * CHUNK, 3 * CHUNK]
    bring(source, out)
    assert content(out) == expected(hub)
    assert hub.ranges(ANNOTATION) == [None, f"bytes={5 * CHUNK}-", f"bytes={8 * CHUNK}-"]


def test_a_later_call_asks_only_for_the_missing_bytes(hub, source, out):
    hub.cut[ANNOTATION] = [5 * CHUNK] + [0] * 6  # then the line stays dead
    with pytest.raises(UnreachableError, match="it resumes"):
        bring(source, out)
    assert not (out / "annotation.hdf5").exists(), "a file appears whole or not at all"
    assert [p.stat().st_size for p in parts(out)] == [5 * CHUNK]

    hub.cut.clear()
    hub.requests.clear()
    bring(source, out)
    assert content(out) == expected(hub)
    assert hub.ranges(ANNOTATION) == [f"bytes={5 * CHUNK}-"]
    assert not parts(out)


def test_finished_files_survive_an_interruption(hub, source, out):
    hub.status["resolve/" + FIRST + "/ep01/stereo_left"] = 503
    with pytest.raises(UnreachableError, match="HTTP 503"):
        bring(source, out)
    assert not read_receipt(out).finished
    hub.status.clear()
    hub.requests.clear()
    bring(source, out)
    assert set(hub.gets()) == {"ep01/stereo_left.mp4", "ep01/stereo_right.mp4", "ep01/caption.json"}
    assert content(out) == expected(hub)


def test_a_kill_in_the_middle_of_a_file_loses_only_what_was_not_written(hub, source, out):
    hub.commits[FIRST][ANNOTATION] = bytes(range(256)) * 400

    def pull_the_plug(name, n_bytes, _):
        if n_bytes > 10 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_episode(source, out, say=quiet, on_progress=pull_the_plug)
    (part,) = parts(out)
    here = part.stat().st_size
    assert here > 10 * CHUNK
    hub.requests.clear()
    bring(source, out)
    assert hub.ranges(ANNOTATION) == [f"bytes={here}-"]
    assert content(out) == expected(hub)


def test_a_hub_that_ignores_ranges_sends_the_file_anew(hub, source, out):
    hub.cut[ANNOTATION] = [5 * CHUNK] + [0] * 6
    with pytest.raises(UnreachableError):
        bring(source, out)
    hub.cut.clear()
    hub.ignore_range = True
    bring(source, out)
    assert content(out) == expected(hub)


def test_a_part_that_is_spoilt_is_dropped_and_begun_anew(hub, source, out):
    hub.cut[ANNOTATION] = [5 * CHUNK] + [0] * 6
    with pytest.raises(UnreachableError):
        bring(source, out)
    parts(out)[0].write_bytes(bytes(5 * CHUNK))
    hub.cut.clear()
    with pytest.raises(DownloadError, match="begins anew"):
        bring(source, out)
    assert not parts(out)
    bring(source, out)
    assert content(out) == expected(hub)


def test_a_part_that_is_too_long_is_begun_anew(hub, source, out):
    hub.cut[ANNOTATION] = [5 * CHUNK] + [0] * 6
    with pytest.raises(UnreachableError):
        bring(source, out)
    parts(out)[0].write_bytes(bytes(50 * CHUNK))
    hub.cut.clear()
    bring(source, out)
    assert content(out) == expected(hub)


# What arrives is not what is listed


@pytest.mark.parametrize("path", [ANNOTATION, "ep01/caption.json"])
def test_a_wrong_hash_keeps_the_file_out(hub, source, out, path):
    right = hub.commits[FIRST][path]
    hub.swap[path] = bytes(len(right))
    with pytest.raises(DownloadError, match=r"as the hub lists\. Run the same command again"):
        bring(source, out)
    assert path.removeprefix("ep01/") not in content(out)
    assert not parts(out)
    hub.swap.clear()
    bring(source, out)
    assert content(out) == expected(hub)


def test_a_file_that_is_too_short_is_named_each_time(hub, source, out):
    hub.swap[ANNOTATION] = hub.commits[FIRST][ANNOTATION][:3000]
    for _ in range(2):  # the second try is told that there is nothing beyond what it has
        with pytest.raises(DownloadError, match=r"ended after 3,000 bytes, expected 20,487 bytes"):
            bring(source, out)
    hub.swap.clear()
    hub.requests.clear()
    bring(source, out)
    assert hub.ranges(ANNOTATION) == ["bytes=3000-"]
    assert content(out) == expected(hub)


def test_a_file_that_is_too_long_is_refused(hub, source, out):
    hub.swap[ANNOTATION] = hub.commits[FIRST][ANNOTATION] + b"more"
    with pytest.raises(DownloadError, match=r"has arrived with 20,491 bytes"):
        bring(source, out)
    assert not parts(out)


def test_a_wrong_size_in_the_listing_is_caught(hub, source, out):
    hub.lie["ep01/caption.json"] = {"size": 17}
    with pytest.raises(DownloadError, match="expected 17 bytes"):
        bring(source, out)


def test_a_listed_file_that_is_not_there_is_named(hub, source, out):
    hub.status["resolve/" + FIRST + "/ep01/stereo_left"] = 404
    with pytest.raises(DownloadError, match=r"stereo_left\.mp4: is not there"):
        bring(source, out)


# The hub says no


def test_a_gated_dataset_says_how_to_get_in(hub, source, out, monkeypatch):
    hub.gated = "good"
    with pytest.raises(DownloadError, match=r"(?s)gated.*accept the terms.*HF_TOKEN"):
        bring(source, out)
    monkeypatch.setenv("HF_TOKEN", "bad")
    with pytest.raises(DownloadError, match="gated"):
        bring(source, out)
    monkeypatch.setenv("HF_TOKEN", "good")
    bring(source, out)
    assert content(out) == expected(hub)


def test_the_token_does_not_travel_to_the_storage_server(
    hub, source, out, make_server, monkeypatch
):
    storage = type(hub)(hub.commits)
    hub.gated, hub.storage = "good", make_server(storage)
    monkeypatch.setenv("HF_TOKEN", "good")
    storage.cut[ANNOTATION] = [5 * CHUNK]
    bring(source, out)
    assert content(out) == expected(hub)
    assert {r.token for r in hub.requests} == {"Bearer good"}
    assert {r.token for r in storage.requests} == {None}
    assert storage.ranges(ANNOTATION) == [None, f"bytes={5 * CHUNK}-"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repo_id": "lab/nothing"}, "does not exist, or is private"),
        ({"revision": "v9"}, "no such revision"),
        ({"revision": "e" * 40}, "no such revision"),
        ({"repo_id": "lab/-a..b"}, "not a name the hub knows"),
    ],
)
def test_a_wrong_name_is_told_from_a_closed_door(hub, source, out, change, words):
    with pytest.raises(DownloadError, match=words):
        bring(source, out, **change)
    assert not out.exists()


def test_too_many_requests_says_to_wait(hub, source, out):
    hub.status["/api/"] = 429
    with pytest.raises(UnreachableError, match="wait some minutes"):
        bring(source, out)


def test_nobody_there_points_to_a_folder(hub, source, out, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="EPISODE=<folder>"):
        bring(source, out)


def test_offline_uses_what_is_there_and_says_so(hub, source, out, monkeypatch):
    bring(source, out, revision="main")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    lines = []
    main = source.model_copy(update={"revision": "main"})
    assert download_episode(main, out, say=lines.append) == read_receipt(out)
    assert "Going on with what is in" in lines[0]

    (out / "fisheye_cam0.mp4").write_bytes(b"changed")
    with pytest.raises(UnreachableError):
        bring(source, out, revision="main")


def test_another_revision_is_not_taken_for_the_one_asked(hub, source, out, monkeypatch):
    bring(source, out, revision="main")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError):
        bring(source, out, revision="v1")


def test_settings_are_read_from_the_environment_of_a_process(hub, source, out):
    """As a user has it: nothing patched, HF_ENDPOINT and HF_HUB_OFFLINE set outside."""
    call = (
        "import sys; from pathlib import Path\n"
        "from xperience.hub.download import download_episode\n"
        "from xperience.hub.faults import UnreachableError\n"
        "from xperience.hub.source import SampleSource\n"
        "source = SampleSource.model_validate_json(sys.argv[1])\n"
        "try: print(download_episode(source, Path(sys.argv[2])).commit)\n"
        "except UnreachableError as fault: print(fault)\n"
    )
    argv = [sys.executable, "-c", call, source.model_dump_json(), str(out)]
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    told = subprocess.run(argv, env=offline, capture_output=True, text=True, check=True)
    assert "Unset HF_HUB_OFFLINE" in told.stdout
    told = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == FIRST
    assert content(out) == expected(hub)


# Which episode


def test_missing_videos_are_reported_and_the_rest_is_usable(hub, source, out):
    receipt = bring(source, out, revision=SECOND)
    assert receipt.missing == ("stereo_right.mp4",)
    assert content(out) == expected(hub, SECOND)


def test_an_episode_without_annotation_is_refused(hub, source, out):
    del hub.commits[FIRST][ANNOTATION]
    with pytest.raises(DownloadError, match="0 usable episodes"):
        bring(source, out)
    with pytest.raises(DownloadError, match=r"has no annotation\.hdf5"):
        bring(source, out, folder="ep01")


def test_one_of_several_episodes_must_be_named(hub, source, out):
    hub.commits[FIRST]["deep/er/ep02/annotation.hdf5"] = b"two"
    with pytest.raises(DownloadError, match=r"2 usable episodes \(deep/er/ep02, ep01\)"):
        bring(source, out)
    with pytest.raises(DownloadError, match="nearest: ep01"):
        bring(source, out, folder="ep1")
    receipt = bring(source, out, folder="deep/er/ep02")
    assert content(out) == {"annotation.hdf5": b"two"}
    assert len(receipt.missing) == 6


def test_an_episode_at_the_top_of_the_dataset(hub, source, out):
    hub.commits[FIRST] = {path.removeprefix("ep01/"): c for path, c in hub.commits[FIRST].items()}
    receipt = bring(source, out)
    assert receipt.folder == ""
    assert content(out)["caption.json"] == b'{"segments": []}'


# The folder on disk


def test_a_full_disk_is_noticed_before_the_transfer(hub, source, out, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("xperience.hub.download.shutil.disk_usage", lambda _: usage(10))
    with pytest.raises(DownloadError, match="Free some space"):
        bring(source, out)
    assert not hub.gets()


def test_a_disk_that_fills_up_during_the_transfer_keeps_the_part(hub, source, out):
    def full(name, n_bytes, _):
        if n_bytes > 3 * CHUNK:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DownloadError, match="Free some space"):
        download_episode(source, out, say=quiet, on_progress=full)
    assert parts(out)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(hub, source, out, tmp_path):
    hub.commits[FIRST]["ep01/meta/words.json"] = b"{}"
    (tmp_path / "elsewhere").mkdir()
    out.mkdir()
    (out / "meta").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match="would be written to"):
        bring(source, out)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_receipt_cannot_be_replaced_by_a_file_of_the_dataset(hub, source, out):
    hub.commits[FIRST][".download/receipt.json"] = b"{}"
    with pytest.raises(DownloadError, match="would be written to"):
        download_files(source, [".download/receipt.json"], out, say=quiet)


def test_the_receipt_is_readable_json_with_what_a_run_records(hub, source, out):
    bring(source, out)
    receipt = json.loads((out / ".download/receipt.json").read_text())
    assert receipt["commit"] == FIRST
    assert receipt["licence"] == "CC-BY-NC-4.0"
    digests = {file["path"]: file["digest"] for file in receipt["files"]}
    assert digests["annotation.hdf5"].startswith("sha256:")
    assert digests["caption.json"].startswith("git-sha1:")


# Named files


def test_named_files_are_brought_and_added_to(hub, source, out):
    download_files(source, ["README.md"], out, say=quiet)
    hub.requests.clear()
    receipt = download_files(source, [ANNOTATION], out, say=quiet)
    assert hub.gets() == {ANNOTATION: 1}
    assert set(content(out)) == {"README.md", ANNOTATION}
    assert receipt.answers(source, ["README.md", ANNOTATION])
    hub.requests.clear()
    download_files(source, ["README.md"], out, say=quiet)
    assert hub.requests == []


def test_some_files_of_an_episode_are_not_taken_for_the_episode(hub, source, out):
    named = source.model_copy(update={"folder": "ep01"})
    download_files(named, ["annotation.hdf5"], out, say=quiet)
    hub.requests.clear()
    download_episode(named, out, say=quiet)
    assert content(out) == expected(hub)
    assert ANNOTATION not in hub.gets()


def test_a_name_that_is_not_listed_is_refused(hub, source, out):
    with pytest.raises(DownloadError, match=r"nope\.bin: is not there"):
        download_files(source, ["README.md", "nope.bin"], out, say=quiet)


def test_two_downloads_into_one_folder_wait_for_each_other(hub, source, out):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: bring(source, out), range(2))
    assert first == second
    assert set(hub.gets().values()) == {1}
    assert content(out) == expected(hub)
