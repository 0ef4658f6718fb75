"""snnlearn beside other simulators, on the same networks, inputs and number of threads.

    python benchmarks/systems.py [--cases evidence,dense,sparse] [--systems snnlearn,jax,brian2] [--threads 1]

Cases (float32; one trial unless a batch is given; trials are given, kernels compiled, the median of repeats):

    evidence   40 inputs, 50 LIF + 50 ALIF, 2 readouts, T = 2250, batches of 1 and 64; e-prop with random feedback and Adam
    dense      1000 inputs, 1000 LIF, T = 500, about 10 Hz; e-prop with random feedback and SGD
    sparse     100 inputs, 50 000 LIF, 100 recurrent and 10 input synapses each, T = 200, about 10 Hz; e-prop and SGD

Systems, where they are installed:

    snnlearn   forward simulation, and the whole step with learning
    jax        a hand-written pair of scans: the same e-prop gradient by adjoints, products of matrices on the tape; its
               gradient is compared with snnlearn's before it is timed. evidence and dense
    brian2     C++ standalone, forward simulation alone, time of its run loop. sparse

Every line is a process of its own, so that its peak memory is its own; ratios are to snnlearn's learning in this run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CASES, SYSTEMS = ("evidence", "dense", "sparse"), ("snnlearn", "jax", "brian2")


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of a call, after one that warms up; of so many calls, and of half a second of them."""
    call()
    times: list[float] = []
    while len(times) < repeats or sum(times) < 0.5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def evidence(batch: int) -> tuple[Any, Any, list[Any], np.ndarray, np.ndarray]:
    """Network, weights, inputs (Events), labels and masks of a batch."""
    from snnlearn.recipes import evidence_accumulation

    recipe = evidence_accumulation(threads=1)
    trials = [recipe.task.trial(i) for i in range(batch)]
    xs, labels, masks = ([t[k] for t in trials] for k in range(3))
    return recipe.simulator.net, recipe.simulator.weights, xs, np.array(labels), np.array(masks)


def dense() -> tuple[Any, Any, Any]:
    """Network, weights and input (Events) of the dense case."""
    import snnlearn as sl
    from snnlearn.bench import network

    net, weights, x = network(1000, 10.0, 500)
    return net, weights, sl.Events(*np.nonzero(x), 500)


def sparse() -> tuple[Any, Any, Any]:
    """Network, weights and input (Events) of the sparse case."""
    import snnlearn as sl

    lif = sl.LIF(50_000, tau_m=20.0, threshold=0.6, refractory=2.0)
    net = sl.Network(100, lif, sl.Readout(2, tau=20.0), recurrent=sl.Sparse(indegree=100), inputs=sl.Sparse(indegree=10))
    weights = net.init_weights(seed=1, gain={"w_in": 0.8, "w_rec": 0.5})
    return net, weights, sl.Events(*np.nonzero(np.random.default_rng(0).random((200, 100)) < 0.02), 200)


def run_snnlearn(case: str, threads: int, repeats: int) -> dict[str, float]:
    """Seconds of the forward simulation and of the step with learning."""
    import snnlearn as sl

    rule, found = sl.EProp(feedback="random"), {}
    if case == "evidence":
        for batch in (1, 64):
            net, weights, xs, labels, masks = evidence(batch)
            regularizer = sl.RateRegularizer(target=10.0, strength=2.0)
            sim = sl.Simulator(net, weights, rule, sl.Adam(5e-3), sl.CrossEntropy(), regularizer, threads=threads)
            found[f"forward, batch {batch}"] = seconds(lambda sim=sim, xs=xs: sim.run(xs, learn=False), repeats)
            call = lambda sim=sim, xs=xs, y=labels, m=masks: sim.run(xs, y, m)  # noqa: E731
            found[f"learning, batch {batch}"] = seconds(call, repeats)
        return found
    net, weights, x = dense() if case == "dense" else sparse()
    sim = sl.Simulator(net, weights, rule, sl.SGD(1e-6), threads=threads)
    target = np.zeros((x.n_steps, 2))
    found["forward"] = seconds(lambda: sim.run(x, learn=False), repeats)
    found["learning"] = seconds(lambda: sim.run(x, target), repeats)
    found["rate"] = float(sim.run(x, learn=False).rate)
    return found


