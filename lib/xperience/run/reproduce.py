"""``make reproduce``: one run brought up to date, whatever state the folder was left in."""

import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from xperience.cohort.manifest import read_manifest
from xperience.cohort.shards import changed_episodes, report_path
from xperience.errors import ParamsError, XperienceError, did_you_mean
from xperience.features.table import WindowTable
from xperience.params import RunParams
from xperience.project import BASE_RUN
from xperience.run.fresh import stale
from xperience.run.plan import LONGEST, RunPlan
from xperience.run.reproduction import StepCost, steps_of, steps_table, told
from xperience.storage import value_digest, write_json

_SCRATCH = re.compile(r"\..+\.[a-z0-9_]{8}\.(part|scene|old)(\.\w+)?")
"""Names under which steps write before a whole result takes its place."""

_say = partial(print, flush=True)  # before what the graph prints, also into a pipe


def reproduce(
    run: str = BASE_RUN,
    episode: str | None = None,
    *,
    cores: int | None = None,
    again: bool = False,
    data_only: bool = False,
    profile: str = "default",
) -> int:
    """Run the graph for what is missing or out of date; return Snakemake's exit status.

    Parameters
    ----------
    run, episode : str
        As for `RunPlan.of`; what can't be run is a ParamsError.
    cores : int, optional
        Jobs at a time; as many as there are cores if absent.
    again : bool, optional
        Whether to do every step anew.
    data_only : bool, optional
        Whether to stop at what notebooks read: recording and windows tables.
    profile : str, optional
        Folder in ``profiles/`` that says where jobs run.
    """
    plan = RunPlan.of(run, episode)
    _check_tasks(run, plan.params)
    if episode:
        _say(f"Run {plan.params.run}: {episode} with the settings of params/{run}.yaml.")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the graph goes on, and holds the lock
    with _alone(plan.root) as lock:
        plan.check_episode()
        profiles = [path.name for path in (plan.root / "profiles").glob("*") if path.is_dir()]
        if profile not in profiles:
            way_out = did_you_mean(profile, profiles)
            raise ParamsError("PROFILE", f"is {profile!r}", "a folder in profiles/", way_out)
        plan.stamp_recording()
        forced = [] if again else _changed(plan)
        forced += [] if again or data_only else _forced(plan)
        command = _snakemake(plan.root, {"run": run, "episode": episode}, cores)
        command += ["--forceall"] if again else []
        command += ["--workflow-profile", f"profiles/{profile}"]
        command += ["--until", "shard" if plan.is_cohort else "windows"] if data_only else []
        command += ["--forcerun", *forced] if forced else []
        if LONGEST in plan.params.notebooks:
            command += ["--prioritize", plan.shown(plan.executed(LONGEST))]
        _clear_up(plan, command)
        begun, start = time.time(), time.monotonic()
        code = subprocess.run(command, cwd=plan.root, pass_fds=[lock], check=False).returncode
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    steps = steps_of(plan, begun)
    if steps:
        whole = StepCost("in all", time.monotonic() - start, used.ru_utime + used.ru_stime)
        _say(f"\n{steps_table([*steps, whole])}\n")
    if code:
        _check_graph(plan.root, command)
        print(
            f"Not everything could be done; see above. Failed notebooks and the steps' logs are in "
            f"{plan.shown(plan.folder / 'logs')}/; what succeeded is kept.",
            file=sys.stderr,
        )
    else:
        for path in [] if data_only else plan.reports():
            _say(told(json.loads(path.read_text(encoding="utf-8"))))
        made = plan.folder / "windows" if data_only else plan.site / "index.html"
        _say(f"Done: {os.path.relpath(made)}")
    return code


def _forced(plan: RunPlan) -> list[str]:
    """Return the executed notebooks that stand there out of date, saying why.

    Snakemake compares with what it remembers; content hashes also know what a copy of a folder
    holds, of which it remembers nothing. Data is left to Snakemake, which has the file times.
    """
    executed = (entry for entry in stale(plan, data=False) if not plan.kept(entry.notebook))
    found = [entry for entry in executed if plan.executed(entry.notebook).is_file()]
    for entry in found:
        _say(f"Out of date: {entry}")
    return [plan.shown(plan.executed(entry.notebook)) for entry in found]


