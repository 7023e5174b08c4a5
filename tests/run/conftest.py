"""A small repository of its own for each test: params, notebooks, artifacts."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from xperience.project import ROOT_VARIABLE

HEADER = (Path(__file__).parents[2] / "notebooks" / "01_benchmark_contract.py").read_text()
HEADER = HEADER[: HEADER.index("# ---", 5) + 6]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").touch()
    for folder in ("params", "notebooks", "artifacts"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def write_notebook(root: Path) -> Callable[..., Path]:
    """Return a function that writes a notebook's .py half from the text of its code cells."""

    def write(*cells: str, name: str = "01_tiny", parameters: str = "n: int = 3") -> Path:
        parts = [HEADER, "# %% [markdown]\n# # A tiny notebook"]
        parts += [f'# %% tags=["parameters"]\n{parameters}']
        parts += [f"# %%\n{textwrap.dedent(cell).strip()}" for cell in cells]
        path = root / "notebooks" / f"{name}.py"
        path.write_text("\n\n".join(parts) + "\n")
        return path

    return write
