"""Every room of the library has its place in the layers that import-linter holds."""

import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "lib" / "xperience"


def test_every_room_has_its_layer():
    config = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = " ".join(config["contracts"][0]["layers"]).replace("|", " ").replace(":", " ").split()
    rooms = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms -= {"__init__", "__main__", "__pycache__", "py"}
    assert {f"xperience.{room}" for room in rooms} == {
        ".".join(one.split(".")[:2]) for one in layers
    }


def test_the_graph_stays_thin():
    assert len((REPOSITORY / "Snakefile").read_text().splitlines()) < 130
