"""Labels with markup in a built site: each page shows their letters, and none of them runs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xperience.evaluation.records import Record, write_records
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.report.explorer import explorer_files
from xperience.report.figures.style import Picture, new_figure, picture_data, set_title, style
from xperience.report.site import Shown, build_site
from xperience.text import as_block, as_markdown, visible

from .conftest import DOCS, code_cell, shown, watched, write_executed

pytestmark = pytest.mark.slow

LABELS = [
    "<script>window.ran = 1</script> & <b>Pour</b>",
    '"><img src=x onerror="window.ran = 1"> \'',
    "</script><script>window.ran = 1</script>",
    "a_b *c* `d` [e](f) | $5 and $6 $$",
    'Put $\\alpha_{ cup {math}`x` --- # : 倒水 "it\'s"',
    "line one\nline two: # [x]{.y}",
]
ROW = {"run": "hostile", "section": "01_first", "contract": "corrected", "metric": "macro_f1"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory, builder) -> Path:
    folder = builder.write_episode(tmp_path_factory.mktemp("hostile") / "ep", 60)
    document = builder.caption_document(builder.frame_names(60))
    for number, segment in enumerate(document["segments"]):
        segment["Sub Task"] = LABELS[2 + number]
        segment["Current Action"][0]["label"] = LABELS[number]
    document["config"]["Main Task"] = LABELS[0]
    builder.put_captions(folder, document)
    extract(folder, folder.parent / "windows.parquet", workers=1)
    return folder


@pytest.fixture(scope="module")
def site(recording, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("artifacts") / "hostile"
    table = pd.DataFrame({"label": LABELS}, index=LABELS)
    with style():
        figure = new_figure(1.0)
        set_title(figure, LABELS[0], LABELS[3])
    words = [code_cell(f"say({i})", shown(text_markdown=f"This is **{as_markdown(one)}**."))
             for i, one in enumerate(LABELS)]  # fmt: skip
    write_executed(
        run,
        "01_first",
        code_cell("tables", shown(text_html=table._repr_html_())),
        code_cell("styled", shown(text_html=table.style.hide(axis="index").to_html())),
        code_cell("raw", shown(text_markdown=as_block("```\n</code>" + "\n".join(LABELS)))),
        code_cell("plot", shown(**picture_data(Picture(figure, "t", " ".join(LABELS))))),
        *words,
    )
    rows = [
        Record(**ROW, task=one, variant=f"x/class={one}", status="skipped", reason=one)
        for one in LABELS
    ]
    write_records(run / "metrics" / "01_first.json", rows)
    said = {"contract": "published", "task": LABELS[0], "head": LABELS[1], "seed": None}
    said |= {"truth": LABELS[2], "predicted": LABELS[3], "error": None, "unit": None}
    said |= {"confidence": np.nan, "window": 1, "start_frame": 5}
    pd.DataFrame([said]).to_parquet(run / "said.parquet")
    windows = recording.parent / "windows.parquet"
    build_site(
        DOCS, run, ["01_first"], run / "site", Shown(windows, run / "said.parquet", recording)
    )
    return run / "site"


def test_no_label_runs_or_looks_like_anything_but_itself(browser, site):
    complaints: list[str] = []
    page = watched(browser, complaints)
    pages = sorted(site.rglob("*.html"))
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("window.ran") is None, path.name
        assert page.locator("img[src='x'], .MathJax, mjx-container, .y").count() == 0, path.name
    assert complaints == []
    page.goto((site / "_run" / "notebooks" / "01_first.html").as_uri())
    told = " ".join(page.locator("main").inner_text().split())
    page.goto((site / "_run" / "results" / "01_first.html").as_uri())
    scores = " ".join(page.locator("main").inner_text().split())
    for label in LABELS:
        assert f"This is {visible(label)}." in told
        assert f"skipped: {visible(label)}" in scores
    figure = page.goto((site / "_run" / "notebooks" / "01_first.html").as_uri())
    assert figure is not None
    assert page.locator("main img").get_attribute("alt") == visible(" ".join(LABELS))
    page.goto((site / "index.html").as_uri())
    assert page.locator("main img").first.get_attribute("alt") == visible(" ".join(LABELS))


def test_the_timeline_writes_labels_as_they_are(browser, site, recording):
    page = watched(browser, [])
    page.goto((site / "explorer.html").as_uri())
    shown_text = page.locator("#explorer").inner_text()
    assert LABELS[0] in shown_text
    assert page.evaluate("window.ran") is None
    script = explorer_files(recording.parent / "windows.parquet", None)[
        "_static/run/explorer-data.js"
    ]
    assert script.isascii()
    names = json.loads(script.decode().split("=", 1)[1].rstrip(";\n"))["action"]["names"]
    assert names == list(
        WindowTable(recording.parent / "windows.parquet").labels["action"].dropna().unique()
    )
