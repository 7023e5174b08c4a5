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
# # 6. Held-out episodes
#
# Which results hold for people and kitchens that nobody trained on?
#
# *Reads* the split manifest in `episodes`, its recordings' labels, and the windows tables and
# shard reports in `artifacts/<run>/`.<br>
# *Writes* `artifacts/<run>/metrics/06_heldout_episodes.json`, every head's predictions in
# `artifacts/<run>/predictions/06_heldout_episodes.parquet` and the figures
# `artifacts/<run>/figures/06_*.png`.
#
# One recording, however it is split, is one person on one day. The independent unit is the
# *session*: heads learn from the recordings of some sessions, their settings are chosen on others,
# and they are tested on sessions that were used for neither. All of it follows the corrected
# contract, whose features are in the wearer's own coordinate frame.

# %% tags=["parameters"]
run: str = "family"  # the run's name, its folder under artifacts/
episodes: str = "artifacts/family/episodes/episodes.csv"  # split manifest: each episode's split
n_folds: int = 5  # folds of the cross-validation, so that each recording is tested once; or 0
sizes: str = "../shared/published/heldout_baselines/episode_selection.csv"  # real episodes' sizes
n_study: int = 128  # episodes of the study that the note plans
n_dataset: int = 12102  # complete episodes of the dataset
frames_per_episode: int = 5821  # length of a real episode: that of the public sample
n_seeds: int = 5  # seeds of the networks
n_folds_inputs: int = 2  # of the folds, those in which inputs are ablated
n_folds_sizes: int = 2  # of the folds, those in which heads learn from fewer recordings
n_draws: int = 2  # random parts of the training recordings, of each size

# %% [markdown]
# ## Load

# %%
import pandas as pd
from IPython.display import Markdown, display

from xperience.cohort.cost import cost_of, cost_rows, read_rates
from xperience.cohort.manifest import read_manifest
from xperience.cohort.overlap import overlap_rows, overlap_table, read_labels
from xperience.cohort.shards import read_reports, status_text
from xperience.evaluation.ablation import ablations, variant_rows
from xperience.evaluation.evaluate import FLOOR
from xperience.evaluation.predictions import predict_all, predict_each
from xperience.evaluation.records import ABLATION, ONE_WORTH, SCALING, holm, write_records
from xperience.features.blocks import MODALITIES
from xperience.project import at_root, metrics_path, predictions_path, run_folder
from xperience.report import heldout as words
from xperience.report.figures import show
from xperience.report.figures.heldout import (
    draw_ablation,
    draw_across,
    draw_gap,
    draw_scaling,
    draw_words,
)
from xperience.report.provenance import provenance, shown_path
from xperience.report.strict_answer import asked_words, field_table
from xperience.report.tables import readable
from xperience.studies.heldout import folds as across
from xperience.studies.heldout.cohort import open_cohort, tables_in
from xperience.studies.heldout.strict import LINEAR, answer_of, answer_records, strict_rows
from xperience.studies.heldout.variants import compared_rows, fewer_recordings, keep, pooled
from xperience.tasks.catalogue import ALL, TASKS, tasks_of
from xperience.text import as_markdown

# %%
pd.set_option("display.max_colwidth", None)
notebook = "06_heldout_episodes"
folder, pictures = run_folder(run), run_folder(run) / "figures"
manifest, reports = read_manifest(at_root(episodes)), read_reports(folder)
heads = ["linear", "neural"]

# %% [markdown]
# ## Which session is in which split
#
# No session is in two splits. An activity may be; a test recording may also show one that was
# never trained on.

# %%
words.manifest_table(manifest)

# %% [markdown]
# How many labels of the validation and test splits does training ever show? Labels are compared as
# text, and by meaning. Free text hardly repeats word for word.

# %%
overlaps = list(overlap_rows(read_labels(manifest), run, notebook))
overlap_table(overlaps).round(3).fillna("–").rename(index=readable)

# %% [markdown]
# ## Scale
#
# Recordings are worked on in shards: a shard is staged and featurised as one job, and reports what
# became of each of its recordings.

# %%
print(status_text(manifest, reports))

# %% [markdown]
# What would the note's study, and the whole dataset, cost at these rates? Work grows with frames,
# but a frame of a large video costs more than one of a small video. So the cost is expected between
# the two numbers of core-hours; they are further apart the less the recordings here resemble real
# ones.

# %%
rates = read_rates(folder)
known = at_root(sizes) if at_root(sizes).is_file() else None
costs = [cost_of(rates, known, n, frames_per_episode, cores=64) for n in (n_study, n_dataset)]
print("\n\n".join(cost.text for cost in costs))

