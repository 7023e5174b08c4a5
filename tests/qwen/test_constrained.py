"""Whatever a model draws under the grammar is a strict answer that ends."""

import json
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.qwen.constrained import MOST_DIGITS, ConstrainedLogits, Rules, answer_lengths
from xperience.qwen.schema import (
    UNKNOWN,
    AnswersError,
    Options,
    answer_text,
    read_answer,
)

from .conftest import answer

pytestmark = pytest.mark.extras("xgrammar", "transformers")
AWKWARD = Options(
    ('Hold "pen"', "Cut [paper", "Gießen", 'Say "objects": [', "Cut"),
    ("a\\b", "Draw", "Tab\there"),
    ("pen", "pencil", 'pen "x"', "cup", "杯"),
)
FEW = Options(("Cut", "Hold"), ("Draw",), ("pen",))
OPEN = Options(("Cut", "Hold"))
PLAIN = answer(action="Cut", subtask="Draw", next_action="Cut")


@pytest.fixture(scope="module")
def rules(tiny):
    """Return a function (options) that compiles a grammar for the tiny model's tokenizer."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    # Wider than the tokenizer, as the real model's logits are.
    return lambda options: Rules(options, tokenizer, len(tokenizer) + 5, end)


def drawn(rules, limit, seed, n=4):
    """Let noise write n answers; yield each text, or None where the end of the turn is missing."""
    holder = ConstrainedLogits(rules, limit)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros((n, 1), dtype=torch.long)
    for _ in range(holder.limit):
        noise = torch.randn((n, rules.vocabulary), generator=generator)
        ids = torch.cat([ids, holder(ids, noise).argmax(-1, keepdim=True)], dim=1)
        if (ids == rules.end_token).any(dim=1).all():
            break
    for row in ids[:, 1:].tolist():
        end = row.index(rules.end_token) if rules.end_token in row else None
        said = b"".join(rules.pieces[token] for token in row[:end])
        yield None if end is None else said.decode()


@pytest.mark.parametrize("options", [AWKWARD, FEW, OPEN], ids=["awkward", "few", "open"])
@pytest.mark.parametrize("room", [0, 25, None], ids=["tightest", "tight", "ample"])
def test_whatever_is_drawn_is_a_strict_answer_that_ends(rules, options, room):
    made = rules(options)
    limit = None if room is None else made.lengths.least_limit + room
    texts = [text for seed in range(2) for text in drawn(made, limit, seed)]
    assert None not in texts
    assert [read_answer(text, options).faults for text in texts] == [()] * len(texts)
    values = [json.loads(text) for text in texts]
    assert [answer_text(value) for value in values] == texts
    counts = [len(value["objects"]) for value in values]
    assert [len(set(value["objects"])) for value in values] == counts
    assert max(counts) > 0 or room == 0


label = st.sampled_from([*AWKWARD.action, UNKNOWN])
frame = st.integers(0, 10**MOST_DIGITS - 1)
answers = st.fixed_dictionaries(
    {
        "action": label, "subtask": st.sampled_from([*AWKWARD.subtask, UNKNOWN]),
        "objects": st.lists(st.sampled_from(AWKWARD.objects), max_size=5, unique=True),
        "contact": st.sampled_from(["yes", "no", UNKNOWN]),
        "transition": st.sampled_from(["yes", "no", UNKNOWN]), "next_action": label,
        "evidence_window": st.fixed_dictionaries({"start_frame": frame, "end_frame": frame}),
    }
)  # fmt: skip


def accepts(rules, text):
    """Return whether a text is a whole answer by the grammar, objects apart."""
    matcher = rules.matcher()
    return matcher.accept_string(text) and matcher.is_completed()


@given(value=answers)
@settings(max_examples=12)
def test_every_answer_that_may_be_taught_can_be_written(rules, value):
    made = rules(AWKWARD)
    text = answer_text(value)
    assert accepts(made, text)
    # Token by token too, as a tokenizer cuts it: nothing on the way is forbidden.
    holder = ConstrainedLogits(made)
    tokens = made.tokenizer(text)["input_ids"] + [made.end_token]
    ids = torch.zeros((1, 1), dtype=torch.long)
    for token in tokens:
        scores = holder(ids, torch.zeros((1, made.vocabulary)))
        assert scores[0, token] == 0, (text, made.tokenizer.decode(token))
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    assert len(tokens) <= made.lengths.full_limit


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "cut"},
        {"subtask": ""},
        {"contact": "maybe"},
        {"objects": ["pen"] * 9},
        {"objects": ["glass"]},
        {"evidence_window": {"start_frame": -1, "end_frame": 12}},
        {"evidence_window": {"start_frame": 1.5, "end_frame": 12}},
        {"evidence_window": {"start_frame": 0, "end_frame": 10**MOST_DIGITS}},
    ],
)
def test_what_is_no_answer_is_refused(rules, changed):
    made = rules(FEW)
    assert accepts(made, answer_text(PLAIN))
    assert not accepts(made, answer_text(PLAIN | changed))


def test_lengths_bound_the_longest_answer_and_a_lower_limit_is_refused(rules):
    longest = PLAIN | {
        "action": max(AWKWARD.action, key=lambda s: len(json.dumps(s, ensure_ascii=False))),
        "subtask": "Tab\there", "contact": UNKNOWN, "transition": UNKNOWN,
        "evidence_window": {"start_frame": 999999, "end_frame": 999999}, "objects": [],
    }  # fmt: skip
    longest["next_action"] = longest["action"]
    least = answer_lengths(AWKWARD).least_limit
    assert len(answer_text(longest).encode()) + 1 == least
    made = rules(AWKWARD)
    ConstrainedLogits(made, least)
    with pytest.raises(AnswersError, match="so that every answer can end"):
        ConstrainedLogits(made, least - 1)


def test_three_thousand_options_with_one_beginning_are_no_burden(rules):
    """Ten times as many take ten times as long; a hundred times, if each label followed itself."""

    def took_s(n_options):
        names = [f"Pick up the long thing number {number}" for number in range(n_options)]
        options = Options(tuple(names), tuple(names), tuple(names))
        started = time.process_time()
        made = rules(options)
        assert all(read_answer(text, options).strict for text in drawn(made, None, 1, n=2))
        return time.process_time() - started

    assert took_s(3000) < 50 * took_s(300)
