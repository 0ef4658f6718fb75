"""The bridge from the naive twins to the package: a `naive.Case` as a network, weights and a trial of snnlearn."""

from itertools import groupby

import naive
import numpy as np
from scipy import sparse

import snnlearn as sl

SURROGATES = {
    "piecewise_linear": sl.PiecewiseLinear,
    "exponential": sl.Exponential,
    "fast_sigmoid": sl.FastSigmoid,
    "arctan": sl.ArcTan,
}


def draw(seed=7, **kwargs):
    """A live case. All neurons share gamma, so that groups stay large and hold arrays per neuron."""
    case = naive.random_case(np.random.default_rng(seed), **kwargs)
    case.net.gamma[:] = 0.4
    return case


def library(case, sparse_rec=False, sparse_in=False, frozen=()):
    """-> sl.Network, sl.Weights, and the arguments of sl.gradient that follow them (without the rule)."""
    net, dt = case.net, case.reg.dt
    w_rec, recurrent = _connectivity(case.w["w_rec"], net.conn_rec, sparse_rec, recurrent=True)
    w_in, inputs = _connectivity(case.w["w_in"], net.conn_in, sparse_in, recurrent=False)
    network = sl.Network(
        net.n_in,
        _groups(case),
        sl.Readout(net.n_out, case.tau_out, bias=net.bias, normalize_input=net.readout_scale != 1.0),
        dt=dt,
        delay=net.delay * dt,
        recurrent=recurrent,
        inputs=inputs,
        frozen=frozen,
    )
    trial = {
        "inputs": case.x,
        "targets": case.target,
        "mask": case.mask,
        "loss": sl.CrossEntropy() if case.kind == "ce" else sl.MeanSquaredError(),
        "regularizer": regularizer(case.reg),
    }
    return network, sl.Weights(w_in, w_rec, case.w["w_out"], case.w["b_out"]), trial


def regularizer(reg):
    return None if reg is None else sl.RateRegularizer(reg.target, reg.strength, reg.tau)


def simulator(case, rule=None, optimizer=None, *, sparse_all=False, reg=None, frozen=(), **kwargs):
    """-> sl.Simulator in float64, without regulariser unless `reg`, and the arguments of `run`."""
    net, weights, trial = library(case, sparse_rec=sparse_all, sparse_in=sparse_all, frozen=frozen)
    kwargs = {"dtype": "float64", "loss": trial["loss"], "regularizer": regularizer(reg)} | kwargs
    return sl.Simulator(net, weights, rule, optimizer, **kwargs), {k: trial[k] for k in ("inputs", "targets", "mask")}


def assert_same(got, want, rtol=1e-12, names=naive.NAMES):
    """Weights or gradients agree in the norm of each array: float64 sums of 40 steps in another order."""
    got, want = naive.plain(got), naive.plain(want)
    for name in names:
        error, size = np.linalg.norm(got[name] - want[name]), np.linalg.norm(want[name])
        assert error <= rtol * size, f"{name}: relative error {error / size if size else error:.2e}"


def distance(got, want, name="w_in"):
    got, want = naive.plain(got), naive.plain(want)
    return np.linalg.norm(got[name] - want[name]) / np.linalg.norm(want[name])


def _connectivity(w, conn, as_csr, recurrent):
    if as_csr:
        pre, post = np.nonzero(conn)
        return sparse.csr_array((w[conn], (pre, post)), shape=conn.shape), sl.Sparse(density=0.5, self_connections=True)
    if conn.all():
        return w, sl.Dense(self_connections=True)
    if recurrent and (conn == ~np.eye(len(conn), dtype=bool)).all():
        return w, sl.Dense()
    return w, sl.Masked(conn)


def _groups(case):
    """Runs of neurons that can form one group: same model, surrogate and gamma; all else as arrays per neuron."""
    net, dt, groups = case.net, case.reg.dt, []
    keys = [(net.beta[j] != 0, net.surrogate[j], net.gamma[j]) for j in range(net.n)]
    for (adaptive, surrogate, gamma), members in groupby(range(net.n), key=keys.__getitem__):
        j = list(members)
        common = {
            "tau_m": case.tau_m[j],
            "threshold": net.thr[j],
            "refractory": net.n_ref[j] * dt,
            "surrogate": SURROGATES[surrogate](gamma),
            "normalize_input": bool((net.zeta != 1.0).any()),
            "current": net.current[j],
            "v_init": net.v0[j],
        }
        if adaptive:
            groups.append(sl.ALIF(len(j), **common, tau_a=case.tau_a[j], beta=net.beta[j], a_init=net.a0[j]))
        else:
            groups.append(sl.LIF(len(j), **common))
    return groups
