"""What may be given instead of arrays, and means the same to the last bit."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

import snnlearn as sl

T, N_IN, N_OUT = 12, 3, 2
NET = sl.Network(N_IN, sl.LIF(6, threshold=0.4), N_OUT)
SQUARE = sl.Network(N_IN, sl.LIF(6, threshold=0.4), N_IN)
WEIGHTS = NET.init_weights(1, 2.0)
X = np.random.default_rng(3).integers(0, 3, (T, N_IN)).astype(float)
OTHER = np.flipud(X).copy()
Y = np.ones((T, N_OUT))


class Tensor:
    """An array of another library."""

    def __init__(self, array):
        self.array = np.asarray(array)
        self.shape, self.ndim = self.array.shape, self.array.ndim

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def learner(net=NET, **options):
    return sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-4), seed=4, **options)


def loss(x, y=Y):
    sim = learner()
    run = sim.run(x, y)
    return run.losses, sim.weights.w_in.copy()


def same(found, want):
    for a, b in zip(found, want, strict=True):
        assert_array_equal(a, b)


def explicit_zeros():
    matrix = sparse.csr_array(X)
    matrix.data[0] = 0
    return matrix


FORMATS = ["csr_array", "csc_array", "coo_array", "bsr_array", "lil_array", "dok_array", "csr_matrix", "csc_matrix", "coo_matrix"]


@pytest.mark.parametrize("name", FORMATS)
def test_sparse_input(name):
    matrix = getattr(sparse, name)(X)
    same(loss(matrix), loss(X))
    spikes = sl.simulate(NET, WEIGHTS, matrix).spikes
    assert spikes.any() and spikes.shape == (T, 6)
    assert_array_equal(spikes, sl.simulate(NET, WEIGHTS, X).spikes)
    same(sl.gradient(NET, WEIGHTS, matrix, Y, sl.BPTT())[:4], sl.gradient(NET, WEIGHTS, X, Y, sl.BPTT())[:4])


def test_sparse_input_as_it_may_be():
    """Duplicates add up, columns may come in any order, explicit zeros are no events, and the caller's matrix stays."""
    step, channel = np.array([5, 0, 0, 5, 2]), np.array([2, 1, 1, 0, 2])
    twice = sparse.coo_array((np.ones(5), (step, channel)), shape=(T, N_IN))
    same(loss(twice), loss(sl.Events(step, channel, T)))
    parts = np.array([1.0, 2.0, 0.0]), np.array([2, 0, 1]), np.array([0] + [3] * T)
    unsorted = sparse.csr_array(parts, shape=(T, N_IN))
    before = unsorted.indices.copy()
    same(loss(unsorted), loss(unsorted.toarray()))
    assert_array_equal(unsorted.indices, before)
    same(loss(explicit_zeros()), loss(explicit_zeros().toarray()))


@pytest.mark.parametrize(
    "trials",
    [
        lambda: [X, OTHER],
        lambda: (X, OTHER),
        lambda: [sparse.csr_array(X), sparse.coo_matrix(OTHER)],
        lambda: [sparse.csr_array(X), OTHER],
        lambda: [Tensor(X), Tensor(OTHER)],
        lambda: Tensor([X, OTHER]),
        lambda: [X.tolist(), OTHER.tolist()],
        lambda: np.ma.array([X, OTHER]),
        lambda: np.stack([X, OTHER]).astype(">f4"),
    ],
)
def test_batches(trials):
    want = loss(np.stack([X, OTHER]), np.stack([Y, Y]))
    same(loss(trials(), np.stack([Y, Y])), want)
    assert_array_equal(sl.simulate(NET, WEIGHTS, trials()).v, sl.simulate(NET, WEIGHTS, np.stack([X, OTHER])).v)


def test_batches_of_events():
    events = [sl.Events(*np.nonzero(x > 0), T) for x in (X, OTHER)]
    boxed = np.empty(2, object)
    boxed[:] = events
    targets = np.stack([Y, Y])
    want = loss(np.stack([X > 0, OTHER > 0]), targets)
    same(loss(events, targets), want)
    same(loss(boxed, targets), want)
    same(loss([events[0], sparse.csr_array(OTHER > 0)], targets), want)


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: iter([(X, Y), (OTHER, Y)]),
        lambda: [(X, Y), (OTHER, Y)],
        lambda: iter([[X, Y], [OTHER, Y]]),
        lambda: [[X, Y], [OTHER, Y, None]],
        lambda: [[Tensor(X), Tensor(Y)], [sparse.csr_array(OTHER), Y, np.ones(T)]],
        lambda: (piece for piece in [(X.tolist(), Y.tolist()), [np.ma.array(OTHER), Y]]),
    ],
)
def test_pieces_of_a_stream_may_be_lists(pieces):
    """As torch's DataLoader yields them."""
    want, got = learner(update_every=5), learner(update_every=5)
    runs = want.run(iter([(X, Y), (OTHER, Y)])), got.run(pieces())
    assert_array_equal(runs[0].losses, runs[1].losses)
    same(got.weights, want.weights)


