"""The tiny model loads like the real one, and takes records in as the real one's processor does."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from xperience.qwen.media import read_frames, read_sound
from xperience.qwen.model import IGNORED, FramePatcher, ModelSource, audio_tokens, load
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import open_export
from xperience.qwen.tiny import make_tiny, words_of

pytestmark = pytest.mark.extras("transformers", "peft", "xgrammar")


@pytest.fixture(scope="module")
def loaded(tiny):
    return load(ModelSource(str(tiny)))


@pytest.fixture(scope="module")
def records(toy_export):
    return list(open_export(toy_export).records("train"))


@pytest.fixture(scope="module")
def encoded(loaded, toy_export):
    """Return a function (records) that encodes them with their answers."""
    return lambda some: [loaded.prompter.encode(x, toy_export, answered=True) for x in some]


def logits(loaded, items, left=False):
    inputs = loaded.prompter.batch(items, left=left)
    mask = inputs["attention_mask"].bool()
    del inputs["labels"]
    with torch.no_grad():
        found = loaded.model(**inputs).logits
    return [row[kept] for row, kept in zip(found, mask, strict=True)]


def test_the_same_seed_makes_the_same_files_and_none_are_written_over(toy_export, tmp_path):
    words = words_of(records=toy_export)
    made = [make_tiny(tmp_path / str(place), words, seed) for place, seed in enumerate((3, 3, 4))]
    digests = [ModelSource(str(folder)).digest for folder in made]
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(AnswersError, match="is there already"):
        make_tiny(made[0], ["word"])


def test_the_whole_model_is_read_as_its_thinker(tiny, loaded, tmp_path):
    """The published checkpoints hold talker and thinker; only the latter is asked."""
    transformers = pytest.importorskip("transformers")

    assert loaded.model.model.audio_tower is not None
    thinker = loaded.model.config.to_dict()
    config = transformers.Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    whole = transformers.Qwen3OmniMoeForConditionalGeneration(config)
    whole.thinker.load_state_dict(loaded.model.state_dict())
    whole.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    again = load(ModelSource(str(tmp_path)))
    assert type(again.model) is type(loaded.model)
    state = again.model.state_dict()
    assert all(
        torch.equal(state[name], tensor) for name, tensor in loaded.model.state_dict().items()
    )


def test_another_family_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    transformers.GPT2Config(n_layer=1).save_pretrained(tmp_path)
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(AnswersError, match=r"family|cannot be loaded"):
            load(ModelSource(str(folder)))
    with pytest.raises(AnswersError, match="Did you mean 'float32'"):
        ModelSource("any", dtype="float23")


@pytest.mark.parametrize("left", [False, True])
def test_a_record_reads_the_same_alone_and_among_others(loaded, encoded, records, left):
    items = encoded(records[:3])  # with sound and without
    assert len({len(item.ids) for item in items}) > 1
    for item, found in zip(items, logits(loaded, items, left), strict=True):
        torch.testing.assert_close(found, logits(loaded, [item], left)[0], atol=1e-4, rtol=1e-4)


def test_only_the_answer_is_learnt_and_no_prompt_holds_it(loaded, toy_export, encoded, records):
    for record, item in zip(records, encoded(records), strict=True):
        learnt = item.ids[item.labels != IGNORED]
        assert loaded.tokenizer.decode(learnt) == record.target + "<|im_end|>"
        assert len(learnt) == loaded.prompter.n_learnt(record)
        other = record.model_copy(update={"target": "{}", "answer": "{}"})
        prompt = loaded.prompter.encode(other, toy_export, answered=False)
        assert np.array_equal(item.ids[: len(prompt.ids)], prompt.ids)
        assert np.array_equal(item.patches, prompt.patches)
        assert (prompt.labels == IGNORED).all()


def test_video_and_sound_reach_the_model(loaded, encoded, records):
    red, heard = encoded(records[:2])
    (blue,) = encoded([records[0].model_copy(update={"media": records[2].media})])
    for one, other in ((red, blue), (heard, replace(heard, mel=heard.mel * 0))):
        first, second = logits(loaded, [one])[0], logits(loaded, [other])[0]
        assert (first[-1] - second[-1]).abs().max() > 1e-4


def test_patches_are_those_of_the_family_s_own_processor():
    module = "transformers.models.qwen2_vl.image_processing_pil_qwen2_vl"
    processor = pytest.importorskip(module).Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2, image_mean=[0.5, 0.4, 0.3],
        image_std=[0.5, 0.6, 0.7], size={"shortest_edge": 1, "longest_edge": 10**6},
    )  # fmt: skip
    image = np.random.default_rng(5).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    theirs = processor(image, return_tensors="np", input_data_format="channels_last")
    mean, std = np.array([0.5, 0.4, 0.3], "f4"), np.array([0.5, 0.6, 0.7], "f4")
    patcher = FramePatcher(8, 2, 2, mean, std, 10**6)
    patches, grid = patcher.patches(np.stack([image]))  # an odd frame is repeated
    assert list(grid) == theirs["image_grid_thw"][0].tolist()
    np.testing.assert_allclose(patches, theirs["pixel_values"], atol=1e-5)
    limited = replace(patcher, most_pixels=64 * 48)
    for height, width in ((32, 48), (480, 640), (1000, 20), (7, 9)):
        high, wide = limited.size_of(height, width)
        assert high % 16 == wide % 16 == 0
        assert high * wide <= 64 * 48 or min(high, wide) == 16


def test_the_model_makes_as_many_audio_tokens_as_are_foreseen():
    processing = "transformers.models.qwen3_omni_moe.processing_qwen3_omni_moe"
    theirs = pytest.importorskip(processing)._get_feat_extract_output_lengths
    assert [audio_tokens(n) for n in range(1, 1000)] == [int(theirs(n)) for n in range(1, 1000)]


def test_a_broken_clip_is_named(toy_export, tmp_path):
    clip, broken = toy_export / "clips/Cut.mp4", tmp_path / "broken.mp4"
    assert read_frames(clip, 4).shape == (4, 32, 48, 3)
    assert len(read_sound(toy_export / "clips/tone.wav")) == 32_000
    broken.write_bytes(clip.read_bytes()[:200])
    for read in (lambda path: read_frames(path, 4), read_sound):
        with pytest.raises(AnswersError, match=r"broken\.mp4: cannot be decoded"):
            read(broken)
    with pytest.raises(AnswersError, match="4 of 5 frames are there"):
        read_frames(clip, 5)


def test_words_come_from_one_place_and_make_a_tokenizer_of_any_text(tmp_path, toy_export):
    options = tmp_path / "options.json"
    options.write_text(json.dumps(["Cut paper"]))
    assert words_of(options=options) == ['"Cut paper"']
    for records, chosen in ((None, None), (toy_export, options)):
        with pytest.raises(AnswersError, match="Name one of the two"):
            words_of(records, chosen)
    # Of a few texts the configuration's word still becomes a token, and any text has tokens.
    folder = make_tiny(tmp_path / "few", ["under us up until upon used utter"])
    tokenizer = load(ModelSource(str(folder))).tokenizer
    assert tokenizer.tokenize("user") == ["user"]
    text = 'Zwölf 杯 \\ "x" \x00 🙂\n'
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
