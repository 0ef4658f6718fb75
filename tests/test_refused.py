"""Odd values at every place where numbers enter: refused with one sentence that says what is needed.

NumPy would drop imaginary parts and masks, read texts as numbers, and turn what is too large into infinity; compiled code
would follow indices wherever they lead.
"""

import datetime
import warnings

import numpy as np
import pytest
from scipy import sparse

import snnlearn as sl

T, N_IN, N, N_OUT = 5, 3, 4, 2
NET = sl.Network(N_IN, sl.LIF(N, threshold=0.5), N_OUT)
SPARSE = sl.Network(N_IN, sl.LIF(N, threshold=0.5), N_OUT, recurrent=sl.Sparse(indegree=2), inputs=sl.Sparse(indegree=2))
WEIGHTS, CSR = NET.init_weights(1), SPARSE.init_weights(1)
X, Y, ONES = np.ones((T, N_IN)), np.zeros((T, N_OUT)), np.ones(T)
ENTROPY = sl.CrossEntropy()


def learner(**options):
    return sl.Simulator(NET, WEIGHTS, sl.EProp(), sl.SGD(0.1), **options)


class Device:
    """A tensor that cannot be read."""

    shape, ndim = (T, N_IN), 2

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


def hiding(array):
    mask = np.zeros(array.shape, bool)
    mask.flat[0] = True
    return np.ma.array(array, mask=mask)


def put(array, value, dtype=np.float64):
    array = np.array(array, dtype)
    array.flat[-1] = value
    return array


def endless():
    value = []
    value.append(value)
    return value


