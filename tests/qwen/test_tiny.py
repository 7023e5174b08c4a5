import json

import numpy as np
import pytest
import torch

from xperience.qwen.media import read_frames, read_sound
from xperience.qwen.model import IGNORED, audio_tokens, load
from xperience.qwen.model import FramePatcher as Picture
from xperience.qwen.model import ModelSource as Source
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import open_export
from xperience.qwen.tiny import make_tiny, words_of

pytestmark = pytest.mark.extras("transformers", "peft", "xgrammar")


@pytest.fixture(scope="module")
def loaded(tiny):
    return load(Source(str(tiny)))


@pytest.fixture(scope="module")
def records(toy_export):
    return list(open_export(toy_export).records("train"))


def encoded(loaded, toy_export, records, answered=True):
    return [loaded.prompter.encode(one, toy_export, answered=answered) for one in records]


def logits(loaded, items, left=False):
    inputs = loaded.prompter.batch(items, left=left)
    mask = inputs["attention_mask"].bool()
    del inputs["labels"]
    with torch.no_grad():
        found = loaded.model(**inputs).logits
    return [row[kept] for row, kept in zip(found, mask, strict=True)]


def test_the_same_seed_makes_the_same_files(tiny, toy_export, tmp_path):
    words = words_of(records=toy_export)
    digests = [
        Source(str(make_tiny(tmp_path / str(place), words, seed))).digest
        for place, seed in enumerate((3, 3, 4))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_it_is_not_written_over_what_is_there(tiny):
    with pytest.raises(AnswersError, match="is there already"):
        make_tiny(tiny, ["word"])


def test_it_has_all_parts_of_the_real_one_and_every_text_has_tokens(loaded):
    model, tokenizer = loaded.model, loaded.tokenizer
    assert type(model).__name__ == "Qwen3OmniMoeThinkerForConditionalGeneration"
    assert model.model.audio_tower is not None
    assert model.config.text_config.num_experts == 4
    text = 'Zwölf 杯 \\ "x" \x00 🙂\n'
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_whole_model_is_read_as_its_thinker(tiny, loaded, tmp_path):
    """The published checkpoints hold talker and thinker; only the latter is asked."""
    transformers = pytest.importorskip("transformers")

    thinker = loaded.model.config.to_dict()
    config = transformers.Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    whole = transformers.Qwen3OmniMoeForConditionalGeneration(config)
    whole.thinker.load_state_dict(loaded.model.state_dict())
    whole.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    again = load(Source(str(tmp_path)))
    assert type(again.model) is type(loaded.model)
    state = again.model.state_dict()
    assert all(
        torch.equal(state[name], tensor) for name, tensor in loaded.model.state_dict().items()
    )


def test_another_family_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    transformers.GPT2Config(n_layer=1).save_pretrained(tmp_path)
    with pytest.raises(AnswersError):
        load(Source(str(tmp_path)))
    with pytest.raises(AnswersError, match="cannot be loaded"):
        load(Source(str(tmp_path / "nothing")))


@pytest.mark.parametrize("left", [False, True])
def test_a_record_reads_the_same_alone_and_among_others(loaded, toy_export, records, left):
    items = encoded(loaded, toy_export, records[:3])  # with sound and without
    assert len({len(item.ids) for item in items}) > 1
    together = logits(loaded, items, left)
    for item, found in zip(items, together, strict=True):
        torch.testing.assert_close(found, logits(loaded, [item], left)[0], atol=1e-4, rtol=1e-4)


def test_only_the_answer_is_learnt(loaded, toy_export, records):
    for record, item in zip(records, encoded(loaded, toy_export, records), strict=True):
        learnt = item.ids[item.labels != IGNORED]
        assert loaded.tokenizer.decode(learnt) == record.target + "<|im_end|>"
        assert len(learnt) == loaded.prompter.n_learnt(record)
        prompt = loaded.prompter.encode(record, toy_export, answered=False)
        assert np.array_equal(item.ids[: len(prompt.ids)], prompt.ids)
        assert (prompt.labels == IGNORED).all()


def test_the_answer_is_in_no_prompt(loaded, toy_export, records):
    one = records[0]
    other = one.model_copy(update={"target": one.target.replace("Cut", "Fold"), "answer": "{}"})
    first, second = encoded(loaded, toy_export, [one, other], answered=False)
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.patches, second.patches)


