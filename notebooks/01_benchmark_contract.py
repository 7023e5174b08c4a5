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
# # 1. The benchmark contract
#
# What is in one recording, and what do we turn it into before anything is learned from it?
#
# *Reads* the recording in `episode` and its windows table, `artifacts/<run>/windows/`.<br>
# *Writes* `artifacts/<run>/metrics/01_benchmark_contract.json` and the figures
# `artifacts/<run>/figures/01_*.png`.
#
# **An episode** is one person going about one task. The person wears four fisheye cameras, a stereo
# pair, a microphone and an inertial unit; afterwards the hands, the body, the path of the head and
# the depth of the scene were estimated frame by frame, and annotators wrote down who does what
# when. Everything that carries a time is aligned to the video's frames.
#
# **The contract** fixes how an episode becomes the numbers and labels that all later notebooks
# share. Two versions of it live side by side and every score says which one it belongs to:
# `published` repeats the pipeline behind the published results, quirks included, and `corrected`
# mends its flaws.

# %% tags=["parameters"]
run: str = "standin"  # the run's name, its folder under artifacts/
episode: str = "artifacts/standin/episode"  # folder of the recording
contract: str = "published"  # version of the benchmark contract
moment_frame: int | None = None  # frame of the six views; None: a busy one
n_sample_windows: int = 5  # rows of the figure of sample windows

# %% [markdown]
# ## Load

# %%
import pandas as pd
from IPython.display import Markdown, display

from xperience.evaluation.records import records_table, write_records
from xperience.features.blocks import BLOCKS, N_STATS
from xperience.features.windows import MIN_SHARE, STRIDE_FRAMES, WINDOW_FRAMES
from xperience.project import metrics_path, run_folder
from xperience.recording.inspect import inspect_episode
from xperience.report.contract import (
    Timeline,
    contract_rows,
    fault_table,
    stream_table,
    sync_rows,
    sync_table,
)

# %%
from xperience.report.figures import show
from xperience.report.figures.contract import (
    draw_blocks,
    draw_coverage,
    draw_moment,
    draw_samples,
    draw_sync,
    draw_timeline,
)
from xperience.report.interactive import Choice, explore, moments
from xperience.report.moment import busiest_frame
from xperience.report.provenance import provenance, shown_path
from xperience.report.section import open_inputs
from xperience.sync.audit import PAIRS, audit_episode
from xperience.text import as_markdown

# %%
pd.set_option("display.max_colwidth", None)
notebook = "01_benchmark_contract"
recording, table = open_inputs(run, episode, contract)
pictures = run_folder(run) / "figures"
info = table.info
display(
    Markdown(
        f"This recording shows **{as_markdown(info.main_task) or 'a task that nobody named'}**: "
        f"{info.n_frames:,} frames at {info.fps:.3f} frames a second, "
        f"{info.n_frames / info.fps:,.1f} s in all."
    )
)

# %% [markdown]
# ## Work: inspect the recording, count what the contract makes of it
#
# Inspecting reads every estimated stream once, looks at the depth of a few frames, and counts the
# videos' frames without decoding them. Nothing is repaired or silently skipped: each fault gets a
# name, which follows it into the metrics file.

# %%
report = inspect_episode(recording.folder)
rows = contract_rows(run, notebook, table, report)
stream_table(report)

# %% [markdown]
# ## Look
#
# ### Coverage of every stream
#
# A missing value can look like a value: trackers write zeros or NaN when they lose a hand, and a
# video may end early. Each stream with gaps has a strip that shows where it has values; all streams
# without a gap share one.

# %%
show(draw_coverage(recording, report), pictures / "01_coverage.png")

# %%
faults = fault_table(report)
faults if len(faults) else Markdown("The inspection found no fault in any stream.")

# %% [markdown]
# ### Are the streams synchronised?
#
# Every feature that joins two sensors assumes that they are aligned. No label says so, but signals
# can be compared. When the head turns, the gyroscope, the SLAM poses and the picture turn with it.
# When a foot lands or a cup is put down, a microphone should hear it. And a video file's frames
# should come as fast as the device took them.
#
# Each pair of signals is shifted until it fits best, with one offset and one drift for the whole
# recording. **Offset** is how late the first is at the middle of the recording, **drift** how much
# that grows, in parts per million (ppm). The interval comes from resampling segments of the
# recording, and from what no recording resolves: how a head moves between two frames, or where
# between them a foot is heard. *Blind below* is the smallest offset that would be noticed. A pair
# is *synchronised* if it is off by no more than half a frame from start to end. Where a stream is
# missing, silent or still, or the interval is too wide to decide, the audit says so.
#
# For sound the correlation is small: most movements make no noise, and a hand slows down before it
# touches. What counts is how far its peak stands above the same signals paired at the wrong time.

# %%
audit = audit_episode(recording.folder)
rows += sync_rows({"run": run, "section": notebook, "contract": contract}, audit)
show(draw_sync(audit), pictures / "01_sync.png")

# %%
sync_table(audit)

# %% [markdown]
# ### Windows, and the timeline of actions over them
#
# A **window** is a short run of neighbouring frames, and the sample of every task. Windows start at
# regular steps shorter than themselves, so **neighbouring windows share most of their frames**.
# They aren't independent samples, and a random split would put the same frames into training and
# test. That's why the benchmark's main split is *chronological*: the earlier labelled windows
# train, the later ones test.
#
# A chronological cut has a cost. In a recording of one task from start to end, some actions only
# happen after the cut, and no classifier can name a class that it was never trained on.

