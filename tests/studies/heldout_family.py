"""A small family of recordings, simulated once for all tests of held-out episodes."""

from pathlib import Path

from xperience.cohort.manifest import (
    Entry,
    SplitManifest,
    make_manifest,
    read_manifest,
    write_manifest,
)
from xperience.standin.family import write_family
from xperience.standin.settings import FamilySettings

SPLITS, MANIFEST = (2, 1, 2), "episodes.csv"


def family(made_once) -> SplitManifest:
    """Return the split manifest of five recordings; nobody changes them.

    Parameters
    ----------
    made_once : callable
        The fixture.
    """
    settings = FamilySettings(
        splits=SPLITS,
        frames=(120, 140),
        size_px=(32, 24),
        depth_size_px=(16, 16),
        inject_faults=False,
    )

    def make(scratch: Path) -> None:
        entries = (Entry.model_validate(row) for row in write_family(scratch, settings))
        write_manifest(scratch / MANIFEST, make_manifest(entries, scratch))

    return read_manifest(made_once("heldout-family", make) / MANIFEST)
