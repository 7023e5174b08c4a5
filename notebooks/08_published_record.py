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
# # 8. The published record
#
# Do published numbers follow from what was published with them, and what do they mean? Three groups
# are counted apart: the rows of the note's tables, the numbers in its text, and the scores of
# log-mel alone in the audio study that was published beside it.
#
# *Reads* the published record in `published` (predictions, labels, features; nothing of it is kept
# here) and the note's numbers in `params/published.yaml`.<br>
# *Writes* `artifacts/<run>/metrics/08_published_record.json` and the figures
# `artifacts/<run>/figures/08_*.png`.
#
# All other notebooks work on the run's own recording, by default a simulated one. This one is about
# **the real public sample**: its raw recording can't be redistributed, but predictions of its test
# windows, labels of all windows and log-mel features of its sound were published. They are enough
# to recompute a good part of the note, and to analyse the real data further.
#
# `make record` brings the record. *Without it* the notebook runs all the same: every row is skipped
# with the reason.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
published: str = ""  # folder of the published record; without one, where `make record` puts it

# %% [markdown]
# ## Load

# %%
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.agreement import STATUSES
from xperience.evaluation.records import holm, write_records
from xperience.project import NOTE, metrics_path, run_folder
from xperience.report import record as words
from xperience.report.figures import show
from xperience.report.figures.record import (
    draw_agreement,
    draw_answers,
    draw_hand_forecasts,
    draw_scores,
)
from xperience.report.provenance import provenance
from xperience.report.tables import rows_table
from xperience.studies.record.note import note_figures, note_rows, part_rows
from xperience.studies.record.record import open_record, record_digests

# %%
pd.set_option("display.max_colwidth", None)
notebook = "08_published_record"
record = open_record(published)
pictures = run_folder(run) / "figures"
Markdown(record.absence or f"The record holds {len(record.files())} files of {record.source}.")

# %% [markdown]
# ## Work
#
# ### Published predictions, scored again
#
# Each published file is taken as a head's predictions for *our* task: the contract's split is made
# from the real labels, and a file whose samples or true labels aren't exactly those of our test
# part is refused. So the whole way from labels through split to score is checked. Frame labels were
# not published; they are rebuilt from the windows' labels and shares, and must give back every
# window's label and every published boundary.
#
# Scores then get what the note left out: the interval that overlapping windows allow, the best
# trivial baseline, and, between two heads, the paired difference. The published network was trained
# from one seed and can't be trained again: verdicts hold for that seed. The published linear head
# on pairs of windows *may be unstable*: on simulated recordings the same gradient descent predicts
# differently in single and in double precision, so it is not tested here.

# %%
scored = holm(part_rows(record, "published_scores", run, notebook))
words.scores_table(scored)

# %% [markdown]
# ### Our heads on the real sound
#
# The published audio study fitted ridge heads to log-mel features alone. Those features and all
# labels are in the record, so its rows can be fitted again, as published and under `corrected`:
# purged split, penalty chosen inside the training part, trivial baselines, intervals.

# %%
heard = part_rows(record, "real_logmel", run, notebook)
told = note_figures(record, [*scored, *heard])
Markdown(words.agreement_sentence(told))

# %% [markdown]
# ## Look
#
# ### Number by number
#
# A line for each section of the note, one for the numbers of its text, and one for the audio study.
# *exact*: equal after rounding to the printed decimals. *within tolerance*: the order in which
# float32 numbers are summed decides predictions near chance. *derived*: what was published only
# bounds the number, and it lies within the bounds. *not recomputable*: the reason says what wasn't
# published; such a number is never filled in from elsewhere.

# %%
show(draw_agreement(told), pictures / "08_agreement.png")

# %%
words.figures_table(told)

# %% [markdown]
# ### Scores beside trivial baselines
#
# The black mark is the best trivial baseline of the task: the majority class, a stratified random
# draw, a constant, chance, zero velocity, or, for the next action, the present one. The red mark is
# the best that a closed set of trained classes allows. Object relevance has no baseline: it needs
# labels of training windows, which weren't published.

