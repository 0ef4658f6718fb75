"""A published, seeded training: the superimposed-sines regression of Bellec et al. 2020.

100 LIF neurons learn a sum of four sines of one second by e-prop: random feedback, reset detached, rate regulariser,
stochastic gradient descent, one update per trial. The authors' TensorFlow code and NEST's e-prop tutorial print the losses
of the first iterations, NEST in double precision; who meets them has every convention right. The losses rise at first.

TensorFlow code: github.com/IGITUGraz/eligibility_propagation; NEST: nest-simulator.readthedocs.io, "Tutorial on learning to
generate sine waves with e-prop".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..losses import RateRegularizer
from ..network.network import Network, Readout, Weights
from ..neurons import LIF
from ..neurons.surrogate import PiecewiseLinear
from ..optimizers.optimizers import SGD
from ..rules import EProp
from ..simulator.simulator import Simulator

# Losses and spikes of five iterations; one spike more or less changes a loss by 1e-4.
NEST = (101.964356999041, 103.466731126205, 103.340607074771, 103.680244037686, 104.412775748752)
TENSORFLOW = (101.964363098144, 103.466735839843, 103.340606689453, 103.680244445800, 104.412780761718)
SPIKES = (3999, 3434, 3136, 2963, 2857)


class Sines(NamedTuple):
    """The published regression."""

    net: Network
    weights: Weights
    x: np.ndarray  # [1000, 100]
    target: np.ndarray  # [1000, 1]
    feedback: np.ndarray  # [100, 1]
    regularizer: RateRegularizer


def superimposed_sines() -> Sines:
    """The published regression: 100 LIF neurons, a sum of four sines in one second; the draws are part of it.

    NumPy's legacy generator with seed 1; weights N(0, 1)/sqrt(100) in single precision, w_rec without its diagonal; inputs
    of 50 Hz, none on the first step; the target starts at 0 and has the largest magnitude 1.
    """
    draws, n, steps = np.random.RandomState(1), 100, 1000

    def normal(columns: int) -> np.ndarray:
        return (draws.randn(n, columns) / np.sqrt(n)).astype(np.float32).astype(np.float64)

    w_in, w_rec, w_out, feedback = normal(n), normal(n), normal(1), normal(1)
    np.fill_diagonal(w_rec, 0.0)
    x = (draws.rand(steps, n) < 0.05).astype(np.float64)
    x[0] = 0.0
    amplitudes, phases = draws.uniform(0.5, 2.0, 4), draws.uniform(0.0, 2.0 * np.pi, 4)
    target = np.zeros(steps)
    for amplitude, phase, period in zip(amplitudes, phases, (1000, 500, 333, 200), strict=True):
        target += amplitude * np.sin(np.linspace(phase, phase + 2.0 * np.pi * (steps // period), steps))
    target -= target[0]
    target /= max(np.abs(target).max(), 1e-6)
    neurons = LIF(n, tau_m=30.0, threshold=0.03, normalize_input=True, surrogate=PiecewiseLinear(0.3))
    net = Network(n, neurons, Readout(1, tau=30.0, normalize_input=True))
    return Sines(net, Weights(w_in, w_rec, w_out, np.zeros(1)), x, target[:, None], feedback, RateRegularizer(10.0, 300.0))


class PublishedTraining(NamedTuple):
    """What is published of a training; the n-th values are those of the weights after n - 1 updates."""

    losses: np.ndarray  # [iterations]
    spikes: np.ndarray  # [iterations]


def train_sines(iterations: int = 5) -> PublishedTraining:
    """The first iterations of the published training, in float64."""
    sines = superimposed_sines()
    rule, seconds = EProp(feedback=sines.feedback, reset_gradient=False), 1e-3 * len(sines.x)
    sim = Simulator(sines.net, sines.weights, rule, SGD(1e-4), regularizer=sines.regularizer, dtype="float64")
    runs = [sim.run(sines.x, sines.target) for _ in range(iterations)]
    return PublishedTraining(np.array([run.loss for run in runs]), np.array([run.rate * sines.net.n * seconds for run in runs]))
