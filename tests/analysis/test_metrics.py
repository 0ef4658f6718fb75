"""`sl.metrics` against counts by hand, of runs and of recordings."""

import numpy as np
import pytest

import snnlearn as sl

T, N_IN, N, B = 60, 20, 30, 4
rng = np.random.default_rng(0)
X = (rng.random((B, T, N_IN)) < 0.1).astype(np.float32)
Y = rng.integers(0, 2, B)


def network(recurrent=None, n=N, **options):
    return sl.Network(N_IN, sl.ALIF(n, threshold=0.4, beta=0.02), sl.Readout(2), recurrent=recurrent or sl.Dense(), **options)


def simulator(net, rule=None, optimizer=None, **options):
    return sl.Simulator(net, None, rule or sl.EProp(), optimizer or sl.SGD(0.0), sl.CrossEntropy(), seed=1, **options)


def spikes(net, weights):
    z = np.stack([sl.simulate(net, weights, x, record=("spikes",)).spikes for x in X]).astype(int)
    assert z.sum() > 50
    return z


@pytest.mark.parametrize("recurrent", [sl.Dense(), sl.Sparse(5)])
def test_what_a_run_costs(recurrent):
    net = network(recurrent, delay=2.0)
    sim = simulator(net)
    z = spikes(net, sim.weights)
    found = sl.metrics(sim.run(X, Y, learn=False), net, sim.weights)
    w_in, w_rec, w_out = ((w.toarray() if hasattr(w, "toarray") else w) != 0 for w in sim.weights[:3])
    acs = X.sum((0, 1)) @ w_in.sum(1) + z[:, :-2].sum((0, 1)) @ w_rec.sum(1) + 2 * z.sum()
    assert found["synaptic_operations"] == {
        "Effective_ACs": pytest.approx(acs / B),
        "Effective_MACs": 0,
        "Dense": T * (N_IN * N + N * N + N * 2),
    }
    assert found["activation_sparsity"] == pytest.approx(1 - z.mean())
    stored = w_in.sum() + w_rec.sum() + w_out.sum()
    assert found["connection_sparsity"] == pytest.approx(1 - stored / (N_IN * N + N * N + N * 2))
    assert (found["trials"], found["steps"], found["membrane_updates"]) == (B, T, T * N)
    assert found["rate"] == pytest.approx(z.mean() * 1000) and "learning" not in found


def test_the_footprint_counts_what_is_stored():
    dense, sparse = (
        sl.metrics(simulator(net).run(X, Y), net, simulator(net).weights) for net in map(network, (None, sl.Sparse(5)))
    )
    assert dense["footprint"] - sparse["footprint"] == 4 * N * N - (8 * 5 * N + 4 * (N + 1))
    twice = network()
    double = sl.metrics(simulator(twice, dtype="float64").run(X, Y), twice, simulator(twice).weights)
    assert double["footprint"] > 1.9 * dense["footprint"] > 4 * (N_IN * N + N * N + N * 2)


@pytest.mark.parametrize(
    ("optimizer", "steps_of_it", "moments"), [(sl.SGD(0.1), 1, 0), (sl.SGD(0.1, momentum=0.9), 2, 1), (sl.Adam(0.1), 8, 2)]
)
def test_what_learning_costs(optimizer, steps_of_it, moments):
    net = network()
    learnt = N_IN * N + N * N + N * 2  # no self-connections are left out, no bias
    for rule, updates, operations in (
        (sl.BPTT(), 1, B * T * (N_IN * N + N * N)),
        (sl.EProp(method="forward"), 1, B * T * (N_IN * N + N * N)),
    ):
        sim = simulator(net, rule, optimizer)
        count = sum(w.size for w in sim.weights)
        assert count >= learnt
        found = sl.metrics(sim.run(X, Y), net, sim.weights)["learning"]
        absent = net.arrays(sim.weights, np.float32).absent_rec.size
        work = operations - B * T * absent
        assert found == {
            "operations": pytest.approx(work + count * steps_of_it),
            "bytes": pytest.approx(4 * (2 * work + count * (3 + 2 * moments))),
            "weight_writes": count,
            "updates": updates,
        }


def test_learning_within_trials_costs_an_update_each_time():
    net = network()
    sim = simulator(net, optimizer=sl.SGD(1e-3), update_every=10)
    assert sl.metrics(sim.run(X, Y), net, sim.weights)["learning"]["updates"] == T // 10
    frozen = network(frozen=("w_in",))
    sim = simulator(frozen)
    writes = sl.metrics(sim.run(X, Y), frozen, sim.weights)["learning"]["weight_writes"]
    assert writes == sum(w.size for w in sim.weights) - N_IN * N


def test_every_rule_has_a_cost():
    net = network(n=12)
    for rule in (sl.BPTT(), sl.TruncatedBPTT(20), sl.RTRL(), sl.EProp(), sl.EProp(order=2), sl.EProp(order=None), sl.SnAp(2),
                 sl.RFLO(), sl.UORO()):  # fmt: skip
        sim = simulator(net, rule)
        assert sl.metrics(sim.run(X, Y), net, sim.weights)["learning"]["operations"] > 1000, rule


def test_a_recording_costs_what_its_run_does(tmp_path):
    net = network(delay=2.0)
    sim = simulator(net, dtype="float32")
    for k, x in enumerate((X, 0.5 * X)):
        with sl.Recorder(tmp_path / f"{k}.h5", inputs=True, weights_every=1) as recorder:
            run = sim.run(x, Y, recorder=recorder)
        with sl.open_recording(tmp_path / f"{k}.h5") as recording:
            found, wanted = sl.metrics(recording), sl.metrics(run, net, sim.weights)
        wanted.pop("learning")
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert found[name] == pytest.approx(value), name


def test_a_stream_is_one_trial(tmp_path):
    net = network(delay=2.0)
    sim = simulator(net, update_every=10)
    pieces = [(X[0, a:b], np.full(b - a, 1)) for a, b in ((0, 20), (20, 30), (30, 60))]
    with sl.Recorder(tmp_path / "stream.h5", inputs=True, weights_every=1) as recorder:
        run = sim.run(iter(pieces), recorder=recorder)
    found = sl.metrics(run, net, sim.weights)
    assert (found["trials"], found["steps"]) == (1, 60)
    whole = sl.metrics(simulator(net).run(X[:1], Y[:1], learn=False), net, sim.weights)
    assert found["synaptic_operations"] == whole["synaptic_operations"]
    with sl.open_recording(tmp_path / "stream.h5") as recording:
        assert sl.metrics(recording)["synaptic_operations"] == whole["synaptic_operations"]


def test_what_cannot_be_counted(tmp_path):
    net, other = network(), network(n=7)
    sim = simulator(net)
    run = sim.run(X, Y)
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        sim.run(X, Y, recorder=recorder)
    with sl.open_recording(tmp_path / "run.h5") as recording:
        for arguments, error, sentence in (
            ((3,), TypeError, "metrics.run must be what Simulator.run returns, or a recording"),
            ((run,), TypeError, "metrics.net must be given: that of the run"),
            ((run, net), TypeError, "metrics.weights must be given"),
            ((run, other, sim.weights), ValueError, "metrics.net must have the run's 30 neurons and 20 inputs"),
            ((run, net, other.init_weights(0)), ValueError, "w_in"),
            ((sim.run(iter([])), net, sim.weights), ValueError, "a stream without a piece"),
            ((recording, net, sim.weights), ValueError, "metrics.run must hold spikes and inputs"),
        ):
            with pytest.raises(error, match=sentence):
                sl.metrics(*arguments)
