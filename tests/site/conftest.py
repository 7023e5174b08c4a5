"""A tiny run's site with an episode page, and that of the committed run; each is built once."""

import base64
import io
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from xperience.evaluation.records import Record, write_records
from xperience.features.extract import extract
from xperience.report.figures.style import Picture, new_figure, picture_data, set_title, style
from xperience.report.site import Shown, build_site
from xperience.text import as_block, as_markdown

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
COMMITTED = REPOSITORY / "artifacts" / "reference" / "standin"
NOTEBOOKS = ["01_first", "02_second", "03_labels"]
LABELS = [
    "<script>window.ran = 1</script> & <b>Pour</b>",
    '"><img src=x onerror="window.ran = 1"> \'',
    "</script><script>window.ran = 1</script>",
    "a_b *c* `d` [e](f) | $5 and $6 $$",
    'Put $\\alpha_{ cup {math}`x` --- # : 倒水 "it\'s"',
    "line one\nline two: # [x]{.y}",
]
"""Labels of the recording, the third notebook, its scores and a task's predictions."""
SIDE = {"processor": "x86 <1>", "python": "3.11", "versions": {"numpy": "2.3.0", "torch": "2.9"}}
REPRODUCTION = {
    "run": "tiny",
    "reference": SIDE,
    "here": SIDE | {"versions": {"numpy": "2.3.1"}},
    "counts": {"equal": 4000, "within tolerance": 30, "different": 1, "only here": 2},
    "claims": {"same": 56, "changed": []},
    "verdicts": {"same": 83, "changed": [{"row": "03", "reference": "better", "here": None}]},
    "kept": [{"notebook": "08_published_record", "why": "no record", "way_out": "make record"}],
    "different": [
        {"row": "03", "kind": "network", "state": "different", "reference": 0.5, "here": 0.75}
    ],
    "tolerances": [{"kind": "network", "rule": "the spread over seeds"}],
    "steps": [
        {"step": "simulate", "wall_s": 40.0, "cpu_s": 70.4},
        {"step": "site", "wall_s": 20.0, "cpu_s": 30.0},
    ],
}


def png() -> str:
    """Return a picture of one red pixel, in base 64."""
    stream = io.BytesIO()
    Image.new("RGB", (1, 1), "red").save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def code_cell(source: str, *outputs: dict, count: int | None = 1, tags: tuple = ()) -> dict:
    return {
        "cell_type": "code",
        "id": f"c{zlib.crc32(source.encode())}",
        "execution_count": count,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": list(outputs),
        "source": source,
    }


def shown(**data: str) -> dict:
    data = {kind.replace("_", "/"): value for kind, value in data.items()}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def write_executed(folder: Path, name: str, *cells: dict) -> None:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    title = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": f"# Section {name}"}
    about = {"metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path = folder / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": [title, *cells]} | about))


def write_run(run: Path) -> None:
    """Write what a run leaves: two executed notebooks, the scores of one and a comparison."""
    run.mkdir(parents=True)
    (run / "reproduction.json").write_text(json.dumps(REPRODUCTION))
    picture = png()
    html = f'<img alt="A &quot;red&quot; dot" width="60" src="data:image/png;base64,{picture}">'
    hidden = code_cell("n = 12345", tags=("injected-parameters", "remove-cell"))
    plot = code_cell("plot()", shown(image_png=picture, text_plain="plain"))
    long = code_cell("a = 1\nb = 2\nc = 3\nprint('folded away')")
    write_executed(run, "01_first", hidden, plot, long)
    warning = {"output_type": "stream", "name": "stderr", "text": "a warning to the author"}
    table = shown(text_markdown="| told | of |\n| --- | --- |\n| **a row** | `r` |")
    second = code_cell("show()", shown(text_html=html), warning), code_cell("tell()", table)
    write_executed(run, "02_second", *second)
    row = {"run": "tiny", "section": "01_first", "contract": "published", "metric": "macro_f1"}
    rows = [
        Record(**row, task="a|b", higher_is_better=True, value=0.25, ci_low=0.1, ci_high=0.4),
        Record(**row, task="c", higher_is_better=True, status="skipped", reason="no audio"),
    ]
    write_records(run / "metrics" / "01_first.json", rows)
    row |= {"section": "03_labels", "status": "skipped"}
    rows = [Record(**row, task=one, variant=f"x/class={one}", reason=one) for one in LABELS]
    write_records(run / "metrics" / "03_labels.json", rows)
    outputs = [shown(**one) for one in labels_shown()]
    cells = [code_cell(f"show({n})", one, tags=("front",)) for n, one in enumerate(outputs)]
    write_executed(run, "03_labels", *cells)


