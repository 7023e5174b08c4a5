import pytest

from xperience.simulator.settings import StandinSettings
from xperience.simulator.write import write_episode

N_FRAMES = 60


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    """A simulated recording of three seconds that nobody changes."""
    settings = StandinSettings(frames=N_FRAMES, size_px=(32, 24), workers=1)
    return write_episode(tmp_path_factory.mktemp("tiny") / "episode", settings)


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """A shorter one by another seed, that nobody changes either."""
    settings = StandinSettings(frames=45, size_px=(32, 24), workers=1, seed=3)
    return write_episode(tmp_path_factory.mktemp("other") / "second", settings)
