import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xperience.errors import NotebookError, ParamsError
from xperience.run.execute import execute_notebook


@pytest.fixture
def run(root):
    """Return a function that executes a notebook, with results where a run has them."""

    def execute(source: Path, **parameters):
        return execute_notebook(
            source, parameters, root / "out" / "nb.ipynb", log=root / "logs" / "nb.ipynb"
        )

    return execute


def call(source: Path, n: int) -> str:
    """Return a program that executes a notebook with a parameter ``n``."""
    return (
        "from pathlib import Path; from xperience.run.execute import execute_notebook;"
        f"execute_notebook(Path({str(source)!r}), {{'n': {n}}}, Path('out/{n}.ipynb'),"
        f" log=Path('logs/{n}.ipynb'))"
    )


def texts(notebook) -> str:
    return "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )


def test_a_parameter_reaches_the_notebook_and_the_default_stands_without(write_notebook, run):
    source = write_notebook("print('n is', n)")
    assert texts(run(source, n=5)) == "n is 5\n"
    assert texts(run(source)) == "n is 3\n"


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
    source = write_notebook(
        "open('ran', 'w')", parameters="frames: int = 3\nrate: float = 0.5  # a second"
    )
    with pytest.raises(ParamsError) as refused:
        run(source, **given)
    assert message in str(refused.value)
    assert not (root / "ran").exists()


@pytest.mark.parametrize("parameters", ["a: int = 2 * 3", "def f(): pass", "import os"])
def test_a_parameters_cell_holds_plain_values_only(write_notebook, run, parameters):
    with pytest.raises(NotebookError, match="plain values"):
        run(write_notebook("1", parameters=parameters))


def test_two_parameters_cells_are_refused(write_notebook, run):
    source = write_notebook("1")
    source.write_text(source.read_text() + '\n# %% tags=["parameters"]\nm: int = 1\n')
    with pytest.raises(NotebookError, match="has 2 cells tagged 'parameters'"):
        run(source)


def test_a_missing_notebook_is_named_with_its_nearest(write_notebook, run, root):
    write_notebook("1", name="01_tiny")
    with pytest.raises(NotebookError, match="Did you mean '01_tiny'"):
        run(root / "notebooks" / "01_tine.py")


def test_the_same_notebook_gives_the_same_bytes(write_notebook, run, root):
    source = write_notebook(
        """
        import sys, warnings, matplotlib.pyplot as plt
        print(object(), {"b", "a", "c"})
        print("half a line", file=sys.stderr)
        warnings.warn("careful")
        """,
        "plt.plot([1, 2, n]); plt.show()",
        "import pandas as pd; pd.DataFrame({'a': [n]}).style.set_properties(color='red')",
    )
    run(source, n=4)
    first = (root / "out" / "nb.ipynb").read_bytes()
    run(source, n=4)
    assert (root / "out" / "nb.ipynb").read_bytes() == first
    notebook = json.loads(first)
    assert "papermill" not in notebook["metadata"]
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"])
    injected = [cell for cell in notebook["cells"] if "# Parameters\n" in cell["source"]]
    assert injected[0]["metadata"]["tags"] == ["injected-parameters"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_injected_parameters_are_hidden_exactly_if_they_repeat_the_defaults(write_notebook, run):
    source = write_notebook("n")
    for n, hidden in ((3, True), (4, False)):
        tags = [cell.metadata.get("tags", []) for cell in run(source, n=n).cells]
        assert ["injected-parameters", "remove-cell"] in tags or not hidden
        assert ["injected-parameters"] in tags or hidden


def test_nothing_of_the_machine_is_left_in_the_outputs(write_notebook, run, root):
    picture = "iVBORw0KGgo/" + str(root).replace("-", "+")
    source = write_notebook(
        f"""
        import os, sys, warnings
        print(os.path.join(os.getcwd(), "data"), os.__file__, sys.prefix + "/x")
        warnings.warn("careful")
        from IPython.display import HTML
        HTML('<img src="data:image/png;base64,{picture}">')
        """
    )
    run(source)
    text = (root / "out" / "nb.ipynb").read_text()
    assert str(root) not in text.replace(picture, "")
    assert "ipykernel_" not in text
    assert sys.prefix not in text
    assert sys.base_prefix not in text
    assert picture in text, "pictures are left alone"


def test_pictures_are_shown_whatever_backend_the_caller_uses(write_notebook, run, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = run(write_notebook("import matplotlib.pyplot as plt", "plt.plot([n]); plt.show()"))
    assert any("image/png" in output.get("data", {}) for output in notebook.cells[-1].outputs)


def test_live_controls_become_a_note(write_notebook, run, root):
    run(write_notebook("import ipywidgets\nipywidgets.IntSlider()"))
    text = (root / "out" / "nb.ipynb").read_text()
    assert "make lab" in text
    assert "widget-view" not in text


def test_progress_bars_of_libraries_are_left_out(write_notebook, run):
    cell = "from tqdm.auto import tqdm\nprint(sum(tqdm([1, 2], desc='unwatched')))"
    executed = run(write_notebook(cell))
    (output,) = executed.cells[-1].outputs
    assert (output.output_type, output.text) == ("stream", "3\n")


def test_the_kernel_is_the_running_interpreter_at_the_top_folder(write_notebook, run, root):
    notebook = run(
        write_notebook(
            "import os, sys\nprint(sys.executable == E, os.getcwd() == R)".replace(
                "E", repr(sys.executable)
            ).replace("R", repr(str(root)))
        )
    )
    assert texts(notebook) == "True True\n"


def test_a_failing_cell_is_shown_and_the_notebook_kept(write_notebook, run, root, capfd):
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
    assert not (root / "out" / "nb.ipynb").exists()


def test_an_older_result_survives_a_failing_run(write_notebook, run, root):
    run(write_notebook("print('good')"))
    before = (root / "out" / "nb.ipynb").read_bytes()
    with pytest.raises(NotebookError):
        run(write_notebook("1 / 0"))
    assert (root / "out" / "nb.ipynb").read_bytes() == before
    run(write_notebook("print('good')"))
    assert not (root / "logs" / "nb.ipynb").exists(), "a success leaves no failed notebook"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["import sys; sys.exit(0)"], "raised SystemExit: 0"),
        (["import os; os._exit(0)"], "code cell 2: found the kernel gone"),
        (["import os; os._exit(0)", "print('later')"], "code cell 2: found the kernel gone"),
        (["import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], "kernel gone"),
    ],
)
def test_a_kernel_that_ends_early_is_no_success(write_notebook, run, root, cells, message):
    with pytest.raises(NotebookError, match=message):
        run(write_notebook(*cells))
    assert not (root / "out" / "nb.ipynb").exists()
    assert (root / "logs" / "nb.ipynb").exists()


def test_kernels_side_by_side_do_not_meet(write_notebook, root):
    source = write_notebook("import os, time\ntime.sleep(0.2)\nprint(n)")

    def one(n: int) -> str:
        subprocess.run([sys.executable, "-c", call(source, n)], cwd=root, check=True)
        cells = json.loads((root / "out" / f"{n}.ipynb").read_text())["cells"]
        return cells[-1]["outputs"][0]["text"][0]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, (1, 2))) == ["1\n", "2\n"]


def test_a_killed_run_leaves_nothing_that_looks_whole(write_notebook, root):
    source = write_notebook("print('one')", "import time; time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", call(source, 3)], cwd=root) as running:
        deadline = time.monotonic() + 60
        log = root / "logs" / "3.ipynb"
        while not (log.exists() and '"one\\n"' in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        running.send_signal(signal.SIGKILL)
    assert not (root / "out").exists()
