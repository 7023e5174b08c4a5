"""Records as tensors: the chat, the clip as patches, the sound as a log-mel spectrogram.

Frames and sound are decoded by PyAV and cut into patches here, so that neither torchvision nor
torchaudio is needed; geometry, means and token names come from the model's own files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from xperience.qwen.material import AUDIO_HZ, read_frames, read_sound
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import Supervised

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, WhisperFeatureExtractor

IGNORED = -100
"""Label of a position whose token is not learnt."""
MEL_FRAMES_A_PIECE, TOKENS_A_PIECE = 100, 13
"""The audio tower makes 13 tokens of each whole second (100 mel frames)."""
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"


@dataclass(frozen=True)
class Picture:
    """How a model takes frames in.

    Parameters
    ----------
    patch, merge, frames : int
        Pixels of a patch's side, patches merged along each side, frames in a patch.
    mean, std : float arrays, shape (3,)
        Of red, green and blue, pixels within 0 to 1.
    most_pixels : int
        A larger frame is made smaller.
    """

    patch: int
    merge: int
    frames: int
    mean: np.ndarray
    std: np.ndarray
    most_pixels: int

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width in pixels after scaling: multiples of a merged patch."""
        unit = self.patch * self.merge
        shrink = min(1.0, np.sqrt(self.most_pixels / (height * width)))
        # Rounded down when shrinking, so that the limit is one; to the nearest otherwise.
        fit = np.floor if shrink < 1 else np.round
        high, wide = (max(1, int(fit(side * shrink / unit))) * unit for side in (height, width))
        return high, wide

    def patches(self, frames: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Cut frames into patches, in the order that the vision tower reads.

        Parameters
        ----------
        frames : uint8 array, shape (n_frames, height, width, 3)

        Returns
        -------
        patches : float32 array, shape (n_patches, 3 * frames * patch * patch)
        grid : (int, int, int)
            Patches along time, height and width.
        """
        high, wide = self.size_of(*frames.shape[1:3])
        scaled = np.stack([_scaled(frame, high, wide) for frame in frames])
        values = (scaled / np.float32(255) - self.mean) / self.std  # (n_frames, high, wide, 3)
        missing = -len(values) % self.frames
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
        p, m = self.patch, self.merge
        t, h, w = len(values) // self.frames, high // p, wide // p
        cut = values.reshape(t, self.frames, h // m, m, p, w // m, m, p, 3)
        # Merged patches one after the other, the patches of each together; inside: colour, time.
        ordered = cut.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
        flat = ordered.reshape(t * h * w, 3 * self.frames * p * p)
        return np.ascontiguousarray(flat, dtype=np.float32), (t, h, w)


def _scaled(frame: np.ndarray, high: int, wide: int) -> np.ndarray:
    smaller = high * wide < frame.shape[0] * frame.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(frame, (wide, high), interpolation=how)


def audio_tokens(mel_frames: int) -> int:
    """Return how many tokens the audio tower makes of a spectrogram."""
    whole, rest = divmod(mel_frames, MEL_FRAMES_A_PIECE)
    for _ in range(3):  # three convolutions of stride 2
        rest = (rest + 1) // 2
    return whole * TOKENS_A_PIECE + rest


@dataclass(frozen=True)
class Encoded:
    """One record as a model takes it in.

    Parameters
    ----------
    ids : int64 array, shape (n_tokens,)
    labels : int64 array, shape (n_tokens,)
        The token where it is to be learnt, else `IGNORED`.
    patches : float32 array, shape (n_patches, patch_values)
    grid : (int, int, int)
    seconds_a_grid : float
        Time between neighbouring patches.
    mel : float32 array, shape (n_bins, n_mel_frames), or None
    """

    ids: np.ndarray
    labels: np.ndarray
    patches: np.ndarray
    grid: tuple[int, int, int]
    seconds_a_grid: float
    mel: np.ndarray | None


@dataclass(frozen=True)
class Prompter:
    """Turns records into tensors for one model.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    picture : Picture
    hearing : WhisperFeatureExtractor
    padding : int
        Token that fills shorter rows.
    """

    tokenizer: "PreTrainedTokenizerBase"
    picture: Picture
    hearing: "WhisperFeatureExtractor"
    padding: int

    def encode(self, record: Supervised, folder: Path, *, answered: bool) -> Encoded:
        """Return a record's prompt, with its media and perhaps its answer, as arrays.

        Parameters
        ----------
        record : Supervised
        folder : Path
            Media lie relative to it.
        answered : bool
            Whether the target follows the prompt, for training: only its tokens and the end of its
            turn are learnt.

        Raises
        ------
        AnswersError
            If a clip cannot be decoded.
        """
        media = record.media
        patches, grid = self.picture.patches(read_frames(folder / media.video))
        mel = None if media.audio is None else self._mel(read_sound(folder / media.audio))
        n_video = int(np.prod(grid)) // self.picture.merge**2
        n_audio = 0 if mel is None else audio_tokens(mel.shape[1])
        prompt = self._ids(chat(record, n_video, n_audio))
        answer = self._ids(record.target + TURN_END) if answered else []
        return Encoded(
            ids=np.array(prompt + answer),
            labels=np.array([IGNORED] * len(prompt) + answer),
            patches=patches,
            grid=grid,
            seconds_a_grid=self.picture.frames / media.fps,
            mel=mel,
        )

    def n_learnt(self, record: Supervised) -> int:
        """Return how many tokens of a record are learnt."""
        return len(self._ids(record.target + TURN_END))

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _mel(self, sound: np.ndarray) -> np.ndarray:
        found = self.hearing(
            sound, sampling_rate=AUDIO_HZ, truncation=False, padding="longest",
            return_tensors="np",
        )  # fmt: skip
        return found["input_features"][0]  # (n_bins, n_mel_frames)

    def batch(self, items: Sequence[Encoded], *, left: bool) -> dict[str, torch.Tensor]:
        """Return a batch by the argument names of the model.

        Parameters
        ----------
        items : sequence of Encoded
        left : bool
            Fill on the left, for generation.

        Returns
        -------
        dict of {str: tensor}
            ``input_ids``, ``attention_mask`` and ``labels``, each (n, n_tokens), and the video and
            whatever there is of sound, the items' parts one after the other.
        """
        ids = _filled([item.ids for item in items], self.padding, left)
        mask = _filled([np.ones_like(item.ids) for item in items], 0, left)
        labels = _filled([item.labels for item in items], IGNORED, left)
        made = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return made | _video(items) | _sound(items)


def chat(record: Supervised, n_video: int, n_audio: int) -> str:
    """Return a record's prompt as the model family writes it, up to where the answer begins.

    Parameters
    ----------
    record : Supervised
    n_video, n_audio : int
        Tokens that the clip and the sound take.
    """
    media = "<|vision_start|>" + "<|video_pad|>" * n_video + "<|vision_end|>"
    if n_audio:
        media += "<|audio_start|>" + "<|audio_pad|>" * n_audio + "<|audio_end|>"
    turns = (("system", record.system), ("user", media + record.user))
    said = "".join(f"{TURN_START}{who}\n{text}{TURN_END}\n" for who, text in turns)
    return f"{said}{TURN_START}assistant\n"


def _filled(rows: Sequence[np.ndarray], value: int, left: bool) -> torch.Tensor:
    length = max(map(len, rows))
    made = np.full((len(rows), length), value, dtype=np.int64)
    for place, row in enumerate(rows):
        made[place, slice(length - len(row), length) if left else slice(len(row))] = row
    return torch.from_numpy(made)  # (n, length)


def _video(items: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    return {
        "pixel_values_videos": torch.from_numpy(np.concatenate([i.patches for i in items])),
        "video_grid_thw": torch.tensor([i.grid for i in items]),
        "video_second_per_grid": torch.tensor([i.seconds_a_grid for i in items]),
    }


def _sound(items: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    mels = [item.mel for item in items if item.mel is not None]
    if not mels:
        return {}
    longest = max(mel.shape[1] for mel in mels)
    features = [np.pad(mel, ((0, 0), (0, longest - mel.shape[1]))) for mel in mels]
    masks = [np.arange(longest) < mel.shape[1] for mel in mels]
    return {
        "input_features": torch.from_numpy(np.stack(features)),  # (n_audios, n_bins, longest)
        "feature_attention_mask": torch.from_numpy(np.stack(masks).astype(np.int64)),
    }


def picture_of(vision: Any, features: Mapping[str, Any], most_pixels: int) -> Picture:
    """Return how a model takes frames in.

    Parameters
    ----------
    vision : Qwen3OmniMoeVisionEncoderConfig
        Geometry: the weights were made for it.
    features : mapping
        The model's ``preprocessor_config.json``: means and standard deviations.
    most_pixels : int

    Raises
    ------
    AnswersError
        If the file has no means, or a frame may not be as large as one merged patch.
    """
    mean, std = features.get("image_mean"), features.get("image_std")
    if mean is None or std is None:
        raise AnswersError(
            "preprocessor_config.json", "has no image_mean or image_std", "three numbers each",
            "Fetch the model's files again.",
        )  # fmt: skip
    unit = int(vision.patch_size) * int(vision.spatial_merge_size)
    if most_pixels < unit**2:
        raise AnswersError(
            "pixels", f"is {most_pixels}", f"at least {unit**2}, one merged patch",
            "Allow larger frames.",
        )  # fmt: skip
    return Picture(
        patch=int(vision.patch_size),
        merge=int(vision.spatial_merge_size),
        frames=int(vision.temporal_patch_size),
        mean=np.array(mean, dtype=np.float32),
        std=np.array(std, dtype=np.float32),
        most_pixels=most_pixels,
    )