ODD = {
    "complex": lambda a: a + 0j,
    "text": lambda a: a.astype(str),
    "bytes": lambda a: a.astype("S"),
    "object": lambda a: a.astype(object),
    "date": lambda a: a.astype("M8[s]"),
    "duration": lambda a: a.astype("m8[s]"),
    "record": lambda a: np.zeros(a.shape, [("x", float)]),
    "hidden": hiding,
    "hidden in a list": lambda a: [np.ma.masked, *a.tolist()[1:]],
    "nan": lambda a: put(a, np.nan),
    "inf": lambda a: put(a, -np.inf),
    "too large for float32": lambda a: put(a, 1e39),
    "too large for float64": lambda a: put(a, np.longdouble("1e400"), np.longdouble),
    "a word": lambda a: "much",
    "dict": lambda a: {"x": a},
    "set": lambda a: {1.0},
    "ragged": lambda a: [[1.0], [1.0, 2.0]],
    "endless": lambda a: endless(),
    "empty": lambda a: [],
    "on a device": lambda a: Device(),
    "day": lambda a: datetime.date(2020, 1, 1),
    "one axis more": lambda a: np.stack([a, a])[None, None],
}
PLACES = {
    "run": (X, lambda v: learner().run(v, Y)),
    "run without targets": (X, lambda v: sl.Simulator(NET).run(v)),
    "target": (Y, lambda v: learner().run(X, v)),
    "mask": (ONES, lambda v: learner().run(X, Y, v)),
    "mask of outputs": (Y + 1, lambda v: learner().run(X, Y, v)),
    "mask in a list": (ONES, lambda v: learner().run(np.stack([X, X]), np.stack([Y, Y]), [v, None])),
    "error": (Y, lambda v: learner().run(X, error=v)),
    "error of a function": (Y[0], lambda v: learner().run(X, error=lambda t, y: v)),
    "learning signal": (np.ones((T, N)), lambda v: learner().run(X, learning_signal=v)),
    "label": (np.ones(T), lambda v: learner(loss=ENTROPY).run(X, v)),
    "piece": (X, lambda v: learner().run(iter([(v, Y)]))),
    "piece of a list": (X, lambda v: learner().run(iter([[v, Y]]))),
    "target of a piece": (Y, lambda v: learner().run([[X, v]])),
    "trial of a batch": (X, lambda v: learner().run([v, sl.Events([0], [0], T)], np.stack([Y, Y]))),
    "step": (X[0], lambda v: learner().step(v, Y[0])),
    "target of a step": (Y[0], lambda v: learner().step(X[0], v)),
    "mask of a step": (Y[0] + 1, lambda v: learner().step(X[0], Y[0], mask=v)),
    "error of a step": (Y[0], lambda v: learner().step(X[0], error=v)),
    "signal of a step": (np.ones(N), lambda v: learner().step(X[0], learning_signal=v)),
    "simulate": (X, lambda v: sl.simulate(NET, WEIGHTS, v)),
    "gradient": (X, lambda v: sl.gradient(NET, WEIGHTS, v, Y, sl.BPTT(), dtype="float32")),
    "target of a gradient": (Y, lambda v: sl.gradient(NET, WEIGHTS, X, v, sl.BPTT(), dtype="float32")),
    "compare": (X, lambda v: sl.compare(NET, WEIGHTS, (v, Y), [sl.EProp()], dtype="float32")),
    "weights": (WEIGHTS.w_in, lambda v: learner().set_weights(WEIGHTS._replace(w_in=v))),
    "recurrent weights": (WEIGHTS.w_rec, lambda v: sl.Simulator(NET, WEIGHTS._replace(w_rec=v))),
    "sparse weights": (WEIGHTS.w_rec, lambda v: sl.Simulator(SPARSE, CSR._replace(w_rec=v))),
    "readout": (WEIGHTS.w_out, lambda v: sl.simulate(NET, WEIGHTS._replace(w_out=v), X)),
    "feedback": (WEIGHTS.w_out, lambda v: sl.gradient(NET, WEIGHTS, X, Y, sl.EProp(feedback=v), dtype="float32")),
    "connections": (np.ones((N, N)), lambda v: sl.Network(N_IN, sl.LIF(N), N_OUT, recurrent=sl.Masked(v))),
    "steps of events": (np.arange(3.0), lambda v: sl.Events(v, [0, 1, 2], T)),
    "threshold": (np.ones(N), lambda v: sl.Simulator(sl.Network(N_IN, sl.LIF(N, threshold=v), N_OUT))),
    "current": (np.ones(N), lambda v: sl.Simulator(sl.Network(N_IN, sl.LIF(N, current=v), N_OUT))),
    "noise": (np.ones(N), lambda v: sl.Simulator(sl.Network(N_IN, sl.LIF(N, noise=v), N_OUT))),
    "initial state": (np.ones(N), lambda v: sl.Simulator(sl.Network(N_IN, sl.ALIF(N, a_init=v), N_OUT))),
}
NUMBERS = {
    "dt": lambda v: sl.Network(N_IN, sl.LIF(N), N_OUT, dt=v),
    "tau": lambda v: sl.Readout(N_OUT, tau=v),
    "gain": lambda v: NET.init_weights(gain={"w_in": v}),
    "gain of a configuration": lambda v: sl.InitialWeights(gain={"w_in": v}),
    "rate": lambda v: sl.RateRegularizer(v, 1.0),
    "lr": lambda v: sl.Adam(v),
    "schedule": lambda v: sl.CosineDecay(0.1, v),
    "bound": lambda v: sl.SGD(0.1, bounds={"w_in": (v, 1.0)}),
    "duration of a task": lambda v: sl.tasks.Copy(delay=v),
    "parameter of NEST": lambda v: sl.conventions.neurons_from_nest(N, {"tau_m": v}),
    "dt of NEST": lambda v: sl.conventions.neurons_from_nest(N, {}, v),
}
WHOLE = {
    "neurons": sl.LIF,
    "inputs": lambda v: sl.Network(v, sl.LIF(N), N_OUT),
    "outputs": sl.Readout,
    "steps": lambda v: sl.Events([0], [0], v),
    "interval": lambda v: learner(update_every=v),
    "seed of noise": lambda v: sl.simulate(NET, WEIGHTS, X, seed=v),
    "seed of a gradient": lambda v: sl.gradient(NET, WEIGHTS, X, Y, sl.EProp(), seed=v),
    "threads": lambda v: sl.gradient(NET, WEIGHTS, X, Y, sl.EProp(), threads=v),
    "first trial": lambda v: learner().run(X, Y, first_trial=v),
    "channels": lambda v: sl.Events([0], [0], 3).toarray(v),
    "seed of UORO": lambda v: sl.UORO(seed=v),
}
FLAGS = {
    "learn": lambda v: learner().run(X, Y, learn=v),
    "learn in a step": lambda v: learner().step(X[0], Y[0], learn=v),
    "self-connections": lambda v: sl.Dense(self_connections=v),
    "bias": lambda v: sl.Readout(1, bias=v),
    "streaming": lambda v: sl.plan(NET, n_steps=3, seconds=0, streaming=v),
}


