"""The takeaways as rows and tables: how many claims have which outcome, and where."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from xperience.evaluation.records import Record
from xperience.report.takeaways.outcome import Outcome
from xperience.report.takeaways.render import (
    capital,
    column_names,
    evidence_table,
    mark,
)


def outcome_rows(content: Mapping[str, Any], section: str) -> list[Record]:
    """Return how many claims of each place have each outcome.

    Parameters
    ----------
    content : mapping
        Assembled takeaways.
    section : str
        The notebook's name.

    Returns
    -------
    list of Record
        Metric ``claims`` with the column and the outcome as ``variant``.
    """
    claims = [claim for one in content["takeaways"] for claim in one["claims"]]
    counts = Counter((one["column"], one["contract"], one["outcome"]) for one in claims)
    places = list(dict.fromkeys((one["column"], one["contract"]) for one in claims))
    return [
        Record(
            run=content["run"],
            section=section,
            contract=contract,
            metric="claims",
            unit="claim",
            variant=f"{column}: {outcome}",
            value=counts[column, contract, str(outcome)],
        )
        for column, contract in places
        for outcome in Outcome
    ]


def outcome_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return how many claims of each place have each outcome as a table, a row a place."""
    names = column_names(content)
    claims = [claim for one in content["takeaways"] for claim in one["claims"]]
    places = [f"{names[one['column']]}, {one['contract']}" for one in claims]
    outcomes = [one["outcome"] for one in claims]
    table = pd.crosstab(pd.Series(places, name="whose rows"), pd.Series(outcomes, name=""))
    return table.reindex(columns=[str(one) for one in Outcome], fill_value=0)


def takeaway_text(content: Mapping[str, Any], name: str) -> str:
    """Return the sentences of a takeaway and the rows that they rest on, as Markdown.

    Parameters
    ----------
    content : mapping
        Assembled takeaways.
    name : str
        The takeaway's.
    """
    one = next(one for one in content["takeaways"] if one["name"] == name)
    names = column_names(content)
    lines = [
        f"- *{capital(names[claim['column']])}, `{claim['contract']}`:* {claim['sentence']} "
        f"({mark(claim['outcome'])})"
        for claim in one["claims"]
    ]
    table = evidence_table(one, names)
    hidden = f"<details><summary>The rows it rests on</summary>\n\n{table}\n\n</details>"
    return "\n".join([f"*{one['question']}*", "", *lines, "", hidden])
