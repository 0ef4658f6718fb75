# ---
# jupyter:
#   jupytext:
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
# # From a recording to figures
#
# A network learns to say on which side it saw more cues, while everything it does streams to one HDF5 file. The rest of the
# notebook looks at that file only: rasters, rates, interspike intervals, membranes, weights, responses to the two classes, and how
# close the learning rule comes to the exact gradient while it learns. Every function reads only what it needs, so the same cells
# work on a file of many gigabytes.
#
# `SNNLEARN_SHORT=1` in the environment makes a short form of the run.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import snnlearn as sl
from snnlearn import analysis
from snnlearn.plot.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    PURPLE,
    STYLE,
    VERMILLION,
)

# %matplotlib inline
plt.rcParams.update(
    STYLE
    | {
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.spines.right": False,
    }
)

batches = 8 if os.environ.get("SNNLEARN_SHORT") else 150
path = "analysis.h5"

# 3 cues, a delay, a decision: 900 ms
task = sl.tasks.EvidenceAccumulation(n_cues=3, delay=300.0, seed=1)
net = sl.Network(
    task.n_inputs,
    [
        sl.LIF(40, tau_m=20.0, threshold=0.6, refractory=4.0),
        sl.ALIF(40, tau_m=20.0, tau_a=600.0, beta=0.05, threshold=0.6, refractory=4.0),
    ],
    sl.Readout(task.n_outputs, tau=20.0),
)
sim = sl.Simulator(
    net,
    rule=sl.EProp(feedback="random"),
    optimizer=sl.Adam(5e-3),
    loss=sl.CrossEntropy(),
    regularizer=sl.RateRegularizer(target=15.0, strength=2.0),
    passive=[
        sl.BPTT()
    ],  # its gradient is computed beside, for comparison, and never applied
    passive_every=4,
    seed=1,
)
shown = [0, 1, 40, 41]
with sl.Recorder(
    path,
    v=shown,
    threshold=shown,
    learning_signal=shown,
    every=16,
    weights_every=10,
    overwrite=True,
) as recorder:
    sim.train(
        task,
        trials=32 * batches,
        batch=32,
        recorder=recorder,
        evaluate_every=25,
        evaluate_trials=128,
    )

# %% [markdown]
# ## What is in the file
#
# Opening reads the index, not the data. `snnlearn info analysis.h5` prints everything that is known about the run, including the
# configuration; this is the short form.

# %%
rec = sl.open_recording(path)
rec

# %% [markdown]
# `sl.plot.watch` follows a run while it goes on, from another notebook or, as `snnlearn watch`, from a terminal. Of a finished run
# it shows how it went.

# %%
sl.plot.watch(path);

# %% [markdown]
# ## Spikes before and after learning
#
# The first and the last trial that were recorded. The cues come in the first 450 ms, the decision in the last 150 ms; the lines
# mark both. After learning some neurons fire through the delay between them, when there is nothing to see.

# %%
first, last = int(rec.trials[0]), int(rec.trials[-1])
fig, axes = plt.subplots(2, 1, figsize=(10, 7), sharex=True)
for ax, trial in zip(axes, (first, last)):
    sl.plot.raster(rec, trial, ax)
    for at in (450, 750):
        ax.axvline(at, color=BLACK, linewidth=1, linestyle=(0, (4, 2)))
axes[0].set_xlabel("");

# %% [markdown]
# ## Rates over learning
#
# `analysis.rates` counts spikes in bins of time, here one bin a trial and a column for each neuron. Left: the mean of each
# population, averaged over ten trials. Right: how the neurons' rates are distributed over the last fifty trials; the regularizer
# pulls them towards 15 Hz (dashed).

# %%
groups = {"LIF": (slice(0, 40), BLUE), "ALIF": (slice(40, 80), VERMILLION)}
rates = analysis.rates(rec, bin=task.n_steps * task.dt, each=True)


def smooth(x, n=10):
    n = min(n, len(x))
    return np.convolve(x, np.ones(n) / n, "valid")


fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for name, (neurons, color) in groups.items():
    curve = smooth(rates.rate[:, neurons].mean(axis=1))
    axes[0].plot(rates.trial[: curve.size], curve, color=color, label=name)
    late = rates.rate[-50:, neurons].mean(axis=0)
    axes[1].hist(
        late,
        bins=np.arange(0, 81, 5),
        histtype="step",
        linewidth=1.8,
        color=color,
        label=name,
    )
