"""Episodes of a roster are brought from the hub: whole, or not taken for it."""

import pytest

from xperience.cohort.roster import Entry
from xperience.cohort.staging import stage_from
from xperience.errors import DownloadError
from xperience.hub.receipt import is_unfinished

ENTRY = Entry(episode="e", folder="ep01", session="s", side="train")


def test_an_interrupted_episode_is_unfinished_until_the_next_call_brings_the_rest(hub, source, out):
    lines = []
    stage = stage_from(source, lines.append)
    video = "ep01/fisheye_cam0.mp4"
    hub.status = {video: 404}
    with pytest.raises(DownloadError):
        stage(ENTRY, out)
    assert (out / "annotation.hdf5").is_file(), "what has arrived looks like a recording"
    assert is_unfinished(out)
    hub.status = {}
    stage(ENTRY, out)
    assert not is_unfinished(out)
    assert (out / "fisheye_cam0.mp4").read_bytes() == hub.commits["a" * 40][video]
    assert hub.gets()["ep01/annotation.hdf5"] == 1, "what had arrived is not fetched again"
    assert any("CC BY-NC 4.0" in line for line in lines)


def test_a_folder_of_ones_own_is_left_alone(hub, source, out):
    out.mkdir()
    (out / "annotation.hdf5").write_bytes(b"mine")
    assert not is_unfinished(out)
    stage_from(source)(ENTRY, out)
    assert (out / "annotation.hdf5").read_bytes() == b"mine"
    assert not hub.requests
