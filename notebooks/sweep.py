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
# # Sweeps: rules, learning rates and seeds
#
# One run says little: another seed may turn the order of two rules around, and a rule at the wrong learning rate is not the rule at its
# best. This notebook runs three rules at four learning rates with four seeds each, on all cores, reads the results as one table, and
# shows what happens to a run that fails and to one that is cut off.
#
# `SNNLEARN_SHORT=1` in the environment makes a short form of the run.

# %%
import os
import tempfile
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np

import snnlearn as sl
from snnlearn.plot.style import BLACK, COLORS, GREY, STYLE

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
os.chdir(tempfile.mkdtemp())  # for the recordings

# %% [markdown]
# ## A run as a value
#
# What varies, varies around one configuration: a complete run as a value, which can also be written as a TOML file.
# The task is to draw a curve, a sum of three sines, from a frozen pattern of spikes.

# %%
task = sl.tasks.PatternGeneration(
    n_steps=60 if SHORT else 500,
    n_inputs=20,
    periods=(60.0,) if SHORT else (500.0, 250.0, 167.0),
)
lif = sl.LIF(8 if SHORT else 60, tau_m=30.0, threshold=0.5, refractory=2.0)
updates = 4 if SHORT else 300
config = sl.Config(
    task=task,
    net=sl.Network(task.n_inputs, lif, sl.Readout(1, tau=30.0, normalize_input=True)),
    rule=sl.EProp(),
    optimizer=sl.Adam(2e-3),
    regularizer=sl.RateRegularizer(target=20.0, strength=30.0),
    training=sl.TrainingPlan(trials=updates),
    recorder={"every": updates, "checkpoint_every": max(1, updates // 6)},
)
over = {
    "rule": ["eprop", "bptt"] if SHORT else ["eprop", "eprop:2", "bptt"],
    "optimizer.lr": [2e-3] if SHORT else [5e-4, 2e-3, 8e-3, 3.2e-2],
    "seeds": 2 if SHORT else 4,  # of weights, task and feedback together
}
config.with_sweep(over).save("pattern.toml")
print(open("pattern.toml").read().partition("[sweep]")[2])

# %% [markdown]
# In a shell, `snnlearn sweep pattern.toml --out runs --workers 2` runs it; in Python, `sl.sweep` does. Each run is a process with a
# recording of its own; the kernels of each rule are compiled once, before the first run that needs them.

# %%
began = time.perf_counter()
result = sl.sweep(config, "runs", over, workers=2, threads=1, quiet=True)
wall, own = time.perf_counter() - began, result.column("seconds").sum()
print(
    f"{len(result)} runs in {wall:.0f} s; their own times are {own:.0f} s, on 2 workers"
)
print(result)

# %% [markdown]
# ## What came out
#
# Rows are runs, and columns what varied and how each ended: `result.to_pandas()` has them as a data frame, and `sweep.csv` and
# `sweep.h5` in the folder, with all learning curves. `sl.plot.learning_curves` draws recordings of several seeds: the mean as a
# line and the range of seeds as a band.

# %%
rates, rules = over["optimizer.lr"], over["rule"]
names = {"eprop": "e-prop", "eprop:2": "order 2", "bptt": "BPTT"}
of = {
    (rule, lr): (result.column("rule") == rule) & (result.column("optimizer.lr") == lr)
    for rule in rules
    for lr in rates
}
fig, axes = plt.subplots(1, len(rates), figsize=(15, 4.2), sharey=True, squeeze=False)
for ax, lr in zip(axes[0], rates, strict=True):
    chosen = {
        names[rule]: [
            sl.open_recording(result.paths[k]) for k in np.flatnonzero(of[rule, lr])
        ]
        for rule in rules
    }
    sl.plot.learning_curves(chosen, window=1 if SHORT else 20, ax=ax)
    ax.set(yscale="log", title="", ylabel="normalised error" if lr == rates[0] else "")
    ax.set_title(f"Learning rate {lr:g}", loc="left")
    ax.get_legend().remove()
axes[0, 0].legend(frameon=False, loc="lower left")
plt.show()

# %%
fig, ax = plt.subplots(figsize=(9, 4.4))
best = {}
for k, rule in enumerate(rules):
    # [rates, seeds]
    scores = np.array([result.column("score")[of[rule, lr]] for lr in rates])
    middle = np.exp(np.log(scores).mean(axis=1))
    best[rule] = int(middle.argmin())
    ax.plot(rates, middle, color=COLORS[k], linewidth=2, label=names[rule])
    ax.plot(
        np.repeat(rates, scores.shape[1]) * 1.04 ** (k - 1),
        scores.ravel(),
        "o",
        color=COLORS[k],
        alpha=0.5,
        markersize=5,
    )
    spread = np.sort(scores[best[rule]]).round(4)
    print(
        f"{names[rule]:7} is best at {rates[best[rule]]:g}: error "
        f"{middle[best[rule]]:.4f}, seeds {spread}"
    )
ax.set(
    xscale="log",
    yscale="log",
    xlabel="learning rate of Adam",
    ylabel="normalised error, last 10 updates",
)
ax.set_xticks(rates, [f"{lr:g}" for lr in rates])
ax.minorticks_off()
ax.legend(frameon=False)
ax.set_title("Error at the end: seeds (points) and their geometric mean", loc="left")
plt.show()

# %% [markdown]
# The lines of the means say: the exact gradient of BPTT comes down fastest, e-prop of order 2 lies between it and e-prop, and where each
# rule has its own best rate, order 2 and BPTT end at the same error and e-prop at nearly twice that. The points say how far to trust them:
# seeds scatter by a factor of two to four, as much as the rules differ. And e-prop at 0.008 is not steady; one of four seeds is thrown
# off its course late in training, and with another set of seeds this rate might have looked like the best. One run of each, at one
# learning rate, would have told anything.

# %% [markdown]
# ## A run that fails
#
# A run that raises an error does not take the others with it. Here one learning rate is beyond all measure; the sweep goes on, warns,
# and the table says why. An error of this kind would come again, so the run is not repeated; after the death of a worker, an `OSError`
# or a `MemoryError` it would be, `retries` times.

# %%
os.environ["PYTHONWARNINGS"] = (
    "ignore"  # in the workers; warnings stand in the recordings as events
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    failing = sl.sweep(
        config,
        "failing",
        {"optimizer.lr": [2e-3, 1e38]},
        workers=2,
        threads=1,
        quiet=True,
    )
for row in failing.rows:
    print(
        f"lr {row['optimizer.lr']:g}: {row['status']} after {row['updates']} updates, "
        f"{row['events']} warnings. {row['error']}"
    )
print(
    "warned:",
    *[str(w.message).partition(":")[0] for w in caught if w.category is RuntimeWarning],
)

# %% [markdown]
# ## A run that is cut off
#
# A file is all the state that a run has. To show it, one recording of the first sweep is taken away and made again up to its middle,
# where Ctrl-C, a crash or a power cut ends it. The same call of `sl.sweep` then does what is left: it finds all other files complete and one
# that goes on from its last checkpoint, and the curve is bit for bit the one of the run that was not cut off.

# %%
number = int(np.flatnonzero(of["eprop", 2e-3])[0])
path, whole = result.paths[number], result.curves["loss"][number].copy()


def cut(simulator, history):
    if len(history.loss) == updates // 2:
        raise KeyboardInterrupt


path.unlink()
config.updated({"rule": "eprop", "optimizer.lr": 2e-3, "seeds": 0}).run(
    path, threads=1, callbacks=[cut]
)
with sl.open_recording(path) as recording:
    half = recording.table("updates").loss
    print(f"{recording.status} after {half.size} of {updates} updates")
again = sl.sweep(config, "runs", over, workers=2, threads=1, quiet=True)
print(
    f"runs taken up again: {np.flatnonzero(again.column('attempts'))}, complete: "
    f"{(again.column('status') == 'complete').sum()}"
)
print(
    "largest difference of a loss from that of the whole run: "
    f"{np.abs(again.curves['loss'][number] - whole).max()}"
)

# %%
fig, ax = plt.subplots(figsize=(9, 3.6))
ax.plot(
    np.arange(1, updates + 1),
    whole,
    color=GREY,
    linewidth=5,
    alpha=0.4,
    label="never cut off",
)
ax.plot(
    np.arange(1, half.size + 1),
    half,
    color=COLORS[0],
    linewidth=1.4,
    label="before the cut",
)
after = np.arange(half.size, updates)
ax.plot(
    after + 1,
    again.curves["loss"][number][after],
    color=COLORS[1],
    linewidth=1.4,
    label="resumed",
)
ax.axvline(half.size + 0.5, color=BLACK, linewidth=0.8)
ax.set(yscale="log", xlabel="updates", ylabel="loss")
ax.legend(frameon=False)
ax.set_title("Cut off and resumed", loc="left")
plt.show()

# %% [markdown]
# ## More cores than one machine has
#
# `sl.sweep(..., scheduler="tcp://host:8786")` hands the same runs to the workers of a Dask cluster, and `executor=` to any
# `concurrent.futures` executor, as those of mpi4py and submitit. The unit is `sl.run(config, path)`, which can be called again at any
# time: it goes on, begins anew, or returns at once.
