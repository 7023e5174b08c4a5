"""The field's own words: what a reader would stumble over is in no text that a person reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

WRITE = {  # what nobody writes, as a pattern of whole words: what to write
    r"contestants?|entrants?|arenas?": "predictions, comparison, result",
    r"rosters?": "split manifest",
    r"(drawn|drew|draws?) (again|anew)|redrawn|dealt out": "resampled, permuted, assigned",
    r"(coded|fitted|trained) anew": "re-encoded, refitted, retrained",
    r"stretch(es)?": "contiguous segment, run",
    r"(keep|keeps|kept|hold|holds|held) still": "zero velocity",
    r"walk(s|ed)? forward": "rolling origin",
    r"surely|for sure|may be claimed": "significantly better (95 % CI excludes 0)",
    r"(tells?|told) apart": "no significant difference; distinguish",
    r"(held|bound) to a grammar|left free": "grammar-constrained, unconstrained decoding",
    r"(an)?other accounts? of": "alternative features",
    r"clocks? (are|is) (not )?in step": "streams are synchronised (± X ms)",
    r"(a|one) (row|line) an? \w+": "one row per …",
    r"training deviations?": "units of training SD",
    r"(training|validation|test) sides?": "training, validation, test split",
    r"named? (right|rightly|wrongly)": "correctly classified, misclassified",
}


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file and their lines: prose of a page, cells and strings of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        plain = re.sub(r"(?ms)^ *```.*?^ *```|`[^`]+`", lambda m: "\n" * m[0].count("\n"), text)
        for paragraph in re.finditer(r"(?:.+\n)+", plain):
            yield plain.count("\n", 0, paragraph.start()) + 1, in_one_line(paragraph[0])
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, in_one_line(re.sub("`[^`]+`", "", node.value))
    if path.parent.name == "notebooks":
        cells = re.finditer(r"(?m)^# %% \[markdown\]\n((?:#.*\n)*)", text)
        yield from ((text.count("\n", 0, one.start()) + 1, in_one_line(one[1])) for one in cells)


def in_one_line(text: str) -> str:
    return re.sub(r"\s*\n[# ]*", " ", text)


PLACES = (
    "*.md",
    "docs/*.md",
    "docs/howto/*.md",
    "notebooks/README.md",
    "notebooks/*.py",
    "lib/**/*.py",
)


def test_no_text_makes_its_reader_stumble() -> None:
    patterns = {re.compile(rf"(?i)\b({banned})\b"): write for banned, write in WRITE.items()}
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {hit[0]!r}; write: {write}"
        for pattern in PLACES
        for path in sorted(REPOSITORY.glob(pattern))
        for line, text in prose(path)
        for banned, write in patterns.items()
        if (hit := banned.search(text))
    ]
    assert found == []
