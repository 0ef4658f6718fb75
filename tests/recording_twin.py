"""A run to record: arrays in memory, [trial, step, neuron], and how they are handed to a recorder in blocks."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from snnlearn.recording import Recorder

N, N_OUT, T, DT, TRIALS = 12, 2, 40, 0.5, 3
VARIABLES = ("v", "a", "psi", "threshold", "learning_signal", "i")


class Weights(NamedTuple):
    w_in: Any
    w_rec: Any
    w_out: Any
    b_out: Any


class Twin(NamedTuple):
    z: np.ndarray  # bool [trials, steps, neurons]
    v: np.ndarray  # float32 [trials, steps, neurons]
    psi: np.ndarray
    readout: np.ndarray  # float32 [trials, steps, outputs]
    target: np.ndarray


def draw_twin(seed=7):
    """Spikes of 10 % density and normal values; seeded."""
    rng = np.random.default_rng(seed)

    def draw(n):
        return rng.standard_normal((TRIALS, T, n)).astype(np.float32)

    twin = Twin(rng.random((TRIALS, T, N)) < 0.1, draw(N), draw(N), draw(N_OUT), draw(N_OUT))
    assert twin.z.any()
    return twin


def dense_weights(rng, scale=1.0):
    shapes = ((4, N), (N, N), (N, N_OUT), (N_OUT,))
    return Weights(*((scale * rng.standard_normal(shape)).astype(np.float32) for shape in shapes))


def sparse_weights(rng):
    w_rec = csr_array(np.where(rng.random((N, N)) < 0.2, rng.standard_normal((N, N)), 0.0))
    return dense_weights(rng)._replace(w_rec=w_rec)


def start(recorder, config=None, weights=None, **changes):
    weights = dense_weights(np.random.default_rng(0)) if weights is None else weights
    options = {"n_neurons": N, "n_outputs": N_OUT, "dt": DT, "variables": VARIABLES, "weights": weights}
    recorder.open({"seed": 3} if config is None else config, **(options | changes))
    return recorder


def record(recorder, twin, trial, low, high, number=None, **changes):
    """One block of the twin's trial; the order of its spikes is shuffled within each step's neurons."""
    step, neuron = np.nonzero(twin.z[trial, low:high])
    order = np.lexsort((-neuron, step))
    selected = recorder.selection(N, VARIABLES)
    arrays: dict[str, Any] = {
        "traces": {name: getattr(twin, name)[trial, low:high][:, index] for name, index in selected.items()},
        "readout": twin.readout[trial, low:high],
        "target": twin.target[trial, low:high],
    }
    recorder.block(trial if number is None else number, low, step[order] + low, neuron[order], **(arrays | changes))


def spikes_of(twin, trials=range(TRIALS)):
    trial, step, neuron = np.nonzero(twin.z)
    keep = np.isin(trial, list(trials))
    return trial[keep], step[keep], neuron[keep]


def record_all(path, twin):
    """All trials in lockstep, in blocks of 7 steps: pieces of different trials alternate."""
    with start(Recorder(path, v=[5, 2, 9], psi=True)) as recorder:
        for low in range(0, T, 7):
            for trial in range(TRIALS):
                record(recorder, twin, trial, low, min(low + 7, T))
