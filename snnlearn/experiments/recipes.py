"""Settings that learn the package's tasks: what `snnlearn train TASK` runs.

Each recipe returns a `Config`, recorded as `snnlearn train TASK` does. The evidence task has the parameters of Bellec et al. 2020
(Fig. 3); where their conventions differ, the comments say how they map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import _check
from ..datasets import Dataset
from ..datasets.base import make_splits
from ..losses import CrossEntropy, MeanSquaredError, RateRegularizer
from ..network.network import Network, Readout
from ..neurons import ALIF, LIF
from ..optimizers.optimizers import Adam
from ..optimizers.schedules import ExponentialDecay
from ..tasks.base import make
from ..tasks.classification import Classification
from .config import Config
from .recipe import Options
from .settings import TrainingPlan
from .suite import SETTINGS
from .suite import recipe as suite_recipe


def digits(**options: Any) -> Config:
    """Handwritten digits, as Poisson spikes of all pixels, or (coding="rows") row by row so that memory is needed.

    Adam, batches of 32, learning rate down to a tenth over the run. options : of `Options`
    """
    o = Options(**options)
    coding, n, batch = o.coding or "poisson", o.neurons or 200, o.batch or 32
    task = make("digits", coding=coding, seed=o.seed)
    trials, updates = o.length(batch, 600 if coding == "poisson" else 1350)
    groups = [
        LIF(n // 2, tau_m=20.0, threshold=1.0, refractory=2.0),
        ALIF(n - n // 2, tau_m=20.0, tau_a=100.0, beta=0.1, threshold=1.0, refractory=2.0),
    ]
    net = Network(task.n_inputs, groups, Readout(task.n_outputs, tau=20.0, bias=True), dt=task.dt)
    optimizer = Adam(ExponentialDecay(o.lr or 5e-3, 0.1, updates))
    plan = TrainingPlan(trials, batch, evaluate_every=50)
    return o.config(task, net, plan, optimizer, CrossEntropy(), RateRegularizer(target=20.0, strength=1.0), tau=100.0)


def evidence_accumulation(**options: Any) -> Config:
    """Which side showed more cues? Half the neurons adapt over seconds. Adam, batches of 64. options : of `Options`"""
    o = Options(**options)
    n, batch = o.neurons or 100, o.batch or 64
    task = make("evidence-accumulation", seed=o.seed)
    # the adaptation strength 1.7 of the paper is in units of a normalised trace
    beta = 1.7 * (1.0 - np.exp(-task.dt / 2000.0)) / (1.0 - np.exp(-task.dt / 20.0))
    groups = [
        LIF(n // 2, tau_m=20.0, threshold=0.6, refractory=4.0),
        ALIF(n - n // 2, tau_m=20.0, tau_a=2000.0, beta=beta, threshold=0.6, refractory=4.0),
    ]
    net = Network(task.n_inputs, groups, Readout(2, tau=20.0), dt=task.dt)
    # c_reg = 300 divided by the 150 steps of the window, over which the published loss is a mean
    regularizer = RateRegularizer(target=10.0, strength=2.0)
    plan = TrainingPlan(o.length(batch, 600)[0], batch, evaluate_every=50)
    return o.config(task, net, plan, Adam(o.lr or 5e-3), CrossEntropy(), regularizer, tau=500.0)


def delayed_recall(**options: Any) -> Config:
    """Which bit was stored last? Half the neurons adapt over a second. Adam, batches of 32. options : of `Options`"""
    o = Options(**options)
    n, batch = o.neurons or 100, o.batch or 32
    task = make("delayed-recall", seed=o.seed)
    trials, updates = o.length(batch, 200)
    groups = [
        LIF(n // 2, tau_m=20.0, threshold=0.6, refractory=4.0),
        ALIF(n - n // 2, tau_m=20.0, tau_a=1200.0, beta=0.03, threshold=0.6, refractory=4.0),
    ]
    net = Network(task.n_inputs, groups, Readout(2, tau=20.0), dt=task.dt)
    optimizer = Adam(ExponentialDecay(o.lr or 5e-3, 0.1, updates))
    plan = TrainingPlan(trials, batch, evaluate_every=50)
    return o.config(task, net, plan, optimizer, CrossEntropy(), RateRegularizer(target=10.0, strength=1.0), tau=500.0)


def copy(**options: Any) -> Config:
    """Reproduce three symbols after 40 ms. Most neurons adapt. Adam, batches of 32. options : of `Options`"""
    o = Options(**options)
    n, batch = o.neurons or 100, o.batch or 32
    task = make("copy", length=3, n_symbols=2, symbol_duration=20.0, delay=40.0, n_per_group=10, seed=o.seed)
    lif = max(1, n // 5)
    groups = [
        LIF(lif, tau_m=20.0, threshold=0.6, refractory=2.0),
        ALIF(n - lif, tau_m=20.0, tau_a=200.0, beta=0.3, threshold=0.6, refractory=2.0),
    ]
    # the readout forgets within half a symbol, or its accuracy would be bound by the borders between symbols
    net = Network(task.n_inputs, groups, Readout(2, tau=10.0, bias=True), dt=task.dt)
    plan = TrainingPlan(o.length(batch, 600)[0], batch, evaluate_every=50)
    return o.config(task, net, plan, Adam(o.lr or 1e-2), CrossEntropy(), RateRegularizer(target=20.0, strength=0.1), tau=100.0)


def pattern_generation(**options: Any) -> Config:
    """Generate a sum of sines from frozen input noise. Adam, one trial an update. options : of `Options`"""
    o = Options(**options)
    task = make("pattern-generation", seed=o.seed)
    lif = LIF(o.neurons or 100, tau_m=30.0, threshold=0.5, refractory=2.0)
    net = Network(task.n_inputs, lif, Readout(task.n_outputs, tau=30.0, normalize_input=True), dt=task.dt)
    batch = o.batch or 1
    trials, updates = o.length(batch, 1000)
    optimizer = Adam(ExponentialDecay(o.lr or 5e-3, 0.1, updates))
    plan = TrainingPlan(trials, batch, evaluate_every=50, evaluate_trials=1)
    return o.config(task, net, plan, optimizer, MeanSquaredError(), RateRegularizer(target=20.0, strength=30.0), tau=500.0)


def classification(train: Dataset, test: Dataset | None = None, **options: Any) -> Config:
    """Classify recorded events, in as many steps as the longest sample has. Half the neurons adapt. Adam, batches of 32.

    train, test : data sets; without `test`, a fifth of every class is held out. options : of `Options`
    """
    o = Options(**options)
    dt, downsample = BINNING.get(str(train.format), (10.0, 1))
    task = Classification(train, test=test, dt=o.dt or dt, downsample=o.downsample or downsample, cache=o.cache, seed=o.seed)
    n, batch, samples = o.neurons or 256, o.batch or 32, task.n_samples("train")
    epoch = max(1, samples // batch)
    trials, updates = o.length(batch, EPOCHS * epoch)
    groups = [LIF(n // 2, tau_m=20.0, threshold=1.0), ALIF(n - n // 2, tau_m=20.0, tau_a=200.0, beta=0.1, threshold=1.0)]
    net = Network(task.n_inputs, groups, Readout(task.n_outputs, tau=50.0, bias=True), dt=task.dt)
    optimizer = Adam(ExponentialDecay(o.lr or 5e-3, 0.1, updates))
    plan = TrainingPlan(trials, batch, evaluate_every=epoch)
    return o.config(task, net, plan, optimizer, CrossEntropy(), RateRegularizer(target=10.0, strength=1.0), tau=100.0)


BINNING = {"shd": (10.0, 5), "ssc": (10.0, 5), "nmnist": (5.0, 2)}  # dt in ms, downsample
EPOCHS = 20

RECIPES: dict[str, Callable[..., Config]] = {
    "copy": copy,
    "delayed-recall": delayed_recall,
    "digits": digits,
    "evidence-accumulation": evidence_accumulation,
    "pattern-generation": pattern_generation,
}
SUITE: dict[str, Callable[..., Config]] = {name: partial(suite_recipe, name) for name in SETTINGS}


def choose(task: str | None, data: Sequence[str] | None, test: Any, command: str = "train") -> Callable[..., Config]:
    """The recipe of a task by its name, or of data (format, path) and where they are tested.

    command : which errors name. ValueError for neither or both
    """
    if data is None:
        if test is not None:
            raise _check.fail("--test", "come with --data", str(test))
        if task is None:
            raise _check.fail(command, "name a TASK (" + ", ".join((*RECIPES, *SUITE)) + ") or --data FORMAT PATH", None)
        known = RECIPES | SUITE
        return known[_check.choice(f"{command} TASK", task, known)]
    if task is not None:
        raise _check.fail(command, "name a TASK or --data, not both", task)
    return partial(classification, *make_splits(data[0], data[1], test))