def refuses(call, value):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "converting a masked element")  # of NumPy, before the sentence
        with pytest.raises((ValueError, TypeError), match=r"^(Network\.|[\w.()\[\]=', /]+) must ") as caught:
            call(value)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("odd", ODD)
def test_odd_arrays(place, odd):
    array, call = PLACES[place]
    refuses(call, ODD[odd](array))


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [
        np.nan,
        np.inf,
        "1.0",
        b"1",
        None,
        1j,
        np.complex128(1),
        [1.0],
        np.ones(1),
        np.ma.masked,
        True,
        {},
        10**400,
        object,
    ],
)
def test_odd_numbers(name, value):
    if (name == "bound" and value is np.inf) or (name == "lr" and value is object):
        return  # no bound; a schedule
    refuses(NUMBERS[name], value)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(
    "value", [1.0, np.nan, "1", -1, True, [1], 10**400, 2**70, np.ones(1, int), np.timedelta64(1, "s"), endless()]
)
def test_odd_whole_numbers(name, value):
    if "seed" in name and "UORO" not in name and isinstance(value, int) and value > 1:
        return  # NumPy takes seeds of any size
    refuses(WHOLE[name], value)


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [1, 0.0, "no", [], np.ones(2), b"False"])
def test_odd_flags(name, value):
    refuses(FLAGS[name], value)


def broken(change):
    """A CSR matrix whose arrays are changed after it was made, where scipy does not look."""
    matrix = sparse.csr_array(np.array([[0, 1.0, 2, 0], [0, 0, 3, 0], [4, 0, 0, 0], [0, 5, 0, 6]]))
    change(matrix)
    return matrix


def index(value):
    return lambda m: m.indices.__setitem__(2, value)


def pointers(*values):
    return lambda m: setattr(m, "indptr", np.array(values, np.int32))


