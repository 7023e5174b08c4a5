"""Each rule reaches its outcomes, says each in its own words, and follows its rows alone."""

import importlib
import re
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.evaluation.records import ALPHA, read_records
from xperience.project import at_root
from xperience.report import claims, note, takeaways
from xperience.report.claims import (
    AUDIO,
    CONTRACT,
    EXTENTS,
    FLOOR,
    MIXED,
    NEITHER,
    NEURAL,
    NO,
    NOTE,
    OPEN,
    RECORD,
    RUN,
    SECTIONS,
    TAKEAWAYS,
    YES,
    Ask,
    Clears,
    Compares,
    Fact,
    Matches,
    Outcome,
    Place,
    Same,
    Tally,
    sections_of,
)
from xperience.report.figures.takeaways import draw_findings
from xperience.report.note import FAR, HEADLINES, LEADS, METRICS
from xperience.report.tables import number, share, signed
from xperience.report.takeaways import OPEN_SENTENCE, Evidence, assemble, judge, say

from . import takeaway_rows as made
from .takeaway_rows import RULES, changed, judged, named, of, rows_of, said, told

PUBLISHED, CORRECTED = "published", "corrected"
PLACE = Place(RUN, CORRECTED)
COMMITTED = Path(__file__).parents[2] / "artifacts" / "reference" / "standin" / "metrics"
every_rule = pytest.mark.parametrize("entry", RULES, ids=made.name_of)


# All rules


@every_rule
def test_every_outcome_is_reached_said_in_its_own_words_and_with_the_rows_own_numbers(entry):
    _, _, rule = entry
    sentences = {}
    for outcome in rule.outcomes:
        rows = rows_of(entry, outcome)
        judgement = judged(entry, rows)
        assert judgement.outcome is outcome
        template = rule.said.get(outcome, OPEN_SENTENCE)
        asked = {name for _, name, _, _ in Formatter().parse(template) if name}
        assert asked <= {*judgement.words, "claim", "why", "seen"}
        text = sentences[outcome] = said(entry, rows)
        assert "{" not in text
        assert text.endswith(".")
        assert not text.endswith("..")
        if outcome is not OPEN and isinstance(rule.test, Compares | Clears | Fact | Same):
            assert set(re.findall(r"[-+]?\d[\d,]*\.?\d*", text)) <= numbers_of(rows, text)
    assert len(set(sentences.values())) == len(rule.outcomes), "no two outcomes say the same"


def numbers_of(rows, text):
    """Return the numbers of a text that are some row's own, or a ratio of two."""
    known = [v for row in rows for v in (row.value, row.ci_low, row.ci_high) if v is not None]
    known += [-v for v in known] + [row.floor for row in rows if row.floor is not None]
    scaled = [s * v for v in known for s in (1, 100, 1000)] + [
        a / b for a in known for b in known if b
    ]
    found = set()
    for word in re.findall(r"[-+]?\d[\d,]*\.?\d*", text):
        decimals, value = len(word.partition(".")[2]), float(word.replace(",", ""))
        if any(round(one, decimals) == value for one in scaled):
            found.add(word)
    return found


@every_rule
def test_what_is_said_hangs_on_every_row_and_on_no_other(entry):
    """One row past its threshold, gone, twice there, or of another contract."""
    _, place, rule = entry
    rows = rows_of(entry)
    before = said(entry, rows)
    for one in made.decisive(rule.test, rows):
        others = [row for row in rows if row is not one]
        assert said(entry, [*others, made.past_the_threshold(one)]) != before
        assert said(entry, others) != before
    other = CORRECTED if place.contract == PUBLISHED else PUBLISHED
    strangers = [row.model_copy(update={"contract": other}) for row in rows]
    for lacking in ([], strangers):
        judgement = judged(entry, lacking)
        assert judgement.outcome is OPEN
        assert "is not in" in judgement.why
        assert judgement.rows == ()
    if not isinstance(rule.test, claims.Every):
        assert said(entry, [*strangers, *rows]) == said(entry, [*rows, *strangers]) == before
        twice = judged(entry, [*rows, *(row.model_copy(update={"value": 0.9}) for row in rows)])
        assert twice.outcome is OPEN
        assert "stands in 2 rows" in twice.why


