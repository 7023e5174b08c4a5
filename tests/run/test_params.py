import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xperience.errors import ParamsError
from xperience.params import check_params, load_params, own_run_name
from xperience.project import at_root, project_root, run_folder, windows_path

GOOD = {
    "run": "tiny",
    "episode": "artifacts/tiny/episode",
    "standin": {"frames": 60, "size_px": [64, 48], "seed": 7},
    "contract": "published",
    "notebooks": ["01_tiny"],
}


@pytest.fixture
def write(root):
    def write_params(run="tiny", without=(), **changed):
        values = {**GOOD, "run": run, **changed}
        values = {key: value for key, value in values.items() if key not in without}
        (root / "params" / f"{run}.yaml").write_text(yaml.safe_dump(values))

    return write_params


def test_a_params_file_is_read_typed(write):
    write()
    params = load_params("tiny")
    assert params.standin.size_px == (64, 48)
    assert params.for_notebook(["run", "episode", "n_sample_windows"]) == {
        "run": "tiny",
        "episode": "artifacts/tiny/episode",
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"contrat": "published"}, "contrat: is not a known key"),
        ({"contrat": "published"}, "Did you mean 'contract'?"),
        ({"standin": {"frmes": 60}}, "Did you mean 'frames'?"),
        ({"contract": "publishd"}, "contract: is 'publishd', expected 'published' or 'corrected'"),
        ({"n_sample_windows": "1e1"}, "YAML reads this as text"),
        ({"n_sample_windows": 2.5}, "n_sample_windows: is 2.5"),
        ({"standin": {"frames": 3}}, "greater than or equal to 40"),
        ({"sample": {"repo_id": "a/b", "revision": "x", "licence": "y"}}, "not both"),
        ({"run": "other"}, "is 'other', expected the file's name"),
        ({"notebooks": []}, "at least 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(write, root, changed, message):
    write()
    values = GOOD | changed
    (root / "params" / "tiny.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ParamsError) as refused:
        load_params("tiny")
    assert message in str(refused.value)
    assert str(refused.value).startswith("params/tiny.yaml")


def test_a_line_that_is_not_yaml_is_named_by_its_number(write, root):
    write()
    path = root / "params" / "tiny.yaml"
    path.write_text("run: tiny\nepisode: a: [\n")
    with pytest.raises(ParamsError, match=r"^params/tiny.yaml: is not YAML \(.*, line 2, column"):
        load_params("tiny")


def test_an_exponent_without_a_point_is_explained(write, root):
    write()
    path = root / "params" / "tiny.yaml"
    path.write_text(path.read_text().replace("seed: 7", "seed: 7e0x"))
    with pytest.raises(ParamsError, match=r"standin.seed: is '7e0x'"):
        load_params("tiny")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [1\nb: 2"])
def test_a_file_that_is_no_mapping_is_refused(root, text):
    (root / "params" / "tiny.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"params/tiny.yaml"):
        load_params("tiny")


def test_a_missing_key_and_a_missing_file_are_named(write):
    write(without=("contract",))
    with pytest.raises(ParamsError, match="contract: is missing"):
        load_params("tiny")
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


def test_a_name_keeps_its_script_and_a_link_is_no_other_recording(root):
    own = root / "数据" / "厨房 一"
    own.mkdir(parents=True)
    (root / "link").symlink_to(own)
    (root / "other").mkdir()
    assert own_run_name(own).startswith("episode-厨房-一-")
    assert load_params_of(root, "link") == load_params_of(root, "数据/../数据/厨房 一/")
    assert load_params_of(root, "other").run != load_params_of(root, "link").run


def load_params_of(root, episode):
    (root / "params" / "tiny.yaml").write_text(yaml.safe_dump(GOOD))
    return load_params("tiny", episode)


@pytest.mark.parametrize("run", ["..", "../standin", "/tmp", "a/b", "."])
def test_a_run_is_a_name_and_no_path(root, run):
    with pytest.raises(ParamsError, match="a name, no path"):
        run_folder(run)


def test_the_top_folder_is_found_from_below_and_its_absence_said(root, monkeypatch):
    monkeypatch.delenv("XPERIENCE_ROOT")
    monkeypatch.chdir(root / "notebooks")
    assert project_root() == root
    assert at_root("a/b") == root / "a" / "b"
    monkeypatch.chdir("/")
    with pytest.raises(ParamsError, match="XPERIENCE_ROOT"):
        project_root()
