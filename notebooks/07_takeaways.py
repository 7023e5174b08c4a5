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
# What do all the metric rows together allow to be said, and what not?
#
# *Reads* the metric files of the run's other notebooks (among them the published record's), and
# those of a run of held-out episodes if it is there.<br>
# *Writes* `artifacts/<run>/RESEARCH_TAKEAWAYS.md` and `.json`,
# `artifacts/<run>/metrics/07_takeaways.json` and the figures `artifacts/<run>/figures/07_*.png`.
#
# No sentence below was written about a result. A *claim* is decided by a rule over metric rows, and
# each outcome that the rule can have has its own sentence: *supported*, *not supported*,
# *contradicted*, *can't tell*. Numbers come in from rows. Change a number past a threshold, and its
# sentence changes; take a file away, and the sentence says that it isn't there.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
heldout_run: str = "family"  # the run of held-out episodes; it need not be there

# %% [markdown]
# ## Load

# %%
from IPython.display import Markdown

from xperience.evaluation.records import write_records
from xperience.project import metrics_path, run_folder
from xperience.report.figures import show
from xperience.report.figures.takeaways import draw_evidence, draw_glance
from xperience.report.provenance import provenance
from xperience.report.takeaways import fresh, render, rows
from xperience.report.takeaways.evidence import open_evidence

# %%
notebook, pictures = "07_takeaways", run_folder(run) / "figures"
evidence = open_evidence(run, heldout_run)
absent = [name for name, digest in evidence.sources().items() if digest is None]
lacking = f"Not there, so that some claims can't be told: {', '.join(absent)}."
Markdown(lacking if absent else "Every metrics file that claims rest on is there.")

# %% [markdown]
# ## Work

# %%
content = render.assemble(evidence)
rows.outcome_table(content)

# %% [markdown]
# ## Look
#
# ### At a glance
#
# One line a claim, one column a contract of a run, or of the published record. An empty place is
# one where the claim can't be asked.

# %%
show(draw_glance(content), pictures / "07_glance.png")

# %% [markdown]
# The same with the figures that decide: the record and the run side by side, claim by claim.

# %%
Markdown(render.glance_table(content))

# %% [markdown]
# ### The benchmark contract

# %%
names, by_name = render.column_names(content), {one["name"]: one for one in content["takeaways"]}
Markdown(rows.takeaway_text(content, "contract"))

# %% [markdown]
# ### Label shift under chronological splits

# %%
Markdown(rows.takeaway_text(content, "label_shift"))

# %%
show(draw_evidence(by_name["label_shift"], names), pictures / "07_label_shift.png")

# %% [markdown]
# ### Neural against linear heads

# %%
Markdown(rows.takeaway_text(content, "neural_heads"))

# %%
show(draw_evidence(by_name["neural_heads"], names), pictures / "07_neural_heads.png")

# %% [markdown]
# ### Retrieval and reconstruction

# %%
Markdown(rows.takeaway_text(content, "retrieval"))

# %%
show(draw_evidence(by_name["retrieval"], names), pictures / "07_retrieval.png")

# %% [markdown]
# ### Audio

# %%
Markdown(rows.takeaway_text(content, "audio"))

# %%
show(draw_evidence(by_name["audio"], names), pictures / "07_audio.png")

# %% [markdown]
# ### Held-out episodes and strict answers

# %%
Markdown(rows.takeaway_text(content, "heldout"))

# %%
show(draw_evidence(by_name["heldout"], names), pictures / "07_heldout.png")

# %% [markdown]
# ## Check

# %%
claims = [claim for one in content["takeaways"] for claim in one["claims"]]
assert len(content["takeaways"]) == 6, "the note has six takeaways"
assert all(claim["sentence"] for claim in claims), "each claim says something"
assert all({row["contract"] for row in claim["rows"]} <= {claim["contract"]} for claim in claims)

# %% [markdown]
# ## Save

# %%
fresh.write_takeaways(evidence)
fresh.check_takeaways(run)
origin = provenance(notebook, {"run": run, "heldout_run": heldout_run}, evidence.files())
write_records(metrics_path(run, notebook), rows.outcome_rows(content, notebook), origin)
