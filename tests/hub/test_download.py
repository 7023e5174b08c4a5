"""An episode is brought once, whole and as listed."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from xperience.errors import DownloadError
from xperience.hub.download import download_episode, download_files
from xperience.hub.receipt import read_receipt

from .bringing import ANNOTATION, FIRST, SECOND, VIDEO, bring, content, expected, parts, quiet


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
