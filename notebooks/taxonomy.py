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
# # From BPTT to e-prop of order m
#
# You know backpropagation through time (BPTT). This notebook takes you from there to the rules that learn *online* in a
# recurrent spiking network: real-time recurrent learning (RTRL), e-prop, e-prop of order *m*, SnAp, RFLO, UORO and truncated
# BPTT. All of them answer one question: **which paths from a weight to the loss does the gradient follow?** The taxonomy is that of
# Martin-Sanchez, Bohte & Otte 2022 ([arXiv 2207.11439](https://arxiv.org/abs/2207.11439)).
#
# Every number and every figure below comes out of the cells above it, except the learning curves of section 7, which are read
# from `benchmarks/results/`.

# %%
import json
import os
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import snnlearn as sl
from snnlearn.plot.style import (
    BLACK,
    BLUE,
    DASHED,
    GREEN,
    GREY,
    LIGHT,
    PURPLE,
    SKY,
    STYLE,
    VERMILLION,
)
from snnlearn.rules.base import describe
from snnlearn.rules.closeness import closeness

SHORT = os.environ.get("SNNLEARN_SHORT") == "1"  # small sizes, for the tests
plt.rcParams.update(
    {
        **STYLE,
        "axes.spines.right": False,
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
    }
)

# %% [markdown]
# ## 1. A spiking network has two recurrences
#
# Neuron $j$ has a hidden state $s_j$: the membrane potential $v_j$, and, if it adapts (ALIF), a trace $a_j$ that raises its threshold.
# It spikes, $z_j[t] = \Theta\big(v_j[t] - \vartheta - \beta_j a_j[t]\big)$, and
#
# $$
# \underbrace{\begin{pmatrix} v_j[t]\\ a_j[t]\end{pmatrix}}_{s_j[t]}
# = \underbrace{\begin{pmatrix}\alpha & 0\\ 0 & \rho\end{pmatrix}}_{A}
# \begin{pmatrix} v_j[t-1]\\ a_j[t-1]\end{pmatrix}
# + \underbrace{\begin{pmatrix}1\\ 0\end{pmatrix}}_{b} I_j[t]
# + \underbrace{\begin{pmatrix}-\vartheta\\ 1\end{pmatrix}}_{r} z_j[t-1],
# $$
#
# $$
# I_j[t] = \sum_i x_i[t]\,W^{\mathrm{in}}_{ij} + \sum_i z_i[t-d]\,W_{ij}.
# $$
#
# (Weights are indexed `[pre i, post j]`, as in the package.) The step $\Theta$ has no useful derivative, so a pseudo-derivative $\psi_j[t]$ stands for it:
#
# $$ c_j[t] = \frac{\partial z_j[t]}{\partial s_j[t]} = \psi_j[t]\,(1,\ -\beta_j), \qquad
# \psi_j = \frac{\gamma}{\vartheta}\max\Big(0,\ 1-\big|v_j-\vartheta-\beta_j a_j\big|/\vartheta\Big). $$
#
# Information now reaches later steps in two ways:
#
# * **implicit recurrence**: a neuron's own state, $\dfrac{\partial s_j[t]}{\partial s_j[t-1]} = A + r\,c_j[t-1]$. It stays *inside* the neuron. The first component of $r$
#   is the reset, the second the adaptation; "reset detached" sets the first to 0 in derivatives (section 6);
# * **explicit recurrence**: a spike of $i$ crosses a synapse and changes *another* neuron's state, $\dfrac{\partial s_j[t]}{\partial s_i[t-d]} = b\,W_{ij}\,c_i[t-d]$.
#
# Here is such a network: half LIF, half ALIF, sparse recurrent synapses, and one readout $y$ that should follow a sum of sines.

# %%
# steps, neurons of a group, inputs
n_steps, n, n_inputs = (30, 5, 6) if SHORT else (300, 30, 30)
task = sl.tasks.PatternGeneration(
    n_steps=n_steps,
    n_inputs=n_inputs,
    periods=tuple(n_steps / np.array([1.0, 2.0, 3.0, 5.0])),
    seed=3,
)
net = sl.Network(
    n_inputs=task.n_inputs,
    neurons=[
        sl.LIF(n, tau_m=20.0, threshold=0.6, refractory=2.0),
        sl.ALIF(n, tau_m=20.0, tau_a=200.0, beta=0.1, threshold=0.6, refractory=2.0),
    ],
    readout=sl.Readout(1, tau=20.0),
    recurrent=sl.Sparse(indegree=3 if SHORT else 8),
)
weights = net.init_weights(
    seed=2, gain={"w_in": 2.0 if SHORT else 0.8, "w_rec": 1.0, "w_out": 0.3}
)
x, target, _ = task.trial(0)
trial = (x, target)
run = sl.simulate(net, weights, x, dtype="float64")
rate = 1000 * run.spikes.mean()
print(
    f"{n_steps} steps, {net.n} neurons, {weights.w_rec.nnz} recurrent and "
    f"{weights.w_in.size} input synapses, {rate:.1f} Hz"
)

