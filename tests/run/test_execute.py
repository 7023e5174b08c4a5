"""One notebook, executed: plain and the same again, or refused with its cell's error."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xperience.errors import NotebookError, ParamsError
from xperience.run.execute import execute_notebook
from xperience.run.notebooks import write_pair

PICTURE = "iVBORw0KGgo/"
CELLS = (
    """
    import os, sys, warnings, matplotlib.pyplot as plt
    print(object(), {"b", "a", "c"})
    print("half a line", file=sys.stderr)
    print(os.path.join(os.getcwd(), "data"), os.__file__, sys.prefix + "/x")
    warnings.warn("careful")
    """,
    "plt.plot([1, 2, n]); plt.show()",
    "import pandas as pd; pd.DataFrame({'a': [n]}).style.set_properties(color='red')",
    "import ipywidgets\nipywidgets.IntSlider()",
    "from tqdm.auto import tqdm\nprint(sum(tqdm([1, 2], desc='unwatched')))",
    "from IPython.display import HTML\nHTML(f'<img src=\"data:image/png;base64,"
    + PICTURE
    + "{os.getcwd().replace(chr(45), chr(43))}\">')",
    "print('n is', n, os.environ['E'] == sys.executable, os.getcwd() == os.environ['R'])",
)


@pytest.fixture
def run(root, monkeypatch):
    """Return a function that executes a notebook, with results where a run has them."""
    monkeypatch.setenv("E", sys.executable)
    monkeypatch.setenv("R", str(root))
    monkeypatch.setenv("MPLBACKEND", "agg")  # the caller's is of no importance

    def execute(source: Path, **parameters):
        return execute_notebook(source, parameters, out_of(root), log=root / "logs" / "nb.ipynb")

    return execute


def out_of(root: Path) -> Path:
    return root / "out" / "nb.ipynb"


def call(source: Path, n: int) -> str:
    """Return a program that executes a notebook with a parameter ``n``."""
    return (
        "from pathlib import Path; from xperience.run.execute import execute_notebook;"
        f"execute_notebook(Path({str(source)!r}), {{'n': {n}}}, Path('out/{n}.ipynb'),"
        f" log=Path('logs/{n}.ipynb'))"
    )


def test_the_same_notebook_gives_the_same_plain_bytes(write_notebook, run, root):
    source = write_notebook(*CELLS)
    executed = run(source, n=4)
    first = out_of(root).read_text()
    run(source, n=4)
    assert out_of(root).read_text() == first
    outputs = [cell.outputs for cell in executed.cells if cell.cell_type == "code"][-len(CELLS) :]
    assert any("image/png" in one.get("data", {}) for one in outputs[1])
    assert "make lab" in str(outputs[3]), "a live control becomes a note"
    assert [(one.output_type, one.text) for one in outputs[4]] == [("stream", "3\n")]
    assert outputs[6][0].text == "n is 4 True True\n"
    notebook = json.loads(first)
    assert "papermill" not in notebook["metadata"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"])
    injected = [cell for cell in notebook["cells"] if "# Parameters\n" in cell["source"]]
    assert injected[0]["metadata"]["tags"] == ["injected-parameters"]
    picture = PICTURE + str(root).replace("-", "+")
    assert picture in first, "pictures are left alone"
    plain = first.replace(picture, "")
    machine = (str(root), sys.prefix, sys.base_prefix, "ipykernel_", "widget-view")
    assert [words for words in machine if words in plain] == []


def test_parameters_that_repeat_the_defaults_are_hidden(write_notebook, run):
    executed = run(write_notebook("print('n is', n)"), n=3)
    assert executed.cells[-1].outputs[0].text == "n is 3\n"
    tags = [cell.metadata.get("tags", []) for cell in executed.cells]
    assert ["injected-parameters", "remove-cell"] in tags


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frame": 1}, "Did you mean 'frames'"),
        ({"frames": "4"}, "is '4' (str)"),
        ({"frames": True}, "is True (bool)"),
        ({"rate": "1e-3"}, "write 1.0e-3"),
    ],
)
def test_an_unknown_name_or_another_type_is_refused_before_anything_runs(
    write_notebook, run, root, given, message
):
    parameters = "frames: int = 3\nrate: float = 0.5  # a second"
    source = write_notebook("open('ran', 'w')", parameters=parameters)
    with pytest.raises(ParamsError) as refused:
        run(source, **given)
    assert message in str(refused.value)
    assert not (root / "ran").exists()


def test_what_is_no_notebook_of_ours_is_refused(write_notebook, run, root):
    for parameters in ("a: int = 2 * 3", "def f(): pass", "import os"):
        with pytest.raises(NotebookError, match="plain values"):
            run(write_notebook("1", parameters=parameters))
    source = write_notebook("1")
    source.write_text(source.read_text() + '\n# %% tags=["parameters"]\nm: int = 1\n')
    with pytest.raises(NotebookError, match="has 2 cells tagged 'parameters'"):
        run(source)
    with pytest.raises(NotebookError, match="Did you mean '01_tiny'"):
        run(root / "notebooks" / "01_tine.py")


def test_a_failing_cell_is_shown_and_the_older_result_stays(write_notebook, run, root, capfd):
    out_of(root).parent.mkdir()
    out_of(root).write_text("older")
    source = write_notebook(
        "print('fine')", "a = 1\nvalue = {'left': a}\nvalue['right']", "print('never')"
    )
    with pytest.raises(NotebookError) as failed:
        run(source)
    assert "01_tiny.py, code cell 3, line 3: raised KeyError: 'right'" in str(failed.value)
    assert "logs/nb.ipynb" in str(failed.value)
    shown = capfd.readouterr().err
    assert "→   3  value['right']" in shown
    assert shown.count("\n") < 20
    assert "\x1b" not in shown
    kept = json.loads((root / "logs" / "nb.ipynb").read_text())
    assert kept["cells"][-2]["outputs"][0]["ename"] == "KeyError"
    assert out_of(root).read_text() == "older"
    run(write_notebook("print('good')"))
    assert not (root / "logs" / "nb.ipynb").exists(), "a success leaves no failed notebook"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["import sys; sys.exit(0)"], "raised SystemExit: 0"),
        (["import os; os._exit(0)", "print('later')"], "code cell 2: found the kernel gone"),
        (["import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], "kernel gone"),
    ],
)
def test_a_kernel_that_ends_early_is_no_success(write_notebook, run, root, cells, message):
    with pytest.raises(NotebookError, match=message):
        run(write_notebook(*cells))
    assert not out_of(root).exists()
    assert (root / "logs" / "nb.ipynb").exists()


def test_kernels_side_by_side_do_not_meet_and_a_killed_run_leaves_nothing_whole(
    write_notebook, root
):
    source = write_notebook("import time\nprint(n, flush=True)", "time.sleep(60 if n == 3 else 0)")
    started = [subprocess.Popen([sys.executable, "-c", call(source, n)], cwd=root) for n in (1, 3)]
    assert started[0].wait() == 0
    cells = json.loads((root / "out" / "1.ipynb").read_text())["cells"]
    assert cells[-2]["outputs"][0]["text"] == ["1\n"]
    log, deadline = root / "logs" / "3.ipynb", time.monotonic() + 60
    while not (log.exists() and '"3\\n"' in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    started[1].send_signal(signal.SIGKILL)
    started[1].wait()
    assert not (root / "out" / "3.ipynb").exists()


def test_the_notebook_half_follows_from_the_text_half_and_its_edits_are_not_lost(write_notebook):
    source = write_notebook("print(1)", "print(1)")
    half = source.with_suffix(".ipynb")
    assert write_pair(source)
    first = half.read_bytes()
    assert not write_pair(source), "nothing to do the second time"
    half.unlink()
    write_pair(source)
    assert half.read_bytes() == first
    ids = [cell["id"] for cell in json.loads(first)["cells"]]
    assert len(set(ids)) == len(ids), "equal cells have different ids"
    assert b'jupytext_version":' not in first

    half.write_text(half.read_text().replace("print(1)", "print(2)"))
    os.utime(source, ns=(0, 0))
    with pytest.raises(NotebookError, match="is the younger one"):
        write_pair(source)
    source.touch()
    os.utime(half, ns=(0, 0))
    assert write_pair(source)
