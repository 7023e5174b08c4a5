"""A real Slurm cluster of two nodes on one machine, started for a test and stopped after it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

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


def why_not() -> str | None:
    """Return why no cluster can be started here, or None."""
    missing = [name for name in DAEMONS if _found(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: Debian's slurm-wlm and munge bring them"
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    if CONFIG.exists() and MARK not in CONFIG.read_text():
        return "this machine has a Slurm of its own"
    return None


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start munge, a controller and two nodes; stop them and remove the configuration after."""
    (folder / "state").mkdir(parents=True)
    for node in ("n1", "n2"):
        (folder / f"spool-{node}").mkdir()
    CONFIG.parent.mkdir(exist_ok=True)
    text = TEMPLATE.format(mark=MARK, host=socket.gethostname().split(".")[0], folder=folder)
    CONFIG.write_text(text)
    started: list[subprocess.Popen] = []
    try:
        started.append(_munge())
        socket_of_munge = Path("/run/munge/munge.socket.2")
        _await(socket_of_munge.exists, lambda: "munge has no socket")
        started.append(_start("slurmctld", "-D"))
        started += [_start("slurmd", "-D", "-N", node) for node in ("n1", "n2")]
        _await_nodes(folder)
        yield
    finally:
        if len(started) == len(("munged", "slurmctld", "n1", "n2")):
            _cancel_all()
        for daemon in reversed(started):
            daemon.terminate()
        for daemon in started:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        CONFIG.unlink(missing_ok=True)


def _cancel_all(seconds: float = 20) -> None:
    """Cancel every job and wait until they are gone: they would outlive the nodes."""
    end = time.monotonic() + seconds
    with suppress(subprocess.SubprocessError):  # no controller: the daemons are stopped anyway
        run("scancel", "--user", "root")
        while run("squeue", "-h").strip() and time.monotonic() < end:
            time.sleep(0.5)


def _start(name: str, *options: str, **given) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([_found(name), *options], **quiet, **given)


def _munge() -> subprocess.Popen:
    if not Path("/etc/munge/munge.key").exists():
        run(_found("mungekey") or "mungekey", "--create")
    for place in ("/run/munge", "/etc/munge", "/var/lib/munge", "/var/log/munge"):
        Path(place).mkdir(exist_ok=True)
        shutil.chown(place, "munge", "munge")
    shutil.chown("/etc/munge/munge.key", "munge", "munge")
    return _start("munged", "--foreground", "--force", user="munge", group="munge")


def _await_nodes(folder: Path) -> None:
    def idle() -> bool:
        done = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout.split() == ["idle"]

    def complaint() -> str:
        logs = "\n".join(path.read_text()[-800:] for path in folder.glob("*.log"))
        return f"the nodes don't get ready:\n{logs}"

    _await(idle, complaint)


def _await(ready: Callable[[], bool], complaint: Callable[[], str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:  # the machine's doing, not the project's
            pytest.skip(f"Slurm doesn't come up here: {complaint()}")
        time.sleep(0.5)
