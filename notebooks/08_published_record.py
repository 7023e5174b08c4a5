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
# Do the note's figures follow from what was published with them, and what do they say?
#
# *Reads* the published record in `published` (predictions, labels, features; nothing of it is kept
# here) and the note's figures in `params/published.yaml`.<br>
# *Writes* `artifacts/<run>/metrics/08_published_record.json` and the figures
# `artifacts/<run>/figures/08_*.png`.
#
# All other notebooks work on the run's own recording, by default a simulated one. This one is about
# **the real public sample**: its raw recording can't be passed on, but predictions of its test
# windows, labels of all windows and log-mel features of its sound were published. They are enough
# to recompute a good part of the note, and to ask of the real data what the note didn't.
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
from xperience.report.figures.heads import draw_by_speed
from xperience.report.figures.record import (
    draw_agreement,
    draw_answers,
    draw_differences,
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
# Each published file is taken as the answer of a head to *our* task: the contract's split is drawn
# from the real labels, and a file whose samples or true labels aren't exactly those of our test
# part is refused. So what is checked is not a formula but the whole way from labels through split
# to score. Frame labels were not published; they are rebuilt from the windows' labels and shares,
# and must give back every window's label and every published boundary.
#
# Scores then get what the note left out: the interval that overlapping windows allow, the best
# trivial floor, and, between two heads, the paired difference. The published network was trained
# from one seed and can't be trained again: what is said of it holds for that one. The published
# linear head on pairs of windows *may be unstable*: on simulated recordings the same descent
# predicts otherwise in single precision than in double, so nothing is said of it here.

# %%
scored = part_rows(record, "published_scores", run, notebook)
words.scores_table(scored)

# %% [markdown]
# ### The real sound, heard by our heads
#
# The published audio study fitted ridge heads to log-mel features alone. Those features and all
# labels are in the record, so its rows can be refitted, and asked once more as `corrected` asks:
# purged split, penalty chosen inside the training part, floors, intervals.

# %%
heard = part_rows(record, "real_logmel", run, notebook)
told = note_figures(record, [*scored, *heard])
Markdown(words.agreement_sentence(told))

# %% [markdown]
# ## Look
#
# ### Figure by figure
#
# *exact*: equal after rounding to the decimals that were printed. *within tolerance*: sums of
# float32 numbers that come out on either side of chance. *not recomputable*: the reason says what
# wasn't published; such a figure is never filled in from elsewhere.

# %%
show(draw_agreement(told), pictures / "08_agreement.png")

# %%
words.figures_table(told)

# %% [markdown]
# ### What the scores are worth
#
# A score means little without the score of somebody who knows nothing. The black mark is the best
# trivial baseline of the task: the majority class, a random draw, always the same answer, chance,
# or, for the next action, that the present one persists. The red mark is what a closed set of
# trained classes allows at most.

# %%
show(draw_scores(scored), pictures / "08_scores.png")

# %%
show(draw_differences(scored), pictures / "08_differences.png")

# %%
Markdown(words.beyond_sentences(scored))

# %% [markdown]
# ### One real trajectory, and a forecast of it
#
# Targets of the hand forecast reach further than windows are apart, so neighbouring targets
# overlap, and together they are one trajectory of both hands. That makes a small real data set of
# its own: from the last frames, forecast the next ones, once on a purged chronological split, and
# once with a
# *rolling origin*, each later part forecast from everything before it.
#
# **What rests in these numbers.** A published position is a joint in the *camera's* axes minus the
# body's root in the *world's*. Head motion moves it with the hands at rest, and so does walking.
# "Zero velocity" says that hands don't move relative to the camera while the root doesn't move in
# the room. Neither the camera's path nor the root was published, so this can't be mended here; on
# recordings that have both, `corrected` forecasts hands relative to the body.

# %%
moved = part_rows(record, "real_hands", run, notebook)
Markdown(words.trajectory_sentence(moved))

# %%
shown = draw_hand_forecasts([*scored, *moved])
show(shown, pictures / "08_hand_forecasts.png")

# %%
Markdown(words.forecast_verdict(moved))

# %%
show(draw_by_speed(moved, "stitched_hand_forecast"), pictures / "08_by_speed.png")

# %% [markdown]
# The forecasts, from simple to less so: **damped velocity** goes on as the hands did, slower every
# frame; **ridge shared** is one regression that forecasts any coordinate from its own last steps,
# **ridge joint** one from the last steps of all coordinates; **temporal** is the recurrent head,
# the mean over its seeds; **forecast** is whichever of damped velocity, two autoregressions and a
# small network of gains a rolling origin inside the training part chooses. All choose their
# settings inside the training part.
#
# ### Sound alone
#
# The primary scores of log-mel alone, under both contracts.

# %%
words.logmel_table(heard)

# %% [markdown]
# ### Real answers on held-out episodes
#
# The note leaves its held-out figures open. The record has what they were to be computed from: a
# fine-tuned Qwen3-Omni was asked for one JSON object about windows of episodes that nobody trained
# on, and baselines that see metadata alone predicted some fields of the same windows. Each field
# becomes a problem of several sessions, one an episode, which intervals leave out as a whole; an
# answer without a usable field is wrong in it.
#
# Labels of training windows were not published, so floors come from the test truth: the commonest
# label, labels drawn with its shares, the constant set of objects that fits best. One more
# comparison: the model's own answers *shuffled within each episode* know what an episode is about,
# but not what happens when. What people wrote in their own words hardly repeats: so under
# `corrected` actions are asked by their verb and by their noun.

# %%
answered = holm(part_rows(record, "real_answers", run, notebook))
target = next(one.published for one in told if one.name == "json_validity_target")
show(draw_answers(answered, target), pictures / "08_answers.png")

# %%
words.answers_table(answered)

# %% [markdown]
# How many answers are valid, and how many windows ask for what training never had: an activity, an
# action, a word of one.

# %%
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
# One row per number; the note's own figures stand beside ours as variants `note` and `recomputed`.

# %%
origin = provenance(notebook, {"run": run}, [NOTE]) | {"source": record.note["source"]}
origin["data"] |= record_digests(record)
write_records(metrics_path(run, notebook), rows, origin)
saved = pd.Series([row.contract for row in rows]).value_counts()
display(Markdown(f"{len(rows):,} rows: " + ", ".join(f"{n:,} {k}" for k, n in saved.items()) + "."))
