"""The built site of a tiny run, and what its pages say of rows, tasks and takeaways."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import h5py
import pytest

from xperience.errors import NotebookError
from xperience.evaluation.records import Record, write_records
from xperience.features.blocks import BLOCKS
from xperience.recording import layout
from xperience.recording.recording import Recording
from xperience.report.explorer import explorer_files
from xperience.report.pages import (
    FIGURES,
    landing_table,
    layout_page,
    reproduction_page,
    results_pages,
    score_table,
    windows_page,
)
from xperience.report.site import SiteError, build_site, staged_run

from .conftest import DOCS, NOTEBOOKS, REPRODUCTION, code_cell, png, shown, write_executed

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


def is_outside(address: str) -> bool:
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def faults_of(site: Path) -> list[str]:
    """Return broken links, and what pages load from elsewhere."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    faults = []
    for path, page in pages.items():
        outside = [a for a in page.loads if is_outside(a) and not a.startswith("data:")]
        faults += [f"{path.relative_to(site)} loads {address}" for address in outside]
        for address in [link for link in page.links + page.loads if not is_outside(link)]:
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            lost = anchor and target in pages and anchor not in pages[target].ids
            if lost or not target.is_file():
                faults.append(f"{path.relative_to(site)} -> {address}")
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        faults += re.findall(r"@import[^;]*https?:|url\(['\"]?https?:", text)
    return faults


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_links_are_good_and_nothing_is_loaded_from_elsewhere(tiny_site):
    assert faults_of(tiny_site) == []


@pytest.mark.slow
def test_the_committed_run_gives_a_whole_site(committed_site):
    assert faults_of(committed_site) == []


def test_pages_show_figures_scores_and_tables_and_hide_what_is_not_for_readers(tiny_site):
    landing = (tiny_site / "index.html").read_text(encoding="utf-8")
    for words in ("_images/figure.png", "_run/notebooks/01_first.html", "a|b", "0.1 … 0.4"):
        assert words in landing
    assert "skipped: no audio" in landing
    second = (tiny_site / "_run" / "notebooks" / "02_second.html").read_text(encoding="utf-8")
    assert re.search(r"<td>\s*(<p>)?<strong>a row</strong>", second)
    assert "| **a row**" not in second
    text = "".join(path.read_text(encoding="utf-8") for path in tiny_site.rglob("*.html"))
    assert "12345" not in text
    assert "a warning to the author" not in text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (code_cell("1 / 0", {"output_type": "error", "ename": "E", "evalue": ""}), "an error"),
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


