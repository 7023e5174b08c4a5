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
# # 4. Retrieval and reconstruction
#
# How much does one stream of a recording tell about another? Three tasks ask it without class
# labels.
#
# *Reads* the recording in `episode` and its windows tables under both contracts,
# `artifacts/<run>/windows/`.<br>
# *Writes* `artifacts/<run>/metrics/04_retrieval_and_reconstruction.json` and the figures
# `artifacts/<run>/figures/04_*.png`.
#
# **Caption grounding** looks for the window that a caption describes. A head predicts the text
# block from all other blocks; every true text (the query) ranks the predictions of all test windows
# (the candidates) by cosine similarity. **Cross-modal retrieval** looks for the depth and video
# that belong to a window's motion and sound: the prediction is the query, the true vectors are the
# candidates. **Reconstruction** scores the same prediction value by value.
#
# Both contracts are run, with their linear head. `published` compares values in raw units, with a
# fixed penalty. `corrected` chooses the penalty inside the training part, drops training windows
# that share frames with test windows, and compares in units of training SD.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording
near_frames: int = 20  # a top result whose centre is this near in time is a near miss

# %% [markdown]
# ## Load

# %%
import numpy as np
import pandas as pd

from xperience.evaluation.evaluate import base_of, evaluate
from xperience.evaluation.predictions import predict_all
from xperience.evaluation.reconstruction import (
    RAW,
    SCALED,
    UNITS,
    TargetColumns,
    group_rows,
    unit_rows,
    weight_rows,
)
from xperience.evaluation.records import holm, records_table
from xperience.evaluation.retrieval import (
    Ranking,
    action_rows,
    chance_rows,
    circular_shifts,
    similarity_rows,
    tolerance_rows,
)
from xperience.features.blocks import CONTRACTS
from xperience.project import run_folder
from xperience.report.figures import show
from xperience.report.figures.retrieval import (
    draw_actions,
    draw_distances,
    draw_hits,
    draw_query,
    draw_ranks,
    draw_reconstruction,
    draw_similarity,
    draw_weights,
)
from xperience.report.interactive import Choice, explore
from xperience.report.provenance import shown_path
from xperience.report.section import open_inputs, save_section
from xperience.report.tables import rows_table
from xperience.tasks.catalogue import AUDIO, MOTION, TASKS_BY_NAME
from xperience.tasks.problem import problems_of

# %%
pd.set_option("display.max_colwidth", None)
notebook = "04_retrieval_and_reconstruction"
pictures = run_folder(run) / "figures"
opened = {contract: open_inputs(run, episode, contract) for contract in CONTRACTS}
tables = {contract: table for contract, (_, table) in opened.items()}
recording = opened["corrected"][0]

# %% [markdown]
# ## Problems and predictions
#
# Two retrievals, and the reconstruction from three inputs, under both contracts, all by the linear
# head. Cross-modal retrieval and the reconstruction from motion and audio score the same
# prediction.

# %%
retrievals = ("caption_grounding", "cross_modal_retrieval")
rebuilt = "modality_reconstruction"
sources = {"motion": MOTION, "audio": AUDIO, "motion and audio": MOTION + AUDIO}
tasks = [TASKS_BY_NAME[name] for name in (*retrievals, rebuilt)]
problems = {}
for contract, table in tables.items():
    for problem in problems_of(recording.folder, table, contract, tasks):
        problems[contract, problem.task.name] = problem
    for source, blocks in sources.items():
        problems[contract, source] = problems[contract, rebuilt].with_inputs(*blocks)

# %%
found = predict_all(list(problems.values()), "linear")
predicted = dict(zip(problems, found, strict=True))
missing = [(*key, problem.reason) for key, problem in problems.items() if not problem.ok]
pd.DataFrame(missing, columns=["contract", "task or input", "why there is no prediction"])

# %% [markdown]
# Rows of the three tasks, as every task has them: floors, scores with intervals, differences.

