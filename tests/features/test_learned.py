"""Learned blocks: columns beyond the layout, from pictures, sound and captions; what they gain."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import ParamsError
from xperience.evaluation.records import Record
from xperience.features import learned
from xperience.features.blocks import BLOCKS_BY_NAME, Block
from xperience.features.learned import (
    EFFICIENTNET,
    LOOKS,
    MINILM,
    PICTURE_PACKAGES,
    SENTENCE_PACKAGES,
    LearnedError,
    add_learned,
    declare,
    learned_block,
    of_pictures,
    sentence_vectors,
)
from xperience.features.table import TableError, WindowTable
from xperience.recording.media import read_rgb
from xperience.studies.learned import suite_rows
from xperience.tasks.catalogue import ALL, TASKS, TEXT
from xperience.tasks.problem import problems_of

COLOUR = "frames_colour"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Declare a block of mean colours; return the numbers of pictures that were encoded at once."""
    for known in (learned.LEARNED, BLOCKS_BY_NAME):
        monkeypatch.setitem(known, COLOUR, None)  # and gone again after the test
    batches: list[int] = []

    def colours(pictures: learned.Pictures) -> np.ndarray:
        batches.append(len(pictures))
        return np.stack([picture.mean(axis=(0, 1)) for picture in pictures])

    declare(Block(COLOUR, 0, 3, "visual", ("stereo_left",)), of_pictures(colours), "1")
    return batches


@pytest.fixture
def table(whole_table: WindowTable, tmp_path: Path) -> Path:
    """A table of the tiny episode that may be changed."""
    return shutil.copy(whole_table.path, tmp_path / "mine.parquet")


def test_a_block_is_a_column_beyond_the_layout_computed_once(whole_tiny, whole_table, table, seen):
    info = add_learned(table, whole_tiny, [COLOUR])
    mine = WindowTable(table)
    pictures = np.stack([rgb.mean(axis=(0, 1)) for rgb in read_rgb(whole_tiny / "stereo_left.mp4")])
    expected = [pictures[start + LOOKS].mean(axis=0) for start in mine.labels["start_frame"]]
    np.testing.assert_allclose(mine.block(COLOUR), expected, rtol=1e-6)
    np.testing.assert_array_equal(mine.matrix(), whole_table.matrix())
    assert (info, mine.info) == (whole_table.info, info)
    mine.check_made_from(whole_tiny, "published")
    assert sum(seen) == len(np.unique(mine.labels["start_frame"].to_numpy()[:, None] + LOOKS))
    before = table.read_bytes()
    add_learned(table, whole_tiny, [COLOUR])
    assert (len(seen), table.read_bytes()) == (1, before), "the second time it comes from the cache"
    one = learned_block(COLOUR)
    declare(one.block, one.compute, "2")
    add_learned(table, whole_tiny, [COLOUR])
    assert len(seen) == 2, "another version is computed anew"


def test_what_a_block_lacks_is_null_and_named(tiny, builder, windows_of, seen):
    builder.write_video(tiny / "stereo_left.mp4", 30)
    path = windows_of(tiny).path
    info = add_learned(path, tiny, [COLOUR])
    starts = WindowTable(path).labels["start_frame"].to_numpy()
    lost = np.isnan(WindowTable(path).block(COLOUR)).all(axis=1)
    assert lost.tolist() == (starts + LOOKS[-1] >= 30).tolist()
    assert f"{lost.sum()} of {len(starts)} windows are null" in info.partial_blocks[COLOUR]
    (tiny / "stereo_left.mp4").unlink()
    path = windows_of(tiny).path
    info = add_learned(path, tiny, [COLOUR])
    assert "stereo_left.mp4" in info.missing_blocks[COLOUR]
    assert COLOUR not in info.partial_blocks
    assert np.isnan(WindowTable(path).block(COLOUR)).all()


def test_a_wrong_name_or_another_recording_is_refused(whole_tiny, tiny, builder, table, seen):
    with pytest.raises(ParamsError, match="Did you mean 'captions_minilm'"):
        add_learned(table, whole_tiny, ["caption_minilm"])
    builder.write_video(tiny / "stereo_left.mp4", 30)
    with pytest.raises(TableError, match="stereo_left"):
        add_learned(table, tiny, [COLOUR])
    assert seen == []


def test_without_the_packages_the_way_out_is_named_before_any_work(whole_tiny, table, seen):
    one = learned_block(COLOUR)
    declare(one.block, one.compute, one.version, ("numpy", "no_such_package"))
    with pytest.raises(LearnedError, match=r"no_such_package.*extra `learned`.*make extras"):
        add_learned(table, whole_tiny, [COLOUR])
    assert seen == []
    assert learned.LEARNED[EFFICIENTNET].needs == PICTURE_PACKAGES
    assert learned.LEARNED[MINILM].needs == SENTENCE_PACKAGES


def test_verbs_refuse_blocks_that_they_cannot_have(whole_tiny, table):
    out = table.with_name("out")
    read = {"features": ("captions", "hf:MODEL@REVISION"), "suite": (MINILM, f"--blocks {MINILM}")}
    for verb, (block, told) in read.items():
        call = [verb, str(whole_tiny), "--out", str(out), "--blocks", block]
        call += ["--windows", str(table)] if verb == "suite" else []
        done = CliRunner().invoke(app, call)
        assert (done.exit_code, told in done.stderr) == (1, True), done.output
        assert not out.exists()