def test_no_number_stands_in_a_sentence():
    texts = [OPEN_SENTENCE, note.SCOPE, *note.HOW_TO_READ]
    texts += [text for one in TAKEAWAYS for text in (one.title, one.question, one.scope)]
    texts += [claim.text for one in TAKEAWAYS for claim in one.claims]
    texts += [template for _, _, rule in RULES for template in rule.said.values()]
    texts += [template for template, _ in EXTENTS.values()]
    texts += [text for parts in HEADLINES.values() for *_, said in parts for text in said.values()]
    assert [text for text in texts if any(letter.isnumeric() for letter in text)] == []


def test_there_are_six_takeaways_with_claims_of_their_own_and_sentences_for_all_outcomes():
    assert len(TAKEAWAYS) == 6
    names = [claim.name for one in TAKEAWAYS for claim in one.claims]
    assert len(names) == len(set(names))
    known = {section for sections in SECTIONS.values() for section in sections}
    assert {section for _, _, rule in RULES for section in sections_of(rule.test)} == known
    with pytest.raises(ValueError, match="no sentence"):
        replace(RULES[0][2], said={})


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


# Comparisons


SPOILT = {
    "no interval": ({"ci_low": None, "ci_high": None, "ci_reason": "few: 3 blocks"}, "3 blocks"),
    "no value": ({"value": None, "ci_low": None, "ci_high": None, "status": "degenerate",
                  "reason": "one class"}, "degenerate, one class"),
    "no direction": ({"higher_is_better": None}, "no better direction"),
    "an interval beside its value": ({"value": 7.0}, "does not hold its value"),
    "mixed units": ({"unit": "mixed"}, "different units"),
    "no verdict": ({"no_verdict": "4 seeds; 5 needed"}, "4 seeds; 5 needed"),
}  # fmt: skip


@of(Compares, Clears, Tally)
def test_spoilt_intervals_bear_nothing(entry):
    for fields, why in SPOILT.values():
        for outcome in (YES, NO, NEITHER):
            rows = rows_of(entry, outcome)
            spoilt = changed(rows, told(rows), **fields)
            assert judged(entry, spoilt).outcome is OPEN
            assert why in said(entry, spoilt)


@of(Compares)
def test_a_difference_is_told_with_both_its_scores_and_far_if_they_are(entry):
    rows = mine, gap, rival = rows_of(entry)
    for one in (mine, rival):
        lost = judged(entry, [row for row in rows if row is not one])
        assert (lost.outcome, "is not in" in lost.why) == (OPEN, True)
        off = judged(entry, changed(rows, [one], value=one.value + 0.01))
        assert (off.outcome, "not that of the two scores" in off.why) == (OPEN, True)
        assert judged(entry, changed(rows, [one], value=one.value + 1e-9)).outcome is YES
    for one in rows:
        assert "units differ" in judged(entry, changed(rows, [one], unit="furlong")).why
        turned = changed(rows, [one], higher_is_better=not one.higher_is_better)
        assert "which way is better" in judged(entry, turned).why
    upward = bool(mine.higher_is_better) != entry[2].test.turned
    for factor in (FAR * 1.01, FAR / 1.01):
        first, second = (0.4 * factor, 0.4) if upward else (0.4, 0.4 * factor)
        apart = first - second
        ends = {"ci_low": apart - 1e-3, "ci_high": apart + 1e-3}
        rows = [mine.model_copy(update={"value": first}),
                gap.model_copy(update={"value": apart, **ends}),
                rival.model_copy(update={"value": second})]  # fmt: skip
        judgement = judged(entry, rows)
        assert judgement.outcome is YES
        assert judgement.words["degree"] == ("far " if factor > FAR else "")


def test_a_turned_claim_speaks_of_its_own_head_first():
    entry = named("copying_suffices", "record")
    for outcome, sign in ((YES, "+"), (NO, "-")):
        linear, gap, copy = rows_of(entry, outcome)
        assert (linear.head, copy.head, gap.against) == ("linear", *["nearest_in_time"] * 2)
        words = judged(entry, [copy, gap, linear]).words
        assert (words["mine"], words["other"]) == (number(copy.value), number(linear.value))
        assert words["gap"] == signed(copy.value - linear.value)
        assert words["gap"].startswith(sign)
        assert words["ends"] == f"[{signed(-gap.ci_high)}, {signed(-gap.ci_low)}]"


