"""The options of a cohort: every label that its training episodes use, and no other."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xperience.qwen.schema import UNKNOWN, AnswersError, Options
from xperience.recording.captions import is_labelled
from xperience.storage import write_json
from xperience.tasks import targets
from xperience.tasks.truth import Truth


@dataclass
class Vocabulary:
    """Labels of windows, gathered episode by episode.

    Parameters
    ----------
    action, subtask, objects : set of str
    """

    action: set[str] = field(default_factory=set)
    subtask: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, truth: Truth) -> "Vocabulary":
        """Return what the windows of a recording are labelled with, next actions included."""
        members = np.arange(len(truth.starts))[:, None]
        actions = targets.window_labels("action")(truth, members)
        return cls(
            _said([*actions, *targets.next_action(truth, members)]),
            _said(targets.window_labels("subtask")(truth, members)),
            _said(name for names in targets.named_objects(truth, members) for name in names),
        )

    def add(self, other: "Vocabulary") -> None:
        """Take in the labels of another recording."""
        self.action |= other.action
        self.subtask |= other.subtask
        self.objects |= other.objects

    def options(self) -> Options:
        """Return the options, each list in order of the alphabet.

        Raises
        ------
        AnswersError
            If a list is empty: what may be said would not be bounded.
        """
        for name in ("action", "subtask", "objects"):
            if not getattr(self, name):
                raise AnswersError(
                    f"options: {name}", "is empty: no window of a training episode has one",
                    "at least one label", "Choose training episodes that have captions.",
                )  # fmt: skip
        return Options(*(tuple(sorted(one)) for one in (self.action, self.subtask, self.objects)))


def _said(labels: Iterable[str | None]) -> set[str]:
    return {name for name in labels if name is not None and is_labelled(name) and name != UNKNOWN}


def options_document(options: Options) -> dict[str, list[str]]:
    """Return options as JSON, as `xperience.qwen.schema.read_options` reads them."""
    lists = {"action": options.action, "subtask": options.subtask, "objects": options.objects}
    return {name: list(labels) for name, labels in lists.items() if labels is not None}


def write_options(path: Path | str, options: Options) -> None:
    """Write options as JSON, whole or not at all."""
    write_json(path, options_document(options))
