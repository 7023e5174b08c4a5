import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published() -> Path:
    """The published record, read in place."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("XPERIENCE_SHARED", root / ".." / "shared")) / "published"
    if not folder.is_dir():
        pytest.skip(f"the published record is not at {folder}; set XPERIENCE_SHARED")
    return folder