def test_the_suite_says_what_a_block_gains_where_a_task_is_given_its_modality(
    whole_tiny, table, seen
):
    add_learned(table, whole_tiny, [COLOUR])
    problems = problems_of(whole_tiny, WindowTable(table), tasks=TASKS)
    plain = list(suite_rows(problems, ["linear"], 1, "tiny", {}))
    assert problems[0].with_blocks(ALL).ok, "a block that is known is not one that is left out"
    rows = list(suite_rows(problems, ["linear"], 1, "tiny", {COLOUR: "visual"}))
    assert [row for row in rows if COLOUR not in str(row.head)] == plain

    def gains(mark: str) -> dict[str, Record]:
        return {
            r.task: r for r in rows if r.head == f"linear{mark}{COLOUR}" and r.against == "linear"
        }

    sighted = {task.name for task in TASKS if set(task.input_blocks) & {"depth_confidence"}}
    assert {name for name, row in gains("+").items() if row.status == "ok"} <= sighted
    assert len(gains("+")) > len(TASKS) / 2
    blind = [row for row in rows if row.head == f"linear+{COLOUR}" and row.task not in sighted]
    assert {row.reason for row in blind} == {"the task is given no visual block"}
    assert set(gains("→")) == {"cross_modal_retrieval"}
    difference = gains("→")["cross_modal_retrieval"]
    values = {row.head: row.value for row in rows
              if (row.task, row.metric, row.against, row.variant) ==
              (difference.task, difference.metric, None, None)}  # fmt: skip
    assert difference.value == pytest.approx(values[difference.head] - values["linear"])


@pytest.mark.extras(*PICTURE_PACKAGES)
def test_efficientnet_sees_a_daisy_from_weights_that_are_checked(monkeypatch):
    from sklearn.datasets import load_sample_image  # noqa: PLC0415

    flower = load_sample_image("flower.jpg")
    features = learned.efficientnet([flower, flower[:48, :64]])
    assert (features.shape, features.dtype) == ((2, BLOCKS_BY_NAME[EFFICIENTNET].dim), np.float32)
    final = learned._efficientnet()._fc
    daisy = 985  # ImageNet's number of the class
    assert (
        final.weight.detach().numpy() @ features[0] + final.bias.detach().numpy()
    ).argmax() == daisy
    monkeypatch.setattr(learned, "_EFFICIENTNET_DIGEST", "0" * 64)
    learned._efficientnet.cache_clear()
    with pytest.raises(LearnedError, match="digest"):
        learned.efficientnet([flower])


@pytest.mark.extras(*SENTENCE_PACKAGES)
@pytest.mark.slow
def test_the_packaged_model_gives_the_cosines_of_its_authors_library(monkeypatch):
    sentences = ["Place paper star on table", "Place paper star", "Walk through the room", ""]
    vectors = sentence_vectors(sentences)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    # By sentence-transformers and this package.
    expected = [0.7700474, 0.1140023, 0.0149694]
    assert (vectors @ vectors.T)[0, 1:] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(sentence_vectors(sentences[::-1])[::-1], vectors, atol=1e-6)
    monkeypatch.setattr(learned, "_MINILM_DIGEST", "0" * 64)
    learned._minilm.cache_clear()
    with pytest.raises(LearnedError, match="digest"):
        sentence_vectors(["a"])


@pytest.mark.extras(*SENTENCE_PACKAGES)
def test_equal_captions_have_equal_sentence_vectors(whole_tiny, table):
    add_learned(table, whole_tiny, [MINILM])
    mine = WindowTable(table)
    words, meanings = mine.block(TEXT), mine.block(MINILM)
    assert meanings.shape[1] == BLOCKS_BY_NAME[MINILM].dim
    means = words[:, : words.shape[1] // 7]  # the first of its statistics
    for one, other in ((a, b) for a in range(len(means)) for b in range(a)):
        same = np.allclose(means[one], means[other])
        assert np.allclose(meanings[one], meanings[other], atol=1e-6) == same


@pytest.mark.extras("transformers")
@pytest.mark.parametrize("kind", ["vision", "audio"])
def test_any_model_is_a_block(kind, simulated, tmp_path, table_of, monkeypatch):
    episode, folder = simulated(frames=60), tmp_path / "model"
    path, name = table_of(episode).path, f"hf:{folder}"
    for known in (learned.LEARNED, BLOCKS_BY_NAME):
        monkeypatch.setitem(known, name, None)
        known.pop(name)
    (_vision if kind == "vision" else _audio)(folder)
    info = add_learned(path, episode, [name])
    values = WindowTable(path).block(name)
    assert values.shape == (9, 16)
    assert np.isfinite(values).all()
    assert (values.std(axis=0) > 0).any(), "windows differ"
    monkeypatch.delitem(BLOCKS_BY_NAME, name)  # whoever reads the table needs no model
    assert WindowTable(path).learned(name).modality == {"vision": "visual"}.get(kind, kind)
    assert BLOCKS_BY_NAME[name].dim == 16
    assert name not in info.missing_blocks | info.partial_blocks
    first = learned_block(name).version
    learned.LEARNED.pop(name)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert learned_block(name).version != first
    learned.LEARNED.pop(name)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(LearnedError, match="safetensors"):
        learned_block(name)


def _vision(folder: Path) -> None:
    from transformers import ViTConfig, ViTModel  # noqa: PLC0415
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil  # noqa: PLC0415

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ViTConfig(**small, intermediate_size=16, image_size=32, patch_size=8)
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)


def _audio(folder: Path) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model  # noqa: PLC0415

    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8, 8), conv_stride=(10, 8), conv_kernel=(10, 8), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, vocab_size=10,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