# %%
time, lif, alif = (
    np.arange(n_steps),
    int(run.spikes[:, :n].sum(0).argmax()),
    n + int(run.spikes[:, n:].sum(0).argmax()),
)
fig, axes = plt.subplots(4, 1, figsize=(10, 8), sharex=True, height_ratios=[2, 1, 1, 1])
for name, start, color in (("LIF", 0, BLUE), ("ALIF", n, VERMILLION)):
    step, neuron = np.nonzero(run.spikes[:, start : start + n])
    axes[0].plot(
        step, start + neuron, "|", color=color, markersize=4, markeredgewidth=1.2
    )
    axes[0].text(
        1.01,
        start + n / 2,
        name,
        color=color,
        transform=axes[0].get_yaxis_transform(),
        va="center",
    )
axes[0].set(ylabel="neuron", ylim=(-1, net.n))
axes[0].set_title(f"Spikes, {rate:.0f} Hz per neuron", loc="left")
for ax, j, beta, color in ((axes[1], lif, 0.0, BLUE), (axes[2], alif, 0.1, VERMILLION)):
    threshold, spikes = 0.6 + beta * run.a[:, j], time[run.spikes[:, j]]
    top = max(run.v[:, j].max(), threshold.max())
    ax.plot(time, run.v[:, j], color=color)
    ax.plot(time, threshold, **DASHED)
    ax.plot(spikes, np.full(spikes.size, 1.2 * top), "|", color=BLACK, markersize=8)
    ax.set(ylabel="$v$", ylim=(run.v[:, j].min() - 0.1, 1.35 * top))
    ax.set_title(
        f"{'ALIF' if beta else 'LIF'} neuron {j}: potential, threshold (dashed), "
        "spikes",
        loc="left",
    )
axes[3].plot(time, run.readout[:, 0], color=GREEN, label="readout")
axes[3].plot(time, target[:, 0], **DASHED, label="target")
axes[3].set(xlabel="time (ms)", ylabel="$y$", xlim=(0, n_steps))
axes[3].set_title(
    "Readout (green) before learning, and its target (dashed)", loc="left"
)
plt.show()

# %% [markdown]
# **The paths.** Unrolled in time, the network is a graph. The gradient of a weight is a sum over paths: from the step at which the weight acted, along implicit arrows
# (horizontal) and explicit arrows (diagonal), to the loss. The number of explicit arrows, that is, of recurrent synapses crossed, is the *order* of the path:
#
# $$
# \frac{dE}{dW_{ij}} = \sum_{t}\sum_{s\le t} \frac{\partial E}{\partial z[t]}\;
# \underbrace{\big[\text{all paths from } s_j[s] \text{ to } z[t]\big]}_{0,\,1,\,2,\,\dots \text{ crossings}}\; b\,z_i[s-d].
# $$
#
# Paths without a crossing are e-prop (order 1). Paths with up to $m-1$ crossings are e-prop of order $m$. All paths are BPTT.

# %%
fig, ax = plt.subplots(figsize=(10, 3.9))
rows, columns = 3, 7
for t in range(columns):
    for i in range(rows):
        ax.plot(t, i, "o", color="white", markeredgecolor=GREY, markersize=17, zorder=3)
        ax.text(
            t, i, f"$s_{rows - i}$", ha="center", va="center", fontsize=10, zorder=4
        )
arrow = {"arrowstyle": "-|>", "shrinkA": 10, "shrinkB": 10, "mutation_scale": 12}
for t in range(columns - 1):
    for i in range(rows):
        ax.annotate(
            "", (t + 1, i), (t, i), arrowprops={**arrow, "color": LIGHT, "linewidth": 1}
        )
    for i, j in ((0, 1), (1, 2), (2, 0)):
        ax.annotate(
            "",
            (t + 1, j),
            (t, i),
            arrowprops={
                **arrow,
                "color": LIGHT,
                "linewidth": 0.7,
                "linestyle": "dotted",
            },
        )
paths = (
    ("0 crossings: e-prop", [2] * 7, BLUE),
    ("1 crossing: order 2", [2, 2, 2, 0, 0, 0, 0], VERMILLION),
    ("2 crossings: order 3", [2, 0, 0, 0, 1, 1, 1], GREEN),
)
for k, (name, path, color) in enumerate(paths):
    shift = 0.07 * (1 - k)
    for t, (i, j) in enumerate(pairwise(path)):
        style = {
            **arrow,
            "color": color,
            "linewidth": 2.2,
            "linestyle": "solid" if i == j else (0, (3, 1.5)),
        }
        ax.annotate("", (t + 1, j + shift), (t, i + shift), arrowprops=style, zorder=5)
    ax.plot([], [], color=color, linewidth=2.2, label=name)
