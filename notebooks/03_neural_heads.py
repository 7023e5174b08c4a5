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
# # 3. Neural against linear heads
#
# Does a network on top of the features beat a linear head, and does either beat doing nothing?
#
# *Reads* the recording in `episode` and its windows tables, `artifacts/<run>/windows/`.<br>
# *Writes* `artifacts/<run>/metrics/03_neural_heads.json`, the predictions of every head
# `artifacts/<run>/predictions/03_neural_heads.parquet` and the figures
# `artifacts/<run>/figures/03_*.png`.
#
# A score alone says little, so every head is asked three questions here. Does it beat the **best
# trivial baseline** of its task: the most frequent class, the label that persists, hands at zero
# velocity? Does it beat the **linear head**? And is that difference significant, given that
# neighbouring windows resemble each other and many tasks are tested? Only then is it called better
# or worse; a network only if it was trained from five seeds and all of them are on that side.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording
n_seeds: int = 5  # seeds of the networks of the corrected contract
n_published_seeds: int = 1  # seeds of the published network, which is larger; its own is the first
published_networks: list | str = [  # tasks that it is trained for, or "all"
    "hand_trajectory_forecast",
    "temporal_order",
    "misalignment_detection",
    "cross_modal_retrieval",
    "modality_reconstruction",
]

# %% [markdown]
# ## Load

# %%
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.evaluate import evaluate, size_rows
from xperience.evaluation.predictions import HEADS, predict_heads, predictions_table
from xperience.evaluation.records import holm, records_table
from xperience.project import run_folder

# %%
from xperience.report.figures import show
from xperience.report.figures.heads import (
    draw_by_speed,
    draw_curves,
    draw_gains,
    draw_hand_window,
    draw_horizon,
    draw_near_changes,
)
from xperience.report.heads import claim_text, heads_table
from xperience.report.interactive import Choice, explore
from xperience.report.provenance import shown_path
from xperience.report.section import open_inputs, save_section
from xperience.tasks.measures import CONFIDENCE
from xperience.tasks.problem import problems_of

# %%
pd.set_option("display.max_colwidth", None)
notebook, pictures = "03_neural_heads", run_folder(run) / "figures"
opened = {contract: open_inputs(run, episode, contract) for contract in HEADS}
recording = opened["published"][0]
tables = {contract: table for contract, (_, table) in opened.items()}
seeds = {"published": n_published_seeds, "corrected": n_seeds}
some = {} if published_networks == "all" else {"neural": published_networks}
only = {"published": some, "corrected": {}}

# %% [markdown]
# ## Work: every task, every head, both contracts
#
# A *problem* is a task on this recording: its samples, their split, what was purged. Each head
# *predicts* the test samples of each problem; *evaluate* scores the predictions beside the trivial
# baselines and compares them; `holm` corrects the comparisons for the number of tasks.
#
# Under `published` the **linear** head is full-batch gradient descent or ridge regression, and the
# **neural** one the note's network: layer normalisation, two hidden layers, a fixed number of
# epochs, no held-out part to stop it. It is a parity check and takes longest, so it is trained for
# the tasks whose network the note reports, unless `published_networks` says otherwise.
#
# Under `corrected` training windows that touch test frames are purged, columns that hardly vary in
# training are dropped, and samples are written in the principal axes of the training part. The
# **linear** head chooses its penalty on held-out segments of time inside the training part. The
# **neural** head, a small network, stops by them, and is then retrained on the whole training
# part for as long. The **temporal** head does the same and reads the windows that lead up to the
# sample as well, oldest first; where the order of two windows is asked for, it reads just those
# two. Networks start at random, so each is trained from several seeds; its score is the mean over
# seeds, its spread their standard deviation.
#
# The **forecast** head answers the hand task alone. It reads how the hands moved in the window's
# last half second. Which of four forecasters it is (damped velocity, two autoregressions, a small
# network that says by how much velocities go on) is chosen by a rolling origin inside the training
# part.

# %%
answered = {}
for contract, heads in HEADS.items():
    problems = problems_of(recording.folder, tables[contract], contract)
    predictions = predict_heads(problems, heads, seeds[contract], only=only[contract])
    answered[contract] = list(zip(problems, predictions, strict=True))

# %%
rows = {
    contract: holm(row for problem, predictions in found
                   for row in evaluate(problem, predictions, run, notebook))
    for contract, found in answered.items()
}  # fmt: skip
for contract, found in answered.items():
    base = {"run": run, "section": notebook, "contract": contract}
    rows[contract] += size_rows(found, base)
tasks = {
    contract: {problem.task.name: problem.task for problem, _ in found}
    for contract, found in answered.items()
}
studied = {contract: (rows[contract], tasks[contract]) for contract in rows}

# %% [markdown]
# ## Look
#
# ### Gains over trivial baselines
#
# Tasks have different units, so gains share a scale without a unit: 0 is the best trivial baseline
# of the task, 1 is perfection. The interval is that of the *paired* difference: head and baseline
# are scored on the same windows.

# %% tags=["front"]
show(draw_gains(studied), pictures / "03_gains.png")

# %% [markdown]
# ### Gains of networks over the linear head

# %%
shown = draw_gains(studied, rival="linear")
show(shown, pictures / "03_over_linear.png")