BROKEN = {
    "beyond": (index(4), r"indices must be in 0 \.\. 3 \(got 4\); indices count from 0"),
    "far beyond": (index(2_000_000_000), r"indices must be in 0 \.\. 3 \(got 2000000000\)"),
    "negative": (index(-1), r"indices must be in 0 \.\. 3 \(got -1\)"),
    "falling": (pointers(0, 3, 2, 4, 6), r"indptr must begin at 0 and not fall \(got 2\); at index 2"),
    "not from zero": (pointers(1, 2, 3, 4, 6), r"indptr must begin at 0 and not fall \(got 1\)"),
    "past the end": (pointers(0, 2, 3, 4, 60), r"indptr must end at most at 6, the number of entries \(got 60\)"),
    "too few": (pointers(0, 6), r"indptr must be 5 whole numbers"),
    "short data": (lambda m: setattr(m, "data", m.data[:4]), r"indptr must end at most at 4"),
    "fractions": (lambda m: setattr(m, "indices", m.indices + 0.5), r"indices must be 6 whole numbers"),
    "complex": (lambda m: setattr(m, "data", m.data + 0j), r"must be an array of numbers \(got 'dtype complex128'\)"),
    "nan": (lambda m: m.data.__setitem__(0, np.nan), r"must be finite \(got nan\)"),
}
FORMATS = {
    "csr": lambda m: m,
    "csc": lambda m: sparse.csc_array((m.data, m.indices, m.indptr), shape=m.shape, copy=False),
    "csr_matrix": lambda m: sparse.csr_matrix((m.data, m.indices, m.indptr), shape=m.shape, copy=False),
}
SQUARE = sl.Network(4, sl.LIF(4, threshold=0.5), N_OUT, recurrent=sl.Sparse(indegree=2, self_connections=True))
LOOPS = sl.Network(4, sl.LIF(4), N_OUT, recurrent=sl.Dense(self_connections=True))
OF_SQUARE = SQUARE.init_weights(2)
STRUCTURES = {
    "simulate": lambda m: sl.simulate(SQUARE, OF_SQUARE._replace(w_rec=m), np.ones((T, 4))),
    "gradient": lambda m: sl.gradient(SQUARE, OF_SQUARE._replace(w_rec=m), np.ones((T, 4)), Y, sl.BPTT()),
    "Simulator": lambda m: sl.Simulator(SQUARE, OF_SQUARE._replace(w_rec=m)),
    "set_weights": lambda m: sl.Simulator(SQUARE).set_weights(OF_SQUARE._replace(w_rec=m)),
    "compare": lambda m: sl.compare(SQUARE, OF_SQUARE._replace(w_rec=m), (np.ones((T, 4)), Y), [sl.EProp()]),
    "synapse_traces": lambda m: sl.synapse_traces(SQUARE, OF_SQUARE._replace(w_rec=m), (np.ones((T, 4)), Y), [(0, 1)]),
    "dense network": lambda m: sl.Simulator(LOOPS, LOOPS.init_weights(1)._replace(w_rec=m)),
    "inputs": lambda m: sl.simulate(SQUARE, OF_SQUARE, m),
    "inputs in a list": lambda m: sl.simulate(SQUARE, OF_SQUARE, [sl.Events([0], [0], 4), m]),
    "Masked": lambda m: sl.Network(4, sl.LIF(4), N_OUT, recurrent=sl.Masked(m)),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("place", STRUCTURES)
def test_sparse_matrices_that_lead_nowhere(place, kind):
    change, sentence = BROKEN[kind]
    with pytest.raises((ValueError, TypeError), match=sentence):
        STRUCTURES[place](broken(change))


def test_other_formats_that_lead_nowhere():
    csc = sparse.csc_array(np.eye(4))
    csc.indices[1] = 9
    coo = sparse.coo_array(np.eye(4))
    coo.coords[1][2] = 4
    bsr = sparse.bsr_array(np.eye(4), blocksize=(2, 2))
    bsr.indices[0] = 2
    for matrix, sentence in ((csc, r"indices must be in 0 \.\. 3 \(got 9\)"), (coo, r"col must be in 0 \.\. 3 \(got 4\)")):
        with pytest.raises(ValueError, match=sentence):
            STRUCTURES["Simulator"](matrix)
    with pytest.raises(ValueError, match=r"indices must be in 0 \.\. 1 \(got 2\)"):
        STRUCTURES["Simulator"](bsr)


def test_what_fits_into_float64_only():
    """Refused for float32, taken in float64: the sentence names what it is."""
    large = WEIGHTS._replace(w_in=put(WEIGHTS.w_in, 1e39))
    assert sl.Simulator(NET, large, dtype="float64").weights.w_in.max() == 1e39
    for call, sentence in (
        (lambda: sl.Simulator(NET, large), r"weights.w_in must fit into float32 \(got 1e\+39\)"),
        (lambda: sl.simulate(NET, WEIGHTS, X * 1e39), r"inputs must fit into float32 \(got 1e\+39\); at index \(0, 0\)"),
        (lambda: learner(regularizer=sl.RateRegularizer(10.0, 1e39)), r"RateRegularizer.strength must fit into float32"),
        (lambda: sl.Simulator(NET, WEIGHTS, sl.EProp(), sl.SGD(1e39)), r"SGD.lr must fit into float32"),
        (lambda: sl.Simulator(NET, WEIGHTS, sl.EProp(), sl.Adam(0.1, epsilon=1e-60)), r"Adam.epsilon must be above 0 in float32"),
        (lambda: sl.Simulator(NET, WEIGHTS, sl.EProp(), sl.Adam(0.1, beta2=1 - 1e-9)), r"Adam.beta2 must be below 1 in float32"),
        (lambda: sl.Simulator(sl.Network(3, sl.LIF(4, threshold=1e-46), 2)), r"1/threshold must fit into float32"),
        (
            lambda: sl.LIF(4, threshold=1e-320) and sl.Network(3, sl.LIF(4, threshold=1e-320), 2),
            r"LIF.threshold must be so large",
        ),
        (lambda: sl.Network(3, sl.LIF(4, refractory=1e12), 2), r"LIF.refractory must be below 2\^31 steps"),
        (lambda: sl.Network(3, sl.LIF(4), 2, delay=1e12), r"Network.delay must be a whole number of steps"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()


def test_set_weights_is_all_or_nothing():
    sim = learner()
    before = sim.weights.w_in.copy()
    with pytest.raises(ValueError, match=r"weights.w_out must fit into float32"):
        sim.set_weights(sl.Weights(WEIGHTS.w_in * 2, WEIGHTS.w_rec, WEIGHTS.w_out * 1e39, WEIGHTS.b_out))
    assert (sim.weights.w_in == before).all()
    assert sim.config()["begins"] == "given"


def test_a_number_too_long_to_be_written():
    with pytest.raises(ValueError, match=r"LIF.tau_m must be a positive time in ms \(got <int>\)"):
        sl.LIF(4, tau_m=10**5000)
