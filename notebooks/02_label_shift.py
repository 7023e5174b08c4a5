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
# # 2. Label shift, and what a split leaks
#
# The same windows, the same features, the same head: how much of the score is the split's doing?
#
# *Reads* the recording in `episode` and its two windows tables, `artifacts/<run>/windows/`.<br>
# *Writes* `artifacts/<run>/metrics/02_label_shift.json` and the figures
# `artifacts/<run>/figures/02_*.png`.
#
# A recording of one task from start to end is a hard place for a fair test. Two things can go
# wrong, in opposite directions.
#
# - **Leakage.** Neighbouring windows share frames. If windows are randomly assigned, a test
#   window's neighbours train, and a head may score by recognising the moment instead of the action.
# - **Label shift.** If the recording is cut in time, its end tests. Actions that happen only there
#   were never trained, and no choice among known classes can name them.
#
# This notebook separates the two: the same tasks on splits that differ in nothing else, and beside
# the head *probes* that use no sensor at all.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording

# %% [markdown]
# ## Load

# %%
from dataclasses import replace

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.evaluate import class_rows, evaluate, leak_rows, paired_row
from xperience.evaluation.predictions import copy_nearest, only_time, predict, predict_all
from xperience.evaluation.records import holm, records_table
from xperience.project import run_folder

# %%
from xperience.report import shift as words
from xperience.report.figures import show
from xperience.report.figures.shift import (
    draw_class_times,
    draw_embargo,
    draw_split_scores,
    draw_splits,
)
from xperience.report.provenance import shown_path
from xperience.report.section import open_inputs, save_section
from xperience.tasks.catalogue import ALL, NO_TEXT, TASKS_BY_NAME, TEXT
from xperience.tasks.problem import problems_of

# %%
pd.set_option("display.max_colwidth", None)
notebook = "02_label_shift"
opened = {name: open_inputs(run, episode, name) for name in ("published", "corrected")}
tables = {contract: table for contract, (_, table) in opened.items()}
info, pictures = tables["published"].info, run_folder(run) / "figures"

# %% [markdown]
# ## Work: one question, several splits
#
# The splits:
#
# - **local**: a random quarter of each class's windows tests. This is the published all-feature
#   reference's split.
# - **local segments, purged**: a quarter of each class's windows tests too, but as one contiguous
#   segment at a random place, and training windows that share a frame with it are left out.
# - **chronological**: the earlier labelled windows train, the later ones test.
# - **chronological, purged**: the same, without training windows that share frames with the test.
#
# `published` features and heads are evaluated on all four, so that only the split changes.
# `corrected` purges by definition and is evaluated on the two purged splits; its features may reach
# some windows back in time, so it purges more.

# %%
splits = {
    "published": ("local", "local_blocks", "chronological", "chronological_purged"),
    "corrected": ("local_blocks", "chronological_purged"),
}
without_shared_frames = ("local_blocks", "chronological_purged")

# %% [markdown]
# The predictions come from the contract's **linear head**. Under `published` it has all features;
# under `corrected` the **sensors** alone, without the words that annotators wrote about objects and
# hands. Beside it stands the same head with or without those words, whichever the contract doesn't
# do, and on the **words** alone, which come from the annotators as the label does. Two probes know
# only *when* a window is. One takes the label of the **nearest** training window in time; the other
# takes a **vote** of training windows, weighted by nearness. Their score shows what the split or
# the annotations give away, not perception.

# %%
with_and_without = {
    "published": {"linear": ALL, "linear_sensors_only": NO_TEXT},
    "corrected": {"linear": NO_TEXT, "linear_with_text": ALL},
}
probes = {"time_only": only_time, "copy_nearest": copy_nearest}
heads = {  # the name in rows: from which feature blocks it predicts
    contract: inputs | {"linear_text_only": (TEXT,)} | dict.fromkeys(probes, ())
    for contract, inputs in with_and_without.items()
}
tasks = {
    contract: {"timeline_action": tuple(asked), "timeline_subtask": ("linear", *probes)}
    for contract, asked in heads.items()
}
metrics = {"macro_f1", "accuracy", "purged_samples", "open_set_share"}

# %% [markdown]
# A problem is a task on a split. The purge takes training windows away, the test windows stay.

