"""The pages on many episodes call verbs and options that exist."""

import re
import shlex

import pytest
import yaml
from typer.main import get_command

from xperience.cli import app
from xperience.params import check_params
from xperience.project import at_root

PAGES = [at_root(f"docs/howto/{name}.md") for name in ("many-episodes", "cluster")]


def blocks(language, *pages):
    texts = [page.read_text(encoding="utf-8") for page in pages]
    found = [re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL) for text in texts]
    return [block for some in found for block in some]


def commands():
    """Return the words of every call of `xperience cohort` on the pages."""
    lines = "".join(blocks("sh", *PAGES)).replace("\\\n", " ").splitlines()
    calls = [shlex.split(line, comments=True) for line in lines]
    return [call[2:] for call in calls if call[:2] == [".venv/bin/xperience", "cohort"]]


def check(call):
    cohort = get_command(app).commands["cohort"]
    verb = cohort.commands[call[0]]
    verb.make_context(call[0], call[1:])  # a wrong option, value or number of words raises


@pytest.mark.parametrize("call", commands(), ids=" ".join)
def test_a_call_is_one_that_can_be_made(call):
    check(call)


def test_the_pages_call_something():
    called = {call[0] for call in commands()}
    assert called >= {"choose", "rebalance", "overlap", "cost", "shard", "status"}


def test_the_manifests_job_calls_a_shard():
    (job,) = [one for one in map(yaml.safe_load, blocks("yaml", PAGES[1])) if "kind" in one]
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    call = shlex.split(container["args"][0].replace("$JOB_COMPLETION_INDEX", "3"))
    assert call[:3] == ["xperience", "cohort", "shard"]
    check(call[2:])
    assert call[call.index("--of") + 1] == str(job["spec"]["completions"])


def test_the_params_of_a_cohort_of_ones_own_are_a_run():
    (values,) = [one for one in map(yaml.safe_load, blocks("yaml", PAGES[1])) if "run" in one]
    assert check_params(values, "cluster.md").n_shards == values["n_shards"]