ax.annotate(
    "", (0, 2.06), (-0.8, 2.06), arrowprops={**arrow, "color": BLACK, "linewidth": 1.5}
)
ax.text(-0.85, 2.06, "$b\\,z_i$: the\nweight acts", ha="right", va="center")
ax.text(columns - 0.7, 1, "to the\nloss", ha="left", va="center")
ax.set(xlim=(-1.8, columns - 0.2), ylim=(-0.4, 2.5), xticks=range(columns), yticks=[])
ax.set_xticklabels(["$t$"] + [f"$t+{k}$" for k in range(1, columns)])
ax.spines[["left", "bottom"]].set_visible(False)
ax.tick_params(length=0)
ax.plot([], [], color=LIGHT, label="implicit: the neuron's own state")
ax.plot([], [], color=LIGHT, linestyle="dotted", label="explicit: a synapse")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
plt.show()

# %% [markdown]
# ## 2. BPTT and RTRL are the same gradient
#
# BPTT stores the trial and runs the sum backward. RTRL carries every weight's influence $\partial s_l[t]/\partial W_{ij}$ on *every* neuron $l$ forward, so that the gradient is
# complete at each step, without a tape, but at $O(n \cdot \text{synapses})$ memory. They are two orders of summation of the same paths. `EProp(order=None)`, with all crossings, is a third name for it,
# in either direction.

# %%
bptt = sl.gradient(net, weights, x, target, sl.BPTT())
same = (
    sl.RTRL(),
    sl.EProp(order=None, method="forward"),
    sl.EProp(order=None, method="adjoint"),
)
# negative control: a rule that leaves paths out is told apart
for rule in (*same, sl.EProp(order=4)):
    g = sl.gradient(net, weights, x, target, rule)
    errors = {
        m: closeness(getattr(g, m), getattr(bptt, m))[2]
        for m in ("w_in", "w_rec", "w_out")
    }
    print(
        describe(rule).ljust(36),
        "relative error:",
        ", ".join(f"{m} {e:.1e}" for m, e in errors.items()),
    )

# %% [markdown]
# ## 3. e-prop: drop the explicit recurrence
#
# Keep only the paths that stay inside the neuron. What remains factorises into two terms: a **learning signal** that says how the readout wants the neuron to
# change, and an **eligibility trace** that the synapse carries forward by itself:
#
# $$
# \begin{aligned}
# \varepsilon^v_{ij}[t] &= \alpha\,\varepsilon^v_{ij}[t-1] + z_i[t-d] & \text{(membrane)}\\
# \varepsilon^a_{ij}[t] &= \rho\,\varepsilon^a_{ij}[t-1] + e_{ij}[t-1] & \text{(adaptation)}\\
# e_{ij}[t] &= \psi_j[t]\,\big(\varepsilon^v_{ij}[t]-\beta_j\,\varepsilon^a_{ij}[t]\big), \qquad \bar e_{ij}[t]=\kappa\,\bar e_{ij}[t-1]+e_{ij}[t]\\
# L_j[t] &= \sum_k W^{\mathrm{out}}_{jk}\,\big(y_k[t]-y^*_k[t]\big), \qquad \frac{dE}{dW_{ij}} \approx \sum_t L_j[t]\,\bar e_{ij}[t].
# \end{aligned}
# $$
#
# Those equations in NumPy for all input synapses at once, and the package's gradient beside them:

# %%
pre = np.zeros((n_steps, net.n_inputs))
np.add.at(pre, (x.step, x.channel), 1.0)
alpha, rho, kappa = np.exp(-1 / 20.0), np.exp(-1 / 200.0), np.exp(-1 / 20.0)
beta = np.repeat([0.0, 0.1], n)
signal = (run.readout - target) @ weights.w_out.T  # L [T, n]
shape = (net.n_inputs, net.n)
eps_v, eps_a, e, ebar, grad = (np.zeros(shape) for _ in range(5))
traces = {name: np.zeros((n_steps, *shape)) for name in ("eps_v", "eps_a", "e", "ebar")}
for t in range(n_steps):
    eps_v = alpha * eps_v + pre[t][:, None]
    eps_a = rho * eps_a + e
    e = run.psi[t] * (eps_v - beta * eps_a)
    ebar = kappa * ebar + e
    grad += signal[t] * ebar
    for name, value in (("eps_v", eps_v), ("eps_a", eps_a), ("e", e), ("ebar", ebar)):
        traces[name][t] = value