# %%
rows, bases = [], {}
for (contract, name), problem in problems.items():
    bases[contract, name] = base_of(problem, {"run": run, "section": notebook})
    if name in sources and not problem.ok:
        told = {"run": run, "section": notebook, "variant": f"from {name}"}
        rows += evaluate(problem, {"linear": ()}, **told)
    elif name not in sources:
        rows += evaluate(problem, {"linear": predicted[contract, name]}, run, notebook)
rows = holm(rows)

# %% [markdown]
# ## Retrieval
#
# ### How far up the true window ranks
#
# A **rank** of one means that the true window came first. The mean reciprocal rank (MRR) rewards
# first places and hardly tells a tenth from a hundredth; the median rank is that of a typical
# query. The curves show both: how many queries find their window among the first *k* candidates.
#
# **Chance.** In random order the true window is equally likely to rank anywhere. But neighbouring
# windows are nearly the same, so even unrelated streams give long runs of good or bad ranks. The
# control that keeps those runs is the **circular shift**: the same similarities, with queries and
# candidates shifted against each other in time. A retrieval is significantly better than chance if
# at most one in twenty shifts scores as well.
#
# **Equal candidates share their ranks.** A caption holds for many consecutive windows, and no head
# can distinguish windows of one text: the dotted line is the best that is possible. `published`
# keeps tied windows in the order of the recording; here they get the mean over all orders.
#
# **Copying the nearest training window is no baseline here.** All test windows come after the
# training part, so the nearest training window is the same for all. As a query it ranks the
# candidates in one order, which is exactly chance; as a candidate it ties with all others.

# %%
rankings, shifts = {}, {}
for (contract, name), problem in problems.items():
    if name in retrievals and problem.ok:
        ranking = Ranking.of(problem, predicted[contract, name][0])
        rankings[contract, name] = ranking
        shifts[contract, name] = circular_shifts(ranking)
        bases[contract, name] |= {"head": "linear"}
        rows += chance_rows(ranking, shifts[contract, name], bases[contract, name])

# %%
show(draw_ranks(rankings, shifts, rows), pictures / "04_ranks.png")

# %%
rows_table(
    row for row in rows if row.task in retrievals and row.head == "linear" and row.floor is not None
)

# %% [markdown]
# Intervals are a segment jackknife's. One is left out where the test part has too few independent
# segments for it.
#
# ### How near in time the top result is
#
# Windows overlap, so the neighbour of the true window is nearly the same, and a strict rank is
# unfair to a head that misses by one step. The curves show how far the top result lies from the
# true window. Chance is the distance between any two test windows. The saved rows also count
# hits and ranks within a tolerance, beside those of a random order under the same tolerance.

# %%
tolerances_frames = (0, 5, 10, 20, 40, 80, 160, 320)
for key, ranking in rankings.items():
    rows += tolerance_rows(ranking, tolerances_frames, bases[key])
show(draw_distances(rankings, rows, recording.fps), pictures / "04_distances.png")

# %% [markdown]
# ### Within-action and between-action retrieval
#
# A head that recognises only the place of an action can rank all windows of the action first and
# distinguish none of them. In a similarity matrix such **memory of the scene shows as blocks**, and
# **alignment in time shows as a diagonal**. The true targets among themselves show how much of
# either is possible.

# %%
for key, ranking in rankings.items():
    rows += similarity_rows(ranking, bases[key])
show(draw_similarity(rankings, rows, recording.fps), pictures / "04_similarity.png")

# %% [markdown]
# In numbers: **within-action** retrieval is the share of the candidates of the *same* action that
# rank below the true window, **between-action** retrieval that of the candidates of *other*
# actions. Chance is one half for both, whatever the number of candidates. Windows that share frames
# with the true one are left out.

# %%
for key, ranking in rankings.items():
    rows += action_rows(ranking, bases[key])
show(draw_actions(rows), pictures / "04_within_and_between.png")

# %% [markdown]
# ### Examples
#
# These queries were not picked by hand. A query's top result is the window itself (*hit*), lies
# nearby (*near miss*) or elsewhere (*failure*). Each row shows the median query of its kind,
# ordered by the similarity of the top result: the query's own window, then the top results.