# %%
drawn, problems = {}, {}
for contract, names in splits.items():
    keys = [(contract, task, split) for task in tasks[contract] for split in names]
    declared = [
        replace(TASKS_BY_NAME[task], split=split.removesuffix("_purged")) for _, task, split in keys
    ]
    declared = [replace(task, measures=task.measures[:2]) for task in declared]
    asked = problems_of(opened[contract][0].folder, tables[contract], contract, declared)
    for key, problem in zip(keys, asked, strict=True):
        drawn[key] = problem
        problems[key] = problem.purged() if key[-1] in without_shared_frames else problem

# %% [markdown]
# Every head predicts. Linear heads are fitted side by side, on all cores.

# %%
given = {
    (*key, head): problem.with_inputs(*heads[key[0]][head])
    for key, problem in problems.items()
    for head in tasks[key[0]][key[1]]
}
fitted = {place: one for place, one in given.items() if place[-1] not in probes}
found = dict(zip(fitted, predict_all(list(fitted.values())), strict=True))
for place in given.keys() - fitted.keys():
    found[place] = predict(given[place], probes[place[-1]])

# %% [markdown]
# Predictions are scored. Beside the scores stand what the split leaks and the linear head's recall
# of each class.

# %%
predictions, rows = {}, []
for key, problem in problems.items():
    contract, task, split = key
    asked = {head: given[*key, head] for head in tasks[contract][task]}
    predictions[key] = {head: found[*key, head] for head in asked}
    scored = evaluate(problem, predictions[key], run, notebook, split, asked)
    rows += [row for row in scored if row.metric in metrics]
    if problem.split is not None:
        base = {"run": run, "section": notebook, "variant": split}
        rows += leak_rows(problem, base)
        rows += class_rows(problem, "linear", predictions[key]["linear"], base)
rows = holm(rows)

# %% [markdown]
# What the purge of the chronological split changes is a difference of two linear heads on the same
# test windows.

# %%
base = {"run": run, "section": notebook, "head": "linear", "variant": "chronological_purged"}
for task in tasks["published"]:
    sides = [
        (problems["published", task, split], predictions["published", task, split]["linear"])
        for split in ("chronological_purged", "chronological")
    ]
    rows.append(paired_row(*sides, base | {"against": "linear on chronological"}))

# %% [markdown]
# ## Look
#
# ### Which windows go where
#
# Each strip is the whole recording; white is unlabelled. On the local split single test windows lie
# among those that train. A purge takes training windows away wherever the two parts meet: once at a
# single cut, or at both ends of every segment.

# %%
action = {split: problems["published", "timeline_action", split] for split in splits["published"]}
show(draw_splits(action, rows, info), pictures / "02_splits.png")

# %%
words.split_table(rows, info.fps)

# %% [markdown]
# ### The classes over time
#
# Each row is a class, drawn where its action happens, each panel a split. An action that happens
# only after the chronological cut is tested without ever having been trained. With a contiguous
# segment of every class held out and no frame shared, a tested class is also trained, unless the
# purge took all of its other windows.

# %% tags=["front"]
compared = {split: action[split] for split in ("chronological", "local_blocks")}
linear = {split: predictions["published", "timeline_action", split]["linear"] for split in compared}
show(draw_class_times(compared, linear, info), pictures / "02_classes.png")
display(Markdown(words.shift_text(rows)))

# %% [markdown]
# ### Scores by split
#
# Each row is a split under a contract. The dotted line is the best trivial baseline, the solid one
# the ceiling that untrained classes impose. Bars are 95 % intervals from a jackknife over segments
# of time. A point without a bar has none: its score rests on too few independent segments, or all
# its windows score the same. The tables below hold every number, and those of the steps.

# %%
show(draw_split_scores(rows, "timeline_action"), pictures / "02_scores.png")

# %%
words.score_table(rows, "timeline_action")

# %%
words.score_table(rows, "timeline_subtask")

# %% [markdown]
# **How much needs no sensing.** For each split, the best of the probes that use no camera,
# microphone, tracker or inertial unit, and the head that has them all. The difference is paired,
# probe minus head, on the same test windows; above 0 the probe is ahead.

# %%
display(Markdown(words.unsensed_text(rows, "timeline_action")))

# %% [markdown]
# Purged segments share no frame with the training part, and yet time alone predicts them well where
# a class lies in one place: the nearest training window is then still of the same class. A purge
# removes copies of a moment, not the order of a recording. Only another recording can test what
# remains.
#
# **What the purge changes** on the chronological split, whose published form doesn't check whether
# the windows on either side of the cut share frames:

# %%
display(Markdown(words.purge_text(rows)))

