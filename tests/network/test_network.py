"""Networks: connectivity, initial weights and the memory that they take."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import snnlearn as sl


def network(n=60, n_inputs=30, **kwargs):
    return sl.Network(n_inputs, [sl.LIF(n // 2), sl.ALIF(n - n // 2)], 3, **kwargs)


def dense(w):
    return w.toarray() if sparse.issparse(w) else w


CONNECT = {
    "dense": dict(),
    "self": dict(recurrent=sl.Dense(self_connections=True)),
    "sparse": dict(recurrent=sl.Sparse(indegree=10), inputs=sl.Sparse(density=0.4)),
    "masked": dict(recurrent=sl.Masked(np.tri(60, dtype=bool)), inputs=sl.Masked(np.arange(1800).reshape(30, 60) % 3 == 0)),
}


@pytest.mark.parametrize("name", CONNECT)
def test_the_seed_decides_the_weights(name):
    net = network(**CONNECT[name])
    first, again, other = (net.init_weights(seed) for seed in (1, 1, 2))
    for one, two, three in zip(first[:3], again[:3], other[:3], strict=True):
        assert_array_equal(dense(one), dense(two))
        assert (dense(one) != dense(three)).any()
    assert not first.b_out.any()


@pytest.mark.parametrize("name", CONNECT)
def test_initial_weights_pass_the_networks_own_check(name):
    net = network(**CONNECT[name])
    weights = net.init_weights(3)
    for one, two in zip(net.check_weights(weights), weights, strict=True):
        assert_array_equal(dense(one), dense(two))


@pytest.mark.parametrize("indegree", [1, 10, 30, 45, 59])
def test_the_indegree_is_exact(indegree):
    net = network(recurrent=sl.Sparse(indegree=indegree))
    w = net.init_weights(4).w_rec
    assert_array_equal(np.bincount(w.indices, minlength=60), indegree)
    assert w.nnz == 60 * indegree == np.count_nonzero(w.toarray())  # distinct sources
    assert not w.diagonal().any()


def test_the_indegree_of_inputs_and_with_self_connections():
    net = network(recurrent=sl.Sparse(indegree=60, self_connections=True), inputs=sl.Sparse(indegree=30))
    w = net.init_weights(0)
    assert np.count_nonzero(w.w_rec.toarray()) == 3600 and np.count_nonzero(w.w_in.toarray()) == 1800


def test_every_source_is_equally_likely():
    net = network(n=400, recurrent=sl.Sparse(indegree=40))
    outdegree = np.diff(net.init_weights(5).w_rec.indptr)
    p = 40 / 399
    assert abs(outdegree.mean() - 40) < 1e-9
    assert outdegree.std() == pytest.approx(np.sqrt(399 * p * (1 - p)), rel=0.15)


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 1.0])
def test_the_density_has_the_right_statistics(density):
    net = network(n=300, recurrent=sl.Sparse(density=density))
    w = net.init_weights(6).w_rec
    pairs = 300 * 299
    assert abs(w.nnz - pairs * density) <= 5 * np.sqrt(pairs * density * (1 - density))
    assert not w.diagonal().any() and w.nnz == np.count_nonzero(w.toarray())


def test_self_connections_are_absent_unless_asked_for():
    assert not np.diagonal(network().init_weights(0).w_rec).any()
    assert np.diagonal(network(**CONNECT["self"]).init_weights(0).w_rec).all()


@pytest.mark.parametrize("connectivity", [sl.Dense(), sl.Sparse(indegree=100), sl.Sparse(density=0.25)], ids=repr)
def test_weights_scale_with_the_indegree(connectivity):
    net = sl.Network(200, sl.LIF(400), 50, recurrent=connectivity, inputs=sl.Sparse(indegree=50))
    weights = net.init_weights(7)
    for w in weights[:2]:
        w = sparse.csr_array(w)
        indegree = np.bincount(w.indices, minlength=400)
        assert (w.data * np.sqrt(indegree[w.indices])).std() == pytest.approx(1.0, rel=0.03)
    assert weights.w_out.std() * np.sqrt(400) == pytest.approx(1.0, rel=0.03)


def test_masked_weights_scale_with_the_indegree():
    mask = np.random.default_rng(0).random((400, 400)) < 0.3
    w = sl.Network(2, sl.LIF(400), 1, recurrent=sl.Masked(mask)).init_weights(0).w_rec
    assert_array_equal(w != 0, mask)
    assert (w * np.sqrt(mask.sum(0)))[mask].std() == pytest.approx(1.0, rel=0.03)


def test_the_gain_scales():
    net = network()
    one, two, some = net.init_weights(1), net.init_weights(1, gain=2.0), net.init_weights(1, gain={"w_rec": 3.0})
    assert_array_equal(two.w_in, 2.0 * one.w_in)
    assert_array_equal(some.w_rec, 3.0 * one.w_rec)
    assert_array_equal(some.w_in, one.w_in)


def test_a_sparse_network_holds_nothing_of_all_pairs():
    n, k = 20_000, 20
    tracemalloc.start()
    net = sl.Network(50, sl.LIF(n), 2, recurrent=sl.Sparse(indegree=k), inputs=sl.Sparse(indegree=5))
    weights = net.init_weights(1)
    sim = sl.Simulator(net, weights, sl.EProp(method="forward"), sl.Adam(1e-3), update_every=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sim.weights.w_rec.nnz == n * k
    assert peak < 250 * n * k < n * n  # bytes; one byte per pair would already be 400 MB


def test_a_sparse_network_by_density_holds_nothing_of_all_pairs():
    n = 20_000
    tracemalloc.start()
    w = sl.Network(50, sl.LIF(n), 2, recurrent=sl.Sparse(density=1e-3)).init_weights(1).w_rec
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert w.nnz == pytest.approx(n * n * 1e-3, rel=0.02)
    assert peak < 250 * w.nnz


def test_times_become_steps():
    net = sl.Network(
        1, [sl.ALIF(2, tau_m=[10.0, 20.0], tau_a=[50.0, 0.0], refractory=1.0)], sl.Readout(1, tau=5.0), dt=0.5, delay=2.0
    )
    p = net.arrays(net.init_weights(), "float64").params
    assert net.delay_steps == 4
    assert_allclose(p.alpha, np.exp([-0.05, -0.025]))
    assert_allclose(p.rho, [np.exp(-0.01), 0.0])
    assert_array_equal(p.n_ref, 2)
    assert net.readout.kappa(0.5) == np.exp(-0.1)
    assert sl.Readout(1, tau=0.0).kappa(0.5) == 0.0


@pytest.mark.parametrize("dt", [0.1, 0.3, 1.0, 2.0, 10.0])
def test_without_a_delay_it_is_one_step_of_any_length(dt):
    net = sl.Network(4, sl.LIF(3), 2, dt=dt)
    assert net.delay_steps == 1 and net.delay == dt
    assert net == sl.Network(4, sl.LIF(3), 2, dt=dt, delay=dt)


def test_groups_are_numbered_in_order():
    net = sl.Network(1, [sl.LIF(2, threshold=1.0), sl.ALIF(3, threshold=2.0, beta=0.3), sl.LIF(1, threshold=3.0)], 1)
    p = net.arrays(net.init_weights(), "float64").params
    assert net.n == 6 and net.variables == ("v", "a")
    assert_array_equal(p.thr, [1, 1, 2, 2, 2, 3])
    assert_array_equal(p.beta, [0, 0, 0.3, 0.3, 0.3, 0])


def test_numbers_stand_for_a_readout_and_one_group():
    net = sl.Network(2, sl.LIF(3), 4)
    assert net.readout == sl.Readout(4) and net.neurons == (sl.LIF(3),)


def test_specs_compare_and_hash():
    assert network() == network() and hash(network()) == hash(network())
    assert network() != network(dt=0.5)
    assert sl.LIF(2, tau_m=[1.0, 2.0]) == sl.LIF(2, tau_m=np.array([1.0, 2.0]))


def test_a_mask_is_copied():
    mask = np.ones((4, 4), bool)
    spec = sl.Masked(mask)
    mask[:] = False
    assert spec.mask.all()
