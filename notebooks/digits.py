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
# # Handwritten digits, seen row by row
#
# 1797 real images of 8 x 8 pixels come with the package. Here a network of spiking neurons sees one row of an image at a
# time, from top to bottom, and then nothing; only then may it say which digit that was. Neither the last row nor the sum
# of all rows tells, so the network has to remember what it saw where, in its spikes or in its adaptation. It learns with
# e-prop, online and with random feedback.
#
# `SNNLEARN_SHORT=1` in the environment makes a short form of the run.

# %%
import os
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import snnlearn as sl
from snnlearn.plot.style import BLACK, BLUE, COLORS, GREY, LIGHT, STYLE, VERMILLION

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
# ## From pixels to spikes
#
# Each of the 8 columns has four input channels, which share the range of intensities between them. A row lasts 15 steps.

# %%
task = (
    sl.tasks.Digits(coding="rows", steps_per_row=2, levels=2, n_steps=20)
    if SHORT
    else sl.tasks.Digits(coding="rows")
)
data = sl.tasks.digit_images()
rows_end = 8 * task.steps_per_row
fig, axes = plt.subplots(2, 4, figsize=(12, 5), height_ratios=[1, 1.2])
for k, (top, bottom) in enumerate(axes.T):
    trial = task.trial(k, split="test")
    top.imshow(data.images[data.test[k]], cmap="Greys", vmin=0, vmax=16)
    top.set_title(f"label {trial.target}")
    top.axis("off")
    bottom.plot(trial.x.step, trial.x.channel, "|", color=BLUE, markersize=4)
    bottom.axvspan(rows_end, task.n_steps, color=BLACK, alpha=0.06, linewidth=0)
    bottom.set(xlim=(0, task.n_steps), ylim=(-1, task.n_inputs), xlabel="time (ms)")
axes[1, 0].set_ylabel("input channel")
plt.show()
print(
    f"{data.train.size} images to learn from, {data.test.size} to test; "
    f"{task.n_inputs} channels, {task.n_steps} steps a trial"
)

# %% [markdown]
# ## Learning
#
# Half of the neurons adapt over 100 ms, about as long as an image lasts. The learning rate falls to a tenth over the run.

