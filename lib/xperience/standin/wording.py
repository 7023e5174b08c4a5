"""How annotators word what they see: activity files with names in braces, and words for them."""

from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import yaml

from xperience.errors import ParamsError, TextError, did_you_mean, unreadable
from xperience.standin.script import Script, load_script
from xperience.text import read_text

WORDS = "words.yaml"


def read_words(folder: Path) -> dict[str, list[str]]:
    """Return the words that annotators choose from, by the name in braces.

    Raises
    ------
    ParamsError
        If ``words.yaml`` is missing or is not a list of words for each name.
    """
    path = Path(folder) / WORDS
    try:
        words = yaml.safe_load(read_text(path))
    except (OSError, TextError, yaml.YAMLError) as error:
        raise ParamsError(
            str(path), unreadable(error), "words by name", "Mend or name the file."
        ) from error
    whole = isinstance(words, dict) and all(
        isinstance(some, list) and some and all(isinstance(word, str) and word for word in some)
        for some in words.values()
    )
    if not whole:
        raise ParamsError(
            str(path), "holds something else", "name: [word, …] lines", "Give each name its words."
        )
    return words


def activities(folder: Path) -> list[Path]:
    """Return the activity files of a folder, by name.

    Raises
    ------
    ParamsError
        If there is none.
    """
    found = sorted(path for path in Path(folder).glob("*.yaml") if path.name != WORDS)
    if not found:
        raise ParamsError(
            str(folder), "holds no activity", "timeline files", "Name another folder."
        )
    return found


def choose_words(words: dict[str, list[str]], rng: np.random.Generator) -> dict[str, str]:
    """Return one annotator's word for each name."""
    return {name: some[int(rng.integers(len(some)))] for name, some in words.items()}


def worded(activity: Path, words: dict[str, str]) -> Script:
    """Return an activity as one annotator words it.

    Parameters
    ----------
    activity : Path
        A timeline file whose texts may hold names in braces.
    words : dict of {name: word}

    Raises
    ------
    ParamsError
        If the file cannot be used or has a name without words.
    """
    script = load_script(activity)
    spoken = _spoken(script.model_dump(mode="json", by_alias=True), words, activity)
    return Script.model_validate(spoken)


def _spoken(value: Any, words: dict[str, str], place: Path) -> Any:
    """Return a document with every text's names replaced; a sentence starts with a capital."""
    if isinstance(value, dict):
        return {key: _spoken(one, words, place) for key, one in value.items()}
    if isinstance(value, list):
        return [_spoken(one, words, place) for one in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    for _, name, _, _ in Formatter().parse(value):
        if name is not None and name not in words:
            raise ParamsError(
                f"{place}: {value!r}", f"names {name!r}", "a name with words",
                did_you_mean(name, words),
            )  # fmt: skip
    text = value.format(**words)
    return (
        text
        if value.startswith("{") and value.endswith("}") and value.count("{") == 1
        else (text[:1].upper() + text[1:])
    )
