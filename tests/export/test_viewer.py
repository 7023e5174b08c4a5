"""A Rerun file in the real viewer, which draws it without a window and says what it can't show."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest

from xperience.export.scene import export_rerun
from xperience.recording.recording import Recording

DRIVERS = [*Path("/usr/share/vulkan/icd.d").glob("*.json")]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.extras("rerun"),
    pytest.mark.skipif(
        sys.platform == "linux" and not DRIVERS,
        reason="no Vulkan driver for the viewer to draw with (Debian: mesa-vulkan-drivers)",
    ),
]
VIEWER = Path(sys.executable).parent / "rerun"
CAMERAS = {f"fisheye_cam{i}" for i in range(4)} | {"stereo_left", "stereo_right"}
PATIENCE_S = 60


@contextmanager
def shown(path, monkeypatch):
    """Open a file or an address in a viewer without a window; skip where nothing can draw."""
    from rerun.experimental import ViewerClient  # noqa: PLC0415 - optional

    monkeypatch.setenv("RERUN_ANALYTICS", "0")
    try:
        viewer = ViewerClient.spawn(headless=True, port=free_port(), executable_path=str(VIEWER))
        viewer.get_state()
    except (RuntimeError, ConnectionError) as error:
        pytest.skip(f"no viewer can draw here: {error}")
    try:
        viewer.open(str(path))
        assert until(lambda: viewer.get_state().active_recording)
        yield viewer
    finally:
        viewer.quit()


@contextmanager
def served(path):
    """Send a file to whoever asks, as `rerun --serve-web` does; yield where."""
    port = free_port()
    command = [VIEWER, str(path), "--serve-grpc", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, **quiet, start_new_session=True)
    try:
        assert until(lambda: is_open(port))
        yield f"rerun+http://127.0.0.1:{port}/proxy"
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # the command starts the viewer as its child
        server.wait(timeout=30)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def until(check):
    """Wait until something holds: the viewer decodes and draws in its own time."""
    end = time.monotonic() + PATIENCE_S
    while not (held := check()) and time.monotonic() < end:
        time.sleep(0.3)
    return held


def settled(viewer, seconds):
    """Put the cursor somewhere; return {name: view} once nothing is being loaded."""

    def moved():
        try:
            viewer.set_time("time", duration=seconds, play_state="paused")
        except ConnectionError:  # what is streamed has no timeline in its first moment
            return False
        return True

    assert until(moved)

    def views():
        state = viewer.get_state()
        return {} if state.loading else {view.name: view for view in state.views}

    found = until(views)
    assert found, "the viewer is still loading"
    return found


def picture(viewer, view):
    data = viewer.take_screenshot(view.view_id)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def is_drawn(viewer, view):
    return len(np.unique(picture(viewer, view).reshape(-1, 3), axis=0)) > 16


@pytest.fixture(scope="module")
def written(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    row = {"contract": "corrected", "head": "linear", "seed": None, "truth": "a", "predicted": "a"}
    said = [row | {"task": "timeline_action", "start_frame": start} for start in (0, 5, 10)]
    lost = {"task": "hand_trajectory_forecast", "truth": None, "predicted": None, "unit": "m"}
    said += [row | lost | {"start_frame": 5 * i, "error": i / 10} for i in range(5)]
    pd.DataFrame(said).to_parquet(folder / "said.parquet")
    export_rerun(recording, folder / "ep.rrd", predictions=folder / "said.parquet")
    return folder / "ep.rrd"


def test_the_viewer_shows_every_stream_as_it_changes_and_complains_of_none(
    recording, written, monkeypatch
):
    with Recording(recording) as episode:
        last_s = (episode.n_frames - 1) / episode.fps
    with shown(written, monkeypatch) as viewer:
        views = settled(viewer, 0.0)
        wanted = CAMERAS | {"world", "depth", "now", "labels", "predictions", "sound", "notes"}
        wanted |= {"hand trajectory forecast, m", "acceleration, m/s²", "rotation, rad/s"}
        assert wanted <= set(views)
        assert [view.name for view in views.values() if view.reports] == []
        for name in (*sorted(CAMERAS), "depth", "world", "now", "labels"):
            assert until(lambda name=name: is_drawn(viewer, views[name])), name
        first = {name: picture(viewer, views[name]) for name in ("stereo_left", "now", "world")}
        settled(viewer, last_s)
        for name, before in first.items():
            changed = lambda name=name, old=before: (picture(viewer, views[name]) != old).any()  # noqa: E731
            assert until(changed), name
        assert [log.message for log in viewer.get_logs() if log.level == "ERROR"] == []


def test_what_is_not_recorded_has_no_view(recording, tmp_path, monkeypatch):
    folder = shutil.copytree(recording, tmp_path / "ep")
    (folder / "fisheye_cam2.mp4").unlink()
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        del file["depth"], file["imu"], file["full_body_mocap"]
    export_rerun(folder, tmp_path / "ep.rrd")
    with shown(tmp_path / "ep.rrd", monkeypatch) as viewer:
        views = settled(viewer, 0.5)
        assert CAMERAS - {"fisheye_cam2"} | {"world", "labels", "notes"} <= set(views)
        gone = {"fisheye_cam2", "depth", "predictions", "errors", "acceleration, m/s²"}
        assert not gone & set(views)
        assert [view.name for view in views.values() if view.reports] == []


def test_a_file_that_is_streamed_has_its_layout_too(written, monkeypatch):
    with served(written) as url, shown(url, monkeypatch) as viewer:
        views = settled(viewer, 0.5)
        assert CAMERAS | {"world", "now", "labels", "loudness, dB"} <= set(views)
