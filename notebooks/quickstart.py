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
# # Quickstart
#
# A recurrent network of spiking neurons learns to draw a curve. You need this notebook, half a minute, and nothing else.
#
# 1. a task, and one of its trials
# 2. a network, before it has learnt anything
# 3. learning with e-prop, recorded to a file
# 4. what came of it
# 5. the same with the exact gradient
#
# `SNNLEARN_SHORT=1` in the environment makes a short form of the run, for tests.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import snnlearn as sl
from snnlearn.plot.style import BLUE, DASHED, GREY, LIGHT, STYLE, VERMILLION

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

# %% [markdown]
# ## A task
#
# Pattern generation: the input is one fixed pattern of spikes, the same in every trial, and the target is a sum of sines.
# The network has to turn the one into the other. A trial is `(x, target, mask)`; `x` is sparse, a list of events.

# %%
sizes = (
    {"n_steps": 60, "n_inputs": 10, "periods": (60.0, 30.0)}
    if SHORT
    else {"n_inputs": 20}
)
task = sl.tasks.PatternGeneration(seed=3, **sizes)
x, target, mask = task.trial(0)
print(x, target.shape, mask)

fig, axes = plt.subplots(2, 1, figsize=(10, 4.5), sharex=True)
axes[0].plot(x.step, x.channel, "|", color=GREY, markersize=2)
axes[0].set(ylabel="input channel")
axes[0].set_title("Input: frozen spikes", loc="left")
axes[1].plot(target, **DASHED)
axes[1].set(xlabel="time (ms)", ylabel="target", xlim=(0, task.n_steps))
axes[1].set_title("Target", loc="left")
plt.show()

# %% [markdown]
# ## A network
#
# A description, in ms: 100 leaky integrate-and-fire neurons, all connected to all but themselves, and a leaky readout.
# `init_weights` draws weights from a seed, and `simulate` runs them without learning. Arrays of weights are `[pre,
# post]`.

# %%
net = sl.Network(
    n_inputs=task.n_inputs,
    neurons=sl.LIF(10 if SHORT else 100, tau_m=30.0, threshold=0.5, refractory=2.0),
    readout=sl.Readout(task.n_outputs, tau=30.0, normalize_input=True),
)
weights = net.init_weights(seed=1)
before = sl.simulate(net, weights, x)
print(
    f"{1000 * before.spikes.mean():.1f} Hz per neuron, weights {weights.w_in.shape}, "
    f"{weights.w_rec.shape}, {weights.w_out.shape}"
)

fig, axes = plt.subplots(2, 1, figsize=(10, 4.5), sharex=True)
neuron = int(np.argsort(before.spikes.sum(axis=0))[int(0.6 * net.n)])
axes[0].plot(before.v[:, neuron], color=BLUE, linewidth=1)
axes[0].axhline(0.5, **DASHED)
fired = np.flatnonzero(before.spikes[:, neuron])
axes[0].plot(
    fired, np.full(fired.size, 1.15 * before.v[:, neuron].max()), "|", color="black"
)
axes[0].set_ylabel("$v$")
axes[0].set_title(f"Neuron {neuron}: potential, threshold (dashed), spikes", loc="left")
axes[1].plot(before.readout, color=VERMILLION)
axes[1].plot(target, **DASHED)
axes[1].set(xlabel="time (ms)", ylabel="readout", xlim=(0, task.n_steps))
axes[1].set_title("Readout before learning, and the target (dashed)", loc="left")
plt.show()

# %% [markdown]
# ## Learning
#
# A simulator joins the network with a rule, an optimizer, a loss and a regularizer that keeps the neurons at about 20 Hz.
# e-prop carries a trace at every synapse forward in time, and multiplies it with the error that the readout sends back,
# here through fixed random weights. The recorder writes to a file while the training runs; the file is all that the rest
# of the notebook needs.

# %%
updates = 4 if SHORT else 400


def learner(rule):
    return sl.Simulator(
        net,
        rule=rule,
        optimizer=sl.Adam(sl.ExponentialDecay(5e-3, 0.1, updates)),
        loss=sl.MeanSquaredError(),
        regularizer=sl.RateRegularizer(target=20.0, strength=30.0),
        seed=1,
    )


sim = learner(sl.EProp(feedback="random"))
shown = [0, 1, 2]
with sl.Recorder(
    "quickstart.h5",
    v=shown,
    every=max(1, updates // 20),
    weights_every=max(1, updates // 4),
    overwrite=True,
) as recorder:
    history = sim.train(task, trials=updates, batch=1, recorder=recorder)
print(
    f"{history.status}: normalised error {history.score[0]:.2f} -> "
    f"{history.score[-1]:.3f}, {history.rate[-1]:.1f} Hz"
)

# %% [markdown]
# ## What came of it
#
# Opening a recording reads its index only. `snnlearn info quickstart.h5` prints everything that it knows about the run,
# and `sl.plot.story` draws one page. Here are single panels: the error falls to a fiftieth of what it was, and the
# readout follows its target.

# %%
recording = sl.open_recording("quickstart.h5")
print(recording)
fig, axes = plt.subplots(2, 2, figsize=(13, 7))
sl.plot.raster(recording, ax=axes[0, 0])
sl.plot.learning_curve(recording, axes[0, 1])
sl.plot.readout(recording, ax=axes[1, 0])
sl.plot.weights_histogram(recording, axes[1, 1])
plt.show()

# %% [markdown]
# ## The exact gradient
#
# A rule is one word. BPTT follows every path through the network, and needs the tape of the trial to go back; e-prop
# needs neither. `sl.compare` says how close e-prop's gradient comes at the initial weights, and two trainings say what
# that is worth on this task.

# %%
print(
    sl.compare(net, weights, (x, target), [sl.EProp(), sl.EProp(reset_gradient=True)])
)
exact = learner(sl.BPTT()).train(task, trials=updates, batch=1)
ax = sl.plot.learning_curves(
    {"e-prop, random feedback": history, "BPTT": exact}, window=max(1, updates // 60)
)
ax.set(yscale="log", ylabel="normalised error")
ax.axhline(1.0, color=LIGHT, linewidth=0.8, zorder=0)
plt.show()

# %% [markdown]
# e-prop with random feedback is online and local, and explains about 97 % of the target. The exact gradient needs a fifth of
# the trials and gets closer still: that is what the crossings of recurrent synapses and the true readout weights, which
# e-prop here does without, are worth on this task. `taxonomy.ipynb` takes the two apart.
#
# **Where next.** `digits.ipynb` classifies real data, `evidence.ipynb` shows eligibility traces and learning signals at work, `neuromorphic.ipynb` learns under
# the constraints of hardware, `taxonomy.ipynb` goes from BPTT to every other rule, `analysis.ipynb` looks at a
# recording in depth, and `sweep.ipynb` runs rules, seeds and learning rates side by side.
