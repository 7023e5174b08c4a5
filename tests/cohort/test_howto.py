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


def blocks(language):
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands():
    """Return the words of every call of `xperience cohort` on the pages."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    calls = [shlex.split(line, comments=True) for line in lines]
    return [call[2:] for call in calls if call[:2] == [".venv/bin/xperience", "cohort"]]


def check(call):
    verb = get_command(app).commands["cohort"].commands[call[0]]
    verb.make_context(call[0], call[1:])  # a wrong option, value or number of words raises


@pytest.mark.parametrize("call", commands(), ids=" ".join)
def test_a_call_is_one_that_can_be_made(call):
    check(call)


def test_the_pages_call_every_verb_and_hold_a_run_and_a_job():
    verbs = {call[0] for call in commands()}
    assert verbs == set(get_command(app).commands["cohort"].commands)
    yamls = [yaml.safe_load(text) for text in blocks("yaml")]
    (job,) = [one for one in yamls if "kind" in one]
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    call = shlex.split(container["args"][0].replace("$JOB_COMPLETION_INDEX", "3"))
    assert call[:3] == ["xperience", "cohort", "shard"]
    check(call[2:])
    assert call[call.index("--of") + 1] == str(job["spec"]["completions"])
    (values,) = [one for one in yamls if "run" in one]
    assert check_params(values, "cluster.md").n_shards == values["n_shards"]
