"""Settings that learn the package's tasks: what `snnlearn train TASK` runs.

Each recipe returns a `Simulator` and the arguments of `train`. The evidence task has the parameters of
Bellec et al. 2020 (Fig. 3); where their conventions differ, the comments say how they map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _check
from .losses import CrossEntropy, MeanSquaredError, RateRegularizer
from .network import Network, Readout
from .neurons import ALIF, LIF
from .optimizers import Adam, ExponentialDecay
from .rules import BPTT, EProp, Rule
from .simulator import Simulator
from .tasks.base import Task, make


@dataclass
class Recipe:
    """A simulator, its task, and how to train it."""

    task: Task
    simulator: Simulator
    trials: int
    batch: int
    options: dict[str, Any] = field(default_factory=dict)  # of `Simulator.train`


def rule_named(name: str, feedback: Any, seed: int) -> Rule:
    """The rule of this name, as the command line gives it."""
    _check.choice("rule", name, ("eprop", "bptt"))
    return EProp(feedback=feedback, seed=seed) if name == "eprop" else BPTT(feedback=feedback, seed=seed)


def digits(
    *,
    neurons: int = 200,
    rule: str = "eprop",
    feedback: str = "random",
    iterations: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    update_every: str | int = "trial",
    coding: str = "poisson",
    dtype: str = "float32",
) -> Recipe:
    """Handwritten digits, as Poisson spikes of all pixels, or (coding="rows") row by row so that memory is needed.

    Adam, batches of 32, learning rate down to a tenth over the run.
    """
    task = make("digits", coding=coding, seed=seed)
    batch = batch or 32
    iterations = iterations or (600 if coding == "poisson" else 1350)
    lif = neurons // 2
    net = Network(
        n_inputs=task.n_inputs,
        neurons=[
            LIF(lif, tau_m=20.0, threshold=1.0, refractory=2.0),
            ALIF(neurons - lif, tau_m=20.0, tau_a=100.0, beta=0.1, threshold=1.0, refractory=2.0),
        ],
        readout=Readout(task.n_outputs, tau=20.0, bias=True),
        dt=task.dt,
        delay=task.dt,
    )
    schedule = ExponentialDecay(lr or 5e-3, 0.1, iterations)
    simulator = Simulator(
        net,
        rule=rule_named(rule, feedback, seed),
        optimizer=Adam(schedule),
        loss=CrossEntropy(),
        regularizer=RateRegularizer(target=20.0, strength=1.0, tau=None if update_every == "trial" else 100.0),
        update_every=update_every,
        seed=seed,
        threads=threads,
        dtype=dtype,
    )
    return Recipe(task, simulator, iterations * batch, batch, {"evaluate_every": 50})


def evidence_accumulation(
    *,
    neurons: int = 100,
    rule: str = "eprop",
    feedback: str = "random",
    iterations: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    update_every: str | int = "trial",
    dtype: str = "float32",
) -> Recipe:
    """Which side showed more cues? Half the neurons adapt over seconds. Adam, batches of 64."""
    task = make("evidence-accumulation", seed=seed)
    # the adaptation strength 1.7 of the paper is in units of a normalised trace
    beta = 1.7 * (1.0 - np.exp(-task.dt / 2000.0)) / (1.0 - np.exp(-task.dt / 20.0))
    lif = neurons // 2
    net = Network(
        n_inputs=task.n_inputs,
        neurons=[
            LIF(lif, tau_m=20.0, threshold=0.6, refractory=4.0),
            ALIF(neurons - lif, tau_m=20.0, tau_a=2000.0, beta=beta, threshold=0.6, refractory=4.0),
        ],
        readout=Readout(2, tau=20.0),
        dt=task.dt,
        delay=task.dt,
    )
    # c_reg = 300 divided by the 150 steps of the window, over which the published loss is a mean
    tau = None if update_every == "trial" else 500.0
    simulator = Simulator(
        net,
        rule=rule_named(rule, feedback, seed),
        optimizer=Adam(lr or 5e-3),
        loss=CrossEntropy(),
        regularizer=RateRegularizer(target=10.0, strength=2.0, tau=tau),
        update_every=update_every,
        seed=seed,
        threads=threads,
        dtype=dtype,
    )
    batch = batch or 64
    return Recipe(task, simulator, (iterations or 600) * batch, batch, {"evaluate_every": 50})


def pattern_generation(
    *,
    neurons: int = 100,
    rule: str = "eprop",
    feedback: str = "random",
    iterations: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    update_every: str | int = "trial",
    dtype: str = "float32",
) -> Recipe:
    """Generate a sum of sines from frozen input noise. Adam, one trial an update."""
    task = make("pattern-generation", seed=seed)
    net = Network(
        n_inputs=task.n_inputs,
        neurons=LIF(neurons, tau_m=30.0, threshold=0.5, refractory=2.0),
        readout=Readout(task.n_outputs, tau=30.0, normalize_input=True),
        dt=task.dt,
        delay=task.dt,
    )
    iterations = iterations or 1000
    simulator = Simulator(
        net,
        rule=rule_named(rule, feedback, seed),
        optimizer=Adam(ExponentialDecay(lr or 5e-3, 0.1, iterations)),
        loss=MeanSquaredError(),
        regularizer=RateRegularizer(target=20.0, strength=30.0, tau=None if update_every == "trial" else 500.0),
        update_every=update_every,
        seed=seed,
        threads=threads,
        dtype=dtype,
    )
    return Recipe(task, simulator, iterations * (batch or 1), batch or 1, {"evaluate_every": 50, "evaluate_trials": 1})


RECIPES: dict[str, Callable[..., Recipe]] = {
    "digits": digits,
    "evidence-accumulation": evidence_accumulation,
    "pattern-generation": pattern_generation,
}
