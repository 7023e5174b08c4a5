"""A run's settings: one flat, typed params file, in which nothing unknown passes."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xperience.errors import ParamsError, TextError, did_you_mean, unreadable
from xperience.hub.source import SampleSource
from xperience.project import at_root, own_name, project_root
from xperience.standin.settings import FamilySettings, StandinSettings
from xperience.text import read_text

BASE_RUN = "standin"


class RunParams(BaseModel):
    """What ``params/<run>.yaml`` may hold.

    Parameters
    ----------
    run : str
        The run's name; also its folder under ``artifacts/``.
    episode : str, optional
        Folder of the recording, relative to the repository.
    episodes : str, optional
        In its place: the roster of a cohort, relative to the repository.
    contract : {"published", "corrected"}
        The benchmark contract that windows and scores follow.
    notebooks : list of str
        Names of the notebooks of the run, in reading order.
    standin : StandinSettings, optional
        How the recording is simulated. Absent for recordings that exist.
    family : FamilySettings, optional
        How the recordings of a cohort are simulated. Absent for recordings that exist.
    sample : SampleSource, optional
        Where the recording is downloaded from.
    n_shards : int, optional
        Shards that the work on a cohort is divided into.
    discard : bool, optional
        Whether depth, cloud and videos of a cohort's recordings are dropped once used.
    n_turns : int, optional
        How often the sides of a cohort rotate, so that each recording is tested; 0 for never.
    sizes : str, optional
        A roster or listing with the sizes of real episodes, relative to the repository; it need not
        be there.
    n_study : int, optional
        Episodes of the study that the note plans.
    n_dataset : int, optional
        Complete episodes of the whole dataset.
    frames_per_episode : int, optional
        Length of a real episode.
    heldout_run : str, optional
        The run of held-out episodes whose metrics the takeaways read.
    companions : list of str, optional
        Runs whose executed notebooks the site shows too.
    api : bool, optional
        Whether the site has the library's reference.
    moment_frame : int, optional
        The frame that the figures of single moments show, counted from 0; None chooses one.
    n_sample_windows : int, optional
        How many windows the figure of sample windows shows.
    near_frames : int, optional
        How near in time, in frames between centres, an answer counts as a near miss.
    n_seeds : int, optional
        Seeds of the networks of the corrected contract.
    n_published_seeds : int, optional
        Seeds of the published network, which is larger; its own is the first.
    published : str, optional
        Folder of the published record, relative to the repository; it need not be there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    run: str = Field(pattern=r"^[^./{}<>\x00-\x1f][^/{}<>\x00-\x1f]*$")  # {} <> are Snakemake's
    episode: str | None = None
    episodes: str | None = None
    contract: Literal["published", "corrected"]
    notebooks: list[str] = Field(min_length=1)
    standin: StandinSettings | None = None
    family: FamilySettings | None = None
    sample: SampleSource | None = None
    n_shards: int = Field(default=4, ge=1)
    discard: bool = False
    n_turns: int = Field(default=0, ge=0)
    sizes: str = "../shared/published/heldout_baselines/episode_selection.csv"
    n_study: int = Field(default=128, ge=1)
    n_dataset: int = Field(default=12102, ge=1)
    frames_per_episode: int = Field(default=5821, ge=1)
    heldout_run: str = "family"
    companions: list[str] = []
    api: bool = False
    moment_frame: int | None = Field(default=None, ge=0)
    n_sample_windows: int = Field(default=5, ge=1)
    near_frames: int = Field(default=20, ge=1)
    n_seeds: int = Field(default=5, ge=1)
    n_published_seeds: int = Field(default=1, ge=1)
    published: str = "../shared/published"

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


def params_file(run: str) -> Path:
    """Return the params file of a run.

    Raises
    ------
    ParamsError
        If there is none; the nearest name is suggested.
    """
    path = at_root("params") / f"{run}.yaml"
    if not path.is_file():
        others = sorted(path.parent.glob("*.yaml"))
        known = [other.stem for other in others if "run" in read_values(other)]
        raise ParamsError(
            f"params/{run}.yaml", "is not there", "a params file", did_you_mean(run, known)
        )
    return path


def load_params(run: str = BASE_RUN, episode: str | None = None) -> RunParams:
    """Return the checked settings of a run.

    Parameters
    ----------
    run : str
        Name of a file in ``params/``.
    episode : str, optional
        Folder of a recording of one's own. The run then takes all other settings from ``run``,
        but nothing about how the recording came to be, and has a name of its own.

    Raises
    ------
    ParamsError
        If the file is absent or a key or value in it is not as declared.
    """
    path = params_file(run)
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

    Raises
    ------
    ParamsError
        If the file is not a YAML mapping.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(read_text(path))
    except TextError as error:
        raise ParamsError(
            _shown(path), unreadable(error), "YAML in UTF-8", "Save it as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be parsed"
        reason = f"{problem}, line {mark.line + 1}, column {mark.column + 1}" if mark else problem
        raise ParamsError(
            _shown(path), f"is not YAML ({reason})", "key: value lines", "Mend that line."
        ) from error
    if not isinstance(values, dict):
        raise ParamsError(
            _shown(path), "holds no keys", "key: value lines", "See params/standin.yaml."
        )
    return values


def check_params(values: dict[str, Any], place: str) -> RunParams:
    """Return typed settings from plain values.

    Raises
    ------
    ParamsError
        For the first unknown key, missing key or value of the wrong type; ``place`` is named.
    """
    try:
        return RunParams.model_validate(values)
    except ValidationError as error:
        raise _as_params_error(error, place) from error


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
    origin = ("standin", "sample", "family", "episodes", "companions")
    kept = {key: value for key, value in values.items() if key not in origin}
    return {**kept, "run": own_run_name(folder), "episode": _shown(folder.resolve(), whole=True)}


def _shown(path: Path, *, whole: bool = False) -> str:
    """Return a path as seen from the repository; one that lies elsewhere as its name, or whole."""
    path = path.absolute()
    root = project_root()
    elsewhere = str(path) if whole else path.name
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else elsewhere


def _as_params_error(error: ValidationError, place: str) -> ParamsError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    where = f"{place}: {'.'.join(path)}" if path else place
    if first["type"] == "extra_forbidden":
        way_out = did_you_mean(path[-1], _known_keys(path[:-1]))
        return ParamsError(where, "is not a known key", "a declared one", way_out)
    if first["type"] == "missing":
        return ParamsError(where, "is missing", "a value", "Add the key; see params/standin.yaml.")
    found = f"is {first['input']!r}" if path else "contradicts itself"
    if first["type"] == "string_type":
        way_out = "YAML reads it as something else than text: put it in quotes."
        return ParamsError(where, found, "a text", way_out)
    if first["type"] == "string_pattern_mismatch":
        way_out = "Choose another name for it."
        return ParamsError(
            where, found, "a folder's name, without / { } < > or a dot first", way_out
        )
    return ParamsError(where, found, _expected(first["msg"]), _way_out(first["input"]))


def _expected(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("Value error, ")


def _way_out(found: Any) -> str:
    if isinstance(found, str) and _is_number(found):
        return "YAML reads this as text: write numbers as 12, 0.001 or 1.0e-3, unquoted."
    return "Change the value; the comment beside it in params/standin.yaml says its unit."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _known_keys(path: list[str]) -> list[str]:
    """Return the keys that a (nested) settings model declares."""
    model: type[BaseModel] = RunParams
    for part in path:
        known = {"standin": StandinSettings, "sample": SampleSource, "family": FamilySettings}
        inner = known.get(part)
        if inner is None:
            break
        model = inner
    return list(model.model_fields)
