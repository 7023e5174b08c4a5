"""A table says what it was made from: every file that a recording follows from, by content."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.features.extract import extract
from xperience.features.table import TableError, WindowTable
from xperience.recording.files import recording_digests, recording_files
from xperience.recording.recording import Recording
from xperience.storage import file_digest, known_digest


def captions_in_a_file(folder: Path) -> Path:
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        text = file["caption"][()]
        del file["caption"]
        file["caption"] = b"labels/caption.json"
    (folder / "labels").mkdir()
    (folder / "labels" / "caption.json").write_bytes(text)
    return folder / "labels" / "caption.json"


def depth_by_link(folder: Path, way: str) -> Path:
    """Move the depth maps out of the annotation, as recorders that write many files do."""
    apart = folder / "depth.bin" if way == "raw" else folder / "depth.h5"
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        values = file["depth/depth"][()]
        del file["depth/depth"]
        if way == "raw":
            apart.write_bytes(values.tobytes())
            stored = [(str(apart), 0, values.nbytes)]
            file.create_dataset("depth/depth", values.shape, values.dtype, external=stored)
            return apart
        with h5py.File(apart, "w") as other:
            other["maps"] = values
        if way == "external":
            file["depth/depth"] = h5py.ExternalLink("depth.h5", "/maps")
        else:
            laid = h5py.VirtualLayout(values.shape, values.dtype)
            laid[:] = h5py.VirtualSource("depth.h5", "maps", values.shape)
            file.create_virtual_dataset("depth/depth", laid)
    return apart


def edit(path: Path) -> None:
    """Change a file's content but neither its size nor the time that it shows."""
    before = path.stat()
    raw = bytearray(path.read_bytes())
    raw[-40] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


WAYS: dict[str, Callable[[Path], Path]] = {
    "captions": captions_in_a_file,
    "external": lambda folder: depth_by_link(folder, "external"),
    "virtual": lambda folder: depth_by_link(folder, "virtual"),
    "raw": lambda folder: depth_by_link(folder, "raw"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_lies_in_other_files_is_part_of_the_recording(tiny, tmp_path, stream_cache, way):
    apart = WAYS[way](tiny)
    name = apart.relative_to(tiny).as_posix()
    assert recording_files(tiny)[name] == apart
    info = extract(tiny, tmp_path / "w.parquet", cache=stream_cache, workers=1)
    assert info.sources[name] == file_digest(apart)
    table = WindowTable(tmp_path / "w.parquet")
    table.check_made_from(tiny)
    edit(apart)
    with pytest.raises(TableError, match=f"with another {name}"):
        table.check_made_from(tiny)
    if way == "external":  # changed depth never meets old rows
        with h5py.File(apart, "r+") as file:
            file["maps"][:] = np.float16(1.5)
        after = extract(tiny, tmp_path / "w.parquet", cache=stream_cache, workers=1)
        assert {key for key in after.sources if after.sources[key] != info.sources[key]} == {name}
        assert np.allclose(WindowTable(tmp_path / "w.parquet").block("depth_confidence")[:, 0], 1.5)


def test_links_in_a_circle_and_dangling_ones_end(tiny):
    with (
        h5py.File(tiny / "annotation.hdf5", "r+") as file,
        h5py.File(tiny / "b.h5", "w") as other,
    ):
        file["more/round"] = h5py.SoftLink("/")
        file["more/hard"] = file["more"]
        file["more/b"] = h5py.ExternalLink("b.h5", "/")
        file["more/gone"] = h5py.ExternalLink("gone.h5", "/x")
        other["back"] = h5py.ExternalLink("annotation.hdf5", "/")
    assert "b.h5" in recording_digests(tiny)
    assert "gone.h5" not in recording_digests(tiny)


def test_recordings_of_one_length_are_not_taken_for_each_other(tiny, whole_table, tmp_path):
    """Every verb that takes a recording and a table sees by content that they don't belong."""
    other = Path(shutil.copytree(tiny, tmp_path / "other" / "ep"))
    with h5py.File(other / "annotation.hdf5", "r+") as file:
        document = json.loads(file["caption"][()])
        document["segments"][0]["Sub Task"] = "Another"
        del file["caption"]
        file["caption"] = json.dumps(document)
    with Recording(other) as episode:
        assert episode.n_frames == whole_table.info.n_frames
    for verb in ("suite", "audio"):
        out = tmp_path / f"{verb}.json"
        call = [verb, str(other), "--windows", str(whole_table.path), "--out", str(out)]
        done = CliRunner().invoke(app, call)
        assert (done.exit_code, out.exists()) == (1, False)
        assert "with another annotation.hdf5" in done.output


def test_a_digest_is_remembered_only_while_nothing_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 100)
    monkeypatch.setattr("xperience.storage._SETTLED_NS", 0)
    first = known_digest(path)
    monkeypatch.setattr("xperience.storage.file_digest", lambda path: "read anew")
    assert known_digest(path) == first
    edit(path)
    assert known_digest(path) == "read anew"