def test_building_again_changes_no_file_and_a_faulty_page_is_named_each_time(
    tmp_path, tiny_run, episode_shown
):
    shown_files = episode_shown.windows, episode_shown.predictions, episode_shown.recording
    assert explorer_files(*shown_files) == explorer_files(*shown_files)
    assert staged_run(tiny_run, NOTEBOOKS) == staged_run(tiny_run, NOTEBOOKS)
    docs, site = tmp_path / "docs", tmp_path / "site"
    docs.mkdir()
    extensions = ["myst_parser", "xperience.report.reference"]
    conf = f'extensions = {extensions}\nexclude_patterns = ["_run"]\n'
    (docs / "conf.py").write_text(conf)
    modules = ("xperience.errors", "xperience.evaluation.agreement")
    pages = "\n\n".join(f"## {name}\n\n```{{library}} {name}\n```" for name in modules)
    (docs / "index.md").write_text(f"# Title\n\n{pages}\n")
    build_site(docs, tmp_path / "run", [], site)
    before = content(site)
    words = " ".join(re.sub(r"<[^>]+>", "", (site / "index.html").read_text()).split())
    for said in (
        "exception xperience.errors.XperienceError(place, found, expected, way_out)",
        "exception xperience.errors.EpisodeError(place, found, expected, way_out)",
        "did_you_mean(name, known)",
        "digits¶ decimals that were printed",
        "bounds¶ of a derived one: least and most that may be",
    ):
        assert said in words
    assert 'id="xperience.errors.XperienceError"' in (site / "index.html").read_text()
    build_site(docs, tmp_path / "run", [], site)
    assert content(site) == before
    (docs / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    for _ in range(2):
        with pytest.raises(SiteError, match=r"docs/index\.md"):
            build_site(docs, tmp_path / "run", [], site)
    assert content(site) == before


def test_a_takeaway_has_its_headline_its_figure_and_its_sources(tmp_path):
    cell = code_cell("draw()", shown(text_html=f'<img alt="a [bar]" src="base64,{png()}">'))
    write_executed(tmp_path, "05_audio", cell)
    claim = {"claim": "x", "text": "it holds", "contract": "corrected", "column": "run"}
    claim["outcome"] = "supported"
    claim["sections"] = ["05_audio", "09_elsewhere"]
    claims = [
        claim | {"sentence": "Open, alas.", "outcome": "not tested"},
        claim | {"sentence": "It **holds**."},
        claim | {"sentence": "Of the record.", "column": "record"},
    ]
    one = {"name": "audio", "title": "Sound, or not", "headline": "Sound helps", "leads": [1, 0]}
    one |= {"question": "Does it?", "claims": claims}
    other = one | {"name": "heldout", "headline": "Held out", "claims": [], "leads": []}
    content = {"run": "tiny", "heldout": None, "takeaways": [one, other]}

    def pages() -> tuple[str, str, bytes | None]:
        files = staged_run(tmp_path, ["05_audio"])
        texts = (files[f"_run/{name}.md"].decode() for name in ("landing", "claims"))
        return *texts, files.get("_run/takeaway_audio.png")

    assert "no takeaways yet" in pages()[0]
    assert "has drawn none" in pages()[1]
    (tmp_path / "RESEARCH_TAKEAWAYS.json").write_text(json.dumps(content))
    assert pages()[2] is None, "no picture without words for it"
    (tmp_path / "figures").mkdir()
    picture = staged_run(tmp_path, ["05_audio"])["_run/figure.png"]
    (tmp_path / "figures" / f"{FIGURES['audio']}.png").write_bytes(picture)
    text, table, seen = pages()
    assert seen == picture
    assert "### 1. Sound helps" in text
    assert "### 2. Held out" in text
    assert ":alt: a [bar]" in text
    assert ":target: _run/notebooks/05_audio.html#cell-2" in text
    assert "[Section 05_audio](_run/notebooks/05_audio.ipynb)" in text
    assert "09_elsewhere" not in text, "a link to a notebook that isn't on the site"
    assert "[✔ 2 supported]{.verdict .supported} [? 1 not tested]" in text
    assert text.index("It **holds**.") < text.index("Open, alas.")
    assert "Of the record." not in text, "it doesn't lead"
    assert all(said in table for said in ("<td>It holds.</td>", "<td>Of the record.</td>"))


def score(head: str, **values) -> Record:
    known = {"run": "r", "section": "s", "contract": "corrected", "task": "next_action"}
    known |= {"metric": "macro_f1", "higher_is_better": True}
    return Record(**known | {"head": head} | values)


@pytest.mark.parametrize(
    ("low", "high", "up", "mark"),
    [
        (0.1, 0.2, True, "▲"),
        (-0.2, -0.1, True, "▼"),
        (-0.1, 0.2, True, "○"),
        (0.1, 0.2, False, "▼"),
        (None, None, True, "?"),
    ],
)
def test_a_score_is_marked_by_its_difference_from_the_floor(low, high, up, mark):
    floor = {"floor": 0.25, "floor_name": "majority", "higher_is_better": up}
    ends = {"against": "majority", "ci_low": low, "ci_high": high, "higher_is_better": up}
    rows = [
        score("linear", value=0.5, **floor),
        score("linear", value=-0.15 if high == -0.1 else 0.15, **ends),
        score("linear", value=9.0, against="neural", ci_low=-9.0, ci_high=9.0),
        score("neural", status="skipped", reason="no sound"),
        score("linear", value=0.7, section="t"),
    ]
    line = landing_table(rows).splitlines()[-4]
    assert line.startswith("| [next action](_run/tasks.md#next-action) | macro-F1")
    assert f"0.250 majority | 0.500 [{mark}]" in line
    assert "| skipped |" in line


def test_tables_of_scores():
    rows = [score("linear", value=0.5), score("linear", task="contact", value=0.5)]
    assert "| contact |" in landing_table(rows), "only a task with a card leads to it"
    row = {"run": "r", "section": "s", "contract": "c", "metric": "mpjpe", "unit": "m"}
    table = score_table([Record(**row, higher_is_better=False, value=12345.678, variant="<a_b>")])
    heads, cells = (re.findall(rf"<{tag}.*?>(.+)</{tag}>", table) for tag in ("th", "td"))
    assert heads == ["contract", "variant", "metric", "value"]
    assert cells == ["c", "&lt;a_b&gt;", "mpjpe ↓", "12,346 m"]
    rows = [score("linear", value=0.5), score("linear", value=0.5, section="08", run="other")]
    pages = results_pages(rows[::-1], "r", {"s": "2. Splits"})
    assert list(pages) == ["results", "results/08", "results/s"]
    assert "# Scores: 2. Splits" in pages["results/s"]
    assert "[2. Splits](results/s.md): 1 rows\n" in pages["results"]
    assert "[08](results/08.md): 1 rows, run other" in pages["results"]


def test_long_code_is_folded_and_every_figure_has_a_place(tmp_path):
    cells = [code_cell("one = 1"), code_cell("a = 1\nb = 2\nc = 3\nd = 4")]
    write_executed(tmp_path, "01_first", *cells, code_cell("draw()", shown(image_png=png())))
    files = staged_run(tmp_path, ["01_first"])
    reading = json.loads(files["_run/notebooks/01_first.ipynb"])["cells"]
    tags = [cell["metadata"].get("tags", []) for cell in reading]
    assert tags == [[], [], ["hide-input"], [], []]
    assert 'id="cell-4"' in reading[3]["source"]
    assert "_run/notebooks/01_first.html#cell-4" in files["_run/front.md"].decode()


@pytest.mark.parametrize(
    ("run", "name", "said", "unsaid"),
    [
        ("standin", "08_published_record", ["simulated", "is of a real one"], []),
        ("mine", "01_first", ["run **mine**", "01_first.ipynb"], ["simulated", "real"]),
    ],
)
def test_the_first_words_say_what_is_simulated(tmp_path, run, name, said, unsaid):
    write_executed(tmp_path / run, name, code_cell("1"))
    row = Record(run=run, section=name, contract="c", metric="m", value=1)
    write_records(tmp_path / run / "metrics" / f"{name}.json", [row])
    ways = staged_run(tmp_path / run, [name])["_run/ways.md"].decode()
    assert [word for word in said if word not in ways] == []
    assert [word for word in unsaid if word in ways] == []


def test_a_comparison_with_the_reference_is_told_in_a_line_and_on_a_page(tmp_path):
    assert "not been compared" in reproduction_page(tmp_path)
    whole = "All 4,030 rows agree with the reference (4,000 are equal, 30 within tolerance)"
    same = "all 83 verdicts are the same and all 56 claims are the same."
    told = "1 of 4,031 rows differ from the reference (4,000 are equal, 30 within tolerance), "
    told += "1 of 84 verdicts changed and all 56 claims are the same."
    nothing = {"counts": REPRODUCTION["counts"] | {"different": 0}, "different": [], "kept": []}
    nothing["verdicts"] = {"same": 83, "changed": []}
    for found, headline in ((REPRODUCTION, told), (REPRODUCTION | nothing, f"{whole}, {same}")):
        (tmp_path / "reproduction.json").write_text(json.dumps(found))
        page = reproduction_page(tmp_path)
        assert f"**{headline}**" in page
        assert headline in staged_run(tmp_path, [])["_run/ways.md"].decode()
        assert ("Nowhere beyond" in page) == (found is not REPRODUCTION)
        rows = [re.findall("<t[dh]>(.*)</t[dh]>", row) for row in page.split("<tr>")]
        assert ["network", "the spread over seeds"] in rows
        assert ["all", "60.0", "100.4"] in rows
        assert ["processor", "x86 &lt;1&gt;", "x86 &lt;1&gt;"] in rows
        assert ["torch", "2.9", "–"] in rows
        different = ["03", "network", "different", "0.5", "0.75"]
        assert (different in rows) == (["03", "better", "–"] in rows)
        assert (different in rows) == (found is REPRODUCTION)


def test_the_page_of_windows_lists_every_block_with_its_streams():
    page = windows_page()
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if "| `" in line}
    assert set(rows) == {block.name for block in BLOCKS}
    assert "under `corrected` also pose" in rows["hand_left_joints"]
    assert "does not change" in rows["calibration"]


