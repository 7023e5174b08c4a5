"""Text that people wrote: how files of it are read, and how a label is shown in any medium.

A file is UTF-8, with or without a byte-order mark, or UTF-16 or UTF-32 with one. Anything else is
refused with the byte, the line and the likely encoding: a letter that was guessed or replaced would
make one label of several, or two of one.
"""

import codecs
import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from xperience.errors import ParamsError, TextError, reading

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNIT = {"utf-8": 1, "utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
_SHOWN_CHARS, _LOOKED_AT = 12, 200_000
_DELIMITERS = ",;\t"

_HAN = r"(?<![A-Za-z])[\u3001-\u30ff\u4e00-\u9fff\uff01-\uff5e](?![A-Za-z])"
_LIKELY = (
    ("Shift-JIS", "cp932", _HAN),
    ("EUC-KR", "euc_kr", r"[\uac00-\ud7a3]"),
    ("GB18030 (GBK)", "gb2312", _HAN),
    ("Big5", "big5", _HAN),
    ("Windows-1252", "cp1252", r"(?<![^\x00-\x7f]{3})[À-ÖØ-öø-ÿŒœŸŠšŽž‘’“”–—…•€£°«»¿¡]"),
    ("Windows-1250", "cp1250", r"(?<![^\x00-\x7f]{3})[Á-Öß-öĂ-ž‘’“”„–—…•°«»]"),
    ("Windows-1251", "cp1251", r"(?<![A-Za-z])(?:[а-яё]|(?<![а-яё])[А-ЯЁ])"),
    ("Windows-1253", "cp1253", r"(?<![A-Za-z])(?:[ά-ώ]|(?<![ά-ώ])[Ά-Ω])"),
    ("Windows-1255", "cp1255", r"(?<![A-Za-z])[א-ת]"),
    ("Windows-1256", "cp1256", r"(?<![A-Za-z])[ء-ي]"),
)
"""Encodings tried in this order: name, codec, and the letters that a text in it is made of."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_KANA = re.compile(r"[\u3041-\u30ff]")


def decode(raw: bytes, line: int = 1) -> str:
    """Return the text that bytes hold, without its byte-order mark.

    They are UTF-8, or UTF-16 or UTF-32 that starts with a byte-order mark. Anything else is a
    TextError with the byte, the line (the bytes begin in ``line``) and the likely encoding.
    """
    mark, encoding = next((pair for pair in _MARKS if raw.startswith(pair[0])), (b"", "utf-8"))
    body = raw[len(mark) :]
    try:
        text = body.decode(encoding)
        if encoding == "utf-8" and "\0" in text:
            zero = body.index(b"\0")
            raise UnicodeDecodeError(encoding, body, zero, zero + 1, "a zero byte")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(encoding, errors="ignore")
        at, line = len(mark) + error.start, line + len(_LINE_END.findall(before))
        place = f"byte {at} (0x{body[error.start]:02X}), line {line}"
        if error.reason in ("unexpected end of data", "truncated data"):
            why = "it ends within a character"
        else:
            why = "half a character stands there" if mark else _likely(raw, error.start)
        raise TextError(f"is not {encoding[:6].upper()} at {place}: {why}", line) from error
    return text


def padded(raw: bytes) -> bytes:
    """Return bytes with the zeros at their end that HDF5 takes from UTF-16 and UTF-32."""
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    return raw + b"\0" * (-len(raw) % _UNIT[encoding])


def _likely(raw: bytes, at: int) -> str:
    """Return which encodings the bytes could be in, and how their text would read."""
    part = raw[:_LOOKED_AT]
    zeros = part[0::2].count(0), part[1::2].count(0)
    if max(zeros) * 4 > len(part):
        return "likely UTF-16 without its byte-order mark"
    best, found = 0.5, []
    for name, codec, usual in _LIKELY:
        try:
            text = part.decode(codec, errors="strict" if len(part) == len(raw) else "ignore")
        except UnicodeDecodeError:
            continue
        if codec == "cp932" and not _KANA.search(text):
            continue
        strange = re.findall(r"[^\x00-\x7f]", text)
        score = len(re.findall(usual, text)) / max(len(strange), 1)
        if score > best:
            best, found = score, [(name, codec)]
        elif score == best and found:
            found.append((name, codec))
    if not found:
        return "in no encoding that could be told"
    name, codec = found[0]
    start = max(raw.rfind(b"\n", 0, at), raw.rfind(b'"', 0, at), at - _SHOWN_CHARS) + 1
    shown = raw[start : at + 2 * _SHOWN_CHARS].decode(codec, errors="ignore")
    shown = re.split(r'["\r\n]', shown, maxsplit=1)[0]
    return f"likely {' or '.join(name for name, _ in found[:3])}, where it reads {shown!r}"


def read_text(path: Path | str) -> str:
    """Return the text of a file, line ends as they are; OSError or TextError if there is none."""
    return decode(Path(path).read_bytes())


def read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers from 1 and their ends, a line in memory.

    A TextError, where it is no text, counts bytes in their line.
    """
    with Path(path).open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE[:2]):
            yield from enumerate(io.StringIO(read_text(path)), 1)
            return
        file.seek(0)
        for number, raw in enumerate(file, 1):
            yield number, decode(raw, number)


