# The run graph: recording -> windows -> notebooks -> site.
# `make reproduce` calls it; the logic is in lib/xperience/run.
import shlex
import sys

from xperience.project import BASE_RUN
from xperience.run.plan import FEATURES, SIMULATOR, SITE, RunPlan
from xperience.sources import sources_of

ASKED = str(config.get("run", BASE_RUN))
PLAN = RunPlan.of(ASKED, config.get("episode"))
PARAMS = PLAN.params
STEP = f"{shlex.quote(sys.executable)} -m xperience.run"
OWN = f"--episode={shlex.quote(config['episode'])}" if "episode" in config else ""
RUN = f"{OWN} -- {shlex.quote(ASKED)}"
A = "artifacts/{run}"


def inside(paths):
    return [PLAN.shown(path) for path in paths]


wildcard_constraints:
    run=re.escape(PARAMS.run),
    notebook="|".join(map(re.escape, PARAMS.notebooks)),
    shard=r"\d+",


localrules: all


rule all:
    input:
        inside(PLAN.deliverables()),
        inside(PLAN.reports()),
        inside([PLAN.stamp("site")]),


if PLAN.makes_episode:

    rule episode:
        input:
            inside([] if PARAMS.sample else [*sources_of(SIMULATOR), *PLAN.script]),
        output:
            inside(PLAN.episode_files()),
        params:
            PARAMS.model_dump(mode="json", include={"standin", "sample", "family"}),
        log:
            f"artifacts/{PARAMS.run}/logs/episode.log",
        threads: workflow.cores
        shell:
            "{STEP} episode {RUN} | tee {log:q}"  # stderr stays the terminal's: it has the bars


if PLAN.is_cohort:

    rule shard:
        input:
            inside(PLAN.episode_files()),
            inside(sources_of(FEATURES)),
        output:
            f"{A}/shards/shard-{{shard}}.json",
        log:
            f"{A}/logs/shard-{{shard}}.log",
        threads: 1
        shell:
            "{STEP} shard {RUN} $((10#{wildcards.shard})) | tee {log:q}"

else:

    rule windows:
        input:
            inside(PLAN.episode_files()),
            inside(sources_of(FEATURES)),
        output:
            inside(PLAN.tables()),
        log:
            f"artifacts/{PARAMS.run}/logs/windows.log",
        threads: workflow.cores
        shell:
            "{STEP} windows --workers {threads} {RUN} | tee {log:q}"


rule notebook:
    input:
        inside(PLAN.tables()),
        lambda w: inside(PLAN.reads(w.notebook)),
        lambda w: inside([PLAN.source(w.notebook), *sources_of(PLAN.source(w.notebook))]),
    output:
        f"{A}/notebooks/{{notebook}}.ipynb",
        f"{A}/metrics/{{notebook}}.json",
        f"{A}/metrics/{{notebook}}.provenance.json",
    params:
        lambda w: PLAN.values(w.notebook),
        kept=lambda w: PLAN.kept(w.notebook),
    log:
        f"{A}/logs/{{notebook}}.log",
    threads: 1
    shell:
        "{STEP} notebook {OWN} -- {wildcards.notebook:q} {ASKED:q} 2>&1 | tee {log:q}"


rule compare:
    input:
        inside(PLAN.deliverables()),
        inside(PLAN.committed()),
    output:
        inside(PLAN.reports()),
    log:
        f"artifacts/{PARAMS.run}/logs/compare.log",
    shell:
        "{STEP} compare {RUN} 2>&1 | tee {log:q}"


rule site:
    input:
        inside(PLAN.deliverables()),
        inside(PLAN.reports()),
        inside(PLAN.page_sources()),
        inside(sources_of(SITE)),
    output:
        inside([PLAN.stamp("site")]),
    log:
        f"artifacts/{PARAMS.run}/logs/site.log",
    shell:
        "{STEP} site {RUN} 2>&1 | tee {log:q}"
