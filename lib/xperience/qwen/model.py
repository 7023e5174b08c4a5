"""A Qwen3-Omni thinker by folder or by name, and records as the tensors that it takes in.

Frames and sound are decoded by PyAV and cut into patches here, because the processor of the model
family needs torchvision; geometry, means and token names come from the model's own files.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from xperience.errors import did_you_mean
from xperience.qwen import MOST_PIXELS
from xperience.qwen.media import AUDIO_HZ, read_frames, read_sound
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import Supervised
from xperience.storage import file_digest, value_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, WhisperFeatureExtractor

NEEDS = ("transformers", "peft", "accelerate", "safetensors", "tokenizers", "xgrammar")
WHOLE, THINKER = "qwen3_omni_moe", "qwen3_omni_moe_thinker"
DTYPES = ("float32", "bfloat16", "float16")
IGNORED = -100
"""Label of a position whose token is not learnt."""
MEL_FRAMES_A_PIECE, TOKENS_A_PIECE = 100, 13
"""The audio tower makes 13 tokens of each whole second (100 mel frames)."""
TURN_START, TURN_END, PADDING = "<|im_start|>", "<|im_end|>", "<|endoftext|>"


def require(packages: tuple[str, ...] = NEEDS) -> None:
    """Refuse to go on, by an AnswersError, without the packages of the extra ``answers``."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise AnswersError(
            "packages", f"lack {', '.join(missing)}", "the extra `answers`",
            "Install it with `make extras`.",
        )  # fmt: skip


@dataclass(frozen=True)
class ModelSource:
    """Which model, and how it is held."""

    model: str  # a folder, or a name on the hub such as "Qwen/Qwen3-Omni-30B-A3B-Instruct"
    revision: str | None = None  # commit of a name on the hub
    adapter: Path | None = None  # folder of a LoRA adapter
    dtype: str = "float32"  # one of DTYPES
    device_map: str | None = None  # for transformers: "auto" spreads the weights over the devices
    most_pixels: int = MOST_PIXELS  # larger frames are made smaller

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise AnswersError(
                "dtype", f"is {self.dtype!r}", "a type of weights", did_you_mean(self.dtype, DTYPES)
            )

    @property
    def key(self) -> dict[str, Any]:
        """What results of this model rest on, by its files' content or its commit on the hub."""
        return {
            "model": self.digest,
            "adapter": None if self.adapter is None else _folder_digest(self.adapter),
            "dtype": self.dtype,
            "most_pixels": self.most_pixels,
        }

    @property
    def digest(self) -> str:
        """What tells this model from every other; an AnswersError if that can't be told."""
        if Path(self.model).is_dir():
            return _folder_digest(Path(self.model))
        require(("transformers",))
        from transformers import AutoConfig  # noqa: PLC0415

        try:
            config = AutoConfig.from_pretrained(self.model, revision=self.revision)
        except (OSError, ValueError) as error:
            raise _unloadable(self.model, error) from error
        if config._commit_hash is None:
            raise _unloadable(self.model, "its commit is not known")
        return value_digest([self.model, config._commit_hash])


def _folder_digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return value_digest({str(f.relative_to(folder)): file_digest(f) for f in files})


def _unloadable(model: str, reason: Exception | str) -> AnswersError:
    return AnswersError(
        model, f"cannot be loaded ({str(reason).splitlines()[0]})",
        "the folder or hub name of a Qwen3-Omni model",
        "Check the name; `xperience answers tiny` makes a small one here.",
    )  # fmt: skip


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be asked."""

    model: "PreTrainedModel"  # adapted where an adapter was named
    prompter: "Prompter"
    end_token: int  # ends a turn
    vocabulary: int  # width of the logits; the tokenizer may know fewer tokens

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer."""
        return self.prompter.tokenizer


def load(source: ModelSource) -> LoadedModel:
    """Load a thinker, in evaluation mode, with everything that turns records into its inputs.

    If a package or file is missing, or the model is of another family, that is an AnswersError.
    """
    require()
    from transformers import AutoConfig, AutoTokenizer, WhisperFeatureExtractor  # noqa: PLC0415
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()  # ours say more
    at = {"revision": source.revision}
    try:
        config = AutoConfig.from_pretrained(source.model, **at)
        tokenizer = AutoTokenizer.from_pretrained(source.model, **at)
        features, _ = WhisperFeatureExtractor.get_feature_extractor_dict(source.model, **at)
        model = _thinker(source, config)
    except AnswersError:
        raise
    except (OSError, ValueError) as error:
        raise _unloadable(source.model, error) from error
    if source.adapter is not None:
        model = _adapted(model, source.adapter)
    patcher = FramePatcher.of(model.config.vision_config, features, source.most_pixels)
    hearing = WhisperFeatureExtractor.from_dict(features)
    return LoadedModel(
        model=model.eval(),
        prompter=Prompter(tokenizer, patcher, hearing),
        end_token=tokenizer.convert_tokens_to_ids(TURN_END),
        vocabulary=model.config.text_config.vocab_size,
    )


