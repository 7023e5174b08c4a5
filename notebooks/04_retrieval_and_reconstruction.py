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
# Do the streams of a recording know of each other? Three tasks ask it without any class labels.
#
# *Reads* the recording in `episode` and its windows tables under both contracts,
# `artifacts/<run>/windows/`.<br>
# *Writes* `artifacts/<run>/metrics/04_retrieval_and_reconstruction.json` and the figures
# `artifacts/<run>/figures/04_*.png`.
#
# **Caption grounding** looks for the window that a caption describes: a head predicts the text
# block from all other blocks, and every true text (the query) ranks the predictions of all test
# windows (the candidates) by their cosine. **Cross-modal retrieval** looks for the depth and video
# that belong to a window's motion and sound: the prediction is the query and the true vectors are
# the candidates. **Reconstruction** uses the very same prediction and asks how close it comes,
# value by value.
#
# Both contracts are shown side by side, with their linear head. `published` compares values in
# their raw units, with a fixed penalty. `corrected` chooses the penalty inside the training part,
# drops training windows that touch test frames, and compares in training deviations.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording
near_frames: int = 20  # an answer whose centre is this near in time is a near miss

# %% [markdown]
# ## Load

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from xperience.evaluation.records import write_records
from xperience.features.blocks import CONTRACTS
from xperience.project import at_root, metrics_path, run_folder
from xperience.report import retrieval
from xperience.report.figures import show
from xperience.report.figures.alignment import draw_place_and_moment, draw_similarity
from xperience.report.figures.hits import draw_hits, draw_query
from xperience.report.figures.rebuilt import draw_rebuilt, draw_weights
from xperience.report.figures.retrieval import draw_ranks, draw_tolerance
from xperience.report.interactive import Choice, explore
from xperience.report.provenance import provenance, shown_path
from xperience.report.section import open_inputs
from xperience.studies.retrieval.rows import Closely, retrieval_rows

# %%
pd.set_option("display.max_colwidth", None)
notebook = "04_retrieval_and_reconstruction"
pictures = run_folder(run) / "figures"
opened = {contract: open_inputs(run, episode, contract) for contract in CONTRACTS}
tables = {contract: table for contract, (_, table) in opened.items()}
recordings = [recording for recording, _ in opened.values()]

# %% [markdown]
# ## Work: answer the tasks, look at the answers
#
# A fit a task and contract, and for the reconstruction one from motion alone and one from sound
# alone. Cross-modal retrieval and the reconstruction share theirs.

# %%
studies = {
    contract: Closely.of(at_root(episode), table, contract) for contract, table in tables.items()
}
rows = [row for study in studies.values() for row in retrieval_rows(study, run, notebook)]
missing = retrieval.why_missing(studies)
missing if len(missing) else Markdown("Every task and input has an answer under both contracts.")

# %% [markdown]
# ## Look
#
# ### How far up the true window stands
#
# A **rank** of one means that the true window came first. The mean reciprocal rank (MRR) rewards
# first places and hardly tells a tenth from a hundredth; the median rank tells what a typical query
# gets. The curves show all of it: how many queries have found their window after looking at the
# first *k* candidates.
#
# **Chance takes some care.** In random order the true window is equally likely to stand anywhere.
# But neighbouring windows are nearly the same, in the query's stream and in the candidates', so
# even unrelated streams give ranks in long runs, some of them lucky. The bands keep those runs:
# they hold the same similarities with queries and candidates shifted against each other in time. A
# retrieval is called better than chance if the whole interval of its MRR is above chance, or,
# where the recording is too short for an interval, if hardly any shifted pairing scores as well.
#
# **Equal candidates share their places.** A caption holds for many windows on end, and no head can
# tell windows of one text apart by it: the dotted line is the best that is left. Under `published`
# tied windows stand in the order of the recording; everything here gives them the mean over all
# orders.
#
# **The nearest window in time is no help here.** All test windows come after the training part, so
# the nearest training window is the same one for all of them. As a query it ranks the candidates in
# one order for all, and every rank occurs once: exactly chance. As a candidate it ties with all
# others, and there is nothing to score.

# %%
show(draw_ranks(studies), pictures / "04_ranks.png")

# %%
retrieval.score_table(rows)

# %% [markdown]
# An interval is left out where the test part is too short for one: blocks of time are drawn
# anew, and a stretch of one recording holds only a few blocks that don't depend on each other.
#
# ### Near in time
#
# Windows overlap, so the neighbour of the true window is nearly the same answer, and a strict rank
# is unfair to a head that misses by a single step. Let every window within a tolerance
# count as a hit, and look at where the first of them ranks. Chance improves as well: the more
# windows count, the sooner a random order meets one.
#
# Where the first answer isn't near, it may still be about the right thing, or it may be minutes
# away. The title says which.

