"""A hub or a disk that says no: the user learns why, and what to do."""

import errno
import json
import os
import subprocess
import sys
from collections import namedtuple

import pytest

from xperience.errors import DownloadError
from xperience.hub.download import download_episode, download_files
from xperience.hub.faults import UnreachableError
from xperience.hub.receipt import read_receipt

from .bringing import (
    ANNOTATION,
    CHUNK,
    FIRST,
    bring,
    content,
    expected,
    parts,
    quiet,
)

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
