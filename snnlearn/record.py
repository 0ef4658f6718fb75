"""What of a run goes into a recording: its blocks, a row for each trial, gradients' norms, the alignment of passive rules."""

from __future__ import annotations

import numpy as np

from .interrupts import shielded
from .job import Job, Result
from .losses import ENTROPY, SQUARED
from .network import WEIGHT_NAMES, Weights
from .recording import Recorder
from .recording.reducers import Ended
from .report import Alignment, Run


@shielded
def record_run(
    recorder: Recorder,
    job: Job,
    result: Result,
    run: Run,
    trial: int,
    updates: int,
    dt: float,
    weights: Weights,
    norms: np.ndarray | None,
    stream: int | None = None,
) -> None:
    """Append a run to an open recording.

    trial : number of the job's first trial; updates : of the weights so far; dt : ms
    weights : after the run; norms : [4] of the gradient of its update, where there was one and they are recorded
    stream : of a piece of a stream, the steps of the stream before it
    """
    targets = job.targets
    for block in result.blocks:
        steps = slice(block.start, block.start + block.readout.shape[0])
        target = None
        if targets.kind in (SQUARED, ENTROPY):
            target = (targets.value if targets.kind == SQUARED else targets.label)[block.trial, steps]
        number, traces = trial + block.trial, block.traces
        if job.chosen is not None:
            traces = traces | recorder.follower.block(block, job, number if stream is None else None)
        spikes = (block.spike_step, block.spike_neuron)
        recorder.block(number, block.start, *spikes, traces, block.readout, target, stream=stream)
    columns = {
        "trial": trial + np.arange(job.n_trials),
        "update": np.full(job.n_trials, updates),
        "n_steps": np.full(job.n_trials, job.n_steps),
        "loss": run.losses,
        "score": run.scores,
        "rate": result.counts.mean(axis=1) / (job.n_steps * dt * 1e-3),
    }
    if job.classifies:
        columns |= {"label": np.full(job.n_trials, -1), "prediction": np.full(job.n_trials, -1)}
        if targets.kind == ENTROPY and not job.labels_per_step:
            columns |= {"label": targets.label[:, 0].astype(np.int64), "prediction": run.prediction.argmax(axis=1)}
    recorder.row("trials", **columns)
    if run.alignment is not None:
        recorder.row("alignment", **_alignment_columns(run.alignment))
    if norms is not None and recorder.gradient_norms:
        recorder.row(
            "gradient_norms", update=updates, **{f"norm_{name}": x for name, x in zip(WEIGHT_NAMES, norms.tolist(), strict=True)}
        )
    cosine = None if run.alignment is None else run.alignment.cosine
    ended = Ended(run.losses, run.scores, weights, norms, cosine, job.n_trials * job.n_steps)
    recorder.ended(trial + job.n_trials - 1, updates, ended, stream is not None)


def _alignment_columns(alignment: Alignment) -> dict[str, np.ndarray]:
    """The alignment as columns of a recording's table: one row a rule, numbered as in the configuration."""
    columns = {"update": np.full(len(alignment.rules), alignment.updates), "rule": np.arange(len(alignment.rules))}
    for m, matrix in enumerate(alignment.matrices):
        columns[f"cosine_{matrix}"] = alignment.cosine[:, m]
        columns[f"norm_ratio_{matrix}"] = alignment.norm_ratio[:, m]
    return columns