axes[0].set(xlabel="trial", ylabel="mean rate (Hz)", ylim=(0, None))
axes[0].set_title("Rate of each population", loc="left")
axes[1].axvline(15, color=BLACK, linewidth=1.2, linestyle=(0, (4, 2)))
axes[1].set(xlabel="rate (Hz)", ylabel="neurons", xlim=(0, 80))
axes[1].set_title("Rates of the neurons, last 50 trials", loc="left")
for ax in axes:
    ax.legend(frameon=False)

# %% [markdown]
# ## Intervals between spikes
#
# `analysis.intervals` gives a histogram of all interspike intervals, and their coefficient of variation for each neuron: 0 for a
# clock, 1 for a Poisson process, more for bursts, as here, where neurons answer to cues. Nothing is shorter than the refractory time of 4 ms.

# %%
late = rec.trials[-100:]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for name, (neurons, color) in groups.items():
    isi = analysis.intervals(rec, bin=2.0, longest=150.0, trials=late, neurons=neurons)
    axes[0].stairs(
        isi.counts / max(isi.counts.sum(), 1),
        isi.edges,
        color=color,
        linewidth=1.8,
        label=name,
    )
    axes[1].hist(
        isi.cv[isi.n > 20],
        bins=np.arange(0, 6.1, 0.5),
        histtype="step",
        linewidth=1.8,
        color=color,
        label=name,
    )
axes[0].set(
    xlabel="interspike interval (ms)",
    ylabel="share of intervals",
    xlim=(0, 150),
    yscale="log",
)
axes[0].set_title("Intervals", loc="left")
axes[1].axvline(1, color=BLACK, linewidth=1.2, linestyle=(0, (4, 2)))
axes[1].annotate(
    "Poisson",
    (1, 1),
    (-5, -12),
    xycoords=("data", "axes fraction"),
    textcoords="offset points",
    ha="right",
)
axes[1].set(xlabel="coefficient of variation", ylabel="neurons", xlim=(0, 6))
axes[1].yaxis.get_major_locator().set_params(integer=True)
axes[1].set_title("Irregularity of each neuron", loc="left")
for ax in axes:
    ax.legend(frameon=False)

# %% [markdown]
# ## Membranes and thresholds
#
# Four neurons of the last trial. The threshold of an adaptive neuron rises with each of its spikes and relaxes over 600 ms.

# %%
fig, ax = plt.subplots(figsize=(10, 4.5))
sl.plot.membrane(rec, last, shown, ax);

# %% [markdown]
# ## The learning signal
#
# What reaches a neuron as its error: `rec.iter_trials()` goes through the trials one by one, whatever the size of the file. The
# signal is the readout's error, sent back through random weights. Below is its mean size in the decision window of each trial: it
# falls as the network becomes sure of the right side, and is large again where it is wrong.

# %%
names = {40: "an ALIF neuron", 0: "a LIF neuron"}
strength = {neuron: [] for neuron in names}
for piece in rec.iter_trials():
    signal = piece.read("learning_signal", neurons=list(names))[750:]
    for k, neuron in enumerate(names):
        strength[neuron].append(1e4 * np.abs(signal[:, k]).mean())

fig, ax = plt.subplots(figsize=(10, 3.4))
for (neuron, values), color in zip(strength.items(), (VERMILLION, BLUE)):
    curve = smooth(np.array(values))
    ax.plot(rec.trials, values, ".", markersize=3, color=color, alpha=0.3)
    ax.plot(
        rec.trials[: curve.size],
        curve,
        color=color,
        label=f"#{neuron}, {names[neuron]}",
    )
ax.set(xlabel="trial", ylabel="mean |learning signal| (1e-4)", ylim=(0, None))
ax.set_title("Learning signal of two neurons", loc="left")
ax.legend(frameon=False);

# %% [markdown]
# ## Weights
#
# The weights were recorded every ten updates. Left: forty recurrent weights, those that moved most in blue. Right: how far each matrix
# went from where it began, relative to its norm. `sl.Weights.load(path, update=...)` puts any of these snapshots into a new network.

