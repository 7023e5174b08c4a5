import pytest

from xperience.sources import source_digests, sources_of


@pytest.fixture
def library(tmp_path):
    files = {
        "__init__.py": "",
        "low.py": "import math",
        "room/__init__.py": "",
        "room/a.py": "from ..low import x\nfrom . import b",
        "room/b.py": "def f():\n    import lib.late",
        "room/alone.py": "",
        "late.py": "from lib import cycle",
        "cycle.py": "import lib.late",
        "unused.py": "import lib.room.alone",
    }
    for name, text in files.items():
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "lib"


def names(library, *starts):
    found = sources_of(*starts, library=library)
    return {path.relative_to(library).as_posix() for path in found}


def test_the_closure_follows_every_way_of_importing(library):
    reached = {"room/a.py", "room/b.py", "room/__init__.py", "low.py", "late.py", "cycle.py"}
    assert names(library, "lib.room.a") == reached | {"__init__.py"}
    assert names(library, "lib.low") == {"__init__.py", "low.py"}


def test_a_package_stands_for_all_of_its_modules(library):
    assert "room/alone.py" in names(library, "lib.room")
    assert "unused.py" not in names(library, "lib.room")


def test_a_notebook_reaches_what_it_imports_and_is_not_listed(library, tmp_path):
    notebook = tmp_path / "nb.py"
    notebook.write_text("# %%\n%matplotlib inline\n!ls\nfrom lib.room import alone\n")
    assert names(library, notebook) == {"__init__.py", "room/__init__.py", "room/alone.py"}


def test_digests_follow_content_only(library):
    before = source_digests(sources_of("lib.low", library=library), library)
    (library / "low.py").write_text("import math")
    assert source_digests(sources_of("lib.low", library=library), library) == before
    (library / "low.py").write_text("import cmath")
    after = source_digests(sources_of("lib.low", library=library), library)
    assert {name for name in after if after[name] != before[name]} == {"low.py"}