# %%
show(draw_tolerance(studies), pictures / "04_tolerance.png")

# %% [markdown]
# ### The place or the moment?
#
# Whoever recognises the spot where something goes on, from the posture of the head alone, can rank
# all windows of an action before all others and know nothing about the moment within it. In a
# matrix of similarities such **memory of the scene shows as blocks**, and real **alignment shows as
# a diagonal**. The last column shows how much of either the true vectors have among themselves.

# %%
show(draw_similarity(studies), pictures / "04_similarity.png")

# %% [markdown]
# In numbers: of the candidates of the *same* action, what share does the true window beat? That is
# the moment. And of those of *other* actions? That is the place. Half of them is chance for both,
# whatever the number of candidates. Windows that share frames with the true one are left out, since
# nobody should have to beat those.

# %%
show(draw_place_and_moment(studies), pictures / "04_place_and_moment.png")

# %% [markdown]
# ### What a hit looks like
#
# No hand picked these queries. Of all queries whose first answer is the window itself (*hit*), lies
# nearby (*near miss*) or elsewhere (*failure*), each row shows the middle one, ordered by how sure
# the first answer was. Left, the query's own window; then the best answers.

# %%
judged = studies["corrected"].rankings
for task, ranking in judged.items():
    answered = retrieval.read_examples(recordings[0], ranking, near_frames)
    picture = draw_hits(ranking, answered, near_frames)
    show(picture, pictures / f"04_hits_{task}.png")

# %% [markdown]
# Ask it yourself: choose a retrieval and go along its queries.

# %%
if judged:
    explore(
        lambda task, query: draw_query(recordings[0], judged[task], query, near_frames),
        {"task": Choice.among(list(judged)), "query": Choice.along()},
        pictures / "04_query.png",
    )

# %% [markdown]
# ### Which part of a picture can be told from motion and sound
#
# R² compares the squared error of a prediction with that of the test windows' own mean: one is
# perfect, zero is no better than a mean that nobody knows beforehand. Two floors are known
# beforehand: the training windows' mean, and the training window nearest in time. Both often lie
# below zero, because a later part of a recording shows another part of the room.
#
# Read the figure by rows. A *block* is a camera or the depth map. A *statistic* is what the window
# keeps of every value: its level (mean, min, max), how much it varies (std, std of steps), where it
# goes (last − first, and mean step, which is the same number divided by the steps). Moving one's
# head moves the picture, so motion may well tell how much a picture *changes*; what it *shows*
# depends on where one is.

# %%
show(draw_rebuilt(studies), pictures / "04_reconstruction.png")

# %% [markdown]
# ### One R² of many units
#
# An R² over all columns is a mean of the columns' own R² in which each weighs as much as it varies.
# In raw units (`published`) a value in metres outweighs a share of pixels, and a level outweighs a
# step, by the size of their numbers alone. In training deviations (`corrected`) columns weigh
# about the same.

# %%
show(draw_weights(studies), pictures / "04_weights.png")

# %% [markdown]
# So the two contracts' numbers differ for two reasons, the unit and the fit. Scoring each
# contract's predictions in both units tells them apart: read along a row for the unit, and compare
# rows of the same name for the fit.

# %%
retrieval.fit_and_unit(studies).round(3)

# %% [markdown]
# ## Check

# %%
for study in studies.values():
    for ranking in study.rankings.values():
        assert np.abs(ranking.similarity).max() <= 1 + 1e-9
        assert ((ranking.ranks.expected >= 1) & (ranking.ranks.expected <= len(ranking))).all()
        assert ranking.ranks.expected_reciprocal.mean() <= ranking.mrr_ceiling + 1e-9
    for shares in study.rebuilt.spread_shares.values():
        blocks = [share for name, share in shares.items() if name.startswith(("video", "depth"))]
        assert np.isclose(sum(blocks), 1)
    for scores in study.rebuilt.scores.values():
        assert all(one.r2.value is None or one.r2.value <= 1 for one in scores.values())
assert all(row.status == "ok" or row.reason for row in rows)

# %% [markdown]
# ## Save
#
# One row a number, with its interval and floor. Below are the rows of the closer look at the
# retrievals; those of every block, statistic and action lie beside them in the file.

# %%
parameters = {name: globals()[name] for name in ("run", "near_frames")}
parameters |= {"episode": shown_path(episode)}
origin = provenance(notebook, parameters, [table.path for table in tables.values()])
origin |= {"recording": tables["published"].info.sources}
write_records(metrics_path(run, notebook), rows, origin)
for recording in recordings:
    recording.close()
retrieval.closer_table(rows)
