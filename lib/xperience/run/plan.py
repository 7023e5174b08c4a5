"""One run's files: what each step reads and writes. The Snakefile and every check ask here."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xperience.cohort.manifest import read_manifest
from xperience.cohort.shards import report_path, tables_of
from xperience.features.blocks import CONTRACTS
from xperience.outputs import check_output
from xperience.params import RunParams, load_params
from xperience.project import (
    PAGE,
    at_root,
    entries_folder,
    located,
    project_root,
    provenance_path,
    record_folder,
    reference_folder,
    run_folder,
    windows_path,
)
from xperience.recording.files import recording_files
from xperience.run.notebooks import declared_parameters
from xperience.standin.mark import check_replaceable, is_marked, read_mark
from xperience.storage import file_digest, value_digest, write_text

TAKEAWAYS = "07_takeaways"
"""The notebook that reads what the others wrote, and so runs after them."""
RECORD = "08_published_record"
"""The notebook that reads the published record, which not everybody has."""
LONGEST = "03_neural_heads"
"""The notebook that trains networks: begun first, since the others take less together."""
FEATURES, SIMULATOR, SITE = "xperience.features", "xperience.standin", "xperience.report.site"

DATA = ("windows", "shards", "cache", "logs", "site", ".stamps")
"""What of a run's folder is no result, besides its recording."""
RESULTS = ("notebooks", "metrics", "predictions", "figures")
REPORT = "reproduction.json"
"""The comparison of a run with its reference."""


