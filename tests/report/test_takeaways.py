"""Each rule can reach each of its outcomes, says each in its own words, and follows its rows."""

import importlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.evaluation import records
from xperience.evaluation.records import Record, read_records
from xperience.project import at_root
from xperience.report.figures.takeaways import draw_evidence, draw_glance
from xperience.report.takeaways import phrases, render
from xperience.report.takeaways.catalogue import TAKEAWAYS
from xperience.report.takeaways.claims import OPEN_SENTENCE, decide, placeholders, say
from xperience.report.takeaways.comparisons import Clears, Compares
from xperience.report.takeaways.evidence import (
    CONTRACT,
    CORRECTED,
    NEURAL,
    NOTE,
    PUBLISHED,
    RECORD,
    RUN,
    SECTIONS,
    Ask,
    Evidence,
    Place,
)
from xperience.report.takeaways.extent import EXTENTS, extents
from xperience.report.takeaways.outcome import ALPHA, OPEN, Outcome, direction
from xperience.report.takeaways.render import assemble, column_names, evidence_table, to_markdown
from xperience.report.takeaways.rows import outcome_rows, outcome_table, takeaway_text
from xperience.report.takeaways.tallies import Tally

_PATH = Path(__file__).with_name("takeaway_rows.py")
_SPEC = importlib.util.spec_from_file_location("takeaway_rows", _PATH)
made = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = made
_SPEC.loader.exec_module(made)

RULES = made.RULES
COMMITTED = Path(__file__).parents[2] / "artifacts" / "standin" / "metrics"
every_rule = pytest.mark.parametrize("entry", RULES, ids=made.name_of)


def judged(rule, rows):
    return rule.test.judge(made.evidence_of(rule.place, rows), rule.place)


def sentence(entry, rows):
    _, claim, rule = entry
    return say(claim, rule, judged(rule, rows))


@every_rule
def test_every_outcome_of_every_rule_can_be_reached_and_said(entry):
    _, claim, rule = entry
    said = {}
    for outcome in rule.test.outcomes:
        judgement = judged(rule, made.rows_for(rule.test, rule.place, outcome))
        assert judgement.outcome is outcome
        said[outcome] = say(claim, rule, judgement)
        assert "{" not in said[outcome]
        assert said[outcome].endswith(".")
        assert not said[outcome].endswith("..")
    assert len(set(said.values())) == len(rule.test.outcomes), "no two outcomes say the same"


@every_rule
def test_one_metric_past_its_threshold_changes_what_is_said(entry):
    _, _, rule = entry
    rows = made.rows_for(rule.test, rule.place, Outcome.SUPPORTED)
    before = sentence(entry, rows)
    for one in made.decisive(rule.test, rows):
        others = [row for row in rows if row is not one]
        assert sentence(entry, [*others, made.past_the_threshold(one)]) != before


@every_rule
def test_one_metric_taken_away_changes_or_withdraws_what_is_said(entry):
    _, _, rule = entry
    rows = made.rows_for(rule.test, rule.place, Outcome.SUPPORTED)
    before = sentence(entry, rows)
    for one in made.decisive(rule.test, rows):
        assert sentence(entry, [row for row in rows if row is not one]) != before


@every_rule
def test_without_rows_or_under_another_contract_nothing_can_be_told(entry):
    _, _, rule = entry
    other = CORRECTED if rule.place.contract == PUBLISHED else PUBLISHED
    rows = made.rows_for(rule.test, Place(rule.place.column, other), Outcome.SUPPORTED)
    for lacking in ([], rows):
        judgement = judged(rule, lacking)
        assert judgement.outcome is OPEN
        assert "is not in" in judgement.why
        assert judgement.rows == ()


@every_rule
def test_a_missing_file_is_named(entry, monkeypatch, tmp_path):
    _, _, rule = entry
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    judgement = rule.test.judge(Evidence("nobody", "nobody"), rule.place)
    assert judgement.outcome is OPEN
    assert "is not there" in judgement.why
    assert next(iter(rule.test.sections)) in judgement.why


