"""`Simulator`: a network that runs and learns, on trials, batches and endless streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import _check, guards
from .checkpoint import capture, save
from .compare import describe
from .eligibility import Follower
from .engine import Engine
from .events import encode, is_batch, is_stream, split_piece
from .functional import check_dtype, check_network
from .interrupts import Interrupts
from .job import Job, Noise, Result
from .losses import (
    ERROR,
    SIGNAL,
    CrossEntropy,
    Loss,
    MeanSquaredError,
    RateRegularizer,
    TargetArrays,
    encode_mask,
    encode_targets,
)
from .network import FlatWeights, Network, Weights
from .neurons.base import spec_to_dict as describe_spec
from .optimizers import Optimizer
from .record import record_run
from .recording import Recorder
from .report import Alignment, Pieces, Run, Step, align, report
from .rules import Rule
from .rules.base import check_passive
from .stepping import Stepper
from .training import History, Training, go_on_as_planned, train

RECORDABLE = ("psi", "threshold", "learning_signal")  # besides the hidden state of the neuron model


class Simulator:
    """A network that runs and, given a rule and an optimizer, learns.

    net : Network
    weights : Weights, or None for `net.init_weights(seed)`
    rule, optimizer : as sl.EProp(), sl.Adam(1e-3); without both the network only runs
    loss : MeanSquaredError (default) or CrossEntropy
    regularizer : RateRegularizer or None
    update_every : "trial" (or batch), or a number of steps K: weights are constant in between; 1 is strictly
        online. In a stream, intervals are aligned to its first step and "trial" is a piece
    dtype : "float32" or "float64"
    seed : of the weights, where none are given, and of the background noise
    threads : for batches with update_every="trial"; None: all cores. Results do not depend on it
    passive : rules that do not update but whose gradients are computed on the same trajectory, as [sl.BPTT()]; a
        run's report, the history and a recording say how close they come to the updating rule's (`Alignment`)
    passive_every : updates between two alignments. Where weights change within a trial and in streams, passive
        rules carry their traces at every step, and an alignment comes with the run or piece in which it is due

    `run` on arrays starts each trial from the initial state; `run` on an iterator and `step` continue one
    stream, which only they and `reset` touch.

    Raises ValueError or TypeError that names the parameter.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> net = sl.Network(3, sl.LIF(4), 2)
    >>> sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-2))
    >>> losses = [sim.run(np.ones((10, 3)), np.zeros((10, 2))).loss for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self,
        net: Network,
        weights: Weights | None = None,
        rule: Rule | None = None,
        optimizer: Optimizer | None = None,
        loss: Loss | None = None,
        regularizer: RateRegularizer | None = None,
        update_every: str | int = "trial",
        dtype: Any = "float32",
        seed: int = 0,
        threads: int | None = None,
        passive: Sequence[Rule] = (),
        passive_every: int = 1,
    ):
        self.net = check_network(net)
        self.seed = _check.integer("Simulator.seed", seed, "be a whole number, not negative", low=0)
        for name, value, kind in (
            ("rule", rule, Rule),
            ("optimizer", optimizer, Optimizer),
            ("loss", loss, (MeanSquaredError, CrossEntropy)),
            ("regularizer", regularizer, RateRegularizer),
        ):
            if value is not None and not isinstance(value, kind):
                kinds = kind if isinstance(kind, tuple) else (kind,)
                raise _check.fail(
                    f"Simulator.{name}", "be of class " + " or ".join(k.__name__ for k in kinds), value, error=TypeError
                )
        if optimizer is not None and rule is None:
            raise _check.fail("Simulator.rule", "be a learning rule where there is an optimizer", None)
        if threads is not None:
            threads = _check.integer("Simulator.threads", threads, "be a positive number", low=1)
        self.passive = check_passive(passive, rule is not None and optimizer is not None)
        self.passive_every = _check.integer("Simulator.passive_every", passive_every, "be a positive number of updates", low=1)
        self._aligned = -passive_every  # updates done at the last alignment
        self.rule, self.optimizer, self.regularizer = rule, optimizer, regularizer
        self.loss = loss or MeanSquaredError()
        self.update_every = update_every
        interval = self._interval(update_every)
        self._begins = "seed" if weights is None else "given"  # what the weights are, before anything runs
        self.context: dict[str, Any] = {} if weights is None else {"weights": "given"}  # what else a recording should say
        weights = self.net.init_weights(seed) if weights is None else weights
        self._engine = Engine(
            self.net,
            self.net.check_weights(weights),
            check_dtype("Simulator.dtype", dtype),
            rule,
            optimizer,
            regularizer,
            interval,
            threads,
            self.passive,
        )
        self._stepper = Stepper(self._engine, self.loss.kind, rule is not None and optimizer is not None)
        self.trials_done = 0  # trials or pieces that learnt, or were recorded: the number of the next one
        self._recorder: Recorder | None = None
        self._training: Training | None = None
        self._closes_recorder = False  # whether `train` closes it: `sl.resume` opened it
        self.stream_steps = 0  # of the stream so far
        self._stream_noise = self._noise_stream()
        self._guards = guards.fresh()
        guards.begin(self._guards, self._engine.weights)

    # ---- what a user reads --------------------------------------------------------------------------

    @property
    def weights(self) -> Weights:
        """The current weights: read-only views, always up to date."""
        return self._engine.public_weights()

    @property
    def feedback(self) -> np.ndarray | None:
        """The feedback B [n, n_out], or None where it is w_out itself."""
        flat = self._engine.weights.feedback
        return flat.reshape(self.net.n, self.net.n_outputs).copy() if flat.size else None

    @property
    def recorder(self) -> Recorder | None:
        """The recorder that a run used last; after `sl.resume`, the one that goes on in the same file."""
        return self._recorder

    @property
    def updates_done(self) -> int:
        """Updates of the weights so far."""
        return int(self._engine.opt.done[0])

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._engine.dtype

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the per-neuron variables that a recorder can take."""
        return (*self.net.variables, *(RECORDABLE if self.rule is not None else RECORDABLE[:2]))

    def set_weights(self, weights: Weights) -> None:
        """Replace the weights (the structure of sparse ones must stay); the optimizer's moments remain."""
        self._begins, new = "given", self.net.check_weights(weights)
        for flat, matrix, old in zip(self._engine.weights[:4], new, self._engine.like, strict=True):
            if hasattr(matrix, "indices") and not (
                np.array_equal(matrix.indices, old.indices) and np.array_equal(matrix.indptr, old.indptr)
            ):
                raise _check.fail("Simulator.set_weights", "keep the structure of the sparse matrices", "another structure")
            flat[:] = (matrix.data if hasattr(matrix, "indices") else matrix).reshape(-1)
        guards.begin(self._guards, self._engine.weights)

    def reset(self) -> None:
        """The stream starts anew from the initial state: membranes, traces, spikes in flight. Weights stay."""
        self._engine.forget_stream()
        if self._recorder is not None:
            self._recorder.stream_begins()
        self.stream_steps = 0
        self._stream_noise = self._noise_stream()

    # ---- running ------------------------------------------------------------------------------------

    def run(
        self,
        inputs: Any,
        targets: Any = None,
        mask: Any = None,
        recorder: Recorder | None = None,
        *,
        learn: bool | None = None,
        error: Callable[[int, np.ndarray], Any] | Any = None,
        learning_signal: Any = None,
        first_trial: int | None = None,
    ) -> Run:
        """Run one trial, a batch, or an iterator of pieces without end; learn where there is a rule and an optimizer.

        inputs : [T, n_inputs], [trials, T, n_inputs], `Events`, a list of them; or an iterator of (x, target),
            (x, target, mask) or x, which continues the stream
        targets : [T, n_out] floats, or labels (scalar or [T]) for CrossEntropy; a leading axis for batches
        mask : [T] or [trials, T] time weights
        recorder : `Recorder`
        learn : False to evaluate
        error : instead of targets, err [T, n_out] (or with trials), or a function (step, y [n_out]) -> err [n_out]
        learning_signal : instead of targets, L [T, n] (or with trials), used as it is
        first_trial : number of the first trial in the recording; default: trials run so far

        Raises ValueError or TypeError for bad input before anything runs, Divergence where a state is not finite.
        """
        if is_stream(inputs):
            if targets is not None or mask is not None or learning_signal is not None:
                raise _check.fail("Simulator.run.inputs", "yield (x, target, mask) where it is an iterator", "separate targets")
            return self._run_stream(inputs, recorder, learn, error)
        job = self._job(inputs, targets, mask, learn, error, learning_signal)
        trial = self.trials_done if first_trial is None else first_trial
        job = job._replace(noise=self._trial_noise(job, trial), number=trial)
        if recorder is not None:
            job = self._recorded(job, recorder, trial)
            if recorder.keeping_due:
                self._checkpoint(recorder)
        engine, alignment = self._engine, None
        try:
            if job.learn and engine.interval is not None:
                result = engine.lockstep(job)
                alignment = self._alignment(job.n_trials, engine.total)
            else:
                engine.passive_on[0] = due = self._due()
                result = engine.trials(job)
                if job.learn and self.optimizer is not None:
                    alignment = self._alignment(job.n_trials, engine.grad) if due else None
                    engine.update(job.n_trials)
        except BaseException:
            engine.forget_gradient()
            raise
        if job.learn or recorder is not None:
            self.trials_done = max(self.trials_done, trial + job.n_trials)
        run = self._report(job, result, alignment)
        if recorder is not None:
            self._write(recorder, job, result, run, trial)
            training = self._training
            learning = training is not None and training.can_continue and training.history.status == "running"
            if not learning and recorder.checkpoint_due():  # a training takes its own
                self._checkpoint(recorder)
        return run

    def step(
        self,
        x: Any,
        target: Any = None,
        *,
        mask: float = 1.0,
        learn: bool | None = None,
        error: Any = None,
        learning_signal: Any = None,
    ) -> Step:
        """One step of the stream, for closed loops.

        x : [n_inputs]
        target : [n_out] floats or a label
        mask : weight of this step in the loss
        learn : False: do not learn; None: where there is a target
        error : instead of a target, err [n_out] or a function of the readout y [n_out] that returns it
        learning_signal : instead of a target, L [n], used as it is

        Raises ValueError or TypeError for bad input, Divergence where a state is not finite.
        """
        asked = self._stepper.fill(x, target, mask, learn, error, learning_signal)
        if asked is None:
            job = self._one_step(x, target, mask, learn, error, learning_signal)
            asked = self._stepper.take(job, error if callable(error) else None)
        self._engine.passive_on[0] = True
        step = self._stepper.run(asked, self._stream_noise, self.stream_steps)
        self.stream_steps += 1
        guards.count(self, int(np.count_nonzero(step.spikes)), step.loss)
        return step

    def train(
        self, task: Any = None, trials: int | None = None, batch: int = 1, recorder: Recorder | None = None, **options: Any
    ) -> History:
        """Learn so many trials of a task, `batch` at a time; see `snnlearn.training.train` for the options.

        Without a task, go on with the training that was interrupted to its planned end: in the recording that `sl.resume`
        has opened, which is then closed, or with `recorder` where there is none. The only other option is then `callbacks`.
        The history that comes back is that of the whole training.
        Raises ValueError where there is none to go on with, else as `snnlearn.training.train`.
        """
        if task is None:
            return go_on_as_planned(self, trials, batch, recorder, **options)
        return train(self, task, 0 if trials is None else trials, batch, recorder, **options)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write a checkpoint to a file of its own, from which `sl.resume(path)` goes on exactly.

        overwrite : replace a file that exists, once the new one is whole
        Raises FileExistsError, FileNotFoundError (no such folder), IsADirectoryError, OSError.
        """
        save(self, path, overwrite)

    # ---- parts --------------------------------------------------------------------------------------

    def _run_stream(self, pieces: Iterable[Any], recorder: Recorder | None, learn: bool | None, error: Any) -> Run:
        pieces_done = Pieces()
        safe = recorder is not None and recorder.checkpoints
        with Interrupts(safe) as interrupts:
            try:
                if safe:
                    with interrupts.held():
                        self._checkpoint(recorder)
                for piece in pieces:
                    with interrupts.held():
                        pieces_done.add(self._run_piece(piece, recorder, learn, error))
                        if recorder is not None and recorder.checkpoint_due():
                            self._checkpoint(recorder)
            except KeyboardInterrupt:
                if safe and interrupts.between:
                    self._checkpoint(recorder, wait=True)
                raise
        joined = pieces_done.run()
        if joined is None:
            raise _check.fail("Simulator.run.inputs", "yield at least one piece", "none")
        if safe:
            self._checkpoint(recorder)
        return joined

    def _one_step(self, x: Any, target: Any, mask: Any, learn: bool | None, error: Any, signal: Any) -> Job:
        """The job of one step, everything checked."""
        x = _check.array("Simulator.step.x", x, (self.net.n_inputs,))
        target = target if target is None or isinstance(self.loss, CrossEntropy) else np.asarray(target)[None]
        if error is not None:
            error = (lambda step, y, f=error: f(y)) if callable(error) else np.asarray(error)[None]
        signal = None if signal is None else np.asarray(signal)[None]
        return self._job(x[None], target, np.full(1, mask), learn, error, signal)

    def _run_piece(self, piece: Any, recorder: Recorder | None, learn: bool | None, error: Any) -> Run:
        """The next piece of the stream."""
        x, target, mask = split_piece(piece)
        if is_batch(x):
            raise _check.fail("Simulator.run", "get single pieces [T, n_inputs] from an iterator", np.shape(x))
        job = self._job(x, target, mask, learn, error, None)._replace(noise=self._stream_noise)
        trial, before = self.trials_done, self.stream_steps
        if recorder is not None:
            job = self._recorded(job, recorder, trial, streaming=True)
        self._engine.passive_on[0] = True
        result = self._engine.piece(job, before)
        self.stream_steps += job.n_steps
        self.trials_done += 1
        alignment = self._alignment(1, self._engine.total) if job.learn else None
        run = self._report(job, result, alignment, streaming=True)
        if recorder is not None:
            self._write(recorder, job, result, run, trial, before)
        return run

    def _checkpoint(self, recorder: Recorder | None, wait: bool = False, ends: bool = False) -> None:
        """Write the present state, which is that between two runs, into the recorder's file.

        ends : whether a training ends with it; one that has ended before does not concern the recorder's run
        """
        assert recorder is not None
        if not ends and self._training is not None and self._training.history.status in ("complete", "stopped"):
            self._training = None
        self._open(recorder)
        recorder.checkpoint(*capture(self), wait=wait)

    def _job(self, inputs: Any, targets: Any, mask: Any, learn: bool | None, error: Any, signal: Any) -> Job:
        """Everything checked and in the form of kernels."""
        net, dtype = self.net, self._engine.dtype
        able = self.rule is not None and self.optimizer is not None
        given = sum(value is not None for value in (targets, error, signal))
        if given > 1:
            raise _check.fail("Simulator.run", "get one of targets, error and learning_signal", f"{given} of them")
        if learn and not able:
            raise _check.fail("Simulator", "have a rule and an optimizer to learn", "learn=True without them")
        if learn is None and able and not given:
            hint = "pass learn=False to run without learning"
            raise _check.fail("Simulator.run.targets", "be given where there is a rule and an optimizer", None, hint)
        learns = able and learn is not False and bool(given)
        encoded = encode(inputs, net.n_inputs, dtype)
        trials, n_steps, batch = encoded.indptr.shape[0], encoded.indptr.shape[1] - 1, is_batch(inputs)
        function = error if callable(error) else None
        if given and targets is None:
            width = net.n if signal is not None else net.n_outputs
            shape = (trials, n_steps, width) if batch else (n_steps, width)
            where, values = ("error", error) if signal is None else ("learning_signal", signal)
            value = np.zeros(shape, dtype) if function else _check.array(where, values, shape, dtype)
            kind = ERROR if signal is None else SIGNAL
            label = np.zeros((1, 1), np.int32)
            value = value.reshape(trials, n_steps, width)
            arrays = TargetArrays(kind, value, label, encode_mask(mask, trials, n_steps, dtype))
        else:
            arrays = encode_targets(self.loss, targets, mask, trials, n_steps, net.n_outputs, dtype, batch)
        per_step = np.ndim(targets) == (2 if batch else 1)
        return Job(
            encoded,
            arrays,
            learn=learns,
            error=function,
            labels_per_step=per_step,
            classifies=isinstance(self.loss, CrossEntropy),
        )

    def _interval(self, update_every: Any) -> int | None:
        if isinstance(update_every, str):
            _check.choice("Simulator.update_every", update_every, ("trial",))
            return None
        interval = _check.integer("Simulator.update_every", update_every, "be 'trial' or a positive number of steps", low=1)
        for rule in () if self.rule is None else (self.rule, *self.passive):
            rule.direction(interval, False, False)
        regularizer = self.regularizer
        if regularizer is not None and regularizer.tau is None and regularizer.strength > 0:
            need = "have tau (the online form) where weights change within a trial"
            raise _check.fail("RateRegularizer", need, f"tau=None, update_every={interval}")
        return interval

    def _trial_noise(self, job: Job, trial: int) -> Noise | None:
        if not self._engine.arrays.noise.size:
            return None
        key = 1 if job.learn else 2
        return Noise([np.random.default_rng([self.seed, key, trial + b]) for b in range(job.n_trials)], self.net.n)

    def _noise_stream(self) -> Noise:
        return Noise([np.random.default_rng([self.seed, 3])], self.net.n)

    def _due(self) -> bool:
        """Whether passive rules are due for an alignment."""
        return bool(self.passive) and self.updates_done - self._aligned >= self.passive_every

    def _alignment(self, trials: int, active: FlatWeights) -> Alignment | None:
        """The alignment that is due, if so; clears the passive rules' gradients and, within trials, the updates' sum."""
        if not self._due():
            return None
        engine, self._aligned = self._engine, self.updates_done
        own = engine.gradient(trials, active, clear=active is engine.total)
        others = [engine.gradient(trials, grad) for grad in engine.passive_grads]
        return align(self.updates_done, tuple(map(describe, self.passive)), own, others)

    def _report(self, job: Job, result: Result, alignment: Alignment | None, streaming: bool = False) -> Run:
        """The report of a result; warns where the network is silent, or learns badly."""
        least = guards.SILENT_STEPS if streaming else 2
        guards.watch_silence(self, job.n_steps, bool(result.counts.any()), least, stacklevel=6 if streaming else 5)
        run = report(job, result, self.net.n, self.net.dt, alignment)
        if job.learn or self.optimizer is None:
            guards.watch(self, job, result, run, stacklevel=6 if streaming else 5)
        return run

    def _recorded(self, job: Job, recorder: Recorder, trial: int, streaming: bool = False) -> Job:
        """The job with what the recorder wants; opens its file at first."""
        self._open(recorder)
        selection = recorder.selection(self.net.n, self.variables)
        if self.updates_done == 0:
            recorder.snapshot(0, self.weights)
        wanted = any(recorder.takes(trial + b, streaming) for b in range(job.n_trials))
        if not wanted:
            return job._replace(variables=None)
        takes = lambda b: recorder.takes(trial + b, streaming)  # noqa: E731
        everyone = np.arange(self.net.n)
        variables = {name: None if np.array_equal(index, everyone) else index for name, index in selection.items()}
        chosen = None if recorder.follower is None else recorder.follower.posts
        return job._replace(variables=variables, wanted=takes, chosen=chosen)

    def _open(self, recorder: Recorder) -> None:
        """Open the recorder's file, where this simulator does not record to it already."""
        if not isinstance(recorder, Recorder):
            raise _check.fail("Simulator.run.recorder", "be an sl.Recorder", recorder, error=TypeError)
        net, learns = self.net, self.rule is not None and self.optimizer is not None
        if recorder.wants_norms and (self._engine.interval is not None or not learns):
            got = f"update_every={self.update_every!r}" if learns else "a simulator that does not learn"
            raise _check.fail("Recorder.gradient_norms", "come with update_every='trial' and an optimizer", got)
        if recorder is not self._recorder or not recorder.is_open:
            recorder.open(
                self.config(),
                n_neurons=net.n,
                n_outputs=net.n_outputs,
                dt=net.dt,
                variables=self.variables,
                weights=self.weights,
                model=" and ".join(dict.fromkeys(type(g).__name__ for g in net.neurons)),
                hidden=net.variables,
            )
            self._recorder = recorder
        if recorder.pairs and recorder.follower is None:
            attached = bool(getattr(self.rule, "attached", getattr(self.rule, "reset_gradient", False)))
            recorder.follower = Follower(net, recorder.eligibility or {}, attached, recorder.pairs)
            recorder.follower.restore(recorder.followed)
        self._engine.norms = np.zeros(4) if recorder.wants_norms else None

    def _write(self, recorder: Recorder, job: Job, result: Result, run: Run, trial: int, stream: int | None = None) -> None:
        """Record the blocks, a row for each trial, and the weights where they are due. stream : steps before a piece."""
        norms = self._engine.norms if job.learn else None
        arguments = (trial, self.updates_done, self.net.dt, self.weights, norms, stream)
        record_run(recorder, job, result, run, *arguments)
        recorder.snapshot(self.updates_done, self.weights)
        for kind, message in self._guards["waiting"]:
            recorder.event(kind, message)
        self._guards["waiting"] = []

    def config(self) -> dict[str, Any]:
        """Everything that describes this simulator, as plain values; it stands in every recording."""
        parts = {key: getattr(self, key) for key in ("rule", "optimizer", "loss", "regularizer")}
        described = {key: None if part is None else describe_spec(part) for key, part in parts.items()}
        return {
            "network": self.net.to_dict(),
            **described,
            "passive": [describe_spec(rule) | {"name": describe(rule)} for rule in self.passive],
            "passive_every": self.passive_every,
            "update_every": self.update_every,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "begins": "state" if self.updates_done or self.trials_done or self.stream_steps else self._begins,
            **self.context,
        }