def test_a_bound_is_in_the_scores_unit_and_the_constant_that_is_known():
    entry = next(e for e in RULES if isinstance(e[2].test, Clears) and e[2].test.bound is not None)
    score, bound = rows_of(entry)
    assert "units differ" in judged(entry, changed([score, bound], [bound], unit="furlong")).why
    entry = named("retrieval_finds_moments")
    (score,) = rows_of(entry)
    assert "not the constant" in judged(entry, changed([score], [score], floor=0.4)).why


def test_the_mean_over_seeds_is_taken_with_its_own_floor_and_one_seed_of_many_never():
    ask = Ask(NEURAL, "f1", "temporal_order", "neural", against=FLOOR)
    plain = replace(ask, against=None)
    mean = made.row(PLACE, plain, value=0.5, floor=0.3, floor_name="majority")
    seeds = [made.row(PLACE, plain, value=0.9, floor=0.1, floor_name="chance", seed=seed)
             for seed in (7, 8)]  # fmt: skip
    gaps = [made.row(PLACE, replace(ask, against=name), value=value)
            for name, value in (("chance", 0.8), ("majority", 0.2))]  # fmt: skip
    one_seed = gaps[1].model_copy(update={"seed": 7, "value": 0.6})
    evidence = made.evidence_of(PLACE, [*seeds, one_seed, *gaps, mean])
    assert evidence.find(PLACE, plain).row == mean
    assert evidence.find(PLACE, ask).row == gaps[1]
    assert made.evidence_of(PLACE, seeds[:1]).find(PLACE, plain).row == seeds[0]
    assert "no mean" in made.evidence_of(PLACE, seeds).find(PLACE, plain).why
    bare = made.evidence_of(PLACE, [mean.model_copy(update={"floor": None, "floor_name": None})])
    assert "has no floor" in bare.find(PLACE, ask).why


def test_an_ask_for_whatever_measure_is_answered_only_if_there_is_one():
    ask = Ask(NEURAL, None, "temporal_order", "neural")
    f1, accuracy = (made.row(PLACE, replace(ask, metric=name), value=0.5)
                    for name in ("f1", "accuracy"))  # fmt: skip
    assert made.evidence_of(PLACE, [f1]).find(PLACE, ask).row == f1
    assert "several measures" in made.evidence_of(PLACE, [f1, accuracy]).find(PLACE, ask).why


# Counting tasks


def tallied(n_better, n_worse, n_open, n_untold):
    """Return the count of so many tasks of each kind, by the rule of neural against linear."""
    entry = named("tasks_beat_linear")
    kinds = [YES] * n_better + [NO] * n_worse + [NEITHER] * n_open + [OPEN] * n_untold
    asks = entry[2].test.asks[: len(kinds)]
    rows = [made.difference(entry[1], ask, kind)
            for ask, kind in zip(asks, kinds, strict=True)]  # fmt: skip
    return judge(Tally(asks), made.evidence_of(entry[1], rows), entry[1])


counts = st.integers(0, 3)


@given(counts, counts, counts, counts)
def test_most_is_more_than_half_and_untold_tasks_are_no_evidence(better, worse, open_, untold):
    n = better + worse + open_ + untold
    if n == 0:
        return
    judgement = tallied(better, worse, open_, untold)
    assert (judgement.outcome is YES) == (2 * better > n and worse == 0)
    assert (judgement.outcome is NO) == (2 * worse > n and better == 0)
    could = (worse == 0 and 2 * (better + untold) > n) or (better == 0 and 2 * (worse + untold) > n)
    assert (judgement.outcome is OPEN) == (could and judgement.outcome not in (YES, NO))
    assert bool(judgement.why) == (judgement.outcome is OPEN)
    assert "1 tasks" not in judgement.why
    if judgement.outcome in (NEITHER, MIXED):
        assert (judgement.outcome is MIXED) == (better + worse > 0)
        assert judgement.words["case"].startswith("Tasks disagree") == (better > 0 and worse > 0)


def test_another_measure_never_stands_in_for_the_primary_one():
    entry = named("tasks_beat_floor")
    rows = rows_of(entry)
    others = [row.model_copy(update={"metric": "accuracy", "value": -0.2, "ci_low": None,
                                     "ci_high": None}) for row in rows]  # fmt: skip
    assert judged(entry, [*others, *rows]) == judged(entry, rows)
    assert judged(entry, others).outcome is OPEN


