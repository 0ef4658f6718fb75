"""`Simulator`: a network that runs and learns, on trials, batches and endless streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import _check
from .._interrupts import Interrupts
from ..engine.activity import Learnt
from ..engine.batch import Noise, Result, Trials
from ..events import is_stream, split_piece
from ..losses import CrossEntropy, Loss, MeanSquaredError, RateRegularizer
from ..network.network import Network
from ..network.weights import FlatWeights, Weights
from ..optimizers.optimizers import Optimizer
from ..optimizers.rewiring import DeepR
from ..recording.protocol import RunRecorder
from ..rules import Rule
from ..rules.base import describe
from . import guards, watching
from .closed_loop import Stepper
from .core import Core
from .history import History
from .inputs import make_job, step_job
from .record import ask, open_recorder, record_run
from .results import Alignment, Evaluation, Pieces, Run, Step, align, report
from .setup import Setup
from .state import capture, go_back, save, state_of
from .training import evaluate, go_on, go_on_as_planned, plan_training

MEAN = CrossEntropy(of="mean")
LAST_TRIAL = 2**62


class Simulator(Core):
    """A network that runs and, given a rule and an optimizer, learns.

    net : Network
    weights : Weights, or None for `net.init_weights(seed)`
    rule, optimizer : as sl.EProp(), sl.Adam(1e-3); without both the network only runs; a rule alone is warned of
    loss : MeanSquaredError (default) or CrossEntropy
    regularizer : RateRegularizer or None
    update_every : "trial" (or batch), or a number of steps K: weights are constant in between; 1 is strictly
        online. In a stream, intervals are aligned to its first step and "trial" is a piece
    dtype : "float32" or "float64"
    seed : of the weights, where none are given, and of the background noise
    threads : trials of a batch are dealt to them; None: all cores. Where a number is given, so many threads share the neurons
        of a stream, or of fewer trials than threads: from 1000 neurons on, with e-prop of order 1, RFLO or no rule. They
        wait for each other at every step: give no more than there are idle cores. Results do not depend on it
    passive : rules that do not update but whose gradients are computed on the same trajectory, as [sl.BPTT()]; a
        run's report, the history and a recording say how close they come to the updating rule's (`Alignment`)
    passive_every : updates between two alignments. Where weights change within a trial and in streams, passive
        rules carry their traces at every step, and an alignment comes with the run or piece in which it is due
    rewiring : DeepR(...), by which sparse matrices exchange synapses after updates

    A simulator can be copied, pickled and used in a forked process; the recorder of its last run stays with the original.

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
        rewiring: DeepR | None = None,
    ):
        loss = loss or MeanSquaredError()
        setup = Setup(
            net, rule, optimizer, loss, regularizer, update_every, dtype, seed, threads, passive, passive_every, rewiring
        )
        super().__init__(setup, weights)
        self._stepper = Stepper(self._engine, self.loss.kind, setup.learns)
        watching.watch_parts(self, stacklevel=3)

    def set_weights(self, weights: Weights) -> None:
        """Replace the weights; the optimizer's moments remain.

        The structure of sparse ones must stay; of those that are rewired the number of synapses, and new ones have no moments.
        """
        new = self.net.check_weights(weights)
        values: list[Any] = [matrix.data if hasattr(matrix, "indices") else matrix for matrix in new]
        others = []
        for name, value, matrix, old in zip(Weights._fields, values, new, self._engine.like, strict=True):
            _check.fits(f"weights.{name}", value, self.dtype)
            if hasattr(matrix, "indices") and not (
                np.array_equal(matrix.indices, old.indices) and np.array_equal(matrix.indptr, old.indptr)
            ):
                if self._engine.rewirer is None or not self._engine.rewirer.can_adopt(name, matrix):
                    raise _check.fail("Simulator.set_weights", "keep the structure of the sparse matrices", "another structure")
                others.append((name, matrix))
        for name, matrix in others:
            self._engine.rewirer.adopt(name, matrix)  # type: ignore[union-attr]
        self._begins = "given"
        for flat, value in zip(self._engine.weights[:4], values, strict=True):
            flat[:] = value.reshape(-1)
        guards.begin(self._guards, self._engine.weights)

    def reset(self) -> None:
        """The stream starts anew from the initial state: membranes, traces, spikes in flight. Weights stay."""
        self._engine.forget_stream()
        if self._recorder is not None:
            self._recorder.stream_begins()
        self.stream_steps, self._within = 0, False
        if self._engine.arrays.noise.size:
            self._stream_noise.back_to(self._noise_begins)

    # ---- running ------------------------------------------------------------------------------------

    def run(
        self,
        inputs: Any,
        targets: Any = None,
        mask: Any = None,
        recorder: RunRecorder | None = None,
        *,
        learn: bool | None = None,
        error: Callable[[int, np.ndarray], Any] | Any = None,
        learning_signal: Any = None,
        steps: Any = None,
        first_trial: int | None = None,
    ) -> Run:
        """Run one trial, a batch, or an iterator of pieces without end; learn where there is a rule and an optimizer.

        inputs : [T, n_inputs], `Events` or a scipy.sparse matrix, a list of those or [trials, T, n_inputs]; or an iterator
            of (x, target), (x, target, mask) or x, as tuples or lists, which continues the stream; (x, None) does not learn
        targets : [T, n_out] floats, or labels (scalar or [T]) for CrossEntropy; a leading axis for batches
        mask : [T] time weights, or [T, n_out] for each output (not for CrossEntropy); for batches one of all trials [T], or
            with a leading axis, or a list, in which None is ones. Targets are not looked at where it is 0
        recorder : `Recorder`
        learn : None: learn where there is a rule and an optimizer, for which something to learn from must be given. True: be
            refused where that is not so. False to evaluate; within a stream, membranes and the rule's traces go on, but the
            steps add nothing to the gradient, and an update interval of such steps alone makes no update
        error : instead of targets, err [T, n_out] (or with trials), or a function (step, y [n_out]) -> err [n_out]
        learning_signal : instead of targets, L [T, n] (or with trials), used as it is
        steps : [trials] lengths of the trials of a padded batch; None: all are T steps long. A trial ends after its own steps:
            what the arrays hold of later ones is not simulated, learnt, counted or recorded
        first_trial : number of the first trial in the recording; default: trials run so far

        Raises ValueError or TypeError for bad input before anything runs, Divergence where a state is not finite.
        """
        if is_stream(inputs):
            if targets is not None or mask is not None or learning_signal is not None or steps is not None:
                raise _check.fail("Simulator.run.inputs", "yield (x, target, mask) where it is an iterator", "separate targets")
            return self._run_stream(inputs, recorder, learn, error)
        job = make_job(self, inputs, targets, mask, learn, error, learning_signal, steps)
        trial = self.trials_done
        if first_trial is not None:
            trial = _check.integer("Simulator.run.first_trial", first_trial, "be a whole number, not negative", 0, LAST_TRIAL)
        job = job._replace(noise=self._trial_noise(job, trial), number=trial)
        if recorder is not None:
            job = ask(self, job, recorder, trial)
            if recorder.keeping_due:
                self._checkpoint(recorder)
        engine, alignment, updates = self._engine, None, self.updates_done
        try:
            within = job.learn and engine.interval is not None  # whether weights change within a trial
            engine.passive_on[0] = due = within or self._due()
            result = engine.run(job)
            if within:
                alignment = self._alignment(job.n_trials, engine.total)
            elif job.learn:
                alignment = self._alignment(job.n_trials, engine.grad) if due else None
                engine.update(job.n_trials)
        except BaseException:
            engine.forget_gradient()
            raise
        if job.learn or recorder is not None:
            self.trials_done = max(self.trials_done, trial + job.n_trials)
        run = self._report(job, result, alignment, updates)
        if recorder is not None:
            record_run(self, recorder, job, result, run, trial)
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
        mask: Any = 1.0,
        learn: bool | None = None,
        error: Any = None,
        learning_signal: Any = None,
    ) -> Step:
        """One step of the stream, for closed loops.

        x : [n_inputs]
        target : [n_out] floats or a label
        mask : weight of this step in the loss, or [n_out]
        learn : None: where there is a rule and an optimizer the step learns, and a target, an error or a learning signal must be
            given; else it only runs. True: it must be able to learn. False: a quiet step. Membranes and the rule's traces go
            on, but the step adds nothing to the gradient, and an update interval of such steps alone makes no update
        error : instead of a target, err [n_out] or a function of the readout y [n_out] that returns it; the network has advanced
            when it is asked, so where it fails, the step is done and counts as one that does not learn
        learning_signal : instead of a target, L [n], used as it is

        Raises ValueError or TypeError for bad input, Divergence where a state is not finite.
        """
        if target is not None or self._within:
            self._check_stream(target is not None)
        asked = self._stepper.fill(x, target, mask, learn, error, learning_signal)
        if asked is None:
            job = step_job(self, x, target, mask, learn, error, learning_signal)
            asked = self._stepper.take(job, error if callable(error) else None)
        self._engine.passive_on[0] = True
        step, failure = self._stepper.run(asked, self._stream_noise, self.stream_steps)
        self.stream_steps += 1
        watching.count(self, int(np.count_nonzero(step.spikes)), step.loss)
        if failure is not None:
            raise failure
        return step

    def train(
        self, task: Any = None, trials: int | None = None, batch: int = 1, recorder: RunRecorder | None = None, **options: Any
    ) -> History:
        """Learn so many trials of a task, `batch` at a time; see `snnlearn.simulator.training.plan_training` for the options.

        Without a task, go on with the training that was interrupted to its planned end: in the recording that `sl.resume`
        has opened, which is then closed, or with `recorder` where there is none. The only other option is then `callbacks`.
        The history that comes back is that of the whole training.
        Raises ValueError where there is none to go on with, else as `snnlearn.simulator.training.plan_training`.
        """
        if task is None:
            return go_on_as_planned(self, trials, batch, recorder, **options)
        training, callbacks = plan_training(self, task, trials, batch, **options)
        return go_on(self, training, recorder, callbacks)

    def evaluate(self, task: Any, trials: int | None = None, split: str = "test") -> Evaluation:
        """How well the network does on trials of a task, without learning: loss, score, labels, predictions, ...

        task : as of `train`; split : "test", or another of the task's, as "validation" or "train"
        trials : how many, from the first one on; None: all, or 128 of an endless split

        Raises ValueError or TypeError where the task does not fit the network, or has no such split or not so many trials.

        >>> import snnlearn as sl
        >>> task = sl.tasks.Copy(length=2, n_symbols=2)
        >>> sim = sl.Simulator(sl.Network(task.n_inputs, sl.LIF(10), task.n_outputs), loss=sl.CrossEntropy())
        >>> sim.evaluate(task, trials=4).losses.size
        4
        """
        return evaluate(self, task, trials, split)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write a checkpoint to a file of its own, from which `sl.resume(path)` goes on exactly.

        overwrite : replace a file that exists, once the new one is whole
        Raises FileExistsError, FileNotFoundError (no such folder), IsADirectoryError, OSError.
        """
        save(self, path, overwrite)

    def __getstate__(self) -> dict[str, Any]:
        """For `copy` and `pickle`: the copy goes on as this one would, bit for bit, without its recorder."""
        return state_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        Simulator.__init__(self, **state["arguments"])
        go_back(self, state)

    # ---- parts --------------------------------------------------------------------------------------

    def _run_stream(self, pieces: Iterable[Any], recorder: RunRecorder | None, learn: bool | None, error: Any) -> Run:
        pieces_done = Pieces()
        safe = recorder if recorder is not None and recorder.checkpoints else None
        with Interrupts(safe is not None) as interrupts:
            try:
                if safe is not None and not safe.waits:
                    with interrupts.held():
                        self._checkpoint(safe)
                for piece in pieces:
                    with interrupts.held():
                        if safe is not None and safe.waits:
                            self._checkpoint(safe)
                        pieces_done.add(self._run_piece(piece, recorder, learn, error))
                        if recorder is not None and recorder.checkpoint_due():
                            self._checkpoint(recorder)
            except KeyboardInterrupt:
                if safe is not None and interrupts.between and not safe.waits:
                    self._checkpoint(safe, wait=True)
                raise
        if safe is not None and not safe.waits:
            self._checkpoint(safe)
        return pieces_done.run(self.net.n_outputs)

    def _run_piece(self, piece: Any, recorder: RunRecorder | None, learn: bool | None, error: Any) -> Run:
        """The next piece of the stream."""
        x, target, mask = split_piece(piece)
        self._check_stream(target is not None)
        if piece is not x and target is None and error is None and learn is None:
            learn = False  # (x, None): said not to learn
        job = make_job(self, x, target, mask, learn, error, None, single=True)._replace(noise=self._stream_noise)
        self._engine.check_stream(job)
        trial, before, updates = self.trials_done, self.stream_steps, self.updates_done
        if recorder is not None:
            job = ask(self, job, recorder, trial, streaming=True)
        self._engine.passive_on[0] = True
        self._within = True
        result = self._engine.stream(job, before)
        self._within = False
        self.stream_steps += job.n_steps
        self.trials_done += 1
        alignment = self._alignment(1, self._engine.total) if job.learn else None
        run = self._report(job, result, alignment, updates, streaming=True)
        if recorder is not None:
            record_run(self, recorder, job, result, run, trial, before)
        return run

    def _check_stream(self, taught: bool) -> None:
        """Raise ValueError where a piece was left before its end, or the loss of what is taught is that of whole trials."""
        if self._within:
            hint = "reset() begins a new one, sl.resume goes on from a checkpoint"
            raise _check.fail("Simulator", "be between two pieces of its stream", "an error ended the last one within it", hint)
        if taught and self.loss == MEAN:
            raise _check.fail(
                "CrossEntropy", "have of='steps' in a stream: the mean readout is that of a whole trial", "of='mean'"
            )

    def _checkpoint(self, recorder: RunRecorder | None, wait: bool = False, ends: bool = False) -> None:
        """Write the present state, which is that between two runs, into the recorder's file.

        ends : whether a training ends with it; one that has ended before does not concern the recorder's run
        """
        assert recorder is not None
        if not ends and self._training is not None and self._training.history.status in ("complete", "stopped"):
            self._training = None
        open_recorder(self, recorder)
        recorder.checkpoint(*capture(self), wait=wait)

    def _trial_noise(self, job: Trials, trial: int) -> Noise | None:
        if not self._engine.arrays.noise.size:
            return None
        key = 1 if job.learn else 2
        return Noise([np.random.default_rng([self.seed, key, trial + b]) for b in range(job.n_trials)], self.net.n)

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

    def _report(self, job: Trials, result: Result, alignment: Alignment | None, before: int, streaming: bool = False) -> Run:
        """The report of a result; warns where the network is silent, or learns badly. before : updates until then"""
        least = guards.SILENT_STEPS if streaming else 2
        watching.watch_silence(self, job.n_steps, bool(result.counts.any()), least, stacklevel=6 if streaming else 5)
        learnt = None
        if job.learn and not job.quiet:
            learnt = Learnt(self.updates_done - before, self.rule, self.optimizer, self._engine.interval, streaming)
        run = report(job, result, self.net, alignment, learnt)
        if job.learn or self.optimizer is None:
            watching.watch(self, job, result, run, stacklevel=6 if streaming else 5, streaming=streaming)
        return run