def run_jax(case: str, threads: int, repeats: int) -> dict[str, float]:
    """Seconds of loss and e-prop gradient."""
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={threads}"
    )
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    import snnlearn as sl

    rule, found = sl.EProp(feedback="random"), {}
    if case == "evidence":
        for batch in (1, 64):
            net, weights, xs, labels, masks = evidence(batch)
            x = np.stack([e.toarray(net.n_inputs, np.float32) for e in xs])
            gradient = jax.jit(jax.vmap(_scans(net, weights, rule, "entropy")))
            args = (x, np.eye(2, dtype=np.float32)[labels], masks.astype(np.float32))
            want = sl.gradient(net, weights, xs, labels, rule, loss=sl.CrossEntropy(), mask=masks, dtype="float32")
            _same(gradient(*args), want, batch)
            found[f"learning, batch {batch}"] = seconds(lambda g=gradient, a=args: jax.block_until_ready(g(*a)), repeats)
        return found
    net, weights, events = dense()
    gradient = jax.jit(_scans(net, weights, rule, "squares"))
    args = (
        events.toarray(net.n_inputs, np.float32),
        np.zeros((events.n_steps, 2), np.float32),
        np.ones(events.n_steps, np.float32),
    )
    want = sl.gradient(net, weights, events, args[1], rule, dtype="float32")
    _same([g[None] for g in gradient(*args)], want, 1)
    return {"learning": seconds(lambda: jax.block_until_ready(gradient(*args)), repeats)}


def _same(found: Any, want: Any, batch: int) -> None:
    """The gradients agree but for single spikes that rounding moves."""
    for g, w in zip(found, (want.w_in, want.w_rec, want.w_out), strict=True):
        g = np.asarray(g).sum(axis=0) / batch
        cosine = (g * w).sum() / np.sqrt((g * g).sum() * (w * w).sum())
        assert cosine > 0.99, f"another gradient: cosine {cosine:.4f}"


def _scans(net: Any, weights: Any, rule: Any, loss: str) -> Callable[..., Any]:
    """A function (x [T, n_in], target, mask [T]) -> gradients of w_in, w_rec, w_out, in JAX."""
    import jax
    import jax.numpy as jnp

    a = net.arrays(net.check_weights(weights), np.float32)
    p = a.params
    alpha, thr, height = jnp.array(p.alpha), jnp.array(p.thr), jnp.array(p.surrogate.height)
    current, n_ref = jnp.array(p.current), jnp.array(p.n_ref)
    rho = jnp.array(getattr(p, "rho", np.zeros_like(p.alpha)))
    beta = jnp.array(getattr(p, "beta", np.zeros_like(p.alpha)))
    w_in, w_rec, w_out = (jnp.array(np.asarray(w, np.float32)) for w in weights[:3])
    feedback, kappa = jnp.array(rule.feedback_matrix(net).astype(np.float32)), float(a.kappa)
    n = alpha.size

    def forward(carry: Any, driven: Any) -> Any:
        v, adapted, z, left, y = carry
        v = alpha * v + driven + z @ w_rec + current - thr * z
        adapted = rho * adapted + z
        over = (v - thr - beta * adapted) / thr
        psi = jnp.where(left > 0, 0.0, height * jnp.maximum(0.0, 1.0 - jnp.abs(over)))
        z = jnp.where((over > 0) & (left <= 0), 1.0, 0.0)
        left = jnp.where(left > 0, left - 1, jnp.where(z > 0, n_ref, 0))
        y = kappa * y + z @ w_out
        return (v, adapted, z, left, y), (z, psi, y)

    def back(carry: Any, step: Any) -> Any:
        lv, la, ly = carry
        psi, error = step
        ly = kappa * ly + error
        lz = feedback @ ly + la
        lv = alpha * lv + psi * lz
        la = rho * la - beta * psi * lz
        return (lv, la, ly), (lv, ly)

    def gradient(x: Any, target: Any, mask: Any) -> Any:
        zero = jnp.zeros(n, jnp.float32)
        start = (zero, zero, zero, jnp.zeros(n, jnp.int32), jnp.zeros(2, jnp.float32))
        _, (z, psi, y) = jax.lax.scan(forward, start, x @ w_in)
        error = mask[:, None] * (jax.nn.softmax(y) - target if loss == "entropy" else y - target)
        _, (c, ly) = jax.lax.scan(back, (zero, zero, jnp.zeros(2, jnp.float32)), (psi, error), reverse=True)
        before = jnp.concatenate([jnp.zeros((1, n), jnp.float32), z[:-1]])
        return x.T @ c, (before.T @ c) * (1.0 - jnp.eye(n, dtype=jnp.float32)), z.T @ ly

    return gradient


