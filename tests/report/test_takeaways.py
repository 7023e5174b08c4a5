"""Each rule can reach each of its outcomes, says each in its own words, and follows its rows."""

import importlib
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest

from xperience.evaluation.records import read_records
from xperience.project import at_root
from xperience.report import claims, takeaways
from xperience.report.claims import (
    CONTRACT,
    EXTENTS,
    NEURAL,
    NOTE,
    OPEN,
    RECORD,
    RUN,
    SECTIONS,
    TAKEAWAYS,
    Ask,
    Clears,
    Outcome,
    Place,
    sections_of,
)
from xperience.report.figures.takeaways import draw_evidence, draw_glance
from xperience.report.takeaways import (
    OPEN_SENTENCE,
    Evidence,
    assemble,
    column_names,
    evidence_table,
    judge,
    outcome_rows,
    say,
    takeaway_text,
    to_markdown,
)

from . import takeaway_rows as made
from .takeaway_rows import RULES, judged, said

PUBLISHED, CORRECTED = "published", "corrected"
COMMITTED = Path(__file__).parents[2] / "artifacts" / "reference" / "standin" / "metrics"
every_rule = pytest.mark.parametrize("entry", RULES, ids=made.name_of)


@every_rule
def test_every_outcome_of_every_rule_can_be_reached_and_said(entry):
    claim, place, rule = entry
    sentences = {}
    for outcome in rule.outcomes:
        judgement = judged(entry, made.rows_for(rule.test, place, outcome))
        assert judgement.outcome is outcome
        template = rule.said.get(outcome, OPEN_SENTENCE)
        asked = {name for _, name, _, _ in Formatter().parse(template) if name}
        assert asked <= {*judgement.words, "claim", "why", "seen"}
        sentences[outcome] = say(claim, rule, judgement)
        assert "{" not in sentences[outcome]
        assert sentences[outcome].endswith(".")
        assert not sentences[outcome].endswith("..")
    assert len(set(sentences.values())) == len(rule.outcomes), "no two outcomes say the same"


@every_rule
def test_one_metric_past_its_threshold_or_taken_away_changes_what_is_said(entry):
    _, place, rule = entry
    rows = made.rows_for(rule.test, place, Outcome.SUPPORTED)
    before = said(entry, rows)
    for one in made.decisive(rule.test, rows):
        others = [row for row in rows if row is not one]
        assert said(entry, [*others, made.past_the_threshold(one)]) != before
        assert said(entry, others) != before


@every_rule
def test_without_rows_or_under_another_contract_nothing_can_be_told(entry):
    _, place, rule = entry
    other = CORRECTED if place.contract == PUBLISHED else PUBLISHED
    rows = made.rows_for(rule.test, Place(place.column, other), Outcome.SUPPORTED)
    for lacking in ([], rows):
        judgement = judged(entry, lacking)
        assert judgement.outcome is OPEN
        assert "is not in" in judgement.why
        assert judgement.rows == ()


def test_no_number_stands_in_a_sentence():
    texts = [OPEN_SENTENCE, takeaways.SCOPE, *takeaways.HOW_TO_READ]
    texts += [text for one in TAKEAWAYS for text in (one.title, one.question, one.scope)]
    texts += [claim.text for one in TAKEAWAYS for claim in one.claims]
    texts += [template for _, _, rule in RULES for template in rule.said.values()]
    texts += [template for template, _ in EXTENTS.values()]
    assert [text for text in texts if any(letter.isnumeric() for letter in text)] == []


def test_there_are_six_takeaways_with_claims_of_their_own():
    assert len(TAKEAWAYS) == 6
    names = [claim.name for one in TAKEAWAYS for claim in one.claims]
    assert len(names) == len(set(names))
    known = {section for sections in SECTIONS.values() for section in sections}
    assert {section for _, _, rule in RULES for section in sections_of(rule.test)} == known


def test_a_rule_without_a_sentence_for_an_outcome_is_refused():
    with pytest.raises(ValueError, match="no sentence"):
        replace(RULES[0][2], said={})


