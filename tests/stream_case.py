"""A small stream in pieces, and a simulator for it."""

import numpy as np

import snnlearn as sl

LENGTHS = [7, 13, 20, 1, 9]  # steps of the pieces
STEPS = sum(LENGTHS)
DT = 0.5


def fed(lengths=tuple(LENGTHS), first=0):
    rng = np.random.default_rng(3)
    x = (rng.random((STEPS, 3)) < 0.4).astype(float)
    y = rng.standard_normal((STEPS, 2))
    at = np.concatenate(([0], np.cumsum(LENGTHS)))
    return [(x[a:b], y[a:b]) for a, b in zip(at[first:-1], at[first + 1 :], strict=True)]


def simulator():
    net = sl.Network(3, sl.LIF(6, threshold=0.4, tau_m=10.0), sl.Readout(2, tau=5.0), dt=DT, delay=DT)
    return sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-4), update_every=5, seed=2)