def parse_json(text: str, doubled: set[str] | None = None) -> Any:
    r"""Return the value that JSON text holds.

    ``doubled`` takes up the keys that some object writes more than once; the last one counts.

    If it is no JSON, is nested too deeply, or escapes half a character (``"\ud83d"``), that is a
    TextError.
    """

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if doubled is not None and len(found) < len(pairs):
            doubled.update(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        return found

    try:
        value = json.loads(text, object_pairs_hook=fields)
    except RecursionError as error:
        raise TextError("nested too deeply") from error
    except ValueError as error:
        raise TextError(str(error)) from error
    escapes = _ESCAPE.finditer(text) if "\\ud" in text.lower() else ()
    half = next((found for found in escapes if found[1]), None)
    if half:
        line = text.count("\n", 0, half.start()) + 1
        raise TextError(f"half a character is escaped in line {line}: {half[0]}", line)
    return value


_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(u[dD][89a-fA-F]\w\w)|.)", re.DOTALL
)
"""An escape; its group is half a character that the other half doesn't follow."""


def read_json(path: Path | str) -> Any:
    """Return the value in a JSON file; OSError or TextError if there is none."""
    return parse_json(read_text(path))


def read_yaml(path: Path | str, place: str) -> Any:
    """Return the value in a YAML file, or raise a ParamsError that names the place."""
    import yaml  # noqa: PLC0415 - few commands read any

    with reading(place, "YAML in UTF-8", way_out="Name a text file in UTF-8."):
        text = read_text(path)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be parsed"
        reason = f"{problem}, line {mark.line + 1}, column {mark.column + 1}" if mark else problem
        found, expected = f"is not YAML ({reason})", "key: value lines"
        raise ParamsError(place, found, expected, "Mend that line.") from error


def read_table(path: Path | str) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV file by the names in its first line, each with the line it ends in.

    Columns are parted by commas, semicolons or tabs: by what stands most often in the first line,
    outside quotes. Empty lines are passed over.

    If it is no text or no CSV, or a line has more values than the first has names, that is a
    TextError.
    """
    text = read_text(path)
    first = re.sub(r'"[^"]*"', "", text.lstrip().split("\n", 1)[0])
    delimiter = max(_DELIMITERS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    names: list[str] = []
    try:
        for cells in lines:
            if not any(map(str.strip, cells)):
                continue
            if not names:
                names = [cell.strip() for cell in cells]
            elif len(cells) > len(names):
                found = f"has {len(cells)} values in line {lines.line_num}"
                raise TextError(f"{found} and {len(names)} columns")
            else:
                rows.append((lines.line_num, dict(zip(names, cells, strict=False))))
    except csv.Error as error:
        raise TextError(f"is no CSV in line {lines.line_num} ({error})") from error
    return rows


_BLANK = re.compile(r"[\s\u115f\u1160\u2800\u3164\uffa0]+")
_SHAPING = "\u0600-\u0dff\u1780-\u18af\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_ZERO_WIDTH = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
    f"|(?<![{_SHAPING}])[\u200c\u200d]|[\u200c\u200d](?![{_SHAPING}])"
)
"""Characters that take no room; joiners are letters' business where they change a shape."""


def spelling(texts: Iterable[str]) -> Callable[[str], str]:
    """Return a function that writes labels, all of them given here, that look the same in one way.

    It is Unicode's composed form (NFC), trimmed, with one space for a run of any white space. What
    takes no room is a space too, but for a label that would be another one of the texts without it.
    """
    known = {_plain(text) for text in texts if not _ZERO_WIDTH.search(text)}

    @cache
    def one(text: str) -> str:
        spaced, joined = _plain(_ZERO_WIDTH.sub(" ", text)), _plain(_ZERO_WIDTH.sub("", text))
        return joined if joined in known and spaced not in known else spaced

    return one


def _plain(text: str) -> str:
    return _BLANK.sub(" ", unicodedata.normalize("NFC", text)).strip()


_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_MARKUP = re.compile(r"[`*_\[\]<>#&{}|~]|^[-+=%:]")


def visible(text: str, *, one_line: bool = True) -> str:
    r"""Return a text with what would steer a terminal or turn a line round spelt out as in JSON.

    On ``one_line`` runs of white space become one space; else tabs and ends of lines stay.

    >>> visible("two\nlines \x1b[31m")
    'two lines \\u001b[31m'
    """
    shown = " ".join(text.split()) if one_line else text
    return _UNSEEN.sub(lambda one: f"\\u{ord(one[0]):04x}", shown)


def as_markdown(text: str, *, html: bool = True) -> str:
    r"""Return Markdown that shows a text as it is, in a sentence or a cell of a table.

    With ``html`` dollars and backslashes become elements of their own, in which no renderer looks
    for formulas.

    >>> as_markdown("Cut | *peel* for $5")
    'Cut \\| \\*peel\\* for <span>&#36;</span>5'
    """
    parts = re.split(r"([$\\])", visible(text))
    parts[0::2] = [_MARKUP.sub(r"\\\g<0>", part) for part in parts[0::2]]
    parts[1::2] = [f"<span>&#{ord(one)};</span>" if html else f"\\{one}" for one in parts[1::2]]
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", "".join(parts))


def as_block(text: str) -> str:
    """Return Markdown that shows a text of many lines as it is, in a block of code."""
    fence = "`" * (1 + max([2, *map(len, re.findall("`+", text))]))
    return f"{fence}\n{visible(text, one_line=False)}\n{fence}"