def test_the_mean_over_seeds_is_taken_and_one_seed_of_many_never():
    place, ask = Place(RUN, CORRECTED), Ask(NEURAL, "f1", "temporal_order", "neural")
    seeds = [made.row(place, ask, value=0.1 * seed, seed=seed) for seed in (7, 8)]
    mean = made.row(place, ask, value=0.5)
    assert made.evidence_of(place, [*seeds, mean]).find(place, ask).row == mean
    assert made.evidence_of(place, seeds[:1]).find(place, ask).row == seeds[0]
    assert "no mean" in made.evidence_of(place, seeds).find(place, ask).why


def test_a_fact_about_nothing_is_no_fact():
    """Without a published record no figure differs, which says nothing."""
    entry = made.named("note_reproduced", RECORD)
    rows = made.rows_of(entry)
    none = [
        row.model_copy(update={"value": 0.0}) if row.metric == "figures_exact" else row
        for row in rows
    ]
    assert judged(entry, none).outcome is OPEN


def test_units_of_a_printed_bound_must_agree():
    entry = next(e for e in RULES if isinstance(e[2].test, Clears) and e[2].test.bound is not None)
    score, bound = made.rows_of(entry)
    judgement = judged(entry, [score, bound.model_copy(update={"unit": "furlong"})])
    assert judgement.outcome is OPEN
    assert "units differ" in judgement.why


