"""Labels with markup in a built site: each page shows their letters, and none of them runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xperience.evaluation.records import Record, write_records
from xperience.features.extract import extract
from xperience.report.figures.style import Picture, new_figure, picture_data, set_title, style
from xperience.report.site import Shown, build_site
from xperience.text import as_block, as_markdown, visible

from .conftest import DOCS, code_cell, shown, write_executed

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
def site(tmp_path_factory, builder) -> Path:
    """The site of a run whose recording, notebook, scores and predictions hold such labels."""
    run = tmp_path_factory.mktemp("artifacts") / "hostile"
    recording = builder.write_episode(run.parent / "ep", 60)
    document = builder.caption_document(builder.frame_names(60))
    for number, segment in enumerate(document["segments"]):
        segment["Sub Task"] = LABELS[2 + number]
        segment["Current Action"][0]["label"] = LABELS[number]
    document["config"]["Main Task"] = LABELS[0]
    builder.put_captions(recording, document)
    windows = run.parent / "windows.parquet"
    extract(recording, windows, workers=1)
    table = pd.DataFrame({"label": LABELS}, index=LABELS)
    with style():
        figure = new_figure(1.0)
        set_title(figure, LABELS[0], LABELS[3])
    outputs = [
        {"text_html": table._repr_html_()},
        {"text_html": table.style.hide(axis="index").to_html()},
        {"text_markdown": as_block("```\n</code>" + "\n".join(LABELS))},
        picture_data(Picture(figure, "t", " ".join(LABELS))),
        *({"text_markdown": f"This is **{as_markdown(one)}**."} for one in LABELS),
    ]
    cells = [code_cell(f"show({place})", shown(**one)) for place, one in enumerate(outputs)]
    write_executed(run, "01_first", *cells)
    rows = [
        Record(**ROW, task=one, variant=f"x/class={one}", status="skipped", reason=one)
        for one in LABELS
    ]
    write_records(run / "metrics" / "01_first.json", rows)
    said = {"contract": "published", "task": LABELS[0], "head": LABELS[1], "seed": None}
    said |= {"truth": LABELS[2], "predicted": LABELS[3], "error": None, "unit": None}
    said |= {"confidence": np.nan, "window": 1, "start_frame": 5}
    predictions = run / "said.parquet"
    pd.DataFrame([said]).to_parquet(predictions)
    build_site(DOCS, run, ["01_first"], run / "site", Shown(windows, predictions, recording))
    return run / "site"


def test_no_label_runs_or_looks_like_anything_but_itself(page, site):
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("window.ran") is None, path.name
        assert page.locator("img[src='x'], .MathJax, mjx-container, .y").count() == 0, path.name
    alt = visible(" ".join(LABELS))
    words = {}
    for name in ("index", "_run/notebooks/01_first", "_run/results/01_first", "explorer"):
        page.goto((site / f"{name}.html").as_uri())
        words[name] = " ".join(page.locator("main").inner_text().split())
        if name in ("index", "_run/notebooks/01_first"):
            assert page.locator("main img").first.get_attribute("alt") == alt
    for label in LABELS:
        assert f"This is {visible(label)}." in words["_run/notebooks/01_first"]
        assert f"skipped: {visible(label)}" in words["_run/results/01_first"]
    assert LABELS[0] in words["explorer"]
