"""What can be asked of the simulator: one episode, or a family of them."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

_PARAMS = Path(__file__).resolve().parents[3] / "params"
DEFAULT_ACTIVITIES = _PARAMS / "activities"
DEFAULT_SCRIPT = _PARAMS / "timeline.yaml"
FPS = 20.0
IMU_RATE_HZ = 200.0
SOUND_RATE_HZ = 48_000


def _even(size_px: tuple[int, int]) -> tuple[int, int]:
    if size_px[0] % 2 or size_px[1] % 2:
        raise ValueError("width and height must be even, the video codec halves the colours")
    return size_px


_Side = Annotated[int, Field(ge=16, le=4096)]
_VideoSize = Annotated[tuple[_Side, _Side], AfterValidator(_even)]


class StandinSettings(BaseModel):
    """One simulated episode; equal settings give equal annotation arrays and equal drawings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: int = Field(5821, ge=40, le=200_000)  # of every stream
    fps: float = Field(FPS, ge=5, le=60)
    size_px: _VideoSize = (160, 120)  # width and height of the six videos, even numbers
    depth_size_px: tuple[_Side, _Side] = (64, 48)
    seed: int = Field(7, ge=0, lt=2**32)  # of the wearer's build and habits, colours, every noise
    script: Path = DEFAULT_SCRIPT  # what happens, as in params/timeline.yaml
    variety: float = Field(1.0, ge=0, le=2)  # of build and places; 1 is usual
    audio_offset_s: float = Field(0.0, ge=-5, le=5)  # how much too late the sound is heard
    imu_offset_s: float = Field(0.0, ge=-5, le=5)  # how much too late inertial samples are stamped
    clock_drift_ppm: float = Field(0.0, ge=-10_000, le=10_000)  # how much faster their clock runs
    workers: int = Field(2, ge=1, le=64)  # threads that draw videos; no result depends on it

    @property
    def duration_s(self) -> float:
        """Length of the videos in seconds."""
        return self.frames / self.fps


class FamilySettings(BaseModel):
    """A family of simulated episodes; equal settings give equal annotations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # episodes to train on, to validate on, to test on
    splits: tuple[int, int, int] = Field(
        (16, 4, 4), validation_alias=AliasChoices("splits", "sides")
    )
    frames: tuple[int, int] = (450, 700)  # least and most frames of an episode
    size_px: _VideoSize = (64, 48)
    depth_size_px: tuple[_Side, _Side] = (32, 24)
    seed: int = Field(7, ge=0, lt=2**32)  # of sessions, wearers, kitchens, words, lengths, faults
    activities: Path = DEFAULT_ACTIVITIES  # folder of activity files and words.yaml
    # whether some episodes have another frame rate, lack a modality or lose a stream
    inject_faults: bool = Field(True, validation_alias=AliasChoices("inject_faults", "mishaps"))
    workers: int = Field(2, ge=1, le=64)  # episodes written at a time; no result depends on it

    @model_validator(mode="after")
    def _ordered(self) -> "FamilySettings":
        if min(self.splits) < 1:
            raise ValueError("each split needs an episode")
        if not 40 <= self.frames[0] <= self.frames[1] <= 200_000:
            raise ValueError("frames go from at least 40 up")
        return self
