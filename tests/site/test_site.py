import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from xperience.errors import NotebookError
from xperience.evaluation.records import Record
from xperience.features.blocks import BLOCKS
from xperience.report.executed import Picture, for_reading, pictures, title_of
from xperience.report.landing import Shelf, findings_of, landing_pages
from xperience.report.scoreboard import landing_table, markdown_table, results_pages
from xperience.report.site import SiteError, build_site
from xperience.report.windows import windows_page

from .conftest import DOCS, code_cell, write_executed

LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page links to, loads and can be linked to by."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in LOADS and values.get(LOADS[tag]):
            self.loads.append(values[LOADS[tag]])


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def is_outside(address: str) -> bool:
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def broken_links(site: Path) -> list[str]:
    found = pages(site)
    broken = []
    for path, page in found.items():
        for address in [link for link in page.links + page.loads if not is_outside(link)]:
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            missing = not target.is_file()
            if missing or (anchor and target in found and anchor not in found[target].ids):
                broken.append(f"{path.relative_to(site)} -> {address}")
    return broken


def test_every_internal_link_is_good(tiny_site):
    assert broken_links(tiny_site) == []


def test_pages_load_nothing_from_elsewhere(tiny_site):
    outside = {a for page in pages(tiny_site).values() for a in page.loads if is_outside(a)}
    assert {address for address in outside if not address.startswith("data:")} == set()
    for sheet in tiny_site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.findall(r"@import[^;]*https?:|url\(['\"]?https?:", text), sheet.name


def test_the_landing_page_has_a_figure_and_the_scores(tiny_site):
    text = (tiny_site / "index.html").read_text(encoding="utf-8")
    assert "_images/figure.png" in text
    assert "_run/notebooks/01_first.html" in text
    assert "a|b" in text
    assert "0.1 … 0.4" in text
    assert "skipped: no audio" in text


def test_hidden_cells_and_warnings_to_the_author_are_left_out(tiny_site):
    text = "".join(path.read_text(encoding="utf-8") for path in tiny_site.rglob("*.html"))
    assert "12345" not in text
    assert "a warning to the author" not in text


def test_a_table_that_a_notebook_wrote_as_markdown_is_a_table(tiny_site):
    text = (tiny_site / "_run" / "notebooks" / "02_second.html").read_text(encoding="utf-8")
    assert re.search(r"<td>\s*(<p>)?<strong>a row</strong>", text)
    assert "| **a row**" not in text