# %%
show(draw_scores(scored), pictures / "08_scores.png")

# %%
Markdown(words.beyond_sentences(scored))

# %% [markdown]
# ### One real trajectory, and a forecast of it
#
# Targets of the hand forecast reach further than windows are apart, so neighbouring targets
# overlap, and together they are one trajectory of both hands. It is a small real data set: from the
# last frames, forecast the next ones, once on a purged chronological split, and once with a
# *rolling origin*, each later part forecast from everything before it.
#
# **What these errors mix.** A published position is a joint in the *camera's* axes minus the body's
# root in the *world's*. Head motion changes it while the hands are still, and so does walking.
# Neither the camera's path nor the root was published, so this can't be corrected here; on
# recordings that have both, `corrected` forecasts hands relative to the body.

# %%
moved = part_rows(record, "real_hands", run, notebook)
Markdown(words.trajectory_sentence(moved))

# %%
show(draw_hand_forecasts(moved), pictures / "08_hand_forecasts.png")

# %%
Markdown(words.forecast_verdict(moved))

# %% [markdown]
# **Damped velocity** continues the last motion, slower every frame; **ridge shared** is one
# regression that forecasts any coordinate from its own last steps, **ridge joint** one from the
# last steps of all coordinates; **temporal** is the recurrent head, the mean over its seeds;
# **forecast** is the best of damped velocity, two autoregressions and a small gain network, chosen
# by a rolling origin inside the training part. All choose their settings inside the training part.
#
# ### Sound alone
#
# The primary scores of log-mel alone, under both contracts.

# %%
words.logmel_table(heard)

# %% [markdown]
# ### Real answers on held-out episodes
#
# The note prints no held-out scores. The record has what they would be computed from: a fine-tuned
# Qwen3-Omni was asked for one JSON object about windows of held-out episodes, and baselines that
# see metadata alone predicted some fields of the same windows. Each field becomes a problem with
# one group per episode; intervals leave out whole episodes. An answer without a usable field is
# wrong in it.
#
# Labels of training windows were not published, so trivial baselines come from the test labels: the
# most frequent label, labels drawn with its shares, the best constant set of objects. The model's
# own answers *shuffled within each episode* keep what an episode is about and lose what happens
# when. Free-text labels hardly repeat, so under `corrected` actions are scored by verb and by noun.

# %%
answered = holm(part_rows(record, "real_answers", run, notebook))
show(draw_answers(answered), pictures / "08_answers.png")

# %%
words.answers_table(answered)

# %% [markdown]
# The share of valid JSON answers, and of windows whose label training never had: an activity, an
# action, its verb or noun.

# %%
target = next(one.published for one in told if one.name == "json_validity_target")
display(Markdown(f"The note aims at {100 * target:.0f} % valid answers."))
shown = ("lenient_validity", "strict_validity", "open_set_share")
rows_table(row for row in answered if row.metric in shown)

# %% [markdown]
# ## Check

# %%
rows = [*note_rows(record, told, scored + heard, run, notebook), *scored, *heard, *moved, *answered]
rows = holm(rows)
count = {row.metric: row.value for row in rows if row.metric.startswith(("figures_", "report_"))}
assert sum(count[f"figures_{status.replace(' ', '_')}"] for status in STATUSES) == len(told)
assert all(one.reason for one in told if one.recomputed is None)
assert record.absence is None or all(one.recomputed is None for one in told)
assert count.get("report_scores_exact") == count.get("report_scores_recomputed")
assert count["figures_differs"] == 0

# %% [markdown]
# ## Save
#
# One row per number; the note's own stand beside ours as variants `note` and `recomputed`.

# %%
origin = provenance(notebook, {"run": run}, [NOTE]) | {"source": record.note["source"]}
origin["data"] |= record_digests(record)
write_records(metrics_path(run, notebook), rows, origin)
saved = pd.Series([row.contract for row in rows]).value_counts()
display(Markdown(f"{len(rows):,} rows: " + ", ".join(f"{n:,} {k}" for k, n in saved.items()) + "."))
