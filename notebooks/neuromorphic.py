# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Learning under the constraints of neuromorphic hardware
#
# A chip that learns has synapses of limited range and limited number, can write its memory only so often, sees events and
# not frames, and cannot go back in time. Each of these is an option of the package. This notebook puts them on one by
# one, then all at once, and measures what each costs on one task: to draw a curve from a frozen pattern of spikes.
#
# `SNNLEARN_SHORT=1` in the environment makes a short form of the run.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import snnlearn as sl
from snnlearn.plot.style import BLACK, BLUE, COLORS, DASHED, GREY, LIGHT, STYLE

# %matplotlib inline
plt.rcParams.update(
    STYLE
    | {
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.spines.right": False,
    }
)
SHORT = os.environ.get("SNNLEARN_SHORT") == "1"

task = sl.tasks.PatternGeneration(
    n_steps=60 if SHORT else 500,
    n_inputs=20,
    periods=(60.0,) if SHORT else (500.0, 250.0, 167.0),
    seed=4,
)
trials = 3 if SHORT else 400
n, indegree = (8, 4) if SHORT else (100, 16)
lif = sl.LIF(n, tau_m=30.0, threshold=0.5, refractory=2.0)
readout = sl.Readout(1, tau=30.0, normalize_input=True)
dense = sl.Network(task.n_inputs, lif, readout)
sparse = sl.Network(
    task.n_inputs,
    lif,
    readout,
    recurrent=sl.Sparse(indegree=indegree),
    inputs=sl.Sparse(indegree=min(indegree, 10)),
)
print(
    f"dense: {n * (n - 1) + task.n_inputs * n} synapses to learn; sparse: "
    f"{n * indegree + n * min(indegree, 10)}"
)

# %% [markdown]
# ## The constraints
#
# | | here |
# |---|---|
# | none | e-prop, Adam, one update after each trial |
# | bounded weights | `bounds={"w_in": (-0.6, 0.6), "w_rec": (-0.15, 0.15)}`: clipped after each update |
# | few writes | one update after every five trials |
# | sparse fan-in | `Sparse(indegree=...)`: 16 recurrent and 10 input synapses a neuron |
# | no transport of weights | `feedback="random"`: the error comes back through fixed random weights |
# | strictly online | `update_every=1` with plain SGD: weights change at every step, nothing is stored over time |
# | all but few writes | bounded, sparse, random feedback, strictly online |

# %%
BOUNDS = {"w_in": (-0.6, 0.6), "w_rec": (-0.15, 0.15)}
ONLINE = 0.01  # learning rate of plain SGD at every step


def learn(net, rule, optimizer, batch=1, update_every="trial"):
    online = update_every != "trial"
    regularizer = sl.RateRegularizer(
        target=20.0, strength=30.0, tau=500.0 if online else None
    )
    sim = sl.Simulator(
        net,
        net.init_weights(1),
        rule,
        optimizer,
        regularizer=regularizer,
        update_every=update_every,
        seed=1,
    )
    return sim, sim.train(task, trials=trials, batch=batch)


adam = sl.Adam(5e-3)
sgd = sl.SGD(ONLINE)
runs = {
    "none": learn(dense, sl.EProp(), adam),
    "bounded weights": learn(dense, sl.EProp(), sl.Adam(5e-3, bounds=BOUNDS)),
    "few writes": learn(dense, sl.EProp(), sl.Adam(1e-2), batch=1 if SHORT else 5),
    "sparse fan-in": learn(sparse, sl.EProp(), adam),
    "no transport of weights": learn(dense, sl.EProp(feedback="random"), adam),
    "strictly online": learn(dense, sl.EProp(), sgd, update_every=1),
    "all but few writes": learn(
        sparse,
        sl.EProp(feedback="random"),
        sl.SGD(ONLINE, bounds=BOUNDS),
        update_every=1,
    ),
}
for name, (sim, history) in runs.items():
    print(
        f"{name:24} normalised error {np.mean(history.score[-10:]):.3f}, "
        f"{history.rate[-1]:5.1f} Hz, {sim.updates_done} writes"
    )

# %% [markdown]
# Bounds cost next to nothing here, although many weights of the free network lie beyond them (next figure). A fifth of
# the synapses, or a fifth of the writes, costs a factor of two to four. Random feedback is the slowest and the least
# steady: it has to wait until the readout has aligned with it. Learning strictly online costs nothing at all; with plain
# SGD it even does without the moments of Adam, two numbers a synapse. With all of them but few writes, which is the
# opposite of strictly online, the error is about twice that of the free network, and the curve on the right is still the
# one that was asked for.

