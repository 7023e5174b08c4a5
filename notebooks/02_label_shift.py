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
# - **Leakage.** Neighbouring windows share frames. If windows are dealt out at random, a test
#   window's neighbours train, and a head may score by recognising the moment instead of the action.
# - **Label shift.** If the recording is cut in time, its end tests. Actions that happen only there
#   were never trained, and no choice among known classes can name them.
#
# This notebook takes the two apart: it asks the same questions on splits that differ in nothing
# else, and sets beside the head some *probes* that sense nothing at all.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording

# %% [markdown]
# ## Load

# %%
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.records import records_table, write_records
from xperience.project import metrics_path, run_folder
from xperience.report import shift as words
from xperience.report.figures import show
from xperience.report.figures.embargo import draw_embargo
from xperience.report.figures.shift import draw_split_scores, draw_splits
from xperience.report.figures.shift_classes import draw_class_times
from xperience.report.inputs import open_inputs
from xperience.report.provenance import provenance, shown_path
from xperience.studies.shift.rows import embargo_rows, shift_rows
from xperience.studies.shift.study import (
    BLOCKS,
    CHRONOLOGICAL,
    LOCAL,
    SPLITS,
    run_embargo,
    run_shift,
)

# %%
pd.set_option("display.max_colwidth", None)
notebook = "02_label_shift"
opened = {contract: open_inputs(run, episode, contract) for contract in SPLITS}
tables = {contract: table for contract, (_, table) in opened.items()}
recording = opened["published"][0]
info, pictures = tables["published"].info, run_folder(run) / "figures"

# %% [markdown]
# ## Work: one question, several splits
#
# The splits:
#
# - **local**: a quarter of each class's windows, drawn singly at random, tests. This is the
#   published all-feature reference's split.
# - **local stretches, purged**: a quarter of each class's windows tests too, but as one unbroken
#   stretch at a random place, and training windows that share a frame with it are left out.
# - **chronological**: the earlier labelled windows train, the later ones test.
# - **chronological, purged**: the same, without training windows that share frames with the test.
#
# `published` features and heads are asked on all four, so that only the split changes.
# `corrected` purges by definition and is asked on the two purged splits; its features may reach
# some windows back in time, so it purges more.
#
# Who answers: the contract's **linear head** on all features; the same head on the **sensors**
# alone, without the words that annotators wrote about objects and hands; the same head on those
# **words** alone; and two probes that know nothing but *when* a window is. One takes the label of
# the **nearest** training window in time, the other lets training windows **vote**, the nearer the
# louder. What they score is no skill at seeing: it is what the split gives away.

# %%
cases = run_shift(recording.folder, tables)
curve = run_embargo(recording.folder, tables["published"])
rows = shift_rows(cases, run, notebook)
curve_rows = embargo_rows(curve, run, notebook)
by_name = {(case.contract, case.task.name, case.split): case for case in cases}
actions = [case for case in cases if case.task.name == "timeline_action"]
published = [case for case in actions if case.contract == "published"]

# %% [markdown]
# ## Look
#
# ### Which windows go where
#
# Each strip is the whole recording; white is unlabelled. On the local split test windows lie singly
# among those that train. A purge takes training windows away wherever the two parts meet: once at a
# single cut, or at both ends of every stretch.

# %%
show(draw_splits(published, info), pictures / "02_splits.png")
display(Markdown(words.leak_text(cases)))

# %%
words.split_table(cases, info.fps)

# %% [markdown]
# ### The classes over time
#
# Each row is a class, drawn where its action happens. An action that happens only after the cut is
# tested on the chronological split without ever having been trained: its name is red.

# %% tags=["front"]
chronological = by_name["published", "timeline_action", CHRONOLOGICAL]
show(draw_class_times(chronological, info), pictures / "02_classes.png")
display(Markdown(words.shift_text(cases)))

# %% [markdown]
# The same with a stretch of every class held out and no frame shared. Now a class that is tested is
# also trained, unless the purge took all of its other windows.

