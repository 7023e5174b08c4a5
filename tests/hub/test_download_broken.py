"""A transfer that breaks off goes on where it stopped; what is not as listed is kept out."""

import pytest

from xperience.errors import DownloadError
from xperience.hub.download import download_episode
from xperience.hub.faults import UnreachableError
from xperience.hub.receipt import read_receipt

from .bringing import ANNOTATION, CHUNK, FIRST, bring, content, expected, parts, quiet

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