def test_names_in_metric_files_are_those_that_the_studies_write():
    written = {
        "tasks.audio": ("AS_IS", "WITHOUT", "REPLACED", "RAW_ONLY"),
        "studies.heldout.strict": ("CONSTRAINED", "FREE", "STRICT"),
    }
    for module, names in written.items():
        study = importlib.import_module(f"xperience.{module}")
        for name in names:
            assert getattr(claims, name) == getattr(study, name)
    notebook = (at_root("notebooks") / "02_label_shift.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in notebook for name in (claims.CHRONOLOGICAL, claims.PURGED))


# The published numbers


@pytest.fixture(scope="module")
def note_rows():
    path = COMMITTED / f"{NOTE}.json"
    if not path.is_file():
        pytest.skip("the rows of the published record are not committed")
    return read_records(path)


def hands(rows, name):
    place = Place(RECORD, PUBLISHED)
    claim, _, rule = next(e for e in RULES if e[0].name == name and e[1] == place)
    judgement = judge(rule.test, Evidence("standin", None, {(RECORD, NOTE): rows}), place)
    return judgement.outcome, say(claim, rule, judgement)


def test_published_neural_hands_beat_the_linear_head_and_are_far_worse_than_resting(note_rows):
    outcome, text = hands(note_rows, "hands_beat_linear")
    assert outcome is Outcome.SUPPORTED
    assert "**far better** than the linear head's" in text
    assert "107.9 mm" in text
    assert "864.7 mm" in text
    outcome, text = hands(note_rows, "hands_beat_resting")
    assert outcome is Outcome.CONTRADICTED
    assert "**far worse** than" in text
    assert "zero velocity" in text
    assert "27.6 mm" in text


def test_other_published_numbers_would_be_told_differently(note_rows):
    def moved(row, factor, **fields):
        ends = {name: factor * getattr(row, name) for name in ("value", "ci_low", "ci_high")}
        if factor < 0:
            ends["ci_low"], ends["ci_high"] = ends["ci_high"], ends["ci_low"]
        return row.model_copy(update=ends | fields)

    def changed(picked, factor):
        return [moved(row, factor) if picked(row) else row for row in note_rows]

    def neural(row):
        same = (row.task, row.head, row.metric) == ("hand_trajectory_forecast", "neural", "mpjpe")
        return same and row.ci_low is not None

    weak = changed(lambda row: neural(row) and row.against is None, 8)
    assert hands(weak, "hands_beat_linear")[0] is Outcome.NOT_SUPPORTED
    worse = changed(lambda row: neural(row) and row.against is None, 20)
    assert hands(worse, "hands_beat_linear")[0] is Outcome.CONTRADICTED
    turned = changed(lambda row: neural(row) and row.against == "zero_velocity", -1)
    outcome, text = hands(turned, "hands_beat_resting")
    assert outcome is OPEN
    assert "not that of the two scores" in text
    gap = next(row.value for row in turned if neural(row) and row.against == "zero_velocity")
    good = [
        row.model_copy(update={"value": row.floor + gap, "ci_low": None, "ci_high": None})
        if neural(row) and row.floor_name == "zero_velocity"
        else row
        for row in turned
    ]
    assert hands(good, "hands_beat_resting")[0] is Outcome.SUPPORTED


# What is written


@pytest.fixture(scope="module")
def supported():
    return assemble(made.all_supported())


def test_a_page_shows_every_claim_with_its_outcome_table_source_and_scope(supported):
    page = to_markdown(supported)
    for one in supported["takeaways"]:
        assert one["title"] in page
        assert one["scope"] in page
        for claim in one["claims"]:
            assert claim["sentence"] in page
            assert claim["text"] in page
            assert all(f"`{section}.json`" in page for section in claim["sections"])
    assert "## How to read" in page
    assert f"run {made.RUN}, `published`" in page
    assert "published record, `published`" in page


def test_the_glance_holds_every_outcome_with_the_figures_that_decide_it(supported):
    lines = takeaways.glance_table(supported).splitlines()
    claims = [claim for one in supported["takeaways"] for claim in one["claims"]]
    texts = list(dict.fromkeys(claim["text"] for claim in claims))
    assert len(lines) == len(texts) + 2
    for claim in claims:
        (line,) = (line for line in lines if f"| {claim['text']} |" in line)
        cell = f"{takeaways.mark(claim['outcome'])}<br>{claim['figures']}"
        assert f"| {cell if claim['figures'] else takeaways.mark(claim['outcome'])} |" in line
        digits = {part for part in claim["figures"].split() if part[0].isdigit()}
        assert digits or claim["claim"] in ("sound_helps", "other_account_helps")


def test_the_scope_says_how_much_there_is_or_why_that_is_not_known():
    rows = [
        made.row(place, ask, value=3.0, unit="thing")
        for place, (_, asks) in EXTENTS.items()
        for ask in asks.values()
    ]
    given = {
        (place.column, ask.section): tuple(row for row in rows if row.section == ask.section)
        for place, (_, asks) in EXTENTS.items()
        for ask in asks.values()
    }
    told = assemble(Evidence(made.RUN, made.COHORT, given))["extents"]
    assert told[RUN] == "one recording of 3 frames, 3 windows"
    assert all("3" in text for text in told.values())
    assert all(
        "not known" in text for text in assemble(Evidence("nobody", None, {}))["extents"].values()
    )


def test_tables_hold_the_rows_that_decide(supported):
    names = column_names(supported)
    for one in supported["takeaways"]:
        assert len(evidence_table(one, names).splitlines()) > len(one["claims"])


def test_outcomes_are_counted_once_each(supported):
    rows = outcome_rows(supported, "07_takeaways")
    assert sum(row.value for row in rows) == len(RULES)
    assert len({row.key for row in rows}) == len(rows)


def test_an_unknown_fact_leaves_a_whole_page_and_pictures(monkeypatch, tmp_path):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    content = assemble(Evidence("nobody", None))
    outcomes = {claim["outcome"] for one in content["takeaways"] for claim in one["claims"]}
    assert outcomes == {str(OPEN)}
    assert "no run of held-out episodes was named" in to_markdown(content)
    assert f"artifacts/nobody/metrics/{CONTRACT}.json is not there" in to_markdown(content)
    names = column_names(content)
    for one in content["takeaways"]:
        assert one["question"] in takeaway_text(one, names)
        assert "No score is there" in draw_evidence(one, names).alt
    assert "can't tell" in draw_glance(content).alt


def test_pictures_show_each_score_once_with_its_verdict(supported):
    names = column_names(supported)
    for one in supported["takeaways"]:
        picture = draw_evidence(one, names)
        assert picture.figure.axes
        assert "supported" in picture.alt
    claims = [claim for one in supported["takeaways"] for claim in one["claims"]]
    n_yes = sum(claim["outcome"] == "supported" for claim in claims)
    assert n_yes > len(claims) / 2
    assert draw_glance(supported).title == f"{n_yes} of {len(claims)} verdicts support the claim"
