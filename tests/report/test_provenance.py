import json

from xperience.report.provenance import provenance, shown_path


def test_provenance_is_the_same_again_and_holds_nothing_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_tiny.py").write_text("from xperience import storage")
    (tmp_path / "data.bin").write_bytes(b"1")
    first = provenance("01_tiny", {"n": 1}, [tmp_path / "data.bin"])
    assert provenance("01_tiny", {"n": 1}, ["data.bin"]) == first
    assert list(first["data"]) == ["data.bin"]
    assert str(tmp_path) not in json.dumps(first)
    (tmp_path / "data.bin").write_bytes(b"2")
    other = provenance("01_tiny", {"n": 2}, ["data.bin"])
    changed = {key for key in first if first[key] != other[key]}
    assert changed == {"data", "parameters", "parameters_digest"}


def test_a_path_elsewhere_is_shown_by_its_end(tmp_path, monkeypatch):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path / "repo"))
    assert shown_path(tmp_path / "far" / "small" / "a.hdf5") == "small/a.hdf5"
