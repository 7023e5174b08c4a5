"""Text files that people wrote: any common form is read, any other is refused by its place."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xperience.cohort.manifest import ManifestError, read_manifest
from xperience.errors import TextError
from xperience.params import read_values
from xperience.qwen.predictions import read_predictions
from xperience.qwen.schema import AnswersError, Options, read_options
from xperience.text import decode, parse_json, read_lines, read_table, read_text

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
ANY_TEXT = st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]))


@given(ANY_TEXT, st.sampled_from(ENCODINGS))
def test_text_comes_back_from_each_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text
    assert parse_json(json.dumps([text, "\\ud83d", "😀"])) == [text, "\\ud83d", "😀"]


@settings(max_examples=60)
@given(st.binary(max_size=60))
@example("Prépare".encode("cp1252"))
@example("ab".encode("utf-16-le"))
@example(b"whole\0\0\0\0")
def test_no_letter_is_made_up(raw: bytes) -> None:
    try:
        text = decode(raw)
    except TextError:
        with pytest.raises(TextError, match=r"byte \d+ \(0x..\), line \d+: \w+"):
            decode(raw)
        return
    forms = [text.encode(name) for name in ENCODINGS]
    forms += [b"\xfe\xff" + text.encode("utf-16-be"), b"\0\0\xfe\xff" + text.encode("utf-32-be")]
    assert raw in forms, "every byte is accounted for"


@pytest.mark.parametrize(
    ("said", "encoding", "likely"),
    [
        ("Prépare le café", "cp1252", "Windows-1252"),
        ("Größe prüfen", "latin-1", "Windows-1252"),
        ("Weź kubek, łyżkę", "cp1250", "Windows-1250"),
        ("倒水，搅拌咖啡", "gbk", "GB18030"),
        ("水を注ぐ", "shift_jis", "Shift-JIS"),
        ("물을 따르다", "euc_kr", "EUC-KR"),
        ("Взять чашку", "cp1251", "Windows-1251"),
        ("Pour water", "utf-16-le", "UTF-16 without"),
        ("倒水", "utf-16-be", "UTF-16 without"),
    ],
)
def test_a_fault_names_byte_line_and_encoding(said: str, encoding: str, likely: str) -> None:
    before = "{\n\n".encode("utf-8" if "16" not in encoding else encoding)
    with pytest.raises(TextError) as caught:
        decode(before + f'"{said}" : 1 }} '.encode(encoding) * 3)
    told = str(caught.value)
    assert likely in told
    if "16" not in encoding:
        first = next(i for i, byte in enumerate(said.encode(encoding)) if byte > 127)
        assert f"byte {len(before) + 1 + first} (0x" in told
        assert "line 3" in told
        assert f"{said}" in told, "the reader sees how it would read"


def test_half_a_character_is_refused() -> None:
    with pytest.raises(TextError, match=r"byte 2 .*line 2: it ends within a character"):
        decode(b"a\n" + "☕".encode()[:2])
    for text in (r'"\ud83d"', '{"a":\n' r'"\ude00x"}', r'["\ud83d\u0041"]'):
        with pytest.raises(TextError, match="half a character is escaped in line"):
            parse_json(text)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_options_params_and_lines_are_read_in_any_form(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "episodes.csv"
    rows = [
        ("episode", "folder", "session", "side", "activity"),
        ("one", "a b/one", "s1", "train", '"tea, ""black""; hot\tor not"'),
        ("two", "two", "s2", "test", "倒水"),
    ]
    for end, delimiter in (("\n", ","), ("\r\n", ";"), ("\r\n", "\t")):
        text = "".join(delimiter.join(row) + end for row in rows) + end
        path.write_bytes(text.encode(encoding))
        first, second = read_manifest(path)
        assert (first.folder, first.activity) == ("a b/one", 'tea, "black"; hot\tor not')
        assert (second.side, second.activity) == ("test", "倒水")
    path.write_bytes(json.dumps(["倒水", "Café"], ensure_ascii=False).encode(encoding))
    assert read_options(path) == Options(action=("倒水", "Café"))
    path.write_bytes("run: café\r\nepisode: 倒水\r\n".encode(encoding))
    assert read_values(path) == {"run": "café", "episode": "倒水"}
    path.write_bytes("one\u2028still one\r\n\n☕".encode(encoding))
    assert list(read_lines(path)) == [(1, "one\u2028still one\r\n"), (2, "\n"), (3, "☕")]
    assert read_text(path) == "one\u2028still one\r\n\n☕"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"episode,folder,session,side,activity\n\na,a,s,train,\"x\ny\"\nb,b,s2,no,\n",
         "line 5: side"),
        (b"episode;folder;session;side\na;a;s;train;more\n", "5 values in line 2 and 4 columns"),
        ("episode,folder,session,side,activity\na,a,s,test,Café\n".encode("cp1252"),
         r"episodes\.csv: .*byte 51 .*line 2: likely Windows-1252"),
    ],
)  # fmt: skip
def test_errors_name_the_line_of_the_file(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "episodes.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=found):
        read_manifest(path)
    path.write_text('a,b\n"open,1\n')
    with pytest.raises(TextError, match="line 2"):
        read_table(path)


def test_a_line_of_predictions_is_named_with_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"\n" + '{"id": "Café"}\n'.encode("cp1252"))
    found = r"answers\.jsonl:2: is not UTF-8 at byte 11 .*likely Windows-1252"
    with pytest.raises(AnswersError, match=found):
        read_predictions(path, Options(action=("a",)))
