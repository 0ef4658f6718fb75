"""What goes wrong while a network learns, told once each, with the likely remedy.

After every run (batch, piece) a simulator asks `watch`, which sees what the run has anyway: loss, spike counts, summed
readouts; and at the runs 1, 2, 4, 8, 16, 32, 48, ... the norms of the weights and of the gradient, and what a stream's rule
carries. Updates within runs measure their gradient themselves: the first, then ever more seldom down to one in 4000 steps, or
always where they clip it. A closed loop counts its spikes and losses, and `watch_steps` looks at all of that every 1000 steps, as
at a run. What is remembered are a few numbers, which stand in checkpoints, so that a run that goes on says what an uninterrupted
one says.

    silent network        no spike in a batch, or in 1000 steps of a stream
    saturated network     nearly all neurons fire as often as their refractory period allows, for 1000 steps
    exploding gradient    |gradient| |weights| is 10^5 x the loss (of zero outputs or of the first run, where that is larger) of
                          the steps that it is the gradient of. That many percent would the loss change with one percent of
                          the weights: about 100 in networks that learn, 10^7 and far more where rules follow recurrent paths
                          that amplify
    exploding traces      in a stream, the largest number that the rule carries x a typical weight is 10^5, where membranes are of
                          order 1. It comes before the gradient where errors are rare
    not finite            the loss, the gradient, a trace or a weight is infinite or not a number
    loss rises            the mean loss of 10 runs is 10 x the lowest and 3 x the first
    weights blow up       the norm of all weights is 100 x what it was at first, after two runs or more
    no change             a matrix that learns has not changed for 32 runs: its gradient is zero, or the step too small
    far readout           the first loss of a regression is 1000 x the variance of its targets
    dead readout          an output has been exactly zero for 32 runs, though neurons spike
    no optimizer          there is a rule, and nothing that learns by it
    one class             the same class for all trials of 50 runs, 500 trials at least, though labels differ

A state that is not finite ends the run at once: `Divergence`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..engine.batch import Result, Trials
from ..losses import ENTROPY, SIGNAL, SQUARED
from ..network.network import WEIGHT_NAMES, FlatWeights, norm
from .results import Run

SATURATED_STEPS = 1000
SATURATED = 0.9  # of the highest rate
NEARLY_ALL = 0.9  # neurons
EVERY = 16  # runs between two looks at the weights
STILL = 32  # runs
WINDOW = 10  # runs over which losses are averaged
RISE, ABOVE_FIRST = 10.0, 3.0
GROWTH = 100.0
EXPLODED, FEW = 1e5, 100  # for so many neurons; the norms of weights and gradient both grow as the root of their number
FAR = 1e3
STEPS = 1000  # of a closed loop between two looks
SILENT_STEPS = 1000  # of a stream without a spike
SAME_RUNS, SAME_TRIALS = 50, 500


class RunWarning(UserWarning):
    """A run learns badly, and why it may; see `snnlearn.simulator.guards`."""


class SilentNetworkWarning(RunWarning):
    """No neuron spiked in a run."""


class Finding(NamedTuple):
    """What a guard tells."""

    kind: str
    message: str


REMEDIES = {
    "silent network": "scale w_in up (init_weights(gain=...)), lower the threshold, or add a background current",
    "saturated network": "scale the weights down (init_weights(gain=...)), raise the threshold, or add a RateRegularizer",
    "not finite": "lower the learning rate, set clip_norm or bounds of the optimizer, or check targets and mask",
    "exploding gradient": "scale w_rec down, set clip_norm, or take a rule that follows fewer recurrent paths, as EProp",
    "exploding traces": "scale w_rec and beta down, or take a rule that follows fewer recurrent paths, as EProp",
    "loss rises": "lower the learning rate, let it decay (ExponentialDecay), or set clip_norm",
    "weights blow up": "lower the learning rate, or set clip_norm or bounds of the optimizer",
    "no change": "membranes may be too far from the threshold for the surrogate, the mask zero, or the learning rate too small",
    "far readout": "set Readout(normalize_input=True), scale w_out down, or bring the targets to mean 0 and variance 1",
    "dead readout": "its weights are zero or come from silent neurons only; draw w_out anew, or check that it is not frozen",
    "no optimizer": "give one, as optimizer=sl.Adam(1e-3), or leave the rule out",
    "one class": "raise the learning rate, check that labels and inputs belong together, or balance the classes",
}


def fresh() -> dict[str, Any]:
    """What the guards of a new simulator remember: JSON values, by name. See `look`."""
    counters = {"runs": 0, "silent": 0, "saturated": 0, "steps": 0, "spikes": 0, "updates": 0, "loss": 0.0, "taught": 0}
    return {"told": [], "waiting": [], **counters, "losses": [], "first": None, "lowest": None}


def begin(state: dict[str, Any], weights: FlatWeights) -> None:
    """Take weights that did not come from learning: the first ones, and those that a user has put in their place."""
    total = math.hypot(*(norm(w) for w in weights[:3]))
    state |= {"first_norm": total, "since": {}, "scale": 0.0}


class Weighing(NamedTuple):
    """The weights after a run, and what can be expected of them."""

    flat: FlatWeights
    learns: np.ndarray  # bool [4], matrices that learn at present
    updates: int  # so far
    gradient: float | None = None  # norm of the gradient of the last update, where it was taken
    interval: int | None = None  # steps of which it is the gradient, where weights change within a run
    trace: float = 0.0  # the largest that a stream carries, where it was looked for


def is_due(run: int) -> bool:
    """Whether norms are taken at this run that learns, 1, 2, 3, ..."""
    return run % EVERY == 0 or (run < EVERY and run & (run - 1) == 0)


def look(state: dict[str, Any], job: Trials, result: Result, run: Run, weights: Weighing, n_ref: np.ndarray) -> list[Finding]:
    """What is new after a run; `state` is brought up to date, in place.

    n_ref : [n] or number, blocked steps after a spike
    """
    most = job.all_steps / (1.0 + n_ref)
    full = np.count_nonzero(result.counts.sum(axis=0) >= SATURATED * most) / result.counts.shape[1]
    found = [saturation(state, job.n_steps, full >= NEARLY_ALL, f"{100 * full:.0f} % of the neurons", n_ref)]
    if job.learn:
        state["runs"] += 1
        found += [_loss(state, run.loss), _gradient(state, job, run, weights, result.counts.shape[1])]
        found.append(exploding_traces(state, weights))
        found += look_at_weights(state, weights, bool(result.counts.any()) and run.loss > 0)
        found += [_readout(state, job, result, run), _class(state, job, run)]
    return new(state, found)


def new(state: dict[str, Any], found: list[tuple[str, str] | None]) -> list[Finding]:
    """What has not been told."""
    unique: dict[str, str] = {}
    for kind, text in filter(None, found):
        if kind not in state["told"]:
            unique.setdefault(kind, f"Simulator: {text}; {REMEDIES[kind]}")
    state["told"] += unique
    return [Finding(*item) for item in unique.items()]


def saturation(state: dict[str, Any], steps: int, full: bool, who: str, n_ref: np.ndarray) -> tuple[str, str] | None:
    state["saturated"] = state["saturated"] + steps if full else 0
    if state["saturated"] < SATURATED_STEPS:
        return None
    what = "fire as often as their refractory period allows" if np.any(n_ref > 0) else "fire at every step"
    return "saturated network", f"{who} {what}, in the last {state['saturated']} steps"


def share_taught(interval: int | None, steps: int, taught: int) -> float:
    """The part of the loss of so many steps, of which so many have an error, that an update within them may be about."""
    if interval is None or taught == 0:
        return 1.0
    return min(interval, taught) / taught * max(1.0, interval / steps)


def _gradient(state: dict[str, Any], job: Trials, run: Run, weights: Weighing, neurons: int) -> tuple[str, str] | None:
    """Whether the gradient that was measured in this run, if one was, is too large."""
    if weights.gradient is None:
        return None
    if job.targets.kind not in (ENTROPY, SQUARED):
        return explosion(state, weights.gradient, 0.0, 0.0, neurons)
    taught = 0 if weights.interval is None else int(np.count_nonzero(job.targets.mask, axis=1).max())
    share = share_taught(weights.interval, job.n_steps, taught)
    # about the loss of outputs that are zero: as a regression is learnt, its gradient falls as the root of its loss
    zero = run.loss / run.nmse if run.nmse > 0 else 0.0
    return explosion(state, weights.gradient, share * (run.loss + run.regularization), share * zero, neurons)


def explosion(state: dict[str, Any], norm: float | None, loss: float, zero: float, neurons: int) -> tuple[str, str] | None:
    """norm : of a gradient; loss : what it is the gradient of, 0.0: not known; zero : that of outputs that are zero, or 0.0"""
    if norm is None:
        return None
    if not math.isfinite(norm):
        return "not finite", "the gradient holds values that are not finite"
    if loss == 0:
        return None
    scale = state["scale"] = max(state["scale"], zero) or loss
    if norm * state["first_norm"] > EXPLODED * max(1.0, neurons / FEW) * max(scale, loss) > 0:
        return "exploding gradient", f"the gradient has the norm {norm:.3g}, where the loss is {loss:.3g}"
    return None


def exploding_traces(state: dict[str, Any], weights: Weighing) -> tuple[str, str] | None:
    if not math.isfinite(weights.trace):
        return "not finite", "a trace of the rule is not finite"
    typical = state["first_norm"] / math.sqrt(sum(w.size for w in weights.flat[:3]))
    if weights.trace * typical > EXPLODED:
        return "exploding traces", f"what the rule carries from step to step has grown to {weights.trace:.3g}"
    return None


def _loss(state: dict[str, Any], loss: float) -> tuple[str, str] | None:
    if not math.isfinite(loss):
        return "not finite", f"the loss is {loss}"
    losses = state["losses"]
    losses.append(loss)
    if len(losses) > WINDOW:
        losses.pop(0)
    if len(losses) < WINDOW:
        return None
    mean = sum(losses) / WINDOW
    if state["first"] is None:
        state["first"] = state["lowest"] = mean
    lowest = state["lowest"] = min(state["lowest"], mean)
    if mean > RISE * lowest and mean > ABOVE_FIRST * state["first"] and mean > 0:
        was = f"it was {state['first']:.3g} at first, {lowest:.3g} at best"
        return "loss rises", f"the mean loss of {WINDOW} runs has risen to {mean:.3g}; {was}"
    return None


def look_at_weights(state: dict[str, Any], weights: Weighing, live: bool) -> list[tuple[str, str] | None]:
    """Norms now and then. live : neurons spike and there is something to learn"""
    runs = state["runs"]
    if not is_due(runs):
        return []
    found: list[tuple[str, str] | None] = []
    norms = {name: norm(w) for name, w in zip(WEIGHT_NAMES[:3], weights.flat[:3], strict=True)}
    for name, value in norms.items():
        if not math.isfinite(value):
            return [("not finite", f"{name} holds values that are not finite")]
    total = math.hypot(*norms.values())
    if runs > 1 and 0 < GROWTH * state["first_norm"] < total:
        text = f"the norm of the weights has grown from {state['first_norm']:.3g} to {total:.3g}"
        found.append(("weights blow up", text))
    still, since = [], state["since"]
    for name, learns in zip(WEIGHT_NAMES[:3], weights.learns[:3].tolist(), strict=True):
        last = since.get(name)
        if last is None or last[0] != norms[name] or not (learns and live):
            since[name] = [norms[name], runs, weights.updates]
        elif runs - last[1] >= STILL and weights.updates - last[2] >= STILL and norms[name] > 0:
            still.append(name)
    if still:
        found.append(("no change", f"{' and '.join(still)} did not change in the last {STILL} runs, though neurons spike"))
    return found


def _readout(state: dict[str, Any], job: Trials, result: Result, run: Run) -> tuple[str, str] | None:
    if job.targets.kind == SIGNAL or not result.counts.any():
        return None
    zero = np.logical_not(run.prediction.any(axis=0)).tolist()
    state["zero"] = [n + 1 if off else 0 for n, off in zip(state.get("zero", [0] * len(zero)), zero, strict=True)]
    dead = [str(k) for k, n in enumerate(state["zero"]) if n >= STILL]
    if not dead:
        return None
    which = f"output {dead[0]} was" if len(dead) == 1 else f"outputs {', '.join(dead[:8])} were"
    return "dead readout", f"{which} exactly zero in the last {STILL} runs, though neurons spike"


def far_readout(job: Trials, run: Run) -> tuple[str, str] | None:
    if job.targets.kind != SQUARED:
        return None
    spread = float(np.sum(2.0 * run.losses[run.scores > 0] / run.scores[run.scores > 0]))  # trials whose target varies
    excess = 2.0 * float(run.losses[run.scores > 0].sum()) / spread if spread > 0 else 0.0
    return ("far readout", f"the first loss is {excess:.3g} times the variance of the targets") if excess >= FAR else None


def _class(state: dict[str, Any], job: Trials, run: Run) -> tuple[str, str] | None:
    if job.targets.kind != ENTROPY or job.labels_per_step:
        return None
    predicted, labels = run.prediction.argmax(axis=1), job.targets.label[:, 0]
    one = int(predicted[0])
    same = state.get("same")
    if not (predicted == one).all() or same is None or same["class"] != one:
        same = state["same"] = {"class": one, "runs": 0, "trials": 0, "low": int(labels[0]), "high": int(labels[0])}
    if not (predicted == one).all():
        return None
    same["runs"] += 1
    same["trials"] += job.n_trials
    same["low"], same["high"] = min(same["low"], int(labels.min())), max(same["high"], int(labels.max()))
    if same["runs"] < SAME_RUNS or same["trials"] < SAME_TRIALS or same["low"] == same["high"]:
        return None
    return (
        "one class",
        f"all {same['trials']} trials of the last {same['runs']} runs were taken for class {one}, though labels differ",
    )