def test_no_number_stands_in_a_sentence():
    texts = [OPEN_SENTENCE, render.SCOPE, *render.HOW_TO_READ]
    texts += [text for one in TAKEAWAYS for text in (one.title, one.question, one.scope)]
    texts += [claim.text for one in TAKEAWAYS for claim in one.claims]
    texts += [template for _, _, rule in RULES for template in rule.said.values()]
    texts += [template for template, _ in EXTENTS.values()]
    numbered = [text for text in texts if any(letter.isnumeric() for letter in text)]
    assert numbered == []


@every_rule
def test_sentences_ask_for_nothing_that_a_rule_does_not_give(entry):
    _, _, rule = entry
    for outcome in rule.test.outcomes:
        words = judged(rule, made.rows_for(rule.test, rule.place, outcome)).words
        asked = placeholders(rule.template(outcome))
        assert asked <= {*words, "claim", "why", "seen"}


def test_there_are_six_takeaways_with_claims_of_their_own():
    assert len(TAKEAWAYS) == 6
    names = [claim.name for one in TAKEAWAYS for claim in one.claims]
    assert len(names) == len(set(names))
    known = {section for sections in SECTIONS.values() for section in sections}
    assert {section for _, _, rule in RULES for section in rule.test.sections} == known


def test_a_rule_without_a_sentence_for_an_outcome_is_refused():
    _, _, rule = RULES[0]
    with pytest.raises(ValueError, match="no sentence"):
        replace(rule, said={})


ends = st.floats(-1, 1, allow_nan=False)


@given(first=ends, second=ends, better=st.booleans())
def test_better_and_worse_need_an_interval_without_zero(first, second, better):
    low, high = sorted((first, second))
    row = Record(
        run="a", section="b", contract="c", metric="d", value=(low + high) / 2,
        higher_is_better=better, ci_low=low, ci_high=high,
    )  # fmt: skip
    side, _ = direction(row)
    assert (side == "open") == (low <= 0 <= high)
    if side != "open":
        assert side == ("better" if (low > 0) == better else "worse")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"unit": "mixed"}, "different units"),
        ({"ci_low": None, "ci_high": None, "ci_reason": "too_few_blocks: 3 blocks"}, "3 blocks"),
        ({"ci_low": None, "ci_high": None}, "no interval was given"),
        ({"higher_is_better": None}, "no better direction"),
        ({"value": None, "status": "degenerate", "reason": "one class"}, "degenerate, one class"),
    ],
)
def test_what_has_no_verdict_says_why(change, why):
    _, _, rule = next(entry for entry in RULES if isinstance(entry[2].test, Compares))
    row = next(
        row
        for row in made.rows_for(rule.test, rule.place, Outcome.SUPPORTED)
        if row.against is not None
    )
    side, told = direction(row.model_copy(update=change))
    assert side == "untold"
    assert why in told


def test_a_look_that_does_not_stand_the_correction_is_no_claim():
    _, _, rule = next(
        entry for entry in RULES if isinstance(entry[2].test, Tally) and entry[2].test.guard
    )
    rows = made.rows_for(rule.test, rule.place, Outcome.SUPPORTED)
    weak = [
        row.model_copy(update={"value": 2 * ALPHA}) if row.metric == rule.test.guard else row
        for row in rows
    ]
    assert judged(rule, rows).outcome is Outcome.SUPPORTED
    assert judged(rule, weak).outcome is Outcome.NOT_SUPPORTED


def test_the_mean_over_seeds_is_taken_and_one_seed_of_many_never():
    place, ask = Place(RUN, CORRECTED), Ask(NEURAL, "f1", "temporal_order", "neural")
    seeds = [made.row(place, ask, value=0.1 * seed, seed=seed) for seed in (7, 8)]
    mean = made.row(place, ask, value=0.5)
    assert made.evidence_of(place, [*seeds, mean]).find(place, ask).row == mean
    assert made.evidence_of(place, seeds[:1]).find(place, ask).row == seeds[0]
    assert "no mean" in made.evidence_of(place, seeds).find(place, ask).why


def test_a_fact_about_nothing_is_no_fact():
    """Without a published record no figure differs, which says nothing."""
    _, _, rule = next(entry for entry in RULES if entry[1].name == "note_reproduced")
    rows = made.rows_for(rule.test, rule.place, Outcome.SUPPORTED)
    none = [
        row.model_copy(update={"value": 0.0}) if row.metric == "figures_exact" else row
        for row in rows
    ]
    assert judged(rule, none).outcome is OPEN


