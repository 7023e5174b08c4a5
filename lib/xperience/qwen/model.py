"""A Qwen3-Omni thinker by folder or by name, with its tokenizer, its adapter and its digest."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xperience.errors import did_you_mean
from xperience.qwen.prompter import Prompter, picture_of
from xperience.qwen.schema import AnswersError
from xperience.storage import file_digest, value_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NEEDS = ("transformers", "peft", "accelerate", "safetensors", "tokenizers", "xgrammar")
WHOLE, THINKER = "qwen3_omni_moe", "qwen3_omni_moe_thinker"
DTYPES = ("float32", "bfloat16", "float16")
MOST_PIXELS = 768 * 32 * 32
"""Of a frame: the upper bound that the model family states."""


@dataclass(frozen=True)
class Source:
    """Which model, and how it is held.

    Parameters
    ----------
    model : str
        A folder, or a name on the hub such as "Qwen/Qwen3-Omni-30B-A3B-Instruct".
    revision : str, optional
        Commit of a name on the hub.
    adapter : Path, optional
        Folder of a LoRA adapter.
    dtype : str
        "float32", "bfloat16" or "float16".
    device_map : str, optional
        Handed to transformers: "auto" spreads the weights over the devices.
    most_pixels : int
        Larger frames are made smaller.
    """

    model: str
    revision: str | None = None
    adapter: Path | None = None
    dtype: str = "float32"
    device_map: str | None = None
    most_pixels: int = MOST_PIXELS

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise AnswersError(
                "dtype", f"is {self.dtype!r}", "a type of weights", did_you_mean(self.dtype, DTYPES)
            )

    @property
    def digest(self) -> str:
        """What tells this model from every other: its files' content, or its commit."""
        return model_digest(self.model, self.revision)

    @property
    def adapter_digest(self) -> str | None:
        """Digest of the adapter's files, None without one."""
        return None if self.adapter is None else _folder_digest(self.adapter)


@dataclass(frozen=True)
class Loaded:
    """A model that can be asked.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
    prompter : Prompter
    end_token : int
        Ends a turn.
    vocabulary : int
        Width of the logits; the tokenizer may know fewer tokens.
    """

    model: "PreTrainedModel"
    prompter: Prompter
    end_token: int
    vocabulary: int

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer."""
        return self.prompter.tokenizer


def require(packages: tuple[str, ...] = NEEDS) -> None:
    """Refuse to go on without the packages of the extra ``answers``.

    Raises
    ------
    AnswersError
        If one is missing.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise AnswersError(
            "packages", f"lack {', '.join(missing)}", "the extra `answers`",
            "Install it with `make extras`.",
        )  # fmt: skip


def load(source: Source) -> Loaded:
    """Load a thinker with everything that turns records into its inputs.

    Parameters
    ----------
    source : Source

    Returns
    -------
    Loaded
        In evaluation mode, adapter applied if one is named.

    Raises
    ------
    AnswersError
        If a package or file is missing, or the model is of another family.
    """
    require()
    from transformers import AutoConfig, AutoTokenizer, WhisperFeatureExtractor  # noqa: PLC0415
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()  # ours say more
    try:
        config = AutoConfig.from_pretrained(source.model, revision=source.revision)
        tokenizer = AutoTokenizer.from_pretrained(source.model, revision=source.revision)
        features, _ = WhisperFeatureExtractor.get_feature_extractor_dict(
            source.model, revision=source.revision
        )
        model = _thinker(source, config)
    except (OSError, ValueError) as error:
        if isinstance(error, AnswersError):
            raise
        raise _unloadable(source.model, error) from error
    picture = picture_of(model.config.vision_config, features, source.most_pixels)
    hearing = WhisperFeatureExtractor.from_dict(features)
    padding = tokenizer.pad_token_id
    return Loaded(
        model=_adapted(model, source.adapter).eval(),
        prompter=Prompter(tokenizer, picture, hearing, padding),
        end_token=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        vocabulary=model.config.text_config.vocab_size,
    )


def _thinker(source: Source, config: Any) -> "PreTrainedModel":
    import torch  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        Qwen3OmniMoeForConditionalGeneration,
        Qwen3OmniMoeThinkerForConditionalGeneration,
    )

    held = {
        "revision": source.revision,
        "dtype": getattr(torch, source.dtype),
        "device_map": source.device_map,
    }
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


def _adapted(model: "PreTrainedModel", adapter: Path | None) -> "PreTrainedModel":
    if adapter is None:
        return model
    from peft import PeftModel  # noqa: PLC0415

    if not (adapter / "adapter_model.safetensors").exists():
        raise AnswersError(
            adapter.name, "holds no adapter", "a folder with adapter_model.safetensors",
            "Name the folder that training wrote: best/ or last/.",
        )  # fmt: skip
    return PeftModel.from_pretrained(model, adapter)


def _unloadable(model: str, error: Exception) -> AnswersError:
    reason = str(error).splitlines()[0]
    return AnswersError(
        model, f"cannot be loaded ({reason})", "the folder or hub name of a Qwen3-Omni model",
        "Check the name; `xperience answers tiny` makes a small one here.",
    )  # fmt: skip


def model_digest(model: str, revision: str | None = None) -> str:
    """Return what tells a model from every other, 64 hex digits.

    Parameters
    ----------
    model : str
        A folder, whose files are read, or a name on the hub.
    revision : str, optional
        Of a name on the hub; its commit is looked up.

    Raises
    ------
    AnswersError
        If the name cannot be resolved to a commit.
    """
    if Path(model).is_dir():
        return _folder_digest(Path(model))
    require(("transformers",))
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        commit = AutoConfig.from_pretrained(model, revision=revision)._commit_hash
    except (OSError, ValueError) as error:
        raise _unloadable(model, error) from error
    if commit is None:
        raise _unloadable(model, ValueError("its commit is not known"))
    return value_digest([model, commit])


def _folder_digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return value_digest({str(f.relative_to(folder)): file_digest(f) for f in files})