eprop = sl.gradient(net, weights, x, target, sl.EProp())
print(f"NumPy against sl.EProp: relative error {closeness(grad, eprop.w_in)[2]:.1e}")
print(f"sl.EProp against BPTT:  cosine {closeness(eprop.w_in, bptt.w_in)[0]:.3f}")

# %%
i = int(np.abs(traces["ebar"][:, :, alif]).max(0).argmax())
products = signal[:, alif] * traces["ebar"][:, i, alif]
panels = [
    ("Presynaptic spikes", "$x_i$", pre[:, i], GREY),
    (
        "Pseudo-derivative: is the neuron near its threshold?",
        "$\\psi_j$",
        run.psi[:, alif],
        PURPLE,
    ),
    (
        "Eligibility: membrane trace",
        "$\\varepsilon^v_{ij}$",
        traces["eps_v"][:, i, alif],
        BLUE,
    ),
    (
        "Eligibility: adaptation trace, slow",
        "$\\varepsilon^a_{ij}$",
        traces["eps_a"][:, i, alif],
        SKY,
    ),
    ("Filtered eligibility", "$\\bar e_{ij}$", traces["ebar"][:, i, alif], GREEN),
    ("Learning signal", "$L_j$", signal[:, alif], VERMILLION),
    (
        "Gradient so far: running sum of $L_j\\,\\bar e_{ij}$",
        "sum",
        np.cumsum(products),
        BLACK,
    ),
]
fig, axes = plt.subplots(
    len(panels),
    1,
    figsize=(10, 9),
    sharex=True,
    height_ratios=[0.5] + [1] * (len(panels) - 1),
)
for ax, (title, label, values, color) in zip(axes, panels, strict=True):
    if ax is axes[0]:
        ax.vlines(time[values > 0], 0, 1, color=color)
        ax.set_yticks([])
    else:
        ax.plot(time, values, color=color)
        ax.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)
    ax.set_ylabel(label)
    ax.set_title(title, loc="left", fontsize=11)
axes[-1].set(xlabel="time (ms)", xlim=(0, n_steps))
fig.suptitle(
    f"From input {i} to ALIF neuron {alif}", x=0.01, ha="left", fontweight="bold"
)
plt.show()

# %% [markdown]
# Every quantity is local to the synapse or comes from the readout; nothing has to wait for the end of the trial. The price: the gradient is no longer exact, since this neuron's
# influence through others is missing.
#
# ## 4. Order m, and its relatives, against BPTT
#
# Order $m$ puts crossings back one at a time. The other rules prune differently:
#
# * **SnAp-n** keeps the influence of a weight on neurons within $n-1$ synapses, and all paths among those;
# * **RFLO** is e-prop without the adaptation trace (and without the reset);
# * **UORO** replaces the influence by a random rank-one product that is exact *in the mean*: one sample is noise, many are RTRL;
# * **truncated BPTT** keeps all paths but only inside windows of $k$ steps; errors do not cross the window's border.
#
# `sl.compare` measures all of them on one trial.

# %%
orders, hops, windows = (1, 2, 3, 4, 5, 6, 7, 8), (1, 2, 3), (5, 20, 60)
family = [sl.EProp(order=m, reset_gradient=True) for m in orders] + [
    sl.SnAp(n) for n in hops
]
relatives = {
    "e-prop as published (reset detached)": sl.EProp(),
    "RFLO": sl.RFLO(),
    "UORO, one sample": sl.UORO(seed=0),
    **{f"BPTT in windows of {k} steps": sl.TruncatedBPTT(window=k) for k in windows},
}
table = sl.compare(net, weights, trial, [*family, *relatives.values()])
names = [f"order {m}" for m in orders] + [f"SnAp-{n}" for n in hops] + list(relatives)
print(
    f"{'':38}{'cosine with BPTT':>18}{'norm / BPTT':>22}\n"
    f"{'rule':38}{'w_in':>9}{'w_rec':>9}{'w_in':>13}{'w_rec':>9}"
)
for name, cosines, ratios in zip(names, table.cosine, table.norm_ratio, strict=True):
    print(
        f"{name:38}{cosines[0]:9.4f}{cosines[1]:9.4f}{ratios[0]:13.3f}{ratios[1]:9.3f}"
    )

# %% [markdown]
# How many samples of UORO does the mean take? The variance falls as one over the number of samples, and single samples are far from the mean.

# %%
n_samples = 3 if SHORT else 3000
total, uoro_cosine = (
    {m: 0.0 for m in ("w_in", "w_rec")},
    {m: [] for m in ("w_in", "w_rec")},
)
for seed in range(n_samples):
    g = sl.gradient(net, weights, x, target, sl.UORO(seed=seed), threads=1)
    for m, sums in total.items():
        value = getattr(g, m)
        total[m] = sums + np.asarray(value.data if hasattr(value, "indptr") else value)
        reference = getattr(bptt, m)
        exact = np.asarray(
            reference.data if hasattr(reference, "indptr") else reference
        )
        uoro_cosine[m].append(closeness(total[m], exact)[0])