def test_video_and_sound_reach_the_model(loaded, toy_export, records):
    red, heard = records[0], records[1]
    blue = red.model_copy(update={"media": records[2].media})
    assert blue.media.video != red.media.video
    first, second = (logits(loaded, encoded(loaded, toy_export, [x]))[0] for x in (red, blue))
    assert (first[-1] - second[-1]).abs().max() > 1e-4
    item = encoded(loaded, toy_export, [heard])[0]
    quiet = type(item)(**{**vars_of(item), "mel": item.mel * 0})
    first, second = logits(loaded, [item])[0], logits(loaded, [quiet])[0]
    assert (first[-1] - second[-1]).abs().max() > 1e-4


def vars_of(item):
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def test_patches_are_those_of_the_family_s_own_processor():
    module = "transformers.models.qwen2_vl.image_processing_pil_qwen2_vl"
    processor = pytest.importorskip(module).Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2, image_mean=[0.5, 0.4, 0.3],
        image_std=[0.5, 0.6, 0.7], size={"shortest_edge": 1, "longest_edge": 10**6},
    )  # fmt: skip
    image = np.random.default_rng(5).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    theirs = processor(image, return_tensors="np", input_data_format="channels_last")
    mean, std = np.array([0.5, 0.4, 0.3], "f4"), np.array([0.5, 0.6, 0.7], "f4")
    patches, grid = Picture(8, 2, 2, mean, std, 10**6).patches(np.stack([image, image]))
    assert list(grid) == theirs["image_grid_thw"][0].tolist()
    np.testing.assert_allclose(patches, theirs["pixel_values"], atol=1e-5)


def test_frames_fit_the_limit_and_an_odd_one_is_repeated():
    half = np.full(3, 0.5, dtype=np.float32)
    picture = Picture(8, 2, 2, half, half, 64 * 48)
    for height, width in ((32, 48), (480, 640), (1000, 20), (7, 9)):
        high, wide = picture.size_of(height, width)
        assert high % 16 == 0
        assert wide % 16 == 0
        assert high * wide <= 64 * 48 or min(high, wide) == 16
    frames = np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    odd, grid = picture.patches(frames)
    even, _ = picture.patches(frames[[0, 1, 2, 2]])
    assert grid == (2, 4, 6)
    assert np.array_equal(odd, even)


def test_the_model_makes_as_many_audio_tokens_as_are_foreseen():
    processing = "transformers.models.qwen3_omni_moe.processing_qwen3_omni_moe"
    theirs = pytest.importorskip(processing)._get_feat_extract_output_lengths
    lengths = range(1, 1000)
    assert [audio_tokens(n) for n in lengths] == [int(theirs(n)) for n in lengths]


def test_a_broken_clip_is_named(toy_export, tmp_path):
    assert read_frames(toy_export / "clips/Cut.mp4").shape == (4, 32, 48, 3)
    assert len(read_sound(toy_export / "clips/tone.wav")) == 32_000
    broken = tmp_path / "broken.mp4"
    broken.write_bytes((toy_export / "clips/Cut.mp4").read_bytes()[:200])
    for read in (read_frames, read_sound):
        with pytest.raises(AnswersError, match=r"broken\.mp4: cannot be decoded"):
            read(broken)


def test_words_come_from_one_place(tmp_path, toy_export):
    options = tmp_path / "options.json"
    options.write_text(json.dumps(["Cut paper"]))
    assert words_of(options=options) == ['"Cut paper"']
    for records, chosen in ((None, None), (toy_export, options)):
        with pytest.raises(AnswersError, match="Name one of the two"):
            words_of(records, chosen)


def test_a_few_texts_still_make_the_word_that_the_configuration_names(tmp_path):
    folder = make_tiny(tmp_path / "few", ["under us up until upon used utter"])
    assert load(Source(str(folder))).tokenizer.tokenize("user") == ["user"]


def test_too_few_tokens_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(AnswersError, match="no room for the word 'user' in 100 tokens"):
        make_tiny(tmp_path / "few", ["word"], vocabulary=100)
    assert not list(tmp_path.iterdir())