def _thinker(source: ModelSource, config: Any) -> "PreTrainedModel":
    from transformers import (  # noqa: PLC0415
        Qwen3OmniMoeForConditionalGeneration,
        Qwen3OmniMoeThinkerForConditionalGeneration,
    )

    held = {"revision": source.revision, "device_map": source.device_map}
    held["dtype"] = getattr(torch, source.dtype)
    if config.model_type == THINKER:
        return Qwen3OmniMoeThinkerForConditionalGeneration.from_pretrained(source.model, **held)
    if config.model_type == WHOLE:
        # Speech is not asked for: the talker is not built, its weights are not read.
        config.enable_audio_output = False
        whole = Qwen3OmniMoeForConditionalGeneration.from_pretrained(
            source.model, config=config, **held
        )
        return whole.thinker
    raise AnswersError(
        source.model, f"is of the family {config.model_type!r}", f"{WHOLE!r} or {THINKER!r}",
        "Name a Qwen3-Omni model.",
    )  # fmt: skip


def _adapted(model: "PreTrainedModel", adapter: Path) -> "PreTrainedModel":
    from peft import PeftModel  # noqa: PLC0415

    if not (adapter / "adapter_model.safetensors").exists():
        raise AnswersError(
            adapter.name, "holds no adapter", "a folder with adapter_model.safetensors",
            "Name the folder that training wrote: adapter/ in its run.",
        )  # fmt: skip
    return PeftModel.from_pretrained(model, adapter)


@dataclass(frozen=True)
class FramePatcher:
    """How a model takes frames in."""

    patch: int  # pixels of a patch's side
    merge: int  # patches merged along each side
    frames: int  # frames in a patch
    mean: np.ndarray  # (3,), of red, green and blue, pixels within 0 to 1
    std: np.ndarray  # (3,)
    most_pixels: int  # a larger frame is made smaller

    @classmethod
    def of(cls, vision: Any, features: Mapping[str, Any], most_pixels: int) -> "FramePatcher":
        """Read it from a model's files.

        The vision tower's configuration holds the geometry that the weights were made for,
        ``preprocessor_config.json`` means and standard deviations. Without means, or if a frame may
        not be as large as one merged patch, that is an AnswersError.
        """
        mean, std = features.get("image_mean"), features.get("image_std")
        if mean is None or std is None:
            raise AnswersError(
                "preprocessor_config.json", "has no image_mean or image_std", "three numbers each",
                "Fetch the model's files again.",
            )  # fmt: skip
        patch, merge = int(vision.patch_size), int(vision.spatial_merge_size)
        if most_pixels < (patch * merge) ** 2:
            raise AnswersError(
                "pixels", f"is {most_pixels}", f"at least {(patch * merge) ** 2}, one merged patch",
                "Allow larger frames.",
            )  # fmt: skip
        mean, std = (np.array(values, dtype=np.float32) for values in (mean, std))
        return cls(patch, merge, int(vision.temporal_patch_size), mean, std, most_pixels)

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width in pixels after scaling: multiples of a merged patch."""
        unit = self.patch * self.merge
        shrink = min(1.0, np.sqrt(self.most_pixels / (height * width)))
        # Rounded down when shrinking, so that the limit is one; to the nearest otherwise.
        fit = np.floor if shrink < 1 else np.round
        high, wide = (max(1, int(fit(side * shrink / unit))) * unit for side in (height, width))
        return high, wide

    def patches(self, frames: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Cut RGB frames into patches, in the order that the vision tower reads.

        They are float32 (n_patches, 3 * frames * patch * patch); with them comes how many there are
        along time, height and width.
        """
        height, width = frames.shape[1:3]
        high, wide = self.size_of(height, width)
        how = cv2.INTER_AREA if high * wide < height * width else cv2.INTER_CUBIC
        scaled = np.stack([cv2.resize(one, (wide, high), interpolation=how) for one in frames])
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


