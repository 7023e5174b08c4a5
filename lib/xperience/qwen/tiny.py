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
from xperience.qwen.supervised import open_export
from xperience.storage import whole_folder, write_json

if TYPE_CHECKING:
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
VOCABULARY = 768
"""Most tokens, special ones included."""
MEL_BINS, PATCH = 16, 8
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


def make_tiny(folder: Path | str, texts: Iterable[str], seed: int = 0) -> Path:
    """Write a tiny thinker of the Qwen3-Omni architecture with its tokenizer; return its folder.

    It holds weights (safetensors), drawn from the seed, configuration, tokenizer and feature
    settings. The tokenizer learns its merges from the texts: prompts, options, answers. The same
    arguments give the same files. A folder that exists is an AnswersError.
    """
    require()
    import torch  # noqa: PLC0415
    from transformers import Qwen3OmniMoeThinkerForConditionalGeneration  # noqa: PLC0415

    folder = Path(folder)
    check_output(folder)
    if folder.exists():
        raise AnswersError(folder.name, "is there already", "a new folder", "Name another one.")
    with whole_folder(folder) as scratch:
        tokenizer = _tokenizer(texts)
        tokenizer.save_pretrained(scratch)
        config = _config(tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Qwen3OmniMoeThinkerForConditionalGeneration(config)
        model.generation_config.eos_token_id = config.text_config.eos_token_id
        model.generation_config.pad_token_id = config.text_config.pad_token_id
        model.save_pretrained(scratch)
        write_json(scratch / "preprocessor_config.json", FEATURES)
    return folder


def words_of(records: Path | None = None, options: Path | None = None) -> list[str]:
    """Return texts whose words a tokenizer should know.

    They are the options, and prompts and targets of the training split, of a finished export, or
    those of a file of options. If neither or both are named, that is an AnswersError.
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


def _config(tokenizer: "PreTrainedTokenizerFast") -> "Qwen3OmniMoeThinkerConfig":
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


def _tokenizer(texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PADDING, TURN_START, TURN_END, *NAMED_TOKENS.values()],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator([*sorted(set(texts)), *["system user assistant"] * 2], trainer)
    if inner.token_to_id("user") is None:  # of a few texts the merges may never make it whole
        inner.add_tokens(["user"])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=TURN_END,
        pad_token=PADDING,
        extra_special_tokens=NAMED_TOKENS,
    )