# %% [markdown]
# ### Seen classes and all classes
#
# A score over all test windows mixes two things: how well known actions are recognised, and how
# many actions were unknown. `corrected` gives both. Its classes come from the training part alone,
# the *open set* is the share of test windows whose class that part lacks, and the score on seen
# classes leaves those windows out. Where only one class is left, there is no score.

# %%
seen = words.seen_table(rows)
nowhere = "No split under `corrected` tests classes that were trained beside others that were not."
seen if len(seen) else Markdown(nowhere)

# %% [markdown]
# ### A distance between training and test
#
# If a score falls as training windows near the test windows are removed, is it because the others
# are farther away, or because there are fewer? A control answers: the same head, trained on as many
# windows sampled at random from all. Distance removes whole classes too, where all windows of one
# lie near its test windows: the dotted line is the ceiling that this leaves.
#
# An embargo is a purge with a distance in frames; below 0, that many frames may be shared.

# %%
embargoes = {"local": (-15, -10, -5, 0, 5, 10), "local_blocks": (-15, 0, 20, 40, 80)}
far, fewer = {}, {}
for split, every in embargoes.items():
    whole = drawn["published", "timeline_action", split]
    for frames in every:
        far[split, frames] = problem = whole.purged(frames)
        if problem.ok and problem.n_train != whole.n_train:
            chosen = np.random.default_rng(7).permutation(whole.n_train)[: problem.n_train]
            thinned = replace(whole.split, train=whole.split.train[np.sort(chosen)])
            fewer[split, frames] = whole.with_split(thinned)

# %%
answers = predict_all([*far.values(), *fewer.values()])
farther = dict(zip(far, answers[: len(far)], strict=True))
controls = dict(zip(fewer, answers[len(far) :], strict=True))
curve = []
for (split, frames), problem in far.items():
    beside = {head: predict(problem, probe) for head, probe in probes.items()}
    beside = {"linear": farther[split, frames]} | beside
    curve += evaluate(problem, beside, run, notebook, f"{split}/embargo={frames}")

# %% [markdown]
# The control, wherever windows were left out, and the paired difference from it:

# %%
base = {"run": run, "section": notebook, "head": "linear", "against": "linear_thinned"}
for (split, frames), problem in fewer.items():
    variant, control = f"{split}/embargo={frames}", controls[split, frames]
    curve += evaluate(problem, {"linear_thinned": control}, run, notebook, variant)
    sides = (far[split, frames], farther[split, frames]), (problem, control)
    curve.append(paired_row(*sides, base | {"variant": variant}))

# %%
curve = [
    row
    for row in curve
    if row.metric == "macro_f1"
    and row.against in (None, "linear_thinned")
    and not row.variant.endswith("/floor")
]
show(draw_embargo(curve), pictures / "02_embargo.png")

# %% [markdown]
# ## Check

# %%
assert {(row.contract, row.variant) for row in rows if row.head == "linear"} >= {
    (contract, split) for contract, names in splits.items() for split in names
}
purged = [row for row in rows if row.metric == "overlap_share"]
assert all(row.value == 0 for row in purged if row.variant in without_shared_frames)
for (contract, task, _), found in predictions.items():
    assert tuple(found) == tasks[contract][task], "predictions of every head, or a reason"
assert all(row.status == "ok" or row.reason for row in rows + curve)
assert all(row.ci_low is None or row.ci_low <= row.value <= row.ci_high for row in rows)

# %% [markdown]
# The curve starts where the splits do: its first point of the local split is that split's own
# score, and its point without a shared frame is that of the purged segments.

# %%
score = words.Rows(rows + curve)
for head in ("linear", "time_only", "copy_nearest"):
    own = {"contract": "published", "task": "timeline_action", "head": head, "metric": "macro_f1"}
    for split, frames in (("local", -15), ("local_blocks", 0)):
        first = score.one(**own, variant=f"{split}/embargo={frames}")
        assert first.value == score.one(**own, variant=split).value

# %% [markdown]
# ## Save
#
# A row's *variant* says which split it is of, and what of it: a baseline, seen classes, one class,
# a distance. Below are the heads' scores on whole splits.

# %%
parameters = {"run": run, "episode": shown_path(episode)}
display(save_section(notebook, parameters, rows + curve, tables.values()))
for reading, _ in opened.values():
    reading.close()
shown = ["contract", "task", "variant", "head", "value", "ci_low", "ci_high", "floor", "ceiling"]
whole = [r for r in rows if r.metric == "macro_f1" and not r.against and "/" not in r.variant]
records_table(whole)[[*shown, "reason"]].round(3).astype(object).fillna("")