def test_every_look_at_what_sound_does_to_a_task_stands_a_correction_for_all_looks():
    looks = [e for e in RULES
             if isinstance(e[2].test, Tally) and sections_of(e[2].test) == {AUDIO}]  # fmt: skip
    assert len(looks) == 4
    for entry in looks:
        rows = rows_of(entry)
        gaps = [row for row in rows if row.against]
        assert len(gaps) == len(entry[2].test.asks)
        assert judged(entry, changed(rows, gaps, p=0.001, p_holm=ALPHA)).outcome is YES
        assert judged(entry, changed(rows, gaps, p=0.001, p_holm=ALPHA * 1.01)).outcome is NEITHER


@of(Matches)
def test_as_good_needs_the_interval_above_the_margin(entry):
    mine, gap, rival = rows_of(entry, NEITHER)
    rows = [mine, gap, rival.model_copy(update={"value": mine.value})]
    turn = -1 if entry[2].test.turned else 1
    for low, outcome in ((-0.9, YES), (-1.1, NEITHER)):
        ends = sorted((turn * low * entry[2].test.margin, turn * 0.4))
        near = changed(rows, [gap], value=0.0, ci_low=ends[0], ci_high=ends[1])
        assert judged(entry, near).outcome is outcome


@of(Compares)
def test_seeds_that_disagree_are_no_significant_difference(entry):
    rows = rows_of(entry)
    spoilt = changed(rows, told(rows), no_verdict="seeds disagree: 4 of 5 are on that side")
    assert judged(entry, spoilt).outcome is NEITHER
    assert "but seeds disagree" in said(entry, spoilt)


def test_heads_on_unseen_recordings_are_told_by_rotated_rows_else_by_few_recordings():
    for name in ("neural_across_beats_linear", "neural_across_beats_floor"):
        entry = named(name, "heldout")
        test, place = entry[2].test, entry[1]
        assert {ask.variant for ask in test.asks} == {"rotated"}
        few = made.rows_for(Tally(test.otherwise), place, OPEN)
        assert "too few" in judged(entry, few).why
        assert judged(entry, [*few, *rows_of(entry, NO)]).outcome is NO


# Facts


@of(Fact, Same)
def test_a_fact_is_not_told_with_a_hole_in_its_sentence(entry):
    rows, test = rows_of(entry), entry[2].test
    skipped = {"value": None, "status": "skipped", "reason": "it was too dark"}
    for lost in rows:
        judgement = judged(entry, changed(rows, [lost], **skipped))
        assert (judgement.outcome, "too dark" in judgement.why) == (OPEN, True)
    if isinstance(test, Same):
        assert "units differ" in judged(entry, changed(rows, rows[:1], unit="furlong")).why
        return
    at = judged(entry, changed(rows, rows[:1], value=test.bound))
    assert at.outcome is (NO if test.relation == "above" else YES)
    if test.relation == "above":
        over = judged(entry, changed(rows, rows[:1], value=test.bound + 0.002))
        assert (over.outcome, over.words["percent"]) == (YES, "50.2 %")


def test_a_fact_about_nothing_is_no_fact():
    """Without a published record no figure differs, which says nothing."""
    entry = named("note_reproduced", RECORD)
    rows = rows_of(entry)
    exact = [row for row in rows if row.metric == "figures_exact"]
    assert judged(entry, changed(rows, exact, value=0.0)).outcome is OPEN


# Numbers


reals = st.floats(-90, 90, allow_nan=False)


@given(reals, st.sampled_from(["1", "m"]))
def test_a_number_reads_as_what_it_is_and_never_as_zero(value, unit):
    for written in (number(value, unit), signed(value, unit)):
        text = written.removesuffix(" mm")
        read = float(text)
        scaled = 1000 * value if unit == "m" else value
        assert (read == 0) == (value == 0)
        assert read * value >= 0
        assert not text.startswith("-0.000") or value < 0
        step = 0.051 if unit == "m" else 0.00051
        assert abs(read - scaled) <= max(step, 0.5 * abs(scaled) if "e" in text else 0)


