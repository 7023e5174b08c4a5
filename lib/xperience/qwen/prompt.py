"""What a model is told and asked. Nothing here sees an answer.

The system message holds the same for every record: the rules and, while they are few, the options.
The user message says what is shown. Neither names a label of the record or where anything happens
but for the one thing that is asked about: the window at the clip's end.
"""

from collections.abc import Sequence

from xperience.qwen.clips import Clip
from xperience.qwen.schema import MAX_OBJECTS, UNKNOWN, Options
from xperience.qwen.supervised import Media

_RULES = """\
You watch short clips from cameras and a microphone that a person wears while doing something.
Each clip ends with the stretch that you are asked about; what comes before is lead-in.
Answer with one JSON object on one line and nothing else. Its fields, in this order:
"action": what the wearer does in that stretch.
"subtask": the larger step that this belongs to.
"objects": a list of the things that matter in it, at most {max_objects}, none twice.
"contact": "yes" if a part of the wearer's body touches something in it, else "no".
"transition": "yes" if one action gives way to another around its middle, else "no".
"next_action": what the wearer does one such stretch after the clip has ended.
"evidence_window": {{"start_frame", "end_frame"}}, the first and the last frame of the video, \
counted from 0, between which that action goes on without a break up to the stretch's own frames; \
it may begin in the lead-in.
Where you cannot tell, or no option fits, say "{unknown}"."""


def system_message(options: Options, listed: int) -> str:
    """Return what a model is told before every record.

    Parameters
    ----------
    options : Options
        From training episodes.
    listed : int
        Lists of options up to this long are written out.
    """
    rules = _RULES.format(max_objects=MAX_OBJECTS, unknown=UNKNOWN)
    lists = {
        "action and next_action": options.action,
        "subtask": options.subtask,
        "objects": options.objects,
    }
    told = [_listed(name, labels, listed) for name, labels in lists.items() if labels is not None]
    return "\n".join([rules, *told])


def _listed(name: str, labels: Sequence[str], listed: int) -> str:
    if len(labels) > listed:
        return f"Options for {name}: {len(labels)} labels, too many to list here."
    return f"Options for {name}: {'; '.join(labels)}."


def user_message(clip: Clip, media: Media) -> str:
    """Return what is shown, and the question.

    Parameters
    ----------
    clip : Clip
    media : Media
    """
    rows = [media.cameras[: len(media.cameras) // 2], media.cameras[len(media.cameras) // 2 :]]
    first = media.n_frames - media.window_frames
    return " ".join(
        [
            f"The video has {media.n_frames} frames, numbered 0 to {media.n_frames - 1}, "
            f"{media.fps:.3g} a second.",
            "Each shows several views of one moment: "
            f"{', '.join(rows[0])} above, {', '.join(rows[1])} below.",
            *(_hatched(camera, media) for camera in media.cameras if camera in media.lost),
            _sound(media),
            f"Describe the last {clip.window_s:.3g} s, frames {first} to {media.n_frames - 1}.",
        ]
    )


def _hatched(camera: str, media: Media) -> str:
    runs = media.lost[camera].frames
    if runs == [(0, media.n_frames - 1)]:
        return f"{camera} is missing throughout: its tile is hatched."
    when = [f"{first} to {last}" if first < last else f"{first}" for first, last in runs]
    return f"{camera} is missing in frames {', '.join(when)}: its tile is hatched."


def _sound(media: Media) -> str:
    if media.audio is None:
        return "There is no sound."
    if not media.silent_s:
        return "The sound is of the same time."
    gaps = [f"{start:.3g} to {stop:.3g} s" for start, stop in media.silent_s]
    return f"The sound is of the same time, but none was recorded at {', '.join(gaps)}."
