"""Params files are typed: what is wrong in one is named with its place and a way out."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.errors import ParamsError
from xperience.params import check_params, load_params, own_run_name
from xperience.project import at_root, project_root, run_folder, windows_path
from xperience.run.reproduce import reproduce

GOOD = {
    "run": "tiny",
    "episode": "artifacts/tiny/episode",
    "standin": {"frames": 60, "size_px": [64, 48], "seed": 7},
    "contract": "published",
    "notebooks": ["01_tiny"],
}


@pytest.fixture
def write(root):
    def write_params(text: str = "", **changed):
        values = {key: value for key, value in (GOOD | changed).items() if value != "absent"}
        (root / "params" / "tiny.yaml").write_text(text or yaml.safe_dump(values))

    return write_params


def test_a_params_file_is_read_typed(write):
    write()
    params = load_params("tiny")
    assert params.standin.size_px == (64, 48)
    declared = params.for_notebook(["run", "episode", "n_sample_windows"])
    assert declared == {"run": "tiny", "episode": "artifacts/tiny/episode"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("n_turns", "n_folds"),
        ("n_turns_inputs", "n_folds_inputs"),
        ("n_turns_sizes", "n_folds_sizes"),
    ],
)
def test_older_names_of_settings_are_taken(write, old, new):
    write(episode="absent", standin="absent", episodes="a.csv", **{old: 3})
    assert load_params("tiny").for_notebook([new]) == {new: 3}
    write(episode="absent", standin="absent", episodes="a.csv", family={"sides": [2, 1, 1]})
    assert load_params("tiny").family.splits == (2, 1, 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"contrat": "published"}, "contrat: is not a known key"),
        ({"contrat": "published"}, "Did you mean 'contract'?"),
        ({"standin": {"frmes": 60}}, "Did you mean 'frames'?"),
        ({"contract": "publishd"}, "contract: is 'publishd', expected 'published' or 'corrected'"),
        ({"contract": "absent"}, "contract: is missing"),
        ({"n_sample_windows": "1e1"}, "YAML reads this as text"),
        ({"n_sample_windows": 2.5}, "n_sample_windows: is 2.5"),
        ({"standin": {"frames": 3}}, "greater than or equal to 40"),
        ({"sample": {"repo_id": "a/b", "revision": "x", "licence": "y"}}, "not both"),
        ({"run": "other"}, "is 'other', expected the file's name"),
        ({"run": "2026-03-01"}, "the file's name"),
        ({"run": 123}, "put it in quotes"),
        ({"run": "{x}"}, "without /"),
        ({"notebooks": []}, "at least 1"),
        ({"text": "run: tiny\nepisode: a: [\n"}, "is not YAML (mapping values"),
        ({"text": "run: tiny\nepisode: a: [\n"}, "line 2, column"),
        ({"text": "- a\n- b\n"}, "holds no keys"),
        ({"text": " "}, "holds no keys"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(write, changed, message):
    write(**changed)
    with pytest.raises(ParamsError) as refused:
        load_params("tiny")
    assert message in str(refused.value)
    assert str(refused.value).startswith("params/tiny.yaml")


def test_a_task_that_is_not_there_is_named_before_anything_is_done(write, root):
    write(published_networks=["action_verb"])
    with pytest.raises(ParamsError, match="published tasks"):  # asked under corrected alone
        reproduce("tiny")
    write(published_networks=["temporal_order", "tempral_order"])
    with pytest.raises(ParamsError, match="Did you mean 'temporal_order'") as refused:
        reproduce("tiny")
    assert refused.value.place == "params/tiny.yaml: published_networks"
    assert not run_folder("tiny").exists()


def test_a_missing_file_is_named_with_the_nearest(write):
    write()
    with pytest.raises(ParamsError, match="Did you mean 'tiny'"):
        load_params("tinny")


def test_a_recording_of_ones_own_takes_the_settings_but_not_the_origin(write, tmp_path):
    write()
    own = tmp_path / "kitchen day" / "episode"
    own.mkdir(parents=True)
    params = load_params("tiny", str(own))
    assert params.run == own_run_name(own)
    assert params.run.startswith("episode-kitchen-day-")
    assert (params.standin, params.sample, params.contract) == (None, None, "published")
    assert windows_path(params.run, params.episode).name == "kitchen-day.parquet"
    with pytest.raises(ParamsError, match="is not there"):
        load_params("tiny", str(own / "nowhere"))


FOLDERS = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60)


@settings(max_examples=50)
@given(names=st.lists(FOLDERS, min_size=2, max_size=2, unique=True), inner=st.booleans())
def test_no_two_recordings_share_a_run_and_one_has_one_however_it_is_named(names, inner):
    folders = [Path("/data") / name / "ep1" if inner else Path("/data") / name for name in names]
    if len({os.path.realpath(folder) for folder in folders}) == len(folders):
        assert own_run_name(folders[0]) != own_run_name(folders[1])
    for folder in folders:
        run = own_run_name(folder)
        assert run == own_run_name(f"{folder}/") == own_run_name(folder / "x" / "..")
        assert len(run.encode()) < 230
        assert check_params(GOOD | {"run": run}, "params").run == run


def test_a_name_keeps_its_script_and_a_link_is_no_other_recording(root, write):
    own = root / "数据" / "厨房 一"
    own.mkdir(parents=True)
    (root / "link").symlink_to(own)
    (root / "other").mkdir()
    write()
    assert own_run_name(own).startswith("episode-厨房-一-")
    assert load_params("tiny", "link") == load_params("tiny", "数据/../数据/厨房 一/")
    assert load_params("tiny", "other").run != load_params("tiny", "link").run


@pytest.mark.parametrize("run", ["..", "../standin", "/tmp", "a/b", "."])
def test_a_run_is_a_name_and_no_path(root, run):
    with pytest.raises(ParamsError, match="name, no path"):
        run_folder(run)


def test_the_top_folder_is_found_from_below_and_its_absence_said(root, monkeypatch):
    monkeypatch.delenv("XPERIENCE_ROOT")
    monkeypatch.chdir(root / "notebooks")
    assert project_root() == root
    assert at_root("a/b") == root / "a" / "b"
    monkeypatch.chdir("/")
    with pytest.raises(ParamsError, match="XPERIENCE_ROOT"):
        project_root()
