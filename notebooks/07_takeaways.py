# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. Takeaways
#
# Which claims do all metric rows together support, and which not?
#
# *Reads* the metric files of the run's other notebooks (among them the published record's), and
# those of a run of held-out episodes if it is there.<br>
# *Writes* `artifacts/<run>/RESEARCH_TAKEAWAYS.md` and `.json`,
# `artifacts/<run>/metrics/07_takeaways.json` and the figure
# `artifacts/<run>/figures/07_findings.png`.
#
# No sentence below was written for a particular result. A *claim* is decided by a rule over metric
# rows, and each outcome has its own sentence: *supported*, *contradicted*, *no significant
# difference*, *mixed*, *not tested*. Headlines are made of claims. Numbers come in from rows:
# change one past a threshold, and its sentence and headline change; take a file away, and the
# sentence says that it isn't there.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
heldout_run: str = "family"  # the run of held-out episodes; it need not be there

# %% [markdown]
# ## Load

# %%
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.records import write_records
from xperience.project import metrics_path, run_folder
from xperience.report.figures import show
from xperience.report.figures.takeaways import draw_findings
from xperience.report.note import column_names, takeaway_text
from xperience.report.provenance import provenance
from xperience.report.takeaways import (
    assemble,
    check_takeaways,
    open_evidence,
    outcome_rows,
    write_takeaways,
)

# %%
notebook, pictures = "07_takeaways", run_folder(run) / "figures"
evidence = open_evidence(run, heldout_run)
absent = [name for name, digest in evidence.sources().items() if digest is None]
lacking = f"Not there, so that some claims are not tested: {', '.join(absent)}."
Markdown(lacking if absent else "Every metrics file that claims rest on is there.")

# %% [markdown]
# ## Work

# %%
content = assemble(evidence)
names = column_names(content)
claims = pd.DataFrame([claim for one in content["takeaways"] for claim in one["claims"]])
pd.crosstab([claims["column"].replace(names), claims["contract"]], claims["outcome"])

# %% [markdown]
# ## Look
#
# ### At a glance

# %%
show(draw_findings(content), pictures / "07_findings.png")

# %% [markdown]
# ### The six takeaways
#
# Each with its sentences and the note's own metrics: as printed, as recomputed from the published
# record, and as they are in the run.

# %%
for number, one in enumerate(content["takeaways"], 1):
    display(Markdown(f"### {number}. {one['headline']}\n\n{takeaway_text(one, names)}"))

# %% [markdown]
# ## Check

# %%
assert len(content["takeaways"]) == 6, "the note has six takeaways"
assert sum(len(one["metrics"]) for one in content["takeaways"]) == 29, "all rows of the note"
assert claims["sentence"].all(), "each claim says something"
for claim in claims.to_dict("records"):
    assert {row["contract"] for row in claim["rows"]} <= {claim["contract"]}, claim["claim"]

# %% [markdown]
# ## Save

# %%
write_takeaways(evidence)
check_takeaways(run)
origin = provenance(notebook, {"run": run, "heldout_run": heldout_run}, evidence.files())
write_records(metrics_path(run, notebook), outcome_rows(content, notebook), origin)
