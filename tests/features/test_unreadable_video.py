"""A video that the system does not let us read is one broken stream; all else goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

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


def no_digest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = files.known_digest

    def known_digest(path: Path) -> str:
        if path.name == "stereo_left.mp4":
            raise OSError(5, "Input/output error", str(path))
        return true(path)

    monkeypatch.setattr(files, "known_digest", known_digest)


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

    def decode(self, stream: av.stream.Stream) -> Iterator:
        for number, frame in enumerate(self.true.decode(stream)):
            if number == 7:
                raise av.error.OSError(5, "Input/output error", self.true.name)
            yield frame


def no_packets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = media._opened

    def opened(path: Path) -> av.container.InputContainer:
        return Failing(true(path)) if path.name == "stereo_left.mp4" else true(path)

    monkeypatch.setattr(media, "_opened", opened)


@pytest.mark.parametrize("fail", [no_digest, no_packets])
def test_a_disk_that_fails(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable
) -> None:
    fail(tiny, monkeypatch)
    info = extract(tiny, tmp_path / "windows.parquet", workers=1)
    assert set(info.missing_blocks) == LOST
    assert "Input/output error" in info.missing_blocks["video_stereo_left"]
    assert "ep/stereo_left.mp4" in info.missing_blocks["video_stereo_left"]


def test_a_video_that_goes_away_after_opening(tiny: Path, tmp_path: Path) -> None:
    def on_progress(step: str, done: int, total: int) -> None:
        if step == "digests" and done == total:
            (tiny / "stereo_left.mp4").unlink()

    info = extract(tiny, tmp_path / "windows.parquet", workers=1, on_progress=on_progress)
    assert set(info.missing_blocks) == LOST
    assert "stereo_left.mp4: is not there" in info.missing_blocks["video_stereo_left"]
