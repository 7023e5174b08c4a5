"""One run's files: what each step reads and writes. The Snakefile and every check ask here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xperience.episode.layout import ANNOTATION, CAMERAS
from xperience.features.blocks import CONTRACTS
from xperience.params import RunParams, load_params
from xperience.project import (
    at_root,
    metrics_path,
    project_root,
    provenance_path,
    run_folder,
    windows_path,
)
from xperience.report.site import page_sources
from xperience.run.parameters import declared_parameters
from xperience.sources import source_digests, sources_of
from xperience.storage import file_digest, value_digest

FEATURES, SIMULATOR, SITE = "xperience.features", "xperience.simulator", "xperience.report.site"


@dataclass(frozen=True)
class Plan:
    """Where a run's files are and what they follow from.

    Parameters
    ----------
    params : RunParams
        The run's settings.
    """

    params: RunParams

    @classmethod
    def of(cls, run: str, episode: str | None = None) -> "Plan":
        """Return the plan of a run, or of a recording of one's own with that run's settings."""
        return cls(load_params(run, episode))

    @property
    def root(self) -> Path:
        """The repository's top folder."""
        return project_root()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return run_folder(self.params.run)

    @property
    def makes_episode(self) -> bool:
        """Whether the run simulates or downloads its recording."""
        return self.params.standin is not None or self.params.sample is not None

    @property
    def episode(self) -> Path:
        """The recording's folder."""
        return at_root(self.params.episode)

    def episode_files(self) -> list[Path]:
        """Return the files that stand for the recording in the graph.

        A simulated one is all its files; a downloaded one is a stamp, since the graph removes
        what a broken step declared, and a download goes on from what has arrived.
        """
        if self.params.sample:
            return [self.download_stamp]
        names = (ANNOTATION, *(f"{camera}.mp4" for camera in CAMERAS))
        files = [self.episode / name for name in names]
        return [file for file in files if self.params.standin or file.is_file()]

    @property
    def download_stamp(self) -> Path:
        """The file that says that the download is whole."""
        return self.folder / ".stamps" / "episode"

    def windows(self, contract: str) -> Path:
        """Return the windows table of a contract."""
        return windows_path(self.params.run, self.params.episode, contract)

    def tables(self) -> list[Path]:
        """Return the windows tables, one a contract."""
        return [self.windows(contract) for contract in CONTRACTS]

    @property
    def site(self) -> Path:
        """The site's folder."""
        return self.folder / "site"

    @property
    def site_stamp(self) -> Path:
        """The file that says that the site is whole."""
        return self.folder / ".stamps" / "site"

    def source(self, notebook: str) -> Path:
        """Return a notebook's ``.py`` half."""
        return at_root("notebooks") / f"{notebook}.py"

    def executed(self, notebook: str) -> Path:
        """Return where a notebook's executed copy belongs."""
        return self.folder / "notebooks" / f"{notebook}.ipynb"

    def log(self, step: str) -> Path:
        """Return where a failed notebook is kept."""
        return self.folder / "logs" / f"{step}.ipynb"

    def outputs(self, notebook: str) -> list[Path]:
        """Return what every notebook must write besides its executed copy."""
        metrics = metrics_path(self.params.run, notebook)
        return [metrics, provenance_path(metrics)]

    def figures(self, notebook: str) -> list[Path]:
        """Return the pictures that a notebook left; their names start with its number."""
        return sorted((self.folder / "figures").glob(f"{notebook.partition('_')[0]}_*"))

    def deliverables(self) -> list[Path]:
        """Return every file that the run's notebooks must leave."""
        names = self.params.notebooks
        return [path for name in names for path in (self.executed(name), *self.outputs(name))]

    def page_sources(self) -> list[Path]:
        """Return the site's own pages."""
        return page_sources(at_root("docs"))

    def values(self, notebook: str) -> dict[str, Any]:
        """Return the run's values for the parameters that a notebook declares."""
        return self.params.for_notebook(list(declared_parameters(self.source(notebook))))

    def origin(self) -> dict[str, Any]:
        """Return what the run's settings say of how the windows tables come to be."""
        settings = self.params.model_dump(
            mode="json",
            include={"sample": True, "standin": True},
            exclude={"standin": {"workers", "script"}},
            exclude_unset=True,
        )
        return {**settings, "script": [file_digest(path) for path in self.script]}

    @property
    def script(self) -> list[Path]:
        """The file that says what happens in a simulated recording, if it is one."""
        return [self.root / self.params.standin.script] if self.params.standin else []

    def record(self, notebook: str) -> dict[str, Any]:
        """Return what a notebook's result follows from, by content; the same on any machine.

        The library files are those that the notebook imports and those that make its inputs.
        """
        upstream = [FEATURES] + ([SIMULATOR] if self.params.standin else [])
        return {
            "notebook": file_digest(self.source(notebook)),
            "parameters": self.values(notebook),
            "origin": value_digest(self.origin()),
            "library": source_digests(sources_of(self.source(notebook), *upstream)),
        }

    def shown(self, path: Path) -> str:
        """Return a path as seen from the repository's top, or whole if it lies elsewhere."""
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else str(path)