# %% [markdown]
# ## Work
#
# Features are projected to principal components that are fitted on training recordings alone. A
# head is fitted on the training split, its penalty or number of epochs is chosen on the validation
# split, and then it is refitted on both. The test split is predicted once.

# %%
cohort = open_cohort(manifest, tables_in(folder / "windows"))
rows, predicted = [*overlaps, *across.cohort_rows(cohort, run)], []
for problem, predictions in predict_each(across.cohort_problems(cohort), heads, n_seeds):
    rows += across.heldout_rows(problem, predictions, run)
    predicted.append(across.labels_by_window(problem, predictions))
lost = "; ".join(f"{name}: {why}" for name, why in cohort.lost.items())
Markdown(f"Recordings that could not be opened: {as_markdown(lost) or 'none'}.")

# %% [markdown]
# Sessions are the independent units, so intervals over a few test recordings are wide.
# Cross-validation uses all recordings: in every fold other sessions are the test split, until each
# recording was tested once. Intervals come from a jackknife that leaves out whole sessions.
#
# Both heads run in every fold, on the same inputs. The neural one is the multilayer perceptron of
# section 3, trained from several seeds in every fold: a verdict needs its seeds to agree.
# Reconstruction is scored in units of the SD of each fold's training recordings.

# %%
of_folds = {task.name: [] for task in TASKS}
for fold in across.folds(manifest, n_folds) if n_folds else ():
    problems = across.cohort_problems(cohort.split_as(fold))
    for problem, predictions in predict_each(problems, heads, n_seeds):
        of_folds[problem.task.name].append(across.fold_scores(problem, predictions))
for task in tasks_of("corrected", TASKS) if n_folds else ():
    rows += across.pooled_rows(task, of_folds[task.name], run)
rows = holm([*rows, *cost_rows(costs, run, notebook)])

# %% [markdown]
# ## Are heads better than trivial baselines on unseen recordings?
#
# Each score stands beside the best of several trivial baselines. Tasks whose labels come from
# captions get the sensors alone as input, for captions contain the answer.

# %%
show(draw_across(rows, heads), pictures / "06_across.png")

# %%
for head in heads:
    display(Markdown(f"**{head}**"), words.score_table(rows, head).style.hide(axis="index"))

# %% [markdown]
# The network against the linear head: both predicted the same windows of every recording, so their
# difference is paired, and its interval leaves out whole sessions.

# %%
Markdown(words.rival_words(rows, "neural", "linear"))

# %%
words.rival_table(rows, "neural", "linear").style.hide(axis="index")

# %% [markdown]
# ## The generalisation gap
#
# The same windows, the ends of the test recordings, are predicted twice: by a head trained on the
# beginning of that recording (*within*), and by one trained on other recordings only (*across*).
# Within, a head knows the person and the kitchen, but has little training data and may never have
# seen the actions of the end. Across, it is the other way round. The difference is paired, window
# by window, and its interval leaves out whole sessions. Within, the head is the linear one in both
# tables.

# %%
show(draw_gap(rows), pictures / "06_gap.png")

# %%
for head in heads:
    display(Markdown(f"**{head}**"), words.gap_table(rows, head).style.hide(axis="index"))

# %% [markdown]
# ## Modality ablation
#
# Every task is predicted again from one modality alone, and from all but one. A variant is a list
# of blocks, of which a task keeps those that it is given anyway, so no task gets its own answer.
# The point cloud and the calibration belong to no modality; they stay where one is left out. The
# samples, the target and the linear head stay as they are, so differences are paired.
#
# To save time, heads learn from windows that share no frame (`step`), in some of the folds. All
# test windows count.

# %%
blocks = {"all": ALL}
for name, own in MODALITIES.items():
    blocks[f"only={name}"] = own
    blocks[f"without={name}"] = [block for block in ALL if block not in own]
variants = {f"{ABLATION}{name}": given for name, given in blocks.items()}
again = across.folds(manifest, n_folds) if n_folds else [manifest]
base = {"run": run, "section": notebook}

# %%
of_folds = []
for fold in again[:n_folds_inputs]:
    of_folds.append({})
    part = cohort.split_as(fold)
    for problems in across.problems_given(part, variants, step=4):
        found = ablations("linear", problems, predict_all(list(problems.values())))
        keep(of_folds[-1], found)
ablated = pooled(of_folds)
rows += variant_rows(ablated.values(), base, every=False)
for variant in variants:
    rows += compared_rows(ablated, (variant, FLOOR), base)
    if variant != f"{ABLATION}all":
        rows += compared_rows(ablated, (variant, f"{ABLATION}all"), base)

# %% [markdown]
# A modality that does well alone may add nothing to the others, and one that adds something may do
# poorly alone. Differences are significant after correction for the number of tasks (Holm).