# %%
stretches = by_name["published", "timeline_action", BLOCKS]
show(draw_class_times(stretches, info), pictures / "02_stretches.png")

# %% [markdown]
# ### What the splits are worth
#
# Each panel is a task under a contract. The dotted line is the best trivial baseline, the solid one
# the ceiling that untrained classes impose. A point without a bar has no interval: its score rests
# on too few separate stretches of time to say how sure it is, or all its windows score the same.

# %%
show(draw_split_scores(rows), pictures / "02_scores.png")

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
# Stretches held out and purged share no frame with the training part, and yet time alone can tell
# much about them where a class lies in one place: the nearest training window is then still of the
# same class. A purge takes away copies of a moment, not the order of a recording. What remains can
# only be tested on another recording.
#
# **What the purge changes** on the chronological split, whose published form doesn't ask whether
# the windows on either side of the cut share frames:

# %%
display(Markdown(words.purge_text(rows, cases)))

# %% [markdown]
# ### Seen classes and all classes
#
# A score over all test windows mixes two things: how well known actions are recognised, and how
# many actions were unknown. `corrected` gives both. Its classes come from the training part alone,
# the *open set* is the share of test windows whose class that part lacks, and the score on seen
# classes leaves those windows out. Where only one class is left, there is nothing to tell apart,
# hence no score.

# %%
seen = words.seen_table(rows)
nowhere = "No split under `corrected` tests classes that were trained beside others that were not."
seen if len(seen) else Markdown(nowhere)

# %% [markdown]
# ### A distance between training and test
#
# If a score falls as training windows are moved away from the test windows, is it because they are
# farther, or because there are fewer of them? The crosses answer: the same head, trained on as many
# windows drawn at random from all. Distance takes away whole classes too, where all that is left of
# one lies near its test windows: the dotted line is the ceiling that this leaves.

# %%
show(draw_embargo(curve_rows), pictures / "02_embargo.png")

# %% [markdown]
# ## Check

# %%
assert {(case.contract, case.split) for case in cases} == {
    (contract, split) for contract, splits in SPLITS.items() for split in splits
}
for case in cases:
    if case.problem is not None and case.split not in (LOCAL, CHRONOLOGICAL):
        assert case.leak.overlap_share == 0, "a purged split shares no frame"
    assert len(case.outcomes) == len(case.by_head), "one answer a head"
    assert all(one.answer or one.reason for one in case.outcomes), "an answer or the reason"
assert all(row.status == "ok" or row.reason for row in rows + curve_rows)
assert all(row.ci_low is None or row.ci_low <= row.value <= row.ci_high for row in rows)

# %% [markdown]
# The curve starts where the splits do: its first point of the local split is that split's own
# score, and its point without a shared frame is that of the purged stretches.

# %%
scores = [row for row in rows if row.metric == "macro_f1" and not row.against]
own = {(row.contract, row.task, row.head, row.variant): row.value for row in scores}
first = {(row.head, row.variant): row.value for row in curve_rows if not row.against}
widest = min(point.embargo_frames for point in curve)
for head in ("linear", "time_only", "copy_nearest"):
    same = ("published", "timeline_action", head)
    assert first[head, f"{LOCAL}/embargo={widest}"] == own[*same, LOCAL]
    assert first[head, f"{BLOCKS}/embargo=0"] == own[*same, BLOCKS]

# %% [markdown]
# ## Save
#
# A row's *variant* says which split it is of, and what of it: a baseline, seen classes, one class,
# a distance. Below are the heads' scores on whole splits.

# %%
parameters = {"run": run, "episode": shown_path(episode)}
origin = provenance(notebook, parameters, [table.path for table in tables.values()])
origin |= {"recording": info.sources}
write_records(metrics_path(run, notebook), rows + curve_rows, origin)
for reading, _ in opened.values():
    reading.close()
shown = ["contract", "task", "variant", "head", "value", "ci_low", "ci_high", "floor", "ceiling"]
whole = [r for r in rows if r.metric == "macro_f1" and not r.against and "/" not in r.variant]
records_table(whole)[[*shown, "reason"]].round(3).astype(object).fillna("")
