"""What can be asked of the simulator."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xperience.errors import ParamsError, did_you_mean

DEFAULT_ACTIVITIES = Path(__file__).resolve().parents[3] / "params" / "activities"
DEFAULT_SCRIPT = Path(__file__).resolve().parents[3] / "params" / "timeline.yaml"
FPS = 20.0
IMU_RATE_HZ = 200.0
SOUND_RATE_HZ = 48_000

_Side = Annotated[int, Field(ge=16, le=4096)]


class StandinSettings(BaseModel):
    """One simulated episode; equal settings give equal annotation arrays and equal drawings.

    Parameters
    ----------
    frames : int
        Frames of every stream.
    fps : float
        Frames a second.
    size_px : (int, int)
        Width and height of the six videos, even numbers.
    depth_size_px : (int, int)
        Width and height of the depth map.
    seed : int
        Draws the wearer's build and habits, the kitchen's colours and places, and every noise.
    script : Path
        What happens, as in ``params/timeline.yaml``.
    variety : float
        How far build and places stray from average ones, against a usual wearer and kitchen.
    audio_offset_s : float
        How much later than in the scene the sound is heard in the videos.
    imu_offset_s : float
        How much later than the frames' clock the inertial samples are stamped.
    clock_drift_ppm : float
        How much faster than the frames' clock the inertial clock runs.
    workers : int
        Processes that draw and encode videos; no result depends on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: int = Field(5821, ge=40, le=200_000)
    fps: float = Field(FPS, ge=5, le=60)
    size_px: tuple[_Side, _Side] = (160, 120)
    depth_size_px: tuple[_Side, _Side] = (64, 48)
    seed: int = Field(7, ge=0, lt=2**32)
    script: Path = DEFAULT_SCRIPT
    variety: float = Field(1.0, ge=0, le=2)
    audio_offset_s: float = Field(0.0, ge=-5, le=5)
    imu_offset_s: float = Field(0.0, ge=-5, le=5)
    clock_drift_ppm: float = Field(0.0, ge=-10_000, le=10_000)
    workers: int = Field(2, ge=1, le=64)

    @field_validator("size_px")
    @classmethod
    def _even(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] % 2 or value[1] % 2:
            raise ValueError("width and height must be even, the video codec halves the colours")
        return value

    @classmethod
    def checked(cls, **values: Any) -> "StandinSettings":
        """Return settings from plain values.

        Raises
        ------
        ParamsError
            If a name is unknown or a value is out of bounds.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            if first["type"] == "extra_forbidden":
                hint = did_you_mean(name, cls.model_fields)
                raise ParamsError(f"standin: {name}", "is no setting", "a setting", hint) from error
            raise ParamsError(
                f"standin: {name}", f"is {first['input']!r}", first["msg"], "Change that value."
            ) from error

    @property
    def duration_s(self) -> float:
        """Length of the videos in seconds."""
        return self.frames / self.fps


class FamilySettings(BaseModel):
    """A family of simulated episodes; equal settings give equal annotations.

    Parameters
    ----------
    sides : (int, int, int)
        Episodes to train on, to choose on and to test on.
    frames : (int, int)
        Least and most frames of an episode.
    size_px, depth_size_px : (int, int)
        Width and height of the videos and of the depth map.
    seed : int
        Draws sessions, wearers, kitchens, words, lengths and mishaps.
    activities : Path
        Folder of activity files and ``words.yaml``.
    mishaps : bool
        Whether some episodes have another frame rate, lack a modality or lose a stream.
    workers : int
        Episodes written at a time; no result depends on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sides: tuple[int, int, int] = (16, 4, 4)
    frames: tuple[int, int] = (450, 700)
    size_px: tuple[_Side, _Side] = (64, 48)
    depth_size_px: tuple[_Side, _Side] = (32, 24)
    seed: int = Field(7, ge=0, lt=2**32)
    activities: Path = DEFAULT_ACTIVITIES
    mishaps: bool = True
    workers: int = Field(2, ge=1, le=64)

    @model_validator(mode="after")
    def _ordered(self) -> "FamilySettings":
        if min(self.sides) < 1:
            raise ValueError("each side needs an episode")
        if not 40 <= self.frames[0] <= self.frames[1] <= 200_000:
            raise ValueError("frames go from at least 40 up")
        if any(side % 2 for side in self.size_px):
            raise ValueError("width and height must be even, the video codec halves the colours")
        return self