def labels_shown() -> list[dict[str, str]]:
    """Return what a notebook's cells show of the labels: tables, words and a figure."""
    table = pd.DataFrame({"label": LABELS}, index=LABELS)
    with style():
        figure = new_figure(1.0)
        set_title(figure, LABELS[0], LABELS[3])
    return [
        {"text_html": table._repr_html_()},
        {"text_html": table.style.hide(axis="index").to_html()},
        {"text_markdown": as_block("```\n</code>" + "\n".join(LABELS))},
        picture_data(Picture(figure, "t", " ".join(LABELS))),
        *({"text_markdown": f"This is **{as_markdown(one)}**."} for one in LABELS),
    ]


@pytest.fixture(scope="session")
def episode_shown(builder, tmp_path_factory) -> Shown:
    """A short recording with those labels, its windows, and made-up predictions of three tasks."""
    folder = tmp_path_factory.mktemp("shown")
    recording = builder.write_episode(folder / "ep", 60)
    document = builder.caption_document(builder.frame_names(60))
    for number, segment in enumerate(document["segments"]):
        segment["Sub Task"] = LABELS[2 + number]
        segment["Current Action"][0]["label"] = LABELS[number]
    document["config"]["Main Task"] = LABELS[0]
    builder.put_captions(recording, document)
    extract(recording, folder / "windows.parquet", workers=1)
    said = {"contract": "published", "task": "timeline_action", "confidence": np.nan, "unit": None}
    hands = {"task": "hand_trajectory_forecast", "truth": None, "predicted": None, "unit": "m"}
    odd = {"task": LABELS[0], "head": LABELS[1], "truth": LABELS[2], "predicted": LABELS[3]}
    rows = [
        said | {"head": "linear", "seed": None, "truth": "a", "predicted": "a", "error": None},
        said | {"head": "neural", "seed": 7, "truth": "a", "predicted": "<b>", "error": None},
        said | {"head": "neural", "seed": 8, "truth": "a", "predicted": "never", "error": None},
        said | hands | {"head": "linear", "seed": None, "error": 0.25},
        said | odd | {"seed": None, "error": None},
    ]
    at = [{"window": place, "start_frame": 5 * place} for place in (4, 5, 6)]
    table = pd.DataFrame([row | place for row in rows for place in at])
    table.to_parquet(folder / "predictions.parquet")
    return Shown(folder / "windows.parquet", folder / "predictions.parquet", recording)


@pytest.fixture(scope="session")
def tiny_run(made_once, episode_shown) -> Path:
    """The folder of a tiny run with its site; nobody changes it."""

    def build(folder: Path) -> None:
        write_run(folder / "tiny")
        build_site(DOCS, folder / "tiny", NOTEBOOKS, folder / "tiny" / "site", episode_shown)

    return made_once("tiny-site", build) / "tiny"


@pytest.fixture(scope="session")
def tiny_site(tiny_run) -> Path:
    return tiny_run / "site"


@pytest.fixture(scope="session")
def committed_site(made_once) -> Path:
    """The site of what is committed, built outside the repository."""
    notebooks = sorted(path.stem for path in (COMMITTED / "notebooks").glob("*.ipynb"))
    if not notebooks:
        pytest.skip("no executed notebook is committed")

    def build(folder: Path) -> None:
        run = folder / COMMITTED.name
        for part in ("notebooks", "metrics", "figures"):
            shutil.copytree(COMMITTED / part, run / part)
        for takeaways in COMMITTED.glob("RESEARCH_TAKEAWAYS.*"):
            shutil.copy(takeaways, run)
        build_site(DOCS, run, notebooks, run / "site")

    return made_once("committed-site", build) / COMMITTED.name / "site"


def watched(browser: Browser, complaints: list[str]) -> Page:
    """Return a page without network that notes everything it complains about."""
    page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("request", lambda r: r.url.startswith("http") and complaints.append(f"asks {r.url}"))
    return page


@pytest.fixture
def complaints() -> list[str]:
    """What the page of a test complained of; there must be nothing."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Page:
    return watched(browser, complaints)
