"""Answers held to the grammar while a model writes them: which tokens may come next.

xgrammar follows the grammar. What a context-free grammar cannot say in reasonable size stands
beside it: no object twice, and no further object once the tokens left might not suffice to finish.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from xperience.qwen.grammar import (
    MOST_LETTERS,
    Lengths,
    answer_grammar,
    answer_lengths,
    spelt,
)
from xperience.qwen.model import require
from xperience.qwen.schema import AnswersError, Options

if TYPE_CHECKING:
    import xgrammar
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Place:
    """Where a text stands with its list of objects.

    Parameters
    ----------
    part : {"before", "in", "after"}
    used : tuple of bytes
        Objects named so far, as JSON.
    begun : bytes
        What was written since: of the next object, its separator first; before the list, all.
    """

    part: str = "before"
    used: tuple[bytes, ...] = ()
    begun: bytes = b""


LIST_STARTS = b'"objects": ['
"""In no label, whose quotes are escaped, and before no other list."""


@dataclass(frozen=True)
class ObjectList:
    """The rules of the list of objects that a context-free grammar does not hold.

    Parameters
    ----------
    options : tuple of str, optional
        None where any text may stand.
    lengths : Lengths
    """

    options: tuple[str, ...] | None
    lengths: Lengths

    @property
    def start(self) -> Place:
        """Before anything is written."""
        return Place()

    @cached_property
    def _labels(self) -> frozenset[bytes]:
        return frozenset(spelt(label).encode() for label in self.options or ())

    @cached_property
    def _n_starting(self) -> Counter[bytes]:
        """How many labels start with a text."""
        return Counter(label[:n] for label in self._labels for n in range(len(label) + 1))

    def after(self, place: Place, piece: bytes) -> Place | None:
        """Return where a text stands after a further piece; None if an object comes twice.

        Parameters
        ----------
        place : Place
        piece : bytes
            Something that the grammar allows here.
        """
        for at in range(len(piece)):
            if place is None or place.part == "after":
                break
            place = self._step(place, piece[at : at + 1])
        return place

    def _step(self, place: Place, byte: bytes) -> Place | None:
        begun = place.begun + byte
        if place.part == "before":
            started = begun.endswith(LIST_STARTS)
            return Place("in") if started else Place("before", (), begun[-len(LIST_STARTS) :])
        if begun == b"]":
            return Place("after", place.used)
        label = begun.lstrip(b", ")
        if self._closed(label):
            return None if label in place.used else Place("in", (*place.used, label))
        return Place("in", place.used, begun) if self._can_end(label, place.used) else None

    def _closed(self, label: bytes) -> bool:
        return (
            len(label) > 1 and label[-1:] == b'"'
            if self.options is None
            else (label in self._labels)
        )

    def _can_end(self, label: bytes, used: Sequence[bytes]) -> bool:
        """Return whether what was begun can still become an object that is not used."""
        if self.options is None:
            return label not in {name[:-1] for name in used} or len(label) <= MOST_LETTERS
        return self._n_starting[label] > sum(name.startswith(label) for name in used)

    def need(self, place: Place) -> int:
        """Return how many tokens suffice to finish from here, whatever tokens are taken."""
        if place.part != "in":
            return 0  # the limit was checked before the first token
        return self.lengths.tail + 1 + (self.lengths.item - len(place.begun)) * bool(place.begun)


class Holder:
    """Holds rows of a batch to the grammar: a logits processor for one call of ``generate``.

    Parameters
    ----------
    rules : Rules
        Made once for a model and its options.
    limit : int
        Tokens that an answer may take, the end of its turn included.
    """

    def __init__(self, rules: "Rules", limit: int):
        rules.check(limit)
        self.rules, self.limit = rules, limit
        self._matchers: list[xgrammar.GrammarMatcher] = []
        self._places: list[Place] = []
        self._n_said = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores with minus infinity where a token must not come next.

        Parameters
        ----------
        input_ids : int tensor, shape (n, n_tokens)
            Prompts and what was said so far.
        scores : float tensor, shape (n, n_vocabulary)
        """
        if not self._matchers:
            self._matchers = [self.rules.matcher() for _ in input_ids]
            self._places = [self.rules.objects.start for _ in input_ids]
        else:
            self._n_said += 1
            for row, token in enumerate(input_ids[:, -1].tolist()):
                self._take(row, token)
        allowed = torch.from_numpy(np.stack([self._allowed(row) for row in range(len(scores))]))
        blocked = torch.ones_like(scores, dtype=torch.bool)
        blocked[:, : allowed.shape[1]] = ~allowed.to(scores.device)
        return scores.masked_fill(blocked, -torch.inf)

    def _take(self, row: int, token: int) -> None:
        matcher = self._matchers[row]
        if matcher.is_terminated():
            return
        accepted = matcher.accept_token(token)
        assert accepted, f"token {token} was not allowed in row {row}"
        place = self.rules.objects.after(self._places[row], self.rules.pieces[token])
        assert place is not None, f"token {token} names an object again in row {row}"
        self._places[row] = place

    def _allowed(self, row: int) -> np.ndarray:
        """Return which tokens may come next in a row, bool (n_vocabulary,)."""
        if self._matchers[row].is_terminated():
            return np.ones(self.rules.vocabulary, dtype=bool)  # the row only pads from here on
        found = self.rules.next_tokens(self._matchers[row])
        left = self.limit - self._n_said - 1
        for token in self._doubtful(row, found):
            after = self.rules.objects.after(self._places[row], self.rules.pieces[token])
            found[token] = after is not None and self.rules.objects.need(after) <= left
        return found

    def _doubtful(self, row: int, allowed: np.ndarray) -> np.ndarray:
        """Return tokens that the grammar allows and the list of objects might not."""
        part = self._places[row].part
        if part == "after":
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero(allowed & self.rules.opens_list if part == "before" else allowed)


