"""pyproject.toml, the locks and environment.yml name the same packages."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [Requirement(line) for line in PROJECT["dependencies"] + EXTRAS["site"] + EXTRAS["test"]]
OPTIONAL = [
    Requirement(line)
    for name in ("answers", "cluster", "exports", "learned")
    for line in EXTRAS[name]
]
LOCK = (REPOSITORY / "requirements.lock").read_text().splitlines()
TEST_LOCK = (REPOSITORY / "requirements-test.lock").read_text().splitlines()
EXTRAS_LOCK = (REPOSITORY / "requirements-extras.lock").read_text().splitlines()


def test_the_conda_environment_asks_for_what_the_project_asks_for():
    entries = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    listed = [entry for entry in entries if isinstance(entry, str)]
    listed += next(entry["pip"] for entry in entries if isinstance(entry, dict))
    asked = {line for line in listed if line != "pip" and not line.startswith("python=")}
    assert asked == {str(requirement) for requirement in DECLARED}
    minor = next(line for line in listed if line.startswith("python=")).partition("=")[2]
    assert minor in PROJECT["requires-python"]


def test_the_locks_pin_every_declared_package_to_a_fitting_version_and_to_no_place():
    lock = LOCK + TEST_LOCK + EXTRAS_LOCK
    assert [line for line in lock if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][\w.!]*", line)] == []
    assert len({canonicalize_name(line.partition("==")[0]) for line in lock}) == len(lock)
    for requirement in DECLARED + OPTIONAL:
        lines = LOCK + (EXTRAS_LOCK if requirement in OPTIONAL else [])
        lines += TEST_LOCK if str(requirement) in EXTRAS["test"] else []
        pinned = {canonicalize_name(n): v for n, _, v in (line.partition("==") for line in lines)}
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])
