"""RUN and EPISODE hold any name: through make, the shell, the graph's file and its parsing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xperience.run.reproduce import GraphError, reproduce

from ..conftest import ROOT, copy_repository

ODD = "-2026-03-01T10:30:00 {x} 'q' \"d\" $HOME $(shell id) `id` %d #h * [1] é录 \\"
NAMES = ["123", "1e5", "2026-03-01", "yes", "{a: b}", "[x]", ODD]
PARAMS = """
run: {run}
episode: artifacts/tiny/episode
contract: published
notebooks: [01_benchmark_contract]
"""


@pytest.mark.parametrize("name", NAMES)
def test_make_hands_values_on_as_they_are(tmp_path: Path, name: str) -> None:
    show = tmp_path / "show.py"
    show.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    make = ["make", "-s", "-f", ROOT / "Makefile", "-o", ".venv/.ready"]
    settings = [f"XPERIENCE={sys.executable} {show}", f"RUN={name}", f"EPISODE={name}"]
    said = subprocess.run(
        [*make, *settings, "reproduce"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    given = json.loads(said.stdout)
    assert given == ["reproduce", f"--episode={name}", "--profile=default", "--", name]


@pytest.fixture
def odd_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in a folder of an odd name, with a profile that only plans."""
    root = tmp_path / ODD
    root.mkdir()
    copy_repository(root, "lib")
    profile = root / "profiles" / "plan" / "config.yaml"
    profile.parent.mkdir()
    profile.write_text("cores: 1\ndry-run: true\n")
    monkeypatch.setenv("XPERIENCE_ROOT", str(root))
    return root


def test_the_graph_takes_any_run_and_recording(
    whole_tiny: Path, tmp_path: Path, odd_root: Path, capfd: pytest.CaptureFixture
) -> None:
    own = tmp_path / "own" / ODD
    shutil.copytree(whole_tiny, own)
    (odd_root / "params" / f"{ODD}.yaml").write_text(PARAMS.format(run="tiny"))
    assert reproduce(ODD, str(own), profile="plan") == 0
    planned = capfd.readouterr()
    assert "rule windows" in planned.out + planned.err
    assert "rule notebook" in planned.out + planned.err


def test_what_snakemake_cannot_take_up_is_said_of_a_run_that_is_named_like_a_day(
    odd_root: Path,
) -> None:
    name = "2026-03-01"
    params = PARAMS.format(run=json.dumps(name)) + "standin: {frames: 60}\n"
    (odd_root / "params" / f"{name}.yaml").write_text(params)
    snakefile = odd_root / "Snakefile"
    text = snakefile.read_text()
    snakefile.write_text(text.replace("inside(sources_of(SITE)),", '"nope.txt",'))
    said = rf"Missing input files for rule site: .*artifacts/{name}/\S+ .* nope\.txt"
    with pytest.raises(GraphError, match=said) as raised:
        reproduce(name)
    assert "\n" not in str(raised.value)