@given(st.floats(0, 1), st.sampled_from([0.5, 0.25]))
def test_a_share_reads_on_the_right_side_of_its_bound(value, bound):
    read = float(share(value, bound).removesuffix(" %")) / 100
    for edge in (0.0, bound, 1.0):
        if abs(value - edge) > 1e-9:
            assert (read > edge) == (value > edge)
    assert abs(read - value) <= 0.005 + 1e-12


def test_published_hands_are_told_by_their_own_numbers_and_otherwise_by_others():
    path = COMMITTED / f"{NOTE}.json"
    if not path.is_file():
        pytest.skip("the rows of the published record are not committed")
    rows, place = read_records(path), Place(RECORD, PUBLISHED)

    def hands(name, rows):
        claim, _, rule = next(e for e in RULES if e[0].name == name and e[1] == place)
        judgement = judge(rule.test, Evidence("standin", None, {(RECORD, NOTE): rows}), place)
        return judgement.outcome, say(claim, rule, judgement)

    outcome, text = hands("hands_beat_linear", rows)
    assert outcome is YES
    assert all(
        part in text for part in ("**far better** than the linear head's", "107.9 mm", "864.7")
    )
    outcome, text = hands("hands_beat_floor", rows)
    assert outcome is NO
    assert all(part in text for part in ("**far worse** than", "zero velocity", "27.6 mm"))
    wanted = (claims.HANDS, "neural", "mpjpe", None, None)
    (score,) = (r for r in rows if r.ci_low is not None
                and (r.task, r.head, r.metric, r.variant, r.against) == wanted)  # fmt: skip
    for factor, expected in ((8, NEITHER), (20, NO)):
        ends = {name: factor * getattr(score, name) for name in ("value", "ci_low", "ci_high")}
        assert hands("hands_beat_linear", changed(rows, [score], **ends))[0] is expected


# What is written


@pytest.fixture(scope="module")
def supported():
    return assemble(made.all_supported())


def test_the_page_has_the_notes_form_and_the_table_every_claim(supported):
    page = note.to_markdown(supported)
    names = note.column_names(supported)
    head, lines = note.claims_table(supported)
    assert len(lines) == len(RULES)
    assert {len(line) for line in lines} == {len(head)}
    for one in supported["takeaways"]:
        assert f". {one['headline']}\n" in page
        assert f"Current scope: {one['scope']}" in page
        assert 2 <= len(note.leading(one)) <= 3
        assert all(claim["sentence"] in page for claim in note.leading(one))
        assert 3 <= len(one["metrics"]) <= 7
        assert all(f"| `{metric['metric']}`" in page for metric in one["metrics"])
        for claim in one["claims"]:
            assert any(claim["sentence"] == line[-1] for line in lines)
            assert all(f"`{section}.json`" in page for section in claim["sections"])
    assert "## How to read" in page
    assert note.whose({"column": RUN, "contract": "corrected"}, names).endswith("`corrected`")
    rows = takeaways.outcome_rows(supported, "07_takeaways")
    assert sum(row.value for row in rows) == len(RULES)
    assert len({row.key for row in rows}) == len(rows)


def test_a_headline_follows_its_claims_and_is_withdrawn_with_them():
    rules = {(claim.name, place): rule for claim, place, rule in RULES}
    for takeaway in TAKEAWAYS:
        assert {*LEADS[takeaway.name]} <= rules.keys()
        headlined = {(claim, place) for claim, place, _ in HEADLINES[takeaway.name]}
        assert headlined <= {*LEADS[takeaway.name]}, "its sentence stands below the headline"
        for claim, place, words in HEADLINES[takeaway.name]:
            rule = rules[claim, place]
            assert words.keys() == rule.outcomes - {OPEN}
            said = {}
            for outcome in rule.outcomes:
                evidence = made.evidence_of(place, made.rows_for(rule.test, place, outcome))
                found = assemble(evidence)["takeaways"][TAKEAWAYS.index(takeaway)]
                said[outcome] = found["headline"]
            assert len(set(said.values())) == len(said), "every outcome has its own headline"
            assert said[OPEN] == note.WITHDRAWN.format(title=takeaway.title)


def test_the_least_loss_is_no_gain():
    entry = named("sound_rebuilds")
    rows = [row.model_copy(update={"value": row.value - 1}) for row in rows_of(entry)]
    assert judged(entry, rows).outcome is NO


