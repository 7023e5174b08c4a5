"""A Qwen3-Omni of a few hundred thousand weights, made here, that loads like the real one.

It has every part of the real model: a vision tower, an audio tower, a text model of experts, a
byte-level tokenizer, the special tokens and the feature settings. It knows nothing: its weights are
drawn, so whatever it answers well it was taught, or the grammar made it so.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from xperience.outputs import check_output
from xperience.qwen.model import PADDING, TURN_END, TURN_START, require
from xperience.qwen.schema import AnswersError, read_options
from xperience.qwen.supervised import open_export, whole_folder
from xperience.storage import write_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3OmniMoeThinkerConfig

NAMED_TOKENS = {
    "audio_token": "<|audio_pad|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
TURNS = ("system", "user", "assistant")
"""Names of the turns. The model's configuration wants the second one as a token of its own."""
MEL_BINS = 16
PATCH = 8
SPREAD = 0.1
"""Of weights: about one over the root of the width, so that what goes in still shows at the end."""
FEATURES = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": MEL_BINS, "sampling_rate": 16_000, "hop_length": 160, "n_fft": 400,
    "chunk_length": 300, "padding_value": 0.0, "return_attention_mask": True,
    "image_processor_type": "Qwen2VLImageProcessor", "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5], "patch_size": PATCH, "merge_size": 2,
    "temporal_patch_size": 2, "processor_class": "Qwen3OmniMoeProcessor",
}  # fmt: skip
"""The settings of pictures and sound, by the names of the real model's file."""


def make_tiny(
    folder: Path | str, texts: Iterable[str], seed: int = 0, vocabulary: int = 768
) -> Path:
    """Write a tiny thinker of the Qwen3-Omni architecture with its tokenizer; return its folder.

    It holds weights (safetensors), configuration, tokenizer and feature settings. The same
    arguments give the same files.

    Parameters
    ----------
    folder : path
        Folder to make; it must not exist.
    texts : iterable of str
        What the tokenizer learns its merges from: prompts, options, answers.
    seed : int
        Seeds the weights.
    vocabulary : int
        Most tokens, special ones included.

    Raises
    ------
    AnswersError
        If the folder exists, a package is missing, or the tokens are too few.
    """
    require()
    folder = Path(folder)
    check_output(folder)
    if folder.exists():
        raise AnswersError(folder.name, "is there already", "a new folder", "Name another one.")
    with whole_folder(folder) as scratch:
        tokenizer = _tokenizer(texts, vocabulary)
        tokenizer.save_pretrained(scratch)
        _write_weights(scratch, tiny_config(tokenizer), seed)
        write_json(scratch / "preprocessor_config.json", FEATURES)
    return folder


def words_of(records: Path | None = None, options: Path | None = None) -> list[str]:
    """Return texts whose words a tokenizer should know.

    Parameters
    ----------
    records : Path, optional
        A finished export: its options, and prompts and targets of its training side.
    options : Path, optional
        A file of options instead.

    Raises
    ------
    AnswersError
        If neither or both are named, or one cannot be read.
    """
    if (records is None) == (options is None):
        raise AnswersError(
            "words", "come from nowhere" if records is None else "come from two places",
            "either records or options", "Name one of the two.",
        )  # fmt: skip
    export = None if records is None else open_export(records)
    lists = (read_options(options) if export is None else export.options).as_json()
    said = [json.dumps(name, ensure_ascii=False) for some in lists.values() for name in some]
    for one in () if export is None else export.records("train"):
        said += [one.system, one.user, one.target]
    return said


def tiny_config(tokenizer: "PreTrainedTokenizerFast") -> "Qwen3OmniMoeThinkerConfig":
    """Return the configuration of a tiny thinker for a tokenizer."""
    from transformers import Qwen3OmniMoeThinkerConfig  # noqa: PLC0415

    token = tokenizer.convert_tokens_to_ids
    return Qwen3OmniMoeThinkerConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128,
            "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
            "max_position_embeddings": 32768, "initializer_range": SPREAD,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
            "pad_token_id": token(PADDING), "eos_token_id": token(TURN_END), "bos_token_id": None,
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64,
            "patch_size": PATCH, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "initializer_range": SPREAD, "out_hidden_size": 64, "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
        },
        audio_config={
            "num_mel_bins": MEL_BINS, "encoder_layers": 1, "encoder_attention_heads": 2,
            "encoder_ffn_dim": 64, "d_model": 32, "output_dim": 64, "downsample_hidden_size": 8,
            "initializer_range": SPREAD,
        },
        audio_token_id=token(NAMED_TOKENS["audio_token"]),
        image_token_id=token(NAMED_TOKENS["image_token"]),
        video_token_id=token(NAMED_TOKENS["video_token"]),
        audio_start_token_id=token(NAMED_TOKENS["audio_bos_token"]),
        audio_end_token_id=token(NAMED_TOKENS["audio_eos_token"]),
        vision_start_token_id=token(NAMED_TOKENS["vision_bos_token"]),
        vision_end_token_id=token(NAMED_TOKENS["vision_eos_token"]),
        position_id_per_seconds=13,
        initializer_range=SPREAD,
        user_token_id=token("user"),
    )  # fmt: skip


def _tokenizer(texts: Iterable[str], vocabulary: int) -> "PreTrainedTokenizerFast":
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    said = sorted(set(texts))
    inner = _merges([*said, *["system user assistant"] * 2], vocabulary)
    if inner.token_to_id("user") is None:
        # of a few texts the merges may come in an order that never makes the word whole
        inner = _merges([*said, *list(TURNS) * (len(said) + 2)], vocabulary)
    if inner.token_to_id("user") is None:
        raise AnswersError(
            "tiny model", f"no room for the word 'user' in {vocabulary} tokens",
            "a token for that turn", "Ask for more tokens, or give shorter texts.",
        )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=TURN_END,
        pad_token=PADDING,
        extra_special_tokens=NAMED_TOKENS,
    )


def _merges(texts: list[str], vocabulary: int) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = [PADDING, TURN_START, TURN_END, *NAMED_TOKENS.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return inner


def _write_weights(folder: Path, config: "Qwen3OmniMoeThinkerConfig", seed: int) -> None:
    import torch  # noqa: PLC0415
    from transformers import Qwen3OmniMoeThinkerForConditionalGeneration  # noqa: PLC0415

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3OmniMoeThinkerForConditionalGeneration(config)
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    model.generation_config.pad_token_id = config.text_config.pad_token_id
    model.save_pretrained(folder)