# %%
updates = rec.weight_updates
snapshots = [rec.weights(int(update)) for update in updates]
w_rec = np.stack([w.w_rec.ravel() for w in snapshots])
moved = np.argsort(-np.ptp(w_rec, axis=0))
rest = np.random.default_rng(0).choice(moved[500:], 32, replace=False)

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
axes[0].plot(updates, w_rec[:, rest], color=LIGHT, linewidth=0.8)
axes[0].plot(updates, w_rec[:, moved[:8]], color=BLUE, linewidth=1.3)
axes[0].set(xlabel="updates", ylabel="recurrent weight")
axes[0].set_title("Forty recurrent weights", loc="left")
for name, color in (("w_in", GREEN), ("w_rec", BLUE), ("w_out", PURPLE)):
    w = [getattr(x, name) for x in snapshots]
    axes[1].plot(
        updates,
        [np.linalg.norm(x - w[0]) / np.linalg.norm(w[0]) for x in w],
        "o-",
        markersize=4,
        color=color,
        label=name,
    )
axes[1].set(xlabel="updates", ylabel="relative change", ylim=(0, None))
axes[1].set_title("Distance from the beginning", loc="left")
axes[1].legend(frameon=False);

# %% [markdown]
# ## Responses to the two classes
#
# `analysis.psth` averages over the trials of each class, which it takes from the table of trials. The populations' rates hardly
# differ, as they should not; single neurons do. Below are the four that differ most during the delay, when there is no cue to
# see: they remember the side.

# %%
half = rec.trials[rec.n_trials // 2 :]
psth = analysis.psth(rec, bin=25.0, trials=half)
sides = [("left", BLUE), ("right", VERMILLION)]
delay = (psth.time >= 450) & (psth.time < 750)
difference = (
    np.abs(np.diff(psth.rate[:, delay].mean(axis=1), axis=0))[0]
    if psth.label.size == 2
    else np.zeros(net.n)
)
best = np.argsort(-difference)[:4]

fig = plt.figure(figsize=(10, 6.5))
grid = fig.add_gridspec(2, 4)
panels = [(fig.add_subplot(grid[0, :]), psth.rate.mean(axis=2), "All neurons")]
panels += [
    (
        fig.add_subplot(grid[1, k]),
        psth.rate[:, :, n],
        f"#{n}, {'LIF' if n < 40 else 'ALIF'}",
    )
    for k, n in enumerate(best)
]
for ax, rate, title in panels:
    for label, curve in zip(psth.label, rate):
        ax.stairs(
            curve,
            np.append(psth.time, 900),
            color=sides[label][1],
            linewidth=1.8,
            label=f"more on the {sides[label][0]}",
        )
    ax.axvspan(450, 750, color=GREY, alpha=0.12, linewidth=0)
    ax.set(xlabel="time (ms)", xlim=(0, 900), ylim=(0, None), xticks=(0, 450, 900))
    ax.set_title(title, loc="left")
panels[0][0].set(ylabel="rate (Hz)", xticks=range(0, 901, 150))
panels[0][0].annotate(
    "delay",
    (600, 1),
    (0, -14),
    xycoords=("data", "axes fraction"),
    textcoords="offset points",
    ha="center",
    color=GREY,
)
panels[0][0].legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.98))
panels[1][0].set_ylabel("rate (Hz)");

# %% [markdown]
# ## How close the rule comes to the exact gradient
#
# e-prop drops the paths by which a spike acts on other neurons, and here it sends the error back through random weights. Every fourth
# update the gradient of BPTT was computed on the same trials. At the beginning the two are unrelated, because the random feedback is;
# as the readout learns to agree with the feedback, the cosine rises: feedback alignment.

# %%
table = rec.table("alignment")
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for name, color in (("w_in", GREEN), ("w_rec", BLUE)):
    for ax, column in zip(axes, (f"cosine_{name}", f"norm_ratio_{name}")):
        values = getattr(table, column)
        curve = smooth(values, 7)
        middle = (table.update.size - curve.size) // 2
        ax.plot(table.update, values, ".", markersize=5, color=color, alpha=0.35)
        ax.plot(
            table.update[middle : middle + curve.size], curve, color=color, label=name
        )
axes[0].axhline(0, color=GREY, linewidth=0.8)
axes[0].set(xlabel="updates", ylabel="cosine to BPTT", ylim=(-0.5, 1))
axes[0].set_title("Direction", loc="left")
axes[1].set(xlabel="updates", ylabel="norm of BPTT over e-prop", ylim=(0, None))
axes[1].set_title("Size", loc="left")
for ax in axes:
    ax.legend(frameon=False, loc="upper left")

# %% [markdown]
# ## Elsewhere
#
# The same data as objects of other packages, where they are installed: `rec.to_xarray()`, `rec.to_pandas("trials")`, `rec.to_neo()`.
# And as files: `snnlearn export analysis.h5 --format sonata --out folder` (or `nwb`, `csv`).

# %%
rec.close()
os.remove(path)
