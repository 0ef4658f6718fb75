"""Settings that learn the data sets of the suite, chosen on their validation splits: `snnlearn train mnist-1d`, `snnlearn suite`.

Membrane time constants are spread evenly in their logarithm, so that a network remembers at several scales. Readouts are
averaged over the trial. The learning rate of Adam falls to a twentieth over the run, and the weights of the best evaluation on
the validation split are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .. import encode
from ..losses import CrossEntropy, MeanSquaredError, RateRegularizer
from ..network.network import Network, Readout
from ..neurons import ALIF, LIF
from ..neurons.base import Neuron
from ..optimizers.optimizers import Adam
from ..optimizers.schedules import ExponentialDecay
from ..tasks.suite import Suite
from .config import Config
from .recipe import Options
from .settings import InitialWeights, TrainingPlan

EVALUATIONS = 10  # on the validation split in a run
POINTS = ("yin-yang",)  # data of one row, which is held to make a series
FINAL = 0.05  # of the learning rate at the end


class Setting(NamedTuple):
    """A data set, its encoder, the network and the schedule. Times are in ms, which are steps."""

    data: str
    published: str  # what others report
    goal: str
    encoder: Any = None
    steps_per_sample: int = 1
    jitter: float = 0.0
    neurons: int = 300
    alif: float = 0.5  # share of the neurons that adapt
    tau_m: tuple[float, float] = (3.0, 30.0)
    tau_a: float = 100.0
    beta: float = 0.1
    w_rec: float = 0.3  # gain of the initial recurrent weights
    readout: float = 20.0
    rate: float = 50.0  # Hz, of the regulariser
    strength: float = 0.1
    epochs: int = 25
    batch: int = 32
    lr: float = 1e-2
    variants: tuple[int | None, ...] = (None,)  # of `sl.datasets.load`: what is reported is their mean
    slow: bool = False  # left out unless named


SETTINGS: dict[str, Setting] = {
    "mnist-1d": Setting(
        data="mnist-1d",
        published="CNN 94 %, GRU 91 %",
        goal=">= 92 %",
        steps_per_sample=4,
        jitter=0.1,
        alif=1.0,
        tau_m=(3.0, 60.0),
        tau_a=50.0,
        beta=0.3,
    ),
    "mnist-1d-window": Setting(
        data="mnist-1d",
        published="CNN 94 %, GRU 91 %",
        goal=">= 98 %",
        encoder=encode.Window(8, steps=4),
        jitter=0.1,
        alif=1.0,
        tau_m=(3.0, 40.0),
        tau_a=50.0,
        beta=0.3,
    ),
    "yin-yang": Setting(data="yin-yang", published="", goal="", steps_per_sample=20, neurons=120, rate=100.0, epochs=6),
    "spoken-digits": Setting(
        data="spoken-digits",
        published="",
        goal=">= 99.2 %",
        encoder=encode.Window(3),
        jitter=0.6,
        neurons=400,
        tau_m=(20.0, 20.0),
        rate=30.0,
        epochs=40,
    ),
    "japanese-vowels": Setting(
        data="japanese-vowels",
        published="0 to 5 errors of 370 (echo state networks)",
        goal="<= 5 errors (98.6 %)",
        steps_per_sample=8,
        jitter=0.8,
        neurons=400,
        alif=0.0,
        tau_m=(5.0, 80.0),
        epochs=100,
        batch=16,
    ),
    "basic-motions": Setting(data="basic-motions", published="", goal="", jitter=0.3, neurons=100, epochs=60, batch=8),
    "smartwatch": Setting(
        data="smartwatch",
        published="88.9 % (CRNN, more data)",
        goal=">= 88 %",
        jitter=0.3,
        tau_m=(3.0, 20.0),
        rate=30.0,
        variants=(0, 1, 2, 3, 4),
    ),
    "mnist-rows": Setting(
        data="mnist-rows", published="", goal=">= 95.5 %", jitter=0.3, tau_m=(3.0, 40.0), tau_a=50.0, beta=0.3, rate=100.0
    ),
    "mnist-pixels": Setting(data="mnist-pixels", published="", goal="", tau_m=(5.0, 200.0), tau_a=700.0, slow=True),
    "mnist-permuted": Setting(data="mnist-permuted", published="", goal="", tau_m=(5.0, 200.0), tau_a=700.0, slow=True),
    "laser": Setting(
        data="laser",
        published="",
        goal="",
        tau_m=(1.0, 20.0),
        readout=1.0,
        rate=100.0,
        strength=0.01,
        epochs=60,
        batch=8,
        lr=5e-3,
    ),
    "mackey-glass": Setting(
        data="mackey-glass",
        published="",
        goal="",
        tau_m=(1.0, 20.0),
        readout=1.0,
        rate=100.0,
        strength=0.01,
        epochs=200,
        batch=4,
        lr=5e-3,
    ),
}


def recipe(name: str, variant: int | None = None, share: float = 1.0, held: bool = True, **options: Any) -> Config:
    """The configuration of a data set of the suite. Adam, batches of trials.

    variant : of `sl.datasets.load`; share : of the epochs; options : of `Options`
    held : whether rows last as long as the setting says; other methods take one step for each row of a series, and hold a point
    """
    s, o = SETTINGS[name], Options(**options)
    if not held and s.data not in POINTS:
        s = s._replace(steps_per_sample=1, encoder=None if s.encoder is None else replace(s.encoder, steps=1))
    task = Suite(
        data=s.data, variant=variant, encoder=s.encoder, steps_per_sample=s.steps_per_sample, jitter=s.jitter, seed=o.seed
    )
    n, batch = o.neurons or s.neurons, o.batch or s.batch
    trials, updates = o.length(batch, max(1, round(share * s.epochs * task.n_samples() / batch)))
    adapt = int(s.alif * n)
    groups: list[Neuron] = []
    if adapt < n:
        groups.append(LIF(n - adapt, tau_m=_spread(s.tau_m, n - adapt)))
    if adapt:
        groups.append(ALIF(adapt, tau_m=_spread(s.tau_m, adapt), tau_a=s.tau_a, beta=s.beta))
    classifies = task.kind == "classification"
    readout = Readout(task.n_outputs, tau=s.readout, bias=True, normalize_input=not classifies)
    of = "mean" if o.update_every == "trial" else "steps"
    loss = CrossEntropy(of=of) if classifies else MeanSquaredError()
    regularizer = RateRegularizer(target=s.rate, strength=s.strength)
    optimizer = Adam(ExponentialDecay(o.lr or s.lr, FINAL, updates))
    net = Network(task.n_inputs, groups, readout, dt=task.dt)
    weights = InitialWeights(gain={"w_rec": s.w_rec})
    plan = TrainingPlan(trials, batch, evaluate_every=max(1, updates // EVALUATIONS), restore_best=True)
    return o.config(task, net, plan, optimizer, loss, regularizer, tau=100.0, weights=weights)


def _spread(ends: tuple[float, float], n: int) -> np.ndarray:
    """n times between two ends, evenly in their logarithm, [n]."""
    return np.geomspace(*ends, n).round(3)