# %%
fig, axes = plt.subplots(1, 2, figsize=(13, 4.8), width_ratios=[1.5, 1])
for k, (name, (_, history)) in enumerate(runs.items()):
    score = np.array(history.score)
    width = max(1, score.size // 40)
    curve = np.lib.stride_tricks.sliding_window_view(score, width).mean(axis=1)
    at = np.linspace(width / score.size, 1, curve.size) * trials
    color = [BLACK, *COLORS][k % 7]
    axes[0].plot(
        at, curve, color=color, linewidth=2.4 if k in (0, 6) else 1.3, label=name
    )
axes[0].set(yscale="log", xlabel="trials seen", ylabel="normalised error")
axes[0].axhline(1.0, color=LIGHT, linewidth=0.8, zorder=0)
axes[0].legend(frameon=False, fontsize=9)
axes[0].set_title("Learning under each constraint", loc="left")
x, target, _ = task.trial(0)
for name, color in (("none", BLACK), ("all but few writes", COLORS[5])):
    sim = runs[name][0]
    axes[1].plot(
        sl.simulate(sim.net, sim.weights, x, record=("readout",)).readout,
        color=color,
        label=name,
    )
axes[1].plot(target, **{**DASHED, "color": GREY}, label="target")
axes[1].set(xlabel="time (ms)", ylabel="readout")
axes[1].legend(frameon=False, fontsize=9)
axes[1].set_title("What came of it", loc="left")
plt.show()

# %% [markdown]
# ## What the weights look like
#
# Bounds hold at every moment of the run, not only at its end. Left: recurrent weights with and without bounds. Right: the
# synapses of the sparse network; nothing else is stored, neither as weight nor as trace nor as moment of the optimizer.

# %%
fig, axes = plt.subplots(1, 2, figsize=(13, 4.4))
bins = np.arange(-0.505, 0.51, 0.01)
for name, color, style in (
    ("none", LIGHT, "stepfilled"),
    ("bounded weights", BLUE, "step"),
):
    w = np.asarray(runs[name][0].weights.w_rec)
    axes[0].hist(
        w[w != 0], bins=bins, histtype=style, color=color, label=name, linewidth=1.6
    )
free = np.asarray(runs["none"][0].weights.w_rec)
print(
    f"{np.mean(np.abs(free[free != 0]) > 0.15):.0%} of the free network's recurrent "
    "weights lie beyond the bounds"
)
axes[0].axvline(-0.15, **DASHED)
axes[0].axvline(0.15, **DASHED)
axes[0].set(xlabel="recurrent weight, in units of v", ylabel="synapses", yscale="log")
axes[0].legend(frameon=False)
axes[0].set_title("Bounds (dashed)", loc="left")
sl.plot.connectivity(runs["all but few writes"][0].weights.w_rec, axes[1])
plt.show()

# %% [markdown]
# ## Events, and how much has to be touched
#
# An event is all that arrives: `sl.Events(step, channel, n_steps)`. In the stream below, pieces of events go in as they
# come. The same stream, fed one step at a time through `Simulator.step`, as a chip in a loop with a sensor would be, ends
# at the same weights.


# %%
def fresh():
    return sl.Simulator(dense, dense.init_weights(1), sl.EProp(), sgd, update_every=1)


def piece(start, stop):
    use = (x.step >= start) & (x.step < stop)
    return sl.Events(x.step[use] - start, x.channel[use], stop - start), target[
        start:stop
    ]


length = task.n_steps // 5
by_pieces, by_steps = fresh(), fresh()
by_pieces.run(piece(start, start + length) for start in range(0, task.n_steps, length))
frames = x.toarray(task.n_inputs)
for t in range(task.n_steps):
    by_steps.step(frames[t], target[t])
difference = np.abs(by_pieces.weights.w_rec - by_steps.weights.w_rec).max()
print(
    f"{len(x)} events in {task.n_steps} steps; largest difference of a weight: "
    f"{difference:.1e}"
)

# %% [markdown]
# In a network that spikes sparsely, most synapses have nothing to do at most steps. Below is the share of recurrent
# synapses whose source spikes, step by step. For LIF neurons and plain SGD the package brings a row of synapses up to
# date only then, with the same result as if it had changed all of them at every step.

# %%
run = sl.simulate(dense, runs["strictly online"][0].weights, x, record=("spikes",))
share = run.spikes.mean(axis=1)
fig, ax = plt.subplots(figsize=(11, 2.8))
ax.fill_between(
    np.arange(share.size), 100 * share, step="mid", color=BLUE, alpha=0.35, linewidth=0
)
ax.axhline(100 * share.mean(), color=BLUE)
ax.text(
    1.005,
    100 * share.mean(),
    f"mean {100 * share.mean():.1f} %",
    color=BLUE,
    transform=ax.get_yaxis_transform(),
    va="center",
)
ax.set(xlabel="time (ms)", ylabel="synapses (%)", xlim=(0, share.size), ylim=(0, None))
ax.set_title("Recurrent synapses whose source spikes", loc="left")
plt.show()

# %% [markdown]
# So far the package goes. What it has no option for: weights of few bits (bounds are continuous), noise and mismatch of
# synapses, spikes that are lost, and time without a clock. `Network.neurons` takes an array for each parameter, so
# mismatch of *neurons* is a line: `sl.LIF(100, tau_m=30 + rng.normal(0, 3, 100))`.
