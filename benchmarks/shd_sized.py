"""An epoch of a data set of the size of the Spiking Heidelberg Digits, beside what was published for GPUs.

    python benchmarks/shd_sized.py [--file shd_train.h5] [--neurons 256] [--dt 1] [--threads 1] [--rules eprop,eprop:2,bptt]

8156 trials of one second, 700 channels, about 8000 spikes a trial, 20 classes, batches of 64, Adam, float32. Trials are drawn
with these statistics, which is what time depends on, or read from the data set's own file (Cramer et al. 2022). Each row trains
`--trials` of them; "epoch" is the time of all 8156 at that pace, with the conversion of the events and the updates in it.

Before timing, the neurons of each network fire at 2 to 40 Hz. Rates matter little: most of the work is the inputs'.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import snnlearn as sl
from snnlearn.rules.taxonomy import parse_rule

EPOCH, CHANNELS, CLASSES, SPIKES = 8156, 700, 20, 8000
PUBLISHED = (  # seconds an epoch of the real data, at about 1 ms a step: what, seconds, device, whose figure
    ("EventProp, GeNN", 7.8, "GPU", "Nowotny, Turner, Knight, arXiv 2212.01232"),
    ("EventProp, mlGeNN", 13.2, "GPU", "Shoesmith et al., arXiv 2503.04341"),
    ("BPTT, Spyx", 29.8, "GPU", "Heckel, Nowotny, arXiv 2402.18994"),
    ("e-prop, GeNN", 53.0, "A100", "Knight, Nowotny, Efficient GPU training of LSNNs using eProp, NICE 2022; 1370 steps"),
    ("e-prop, GeNN", 117.0, "Titan V", "the same"),
    ("BPTT, SpyTorch", 205.0, "Titan V", "the same"),
)


def draw(n: int, dt: float, seed: int = 0) -> tuple[list[sl.Events], np.ndarray]:
    """n trials, events of each in steps of dt ms, and their classes [n]."""
    rng, steps, trials = np.random.default_rng(seed), int(1000 / dt), []
    labels = rng.integers(0, CLASSES, n)
    for label in labels:
        count = int(np.clip(rng.normal(SPIKES, SPIKES / 4), SPIKES / 4, 1.75 * SPIKES))
        at = rng.beta(2, 3, count)  # sweeps of frequency, one a class
        sweep = CHANNELS / 2 + 200 * np.sin(2 * np.pi * (label % 5 + 1) * at + label) + 80 * rng.standard_normal(count)
        step = np.minimum((at * steps).astype(int), steps - 1)
        trials.append(sl.Events(step, sweep.clip(0, CHANNELS - 1).astype(int), steps))
    return trials, labels


def read(path: str, n: int, dt: float) -> tuple[list[sl.Events], np.ndarray]:
    """n trials of the data set's own file."""
    task = sl.tasks.Classification(sl.datasets.SHD(path), dt=dt)
    trials = [task.trial(k) for k in range(n)]
    return [trial.x for trial in trials], np.array([np.max(trial.target) for trial in trials])


def network(n: int, adaptive: bool, dt: float) -> tuple[sl.Network, sl.Weights]:
    """n neurons, all of which adapt or none, and weights by which they fire."""
    membrane = {"tau_m": 20.0, "threshold": 0.6}
    neurons = sl.ALIF(n, tau_a=2000.0, beta=0.0174, **membrane) if adaptive else sl.LIF(n, **membrane)
    net = sl.Network(CHANNELS, neurons, sl.Readout(CLASSES, tau=20.0), dt=dt)
    return net, net.init_weights(seed=1, gain={"w_in": 0.66, "w_rec": 0.5})


Trials = tuple[list[sl.Events], np.ndarray]


def epoch(net: sl.Network, weights: sl.Weights, data: Trials, rule: str, options: argparse.Namespace) -> str:
    """Train on all trials, `--repeats` times: the row of the table."""
    xs, labels = data
    regularizer = sl.RateRegularizer(target=10.0, strength=1.0)
    learner = parse_rule(rule, **({} if rule in ("bptt", "rtrl") else {"feedback": "random"}))
    sim = sl.Simulator(net, weights, learner, sl.Adam(1e-4), sl.CrossEntropy(), regularizer, threads=options.threads)
    batches = [slice(k, k + options.batch) for k in range(0, len(xs), options.batch)]
    rate = sim.run(xs[batches[0]], labels[batches[0]]).rate  # compiles
    assert 2.0 < rate < 40.0, f"the network fires at {rate:.1f} Hz"
    took = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        for part in batches:
            sim.run(xs[part], labels[part])
        took.append((time.perf_counter() - began) / len(xs))
    kind, middle = type(net.neurons[0]).__name__, float(np.median(took))
    found = f"{1e3 * middle:9.3f} {EPOCH * middle:8.2f}   {EPOCH * min(took):6.2f} .. {EPOCH * max(took):.2f}"
    return f"{net.n:5} {kind:4} {net.dt:4.1f} {rule:9} {rate:6.1f} {found}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--file", help="shd_train.h5, where it is at hand; else trials are drawn")
    parser.add_argument("--neurons", default="256", help="sizes, as 128,256,1024")
    parser.add_argument("--models", default="ALIF", help="ALIF, LIF or both, as ALIF,LIF")
    parser.add_argument("--rules", default="eprop,eprop:2,bptt")
    parser.add_argument("--dt", default="1", help="ms, as 1,2,4")
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.threads} threads, batches of {options.batch}, {options.trials} trials a repeat, float32")
    print(f"{'n':>5} {'':4} {'dt':>4} {'rule':9} {'Hz':>6} {'ms/trial':>9} {'epoch, s':>8}   range")
    for dt in map(float, options.dt.split(",")):
        data = draw(options.trials, dt) if options.file is None else read(options.file, options.trials, dt)
        for n in map(int, options.neurons.split(",")):
            for model in options.models.split(","):
                net, weights = network(n, model == "ALIF", dt)
                for rule in options.rules.split(","):
                    print(epoch(net, weights, data, rule, options), flush=True)
    print("\npublished, seconds an epoch")
    for what, seconds, device, source in PUBLISHED:
        print(f"{what:18} {seconds:6.1f}   {device:8} {source}")


if __name__ == "__main__":
    main()