def test_units_of_a_printed_bound_must_agree():
    _, _, rule = next(
        entry
        for entry in RULES
        if isinstance(entry[2].test, Clears) and entry[2].test.bound is not None
    )
    score, bound = made.rows_for(rule.test, rule.place, Outcome.SUPPORTED)
    judgement = judged(rule, [score, bound.model_copy(update={"unit": "furlong"})])
    assert judgement.outcome is OPEN
    assert "units differ" in judgement.why


def test_names_in_metric_files_are_those_that_the_studies_write():
    written = {
        "tasks.audio": ("AS_IS", "WITHOUT", "REPLACED", "RAW_ONLY"),
        "evaluation.records": ("ACROSS", "WITHIN", "PRESENT_KNOWN"),
        "studies.heldout.strict": ("CONSTRAINED", "FREE", "STRICT"),
    }
    for module, names in written.items():
        study = importlib.import_module(f"xperience.{module}")
        assert {name: getattr(phrases, name) for name in names} == {
            name: getattr(study, name) for name in names
        }
    notebook = (at_root("notebooks") / "02_label_shift.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in notebook for name in (phrases.CHRONOLOGICAL, phrases.PURGED))
    assert (phrases.ROTATED, phrases.ROTATED_GAP) == (records.POOLED, records.POOLED_GAP)


# The published numbers


@pytest.fixture(scope="module")
def note_rows():
    path = COMMITTED / f"{NOTE}.json"
    if not path.is_file():
        pytest.skip("the rows of the published record are not committed")
    return read_records(path)


def hands(rows, name):
    place = Place(RECORD, PUBLISHED)
    found = next(e for e in RULES if e[1].name == name and e[2].place == place)
    given = {(RECORD, NOTE): tuple(rows)}
    judgement = found[2].test.judge(Evidence("standin", None, given), place)
    return judgement.outcome, say(found[1], found[2], judgement)


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
    lines = render.glance_table(supported).splitlines()
    claims = [claim for one in supported["takeaways"] for claim in one["claims"]]
    texts = list(dict.fromkeys(claim["text"] for claim in claims))
    assert len(lines) == len(texts) + 2
    for claim in claims:
        (line,) = (line for line in lines if f"| {claim['text']} |" in line)
        cell = f"{render.mark(claim['outcome'])}<br>{claim['figures']}"
        assert f"| {cell if claim['figures'] else render.mark(claim['outcome'])} |" in line
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
    told = extents(Evidence(made.RUN, made.COHORT, given))
    assert told[RUN] == "one recording of 3 frames, 3 windows"
    assert all("3" in text for text in told.values())
    assert all("not known" in text for text in extents(Evidence("nobody", None, {})).values())


def test_tables_hold_the_rows_that_decide(supported):
    names = column_names(supported)
    for one in supported["takeaways"]:
        assert len(evidence_table(one, names).splitlines()) > len(one["claims"])


def test_outcomes_are_counted_once_each(supported):
    rows = outcome_rows(supported, "07_takeaways")
    assert sum(row.value for row in rows) == len(RULES)
    assert len({row.key for row in rows}) == len(rows)
    assert outcome_table(supported).to_numpy().sum() == len(RULES)


def test_an_unknown_fact_leaves_a_whole_page_and_pictures(monkeypatch, tmp_path):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    content = assemble(Evidence("nobody", None))
    outcomes = {claim["outcome"] for one in content["takeaways"] for claim in one["claims"]}
    assert outcomes == {str(OPEN)}
    assert "no run of held-out episodes was named" in to_markdown(content)
    assert f"artifacts/nobody/metrics/{CONTRACT}.json is not there" in to_markdown(content)
    names = column_names(content)
    for one in content["takeaways"]:
        assert one["question"] in takeaway_text(content, one["name"])
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


def test_decided_claims_keep_their_order():
    for one in TAKEAWAYS:
        found = decide(one, made.evidence_of(Place(RUN, PUBLISHED), []))
        assert [d.claim.name for d in found] == [c.name for c in one.claims for _ in c.rules]
