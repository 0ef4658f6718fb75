"""Writes reference_cases.h5 by the naive twins of the tests: ``python make_reference_cases.py [FILE]``.

The twins (tests/naive.py, tests/naive_rules.py) are NumPy written from the definitions; nothing here imports the package.
README.md describes the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import naive
import naive_rules

ATTRIBUTES = {
    "title": "Gradients of learning rules on small networks, computed by NumPy twins independent of snnlearn",
    "source": "tests/naive.py and tests/naive_rules.py of snnlearn, by data/make_reference_cases.py",
    "licence": "BSD-3-Clause, as snnlearn",
}
COMMON = {"n": 6, "n_in": 4, "n_out": 2, "T": 40}
CASES: dict[str, dict[str, Any]] = {
    "lif-dense": {"kind": "lif"},
    "lif-chain": {"kind": "lif", "n_ref": 1, "normalize_readout": True, "loss": "ce"},
    "lif-sparse": {"kind": "lif", "density": 0.5, "density_in": 0.7, "delay": 2, "n_ref": 2, "loss": "ce"},
    "alif-dense": {"kind": "alif", "delay": 2, "n_ref": 3, "self_connections": False, "loss": "ce"},
    "mixed-dense": {"kind": "mixed", "heterogeneous": True, "n_ref": 2, "initial": True, "normalize_input": True, "bias": False},
    "mixed-sparse": {"kind": "mixed", "density": 0.5, "density_in": 0.7, "delay": 3, "kappa": 0.0, "analog": True},
}
CHAIN = np.eye(COMMON["n"], k=1, dtype=bool)


def gradients(case: naive.Case, attached: bool) -> dict[str, dict[str, np.ndarray]]:
    """The gradient of every rule, by name."""
    b, order_m, snap, truncated = case.feedback, naive_rules.order_m, naive_rules.snap, naive_rules.truncated

    def found(rule: Any, **options: Any) -> dict[str, np.ndarray]:
        return rule(case.net, case.w, **case.trial, **options).gradient

    reset = {"reset_gradient": attached}
    return {
        "eprop": found(naive.eprop, **reset),
        "eprop_feedback": found(naive.eprop, feedback=b, **reset),
        "order2": found(order_m, order=2, **reset),
        "order2_feedback": found(order_m, order=2, feedback=b, **reset),
        "order3": found(order_m, order=3, **reset),
        "snap1": found(snap, n=1, **reset),
        "snap2": found(snap, n=2, **reset),
        "truncated5": found(truncated, window=5, **reset),
        "truncated12": found(truncated, window=12, **reset),
        "bptt": found(naive.bptt, **reset),
        "bptt_feedback": found(naive.bptt, feedback=b, **reset),
        "rflo": found(naive_rules.rflo),
    }


def draw(name: str) -> naive.Case:
    """A live case; all neurons share gamma, so that they form one group per model."""
    for seed in range(1000):
        case = naive.random_case(np.random.default_rng(seed), **COMMON | CASES[name])
        case.net.gamma[:] = 0.4
        if name.endswith("chain"):
            case.net.conn_rec = CHAIN
            case.w["w_rec"] = CHAIN * np.abs(case.w["w_rec"])
        exact = naive.bptt(case.net, case.w, **case.trial)
        f = exact.forward
        if (f.z.sum(0) > 0).all() and np.abs(f.v - f.A).min() > 1e-5 and all(g.any() for g in list(exact.gradient.values())[:3]):
            naive.assert_live(exact.gradient, f.z)
            return case
    raise RuntimeError(f"no live case for {name}")


def write_case(group: h5py.Group, name: str, case: naive.Case) -> None:
    """One case as attributes and arrays of a group."""
    net, run = case.net, naive.eprop(case.net, case.w, **case.trial)
    group.attrs.update(
        dt=case.reg.dt,
        delay=net.delay,
        gamma=net.gamma[0],
        tau_out=case.tau_out,
        bias=net.bias,
        normalize_input=bool((net.zeta != 1.0).any()),
        normalize_readout=net.readout_scale != 1.0,
        sparse=name.endswith("sparse"),
        loss=case.kind,
        rate_target=case.reg.target,
        rate_strength=case.reg.strength,
        task_loss=run.loss,
        regularization=run.regularization,
    )
    per_neuron = {"tau_m": case.tau_m, "tau_a": case.tau_a, "current": net.current, "v_init": net.v0, "a_init": net.a0}
    per_neuron |= {"threshold": net.thr, "beta": net.beta, "refractory": net.n_ref}
    trial = {"x": case.x, "target": case.target, "mask": case.mask, "feedback": case.feedback}
    seen = {"spikes": run.forward.z.astype(bool), "v": run.forward.v, "readout": run.forward.y}
    rules = [gradients(case, attached) for attached in (False, True)]
    flat = [[np.concatenate([g[k].ravel() for k in naive.NAMES]) for g in found.values()] for found in rules]
    arrays = per_neuron | trial | seen | case.w | {"conn_in": net.conn_in, "conn_rec": net.conn_rec, "gradients": flat}
    for key, array in arrays.items():
        group.create_dataset(key, data=np.asarray(array))
    group.create_dataset("rules", data=list(rules[0]), dtype=h5py.string_dtype())


def write(path: Path) -> None:
    """Create the file, replacing one that exists."""
    with h5py.File(path, "w") as file:
        file.attrs.update(ATTRIBUTES)
        for name in CASES:
            write_case(file.create_group(name), name, draw(name))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("reference_cases.h5"))