def audio_tokens(mel_frames: int) -> int:
    """Return how many tokens the audio tower makes of a spectrogram."""
    whole, rest = divmod(mel_frames, MEL_FRAMES_A_PIECE)
    for _ in range(3):  # three convolutions of stride 2
        rest = (rest + 1) // 2
    return whole * TOKENS_A_PIECE + rest


@dataclass(frozen=True)
class EncodedRecord:
    """One record as a model takes it in."""

    ids: np.ndarray  # int64 (n_tokens,)
    labels: np.ndarray  # int64 (n_tokens,), the token where it is to be learnt, else IGNORED
    patches: np.ndarray  # float32 (n_patches, patch_values)
    grid: tuple[int, int, int]
    seconds_a_grid: float  # time between neighbouring patches
    mel: np.ndarray | None  # float32 (n_bins, n_mel_frames)


@dataclass(frozen=True)
class Prompter:
    """Turns records into tensors for one model: the chat, the clip as patches, the sound as mel."""

    tokenizer: "PreTrainedTokenizerBase"
    patcher: FramePatcher
    hearing: "WhisperFeatureExtractor"

    def encode(self, record: Supervised, folder: Path, *, answered: bool) -> EncodedRecord:
        """Return a record's prompt, with its media and perhaps its answer, as arrays.

        Media lie relative to the folder. For training the target follows the prompt: only its
        tokens and the end of its turn are learnt. A clip that cannot be decoded is an AnswersError.
        """
        media, mel = record.media, None
        patches, grid = self.patcher.patches(read_frames(folder / media.video, media.n_frames))
        shown = "<|video_pad|>" * (int(np.prod(grid)) // self.patcher.merge**2)
        user = f"<|vision_start|>{shown}<|vision_end|>"
        if media.audio is not None:
            heard = self.hearing(
                read_sound(folder / media.audio), sampling_rate=AUDIO_HZ, truncation=False,
                padding="longest", return_tensors="np",
            )  # fmt: skip
            mel = heard["input_features"][0]
            user += f"<|audio_start|>{'<|audio_pad|>' * audio_tokens(mel.shape[1])}<|audio_end|>"
        turns = (("system", record.system), ("user", user + record.user))
        said = "".join(f"{TURN_START}{who}\n{text}{TURN_END}\n" for who, text in turns)
        prompt = self._ids(f"{said}{TURN_START}assistant\n")
        answer = self._ids(record.target + TURN_END) if answered else []
        return EncodedRecord(
            ids=np.array(prompt + answer),
            labels=np.array([IGNORED] * len(prompt) + answer),
            patches=patches,
            grid=grid,
            seconds_a_grid=self.patcher.frames / media.fps,
            mel=mel,
        )

    def n_learnt(self, record: Supervised) -> int:
        """Return how many tokens of a record are learnt."""
        return len(self._ids(record.target + TURN_END))

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def batch(self, items: Sequence[EncodedRecord], *, left: bool) -> dict[str, torch.Tensor]:
        """Return a batch by the argument names of the model, filled on the left for generation.

        It holds ``input_ids``, ``attention_mask`` and ``labels``, each (n, n_tokens), and the video
        and whatever there is of sound, the items' parts one after the other.
        """

        def filled(rows: Sequence[np.ndarray], value: int, side: str = "right") -> torch.Tensor:
            rows = [torch.from_numpy(row) for row in rows]
            return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=side)

        side = "left" if left else "right"
        made = {
            "input_ids": filled([item.ids for item in items], self.tokenizer.pad_token_id, side),
            "attention_mask": filled([np.ones_like(item.ids) for item in items], 0, side),
            "labels": filled([item.labels for item in items], IGNORED, side),
            "pixel_values_videos": torch.from_numpy(np.concatenate([i.patches for i in items])),
            "video_grid_thw": torch.tensor([item.grid for item in items]),
            "video_second_per_grid": torch.tensor([item.seconds_a_grid for item in items]),
        }
        mels = [item.mel.T for item in items if item.mel is not None]  # each (n_mel_frames, n_bins)
        if mels:
            made["input_features"] = filled(mels, 0).mT.contiguous()  # (n_audios, n_bins, n_most)
            masks = [np.ones(len(mel), dtype=np.int64) for mel in mels]
            made["feature_attention_mask"] = filled(masks, 0)
        return made