for m, values in uoro_cosine.items():
    shown = [k for k in (1, 10, 100, 1000, 3000) if k <= n_samples]
    print(m, ", ".join(f"mean of {k}: cosine {values[k - 1]:.3f}" for k in shown))

# %%
fig, axes = plt.subplots(1, 3, figsize=(13.5, 4.6), width_ratios=[1, 1.1, 1])
rows = np.arange(len(relatives))
for m, (color, marker, name) in {
    "w_in": (BLUE, "o", "input"),
    "w_rec": (VERMILLION, "s", "recurrent"),
}.items():
    cosines = table.cosine[:, table.matrices.index(m)]
    axes[0].plot(
        orders,
        1 - cosines[: len(orders)],
        color=color,
        marker=marker,
        label=f"order m, {name}",
    )
    snap = {
        "color": color,
        "marker": marker,
        "markerfacecolor": "white",
        "linestyle": "dashed",
    }
    axes[0].plot(
        hops, 1 - cosines[len(orders) : len(family)], **snap, label=f"SnAp-m, {name}"
    )
    axes[1].plot(
        cosines[len(family) :],
        rows,
        color=color,
        marker=marker,
        linestyle="none",
        markersize=8,
    )
    axes[2].plot(np.arange(1, n_samples + 1), uoro_cosine[m], color=color, label=name)
axes[0].set(xlabel="$m$", ylabel="1 - cosine with BPTT", yscale="log", xticks=orders)
axes[0].legend(frameon=False)
axes[0].set_title("Order m and SnAp-m", loc="left")
axes[1].set_yticks(
    rows,
    [
        "e-prop, published",
        "RFLO",
        "UORO, 1 sample",
        *(f"windows of {k}" for k in windows),
    ],
)
axes[1].set(xlabel="cosine with BPTT", ylim=(len(rows) - 0.5, -0.5))
for edge in (0, 1):
    axes[1].axvline(edge, color=LIGHT, linewidth=0.8, zorder=0)
axes[1].set_title("Relatives", loc="left")
axes[2].axhline(1, color=LIGHT, linewidth=0.8, zorder=0)
axes[2].set(
    xlabel="samples averaged",
    ylabel="cosine with BPTT",
    xscale="log",
    ylim=(None, 1.05),
)
axes[2].legend(frameon=False)
axes[2].set_title("Mean of UORO", loc="left")
plt.show()

# %% [markdown]
# What the figure says about this network:
#
# * every order makes the gradient's angle to BPTT smaller, by about a factor of four in $1-\cos$ from order 2 on. Order 2 already reaches a cosine of 0.98;
# * SnAp-1 *is* order 1 with the reset attached here (their rows in the table are equal), because no neuron has a synapse onto itself. SnAp-2 and SnAp-3 are somewhat closer than orders 2 and 3, since they also keep every
#   path that *returns* within the neighbourhood;
# * the published e-prop and RFLO point as well as order 1, but are more than twice as long as BPTT: without the reset in the derivative, a spike's effect is overestimated. An optimizer that normalises, such as Adam, does not mind;
# * truncation errs on the other side: short windows lose most of the gradient's length (4 % is left with windows of 5 steps), because the readout and the membrane remember for 20 ms and the adaptation for 200 ms;
# * one sample of UORO says almost nothing in a network of this size. Its mean does converge to BPTT, but slowly: the error falls with the square root of the number of samples. Learning has to average it over many updates, at a small learning rate.
#
# ## 5. What each costs
#
# The measured time of one gradient (compiled, one thread, float64, the fastest of several) and the largest memory that it allocated. RTRL and the forward form of higher orders pay in memory what they save in the
# tape; on a trial with a beginning and an end, the adjoint form gives the same gradient for less. `EProp(method="auto")` picks the cheaper one that the setting allows: the adjoint here, the
# forward one in streams and where weights change within a trial.

