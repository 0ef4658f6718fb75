"""Single steps of a stream, for closed loops: what a call costs beside its kernel is kept to a few microseconds.

A step runs on arrays that stay: what the caller gives is checked and written into them, and the block loop is called with all
its arguments prepared (`compiler/bound_call.py`). What is unusual, or wrong, takes the way of `Simulator.run` to be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..compiler.bound_call import Frame
from ..engine.batch import Divergence, Noise, Trials
from ..engine.engine import Engine
from ..engine.schedule import STREAM
from ..engine.workspace import Workspace
from ..events import InputArrays
from ..losses import ENTROPY, ERROR, NONE, SIGNAL, SQUARED, TargetArrays
from ..rules.tape import Drive, Outcome, Span, Work
from .results import Step


class Call(NamedTuple):
    """A step of the stream, prepared: it may be called again and again."""

    frame: Frame
    space: Workspace
    span: Span  # but for its offset, and whether it ends an interval


class Request(NamedTuple):
    """What a step is to do with what the buffers hold."""

    kind: int  # NONE, SQUARED, ENTROPY, ERROR or SIGNAL: what the target is
    learn: bool
    error: Callable[[np.ndarray], Any] | None = None
    weighted: bool = False  # whether outputs have weights of their own


class Stepper:
    """Buffers and prepared calls of an engine's stream.

    kind : SQUARED or ENTROPY, what the loss takes; able : whether there is a rule and an optimizer
    """

    def __init__(self, engine: Engine, kind: int, able: bool):
        net, dtype = engine.net, engine.dtype
        self.engine, self.loss_kind, self.able = engine, kind, able
        self.n_inputs, self.n_outputs = (net.n_inputs,), net.n_outputs
        events = np.zeros(net.n_inputs, np.int32), np.zeros(net.n_inputs, dtype)
        self.inputs = InputArrays(np.zeros((1, 2), np.int64), *events, steps=np.ones(1, np.int64))
        self.label, self.mask = np.zeros((1, 1), np.int32), np.ones((1, 1), dtype)
        self.weights = np.zeros((0, 0, 0), dtype), np.zeros((1, 1, net.n_outputs), dtype)  # of single outputs: none, or given
        self.limit = float(np.finfo(dtype).max)
        self.values = {kind: np.zeros((1, 1, net.n_outputs), dtype) for kind in (NONE, SQUARED, ENTROPY, ERROR)}
        self.values[SIGNAL] = np.zeros((1, 1, net.n), dtype)
        noisy = engine.arrays.noise.size > 0
        self.noise = np.zeros((1, 1, net.n) if noisy else (0, 0, 0), dtype)
        self.lr = np.zeros(1)
        self.sums = s = np.zeros(3 + net.n_outputs)
        self.outcome = Outcome(
            *(s[0:1], s[1:2], s[2:3], s[3:].reshape(1, -1), np.zeros(4, np.int64)),
            *np.zeros((2, 1, net.n), np.int32),
        )
        self.calls: dict[tuple[int, bool, bool, bool], Call] = {}

    def fill(self, x: Any, target: Any, mask: Any, learn: Any, error: Any, signal: Any) -> Request | None:
        """Write what a caller gives into the buffers, if it is as it mostly is; None where it needs a closer look."""
        if not (type(mask) is float and 0.0 <= mask <= self.limit) or not (learn is None or type(learn) is bool):
            return None
        given = (target is not None) + (error is not None) + (signal is not None)
        if given > 1 or (not (self.able and given) if learn else learn is None and self.able and not given):
            return None
        function, kind = None, NONE
        x = self._plain(x, self.n_inputs)
        if x is None:
            return None
        if error is not None and callable(error):
            kind, function = ERROR, error
        elif target is not None and self.loss_kind == ENTROPY:
            kind = ENTROPY
            if not isinstance(target, (int, np.integer)) or isinstance(target, bool) or not 0 <= target < self.n_outputs:
                return None
            self.label[0, 0] = target
        elif given:
            kind = SIGNAL if signal is not None else SQUARED if error is None else ERROR
            buffer = self.values[kind][0, 0]
            value = self._plain(signal if kind == SIGNAL else target if error is None else error, buffer.shape)
            if value is None:
                return None
            buffer[:] = value
        indptr, channel, values, _ = self.inputs
        active = x.nonzero()[0]
        count = indptr[0, 1] = active.size
        channel[:count] = active
        values[:count] = x[active]
        self.mask[0, 0] = mask
        return Request(kind, self.able and learn is not False and given > 0, function)

    def _plain(self, value: Any, shape: tuple[int, ...]) -> np.ndarray | None:
        """An array of numbers of this shape that are finite in the engine's dtype; None for all else."""
        try:
            array = value if type(value) is np.ndarray else np.asarray(value) if type(value) in (list, tuple) else None
        except (TypeError, ValueError, Warning):
            return None
        if array is None or array.shape != shape or (kind := array.dtype.kind) not in "fiub":
            return None
        # a sum of squares that is finite has no entry that is not, nor one too large; a single pass over a few numbers
        return array if kind != "f" or float(array.dot(array)) <= self.limit else None

    def take(self, batch: Trials, error: Callable[[np.ndarray], Any] | None) -> Request:
        """Write a batch of one step, which has been checked, into the buffers."""
        count = self.inputs.indptr[0, 1] = batch.inputs.channel.size
        self.inputs.channel[:count], self.inputs.value[:count] = batch.inputs.channel, batch.inputs.value
        self.values[batch.targets.kind][:] = batch.targets.value
        self.label[:], self.mask[:] = batch.targets.label, batch.targets.mask
        weighted = batch.targets.weight.size > 0
        if weighted:
            self.weights[1][:] = batch.targets.weight
        return Request(batch.targets.kind, batch.learn, error, weighted)

    def run(self, asked: Request, noise: Noise, offset: int) -> tuple[Step, BaseException | None]:
        """One step on what the buffers hold, and why the caller's error function failed, where it did.

        The network has advanced when that function is asked: where it fails, the step is one that does not learn.
        offset : steps of the stream before it
        """
        key = (asked.kind, asked.learn, asked.error is not None, asked.weighted)
        call = self.calls.get(key)
        if call is None or not self._stands(call):
            batch = self._batch(asked, noise)
            call = self._prepare(batch)
            if call is None:
                return self._piece(batch, offset), None
            self.calls[key] = call
        if self.noise.size:
            noise.generators[0].standard_normal(dtype=self.noise.dtype, out=self.noise[0, 0])
        self.sums.fill(0)
        engine, frame, span = self.engine, call.frame, call.span
        if engine.rewirer is not None:
            engine.rewirer.changes.clear()
            done = int(engine.opt.done[0])
        failure: BaseException | None = None
        update, ends, learnt = span.update, False, False
        if update:
            ends = (offset + 1) % span.interval == 0
            learnt = asked.learn or bool(engine.learnt[0])
            if ends and learnt:
                self.lr[0] = engine.rate()
            if span.quiet:
                update = ends and learnt
                frame.change("update", update)
        frame.change("offset", offset)
        if asked.error is None:
            frame.call()
        else:  # the network first, then the error that the caller's function gives, then what is learnt from it
            for name, before in (("forward", True), ("backward", False), ("learn", False), ("update", False)):
                frame.change(name, before)
            frame.call()
            if not self.outcome.trouble[0]:
                y = call.space.tape.readout[0, 0].copy()
                try:
                    self.values[ERROR][0, 0] = _check.array("error(readout)", asked.error(y), (y.size,), engine.dtype)
                except BaseException as reason:
                    failure = reason
                    self.values[ERROR].fill(0)
                    if span.update:
                        learnt = bool(engine.learnt[0])
                        update = ends and learnt
                quiet = span.quiet or failure is not None
                after = {"forward": False, "backward": True, "learn": span.learn, "update": update, "quiet": quiet}
                for name, value in after.items():
                    frame.change(name, value)
                frame.call()
                frame.change("quiet", span.quiet)
        trouble = self.outcome.trouble
        if trouble[0]:
            trouble[0] = 0
            raise Divergence(None, offset, int(trouble[3]))
        if span.update:
            engine.learnt[0] = learnt and not ends
            if engine.rewirer is not None:
                engine.rewire(done)
        if asked.learn and engine.interval is None and failure is None:
            engine.end_piece()
        return Step(call.space.state.z[0] != 0, call.space.tape.readout[0, 0].copy(), self.sums.item(0)), failure

    def _batch(self, asked: Request, noise: Noise) -> Trials:
        function = asked.error
        return Trials(
            self.inputs,
            TargetArrays(asked.kind, self.values[asked.kind], self.label, self.mask, self.weights[asked.weighted]),
            learn=asked.learn,
            noise=noise,
            error=None if function is None else lambda step, y: function(y),
            variables={},
        )

    def _prepare(self, batch: Trials) -> Call | None:
        """A call that runs this batch, a step of the stream, as `Engine.stream` does.

        None where a piece of one step is more than one call of the block loop.
        """
        engine, batch = self.engine, self.engine.going_on(batch)
        schedule = engine.schedule(batch, streaming=True)
        plan = schedule.plan
        if plan.whole or ((plan.rate_first or plan.window != 1) and not batch.quiet):
            return None
        space = engine.stream_space(1, plan)
        work = Work(space.state, space.tape, self.outcome)
        (span,) = schedule.spans(batch, work)
        drive = Drive(batch.inputs, batch.targets, self.noise)
        learning = engine.learning(space.rule, engine.stream_grad, span, self.lr)
        return Call(Frame(engine.run_block, (engine.model, drive, work, learning, span)), space, span)

    def _stands(self, call: Call) -> bool:
        """Whether a prepared call still runs on the engine's arrays."""
        space = self.engine.workspaces.get(STREAM)
        return space is not None and space.state is call.space.state and space.rule is call.space.rule

    def _piece(self, batch: Trials, offset: int) -> Step:
        """The same as a piece of one step, where each ends an interval of its own."""
        result = self.engine.stream(batch, offset)
        block = result.blocks[0]
        spikes = np.zeros(self.engine.net.n, bool)
        spikes[block.spike_neuron] = True
        return Step(spikes, block.readout[0], float(result.outcome.loss[0]))