# %%
n, batch, updates = (6, 2, 2) if SHORT else (100, 32, 600)
net = sl.Network(
    task.n_inputs,
    [
        sl.LIF(n, tau_m=20.0, threshold=1.0, refractory=2.0),
        sl.ALIF(n, tau_m=20.0, tau_a=100.0, beta=0.1, threshold=1.0, refractory=2.0),
    ],
    sl.Readout(task.n_outputs, tau=20.0, bias=True),
)
sim = sl.Simulator(
    net,
    rule=sl.EProp(feedback="random"),
    optimizer=sl.Adam(sl.ExponentialDecay(1e-2, 0.1, updates)),
    loss=sl.CrossEntropy(),
    regularizer=sl.RateRegularizer(target=20.0, strength=1.0),
)
with sl.Recorder(
    "digits.h5",
    every=max(1, batch * updates // 20),
    weights_every=max(1, updates // 4),
    overwrite=True,
) as recorder:
    tested = {
        "evaluate_every": max(1, updates // 12),
        "evaluate_trials": 4 if SHORT else None,
    }
    history = sim.train(
        task, trials=batch * updates, batch=batch, recorder=recorder, **tested
    )
print(
    f"test accuracy {history.evaluation_score[-1]:.1%} (best {history.best_score:.1%})"
)

# %%
recording = sl.open_recording("digits.h5")
fig, axes = plt.subplots(1, 2, figsize=(13, 5), width_ratios=[1.5, 1])
sl.plot.learning_curve(recording, axes[0])
sl.plot.confusion_matrix(recording, axes[1])
plt.show()

# %% [markdown]
# ## What the network believes, row by row
#
# The readout of four test images over time. Before the rows are over it often favours a digit that begins alike; the
# answer that counts is the one in the grey window.

# %%
fig, axes = plt.subplots(2, 4, figsize=(13, 5.5), height_ratios=[1, 1.6])
for k, (top, bottom) in enumerate(axes.T):
    x, label, mask = task.trial(k, split="test")
    run = sl.simulate(net, sim.weights, x, record=("readout",))
    p = np.exp(run.readout - run.readout.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    top.imshow(data.images[data.test[k]], cmap="Greys", vmin=0, vmax=16)
    top.axis("off")
    colored = dict(
        zip(
            [label, *(c for c in np.argsort(-p.max(axis=0)) if c != label)][:3],
            (BLUE, VERMILLION, COLORS[2]),
        )
    )
    for c in range(10):
        bottom.plot(
            p[:, c],
            color=colored.get(c, LIGHT),
            linewidth=2 if c == label else 1,
            label=str(c) if c in colored else None,
        )
    bottom.axvspan(rows_end, task.n_steps, color=BLACK, alpha=0.06, linewidth=0)
    bottom.set(
        xlim=(0, task.n_steps),
        ylim=(-0.02, 1.25),
        xlabel="time (ms)",
        yticks=[0, 0.5, 1] if k == 0 else [],
    )
    bottom.legend(
        frameon=False, loc="upper left", ncols=3, handlelength=1.0, columnspacing=0.8
    )
axes[1, 0].set_ylabel("softmax of the readout")
plt.show()

# %% [markdown]
# ## Where it errs
#
# Test images that the last evaluation got wrong, with what the network said.

# %%
labels, predictions = np.asarray(history.labels), np.asarray(history.predictions)
wrong = np.flatnonzero(labels != predictions)[:8]
fig, axes = plt.subplots(1, 8, figsize=(13, 2.3))
for ax in axes:
    ax.axis("off")
for ax, k in zip(axes, wrong):
    ax.imshow(data.images[data.test[k]], cmap="Greys", vmin=0, vmax=16)
    ax.set_title(f"{labels[k]} seen as {predictions[k]}", fontsize=10)
plt.show()
print(f"{(labels != predictions).sum()} of {labels.size} wrong")

# %% [markdown]
# ## Does it use its recurrent synapses?
#
# Cut them after learning, or silence the adaptation, and test again. A network that needs neither would not mind.

# %%
lif, alif = net.neurons
trials = list(task.trials(4 if SHORT else data.test.size, split="test"))
x, target = [t.x for t in trials], np.array([t.target for t in trials])
mask = np.stack([t.mask for t in trials])


def accuracy(net, weights):
    test = sl.Simulator(net, weights, loss=sl.CrossEntropy())
    return test.run(x, target, mask, learn=False).accuracy


cut = sim.weights._replace(w_rec=np.zeros_like(sim.weights.w_rec))
flat = replace(net, neurons=(lif, replace(alif, beta=0.0)))
results = {
    "as learnt": accuracy(net, sim.weights),
    "no recurrent synapses": accuracy(net, cut),
    "no adaptation": accuracy(flat, sim.weights),
}
fig, ax = plt.subplots(figsize=(7, 2.4))
ax.barh(list(results), list(results.values()), color=[BLUE, GREY, GREY], height=0.6)
for k, value in enumerate(results.values()):
    ax.text(value + 0.01, k, f"{value:.0%}", va="center")
ax.axvline(0.1, color=BLACK, linewidth=1, linestyle=(0, (4, 2)))
ax.set(xlim=(0, 1.08), xlabel="test accuracy (dashed: chance)")
ax.invert_yaxis()
plt.show()

# %% [markdown]
# It does: without its recurrent synapses the network is hardly better than chance. The adaptation it
# can do without in the end: what it remembers of the upper rows is in the activity that goes round.
#
# With all pixels at once (`Digits(coding="poisson")`), which takes no memory, 97 % are reached: `snnlearn train digits`.
# `snnlearn train digits --coding rows` trains a network like this one for longer.