# %%
costly = {
    f"order {m}, {way}": sl.EProp(order=m, method=way)
    for way in ("forward", "adjoint")
    for m in (1, 2, 3)
}
costly |= {f"SnAp-{n}": sl.SnAp(n) for n in hops}
costly |= {
    "RFLO": sl.RFLO(),
    "UORO": sl.UORO(),
    "windows of 20": sl.TruncatedBPTT(window=20),
}
costly |= {"RTRL": sl.RTRL(), "BPTT": sl.BPTT()}
cost = sl.compare(net, weights, trial, costly.values())
repeats = [
    sl.compare(net, weights, trial, costly.values()).seconds
    for _ in range(0 if SHORT else 3)
]
fastest = np.min([cost.seconds, *repeats], axis=0)
fig, axes = plt.subplots(1, 2, figsize=(12, 5), sharey=True)
rows = np.arange(len(costly))
costs = (
    (1e3 * fastest, "time (ms)"),
    (1e-6 * cost.peak_bytes, "memory at its peak (MB)"),
)
for ax, (values, label) in zip(axes, costs, strict=True):
    ax.hlines(rows, values.min() / 2, values, color=LIGHT, linewidth=2)
    ax.plot(values, rows, "o", color=BLUE, markersize=7)
    for row, value in zip(rows, values, strict=True):
        ax.annotate(
            f"{value:.0f}" if value >= 100 else f"{value:.3g}",
            (value, row),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
        )
    ax.set(xscale="log", xlabel=label, xlim=(values.min() / 2, values.max() * 3))
axes[0].set_yticks(rows, list(costly))
axes[0].set(ylim=(len(rows) - 0.5, -0.5))
axes[0].set_title(f"Time: one gradient of {n_steps} steps, {net.n} neurons", loc="left")
axes[1].set_title("Memory", loc="left")
plt.show()

# %% [markdown]
# Carried forward, the price of an order is the number of neurons that its crossings reach: with 8 synapses per neuron, order 2 follows each weight to about 8 more neurons, order 3 to nearly all of the 60, where it costs more than half of what
# RTRL costs. Backward over the tape of a trial, a further order costs a few milliseconds here, and hardly any memory. Of the rules that run forward, e-prop, SnAp-1, RFLO and UORO keep no more than a few numbers per synapse.
# (About 0.38 MB of the memory is what every gradient of this trial needs. `EProp()` and `RFLO()` choose their adjoint form here.)
#
# ## 6. The reset: attached or detached?
#
# When a neuron spikes, $\vartheta$ is subtracted from its potential. That is a path too, $z_j[t-1]\to v_j[t]$ with weight $-\vartheta$. e-prop as published leaves it out of the derivative ("detached"),
# which does little harm inside one neuron. With every *crossing*, however, it matters: the reset is the negative feedback that stops one extra spike from counting as a lasting change of the potential. Without it, each further
# order multiplies the gradient. The effect grows with the length of the trial; here it is shown at the size of the published task: 1000 steps, 100 LIF neurons, dense synapses.

# %%
published = sl.tasks.PatternGeneration(
    n_steps=60, n_inputs=10, periods=(60.0, 40.0), seed=1
)
if not SHORT:
    published = sl.tasks.PatternGeneration(seed=1)
big = sl.Network(
    published.n_inputs,
    sl.LIF(8 if SHORT else 100, tau_m=30.0, threshold=0.5, refractory=2.0),
    sl.Readout(1, tau=30.0, normalize_input=True),
)
initial = big.init_weights(seed=1)
x_big, target_big, _ = published.trial(0)


def input_gradient(rule):
    return np.asarray(sl.gradient(big, initial, x_big, target_big, rule).w_in)


all_orders = list(range(1, 5 if SHORT else 13))
full = {a: input_gradient(sl.BPTT(reset_gradient=a)) for a in (True, False)}
norms, contributions, cosine = {}, {}, {}
for a in (True, False):
    g = [input_gradient(sl.EProp(order=m, reset_gradient=a)) for m in all_orders]
    norms[a] = np.array([np.linalg.norm(v) for v in g])
    contributions[a] = np.array(
        [np.linalg.norm(later - earlier) for earlier, later in pairwise(g)]
    )
    cosine[a] = [closeness(v, full[True])[0] for v in g]
    growth = (contributions[a][-1] / contributions[a][1]) ** (
        1 / (len(contributions[a]) - 2)
    )
    print(f"reset {'attached' if a else 'detached'}:")
    print(
        f"  norm of order 1: {norms[a][0]:.3g}, order {all_orders[-1]}: "
        f"{norms[a][-1]:.3g}, BPTT: {np.linalg.norm(full[a]):.3g}"
    )
    print(f"  each order adds {growth:.2f} times what the one before added")
fig, axes = plt.subplots(1, 3, figsize=(13.5, 4.2))
for a, color, marker in ((True, BLUE, "o"), (False, VERMILLION, "s")):
    name = "attached" if a else "detached"
    axes[0].plot(all_orders, norms[a], color=color, marker=marker, label=name)
    axes[1].plot(all_orders[1:], contributions[a], color=color, marker=marker)
    axes[2].plot(all_orders, cosine[a], color=color, marker=marker)
