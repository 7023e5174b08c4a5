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
# # 5. Does sound help?
#
# Each task is asked again without the sound of its windows, and with another account of it.
#
# *Reads* the recording in `episode` and its windows tables under both contracts,
# `artifacts/<run>/windows/`.<br>
# *Writes* `artifacts/<run>/metrics/05_audio.json` and the figures
# `artifacts/<run>/figures/05_*.png`.
#
# The published note asked this question and answered with a mean: the gains of all tasks, added up
# and divided. Here the study is repeated twice.
#
# **As published**: one ridge head for every task, six variants of its input, a score each. The
# mean over tasks is shown, and why it is no answer.
#
# **Corrected**: every task has the head that suits it, its penalty chosen inside the training part,
# which holds no window that touches a test frame. Every difference gets an interval, and nothing is
# claimed before it has been corrected for the number of tasks that were looked at.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording

# %% [markdown]
# ## Load

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.records import records_table, write_records
from xperience.features.blocks import CONTRACTS
from xperience.project import at_root, metrics_path, run_folder

# %%
from xperience.report.audio import (
    OTHER,
    SOUND,
    claim_sentences,
    looks_table,
    mean_sentences,
    moments_sentences,
    open_sound,
    score_table,
)
from xperience.report.figures import show
from xperience.report.figures.audio import draw_audio_forest, draw_mixed_mean
from xperience.report.figures.audio_time import draw_sound, draw_when
from xperience.report.inputs import open_inputs
from xperience.report.provenance import provenance, shown_path
from xperience.studies.audio.looks import Heard
from xperience.studies.audio.mean import MixedMean
from xperience.studies.audio.moments import telling
from xperience.studies.audio.rows import MIXED_MEAN, heard_rows

# %%
from xperience.studies.audio.study import run_audio
from xperience.studies.audio.variants import STUDIED

# %%
pd.set_option("display.max_colwidth", None)
notebook = "05_audio"
pictures = run_folder(run) / "figures"
opened = {contract: open_inputs(run, episode, contract) for contract in CONTRACTS}
tables = {contract: table for contract, (_, table) in opened.items()}
recordings = [recording for recording, _ in opened.values()]

# %% [markdown]
# ## What there is to hear
#
# Before asking what a head makes of the sound, look at it. The windows table keeps the level, the
# zero crossings and a coarse spectrum of every frame. *Log-mel* keeps finer bands, and *librosa*
# adds what speech and music research uses: cepstral coefficients, spectral shape, onsets.

# %%
sound, silence = open_sound(recordings[0], tables["published"])
picture = draw_sound(tables["published"], sound, silence)
show(picture, pictures / "05_sound.png")

# %% [markdown]
# Sounds that last as long as an action (grinding, pouring) tell *what* is going on, and so do
# pictures. Sounds that last for a moment (a cup put down) tell *when* something is touched, which
# cameras see poorly. But what is learned in the training part helps only where the test part sounds
# alike, and a recording of one procedure rarely repeats itself.
#
# ## Work: answer every task with every variant
#
# A variant changes the input and nothing else: the samples, the split, the target and the head stay
# as they are, so scores can be compared sample by sample.

# %%
folder = at_root(episode)
studies = {
    name: Heard.of(run_audio(folder, table, contract=name, variants=STUDIED[name]), name)
    for name, table in tables.items()
}
rows = [row for study in studies.values() for row in heard_rows(study, run, notebook)]

# %% [markdown]
# Primary scores, `published` first. MAE is an error: less is better. A variant that doesn't even
# reach the best floor knows less than somebody who didn't look or listen at all, and a difference
# between two such variants is hardly worth an explanation.

# %%
for study in studies.values():
    display(score_table(study))

# %% [markdown]
# ## Look
#
# ### The mean over mixed units
#
# The note's summary is a mean of differences of F1, of reciprocal ranks and of errors in training
# deviations. Each is a fair number on its own. Added up they are not: a difference of one hundredth
# is a lot for a reciprocal rank of chance and nothing for an error, and whoever writes errors in
# another unit gets another mean, possibly of the other sign. Every task also counts as one, no
# matter how few test windows decide it.

