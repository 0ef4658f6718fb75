"""snnlearn itself: the forward simulation, the whole step with learning by e-prop, and by BPTT."""

from __future__ import annotations

import snnlearn as sl

from .cases import BATCHES, case, peak, seconds


def run(name: str, threads: int, repeats: int) -> dict[str, float]:
    found = {}
    for batch in BATCHES[name]:
        c, suffix = case(name, batch), f", batch {batch}" if len(BATCHES[name]) > 1 else ""
        sim = c.simulator(threads)
        found["rate"] = float(sim.run(c.xs, learn=False).rate)
        found[f"forward{suffix}"] = seconds(lambda sim=sim, c=c: sim.run(c.xs, learn=False), repeats)
        found[f"learning{suffix}"] = seconds(lambda sim=sim, c=c: sim.run(c.xs, c.targets, c.masks), repeats)
        sim = c.simulator(threads, rule=sl.BPTT())
        found[f"BPTT{suffix}"] = seconds(lambda sim=sim, c=c: sim.run(c.xs, c.targets, c.masks), repeats)
    return {**found, "MB": peak()}