axes[0].set(yscale="log", ylabel="norm of the gradient of $W^{in}$")
axes[0].legend(title="reset", loc="upper left")
axes[1].set(yscale="log", ylabel="norm of what order $m$ adds")
axes[2].set(
    ylabel="cosine with BPTT (attached)", ylim=(min(0.0, *cosine[False]) - 0.05, 1.05)
)
for ax, title in zip(axes, ("Norm", "Contribution", "Cosine"), strict=True):
    ax.set_xlabel("order $m$")
    ax.set_title(title, loc="left")
    ax.set_xticks(all_orders[:: 1 if len(all_orders) < 9 else 2])
plt.show()

# %% [markdown]
# Attached, the contributions of further orders shrink and the sum converges to BPTT. Detached, each order adds almost twice what the one before added, and the direction is lost after order 2; BPTT with a detached reset is larger by a factor of $10^8$ here, and of no use as a target.
# So `EProp(order=m)` differentiates the reset for $m>1$ unless told otherwise, and leaves it out for $m=1$, as published, where the two have nearly the same cosine (first points of the right panel).
#
# ## 7. Does a better gradient learn faster?
#
# An aligned gradient is a means. What counts is learning. `benchmarks/learning.py` trains the same network with e-prop of order 1, 2, 3 and with BPTT (symmetric feedback, Adam, the learning rate chosen per rule from the same grid on
# a seed that is not shown) on two tasks: *copy*, where three symbols have to be reproduced in order after a delay, and *evidence accumulation*, where the side with more cues has to be told after more than a second.

# %%
RULES = {
    "eprop:random": ("e-prop, random feedback", GREY),
    "eprop": ("e-prop (order 1)", BLUE),
    "eprop:2": ("order 2", VERMILLION),
    "eprop:3": ("order 3", GREEN),
    "bptt": ("BPTT", BLACK),
}


def results(task_name):
    """Committed results of the benchmark, from the notebook's folder or the repository's."""
    folder = next(
        p
        for p in (Path("benchmarks/results"), Path("../benchmarks/results"))
        if p.exists()
    )
    return json.loads((folder / f"learning_{task_name}.json").read_text())


def smooth(values, width):
    """Mean over the last `width` values, from the first full window on."""
    return np.lib.stride_tricks.sliding_window_view(
        np.asarray(values), width, axis=-1
    ).mean(-1)


data = {name: results(name) for name in ("copy", "evidence")}
for name, found in data.items():
    s = found["settings"]
    print(
        f"{name}: accuracy of at least {s['criterion']:g} over {s['window']} batches "
        f"of {s['batch']} trials"
    )
    for rule, (label, _) in RULES.items():
        runs = [r for r in found["runs"] if r["rule"] == rule]
        if runs:
            counts = [
                str(r["iterations_to_criterion"] or f">{s['iterations']}") for r in runs
            ]
            error = np.mean([r["final_error"] for r in runs])
            print(
                f"  {label:26} lr {runs[0]['lr']:<7g} iterations "
                f"{', '.join(counts):30} error at the end {error:.3f}"
            )

# %%
fig, axes = plt.subplots(1, 2, figsize=(13.5, 4.8))
for ax, (name, found) in zip(axes, data.items(), strict=True):
    s = found["settings"]
    for rule, (label, color) in RULES.items():
        curves = np.array([r["score"] for r in found["runs"] if r["rule"] == rule])
        if curves.size:
            curves = smooth(curves, s["window"])
            at = np.arange(s["window"], s["window"] + curves.shape[1])
            ax.fill_between(
                at, curves.min(0), curves.max(0), color=color, alpha=0.15, linewidth=0
            )
            ax.plot(at, curves.mean(0), color=color, label=label, linewidth=1.8)
    ax.axhline(s["criterion"], **{**DASHED, "color": GREY})
    ax.set(
        xlabel="iterations",
        ylabel=f"accuracy over {s['window']} batches",
        ylim=(0.45, 1.0),
        xlim=(0, s["iterations"]),
    )
    n_seeds = len({r["seed"] for r in found["runs"] if r["rule"] == "eprop"})
    ax.set_title(f"{name.capitalize()}: mean and range of {n_seeds} seeds", loc="left")
axes[0].legend(loc="lower right")
plt.show()

# %% [markdown]
# How close does each rule's gradient stay to BPTT *while it learns*? In those runs BPTT was a **passive rule**: it computed its gradient on the trajectory that the updating rule produced, and did not touch the weights.