# %%
show(draw_ablation(rows), pictures / "06_ablation.png")

# %% [markdown]
# ## More windows, or more recordings?
#
# Heads learn from more and more recordings, chosen at random, smaller sets within larger ones, and
# are tested on the same held-out recordings. Each number is tried twice: with all windows of the
# recordings, and with as many windows in all as one recording has (of n recordings, every n-th
# window of each). The penalty is chosen on the last quarter of the training windows. If a head
# lacks examples, more windows help; if it lacks other people and kitchens, only other recordings
# do.

# %%
of_folds = []
for number, fold in enumerate(again[:n_folds_sizes]):
    of_folds.append({})
    part = cohort.split_as(fold)
    for problems in fewer_recordings(part, (1, 2, 4, 8, 16), n_draws, seed=number):
        found = ablations("linear", problems, predict_all(list(problems.values())))
        keep(of_folds[-1], found)
scaled = pooled(of_folds)
rows += variant_rows(scaled.values(), base, every=False)
most = f"{SCALING}{words.sizes_in(rows)[-1]}"
for pair in ((most, f"{SCALING}1"), (most + ONE_WORTH, f"{SCALING}1"), (most, most + ONE_WORTH)):
    rows += compared_rows(scaled, pair, base)

# %% tags=["front"]
show(draw_scaling(rows), pictures / "06_scaling.png")

# %% [markdown]
# ## Free-text labels
#
# Every annotator has words of their own: one grabs the pitcher, another lifts the jug. An exact
# match counts them as different. Looser comparisons ask for the same words, the same noun or verb,
# the same meaning, or whether the action belongs to the true subtask. A looser comparison is right
# more often whatever a head knows, so each has its own baseline: the most frequent training label.

# %%
worded = words.word_scores(rows, "linear")
show(draw_words(worded), pictures / "06_words.png")

# %% [markdown]
# ## Strict JSON
#
# A language model is asked for one JSON object about a clip: its fields, and for labels only the
# options that training recordings have. The whole text must parse, and every label must be an
# option; else the answer is wrong in all its fields. For comparison: the most frequent training
# labels, the predictions of the linear heads, and the truth itself, which the options and the
# length of lists limit as well.
#
# The model here is a tiny one of the same architecture with random weights. Under
# grammar-constrained decoding all its answers are valid, and none holds knowledge: validity alone
# proves nothing. `docs/howto/qwen3-omni.md` runs the real model, and notebook 08 scores its
# published answers on real held-out episodes.

# %%
said = across.write_by_window(predictions_path(run, notebook), predicted)
answered_json = answer_records(manifest, said, folder / "cache" / "strict")
strict = list(strict_rows(answered_json, run))
rows += strict
Markdown(words.strict_words(strict))

# %%
words.strict_table(strict).style.hide(axis="index")

# %% [markdown]
# One of these answers in full, about the clip in the middle of all test clips: the linear heads'
# predictions, and how they are scored. A label is a hit if it equals the true one, letter by
# letter; a label that training never showed can't be hit.

# %%
one = answer_of(answered_json, LINEAR)
Markdown(asked_words(one, answered_json.export.options))

# %%
field_table(one, answered_json.export.options).style.hide(axis="index")

# %% [markdown]
# ## Check

# %%
assert all(row.status == "ok" or row.reason for row in rows)
assert all(row.ci_low is None or row.ci_low <= row.value <= row.ci_high for row in rows)
sides = {side: {one.session for one in manifest.on(side)} for side in ("train", "val", "test")}
assert not sides["train"] & sides["test"], "no session in two splits"
assert not sides["train"] & sides["val"], "no session in two splits"
assert {row.task for row in rows} >= {task.name for task in TASKS}, "no task disappears"
tested = {entry.episode for entry in manifest.on("test")}
assert set(said["episode"]) <= tested, "only test recordings are scored"
valid = {row.head: row.value for row in strict if row.metric == "strict_validity"}
assert valid["tiny_model_constrained"] in (None, 1), "a grammar lets nothing else through"

# %% [markdown]
# ## Save

# %%
parameters = {"run": run, "episodes": shown_path(at_root(episodes)), "n_folds": n_folds}
parameters |= {"sizes": shown_path(at_root(sizes)), "frames_per_episode": frames_per_episode}
parameters |= {"n_study": n_study, "n_dataset": n_dataset, "n_seeds": n_seeds}
parameters |= {"n_folds_inputs": n_folds_inputs, "n_folds_sizes": n_folds_sizes}
parameters |= {"n_draws": n_draws}
inputs = [one.table.path for one in cohort.recordings]
write_records(metrics_path(run, notebook), rows, provenance(notebook, parameters, inputs))