@dataclass(frozen=True)
class RunPlan:
    """Where the files of a run with these settings are; see `RunPlan.of`."""

    params: RunParams
    base: Path | None = None
    """Where the results lie, if not in the run's folder."""

    @classmethod
    def of(cls, run: str, episode: str | None = None) -> "RunPlan":
        """Return the plan of a run, or of a recording of one's own with that run's settings.

        Raises
        ------
        ParamsError
            If the params file or the recording's folder is absent or wrong.
        OutputError
            If the run would write where its recording lies, or any other one.
        """
        plan = cls(load_params(run, episode))
        check_output(plan.folder)
        for part in (*DATA, *RESULTS):
            given = plan.manifest if plan.is_cohort else plan.episode
            check_output(plan.folder / part, [given], emptied=True)
        return plan

    @property
    def root(self) -> Path:
        """The repository's top folder."""
        return project_root()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.base or run_folder(self.params.run)

    @property
    def site(self) -> Path:
        """The site's folder."""
        return self.folder / "site"

    @property
    def makes_episode(self) -> bool:
        """Whether the run simulates or downloads its recording."""
        return any((self.params.standin, self.params.sample, self.params.family))

    @property
    def is_cohort(self) -> bool:
        """Whether the run is of many recordings."""
        return self.params.episodes is not None

    @property
    def manifest(self) -> Path:
        """The split manifest of a cohort."""
        return at_root(str(self.params.episodes))

    @property
    def episode(self) -> Path:
        """The recording's folder, or that of a cohort's split manifest."""
        return self.manifest.parent if self.is_cohort else at_root(str(self.params.episode))

    def stamp(self, what: str) -> Path:
        """Return the file that says that "episode", "recording" or "site" is whole."""
        return self.folder / ".stamps" / what

    def episode_files(self) -> list[Path]:
        """Return the files that stand for the recording in the graph.

        One that the run makes is a stamp: the graph removes what a step declares before that step
        begins, and what lies there may be somebody's own, or half of a download. So is one that
        exists: its folder may have any name, braces included, which the graph would expand.
        """
        return [self.stamp("episode" if self.makes_episode else "recording")]

    def stamp_recording(self) -> None:
        """Write how large and old the files of an existing recording, or a manifest, are."""
        if self.makes_episode:
            return
        if self.is_cohort:
            found = {str(path): file_digest(path) for path in [self.manifest] if path.is_file()}
        else:
            stats = {name: path.stat() for name, path in recording_files(self.episode).items()}
            found = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
        text, stamp = json.dumps(found, indent=1) + "\n", self.stamp("recording")
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != text:
            write_text(stamp, text)

    def episode_state(self) -> str:
        """Return the text of the stamp while the recording that the run made is unchanged."""
        if self.params.sample:
            return self.params.sample.model_dump_json() + "\n"
        return value_digest(read_mark(self.episode)) + "\n"

    def check_episode(self) -> None:
        """Drop the stamp of a recording that is not there as the run made it.

        Something else in its place, which is then never replaced, is a ParamsError.
        """
        if not self.makes_episode:
            return
        if self.params.sample:
            unchanged = self.episode.is_dir()
        else:
            simulated = [self.episode / name for name in read_mark(self.episode) or ()]
            made = [self.manifest] if self.is_cohort else simulated
            unchanged = bool(made) and all(map(is_marked, made))
            check_replaceable(self.manifest if self.is_cohort else self.episode)
        stamp = self.stamp("episode")
        if not (unchanged and stamp.is_file() and stamp.read_text() == self.episode_state()):
            stamp.unlink(missing_ok=True)

    def windows(self, contract: str) -> Path:
        """Return the windows table of a contract."""
        return windows_path(self.params.run, str(self.params.episode), contract)

    def tables(self) -> list[Path]:
        """Return the files that stand for what notebooks read.

        Of a recording its windows tables, one a contract; of a cohort the shards' reports.
        """
        if self.is_cohort:
            return [report_path(self.folder, shard) for shard in range(self.params.n_shards)]
        return [self.windows(contract) for contract in CONTRACTS]

    def data(self) -> list[Path]:
        """Return the data files whose content notebooks follow from, as far as they are there."""
        if not self.is_cohort:
            return self.tables()
        if not self.manifest.is_file():
            return []
        entries = read_manifest(self.manifest)
        tables = (path for entry in entries for path in tables_of(self.folder, entry.episode))
        return [self.manifest, *(path for path in tables if path.is_file())]

    def source(self, notebook: str) -> Path:
        """Return a notebook's ``.py`` half."""
        return at_root("notebooks") / f"{notebook}.py"

    @property
    def reference(self) -> "RunPlan":
        """The same run as it is committed."""
        return replace(self, base=reference_folder(self.params.run))

    def executed(self, notebook: str) -> Path:
        """Return where a notebook's executed copy belongs."""
        return self.folder / "notebooks" / f"{notebook}.ipynb"

    def outputs(self, notebook: str) -> list[Path]:
        """Return what every notebook must write besides its executed copy."""
        metrics = self.folder / "metrics" / f"{notebook}.json"
        return [metrics, provenance_path(metrics)]

    def reads(self, notebook: str) -> list[Path]:
        """Return the metric files that a notebook reads: only the takeaways read any.

        Those of the run's other notebooks are steps of the graph; those of the cohort's run, which
        is another graph, count as far as they are there.
        """
        if notebook != TAKEAWAYS:
            return []
        run = self.params.run
        given = declared_parameters(self.source(notebook)) | self.values(notebook)
        from xperience.report.takeaways import Evidence

        there = Evidence(run, given.get("heldout_run")).files()
        steps = [self.outputs(name)[0] for name in self.params.notebooks if name != notebook]
        own = run_folder(run), reference_folder(run)  # the latter stands in before the first run
        others = (path for path in there if not any(path.is_relative_to(one) for one in own))
        return sorted({*steps, *others})

    def kept(self, notebook: str) -> str | None:
        """Return why a notebook's committed result is kept and not made anew, or None."""
        if notebook != RECORD or not self.reference.executed(notebook).is_file():
            return None
        given = declared_parameters(self.source(notebook)) | self.values(notebook)
        return None if record_folder(given["published"]) else "the published record is not there"

    def keep(self, notebook: str) -> None:
        """Take a notebook's result from the reference."""
        committed = self.reference
        sources = (
            committed.executed(notebook), *committed.outputs(notebook), *committed.figures(notebook)
        )  # fmt: skip
        for source in sources:
            out = self.folder / source.relative_to(committed.folder)
            out.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, out)

    def figures(self, notebook: str) -> list[Path]:
        """Return what a notebook left besides: pictures, named by its number, and pages."""
        pages = self.folder.glob(f"{PAGE}.*") if notebook == TAKEAWAYS else ()
        pictures = (self.folder / "figures").glob(f"{notebook.partition('_')[0]}_*")
        return sorted([*pictures, *pages])

    def deliverables(self) -> list[Path]:
        """Return every file that the run's notebooks must leave."""
        names = self.params.notebooks
        return [path for name in names for path in (self.executed(name), *self.outputs(name))]

    def committed(self) -> list[Path]:
        """Return the metric files of the reference, as far as there are any."""
        found = (self.reference.outputs(name)[0] for name in self.params.notebooks)
        return [path for path in found if path.is_file()]

    def reports(self) -> list[Path]:
        """Return the comparison with the reference, if there is one."""
        return [self.folder / REPORT] if self.committed() else []

    def page_sources(self) -> list[Path]:
        """Return the site's own pages, and the entries that it shows."""
        from xperience.report.site import page_sources

        entries = entries_folder(self.params.run).glob("*.json")
        return [*page_sources(at_root("docs")), *sorted(entries)]

    def values(self, notebook: str) -> dict[str, Any]:
        """Return the run's values for the parameters that a notebook declares."""
        return self.params.for_notebook(list(declared_parameters(self.source(notebook))))

    @property
    def script(self) -> list[Path]:
        """The files that say what happens in simulated recordings, if they are."""
        if self.params.family:
            return sorted((self.root / self.params.family.activities).glob("*.yaml"))
        return [self.root / self.params.standin.script] if self.params.standin else []

    def recorded(self, path: Path) -> str:
        """Return the name under which a file is written down: that of a run's own folder."""
        committed = reference_folder(self.params.run).parent
        if path.is_relative_to(committed):
            path = committed.parent / path.relative_to(committed)
        return self.shown(path)

    def located(self, name: str) -> Path:
        """Return where a file lies that was written down under a name."""
        parts = Path(name).parts
        if parts[0] != "artifacts" or not (parts[2] in RESULTS or parts[2].startswith(PAGE)):
            return self.root / name
        if self.base is not None:
            return self.base.parent.joinpath(*parts[1:])
        return self.root / name if parts[1] == self.params.run else located(name)

    def shown(self, path: Path) -> str:
        """Return a path as seen from the repository's top, or whole if it lies elsewhere."""
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else str(path)
