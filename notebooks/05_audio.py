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
# Each task is predicted again without the sound of its windows, and with other features of it.
#
# *Reads* the recording in `episode` and its windows tables under both contracts,
# `artifacts/<run>/windows/`.<br>
# *Writes* `artifacts/<run>/metrics/05_audio.json` and the figures
# `artifacts/<run>/figures/05_*.png`.
#
# The published note answered with a mean of the gains of all tasks. Here the study is repeated
# under both contracts.
#
# **As published**: one ridge head for every task, six variants of its input, a score each. The
# mean over tasks is shown, and why it says little.
#
# **Corrected**: every task has the head that suits it, its penalty chosen inside the training part,
# which shares no frame with the test part. Every difference has an interval, and is significant
# only after correction for the number of tasks.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording

# %% [markdown]
# ## Load

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.ablation import (
    MIXED_MEAN,
    NET_WINS,
    ablations,
    comparison_rows,
    variant_rows,
)
from xperience.evaluation.predictions import AUDIO_HEADS, audio_head, predict_all
from xperience.evaluation.records import records_table
from xperience.features.blocks import CONTRACTS
from xperience.project import at_root, run_folder
from xperience.report.audio import (
    comparison_table,
    gains,
    kinds_of,
    loudness_table,
    mixed_mean_words,
    most_wins,
    open_sound,
    score_table,
)
from xperience.report.figures import show
from xperience.report.figures.audio import draw_audio_forest, draw_sound, draw_when
from xperience.report.provenance import shown_path
from xperience.report.section import open_inputs, save_section
from xperience.report.tables import Verdict, readable, verdict
from xperience.tasks.audio import OTHER, REST, problems_by_contract, with_sound
from xperience.tasks.catalogue import AUDIO

# %%
pd.set_option("display.max_colwidth", None)
notebook, folder = "05_audio", at_root(episode)
pictures = run_folder(run) / "figures"
opened = {contract: open_inputs(run, episode, contract) for contract in CONTRACTS}
tables = {contract: table for contract, (_, table) in opened.items()}
recordings = [recording for recording, _ in opened.values()]

# %% [markdown]
# ## What there is to hear
#
# The windows table keeps the level, the zero crossings and a coarse spectrum of every frame.
# *Log-mel* keeps finer bands, and *librosa* adds what speech and music research uses: cepstral
# coefficients, spectral shape, onsets.

# %%
sound, silence = open_sound(recordings[0], tables["published"])
picture = draw_sound(tables["published"], sound, silence)
show(picture, pictures / "05_sound.png")

# %% [markdown]
# Sounds that last as long as an action (grinding, pouring) tell *what* is going on, and so does
# video. Short sounds (a cup put down) tell *when* something is touched, which cameras see poorly.
# But what is learnt in the training part helps only where the test part sounds alike, and a
# recording of one procedure rarely repeats itself.
#
# ## Work: predict every task from every variant
#
# A variant is a list of blocks: `REST` is all input of the task except sound, `AUDIO` the
# handcrafted features of the windows table, `other` the alternative audio features (log-mel under
# `published`, librosa's under `corrected`). Only the input changes: the samples, the split, the
# target and the head stay as they are, so scores can be compared sample by sample.

# %%
variants = {
    contract: {
        "all_handcrafted_audio": (REST, *AUDIO),
        "all_except_audio": (REST,),
        "handcrafted_audio_only": AUDIO,
        "replace_handcrafted_with_raw": (REST, other),
        "all_plus_raw_logmel": (REST, *AUDIO, other),
    }
    for contract, other in OTHER.items()
}
variants["published"]["raw_logmel_audio_only"] = (OTHER["published"],)
sound_helps = ("all_handcrafted_audio", "all_except_audio")
other_helps = ("replace_handcrafted_with_raw", "all_handcrafted_audio")

# %%
problems = problems_by_contract(folder, tables)
inputs = {
    contract: {
        (problem.task.name, variant): with_sound(problem, blocks)
        for problem in problems[contract]
        for variant, blocks in variants[contract].items()
    }
    for contract in CONTRACTS
}
found = predict_all([*inputs["published"].values(), *inputs["corrected"].values()], audio_head)
n = len(inputs["published"])
predictions = {"published": found[:n], "corrected": found[n:]}

# %%
rows, compared, base = [], {}, {"run": run, "section": notebook}
for contract, (name, _) in AUDIO_HEADS.items():
    compared[contract] = ablations(name, inputs[contract], predictions[contract])
    rows += variant_rows(compared[contract].values(), base)
    for pair in (sound_helps, other_helps):
        rows += comparison_rows(compared[contract].values(), pair, base)

