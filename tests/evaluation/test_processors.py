"""Heads on other instruction sets and threads: the same verdicts, numbers within tolerance.

A network may gain or lose a verdict, never turn it: 45 seconds are few segments, and one of five
seeds may lie next to 0. Verdicts of other heads stay.
"""

import os
import subprocess
import sys

import pytest

from xperience.evaluation.records import Record, read_records
from xperience.evaluation.tolerance import Agreement, Kind, compare_rows, kind_of
from xperience.report.tables import Verdict, verdict

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Threads that wait for work sleep: on a busy machine they would spin ten times as long."""
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Nehalem",
         "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}  # fmt: skip
"""No AVX: neither in torch's own loops, nor in NumPy's BLAS, nor in torch's."""
N_SEEDS = 5
TASKS = ("transition_detection", "hand_trajectory_forecast", "caption_grounding",
         "cross_modal_retrieval", "modality_reconstruction", "temporal_order")  # fmt: skip
"""One of each kind, and the least stable: about 15 CPU seconds a process."""
HEADS_OF = {"published": ("linear",), "corrected": ("linear", "neural", "temporal")}
"""The published network is a parity check: nothing is said of it, so that it is left out."""

SCRIPT = f"""
import sys
from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import predict_heads
from xperience.evaluation.records import write_records
from xperience.features.table import WindowTable
from xperience.tasks.problem import problems_of

episode, folder, out = sys.argv[1:]
rows = []
for contract, heads in {HEADS_OF!r}.items():
    every = problems_of(episode, WindowTable(f"{{folder}}/{{contract}}.parquet"), contract)
    problems = [one for one in every if one.task.name in {TASKS!r}]
    found = predict_heads(problems, heads, {N_SEEDS})
    for problem, predictions in zip(problems, found, strict=True):
        rows += evaluate(problem, predictions, "tried", contract)
write_records(out, rows)
"""


@pytest.fixture(scope="module")
def rows_on(episode, windows, tmp_path_factory):
    """Return a function (threads, variables) that gives the rows of a process of its own."""
    out = tmp_path_factory.mktemp("rows") / "rows.json"

    def run(threads: int, variables: dict[str, str]) -> dict[tuple, Record]:
        more = dict.fromkeys(THREADS, str(threads)) | variables
        folder = windows["published"].parent
        words = [sys.executable, "-c", SCRIPT, episode, folder, out]
        subprocess.run(list(map(str, words)), env=os.environ | more, check=True)
        return {row.key: row for row in read_records(out)}

    return run


@pytest.mark.slow
def test_two_threads_of_another_processor_give_the_same_verdicts(rows_on):
    reference, rows = rows_on(1, {}), rows_on(2, PATIENT | PLAIN)
    assert rows.keys() == reference.keys()
    agreed = {key: compare_rows(reference[key], row) for key, row in rows.items()}
    off = [f"{kind_of(reference[k])} {reference[k]!r}\n{rows[k]!r}" for k, one in agreed.items()
           if one is Agreement.DIFFERENT]  # fmt: skip
    assert not off, "\n".join(off)
    pairs = {key: (verdict(reference[key])[0], verdict(row)[0])
             for key, row in rows.items() if row.against is not None}  # fmt: skip
    apart = {key: pair for key, pair in pairs.items() if pair[0] is not pair[1]}
    assert {Verdict.BETTER, Verdict.WORSE} not in map(set, apart.values()), apart
    assert {kind_of(reference[key]) for key in apart} <= {Kind.NETWORK}
    same = [was for key, (was, now) in pairs.items()
            if was is now and kind_of(reference[key]) is Kind.NETWORK]  # fmt: skip
    assert {Verdict.BETTER, Verdict.WORSE} <= set(same), "networks have verdicts that stay"