def _check_tasks(run: str, params: RunParams) -> None:
    """See that tasks which the settings name are there, before a notebook asks for them."""
    named = params.published_networks
    if named in ("all", RunParams.model_fields["published_networks"].default):
        return
    from xperience.tasks.catalogue import tasks_of  # brings all that tasks read

    known = [task.name for task in tasks_of("published")]
    for name in named:
        if name not in known:
            place = f"params/{run}.yaml: published_networks"
            expected = "names of published tasks, or all"
            raise ParamsError(place, f"holds {name!r}", expected, did_you_mean(name, known))


def _changed(plan: RunPlan) -> list[str]:
    """Return the tables, or a cohort's shards, of recordings that have changed, saying which.

    The graph goes by file times, which a copy can set back, and of a cohort knows its manifest
    alone; tables and shards remember what they were made from.
    """
    changed = []
    if plan.is_cohort:
        entries = read_manifest(plan.manifest) if plan.manifest.is_file() else None
        found = changed_episodes(entries, plan.folder) if entries is not None else {}
        for shard, episodes in found.items():
            _say(f"Changed since shard {shard}: {', '.join(episodes)}")
            changed.append(report_path(plan.folder, shard))
    else:
        for table in plan.tables():
            try:
                if table.is_file() and plan.episode.is_dir():
                    WindowTable(table).check_made_from(plan.episode)
            except XperienceError as error:
                _say(f"Out of date: {error.place}: {error.found}")
                changed.append(table)
    return [plan.shown(path) for path in changed]


def _snakemake(root: Path, asked: dict[str, str | None], cores: int | None) -> list[str]:
    """Return the graph's call; what it is asked stands in a file, whose values stay as they are.

    Options would be read as YAML, where 123 and 2026-03-01 are no names. Jobs on other machines
    read the file too, so each call has its own.
    """
    config = root / ".snakemake" / "asked" / f"{value_digest(asked)[:16]}.json"
    write_json(config, {key: value for key, value in asked.items() if value is not None})
    command = [sys.executable, "-m", "snakemake"]  # with profiles/default
    command += ["--cores", str(cores)] if cores else []
    return [*command, "--configfile", config.relative_to(root).as_posix()]


class GraphError(XperienceError):
    """The graph of a run that Snakemake does not take up."""


@contextmanager
def _alone(root: Path) -> Iterator[int]:
    """Hold the folder's lock, waiting for another ``make reproduce`` in it to end.

    The graph's process inherits the lock: it is free exactly when no graph runs any more, also
    after a kill.
    """
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    with (folder / "one-at-a-time").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Waiting for another make reproduce in this folder to end …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _clear_up(plan: RunPlan, command: list[str]) -> None:
    """Unlock the graph after a kill, and drop the scratch files that killed steps left behind."""
    locks = plan.root / ".snakemake" / "locks"
    if not (locks.is_dir() and any(locks.iterdir())):
        return
    _say("The last run was cut off: unlocking, and redoing the steps it left half done.")
    _check_graph(plan.root, [*command, "--unlock"])
    for path in [path for path in plan.folder.rglob(".*") if _SCRATCH.fullmatch(path.name)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _check_graph(root: Path, command: list[str]) -> None:
    """Raise GraphError if Snakemake takes no such call up: its profile silences what it says."""
    trial = command if command[-1] == "--unlock" else [*command, "--dry-run"]
    done = subprocess.run(
        trial, cwd=root, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        before, _, after = done.stdout.partition("Building DAG of jobs...")
        raise GraphError(
            "Snakefile",
            f"is not taken up by Snakemake ({' '.join((after or before).split())})",
            "a graph whose inputs are there",
            "Mend what it names: a file that is missing, or a change of the Snakefile.",
        )