def run_brian2(case: str, threads: int, repeats: int) -> dict[str, float]:
    """Seconds of the run loop of a C++ standalone simulation."""
    import brian2 as b2

    net, weights, events = sparse()
    lif = net.neurons[0]
    with tempfile.TemporaryDirectory() as folder:
        b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
        b2.prefs.core.default_float_dtype = np.float32
        b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
        b2.defaultclock.dt = net.dt * b2.ms
        options = {"threshold": f"v > {lif.threshold}", "reset": f"v -= {lif.threshold}", "refractory": lif.refractory * b2.ms}
        group = b2.NeuronGroup(net.n, f"dv/dt = -v/({lif.tau_m}*ms) : 1", method="exact", **options)
        source = b2.SpikeGeneratorGroup(net.n_inputs, events.channel, events.step * net.dt * b2.ms)
        count = b2.SpikeMonitor(group, record=False)
        projections = []
        for before, w, delay in ((source, weights.w_in, 0.0), (group, weights.w_rec, net.delay)):
            w = w.tocoo()
            synapses = b2.Synapses(before, group, "w : 1", on_pre="v_post += w")
            synapses.connect(i=w.row, j=w.col)
            synapses.w = w.data
            synapses.delay = delay * b2.ms
            projections.append(synapses)
        network = b2.Network(group, source, count, *projections)
        network.run(events.n_steps * net.dt * b2.ms)
        b2.device.build(directory=folder, run=True, compile=True)
        times = []
        for _ in range(repeats):
            b2.device.run(directory=folder, with_output=False)
            times.append(b2.device._last_run_time)
        rate = count.num_spikes / net.n / (events.n_steps * net.dt / 1000.0)
    return {"forward": float(np.median(times)), "rate": float(rate)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "CASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        system, case = options.one
        found = globals()[f"run_{system}"](case, options.threads, options.repeats)
        found["MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found))
        return
    base: dict[str, float] = {}
    print(
        f"{'case':10} {'system':10} {'what':20} {'seconds':>10} {'x learning':>11} {'peak MB':>8}   ({options.threads} threads)"
    )
    for case in options.cases.split(","):
        for system in options.systems.split(","):
            if (system, case) in (("jax", "sparse"), ("brian2", "evidence"), ("brian2", "dense")):
                continue
            command = [sys.executable, __file__, "--one", system, case]
            command += ["--threads", str(options.threads), "--repeats", str(options.repeats)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{case:10} {system:10} {done.stderr.strip().splitlines()[-1]}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            memory, rate = found.pop("MB"), found.pop("rate", None)
            for what, took in found.items():
                key = case + what.replace("forward", "learning")
                if system == "snnlearn" and what.startswith("learning"):
                    base[key] = took
            for what, took in found.items():
                ratio = took / base.get(case + what.replace("forward", "learning"), np.nan)
                note = f"  {rate:.1f} Hz" if rate is not None else ""
                print(f"{case:10} {system:10} {what:20} {took:10.4f} {ratio:11.2f} {memory:8.0f}{note}", flush=True)


if __name__ == "__main__":
    main()