# %%
judged = {task: one for (contract, task), one in rankings.items() if contract == "corrected"}
for task, ranking in judged.items():
    show(draw_hits(recording, ranking, near_frames), pictures / f"04_hits_{task}.png")

# %% [markdown]
# Choose a retrieval and a query.

# %%
if judged:
    explore(
        lambda task, query: draw_query(recording, judged[task], query, near_frames),
        {"task": Choice.among(list(judged)), "query": Choice.along()},
        pictures / "04_query.png",
    )

# %% [markdown]
# ## Reconstruction
#
# ### Which part of the video motion and sound predict
#
# R² compares the squared error of a prediction with that of the test windows' own mean: one is
# perfect, zero is no better than that mean, which nobody knows beforehand. Two trivial baselines
# are known beforehand: the training windows' mean, and the training window nearest in time. Both
# are often below zero, because a later part of a recording shows another part of the room.
#
# A *block* is a camera or the depth map. A *statistic* is what the window keeps of every value: its
# level (mean, min, max), its variation (std, std of steps), its trend (last − first, and mean step,
# which is the same number divided by the steps). Head motion moves the picture, so motion may
# predict how much a picture *changes*; what it *shows* depends on the place.

# %%
own_unit = {"published": RAW, "corrected": SCALED}
for (contract, source), problem in problems.items():
    if source in sources and problem.ok:
        columns = TargetColumns.of(problem, own_unit[contract])
        values = columns.predicted(predicted[contract, source][0])
        rows += group_rows(columns, values, source, bases[contract, source])
show(draw_reconstruction(rows), pictures / "04_reconstruction.png")

# %% [markdown]
# ### One R² of many units
#
# An R² over all columns is a mean of the columns' R², each weighted by its variance. In raw units
# (`published`) a value in metres outweighs a share of pixels, and a level outweighs a step, by the
# size of their numbers alone. In units of training SD (`corrected`) columns weigh about the same.

# %%
in_units = []
for contract in CONTRACTS:
    inputs = {name: problems[contract, name] for name in sources if problems[contract, name].ok}
    for unit in UNITS if inputs else ():
        columns = TargetColumns.of(problems[contract, rebuilt], unit)
        values = {name: columns.predicted(predicted[contract, name][0]) for name in inputs}
        in_units += unit_rows(columns, values, bases[contract, rebuilt])
        rows += weight_rows(columns, bases[contract, rebuilt])
rows += in_units
show(draw_weights(rows), pictures / "04_weights.png")

# %% [markdown]
# So the two contracts' numbers differ for two reasons, the unit and the fit. The table scores each
# contract's predictions in both units: read along a row for the unit, and compare rows of the same
# name for the fit.

# %%
fits = records_table(in_units)
fits[["prediction", "unit"]] = fits["variant"].astype(str).str.extract("(.*), in (.*)")
fits["unit"] = fits["unit"].replace(SCALED, "units of training SD")
fits.pivot_table(index=["contract", "head", "prediction"], columns="unit", values="value").round(3)

# %% [markdown]
# ## Check

# %%
for ranking in rankings.values():
    assert np.abs(ranking.similarity).max() <= 1 + 1e-9
    assert ((ranking.ranks.expected >= 1) & (ranking.ranks.expected <= len(ranking))).all()
    assert ranking.mrr <= ranking.mrr_ceiling + 1e-9
fits_alone = [row.value for row in rows if row.metric == "r2" and row.against is None]
assert all(value is None or value <= 1 for value in fits_alone)
assert all(row.status == "ok" or row.reason for row in rows)
of_blocks = [row for row in rows if row.metric == "spread_share" and "_" in row.variant]
for unit in UNITS if of_blocks else ():
    shares = [row.value for row in of_blocks if row.variant.endswith(unit)]
    assert np.isclose(sum(shares), len({row.contract for row in of_blocks}))

# %% [markdown]
# ## Save
#
# One row per number, with its interval and floor.

# %%
parameters = {"run": run, "near_frames": near_frames, "episode": shown_path(episode)}
saved = save_section(notebook, parameters, rows, tables.values())
for opened_recording, _ in opened.values():
    opened_recording.close()
saved
