"""What a claim, a rule and a takeaway are; every outcome a rule can have has its sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from xperience.report.takeaways.evidence import Evidence, Place
from xperience.report.takeaways.outcome import Judgement, Outcome, Test

OPEN_SENTENCE = "It can't be told whether {claim}{seen}: {why}."
Sentences = Mapping[Outcome, str]


@dataclass(frozen=True)
class Rule:
    """How a claim is decided in one place, and the sentence for each outcome.

    Parameters
    ----------
    place : Place
        Whose rows, under which contract.
    test : Test
    said : mapping of {Outcome: template}
        One for each outcome that the test can have; "can't tell" has a common one.
    """

    place: Place
    test: Test
    said: Sentences

    def __post_init__(self) -> None:
        lacking = self.test.outcomes - set(self.said) - {Outcome.OPEN}
        if lacking:
            raise ValueError(f"a rule of {self.place} has no sentence for {sorted(lacking)}")

    def template(self, outcome: Outcome) -> str:
        """Return the sentence of an outcome, with its placeholders."""
        return self.said.get(outcome, OPEN_SENTENCE)


@dataclass(frozen=True)
class Claim:
    """Something that may hold, and the rules that say where it does.

    Parameters
    ----------
    name : str
    text : str
        The claim as a clause: "the neural head is better than the linear head".
    rules : tuple of Rule
        One a place.
    """

    name: str
    text: str
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        places = [rule.place for rule in self.rules]
        if len(set(places)) < len(places):
            raise ValueError(f"{self.name} is decided twice in one place")


@dataclass(frozen=True)
class Takeaway:
    """One of the six subjects that the research comes down to.

    Parameters
    ----------
    name, title : str
    question : str
        What it answers.
    scope : str
        What its evidence doesn't reach.
    claims : tuple of Claim
    """

    name: str
    title: str
    question: str
    scope: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Decided:
    """A claim in one place, decided.

    Parameters
    ----------
    takeaway : Takeaway
    claim : Claim
    rule : Rule
    judgement : Judgement
    """

    takeaway: Takeaway
    claim: Claim
    rule: Rule
    judgement: Judgement

    @property
    def sentence(self) -> str:
        """What is said of the claim, with numbers from the rows."""
        return say(self.claim, self.rule, self.judgement)


def decide(takeaway: Takeaway, evidence: Evidence) -> list[Decided]:
    """Return every rule of a takeaway decided, in order."""
    return [
        Decided(takeaway, claim, rule, rule.test.judge(evidence, rule.place))
        for claim in takeaway.claims
        for rule in claim.rules
    ]


def say(claim: Claim, rule: Rule, judgement: Judgement) -> str:
    """Return the sentence of an outcome, filled and tidied."""
    template = rule.template(judgement.outcome)
    why = judgement.why.rstrip(".") or "the rows don't say"
    text = template.format(**{"seen": "", **judgement.words, "claim": claim.text, "why": why})
    text = " ".join(text.split()).replace(" .", ".").replace(" ,", ",")
    return text[:1].upper() + text[1:]


def placeholders(template: str) -> set[str]:
    """Return the names that a template is filled with."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}