class Rules:
    """A grammar compiled for one tokenizer.

    Parameters
    ----------
    options : Options
    tokenizer : PreTrainedTokenizerBase
    vocabulary : int
        Width of the model's logits.
    end_token : int
        Ends the turn; allowed when the answer is whole.
    """

    def __init__(
        self,
        options: Options,
        tokenizer: "PreTrainedTokenizerBase",
        vocabulary: int,
        end_token: int,
    ):
        require(("xgrammar",))
        import xgrammar  # noqa: PLC0415

        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=[end_token]
        )
        compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self._grammar = compiler.compile_grammar(answer_grammar(options))
        self._bits = xgrammar.allocate_token_bitmask(1, vocabulary)
        self.tokenizer, self.end_token, self.vocabulary = tokenizer, end_token, vocabulary
        self.lengths = answer_lengths(options)
        self.objects = ObjectList(options.objects, self.lengths)
        self.pieces: list[bytes] = info.decoded_vocab
        self.opens_list = np.array([b"[" in piece for piece in self.pieces])
        # Their names are plain letters to the grammar, but they are no text.
        self._marks = [token for token in tokenizer.all_special_ids if token != end_token]

    def matcher(self) -> "xgrammar.GrammarMatcher":
        """Return a matcher at the beginning of an answer."""
        import xgrammar  # noqa: PLC0415

        return xgrammar.GrammarMatcher(self._grammar)

    def next_tokens(self, matcher: "xgrammar.GrammarMatcher") -> np.ndarray:
        """Return which tokens the grammar allows next, bool (n_vocabulary,)."""
        matcher.fill_next_token_bitmask(self._bits, 0)
        bits = np.unpackbits(self._bits.numpy().view(np.uint8), bitorder="little")
        allowed = bits[: self.vocabulary].astype(bool)
        allowed[self._marks] = False
        return allowed

    def accepts(self, text: str) -> bool:
        """Return whether a text is a whole answer by the grammar, objects apart."""
        matcher = self.matcher()
        return matcher.accept_string(text) and matcher.is_completed()

    def holder(self, limit: int | None = None) -> Holder:
        """Return a logits processor for one call of ``generate``.

        Parameters
        ----------
        limit : int, optional
            Tokens that an answer may take; what every answer fits in, if not given.

        Raises
        ------
        AnswersError
            If even an answer without objects might not fit.
        """
        return Holder(self, limit or self.lengths.full_limit)

    def check(self, limit: int) -> None:
        """Refuse a limit within which an answer might not end."""
        if limit < self.lengths.least_limit:
            raise AnswersError(
                "limit", f"is {limit} tokens",
                f"at least {self.lengths.least_limit}, so that every answer can end",
                "Allow more tokens, or shorten the options.",
            )  # fmt: skip
