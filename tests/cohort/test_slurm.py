"""A cohort on a real Slurm of two nodes: a lost job done again, a broken episode reported."""

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import pytest

from xperience.cohort.manifest import Entry, make_manifest, write_manifest
from xperience.cohort.shards import read_reports
from xperience.standin.mark import write_mark

from ..conftest import copy_repository, environment_of

N_EPISODES, N_SHARDS = 6, 3
PARAMS = f"""
run: tiny
episodes: recordings/episodes.csv
n_shards: {N_SHARDS}
contract: corrected
notebooks: [06_heldout_episodes]
"""
CONFIG = Path("/etc/slurm/slurm.conf")  # elsewhere, srun inside jobs doesn't find it
MARK = "# written by the tests of the run graph"
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
TEMPLATE = """{mark}
ClusterName=tiny
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
MinJobAge=86400
ReturnToService=2
SlurmdTimeout=20
KillWait=5
SlurmctldPort=7817
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=7821 CPUs=1 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=7822 CPUs=1 RealMemory=4000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def why_not() -> str | None:
    """Return why no cluster can be started here, or None."""
    missing = [name for name in DAEMONS if found(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: Debian's slurm-wlm and munge bring them"
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    if CONFIG.exists() and MARK not in CONFIG.read_text():
        return "this machine has a Slurm of its own"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "no snakemake-executor-plugin-slurm: make extras brings it"
    return None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start munge, a controller and two nodes; stop them and remove the configuration after."""
    for name in ("state", "spool-n1", "spool-n2"):
        (folder / name).mkdir(parents=True)
    CONFIG.parent.mkdir(exist_ok=True)
    text = TEMPLATE.format(mark=MARK, host=socket.gethostname().split(".")[0], folder=folder)
    CONFIG.write_text(text)
    started: list[subprocess.Popen] = []
    try:
        started.append(start_munge())
        wait_for(Path("/run/munge/munge.socket.2").exists, folder)
        started.append(start("slurmctld", "-D"))
        started += [start("slurmd", "-D", "-N", node) for node in ("n1", "n2")]
        wait_for(are_idle, folder)
        yield
    finally:
        if len(started) == len(("munged", "slurmctld", "n1", "n2")):
            cancel_all()
        for daemon in reversed(started):
            daemon.terminate()
        for daemon in started:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        CONFIG.unlink(missing_ok=True)


def start(name: str, *options: str, **given) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([found(name), *options], **quiet, **given)


def start_munge() -> subprocess.Popen:
    if not Path("/etc/munge/munge.key").exists():
        run(found("mungekey") or "mungekey", "--create")
    for place in ("/run/munge", "/etc/munge", "/var/lib/munge", "/var/log/munge"):
        Path(place).mkdir(exist_ok=True)
        shutil.chown(place, "munge", "munge")
    shutil.chown("/etc/munge/munge.key", "munge", "munge")
    return start("munged", "--foreground", "--force", user="munge", group="munge")


def are_idle() -> bool:
    command = ["sinfo", "-h", "-o", "%T"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.split() == ["idle"]


def wait_for(ready: Callable[[], bool], folder: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:  # the machine's doing, not the project's
            logs = "\n".join(path.read_text()[-800:] for path in folder.glob("*.log"))
            pytest.skip(f"Slurm doesn't come up here:\n{logs}")
        time.sleep(0.5)


def cancel_all(seconds: float = 20) -> None:
    """Cancel every job and wait until they are gone: they would outlive the nodes."""
    end = time.monotonic() + seconds
    with suppress(subprocess.SubprocessError):  # no controller: the daemons are stopped anyway
        run("scancel", "--user", "root")
        while run("squeue", "-h").strip() and time.monotonic() < end:
            time.sleep(0.5)


@pytest.fixture
def repository(tmp_path, simulated) -> Path:
    """A copy of the repository with a cohort of tiny recordings, one of them broken."""
    folder = tmp_path / "repository"
    folder.mkdir()
    copy_repository(folder)
    (folder / "params" / "tiny.yaml").write_text(PARAMS)
    recordings = folder / "recordings"
    whole, entries = simulated(frames=60, depth_size_px=(16, 16)), []
    for number in range(N_EPISODES):
        name = f"e{number}"
        shutil.copytree(whole, recordings / name)
        with h5py.File(recordings / name / "annotation.hdf5", "r+") as file:
            file.attrs["name"] = name  # each is a recording of its own
        write_mark(recordings / name)
        entries.append(Entry(episode=name, folder=name, session=name, side="train"))
    (recordings / "e4" / "annotation.hdf5").write_bytes(b"cut off")
    write_manifest(recordings / "episodes.csv", make_manifest(entries, recordings))
    # Small enough for the two nodes; the rest of the profile is the one that users get.
    profile = folder / "profiles" / "slurm" / "config.yaml"
    text = profile.read_text()
    assert "mem_mb: 4000" in text
    profile.write_text(text.replace("mem_mb: 4000", "mem_mb: 1500"))
    return folder


def shards_on_slurm(folder: Path) -> subprocess.CompletedProcess:
    """Run the shards; whatever happens, no process of theirs outlives the call."""
    command = ["reproduce", "tiny", "--data", "--profile", "slurm", "--cores", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "xperience.run", *command],
        cwd=folder,
        env=environment_of(folder),
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


def test_shards_run_as_jobs_and_a_cancelled_one_is_done_again(repository, tmp_path):
    cancelled: list[str] = []
    over = threading.Event()

    def cancel_the_first() -> None:
        """Cancel the first job that runs, as a lost node would."""
        while not over.wait(0.3):
            running = run("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()
            if running:
                run("scancel", running[0])
                cancelled.append(running[0])
                return

    with cluster(tmp_path / "slurm"):
        thread = threading.Thread(target=cancel_the_first)
        thread.start()
        try:
            done = shards_on_slurm(repository)
        finally:
            over.set()
            thread.join()
        jobs = run("squeue", "-h", "-t", "all", "-o", "%i %T").splitlines()
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
    assert sorted(status) == [f"e{number}" for number in range(N_EPISODES)]
    assert [name for name, one in status.items() if one.status == "failed"] == ["e4"]
    assert "annotation.hdf5" in status["e4"].reason
    assert json.dumps(status["e0"].missing) == "{}"
