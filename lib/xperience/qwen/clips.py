"""Which clips are shown, and what is true of the window at the end of each.

An answer describes one window, and the model must know which. A clip therefore *ends with its
window*, after a lead-in of a length drawn by chance: "the last second" names the moment without a
frame number. Nothing after the window is shown, because the next action is to be forecast; a clip
with the window in its middle would show it.

The evidence window is then worth a score: it is the unbroken segment, up to the window, in which
the action is going on, counted in the frames of the clip's own video. Where it begins isn't
printed anywhere and differs from clip to clip; answers that always name the same place are its
floors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xperience.features.windows import WINDOW_FRAMES, window_starts
from xperience.qwen.schema import UNKNOWN
from xperience.recording.captions import is_labelled
from xperience.tasks import targets
from xperience.tasks.truth import Truth

YES, NO = "yes", "no"
_Pixels = Annotated[int, Field(ge=8, le=4096)]


class ExportSettings(BaseModel):
    """How records are made; equal settings give equal records."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fps: float = Field(4.0, gt=0, le=120)  # of the clips' video; no more than the recording has
    lead_s: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(le=600)]] = (2.0, 4.0)
    """Least and most seconds that a clip begins before its window."""
    per_episode: int = Field(16, ge=1)  # records of an episode, spread evenly over it
    tile_px: tuple[_Pixels, _Pixels] = (224, 160)  # width and height of one view in the mosaic
    crf: int = Field(20, ge=0, le=51)  # quality of the video, 0 is best
    listed_options: int = Field(200, ge=0)  # options of a field are in the prompt up to this many
    seed: int = Field(7, ge=0, lt=2**32)  # draws the lead-ins

    @model_validator(mode="after")
    def _possible(self) -> "ExportSettings":
        if self.lead_s[0] > self.lead_s[1]:
            raise ValueError("lead_s goes from the least to the most seconds")
        if self.tile_px[0] % 2:
            raise ValueError("a tile's width must be even, the video codec halves the colours")
        return self


@dataclass(frozen=True)
class Clip:
    """A window and the frames that are shown before and in it."""

    start_frame: int  # of the window
    shown: tuple[int, ...]  # frames of the recording, ascending; the last is the window's last
    fps: float  # of the clip's video
    source_fps: float  # of the recording

    @property
    def end_frame(self) -> int:
        """Last frame of the window, and of the clip."""
        return self.start_frame + WINDOW_FRAMES - 1

    @property
    def in_window(self) -> tuple[int, ...]:
        """Frames of the video that lie in the window."""
        return tuple(i for i, frame in enumerate(self.shown) if frame >= self.start_frame)


def plan_clips(
    episode: str, n_frames: int, fps: float, settings: ExportSettings
) -> tuple[Clip, ...]:
    """Choose the clips of an episode, by window, whatever is true of them.

    Windows that come too early for the longest lead-in are left out, unless all do: then lead-ins
    are cut short at the recording's start. The episode's name, with the seed, decides the lead-ins.
    """
    starts = window_starts(n_frames)
    late = starts[starts >= round(settings.lead_s[1] * fps)]
    starts = late if len(late) else starts
    n, step = min(settings.per_episode, len(starts)), max(fps / settings.fps, 1.0)
    clips = []
    for place in np.linspace(0, len(starts) - 1, n).round().astype(int) if n else ():
        start = int(starts[place])
        drawn = blake2b(f"{episode}:{start}".encode(), digest_size=8).digest()
        rng = np.random.default_rng([settings.seed, int.from_bytes(drawn, "little")])
        first = max(0, start - round(rng.uniform(*settings.lead_s) * fps))
        end = start + WINDOW_FRAMES - 1
        back = np.round(np.arange(int((end - first) / step) + 1) * step).astype(int)
        clips.append(Clip(start, tuple((end - back[::-1]).tolist()), min(fps, settings.fps), fps))
    return tuple(clips)


def true_answers(truth: Truth, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Return the fields of each clip's true answer, in the annotators' words.

    The truth is over the windows of these clips. What nobody says is "unknown"; there may be more
    objects than a model may name. Without an action the evidence window is the window itself, and
    means nothing.
    """
    members = np.arange(len(clips))[:, None]
    actions = targets.window_labels("action")(truth, members)
    touches = {"contact": YES, "no_contact": NO, None: None}
    has_contacts = truth.contacts is not None
    contacts = targets.any_contact(truth, members) if has_contacts else [None] * len(clips)
    labelled = np.array([is_labelled(action) for action in truth.action])
    reach = targets.TRANSITION_FRAMES
    changes = []
    for label, c in zip(targets.near_transition(truth, members), truth.centers, strict=True):
        is_sure = labelled[max(c - reach - 1, 0) : c + reach + 1].all()  # else one could be hidden
        changes.append(YES if label == "transition" else NO if is_sure else None)
    fields = {
        "action": actions,
        "subtask": targets.window_labels("subtask")(truth, members),
        "objects": [
            list(filter(is_labelled, names)) for names in targets.named_objects(truth, members)
        ],
        "contact": [touches[label] for label in contacts],
        "transition": changes,
        "next_action": targets.next_action(truth, members),
        "evidence_window": [
            evidence(truth.action, label, clip) for label, clip in zip(actions, clips, strict=True)
        ],
    }
    return [
        {name: UNKNOWN if value is None else value for name, value in zip(fields, row, strict=True)}
        for row in zip(*fields.values(), strict=True)
    ]


def evidence(action: Sequence[str], label: str | None, clip: Clip) -> dict[str, int]:
    """Return the frames of a clip's video in which the window's action is going on.

    They show the unbroken run of the label, the window's action, that covers most of the window
    (the later of equal ones); ``action`` has one label per frame of the recording.
    """
    frames = range(clip.shown[0], clip.end_frame + 1)
    runs = [list(run) for same, run in groupby(frames, lambda at: action[at] == label) if same]
    if label is None or not runs:
        inside = clip.in_window
        return {"start_frame": inside[0], "end_frame": inside[-1]}
    first, last = max(
        ((run[0], run[-1]) for run in runs),
        key=lambda run: (run[1] - max(run[0], clip.start_frame), run),
    )
    shown = np.array(clip.shown)
    inside = np.flatnonzero((shown >= first) & (shown <= last))
    if not len(inside):  # the run is shorter than the time between two frames of the video
        inside = [int(np.abs(shown - (first + last) / 2).argmin())]
    return {"start_frame": int(inside[0]), "end_frame": int(inside[-1])}
