"""The published record is brought wholly and as listed, from whichever source has a file."""

import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import DownloadError, FileError
from xperience.hub.download import UnreachableError
from xperience.hub.record import (
    check_record,
    download_record,
    list_record,
    places_of,
    read_list,
    write_list,
)
from xperience.params import read_values
from xperience.project import (
    NOTE,
    RECORD_FILES,
    RECORD_RECEIPT,
    RECORD_VARIABLE,
    at_root,
    record_folder,
)
from xperience.studies.record.answers import TABLES

from .conftest import CHUNK, FIRST

PLACES = {
    "neural": ["neural/{task}/p.csv", "suite/neural/{task}/p.csv"],
    "sound": ["sound.npz", "raw_sound_16000.npz"],
    "plain": ["suite/windows.csv"],
}
RECORD = {
    "neural/one/p.csv": b"a,b\n1,2\n",
    "neural/two/p.csv": b"a,b\r\n3,4\r\n",
    "neural/twin/p.csv": b"a,b\n1,2\n",  # no source has it but under its twin's name
    "sound.npz": bytes(range(256)) * 20,
    "suite/windows.csv": b"w\n0\n",
}


@pytest.fixture
def mirror(tmp_path):
    """The record as its list was made from it, with a file that the note doesn't name."""
    folder = tmp_path / "mirror"
    for name, content in (RECORD | {"neural/one/model.pt": b"weights"}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def files(mirror):
    return list_record(mirror, PLACES)


@pytest.fixture
def note(hub, address):
    """Sources that each have a part of the record, under their own names and folders."""
    first = {"artifacts/suite/neural/one/p.csv": RECORD["neural/one/p.csv"], "x/p.csv": b"no"}
    hub.repos["models/lab/base"] = {FIRST: first}
    hub.repos["datasets/lab/suite"] = {FIRST: {"results/sound.npz": RECORD["sound.npz"]}}
    hub.code |= {
        "suite/neural/one/p.csv": RECORD["neural/one/p.csv"],
        "suite/neural/two/p.csv": RECORD["neural/two/p.csv"],
        "raw_sound_16000.npz": RECORD["sound.npz"],
        "suite/windows.csv": b"w\r\n0\r\n",  # the mirror has other line ends
    }
    return {
        "source": {"repository": "lab/code", "revision": "5e8", "licence": "cc-by-nc-4.0"},
        "files": PLACES,
        "sources": [
            {"kind": "model", "at": "lab/base"},
            {"kind": "dataset", "at": "lab/suite"},
            {"kind": "code", "at": address + "/code/{path}"},
        ],
    }


def bring(note, files, out):
    lines = []
    download_record(note, files, out, say=lines.append)
    return "\n".join(lines)


def content(out):
    files = (path for path in out.rglob("*") if path.is_file() and ".download" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_each_file_comes_from_the_first_source_that_has_it(hub, note, files, out):
    said = bring(note, files, out)
    assert content(out) == RECORD
    assert set(hub.fetched()) == {
        "artifacts/suite/neural/one/p.csv", "results/sound.npz", "suite/neural/two/p.csv",
        "suite/windows.csv",
    }  # fmt: skip
    for words in ("lab/code at 5e8", "CC BY-NC 4.0", "credit its makers", "not commercially",
                  "5 files, 0.0 MB", "2 from model lab/base", "2 from 127.0.0.1"):  # fmt: skip
        assert words in said
    hub.requests.clear()
    assert "5 files, all checked" in bring(note, files, out)
    assert hub.requests == [], "what is there is not asked for"
    (out / "sound.npz").unlink()
    assert "1 files fetched (1 from dataset lab/suite), 4 were here" in bring(note, files, out)
    assert content(out) == RECORD


@pytest.mark.parametrize("fault", ["gone", "closed", "down", "other", "short"])
def test_what_one_source_lacks_or_spoils_comes_from_the_next(hub, note, files, out, fault):
    if fault == "gone":
        del hub.repos["datasets/lab/suite"][FIRST]["results/sound.npz"]
    elif fault == "closed":
        hub.answers["/api/datasets/lab/suite"] = (403, b"no")
    elif fault == "down":
        hub.cut["results/sound.npz"] = [2 * CHUNK] + [0] * 6
    else:
        right = RECORD["sound.npz"]
        hub.swap["results/sound.npz"] = bytes(len(right)) if fault == "other" else right[:-1]
    said = bring(note, files, out)
    assert content(out) == RECORD
    assert "dataset lab/suite" not in said
    resumed = [wanted for path, wanted in hub.ranges if path == "raw_sound_16000.npz"]
    assert resumed == [f"bytes={2 * CHUNK}-" if fault == "down" else None]


def test_a_file_that_no_source_has_as_listed_is_named_and_the_rest_is_kept(hub, note, files, out):
    del hub.code["raw_sound_16000.npz"]
    hub.swap["results/sound.npz"] = b"other"
    with pytest.raises(DownloadError) as caught:
        bring(note, files, out)
    for words in ("published record: sound.npz", "lists no such file", "has arrived as 5 bytes",
                  "is not there (HTTP 404)", "expected 5,120 bytes with sha256:", RECORD_FILES,
                  RECORD_VARIABLE):  # fmt: skip
        assert words in str(caught.value)
    assert not isinstance(caught.value, UnreachableError)
    assert content(out) == {}, "it appears wholly or not at all"
    hub.swap.clear()
    bring(note, files, out)
    assert content(out) == RECORD
    assert hub.fetched()["artifacts/suite/neural/one/p.csv"] == 2, "once for each of its names"


def test_an_interrupted_record_goes_on_and_is_never_taken_for_whole(
    hub, note, files, out, monkeypatch
):
    monkeypatch.setattr("xperience.project.RECORD", str(out))
    monkeypatch.setattr("xperience.project.RECORD_RECEIPT", str(out / ".download/receipt.json"))
    monkeypatch.setattr("xperience.project.MIRROR", str(out / "nowhere"))
    monkeypatch.delenv(RECORD_VARIABLE, raising=False)
    note["sources"] = note["sources"][2:]
    hub.cut["raw_sound_16000.npz"] = [2 * CHUNK] + [0] * 6
    with pytest.raises(UnreachableError, match=r"Check the network.*it resumes"):
        bring(note, files, out)
    assert record_folder() is None
    bring(note, files, out)
    assert record_folder() == out
    assert hub.ranges[-2:] == [("raw_sound_16000.npz", f"bytes={2 * CHUNK}-"),
                               ("suite/windows.csv", None)]  # fmt: skip


def test_what_is_in_the_way_stays(note, files, out):
    out.mkdir()
    (out / "sound.npz").write_bytes(b"my own")
    with pytest.raises(DownloadError, match=r"sound\.npz: is in the way"):
        bring(note, files, out)
    assert content(out) == {"sound.npz": b"my own"}


def test_the_list_is_made_from_a_folder_and_holds_it_to_account(mirror, files, tmp_path):
    assert [file.path for file in files] == sorted(RECORD)
    write_list(tmp_path / "list.csv", files)
    assert read_list(tmp_path / "list.csv") == files
    check_record(files, mirror)
    (mirror / "sound.npz").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"sound\.npz: has other content, expected 5,120 bytes"):
        check_record(files, mirror)


@pytest.mark.parametrize(
    ("text", "found"),
    {
        "path,bytes\nup,3\n": r"has no column 'sha256', but path, bytes",
        "name,bytes,sha\nup,3,0\n": r"has no column 'path' or 'sha256', but name, bytes, sha",
        "path,bytes,sha256\n": "has no rows",
        "path,bytes,sha256\n../up,3,0\n": r"cannot be read \(",
    }.items(),
)
def test_a_list_of_anything_else_is_refused(tmp_path, text, found):
    path = tmp_path / "list.csv"
    path.write_text(text)
    expected = "expected a CSV file with the columns path, bytes, sha256. Restore it"
    with pytest.raises(FileError, match=rf"list\.csv: {found}.*{expected}"):
        read_list(path)


def test_the_committed_list_has_every_file_that_the_note_names():
    note, files = read_values(at_root(NOTE)), read_list(at_root(RECORD_FILES))
    for file in files:
        assert places_of(file.path, note["files"])[0] == file.path
    firsts = {places_of(file.path, note["files"])[0].rpartition("/")[2] for file in files}
    of_baselines = {f"{task}_predictions.csv" for task in TABLES.values()}
    assert firsts == {"predictions.csv", "predictions.npz", "windows.csv", "summary_report.json",
                      "feature_manifest.json", "true_boundaries.csv", "logmel_windows.npz",
                      "audio_ablation_metrics.csv", "episode_selection.csv", "predictions.jsonl",
                      *of_baselines}  # fmt: skip
    assert 8e6 < sum(file.size for file in files) < 9e6


def test_the_committed_list_is_that_of_the_mirror_where_it_is_there(published, monkeypatch):
    note = read_values(at_root(NOTE))
    assert list_record(published, note["files"]) == read_list(at_root(RECORD_FILES))
    monkeypatch.setenv(RECORD_VARIABLE, str(published))
    done = CliRunner().invoke(app, ["run", "record"])
    assert done.exit_code == 0, done.output
    assert "32 files, all checked" in done.output
    assert not at_root(RECORD_RECEIPT).is_file()