def test_building_again_changes_no_file(tiny_run, tiny_site):
    # the first build links one style sheet before it exists, without its digest
    build_site(DOCS, tiny_run, ["01_first", "02_second"], tiny_site)
    before = {path: path.read_bytes() for path in tiny_site.rglob("*") if path.is_file()}
    build_site(DOCS, tiny_run, ["01_first", "02_second"], tiny_site)
    after = {path: path.read_bytes() for path in tiny_site.rglob("*") if path.is_file()}
    assert {path.name for path in after if before.get(path) != after[path]} == set()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            code_cell("1 / 0", {"output_type": "error", "ename": "E", "evalue": ""}),
            "holds an error",
        ),
        (code_cell("1", count=None), "never ran"),
    ],
)
def test_a_notebook_that_did_not_run_through_is_refused(tmp_path, cell, message):
    write_executed(tmp_path, "01_first", cell)
    with pytest.raises(NotebookError, match=message):
        build_site(DOCS, tmp_path, ["01_first"], tmp_path / "site")
    with pytest.raises(NotebookError, match="is not executed"):
        build_site(DOCS, tmp_path, ["02_second"], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_faulty_page_is_named_each_time(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "conf.py").write_text('extensions = ["myst_nb"]\nnb_execution_mode = "off"\n')
    (docs / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    for _ in range(2):
        with pytest.raises(SiteError, match=r"docs/index\.md"):
            build_site(docs, tmp_path / "run", [], tmp_path / "site")


def test_a_table_leaves_out_what_is_empty_and_escapes_what_it_shows():
    row = {"run": "r", "section": "s", "contract": "c", "metric": "mpjpe", "unit": "m"}
    table = markdown_table([Record(**row, higher_is_better=False, value=12345.678, variant="a_b")])
    lines = table.splitlines()
    assert lines[1] == "| contract | variant | metric | value |"
    assert lines[3] == "| c | a\\_b | mpjpe ↓ | 12,346 m |"


@pytest.mark.slow
def test_the_committed_run_gives_a_whole_site(committed_site):
    assert broken_links(committed_site) == []
    outside = {a for page in pages(committed_site).values() for a in page.loads if is_outside(a)}
    assert {address for address in outside if not address.startswith("data:")} == set()


def claims() -> list[dict]:
    claim = {"claim": "x", "contract": "corrected", "column": "run", "outcome": "supported"}
    claim["sections"] = ["05_audio", "09_elsewhere"]
    return [
        claim | {"sentence": "Open, alas.", "outcome": "can't tell"},
        claim | {"sentence": "It holds."},
        claim | {"sentence": "Of the other contract.", "contract": "published"},
        claim | {"sentence": "Of the record.", "column": "record"},
    ]


def shelf_of(run: Path, *shown: Picture) -> Shelf:
    return Shelf(run, (), shown, {"05_audio": "5. Sound"}, [])


@pytest.mark.parametrize("figure", ["05_forest", "07_audio"])
def test_a_takeaway_has_its_verdicts_its_figure_and_its_sources(tmp_path, figure):
    one = {"name": "audio", "title": "Sound, or not", "question": "Does it?", "claims": claims()}
    other = one | {"name": "heldout", "title": "Held out", "claims": []}
    assert findings_of(shelf_of(tmp_path)) == ("", {})
    (tmp_path / "RESEARCH_TAKEAWAYS.json").write_text(json.dumps({"takeaways": [one, other]}))
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / f"{figure}.png").write_bytes(b"png")
    seen = Picture("05_audio", "cell-3", "a [bar]", b"png", front=False)
    text, shown = findings_of(shelf_of(tmp_path, seen))
    assert shown == {"_run/takeaway_audio.png": b"png"}
    assert ":alt: a [bar]" in text
    assert ":target: _run/notebooks/05_audio.html#cell-3" in text
    assert "(_run/takeaways.html#sound-or-not)" in text
    assert "[5. Sound](_run/notebooks/05_audio.ipynb)" in text
    assert "09_elsewhere" not in text, "a link to a notebook that isn't on the site"
    assert "[✔ 3 supported]{.verdict .supported} [? 1 can't tell]" in text
    assert text.index("It holds.") < text.index("Open, alas.")
    assert "Of the other contract." not in text
    assert "Nothing can be told yet." in text
    assert findings_of(shelf_of(tmp_path))[1] == {}, "no picture without words for it"


def score(head: str, **values) -> Record:
    known = {"run": "r", "section": "s", "contract": "corrected", "task": "next_action"}
    known |= {"metric": "macro_f1", "higher_is_better": True}
    return Record(**known | {"head": head} | values)


@pytest.mark.parametrize(
    ("low", "high", "up", "mark"),
    [
        (0.1, 0.2, True, "▲"),
        (-0.2, -0.1, True, "▼"),
        (-0.1, 0.1, True, "○"),
        (0.1, 0.2, False, "▼"),
        (-0.2, -0.1, False, "▲"),
        (None, None, True, "?"),
    ],
)
def test_a_score_is_marked_by_its_difference_from_the_floor(low, high, up, mark):
    floor = {"floor": 0.25, "floor_name": "majority", "higher_is_better": up}
    difference = {"against": "majority", "ci_low": low, "ci_high": high, "higher_is_better": up}
    rows = [
        score("linear", value=0.5, **floor),
        score("linear", value=0.15, **difference),
        score("linear", value=9.0, against="neural", ci_low=-9.0, ci_high=9.0),
        score("neural", status="skipped", reason="no sound"),
        score("linear", value=0.7, section="t"),
    ]
    line = landing_table(rows).splitlines()[-4]
    assert line.startswith("| [next action](_run/tasks.md#next-action) | macro-F1")
    assert f"0.250 majority | 0.500 [{mark}]" in line
    assert "| skipped |" in line


def test_only_a_task_with_a_card_leads_to_it():
    rows = [score("linear", value=0.5), score("linear", task="contact", value=0.5)]
    table = landing_table(rows)
    assert "[next action](_run/tasks.md#next-action)" in table
    assert "| contact |" in table


def test_long_code_is_folded_and_every_figure_has_a_place():
    short, long = code_cell("one = 1"), code_cell("a = 1\nb = 2\nc = 3\nd = 4")
    shown = {"output_type": "display_data", "data": {"image/png": "AA=="}, "metadata": {}}
    drawn = code_cell("draw()", shown)
    title = {"cell_type": "markdown", "metadata": {}, "source": ["Words\n", "# Title"]}
    notebook = {"cells": [title, short, long, drawn]}
    reading = for_reading("01_first", notebook)["cells"]
    assert [cell["metadata"].get("tags", []) for cell in reading] == [
        [],
        [],
        ["hide-input"],
        [],
        [],
    ]
    (picture,) = pictures({"01_first": notebook})
    assert f'id="{picture.place}"' in reading[3]["source"]
    assert picture.page == "_run/notebooks/01_first.html#cell-4"
    assert notebook["cells"][2]["metadata"] == {}, "the notebook itself is left alone"
    assert title_of("01_first", notebook) == "Title"


@pytest.mark.parametrize(
    ("run", "titles", "said", "unsaid"),
    [
        ("standin", {"08_published_record": "8."}, ["simulated", "is of a real one"], []),
        ("mine", {"01_first": "1."}, ["run **mine**", "01_first.ipynb"], ["simulated", "real"]),
    ],
)
def test_the_first_words_say_what_is_simulated(tmp_path, run, titles, said, unsaid):
    pages, shown = landing_pages(Shelf(tmp_path / run, (), [], titles, []))
    assert shown == {}
    assert all(word in pages["ways"] for word in said)
    assert not any(word in pages["ways"] for word in unsaid)
    assert "no takeaways yet" in pages["landing"]


def test_pages_of_scores_are_called_as_their_notebooks():
    rows = [score("linear", value=0.5), score("linear", value=0.5, section="08", run="other")]
    pages = results_pages(rows[::-1], "r", {"s": "2. Splits"})
    assert list(pages) == ["results", "results/08", "results/s"]
    assert "# Scores: 2. Splits" in pages["results/s"]
    assert "[2. Splits](results/s.md): 1 rows\n" in pages["results"]
    assert "[08](results/08.md): 1 rows, run other" in pages["results"]


def test_the_page_of_windows_lists_every_block_with_its_streams():
    page = windows_page()
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if "| `" in line}
    assert set(rows) == {block.name for block in BLOCKS}
    assert "under `corrected` also pose" in rows["hand_left_joints"]
    assert "does not change" in rows["calibration"]
