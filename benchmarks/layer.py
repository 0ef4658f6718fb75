"""A training step of `sl.torch.RecurrentSpiking` beside the same layer in snnTorch: python benchmarks/layer.py [--threads 1].

100 LIF neurons, 20 input channels of spikes, 2 readouts, 1000 steps, a batch of 32: forward, mean-squared error, backward and
torch's Adam. Both layers have the same weights, inputs and surrogate; gradients of the first step are compared, and so are the
losses of `--steps` training steps, which part once rounding moves a spike.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import time
from typing import Any

import numpy as np
from beside.cases import check_cosine
from beside.snntorch_layer import layer

import snnlearn as sl

TRIALS, STEPS, CHANNELS = 32, 1000, 20


def train(module: Any, x: Any, target: Any, steps: int) -> tuple[list[float], list[float], list[np.ndarray]]:
    """Losses and seconds of training steps, and the first one's gradients."""
    import torch

    optimizer, losses, seconds, first = torch.optim.Adam(module.parameters(), 1e-2), [], [], []
    for _ in range(steps):
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = (module(x) - target).pow(2).mean()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
        losses.append(loss.item())
        first = first or [p.grad.numpy().copy() for p in module.parameters()]
    return losses, seconds, first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    for name in ("torch", "snntorch"):
        if importlib.util.find_spec(name) is None:
            parser.error(f"{name} is not installed: pip install {name}")
    import torch

    torch.set_num_threads(options.threads)
    readout = sl.Readout(2, tau=20.0, normalize_input=True)
    net = sl.Network(CHANNELS, sl.LIF(100, threshold=0.6), readout, recurrent=sl.Dense(self_connections=True))
    weights = net.init_weights(seed=1, gain={"w_in": 0.8, "w_rec": 0.5})
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.random((TRIALS, STEPS, CHANNELS)) < 0.05, dtype=torch.float32)
    phase = torch.arange(STEPS) / 1000.0 * 2 * np.pi
    target = 0.3 * torch.stack([torch.sin(3 * phase), torch.cos(5 * phase)], dim=1).expand(TRIALS, -1, -1)
    rows: dict[str, Any] = {}
    for name, rule in (("BPTT", sl.BPTT(reset_gradient=False)), ("e-prop", sl.EProp())):
        module = sl.torch.RecurrentSpiking(net, rule, weights, threads=options.threads)
        train(module, x, target, 1)  # compiles
        module = sl.torch.RecurrentSpiking(net, rule, weights, threads=options.threads)
        rows[f"snnlearn, {name}"] = train(module, x, target, options.steps)
        print(f"snnlearn, {name}: {module.rate:.1f} Hz after training")
    rows["snnTorch, BPTT"] = train(layer(net, weights), x, target, options.steps)
    found, want = rows["snnTorch, BPTT"], rows["snnlearn, BPTT"]
    for key, g, w in zip(("w_in", "w_rec", "w_out"), found[2], want[2], strict=True):
        check_cosine(key, g.T, w)
    version = importlib.metadata.version
    print(f"torch {version('torch')}, snnTorch {version('snntorch')}, {platform.processor() or platform.machine()}")
    slow = float(np.median(found[1][1:]))
    print(f"{'':18} | ms a step | x | loss of step 1, 2, 5, 10, 20")
    for name, (losses, seconds, _) in rows.items():
        curve = ", ".join(f"{losses[k]:.5f}" for k in (0, 1, 4, 9, 19) if k < len(losses))
        median = float(np.median(seconds[1:]))
        print(f"{name:18} | {1e3 * median:9.1f} | {slow / median:.1f} | {curve}")


if __name__ == "__main__":
    main()
