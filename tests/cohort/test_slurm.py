"""A cohort on a real Slurm: shards as jobs, a lost job done again, a broken episode reported."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import h5py
import pytest

from xperience.cohort.roster import Entry, make_roster, read_roster, write_roster
from xperience.cohort.shards import read_reports
from xperience.standin.mark import write_mark
from xperience.standin.settings import StandinSettings
from xperience.standin.write import write_episode

from .slurm import CONFIG, cluster, run, why_not

REPOSITORY = Path(__file__).parents[2]
N_EPISODES, N_SHARDS = 6, 3
PORTS = (7817, 7821, 7822)  # of the controller and the two nodes
PARAMS = f"""
run: tiny
episodes: recordings/episodes.csv
n_shards: {N_SHARDS}
contract: corrected
notebooks: [06_heldout_episodes]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
        reason="no snakemake-executor-plugin-slurm: make extras brings it",
    ),
]


@pytest.fixture
def repository(tmp_path) -> Path:
    """A copy of the repository with a cohort of tiny recordings, one of them broken."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for part in ("lib", "docs", "profiles", "params", "notebooks", "Snakefile", "pyproject.toml"):
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
    (folder / "params" / "tiny.yaml").write_text(PARAMS)
    recordings = folder / "recordings"
    settings = StandinSettings(frames=60, size_px=(32, 24), depth_size_px=(16, 16), workers=1)
    write_episode(recordings / "e0", settings)
    entries = []
    for number in range(N_EPISODES):
        name = f"e{number}"
        if number:
            shutil.copytree(recordings / "e0", recordings / name)
            with h5py.File(recordings / name / "annotation.hdf5", "r+") as file:
                file.attrs["name"] = name  # each is a recording of its own
            write_mark(recordings / name)
        entries.append(Entry(episode=name, folder=name, session=name, side="train"))
    (recordings / "e4" / "annotation.hdf5").write_bytes(b"cut off")
    write_roster(recordings / "episodes.csv", make_roster(entries, recordings))
    # Small enough for the two nodes; the rest of the profile is the one that users get.
    profile = folder / "profiles" / "slurm" / "config.yaml"
    text = profile.read_text()
    assert "mem_mb: 4000" in text
    profile.write_text(text.replace("mem_mb: 4000", "mem_mb: 1500"))
    return folder


def shards_on_slurm(folder: Path) -> subprocess.CompletedProcess:
    """Run the shards; whatever happens, no process of theirs outlives the call."""
    env = {key: value for key, value in os.environ.items() if key != "XPERIENCE_ROOT"}
    command = ["reproduce", "tiny", "--data", "--profile", "slurm", "--cores", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "xperience.run", *command],
        cwd=folder,
        env=env | {"PYTHONPATH": str(folder / "lib"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # the workflow below it would else go on by itself
    )
    try:
        out, err = running.communicate(timeout=600)
        return subprocess.CompletedProcess(command, running.returncode, out, err)
    finally:
        with suppress(ProcessLookupError):  # it ended by itself, and so did all below it
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def cancel_the_first(cancelled: list[str], over: threading.Event) -> None:
    """Cancel the first job that runs, as a lost node would."""
    while not over.wait(0.3):
        running = run("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()
        if running:
            run("scancel", running[0])
            cancelled.append(running[0])
            return


def test_shards_run_as_jobs_and_a_cancelled_one_is_done_again(repository, tmp_path):
    cancelled: list[str] = []
    over = threading.Event()
    with cluster(tmp_path / "slurm"):
        thread = threading.Thread(target=cancel_the_first, args=(cancelled, over))
        thread.start()
        began = time.monotonic()
        try:
            done = shards_on_slurm(repository)
        finally:
            over.set()
            thread.join()
        spent = time.monotonic() - began
        jobs = run("squeue", "-h", "-t", "all", "-o", "%i %T").splitlines()
    print(f"{N_EPISODES} episodes, {N_SHARDS} shards, {spent:.0f} s; jobs: {jobs}\n{done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cancelled, "no job was seen running"
    states = dict(job.split() for job in jobs)
    assert states[cancelled[0]] == "CANCELLED"
    assert list(states.values()).count("COMPLETED") == N_SHARDS
    reports = read_reports(repository / "artifacts" / "tiny")
    assert [(report.shard, report.of) for report in reports] == [
        (shard, N_SHARDS) for shard in range(N_SHARDS)
    ]
    status = {one.episode: one for report in reports for one in report.episodes}
    assert set(status) == {
        entry.episode for entry in read_roster(repository / "recordings" / "episodes.csv")
    }
    assert [name for name, one in status.items() if one.status == "failed"] == ["e4"]
    assert "annotation.hdf5" in status["e4"].reason
    assert json.dumps(status["e0"].missing) == "{}"


def test_a_failure_leaves_nothing_running(tmp_path):
    told = tmp_path / "pid"
    job = f"echo $$ > {told}.part; mv {told}.part {told}; exec sleep 600"
    with pytest.raises(ZeroDivisionError), cluster(tmp_path / "slurm"):  # noqa: PT012
        run("sbatch", "--mem", "100", "--output", "/dev/null", "--wrap", job)
        for _ in range(200):
            if told.exists():
                break
            time.sleep(0.3)
        pid = int(told.read_text())
        assert Path(f"/proc/{pid}").exists()
        _ = 1 / 0
    assert ended(pid)
    assert not CONFIG.exists()
    for port in PORTS:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"something listens on {port}"


def ended(pid: int) -> bool:
    """Return whether a process is gone, or only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