# %% [markdown]
# Primary scores, `published` first. MAE is an error: less is better. A variant below the best
# trivial baseline does worse than no input at all, and a difference between two such variants
# means little.

# %%
for contract in CONTRACTS:
    display(score_table(rows, contract))

# %% [markdown]
# ## Look
#
# ### The mean over mixed units
#
# The note's summary is a mean of differences of F1, of reciprocal ranks and of errors in units of
# training SD. Each is a fair number on its own, their mean is not: the same difference is large for
# a reciprocal rank near chance and small for an error, and errors in another unit give another
# mean, possibly of the other sign. Every task also counts as one, no matter how few test windows
# decide it.
#
# Below, for sound and then for log-mel in place of the handcrafted features: the tasks of each kind
# of score, their share in the summed size of all gains, their part of the mean, and the factor of
# their unit at which the mean would be zero.

# %%
columns = {"size": "share of the size", "part": "part of the mean", "turning": "factor to zero"}
for pair in (sound_helps, other_helps):
    kinds = kinds_of(gains(rows, pair, "published")).rename(columns=columns)
    shown = kinds.round(4).astype(object).where(kinds.notna(), "–")
    display(Markdown(mixed_mean_words(rows, pair)), shown)

# %% [markdown]
# **A scale without units.** For each test window, which of the two predictions is better: right
# where the other is wrong, nearer, or with the true window ranked higher? The share won minus the
# share lost, *net wins*, means the same for every task, and no task can outweigh the others. It
# says how often sound decides; the gain in the task's own score says by how much. The two can
# differ in sign: many small wins and a few large losses are net wins and a lower score.
#
# ### Which gains are significant
#
# Neighbouring windows overlap and resemble each other, so intervals come from a jackknife over
# contiguous segments of the recording; few segments make wide intervals. Where many tasks are
# compared, some gain appears by chance. So a gain is significant only if its p-value, corrected by
# Holm's method for all tasks of the same comparison, is at most 5 %.

# %% tags=["front"]
show(draw_audio_forest(rows), pictures / "05_forest.png")

# %% [markdown]
# Task by task: the gain in the task's own score with its interval (above zero, sound helps), the
# corrected p-value and the net wins.

# %%
comparison_table(rows, sound_helps)

# %% [markdown]
# ### Other features of the same sound
#
# The same comparison for finer features in place of the handcrafted ones: log-mel under
# `published`, librosa's under `corrected`.

# %%
comparison_table(rows, other_helps)

# %% [markdown]
# ### When sound helps
#
# One mark per test window, for the tasks in which sound matters most: significant ones first, then
# those with the greatest net wins or losses. Runs of one colour are why intervals rest on segments:
# a run is one piece of evidence, not as many as it has windows.

# %%
wins = most_wins(rows, compared["corrected"], sound_helps, 3)
window_db = None if sound is None else sound.window_db
show(draw_when(tables["corrected"], wins, window_db), pictures / "05_when.png")

# %% [markdown]
# Does sound help more where it is loud? Net wins of the louder half of the test windows minus those
# of the quieter half, with the 95 % interval.

# %%
loudness_table([] if sound is None else wins, window_db)

# %% [markdown]
# ## Check

# %%
for contract, tasks in compared.items():
    assert all(set(one.problems) == set(variants[contract]) for one in tasks.values())
for row in rows:
    assert row.status == "ok" or row.reason
    assert row.metric != NET_WINS or abs(row.value) <= 1
    if row.task is None and row.value is not None:
        found = gains(rows, (row.variant, row.against), row.contract)
        better = sum(verdict(one)[0] == Verdict.BETTER for one in found)
        assert row.metric != "tasks_with_claimed_gain" or row.value == better
        mean = np.mean([one.value for one in found])
        assert row.metric != MIXED_MEAN or np.isclose(row.value, mean)

# %% [markdown]
# ## Save
#
# One row per number, with interval, baseline and reason. Below are the rows that sum tasks up;
# those of every task, variant and measure lie beside them in the file.

# %%
parameters = {"run": run, "episode": shown_path(episode)}
display(save_section(notebook, parameters, rows, tables.values()))
for recording in recordings:
    recording.close()
saved = records_table([row for row in rows if row.task is None])
own = ["contract", "variant", "against", "metric", "value", "unit", "status", "reason"]
shown = saved[own].set_index(own[:4]).round(4).astype(object)
shown.where(shown.notna(), "").rename(index=readable)