# %% [markdown]
# ### Every task
#
# A score is followed by its standard deviation over seeds (±) and its interval. *Seeds needed*:
# fewer than five were trained; the published network is a parity check, so its scores are shown but
# not tested. *Seeds disagree*: not all are on the side of their mean. *Unstable*: the published
# gradient descent takes steps so long that single and double precision give different predictions,
# so nothing follows from its score.

# %%
heads_table(rows["published"], tasks["published"])

# %%
heads_table(rows["corrected"], tasks["corrected"])

# %% [markdown]
# ### Which actions are confused
#
# The most frequent confusions, all heads and seeds together; shares are of all predictions of the
# task. On the chronological split a true action may never have been trained, so that no head can
# name it; `all_feature_action` holds out a segment of each action instead.

# %%
said = predictions_table(answered["corrected"])
said = said[said["task"].isin(["all_feature_action", "timeline_action"])]
total = said.groupby("task").size()
wrong = said[said["truth"] != said["predicted"]]
counts = wrong.groupby(["task", "truth", "predicted"]).size().rename("count").reset_index()
counts["share"] = (counts["count"] / counts["task"].map(total)).map("{:.1%}".format)
counts.sort_values("count", ascending=False).groupby("task").head(6).set_index("task").sort_index()

# %% [markdown]
# ### Near a change of the action
#
# Is a window misclassified because its action was never trained, or because it lies where one
# action turns into the next, where annotators would place the change at different frames?

# %%
near = ["all_feature_action", "timeline_action"]
show(draw_near_changes(rows["corrected"], near), pictures / "03_near_changes.png")

# %% [markdown]
# ### Confidence
#
# *Open-set AUROC*: how well the probability of the predicted class separates windows of trained
# classes from those of untrained ones; 0.5 is chance. *Calibration error* and *Brier score*: how
# far probabilities are from the outcomes; a calibrated head may still be inaccurate. *Selective
# accuracy*: that of the 50 or 80 % of windows with the highest probability.

# %%
names = [one.name for one in CONFIDENCE]
sure = records_table(row for row in rows["corrected"] if row.metric in names)
sure = sure.pivot_table("value", ["task", "head"], "metric", sort=False).reindex(columns=names)
sure.round(3).astype(object).fillna("–")

# %% [markdown]
# ### Parameters
#
# Fitted parameters of one seed, summed over tasks. A linear head has one for each output and each
# feature, axis or training sample, whichever it works on. `benchmarks/suite.py --heads` measures
# processor time.

# %%
sizes = records_table(row for found in rows.values() for row in found)
sizes = sizes[sizes["metric"] == "n_parameters"].pivot_table("value", "head", "contract")
sizes.map("{:,.0f}".format, na_action="ignore").fillna("–")

# %% [markdown]
# ### Learning curves
#
# Training loss keeps falling. What counts is the loss on held-out segments of time: training stops
# where it is least. The published network has no held-out part.

# %%
show(draw_curves(answered["corrected"]), pictures / "03_curves.png")

# %% [markdown]
# ### Hands, true and forecast
#
# Hands move little within the half second that is forecast, so the first baseline to beat is zero
# velocity. Under `published` positions mix two coordinate frames and heads forecast absolute
# positions; under `corrected` hands are given relative to the body, and heads forecast what to add
# to the present pose. Most heads read means and spreads over a window, which don't show in which
# direction a hand is moving at its end; the forecast head reads the motion itself.

# %%
show(draw_horizon(answered), pictures / "03_horizon.png")

# %%
shown = draw_by_speed(rows["corrected"], "hand_trajectory_forecast")
show(shown, pictures / "03_by_speed.png")

# %% [markdown]
# One test window at a time: the path of a wrist, and the error by frames ahead.

# %%
explore(
    lambda contract, test: draw_hand_window(answered[contract], test),
    {"contract": Choice.among(list(answered), "corrected"), "test": Choice.along()},
    pictures / "03_hand_window.png",
)

# %% [markdown]
# ### The note's claims on this recording
#
# The note reports that neural heads help hand forecasting and the order of windows. On this
# recording:

# %%
claimed = ("hand_trajectory_forecast", "temporal_order")
said = [
    f"- {claim_text(rows[contract], tasks[contract][name], head)}"
    for name in claimed
    for contract in rows
    for head in HEADS[contract]
    if head not in ("linear", "forecast") or (head, name) == ("forecast", claimed[0])
]
display(Markdown("\n".join(said)))

# %% [markdown]
# ## Check

# %%
every = [row for found in rows.values() for row in found]
named = {(row.contract, row.task, row.head) for row in every if row.head is not None}
for contract, found in answered.items():
    for problem, predictions in found:
        answers = {head for head, each in predictions.items() if each}
        assert {(contract, problem.task.name, head) for head in answers} <= named
        name, asked = problem.task.name, set(predictions) - {"forecast"}
        asked -= {head for head, names in only[contract].items() if name not in names}
        assert not problem.ok or answers >= asked
assert all(row.status == "ok" or row.reason for row in every)
assert all(row.ci_low is None or row.ci_low <= row.value <= row.ci_high for row in every)

# %% [markdown]
# ## Save
#
# One row per measure, head and contract, with floors and differences, and each seed's own primary
# score; and one row per test sample with what every head predicted.

# %%
for reading, _ in opened.values():
    reading.close()
parameters = {"run": run, "episode": shown_path(episode), "n_seeds": n_seeds}
parameters |= {"n_published_seeds": n_published_seeds, "published_networks": published_networks}
pairs = [pair for found in answered.values() for pair in found]
save_section(notebook, parameters, every, tables.values(), pairs)
