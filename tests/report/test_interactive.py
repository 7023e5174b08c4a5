"""Pictures to move through: controls where a notebook is open, a still where nobody watches."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.project import STILL
from xperience.report import interactive
from xperience.report.figures import style
from xperience.report.figures.style import Picture, new_figure
from xperience.report.interactive import WIDGET, Choice, explore, moments, panel
from xperience.report.quantities import place_at

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.py"))


def draw(at, kind="plain"):
    figure = new_figure(1.0)
    figure.text(0.1, 0.5, f"{kind} {at}")
    return Picture(figure, f"{kind} {at}", f"alt of {kind} {at}")


@pytest.fixture
def displayed(monkeypatch):
    """What a cell displays."""
    found = []
    for module in (interactive, style):
        monkeypatch.setattr(module, "display", lambda data, **_: found.append(data))
    return found


def test_a_run_that_nobody_watches_gets_one_still_and_no_widget(displayed, monkeypatch, tmp_path):
    monkeypatch.setenv(STILL, "1")
    explore(draw, {"at": Choice.along()}, tmp_path / "still.png")
    assert [set(data) for data in displayed] == [{"text/html", "text/plain"}]
    assert displayed[0]["text/plain"] == "alt of plain 0.5"
    assert (tmp_path / "still.png").read_bytes().startswith(b"\x89PNG")


def test_an_open_notebook_gets_controls_with_the_still_beside_them(displayed, monkeypatch):
    monkeypatch.delenv(STILL, raising=False)
    explore(draw, {"at": Choice.along()})
    assert set(displayed[0]) == {WIDGET, "text/html", "text/plain"}


def test_moving_a_control_draws_another_picture_and_moving_back_the_same():
    chosen = {"at": Choice.along(), "kind": Choice.among(["first_one", "second_one"])}
    box = panel(draw, chosen)
    at, kind, drawn = box.children
    seen = [drawn.value]
    at.value = 1.0
    seen.append(drawn.value)
    kind.value = "second_one"
    seen.append(drawn.value)
    assert ["alt of first_one 0.5" in seen[0], "alt of first_one 1.0" in seen[1]] == [True, True]
    assert "alt of second_one 1.0" in seen[2]
    at.value, kind.value = 0.5, "first_one"
    assert drawn.value == seen[0]


def test_names_are_read_with_spaces_and_the_first_is_an_option():
    control = Choice.among(["hand_forecast", "order"], "order").control("which_task")
    assert [label for label, _ in control.options] == ["hand forecast", "order"]
    assert (control.value, control.description) == ("order", "which task")
    for options, first in (({}, None), ({"a": 1}, 2)):
        with pytest.raises(ValueError, match="option"):
            Choice(options, first)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=50, unique=True))
def test_moments_keep_every_window_and_its_order(starts):
    found = moments(sorted(starts), 20.0)
    assert list(found.values()) == list(range(len(starts)))
    assert list(moments([0, 1290], 20.0)) == ["0:00.00", "1:04.50"]


@given(st.floats(0, 1), st.integers(1, 2000))
def test_a_share_of_the_way_is_a_place_and_its_ends_are_the_ends(share, n):
    assert 0 <= place_at(share, n) < n
    assert (place_at(0.0, n), place_at(1.0, n)) == (0, n - 1)
    assert abs(place_at(share, n) - share * (n - 1)) <= 0.5 + 1e-9


def test_the_notebooks_with_something_to_move_are_those_that_people_move():
    moving = set()
    for source in NOTEBOOKS:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        if any(getattr(call.func, "id", "") == "explore" for call in calls):
            moving.add(source.stem[:2])
    assert moving == {"01", "03", "04"}