def test_a_list_without_targets_may_be_two_things():
    """Of as many inputs as outputs, [x, y] may be two trials or a trial with its target: say which."""
    sim, y = sl.Simulator(SQUARE), np.zeros((T, N_IN))
    for inputs in ([X, y], (X, y), [X, y, np.ones((T, N_IN))], [sparse.csr_array(X), y]):
        for call in (lambda given: sim.run(given), lambda given: sl.simulate(SQUARE, SQUARE.init_weights(), given)):
            with pytest.raises(ValueError, match=r"inputs must say which they are, .* trials are np.stack"):
                call(inputs)
    assert sim.run(np.stack([X, y])).losses.shape == (2,)
    assert sim.run([X, y], np.zeros((2, T, N_IN))).losses.shape == (2,)
    assert sl.Simulator(NET).run([X, OTHER]).losses.shape == (2,)
    with pytest.raises(ValueError, match=r"be trials of shape \(T, 3\) in a list .* its target are run\(x, target\)"):
        sl.Simulator(NET).run([X, Y])


@pytest.mark.parametrize("labels", [[1, 0], [1.0, 0.0], [True, False], np.array([1, 0], np.uint64), Tensor([1, 0]), (1, 0)])
def test_labels(labels):
    x = np.stack([X, OTHER])
    want, got = (learner(loss=sl.CrossEntropy()) for _ in range(2))
    assert want.run(x, np.array([1, 0])).loss == got.run(x, labels).loss
    same(got.weights, want.weights)


def test_steps():
    want, got = learner(update_every=1), learner(update_every=1)
    for x in X:
        want.step(x, Y[0])
    for k, x in enumerate(X):
        kinds = (x.tolist(), [1, 1]), (Tensor(x), Tensor(Y[0])), (x.astype(np.float32), tuple(Y[0])), (x, np.ma.array(Y[0]))
        got.step(*kinds[k % 4], mask=(1, 1.0, None, np.float32(1))[k % 4])
    same(got.weights, want.weights)


def test_weights_and_trials_of_other_kinds():
    w_in, w_rec, w_out, b_out = WEIGHTS
    given = sl.Weights(Tensor(w_in), np.asfortranarray(w_rec), w_out.tolist(), np.ma.array(b_out))
    same(sl.gradient(NET, given, X, Y, sl.EProp())[:4], sl.gradient(NET, WEIGHTS, X, Y, sl.EProp())[:4])
    trials = (X, Y), [sparse.csr_array(X), Y], [Tensor(X), Y, None]
    traces = [sl.synapse_traces(NET, WEIGHTS, trial, [(0, 1)]) for trial in trials]
    for other in traces[1:]:
        assert_array_equal(other.gradient, traces[0].gradient)
    table = [sl.compare(NET, WEIGHTS, trial, sl.EProp()) for trial in ((X, Y), [sparse.csr_array(X), Y])]
    assert_array_equal(table[0].cosine, table[1].cosine)


def test_sparse_weights_of_any_format():
    net = sl.Network(N_IN, sl.LIF(6, threshold=0.4), N_OUT, recurrent=sl.Sparse(indegree=2))
    weights = net.init_weights(1, 2.0)
    want = sl.gradient(net, weights, X, Y, sl.EProp()).w_rec
    coo = weights.w_rec.tocoo()
    order = np.random.default_rng(0).permutation(coo.nnz)
    data, row, col = (np.tile(x[order], 2) for x in (coo.data / 2, coo.row, coo.col))
    doubled = sparse.coo_array((data, (row, col)), coo.shape)
    for matrix in (coo, weights.w_rec.tocsc(), sparse.csr_matrix(weights.w_rec), doubled):
        got = sl.gradient(net, weights._replace(w_rec=matrix), X, Y, sl.EProp()).w_rec
        assert_array_equal(got.indices, want.indices)
        assert_array_equal(got.data, want.data)