# %%
fig, axes = plt.subplots(2, 2, figsize=(13.5, 7.2), sharey=True)
for row, (name, found) in zip(axes, data.items(), strict=True):
    for ax, (matrix, title) in zip(
        row, (("w_in", "input weights"), ("w_rec", "recurrent weights")), strict=True
    ):
        for rule, (label, color) in RULES.items():
            runs = [r["alignment"] for r in found["runs"] if r["rule"] == rule]
            if runs and runs[0]["update"]:
                curves = smooth(np.array([r[f"cosine_{matrix}"] for r in runs]), 5)
                at = np.array(runs[0]["update"])[4:]
                ax.fill_between(
                    at,
                    curves.min(0),
                    curves.max(0),
                    color=color,
                    alpha=0.15,
                    linewidth=0,
                )
                ax.plot(at, curves.mean(0), color=color, linewidth=1.8, label=label)
        ax.axhline(1, color=LIGHT, linewidth=0.8, zorder=0)
        ax.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)
        ax.set(
            xlabel="updates",
            ylabel="cosine with BPTT" if ax is row[0] else "",
            ylim=(-0.1, 1.05),
        )
        ax.set_title(f"{name.capitalize()}: {title}", loc="left")
axes[0, 0].legend(loc="lower left", ncols=2)
plt.show()

# %% [markdown]
# What the curves say, whichever way it comes out:
#
# * **On the copy task orders pay.** Order 1, 2, 3 and BPTT need 188, 168, 143 and 103 iterations to the criterion, as means of five seeds, and their errors at the end fall in the same order, from 7.7 % to 3.1 %. Seeds scatter by about 30 iterations, more than one order gains,
#   but the gap from order 1 to BPTT is there in every seed. Orders 2 and 3 keep a cosine of 0.9 to 0.98 with BPTT throughout, order 1 one of about 0.8, a little lower for the recurrent weights.
# * **On evidence accumulation orders 2 and 3 do not.** Order 1 needs 38 iterations in the mean of three seeds, order 2 51, order 3 44 and BPTT 44, within the scatter of seeds, although the cosines of orders 2 and 3 are as clearly better as before (0.74, 0.91, 0.97).
#   Orders 1 to 3 end at about 5 % error; BPTT, whose best learning rate was the largest, gets to 3.6 %. A likely reason: what this task needs, memory over a second, is in the neurons' own slow adaptation, that is, in the implicit recurrence,
#   which e-prop keeps whole. In the copy task, which symbol was where has to be kept and replayed by the network.
# * **Random feedback** (copy task) begins almost orthogonal to BPTT, with a cosine of 0.28 in the mean of the first 100 updates, and comes to 0.7: the readout's weights align with the feedback. It needs 239 iterations in the mean, and its final error is no higher than that of symmetric feedback.
#
# So a better gradient helps where crossings carry what the task needs, and only there. The differences in angle at initialisation (section 4) do not predict by themselves how much is gained.
#
# To watch this in a run of your own, name the passive rules; `sl.plot.alignment` draws what came of it, from a history or a recording.

# %%
copy = sl.tasks.Copy(
    length=2, n_symbols=2, symbol_duration=20.0, delay=20.0, n_per_group=10, seed=1
)
small = sl.Network(
    copy.n_inputs,
    sl.ALIF(6 if SHORT else 40, tau_a=200.0, beta=0.3, threshold=0.6),
    sl.Readout(copy.n_outputs, tau=10.0),
)
sim = sl.Simulator(
    small,
    rule=sl.EProp(),
    optimizer=sl.Adam(1e-2),
    loss=sl.CrossEntropy(),
    passive=[sl.BPTT(), sl.EProp(order=3)],
    passive_every=1 if SHORT else 2,
    threads=1,
)
history = sim.train(copy, trials=4 if SHORT else 16 * 200, batch=2 if SHORT else 16)
ax = sl.plot.alignment(history)
plt.show()

# %% [markdown]
# ## 8. Which rule when
#
# `sl.taxonomy()` says what each rule follows, what it can do and what it costs.

# %%
print(sl.taxonomy())

# %% [markdown]
# Some advice, from what was measured here and what the table says:
#
# | you want | take |
# |---|---|
# | the best gradient, and trials fit into memory | `BPTT()`: it costs about what e-prop's adjoint costs |
# | online learning at any length, local synapses, hardware in mind | `EProp()`; `feedback="random"` or `"adaptive"` where synapses cannot know the readout's weights |
# | online, and a network without adaptation or as little state as possible | `RFLO()` |
# | online *and* closer to the exact gradient, sparse recurrence | `EProp(order=2, method="forward")` or `SnAp(2)`; memory grows with the fan-out |
# | online and exact, a small network, or a reference | `RTRL()` |
# | unbiased online gradients, many updates to average over | `UORO()` |
# | long streams whose dependencies are short | `TruncatedBPTT(window)`, with a window of several of the longest time constants |
#
# Whatever you take: above order 1 keep the reset attached; and let a passive `BPTT()` or a higher order run beside your rule for a few hundred updates. It costs nothing but time, and tells you whether the gradient is what limits learning.