def metric_of(name, *rows, **made_from):
    (metric,) = (m for metrics in METRICS.values() for m in metrics if m.name == name)
    of_note = [made.row(claims.THE_RECORD, claims.note(name, variant), **fields)
               for variant, fields in made_from.items()]  # fmt: skip
    given = {(RECORD, NOTE): of_note}
    for ask, value in zip(metric.asks, rows, strict=False):
        found = made.row(metric.place, ask, value=value)
        given.setdefault((metric.place.column, ask.section), []).append(found)
    content = assemble(Evidence(made.RUN, made.COHORT, given))
    (one,) = (one for one in content["takeaways"]
              if name in {m["metric"] for m in one["metrics"]})  # fmt: skip
    table = note.metrics_table(one, note.column_names(content))
    (line,) = (line for line in table.splitlines() if line.startswith(f"| `{name}`"))
    return [cell.strip() for cell in line.split("|")[2:-1]], table


def test_the_notes_metrics_stand_as_printed_as_recomputed_and_as_they_are_here():
    unit = {"unit": "m"}
    cells, _ = metric_of("hand_mpjpe_neural", 0.0662, note={"value": 0.1079} | unit,
                         recomputed={"value": 0.10794, "reason": "exact"} | unit)  # fmt: skip
    assert cells == ["0.1079", "0.1079", "0.0662", "exact"]
    unit = {"unit": "frame"}
    cells, _ = metric_of("frames", 400.0, note={"value": 5821.0} | unit,
                         at_least={"value": 5820.0, "reason": "derived"} | unit,
                         at_most={"value": 5824.0, "reason": "derived"} | unit)  # fmt: skip
    assert cells == ["5,821", "5,820–5,824", "400", "derived"]
    lost = {"status": "skipped", "reason": "it was not published"}
    cells, table = metric_of("retrieval_mrr_neural", note={"value": 0.13}, recomputed=lost)
    assert cells == ["0.1300", "–", "–", "not recomputable"]
    assert "`retrieval_mrr_neural`: it was not published." in table
    cells, _ = metric_of("hand_mpjpe_relative_improvement", 0.5, 0.1)
    assert cells[:2] == ["–", "–"], "nobody read the record"
    assert cells[2:] == ["0.8000", "not computed"]
    cells, _ = metric_of("hand_mpjpe_relative_improvement", 0.0, 0.1)
    assert cells[2] == "–", "nothing can be saved of no error"
    cells, _ = metric_of("selected_episodes", 16.0, 4.0, 4.0, note={"value": 128.0} | unit)
    assert cells == ["128", "–", "24", "not computed"]


def test_the_scope_says_how_much_there_is():
    given: dict[tuple[str, str], list] = {}
    for place, (_, asks) in EXTENTS.items():
        for ask in asks.values():
            row = made.row(place, ask, value=3.0, unit="thing")
            given.setdefault((place.column, ask.section), []).append(row)
    extents = assemble(Evidence(made.RUN, made.COHORT, given))["extents"]
    assert extents[RUN] == "one recording of 3 frames, 3 windows"
    assert all("3" in text for text in extents.values())


def test_an_unknown_fact_leaves_a_whole_page_and_pictures(monkeypatch, tmp_path):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    content = assemble(Evidence("nobody", None))
    outcomes = {claim["outcome"] for one in content["takeaways"] for claim in one["claims"]}
    assert outcomes == {str(OPEN)}
    page = note.to_markdown(content)
    assert "no run of held-out episodes was named" in page
    assert f"nobody/metrics/{CONTRACT}.json is not there" in page
    assert all("not known" in text for text in content["extents"].values())
    for one, takeaway in zip(content["takeaways"], TAKEAWAYS, strict=True):
        assert one["headline"] == note.WITHDRAWN.format(title=takeaway.title)
    assert "not tested" in draw_findings(content).alt


def test_the_picture_counts_the_verdicts(supported):
    outcomes = [claim["outcome"] for one in supported["takeaways"] for claim in one["claims"]]
    n_yes = outcomes.count(Outcome.SUPPORTED)
    assert n_yes > len(outcomes) / 2
    title = f"{n_yes} of {len(outcomes)} verdicts support their claim"
    assert draw_findings(supported).title == title
