"""What of a simulator's runs goes into a recording: it is opened, asked what it takes, and given what a run has left.

That is a run's blocks, a row for each trial, gradients' norms, the alignment of passive rules, weights where they are due.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _check
from .._interrupts import shielded
from ..engine.batch import Result, Trials
from ..losses import ENTROPY, SQUARED
from ..network.weights import WEIGHT_NAMES
from ..recording.protocol import RunRecorder
from ..recording.reducers import Ended
from ..rules.eligibility import Follower
from .core import Core
from .results import Alignment, Run


def open_recorder(core: Core, recorder: RunRecorder) -> None:
    """Open the recorder's file, where the simulator does not record to it already."""
    if not isinstance(recorder, RunRecorder):
        raise _check.fail("Simulator.run.recorder", "be an sl.Recorder", recorder, error=TypeError)
    net, learns = core.net, core.rule is not None and core.optimizer is not None
    if recorder.wants_norms and (core._engine.interval is not None or not learns):
        got = f"update_every={core.update_every!r}" if learns else "a simulator that does not learn"
        raise _check.fail("Recorder.gradient_norms", "come with update_every='trial' and an optimizer", got)
    if recorder is core._recorder:
        recorder.go_on()
    if recorder is not core._recorder or not recorder.is_open:
        recorder.open(
            core.config(),
            n_neurons=net.n,
            n_outputs=net.n_outputs,
            dt=net.dt,
            variables=core.variables,
            weights=core.weights,
            model=" and ".join(dict.fromkeys(type(g).__name__ for g in net.neurons)),
            hidden=net.variables,
            adaptive=net.adaptive,
        )
        core._recorder = recorder
    if recorder.pairs and recorder.follower is None:
        follows = core.rule is not None and core.rule.follows_reset
        recorder.follower = Follower(net, recorder.options.eligibility or {}, follows, recorder.pairs)
        recorder.follower.restore(recorder.followed)
    core._engine.norms = np.zeros(4) if recorder.wants_norms else None


def ask(core: Core, job: Trials, recorder: RunRecorder, trial: int, streaming: bool = False) -> Trials:
    """The job with what the recorder wants; opens its file at first."""
    open_recorder(core, recorder)
    selection = recorder.selection(core.net.n, core.variables)
    if core.updates_done == 0:
        recorder.snapshot(0, core.weights)
    wanted = any(recorder.takes(trial + b, streaming) for b in range(job.n_trials))
    if not wanted:
        return job._replace(variables=None)
    takes = lambda b: recorder.takes(trial + b, streaming)  # noqa: E731
    everyone = np.arange(core.net.n)
    variables = {name: None if np.array_equal(index, everyone) else index for name, index in selection.items()}
    chosen = None if recorder.follower is None else recorder.follower.posts
    return job._replace(variables=variables, wanted=takes, chosen=chosen)


@shielded
def record_run(
    core: Core, recorder: RunRecorder, job: Trials, result: Result, run: Run, trial: int, stream: int | None = None
) -> None:
    """Append a run to an open recording: blocks, a row for each trial, the weights where they are due, what guards have said.

    trial : number of the job's first trial
    stream : of a piece of a stream, the steps of the stream before it
    """
    _append(core, recorder, job, result, run, trial, stream)
    recorder.snapshot(core.updates_done, core.weights)
    for changes in core._engine.rewirer.changes if core._engine.rewirer is not None else ():
        recorder.rewired(**changes.columns())
    for kind, message in core._guards["waiting"]:
        recorder.event(kind, message)
    core._guards["waiting"] = []


def _append(core: Core, recorder: RunRecorder, job: Trials, result: Result, run: Run, trial: int, stream: int | None) -> None:
    """Blocks, rows of the tables, reducers."""
    updates, dt = core.updates_done, core.net.dt
    norms = core._engine.norms if job.learn else None  # [4] of the gradient of the run's update
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
        inputs = _inputs(job, block) if recorder.options.inputs else None
        recorder.block(number, block.start, *spikes, traces, readout=block.readout, target=target, stream=stream, inputs=inputs)
    columns = {
        "trial": trial + np.arange(job.n_trials),
        "update": np.full(job.n_trials, updates),
        "n_steps": job.inputs.steps.copy(),
        "loss": run.losses,
        "score": run.scores,
        "rate": result.counts.mean(axis=1) / (job.inputs.steps * dt * 1e-3),
    }
    if job.classifies:
        columns |= {"label": np.full(job.n_trials, -1), "prediction": np.full(job.n_trials, -1)}
        if targets.kind == ENTROPY and not job.labels_per_step:
            columns |= {"label": targets.label[:, 0].astype(np.int64), "prediction": run.prediction.argmax(axis=1)}
    recorder.row("trials", **columns)
    if run.alignment is not None:
        recorder.row("alignment", **_alignment_columns(run.alignment))
    if norms is not None and recorder.options.gradient_norms:
        recorder.row(
            "gradient_norms", update=updates, **{f"norm_{name}": x for name, x in zip(WEIGHT_NAMES, norms.tolist(), strict=True)}
        )
    cosine = None if run.alignment is None else run.alignment.cosine
    ended = Ended(run.losses, run.scores, core.weights, norms, cosine, job.all_steps)
    recorder.ended(trial + job.n_trials - 1, updates, ended, stream is not None)


def _inputs(job: Trials, block: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What reached the network in a block: (step, channel, value), arrays [entries]."""
    ptr = job.inputs.indptr[block.trial, block.start : block.start + block.readout.shape[0] + 1]
    step = np.repeat(np.arange(block.start, block.start + ptr.size - 1), np.diff(ptr))
    entries = slice(int(ptr[0]), int(ptr[-1]))
    return step, job.inputs.channel[entries], job.inputs.value[entries]


def _alignment_columns(alignment: Alignment) -> dict[str, np.ndarray]:
    """The alignment as columns of a recording's table: one row a rule, numbered as in the configuration."""
    columns = {"update": np.full(len(alignment.rules), alignment.updates), "rule": np.arange(len(alignment.rules))}
    for m, matrix in enumerate(alignment.matrices):
        columns[f"cosine_{matrix}"] = alignment.cosine[:, m]
        columns[f"norm_ratio_{matrix}"] = alignment.norm_ratio[:, m]
    return columns