def test_the_page_of_the_episode_folder_is_what_the_layout_says():
    way = "from xperience.report.pages import layout_page as page; print(page(), end='')"
    page = (DOCS / "episode-folder.md").read_text(encoding="utf-8")
    assert page == layout_page(), f'.venv/bin/python -c "{way}" > docs/episode-folder.md'


def test_the_layout_describes_what_the_simulator_writes(simulated):
    described = {one.path: one for stream in layout.STREAMS for one in stream.datasets}
    described |= {one.path: one for one in layout.OTHERS}
    with h5py.File(simulated(frames=60) / layout.ANNOTATION) as file:
        found = {}
        file.visititems(lambda name, node: found.update({name: node}))
        written = {
            re.sub(r"cam[0-3]/", "cam0…3/", name): node
            for name, node in found.items()
            if isinstance(node, h5py.Dataset)
            and (name == layout.STEREO_BASELINE or not name.startswith("metadata/"))
        }
        assert written.keys() == described.keys()
        for name, node in written.items():
            one, leads = described[name], described[name].rows != "value"
            assert node.dtype.name == one.dtype or (one.dtype == "text" and node.dtype.kind in "SO")
            assert len(node.shape) == leads + len(one.tail), name
            sizes = zip(node.shape[leads:], one.tail, strict=True)
            assert all(want in (None, size) for size, want in sizes), name


def test_the_example_of_captions_is_read(tiny):
    with h5py.File(tiny / layout.ANNOTATION, "r+") as file:
        del file[layout.CAPTION_KEYS[0]]
        file[layout.CAPTION_KEYS[0]] = re.search("```json\n(.*)\n```", layout_page(), re.DOTALL)[1]
    with Recording(tiny) as episode:
        labels = episode.labels_of("corrected")
        assert episode.streams["captions"].faults == []
    assert (labels.main_task, labels.subtask[39], labels.action[0]) == (
        "Make tea", "Boil water", "Fill kettle",
    )  # fmt: skip
    assert labels.objects[19] == ("kettle", "tap")
