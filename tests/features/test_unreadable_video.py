"""A video that the system does not let us read is one broken stream; all else goes on."""

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from xperience.cohort.manifest import Entry, make_manifest, write_manifest
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording import files, media

LOST = {"video_stereo_left"}
WITH_SOUND = {"video_fisheye_cam0", "audio_fisheye_cam0_aac"}


@pytest.mark.parametrize(("camera", "lost"), [("stereo_left", LOST), ("fisheye_cam0", WITH_SOUND)])
def test_without_permission(
    tiny: Path, tmp_path: Path, command: Callable, camera: str, lost: set[str]
) -> None:
    (tiny / f"{camera}.mp4").chmod(0)
    out = tmp_path / "windows.parquet"
    done = command("features", tiny, "--out", out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert f"missing: video_{camera}" in done.stderr
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(WindowTable(out).info.missing_blocks) == lost


def test_in_a_shard(tiny: Path, tmp_path: Path, command: Callable) -> None:
    (tiny / "stereo_left.mp4").chmod(0)
    roster = tmp_path / "roster.csv"
    entry = Entry(episode="ep", session="s", side="train", folder=str(tiny))
    write_manifest(roster, make_manifest([entry], tmp_path))
    done = command("cohort", "shard", roster, "--out", tmp_path / "run", "--strict")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 episodes have windows" in done.stdout


def refuse(path: Path, true: Callable[[Path], str]) -> str:
    if path.name == "stereo_left.mp4":
        raise OSError(5, "Input/output error", str(path))
    return true(path)


def test_a_disk_that_fails_while_the_content_is_read(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = files.known_digest
    monkeypatch.setattr(files, "known_digest", lambda path: refuse(path, true))
    info = extract(tiny, tmp_path / "windows.parquet", workers=1)
    assert set(info.missing_blocks) == LOST
    assert (
        "stereo_left.mp4: cannot be read (Input/output error)"
        in info.missing_blocks["video_stereo_left"]
    )


class Failing:
    """A container whose disk fails after some frames."""

    def __init__(self, true: av.container.InputContainer):
        self.true = true

    def __enter__(self) -> "Failing":
        return self

    def __exit__(self, *error: object) -> None:
        self.true.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self.true, name)

    def decode(self, stream: av.stream.Stream):
        for number, frame in enumerate(self.true.decode(stream)):
            if number == 7:
                raise av.error.OSError(5, "Input/output error", self.true.name)
            yield frame


def test_a_disk_that_fails_while_frames_are_decoded(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = media._opened

    def opened(path: Path) -> av.container.InputContainer:
        return Failing(true(path)) if path.name == "stereo_left.mp4" else true(path)

    monkeypatch.setattr(media, "_opened", opened)
    info = extract(tiny, tmp_path / "windows.parquet", workers=1)
    assert set(info.missing_blocks) == LOST
    assert "Input/output error" in info.missing_blocks["video_stereo_left"]


def test_a_video_that_goes_away_after_opening(tiny: Path, tmp_path: Path) -> None:
    def on_progress(step: str, done: int, total: int) -> None:
        if step == "digests" and done == total:
            (tiny / "stereo_left.mp4").unlink()

    info = extract(tiny, tmp_path / "windows.parquet", workers=1, on_progress=on_progress)
    assert set(info.missing_blocks) == LOST
    assert "stereo_left.mp4: is not there" in info.missing_blocks["video_stereo_left"]