# %%
display(
    Markdown(
        f"Here a window is {WINDOW_FRAMES} frames ({WINDOW_FRAMES / info.fps:.2f} s), "
        f"one starts every {STRIDE_FRAMES} frames, and neighbours share "
        f"{WINDOW_FRAMES - STRIDE_FRAMES}. A window takes the label of at least "
        f"{MIN_SHARE:.0%} of its labelled frames, or none."
    )
)
show(draw_timeline(table), pictures / "01_timeline.png")

# %%
timeline = Timeline.of(table)
timeline.steps() if timeline.subtasks else Markdown("No window has a step.")

# %% [markdown]
# Two notes on these labels. Annotators leave gaps between actions; the contract fills gaps inside a
# step from the action before and carries the last label on, so a label can last longer than its
# action. And `published` makes its class list from the whole recording, so it knows the test
# labels; `corrected` takes its list from the training part and reports the unseen share.

# %% [markdown]
# ### One moment in all six views
#
# Three kinds of coordinates meet in a frame. **Hands** (21 MANO joints each) are given in the
# reference *camera's* coordinates, the **body** (SMPL-H joints) in *world* coordinates, and a SLAM
# pose leads from one to the other. Each camera has a place on the rig and a lens model, with which
# skeletons and depth points can be drawn into its picture. If they land on the hands and things one
# sees, calibration, poses and estimates agree.
#
# The layout doesn't say which camera the depth map belongs to; it is taken here to be the left
# stereo camera. Nor does it hold the distance between the stereo pair: into the right picture
# something is drawn only if the recording's metadata give that distance, as the stand-in's do.

# %% tags=["front"]
frame = busiest_frame(recording) if moment_frame is None else moment_frame
times = Choice(moments(range(recording.n_frames), info.fps), frame)
explore(lambda at: draw_moment(recording, at), {"at": times}, pictures / "01_moment.png")

# %% [markdown]
# **A quirk that matters.** The `published` hand features subtract the body's root joint from the
# hand joints *as they are stored*: a point in world coordinates from points in camera coordinates.
# The difference depends on where the room's origin lies and on how the head is turned, and is no
# distance between hand and body. `corrected` brings the hands into world coordinates first. In this
# library such a subtraction can't happen by accident: points carry the name of their coordinate
# frame.

# %% [markdown]
# ### The feature blocks
#
# Of every frame, each stream gives a few values: joint positions, colour and edge statistics of a
# tiny copy of the picture, bands of the sound's spectrum, hashed words of the captions. Of every
# value, the window keeps seven statistics: mean, standard deviation, minimum, maximum, last minus
# first, and mean and standard deviation of the steps from frame to frame. Two blocks are *static*,
# one row of numbers for the whole recording: the SLAM map and the calibration.
#
# The layout is fixed. A block whose source is missing stays in its place, empty, with its reason.

# %%
show(draw_blocks(table), pictures / "01_blocks.png")

# %% [markdown]
# Side by side, the blocks make one row of the feature matrix *X*.

# %%
n_columns = sum(block.dim for block in BLOCKS)
n_static = sum(block.dim for block in BLOCKS if not block.per_frame)
display(
    Markdown(
        f"For this recording *X* has {len(table):,} rows and {n_columns:,} columns: "
        f"{n_columns / len(table):.1f} columns for each window, and windows overlap. "
        f"{n_static} of the columns are static: they can tell recordings apart, never two "
        f"windows of one."
    )
)

# %% [markdown]
# ### Sample windows
#
# This is what a head classifies: about a second of pictures, motion and sound.

# %%
samples = draw_samples(recording, table, n_sample_windows)
show(samples, pictures / "01_samples.png")

# %% [markdown]
# ## Check

# %%
values = {(row.metric, row.variant): row for row in rows}
labels = table.labels
assert values["n_frames", None].value == recording.n_frames
assert (labels["end_frame"] - labels["start_frame"] + 1 == WINDOW_FRAMES).all()
assert (labels["start_frame"].diff().dropna() == STRIDE_FRAMES).all()
assert labels["end_frame"].iloc[-1] < recording.n_frames
assert all(block.dim == N_STATS * block.per_frame for block in BLOCKS if block.per_frame)
assert values["feature_dim", None].value == sum(block.dim for block in BLOCKS)
assert all(row.status == "ok" or row.reason for row in rows)
in_rows = [row.variant for row in rows if row.metric == "dim"]
assert in_rows == [block.name for block in BLOCKS]
assert [row.variant for row in rows if row.metric == "clocks_in_step"] == list(PAIRS)

# %% [markdown]
# ## Save
#
# One row per number, with its unit, its status and, where there is no number, the reason. Below are
# the rows of the whole recording; those of streams and blocks are in the same file.

# %%
names = ("run", "contract", "moment_frame", "n_sample_windows")
parameters = {name: globals()[name] for name in names} | {"episode": shown_path(episode)}
origin = provenance(notebook, parameters, [table.path]) | {"recording": info.sources}
write_records(metrics_path(run, notebook), rows, origin)
recording.close()
saved = records_table(rows)[["metric", "variant", "value", "unit", "status", "reason"]]
saved[saved["metric"].ne("coverage") & ~saved["variant"].isin(in_rows)].astype(object).fillna("")
