from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XPERIENCE_ROOT", raising=False)
    monkeypatch.chdir(REPOSITORY)
