"""Whatever people write in a label, every medium shows it as text and nothing else."""

import json
import warnings
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from xperience.console import say
from xperience.evaluation.records import Record
from xperience.export.scene import _page
from xperience.recording.captions import FrameLabels
from xperience.report.figures import style
from xperience.report.pages import score_table
from xperience.text import as_block, as_markdown, visible

HOSTILE = [
    "Pay $5 or $6",
    "Count $$ and coins",
    "Cut | peel \\| and \\",
    "<b>Pour</b> & <script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "50 % of {milk} \\frac{1",
    "a_b *c* `d` ``e`` [e](f) ![g](h) _i_ __j__ ~~k~~",
    "Put $\\alpha_{ cup \\(x\\) \\begin{a}",
    "line one\nline two\r\n\n# three",
    "# hash",
    "- dash",
    "1. first",
    "12) twelfth",
    "+++",
    "% comment",
    "--- 'quotes' \"double\" ...",
    "=1+1",
    "&lt;b&gt; &#36; &copy;",
    "{math}`x` {ref}`nowhere`",
    "<https://a.b> https://a.b/c_d_e a@b.c",
    ":::{note}",
    "[x]{.class} [^1] [a]: b",
    "倒水☕ קפה 👩‍🍳",
    "\x1b[31mred\x07 \x9b1m \u202eback\u202c",
]
PARSER = create_md_parser(
    MdParserConfig(enable_extensions={"attrs_inline", "colon_fence", "deflist", "dollarmath"}),
    RendererHTML,
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    "$\\|*_`[](){}<>#&~!:-+=%.1a \n'\"", max_size=20
)


class Shown(HTMLParser):
    """The text that a page shows, and the elements that it is made of."""

    def __init__(self, page: str):
        super().__init__()
        self.words, self.tags = "", set()
        self.feed(page)
        self.close()
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, _: list) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def rendered(markdown: str) -> Shown:
    return Shown(PARSER.render(markdown))


def hostile(test):
    """Try a test on any text and on those that are known to be trouble."""
    for text in HOSTILE:
        test = example(text)(test)
    return settings(max_examples=40)(given(ANY_TEXT)(test))


@hostile
def test_markdown_shows_the_text(label: str) -> None:
    said = as_markdown(label)
    want = visible(label)
    assert rendered(said).words == want
    assert rendered(f"**x:** {said}.").words == f"x: {want}."
    assert rendered(f"# {said}").words == want
    assert rendered(f"- {said}").words == want
    assert rendered(f"> {said}").words == want
    table = rendered(f"| a | b |\n| --- | --- |\n| {said} | end |")
    assert table.words.split() == ["a", "b", *want.split(), "end"]
    assert table.tags <= {"table", "thead", "tbody", "tr", "th", "td", "span"}
    plain = rendered(f"x {as_markdown(label, html=False)}")
    assert plain.words == f"x {want}".strip()
    assert "$" not in said, "no renderer finds a formula"


@hostile
def test_a_block_shows_every_line(text: str) -> None:
    assert rendered(as_block(text)).words == " ".join(visible(text, one_line=False).split())


@hostile
def test_nothing_unseen_is_left(text: str) -> None:
    assert not [c for c in visible(text) if c != " " and (c < " " or "\x7f" <= c < "\xa0")]
    assert json.loads(visible(json.dumps(text, ensure_ascii=False), one_line=False)) == text


def test_the_terminal_is_not_steered(capsys: pytest.CaptureFixture) -> None:
    say("\n".join(HOSTILE[-2:]))
    assert capsys.readouterr().out == (
        "倒水☕ קפה 👩‍🍳\n\\u001b[31mred\\u0007 \\u009b1m \\u202eback\\u202c\n"
    )


@pytest.mark.parametrize("label", HOSTILE)
def test_pages_and_tables_show_the_text(label: str) -> None:
    row = {"run": label, "section": "s", "contract": "published", "metric": "f1", "task": label}
    row |= {"variant": f"local/class={label}", "status": "skipped", "reason": label}
    want = visible(label)
    assert Shown(score_table([Record(**row)])).words.count(want) == 3
    assert rendered(score_table([Record(**row)])).words.count(want) == 3, "no Markdown in HTML"
    said = FrameLabels("", *[[label]] * 4, objects=[(label,)])
    assert rendered(_page(said, 0)).words.count(want) == 5
    table = pd.DataFrame({"label": [label]})
    for shown in (Shown(table._repr_html_()), Shown(table.style.hide(axis="index").to_html())):
        words = shown.words.replace("\\r", " ").replace("\\n", " ")  # pandas spells them out
        assert " ".join(label.split()) in " ".join(words.split())
        assert not shown.tags & {"b", "script", "img"}
    assert "tex2jax_ignore" in table._repr_html_()
    assert "tex2jax_ignore" in table.style.to_html()


@style.styled
def draw(*labels: str) -> style.Picture:
    figure = style.new_figure(1 + 0.2 * len(labels))
    style.set_title(figure, labels[0], labels[-1])
    ax = figure.subplots()
    ax.set(yticks=range(len(labels)), yticklabels=[style.elide(label, 30) for label in labels])
    ax.text(0, 0, style.wrap(labels[0], 20, 2))
    return style.Picture(figure, labels[0], labels[0])


def test_figures_draw_the_text() -> None:
    picture = draw(*HOSTILE)
    with warnings.catch_warnings(record=True):
        shown = Shown(style.picture_data(picture, passing=True)["text/html"])
    assert shown.tags == {"img"}
    assert all(not text.get_parse_math() for text in picture.figure.findobj(style.Text))
    drawn = {text.get_text() for text in picture.figure.findobj(style.Text)}
    assert {style.elide(label, 30).replace("\ufe0f", "") for label in HOSTILE} <= drawn


@settings(max_examples=8)
@given(ANY_TEXT.filter(str.strip))
def test_any_text_can_be_drawn(label: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        style.picture_data(draw(label), passing=True)
    assert all("No installed font has" in str(one.message) for one in caught)


def test_a_fallback_font_draws_what_the_usual_one_lacks() -> None:
    usual = style._letters(style.findfont("DejaVu Sans"))
    others = {
        letter
        for font in style.fontManager.ttflist
        if "Last Resort" not in font.name and font.style == "normal"
        for letter in style._letters(font.fname)
    }
    foreign = next((c for c in "倒水를で" if c in others - usual), None)
    if foreign is None:
        pytest.skip("no font with other scripts is installed")
    lost = next(chr(code) for code in range(0x10FFFF, 0, -1) if chr(code) not in others | usual)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        style._NAMED.clear()
        found = style.png_bytes(draw(foreign).figure)
        assert caught == []
        boxes = style.png_bytes(draw(lost + lost).figure)
        style.png_bytes(draw(lost).figure)
    assert found != boxes
    assert [f"U+{ord(lost):04X}" in str(one.message) for one in caught] == [True]
