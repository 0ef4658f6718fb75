"""What is refused, with which exception, and what the sentence says."""

import re

import numpy as np
import pytest
from scipy import sparse

import snnlearn as sl

T, N_IN, N, N_OUT = 5, 3, 4, 2
NET = sl.Network(N_IN, sl.LIF(N, threshold=0.5), N_OUT)
WEIGHTS = NET.init_weights(1)
X, Y = np.ones((T, N_IN)), np.zeros((T, N_OUT))
EPROP, SGD, ENTROPY = sl.EProp(), sl.SGD(0.1), sl.CrossEntropy()


def put(array, index, value):
    """A copy with one entry changed."""
    array = np.array(array)
    array[index] = value
    return array


def learner(**kwargs):
    return sl.Simulator(NET, WEIGHTS, **dict(rule=EPROP, optimizer=SGD) | kwargs)


def gradient(x=X, y=Y, weights=WEIGHTS, rule=EPROP, **kwargs):
    return sl.gradient(NET, weights, x, y, rule, **kwargs)


def sparse_network():
    return sl.Network(N_IN, sl.LIF(N), N_OUT, recurrent=sl.Sparse(indegree=2))


SPECS = [
    (lambda: sl.LIF(10, tau_m=-20.0), ValueError, "LIF.tau_m must be a positive time in ms (got -20.0)"),
    (lambda: sl.LIF(10, tau_m=0.0), ValueError, "LIF.tau_m must be a positive time in ms (got 0.0)"),
    (lambda: sl.LIF(10, tau_m=np.nan), ValueError, "LIF.tau_m must be a positive time in ms (got nan)"),
    (lambda: sl.LIF(10, tau_m=None), TypeError, "LIF.tau_m must be a positive time in ms (got None)"),
    (lambda: sl.LIF(0), ValueError, "LIF.n must be a positive number of neurons (got 0)"),
    (lambda: sl.LIF(2.0), TypeError, "LIF.n must be a positive number of neurons (got 2.0)"),
    (lambda: sl.LIF(True), TypeError, "LIF.n must be"),
    (lambda: sl.LIF(3, tau_m=[1.0, 2.0]), ValueError, "LIF.tau_m must be a number or an array of shape (3,)"),
    (lambda: sl.LIF(3, tau_m=[1.0, -2.0, 3.0]), ValueError, "(got -2.0); entry 1 of 3"),
    (lambda: sl.LIF(3, threshold=0.0), ValueError, "LIF.threshold must be positive (got 0.0)"),
    (lambda: sl.LIF(3, refractory=-1.0), ValueError, "LIF.refractory must be a time in ms, not negative"),
    (lambda: sl.LIF(3, noise=-0.1), ValueError, "LIF.noise must be a standard deviation, not negative"),
    (lambda: sl.LIF(3, current=np.inf), ValueError, "LIF.current must be a finite number"),
    (lambda: sl.LIF(3, surrogate="triangle"), TypeError, "LIF.surrogate must be a surrogate such as"),
    (lambda: sl.LIF(3, normalize_input=1), TypeError, "LIF.normalize_input must be True or False (got 1)"),
    (lambda: sl.ALIF(3, tau_a=-1.0), ValueError, "ALIF.tau_a must be a time in ms, not negative (got -1.0)"),
    (lambda: sl.ALIF(3, beta=np.nan), ValueError, "ALIF.beta must be a finite number (got nan)"),
    (lambda: sl.PiecewiseLinear(gamma=0.0), ValueError, "PiecewiseLinear.gamma must be a positive number (got 0.0)"),
    (lambda: sl.Readout(0), ValueError, "Readout.n must be a positive number of outputs (got 0)"),
    (lambda: sl.Readout(1, tau=-1.0), ValueError, "Readout.tau must be a time in ms, or 0 for no memory (got -1.0)"),
    (lambda: sl.Readout(1, bias=0), TypeError, "Readout.bias must be True or False"),
    (lambda: sl.Sparse(), ValueError, "Sparse must have either indegree or density"),
    (lambda: sl.Sparse(indegree=2, density=0.1), ValueError, "Sparse must have either indegree or density"),
    (lambda: sl.Sparse(indegree=0), ValueError, "Sparse.indegree must be a positive number"),
    (lambda: sl.Sparse(density=0.0), ValueError, "Sparse.density must be a probability above 0, at most 1 (got 0.0)"),
    (lambda: sl.Sparse(density=1.1), ValueError, "Sparse.density must be a probability"),
    (lambda: sl.Masked(np.ones((2, 2))), TypeError, "Masked.mask must be a bool array [pre, post]"),
    (lambda: sl.Masked(np.ones(2, bool)), TypeError, "Masked.mask must be a bool array [pre, post]"),
    (lambda: sl.Events([0, 5], [0, 0], 5), ValueError, "Events.step must be below n_steps=5 (got 5)"),
    (lambda: sl.Events([0, -1], [0, 0], 5), ValueError, "Events.step must not be negative (got -1)"),
    (lambda: sl.Events([0], [-2], 5), ValueError, "Events.channel must not be negative (got -2)"),
    (lambda: sl.Events([0, 1], [0], 5), ValueError, "Events.channel must have one entry per event"),
    (lambda: sl.Events([0.5], [0], 5), TypeError, "Events.step must be a one-dimensional array of whole numbers"),
    (lambda: sl.Events([0], [2**40], 5), ValueError, "Events.channel must fit into 32 bits"),
    (lambda: sl.Events([0], [0], 0), ValueError, "Events.n_steps must be a positive number of steps (got 0)"),
    (lambda: sl.RateRegularizer(-1.0, 1.0), ValueError, "RateRegularizer.target must be a rate in Hz, not negative"),
    (lambda: sl.RateRegularizer(1.0, -1.0), ValueError, "RateRegularizer.strength must be a number, not negative"),
    (lambda: sl.RateRegularizer(1.0, 1.0, tau=0.0), ValueError, "RateRegularizer.tau must be a positive time in ms"),
    (lambda: sl.SGD(-0.1), ValueError, "SGD.lr must be a learning rate, not negative (got -0.1)"),
    (lambda: sl.SGD(0.1, momentum=1.0), ValueError, "SGD.momentum must be in [0, 1) (got 1.0)"),
    (lambda: sl.SGD(0.1, clip_norm=0.0), ValueError, "SGD.clip_norm must be a positive norm, or None"),
    (lambda: sl.SGD(0.1, weight_decay=-1.0), ValueError, "SGD.weight_decay must be not negative"),
    (lambda: sl.SGD(0.1, bounds=(1, 0)), ValueError, "SGD.bounds must have low < high"),
    (lambda: sl.SGD(0.1, bounds=3.0), TypeError, "SGD.bounds must be (low, high)"),
    (lambda: sl.SGD(0.1, bounds={"w": (0, 1)}), ValueError, "SGD.bounds must be one of 'w_in', 'w_rec'"),
    (lambda: sl.Adam(0.1, beta1=1.0), ValueError, "Adam.beta1 must be in [0, 1) (got 1.0)"),
    (lambda: sl.Adam(0.1, epsilon=0.0), ValueError, "Adam.epsilon must be a positive number (got 0.0)"),
    (lambda: sl.ExponentialDecay(-1.0, 0.5), ValueError, "ExponentialDecay.lr must be a learning rate, not negative (got -1.0)"),
    (lambda: sl.StepDecay(0.1, 0.5, 0), ValueError, "StepDecay.every must be a positive number (got 0)"),
    (lambda: sl.CosineDecay(0.1, 10, final="x"), TypeError, "CosineDecay.final must be a number, not negative (got 'x')"),
    (lambda: sl.Adam(0.1, epsilon_form="torch"), ValueError, "Adam.epsilon_form must be one of 'standard', 'tensorflow'"),
    (lambda: sl.EProp(order=0), ValueError, "EProp.order must be a number >= 1, or None for all (got 0)"),
    (lambda: sl.EProp(method="backward"), ValueError, "EProp.method must be one of 'auto', 'forward', 'adjoint'"),
    (lambda: sl.EProp(feedback="global"), ValueError, "EProp.feedback must be one of 'symmetric', 'random', 'adaptive'"),
    (lambda: sl.EProp(feedback=np.ones(3)), ValueError, "EProp.feedback must be a name or an array [n, n_out]"),
    (lambda: sl.EProp(feedback=[[np.nan]]), ValueError, "EProp.feedback must be finite"),
    (lambda: sl.EProp(feedback_decay=1.0), ValueError, "EProp.feedback_decay must be a fraction in [0, 1)"),
    (lambda: sl.EProp(reset_gradient=1), TypeError, "EProp.reset_gradient must be True, False or None"),
    (lambda: sl.EProp(seed=-1), ValueError, "EProp.seed must be a whole number, not negative"),
    (lambda: sl.BPTT(reset_gradient=None), TypeError, "BPTT.reset_gradient must be True or False"),
    (lambda: sl.BPTT(feedback="none"), ValueError, "BPTT.feedback must be one of"),
]
NETWORKS = [
    (lambda: sl.Network(0, sl.LIF(4), 2), ValueError, "Network.n_inputs must be a positive number of channels (got 0)"),
    (lambda: sl.Network(3, [], 2), TypeError, "Network.neurons must be a list of neuron groups such as LIF(50)"),
    (lambda: sl.Network(3, "LIF", 2), TypeError, "Network.neurons must be a list of neuron groups"),
    (lambda: sl.Network(3, [50], 2), TypeError, "Network.neurons must be a list of neuron groups"),
    (lambda: sl.Network(3, 50, 2), TypeError, "Network.neurons must be a list of neuron groups"),
    (lambda: sl.Network(3, sl.LIF(4), None), TypeError, "Network.readout must be a Readout or a number of outputs"),
    (lambda: sl.Network(3, sl.LIF(4), 0), ValueError, "Readout.n must be a positive number of outputs"),
    (lambda: sl.Network(3, sl.LIF(4), 2, dt=0.0), ValueError, "Network.dt must be a positive time in ms (got 0.0)"),
    (
        lambda: sl.Network(3, sl.LIF(4), 2, delay=0.5),
        ValueError,
        "Network.delay must be a whole number of steps of dt=1.0 ms, at",
    ),
    (lambda: sl.Network(3, sl.LIF(4), 2, delay=1.5), ValueError, "Network.delay must be a whole number of steps"),
    (lambda: sl.Network(3, sl.LIF(4), 2, delay=0.0), ValueError, "Network.delay must be a positive time in ms (got 0.0)"),
    (lambda: sl.Network(3, sl.LIF(4), 2, recurrent="all"), TypeError, "Network.recurrent must be Dense(), Masked(...) or Sparse"),
    (lambda: sl.Network(3, sl.LIF(4), 2, inputs=None), TypeError, "Network.inputs must be Dense(), Masked(...) or Sparse(...)"),
    (
        lambda: sl.Network(3, sl.LIF(4), 2, recurrent=sl.Masked(np.ones((3, 4), bool))),
        ValueError,
        "Network.recurrent=Masked.mask must have shape (4, 4), [pre, post] (got (3, 4))",
    ),
    (
        lambda: sl.Network(3, sl.LIF(4), 2, recurrent=sl.Sparse(indegree=4)),
        ValueError,
        "Network.recurrent=Sparse.indegree must be at most 3, the number of sources (got 4)",
    ),
    (
        lambda: sl.Network(3, sl.LIF(4), 2, inputs=sl.Sparse(indegree=4)),
        ValueError,
        "Network.inputs=Sparse.indegree must be at most",
    ),
    (lambda: sl.Network(3, sl.LIF(4), 2, frozen=("w",)), ValueError, "Network.frozen must be one of 'w_in', 'w_rec', 'w_out'"),
    (lambda: NET.init_weights(-1), ValueError, "Network.init_weights.seed must be a whole number, not negative"),
    (lambda: NET.init_weights(0, gain={"w": 1.0}), ValueError, "Network.init_weights.gain must be one of"),
    (lambda: NET.init_weights(0, gain=np.nan), ValueError, "Network.init_weights.gain must be a number"),
]
WEIGHT_CHECKS = [
    (lambda: NET.check_weights(None), TypeError, "weights must be sl.Weights(w_in, w_rec, w_out, b_out)"),
    (lambda: NET.check_weights(list(WEIGHTS)), TypeError, "weights must be sl.Weights"),
    (
        lambda: NET.check_weights(WEIGHTS._replace(w_in=WEIGHTS.w_in.T)),
        ValueError,
        "weights.w_in must have shape (3, 4) (got (4, 3)); [pre, post]",
    ),
    (lambda: NET.check_weights(WEIGHTS._replace(w_out=np.ones((2, 4)))), ValueError, "weights.w_out must have shape (4, 2)"),
    (lambda: NET.check_weights(WEIGHTS._replace(b_out=np.ones(3))), ValueError, "weights.b_out must have shape (2,)"),
    (lambda: NET.check_weights(WEIGHTS._replace(b_out=np.ones(2))), ValueError, "b_out must be zero where Readout(bias=False)"),
    (
        lambda: NET.check_weights(WEIGHTS._replace(w_in=put(WEIGHTS.w_in, (1, 2), np.nan))),
        ValueError,
        "weights.w_in must be finite (got nan); at index (1, 2)",
    ),
    (
        lambda: NET.check_weights(WEIGHTS._replace(w_rec=np.ones((4, 4)))),
        ValueError,
        "weights.w_rec must be zero at [0, 0], a synapse that does not exist (got 1.0); self-connections need",
    ),
    (lambda: NET.check_weights(WEIGHTS._replace(w_rec="dense")), TypeError, "weights.w_rec must be an array of numbers"),
    (
        lambda: sparse_network().check_weights(WEIGHTS),
        TypeError,
        "weights.w_rec must be a scipy.sparse.csr_array for Sparse connectivity (got 'ndarray')",
    ),
    (
        lambda: sparse_network().check_weights(WEIGHTS._replace(w_rec=sparse.csr_array((3, 4)))),
        ValueError,
        "weights.w_rec must have shape (4, 4), [pre, post] (got (3, 4))",
    ),
    (
        lambda: sparse_network().check_weights(WEIGHTS._replace(w_rec=sparse.csr_array(np.diag([np.inf] * 4, 0)))),
        ValueError,
        "weights.w_rec must be finite (got inf)",
    ),
    (
        lambda: sl.Simulator(sparse_network()).set_weights(sparse_network().init_weights(9)),
        ValueError,
        "Simulator.set_weights must keep the structure of the sparse matrices",
    ),
]
RUNS = [
    (lambda: gradient(x=X[:, :2]), ValueError, "inputs must have shape (T, 3) or (trials, T, 3) (got (5, 2))"),
    (lambda: gradient(x=X[:0]), ValueError, "inputs must have shape (T, 3)"),
    (lambda: gradient(x=X[0]), ValueError, "inputs must have shape (T, 3)"),
    (lambda: gradient(x="spikes"), TypeError, "inputs must be Events or an array [T, 3] or [trials, T, 3]"),
    (lambda: gradient(x=put(X, (2, 1), np.nan)), ValueError, "inputs must be finite (got nan); at index (2, 1)"),
    (lambda: gradient(x=put(X, (4, 0), np.inf)), ValueError, "inputs must be finite (got inf); at index (4, 0)"),
    (lambda: gradient(x=sl.Events([0], [3], T)), ValueError, "inputs.channel must be below n_inputs=3 (got 3)"),
    (
        lambda: gradient(x=[sl.Events([0], [0], 5), sl.Events([0], [0], 6)]),
        ValueError,
        "inputs must be Events of equal length in a batch, n_steps=5",
    ),
    (lambda: gradient(y=Y[:4]), ValueError, "targets must have shape (5, 2) (got (4, 2))"),
    (lambda: gradient(y=Y[:, 0]), ValueError, "targets must have shape (5, 2) (got (5,))"),
    (lambda: gradient(y=Y[None]), ValueError, "targets must have shape (5, 2)"),
    (lambda: gradient(x=X[None]), ValueError, "targets must have shape (1, 5, 2)"),
    (lambda: gradient(y=put(Y, (0, 1), np.nan)), ValueError, "targets must be finite (got nan); at index (0, 1)"),
    (lambda: gradient(mask=np.ones(4)), ValueError, "mask must have shape (5,) (got (4,))"),
    (lambda: gradient(mask=np.ones((2, 5))), ValueError, "mask must have shape (5, 2) or (1, 5) (got (2, 5))"),
    (lambda: gradient(mask=-np.ones(5)), ValueError, "mask must hold time weights, not negative (got -1.0)"),
    (lambda: gradient(mask=put(np.ones(5), 2, np.nan)), ValueError, "mask must be finite"),
    (lambda: gradient(y=2, loss=ENTROPY), ValueError, "targets must be labels in 0 .. 1, one for each readout (got 2)"),
    (lambda: gradient(y=-1, loss=ENTROPY), ValueError, "targets must be labels in 0 .. 1, one for each readout (got -1)"),
    (lambda: gradient(y=0.5, loss=ENTROPY), TypeError, "targets must be whole class labels for CrossEntropy (got 0.5)"),
    (lambda: gradient(y=Y, loss=ENTROPY), ValueError, "targets must have shape a single label or (5,) for CrossEntropy"),
    (lambda: gradient(x=X[None], y=0, loss=ENTROPY), ValueError, "targets must have shape (1,) or (1, 5) for CrossEntropy"),
    (lambda: gradient(rule="eprop"), TypeError, "gradient.rule must be a learning rule such as sl.EProp()"),
    (lambda: gradient(rule=sl.EProp(feedback=np.ones((2, 4)))), ValueError, "EProp.feedback must have shape (4, 2) (got (2, 4))"),
    (lambda: gradient(dtype="float16"), ValueError, "gradient.dtype must be 'float32' or 'float64'"),
    (lambda: sl.gradient("net", WEIGHTS, X, Y, EPROP), TypeError, "net must be an sl.Network"),
    (lambda: sl.simulate(NET, WEIGHTS, X, record=("v", "w")), ValueError, "simulate.record must be one of 'spikes', 'v', 'a'"),
    (lambda: sl.simulate(NET, WEIGHTS, X, dtype=int), ValueError, "simulate.dtype must be 'float32' or 'float64'"),
]
SIMULATORS = [
    (lambda: sl.Simulator("net"), TypeError, "net must be an sl.Network"),
    (lambda: sl.Simulator(NET, optimizer=SGD), ValueError, "Simulator.rule must be a learning rule where there is an optimizer"),
    (lambda: learner(rule="eprop"), TypeError, "Simulator.rule must be of class Rule (got 'eprop')"),
    (lambda: learner(optimizer=0.1), TypeError, "Simulator.optimizer must be of class Optimizer"),
    (lambda: learner(loss="mse"), TypeError, "Simulator.loss must be of class MeanSquaredError or CrossEntropy"),
    (lambda: learner(regularizer=1.0), TypeError, "Simulator.regularizer must be of class RateRegularizer"),
    (lambda: learner(update_every=0), ValueError, "Simulator.update_every must be 'trial' or a positive number of steps (got 0)"),
    (lambda: learner(update_every=1.5), TypeError, "Simulator.update_every must be 'trial' or a positive number of steps"),
    (
        lambda: learner(update_every="step"),
        ValueError,
        "Simulator.update_every must be 'trial' or a positive number of steps",
    ),
    (lambda: learner(seed=-1), ValueError, "Simulator.seed must be a whole number, not negative (got -1)"),
    (lambda: learner(threads=0), ValueError, "Simulator.threads must be a positive number (got 0)"),
    (lambda: learner(threads=99999999999), ValueError, "Simulator.threads must be at most 4096 (got 99999999999)"),
    (lambda: gradient(threads=5000), ValueError, "gradient.threads must be at most 4096 (got 5000)"),
    (lambda: learner().save("missing/a.h5"), FileNotFoundError, "Simulator.save.path must be in a folder that exists"),
    (lambda: learner().save("."), IsADirectoryError, "Simulator.save.path must be a file, not a folder"),
    (lambda: learner().save(__file__), FileExistsError, "Simulator.save.path must name a new file"),
    (lambda: learner().save(3), TypeError, "Simulator.save.path must be the name of a file (got 3)"),
    (lambda: learner().save("a.h5", overwrite=1), TypeError, "Simulator.save.overwrite must be True or False (got 1)"),
    (
        lambda: learner().train(sl.tasks.Arrays(np.ones((5, T, N_IN)), np.ones((5, T, N_OUT)), holdout=0, validation=0)),
        ValueError,
        "Simulator.train.trials must be given with a task: how many trials to learn (got None); trials=5 is each of",
    ),
    (lambda: learner(dtype="complex"), ValueError, "Simulator.dtype must be 'float32' or 'float64'"),
    (
        lambda: learner(rule=sl.BPTT(), update_every=1),
        ValueError,
        "BPTT must run on whole trials with update_every='trial' (got 'update_every=1'); EProp works in streams",
    ),
    (
        lambda: learner(rule=sl.EProp(method="adjoint"), update_every=3),
        ValueError,
        "EProp(method='adjoint') must run on whole trials",
    ),
    (
        lambda: learner(regularizer=sl.RateRegularizer(10.0, 1.0), update_every=5),
        ValueError,
        "RateRegularizer must have tau (the online form) where weights change within a trial (got 'tau=None, update_every=5')",
    ),
    (
        lambda: learner().run(X),
        ValueError,
        "Simulator.run.targets must be given where there is a rule and an optimizer (got None)",
    ),
    (lambda: sl.Simulator(NET).run(X, Y, learn=True), ValueError, "Simulator must have a rule and an optimizer to learn"),
    (lambda: learner().run(X, Y, error=Y), ValueError, "Simulator.run must get one of targets, error and learning_signal"),
    (lambda: learner().run(X, error=Y[:3]), ValueError, "error must have shape (5, 2) (got (3, 2))"),
    (lambda: learner().run(X, error=Y * np.nan), ValueError, "error must be finite"),
    (lambda: learner().run(X, learning_signal=Y), ValueError, "learning_signal must have shape (5, 4) (got (5, 2))"),
    (lambda: learner(rule=sl.BPTT()).run(X, learning_signal=np.ones((T, N))), ValueError, "BPTT must run on whole trials"),
    (lambda: learner(rule=sl.BPTT()).run(iter([(X, Y)])), ValueError, "BPTT must run on whole trials"),
    (lambda: learner(rule=sl.BPTT()).step(X[0], Y[0]), ValueError, "BPTT must run on whole trials"),
    (
        lambda: learner().run(iter([(X, Y, None, None)])),
        ValueError,
        "Simulator.run.inputs must yield x, (x, target) or (x, target, mask)",
    ),
    (lambda: learner().run(iter([(X, Y)]), Y), ValueError, "Simulator.run.inputs must yield (x, target, mask)"),
    (lambda: learner().run(iter([(X[None], Y[None])])), ValueError, "Simulator.run must get single pieces [T, n_inputs]"),
    (lambda: learner().step(X), ValueError, "Simulator.step.x must have shape (3,) (got (5, 3))"),
    (
        lambda: learner().step(X[0]),
        ValueError,
        "Simulator.step.target must be given where there is a rule and an optimizer (got None); pass learn=False",
    ),
    (
        lambda: learner().step(X[0], learn=True),
        ValueError,
        "Simulator.step.target must be given where learn=True (got None); so may error or learning_signal",
    ),
    (lambda: sl.Simulator(NET).step(X[0], Y[0], learn=True), ValueError, "Simulator must have a rule and an optimizer to learn"),
    (lambda: learner().run(X, learn=True), ValueError, "Simulator.run.targets must be given where learn=True (got None)"),
    (lambda: learner().run(iter([(X, None)]), learn=True), ValueError, "Simulator.run.targets must be given where learn=True"),
    (lambda: learner().step(X[0], Y[0], learn=1), TypeError, "Simulator.step.learn must be True or False (got 1)"),
    (
        lambda: learner().step(X[0], Y[0], error=Y[0]),
        ValueError,
        "Simulator.step must get one of target, error and learning_signal (got '2 of them')",
    ),
    (lambda: learner().step(X[0] * np.nan, Y[0]), ValueError, "Simulator.step.x must be finite"),
    (lambda: learner().step(X[0] * 1e39, Y[0]), ValueError, "Simulator.step.x must fit into float32"),
    (lambda: learner().step(X[0], Y), ValueError, "Simulator.step.target must have shape (2,) (got (5, 2))"),
    (
        lambda: learner().step(X[0], put(Y[0], 1, np.nan)),
        ValueError,
        "Simulator.step.target must be finite (got nan)",
    ),
    (lambda: learner().step(X[0], error=Y[0][:1]), ValueError, "Simulator.step.error must have shape (2,) (got (1,))"),
    (lambda: learner().step(X[0], error=lambda y: y[:1]), ValueError, "error(readout) must have shape (2,) (got (1,))"),
    (
        lambda: learner().step(X[0], learning_signal=Y[0]),
        ValueError,
        "Simulator.step.learning_signal must have shape (4,)",
    ),
    (
        lambda: learner().step(X[0], Y[0], mask=np.ones(3)),
        ValueError,
        "Simulator.step.mask must be a number or have shape (2,) (got (3,))",
    ),
    (lambda: learner().step(X[0], Y[0], mask=-1.0), ValueError, "Simulator.step.mask must be a weight, not negative (got -1.0)"),
    (
        lambda: learner(loss=ENTROPY).step(X[0], 1, mask=np.ones(2)),
        ValueError,
        "Simulator.step.mask must be a number for CrossEntropy (got (2,))",
    ),
    (
        lambda: learner().step(X[0], learning_signal=np.ones(N), mask=np.ones(2)),
        ValueError,
        "Simulator.step.mask must be a number for a learning signal (got (2,))",
    ),
    (lambda: learner(loss=ENTROPY).step(X[0], 2), ValueError, "Simulator.step.target must be labels in 0 .. 1"),
    (
        lambda: learner(loss=ENTROPY).step(X[0], [0, 1]),
        ValueError,
        "Simulator.step.target must have shape a single label",
    ),
    (
        lambda: learner(loss=ENTROPY).step(X[0], 0.5),
        TypeError,
        "Simulator.step.target must be whole class labels",
    ),
]
CALLBACKS = [
    (lambda: learner().run(X, error=lambda t, y: y[:1]), ValueError, "error(step, readout) must have shape (2,) (got (1,))"),
    (lambda: learner().run(X, error=lambda t, y: y * np.nan), ValueError, "error(step, readout) must be finite"),
    (lambda: learner(optimizer=sl.SGD(lambda k: np.nan)).run(X, Y), ValueError, "SGD.lr(0) must give a finite learning rate"),
]
TABLE = SPECS + NETWORKS + WEIGHT_CHECKS + RUNS + SIMULATORS + CALLBACKS


@pytest.mark.parametrize(("call", "error", "sentence"), TABLE, ids=[s[:60] for _, _, s in TABLE])
def test_is_refused(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)) as caught:
        call()
    assert type(caught.value) is error


def test_bad_input_changes_nothing():
    sim = learner()
    before = sim.weights.w_in.copy()
    with pytest.raises(ValueError, match="targets must be finite"):
        sim.run(X, put(Y, (4, 1), np.nan))
    assert (sim.weights.w_in == before).all()
    assert (sim.updates_done, sim.trials_done) == (0, 0)