# %%
question = studies["published"].looks[SOUND]
show(draw_mixed_mean(question), pictures / "05_mixed_mean.png")

# %%
display(Markdown(mean_sentences(question)))
display(Markdown(f"*Log-mel instead:* {mean_sentences(studies['published'].looks[OTHER])}"))

# %% [markdown]
# **A scale without units.** Compare the two answers to each test window and count: which one is
# right where the other is wrong, nearer, or ranks the true window higher? The share won minus the
# share lost, *net wins*, means the same for every task, and no task can outweigh the others. It
# says how often sound decides, not by how much; for that there is the gain in the task's own score.
#
# Note that the two can differ in sign. Many small wins and a few large losses are net wins and a
# lower score.
#
# ### What may be claimed
#
# Neighbouring windows overlap and resemble each other, so intervals come from resampling blocks of
# time. Where the difference rests on a few stretches of the recording, no interval can be
# trusted, and none is given: a hollow mark is an answer as well. And who looks at many tasks finds
# something in one of them by luck: a gain is claimed only if its interval leaves out zero *and* its
# p-value, corrected by Holm's method for all looks of the same question, is small.

# %% tags=["front"]
show(draw_audio_forest(studies), pictures / "05_forest.png")

# %%
Markdown(claim_sentences(studies, SOUND))

# %% [markdown]
# Task by task: the gain in the task's own score with its interval (above zero, sound helps), the
# corrected p-value and the net wins. Why an interval is left out stands in the metrics file; *no
# difference* means that no test sample scores differently, so there is nothing to resample.

# %%
looks_table(studies, SOUND)

# %% [markdown]
# ### Another account of the same sound
#
# Would a finer account do better than the handcrafted one? The same question, asked the same way:
# log-mel under `published`, librosa's features under `corrected`, in place of the handcrafted ones.

# %%
display(Markdown(claim_sentences(studies, OTHER)))
looks_table(studies, OTHER)

# %% [markdown]
# ### When sound helps
#
# One mark a test sample, for the tasks in which sound matters most: claimed ones first, then those
# with the greatest net wins or losses. Runs of one colour are what blocks of time are for: a run is
# one piece of luck or insight, not as many as it has windows.

# %%
moments = telling(studies["corrected"].looks[SOUND], 3)
window_db = None if sound is None else sound.window_db
when = draw_when(tables["corrected"], moments, window_db)
show(when, pictures / "05_when.png")

# %%
Markdown(moments_sentences(moments, window_db))

# %% [markdown]
# ## Check

# %%
primary = sum(len(contest.outcomes) for contest in studies["published"].contests.values())
assert primary == len(STUDIED["published"]) * len(studies["published"].contests)
means = [row for row in rows if row.metric == MIXED_MEAN]
assert {row.contract for row in means} == {"published"}
for row in means:
    mixed = MixedMean.of(studies["published"].looks[row.variant, row.against])
    assert row.value is None or np.isclose(sum(mixed.part.values()), row.value)
for study in studies.values():
    for look in (one for looks in study.looks.values() for one in looks.values()):
        assert look.effect is None or abs(look.effect.net_wins.estimate) <= 1
        assert not look.claimed or look.effect.gain.excludes_zero
assert all(row.status == "ok" or row.reason for row in rows)

# %% [markdown]
# ## Save
#
# One row a number, with interval, floor and reason. Below are the rows that sum tasks up; those of
# every task, variant and measure lie beside them in the file.

# %%
origin = provenance(
    notebook,
    {"run": run, "episode": shown_path(episode)},
    [table.path for table in tables.values()],
)
origin |= {"recording": tables["published"].info.sources}
write_records(metrics_path(run, notebook), rows, origin)
for recording in recordings:
    recording.close()
saved = records_table([row for row in rows if row.task is None])
own = ["contract", "variant", "against", "metric", "value", "unit", "status", "reason"]
shown = saved[own].set_index(own[:4]).round(4).astype(object)
shown.where(shown.notna(), "")
