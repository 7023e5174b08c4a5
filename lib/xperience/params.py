"""A run's settings: one flat, typed params file, in which nothing unknown passes."""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from xperience.errors import ParamsError, did_you_mean
from xperience.hub.source import SampleSource
from xperience.project import BASE_RUN, at_root, own_name, project_root
from xperience.standin.settings import FamilySettings, StandinSettings
from xperience.text import read_yaml

NESTED = {"standin": StandinSettings, "sample": SampleSource, "family": FamilySettings}
_NO_SIGNS = r"^[^./{}<>\x00-\x1f][^/{}<>\x00-\x1f]*$"  # {} <> are Snakemake's


class RunParams(BaseModel):
    """What ``params/<run>.yaml`` may hold; paths are relative to the repository."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    run: str = Field(pattern=_NO_SIGNS)  #: The run's name, and its folder under ``artifacts/``.
    episode: str | None = None  #: Folder of the recording.
    episodes: str | None = None  #: In its place: the split manifest of a cohort.
    contract: Literal["published", "corrected"]  #: What windows and scores follow.
    notebooks: list[str] = Field(min_length=1)  #: In reading order.
    standin: StandinSettings | None = None  #: How the recording is simulated, if it is.
    family: FamilySettings | None = None  #: How the recordings of a cohort are simulated.
    sample: SampleSource | None = None  #: Where the recording is downloaded from, if it is.
    n_shards: int = Field(default=4, ge=1)  #: Parts that the work on a cohort is divided into.
    discard: bool = False  #: Whether a cohort's depth, cloud and videos are dropped once used.
    #: Folds of the cross-validation over a cohort, 0 for none.
    n_folds: int = Field(0, ge=0, validation_alias=AliasChoices("n_folds", "n_turns"))
    #: Of them, those in which inputs are ablated.
    n_folds_inputs: int = Field(
        2, ge=1, validation_alias=AliasChoices("n_folds_inputs", "n_turns_inputs")
    )
    #: Of them, those in which heads learn from fewer recordings.
    n_folds_sizes: int = Field(
        2, ge=1, validation_alias=AliasChoices("n_folds_sizes", "n_turns_sizes")
    )
    n_draws: int = Field(default=2, ge=1)  #: Random parts of the training recordings, of each size.
    #: A split manifest or listing with the sizes of real episodes; it need not be there.
    sizes: str = "../shared/published/heldout_baselines/episode_selection.csv"
    n_study: int = Field(default=128, ge=1)  #: Episodes of the study that the note plans.
    n_dataset: int = Field(default=12102, ge=1)  #: Complete episodes of the whole dataset.
    frames_per_episode: int = Field(default=5821, ge=1)  #: Length of a real episode.
    heldout_run: str = "family"  #: The run of held-out episodes that the takeaways read.
    companions: list[str] = []  #: Runs whose executed notebooks the site shows too.
    api: bool = False  #: Whether the site has the library's reference.
    #: The frame that figures of single moments show, from 0; None chooses one.
    moment_frame: int | None = Field(default=None, ge=0)
    n_sample_windows: int = Field(default=5, ge=1)  #: Windows in the figure of sample windows.
    near_frames: int = Field(default=20, ge=1)  #: Frames between centres that are a near miss.
    n_seeds: int = Field(default=5, ge=1)  #: Seeds of the networks of the corrected contract.
    #: Seeds of the published network, which is larger; its own is the first.
    n_published_seeds: int = Field(default=1, ge=1)
    #: Tasks that the published network is trained for, or all; by default those the note reports.
    published_networks: list[str] | Literal["all"] = [
        "hand_trajectory_forecast",
        "temporal_order",
        "misalignment_detection",
        "cross_modal_retrieval",
        "modality_reconstruction",
    ]
    published: str = ""  #: Folder of the published record, if it isn't in one of the usual places.

    @model_validator(mode="after")
    def _one_origin(self) -> "RunParams":
        if self.standin is not None and self.sample is not None:
            raise ValueError("a recording is either simulated or downloaded, not both")
        if (self.episode is None) == (self.episodes is None):
            raise ValueError("a run has either an episode or, for a cohort, episodes")
        single = self.standin is not None or self.sample is not None
        if (single and self.episodes is not None) or (self.family is not None and self.episode):
            raise ValueError("standin and sample make an episode, family makes episodes")
        return self

    def for_notebook(self, names: list[str]) -> dict[str, Any]:
        """Return the values set here for the parameters that a notebook declares."""
        values = self.model_dump(mode="json", exclude_unset=True)
        return {name: values[name] for name in names if name in values}


def load_params(run: str = BASE_RUN, episode: str | None = None) -> RunParams:
    """Return the checked settings of a run, a file in ``params/``.

    With a recording of one's own the run takes all other settings from that file, but nothing about
    how the recording came to be, and has a name of its own. If the file is absent (the nearest name
    is suggested) or a key or value in it is not as declared, that is a ParamsError.
    """
    path = at_root("params") / f"{run}.yaml"
    if not path.is_file():
        others = sorted(path.parent.glob("*.yaml"))
        known = [other.stem for other in others if "run" in read_values(other)]
        raise ParamsError(_shown(path), "is not there", "a params file", did_you_mean(run, known))
    values = read_values(path)
    if episode is not None:
        values = _own_recording(values, episode)
    params = check_params(values, _shown(path))
    if episode is None and params.run != run:
        raise ParamsError(
            f"{_shown(path)}: run",
            f"is {params.run!r}",
            f"the file's name, {run!r}",
            "Runs are named by their params file: change one of the two.",
        )
    return params


def read_values(path: Path | str) -> dict[str, Any]:
    """Return the keys and values of a params file, unchecked.

    If the file is not a YAML mapping, that is a ParamsError.
    """
    path = Path(path)
    values = read_yaml(path, _shown(path))
    if not isinstance(values, dict):
        raise ParamsError(
            _shown(path), "holds no keys", "key: value lines", "See params/standin.yaml."
        )
    return values


def check_params(values: dict[str, Any], place: str) -> RunParams:
    """Return typed settings from plain values.

    The first unknown key, missing key or value of the wrong type is a ParamsError at the place.
    """
    try:
        return RunParams.model_validate(values)
    except ValidationError as error:
        raise _as_params_error(error.errors()[0], place) from error


def own_run_name(episode: Path | str) -> str:
    """Return the run's name for a recording of one's own: readable, and its alone.

    It follows from where the folder really is, so that each spelling and link of it gives the same.
    """
    return f"episode-{own_name(at_root(episode))}"


def _own_recording(values: dict[str, Any], episode: str) -> dict[str, Any]:
    folder = at_root(episode)
    if not folder.is_dir():
        raise ParamsError(
            f"EPISODE={episode}",
            "is not a folder" if folder.exists() else "is not there",
            "a recording's folder",
            "Give the folder that holds the annotation and the videos.",
        )
    origin = (*NESTED, "episodes", "companions")
    kept = {key: value for key, value in values.items() if key not in origin}
    return {**kept, "run": own_run_name(folder), "episode": _shown(folder.resolve(), whole=True)}


def _shown(path: Path, *, whole: bool = False) -> str:
    """Return a path as seen from the repository; one that lies elsewhere as its name, or whole."""
    path, root = path.absolute(), project_root()
    elsewhere = str(path) if whole else path.name
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else elsewhere


def _as_params_error(fault: Any, place: str) -> ParamsError:
    """Return what pydantic found, with its key, what it should be and what to write."""
    path, kind, given = [str(part) for part in fault["loc"]], fault["type"], fault["input"]
    where = f"{place}: {'.'.join(path)}" if path else place
    found = f"is {given!r}" if path else "contradicts itself"
    expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    way_out = "Change the value; the comment beside it in params/standin.yaml says its unit."
    if kind == "extra_forbidden":
        model = NESTED.get(path[0], RunParams) if len(path) > 1 else RunParams
        found, expected = "is not a known key", "a declared one"
        way_out = did_you_mean(path[-1], model.model_fields)
    elif kind == "missing":
        found, expected = "is missing", "a value"
        way_out = "Add the key; see params/standin.yaml."
    elif kind == "string_type":
        expected = "a text"
        way_out = "YAML reads it as something else than text: put it in quotes."
    elif kind == "string_pattern_mismatch":
        expected = "a folder's name, without / { } < > or a dot first"
        way_out = "Choose another name for it."
    elif isinstance(given, str) and _is_number(given):
        way_out = "YAML reads this as text: write numbers as 12, 0.001 or 1.0e-3, unquoted."
    return ParamsError(where, found, expected, way_out)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
