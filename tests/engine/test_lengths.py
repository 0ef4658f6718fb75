"""Trials of different lengths in one batch: each is the trial run by itself, whatever the rule; padding is not time."""

import numpy as np
import pytest

import snnlearn as sl

LENGTHS = np.array([23, 9, 2, 20, 14])
TRIALS, LONGEST, N_IN, N_OUT = LENGTHS.size, 23, 4, 3
RULES = [
    sl.EProp(),
    sl.EProp(method="forward"),
    sl.EProp(reset_gradient=True, method="forward"),
    sl.EProp(order=2),
    sl.BPTT(),
    sl.TruncatedBPTT(6),
    sl.RTRL(),
    sl.RFLO(),
]
REGULARIZERS = [None, sl.RateRegularizer(30.0, 5.0), sl.RateRegularizer(30.0, 5.0, tau=10.0)]


def network(kind=sl.ALIF):
    neurons = kind(7, threshold=0.4, refractory=2.0)
    return sl.Network(N_IN, [neurons], sl.Readout(N_OUT, tau=10.0, bias=True), delay=2.0)


@pytest.fixture
def data(rng):
    """Inputs, labels and continuous targets of a batch; what stands behind a trial's end is not zero."""
    x = (rng.random((TRIALS, LONGEST, N_IN)) < 0.4) * rng.normal(size=(TRIALS, LONGEST, N_IN))
    return x, rng.integers(0, N_OUT, TRIALS), rng.normal(size=(TRIALS, LONGEST, N_OUT))


def flat(weights):
    return np.concatenate([np.ravel(w) for w in weights[:4]])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{type(r).__name__}-{getattr(r, 'method', '')}-{getattr(r, 'order', '')}")
def test_a_batch_has_the_mean_gradient_of_its_trials(data, rule):
    x, labels, values = data
    net = network()
    weights = net.init_weights(seed=1)
    for regularizer in REGULARIZERS:
        for loss, targets in ((sl.CrossEntropy(), labels), (sl.MeanSquaredError(), values), (sl.CrossEntropy(of="mean"), labels)):
            options = {"rule": rule, "loss": loss, "regularizer": regularizer}
            batch = sl.gradient(net, weights, x, targets, steps=LENGTHS, **options)
            single = [
                sl.gradient(net, weights, x[b, :n], targets[b] if targets is labels else targets[b, :n], **options)
                for b, n in enumerate(LENGTHS)
            ]
            assert np.linalg.norm(batch.w_rec) > 1e-3
            for name in batch._fields[:-1]:  # the gradient by inputs was not asked for
                want = np.mean([getattr(g, name) for g in single], axis=0)
                np.testing.assert_allclose(getattr(batch, name), want, rtol=1e-11, atol=1e-12, err_msg=f"{name}, {options}")


@pytest.mark.filterwarnings("ignore:overflow")  # of hashes, without the JIT
@pytest.mark.parametrize("every", [1, 8])
@pytest.mark.parametrize("rule", [sl.EProp(), sl.RTRL(), sl.UORO(seed=1)], ids=lambda r: type(r).__name__)
def test_weights_that_change_within_trials_change_as_one_by_one(data, rule, every):
    """With a learning rate so small that weights hardly change, updates add up."""
    x, _, targets = data
    net = network()
    regularizer = REGULARIZERS[2]
    options = {"rule": rule, "optimizer": sl.SGD(1e-10), "regularizer": regularizer, "update_every": every, "dtype": "float64"}
    first = flat(net.init_weights(seed=1))

    def change(number, *trial, **lengths):
        sim = sl.Simulator(net, net.init_weights(seed=1), **options)
        run = sim.run(*trial, first_trial=number, **lengths)
        return run, flat(sim.weights) - first

    run, together = change(0, x, targets, steps=LENGTHS)
    single = [change(b, x[b, :n], targets[b, :n]) for b, n in enumerate(LENGTHS)]
    assert np.abs(together).max() > 1e-10
    np.testing.assert_allclose(together, np.mean([d for _, d in single], axis=0), rtol=1e-4, atol=1e-15)
    np.testing.assert_allclose(run.losses, [r.loss for r, _ in single], rtol=1e-6)
    rates = np.array([r.rate for r, _ in single])
    assert run.rate == pytest.approx((rates * LENGTHS).sum() / LENGTHS.sum())


@pytest.mark.parametrize("every", ["trial", 1])
def test_equal_lengths_keep_every_bit(data, every):
    x, _, targets = data
    results = []
    for steps in (None, np.full(TRIALS, LONGEST)):
        sim = sl.Simulator(network(), rule=sl.EProp(), optimizer=sl.Adam(1e-3), update_every=every, dtype="float64")
        for _ in range(3):
            run = sim.run(x, targets, steps=steps)
        results.append((run, flat(sim.weights)))
    assert results[0][0].loss == results[1][0].loss
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_what_stands_behind_the_end_is_not_looked_at(data):
    """Neither inputs nor targets nor weights of time."""
    x, _, targets = data
    late = np.arange(LONGEST) >= LENGTHS[:, None]
    results = []
    for value in (0.0, 7.0):
        a, b = x.copy(), targets.copy()
        a[late], b[late] = value, value
        sim = sl.Simulator(network(), rule=sl.BPTT(), optimizer=sl.Adam(1e-3), regularizer=REGULARIZERS[1], dtype="float64")
        run = sim.run(a, b, np.where(late, 1.0 + value, 1.0), steps=LENGTHS)
        results.append((run.losses, run.scores, flat(sim.weights)))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rates_are_those_of_the_trials_own_steps(rng):
    """Neurons that are driven at 100 Hz for a word fire at 100 Hz, however long the longest word is."""
    net = sl.Network(1, sl.ALIF(5, tau_m=5.0, threshold=0.5, beta=0.0), 1)
    weights = net.init_weights(seed=1)
    weights = sl.Weights(np.ones((1, 5)), np.zeros((5, 5)), weights.w_out, weights.b_out)
    x, steps = np.zeros((3, 400, 1)), np.array([400, 50, 100])
    x[:, ::10] = 1.0
    runs = [sl.Simulator(net, weights, dtype="float64").run(x, learn=False, steps=s) for s in (steps, None)]
    assert [run.rate for run in runs] == pytest.approx([100.0, 100.0])
    target = sl.RateRegularizer(100.0, 1.0)
    for rule in (sl.EProp(), sl.EProp(method="forward")):
        got = sl.gradient(net, weights, x, np.zeros((3, 400, 1)), rule, mask=np.zeros(400), regularizer=target, steps=steps)
        assert got.regularization == pytest.approx(0.0, abs=1e-20)
        padded = x * (np.arange(400) < steps[:, None])[..., None]
        got = sl.gradient(net, weights, padded, np.zeros((3, 400, 1)), rule, mask=np.zeros(400), regularizer=target)
        assert got.regularization > 1e-4


def test_the_gradient_of_the_mean_readout(data):
    """The error of each step is mask (softmax(mean) - label), which a user can give; loss M l(mean)."""
    x, labels, _ = data
    net, mask = network(), np.linspace(0.5, 1.5, LONGEST)
    weights = net.init_weights(seed=1)
    readout = sl.simulate(net, weights, x, record="readout", dtype="float64").readout
    mean = (mask[:, None] * readout).sum(axis=1) / mask.sum()
    p = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    error = np.repeat((p - np.eye(N_OUT)[labels])[:, None], LONGEST, axis=1)
    for rule in (sl.EProp(), sl.RTRL()):
        sims = [sl.Simulator(net, weights, rule, sl.SGD(1.0), sl.CrossEntropy(of="mean"), dtype="float64") for _ in range(2)]
        run = sims[0].run(x, labels, mask)
        sims[1].run(x, error=error, mask=mask)
        np.testing.assert_allclose(run.losses, -mask.sum() * np.log(p[np.arange(TRIALS), labels]), rtol=1e-12)
        change = flat(sims[0].weights) - flat(weights)
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(change, flat(sims[1].weights) - flat(weights), rtol=1e-10, atol=1e-13)
        assert run.accuracy == np.mean(mean.argmax(axis=1) == labels)


def test_the_mean_readout_of_a_trial_that_is_recomputed_from_checkpoints(data):
    x, labels, _ = data
    net = network()
    weights = net.init_weights(seed=1)
    whole, parts = (
        sl.gradient(
            net, weights, np.tile(x, (1, 4, 1)), labels, sl.BPTT(max_bytes=limit), sl.CrossEntropy(of="mean"), by_inputs=True
        )
        for limit in (None, 2000)
    )
    assert np.linalg.norm(whole.w_rec) > 1e-3
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_mean_readout_is_for_whole_trials(data):
    x, _, _ = data
    parts = {"rule": sl.EProp(), "optimizer": sl.SGD(1e-3), "loss": sl.CrossEntropy(of="mean")}
    with pytest.raises(ValueError, match="CrossEntropy must have of='steps' where weights change within a trial"):
        sl.Simulator(network(), update_every=5, **parts)
    sim = sl.Simulator(network(), **parts)
    for call in (lambda: sim.run(iter([(x[0], 1)])), lambda: sim.step(x[0, 0], 1)):
        with pytest.raises(ValueError, match="of='steps' in a stream"):
            call()
    with pytest.raises(ValueError, match="one label a trial"):
        sim.run(x, np.zeros((TRIALS, LONGEST), int))
    with pytest.raises(ValueError, match=r"CrossEntropy\.of must be one of 'steps', 'mean'"):
        sl.CrossEntropy(of="sum")
    assert sim.updates_done == 0


def test_a_recording_holds_nothing_of_what_was_not_simulated(data, path):
    x, labels, _ = data
    sim = sl.Simulator(network(), rule=sl.EProp(), optimizer=sl.SGD(1e-3), loss=sl.CrossEntropy(), dtype="float64")
    chosen = {"w_in": [(0, 1)], "w_rec": [(2, 3)]}
    with sl.Recorder(path, v=True, learning_signal=[1], eligibility=chosen) as recorder:
        sim.run(x, labels, recorder=recorder, steps=LENGTHS)
        run = sim.run(x, labels, recorder=recorder, steps=LENGTHS[::-1])
    lengths = np.concatenate([LENGTHS, LENGTHS[::-1]])
    with sl.open_recording(path) as rec:
        table = rec.table("trials")
        np.testing.assert_array_equal(table.n_steps, lengths)
        np.testing.assert_array_equal(rec["v"][4], rec["v"][4])
        spikes = rec.spikes()
        assert (spikes.step < lengths[spikes.trial]).all()
        counts = np.bincount(spikes.trial, minlength=2 * TRIALS)
        np.testing.assert_allclose(table.rate, counts / 7 / (lengths * 1e-3))
        assert run.rate == pytest.approx(counts[TRIALS:].sum() / 7 / (LENGTHS.sum() * 1e-3))
        for k, length in enumerate(lengths):
            assert rec["v"][k].shape == (length, 7)
            assert rec["learning_signal"][k].shape == (length, 1)
            assert rec["eligibility_w_rec"][k].shape == (length, 1)


def test_errors_that_a_function_gives_are_asked_for_steps_that_there_are(data):
    x, _, _ = data
    asked = []
    sim = sl.Simulator(network(), rule=sl.EProp(), optimizer=sl.SGD(1e-6), dtype="float64")
    sim.run(x, error=lambda t, y: asked.append(t) or y, steps=LENGTHS)
    np.testing.assert_array_equal(np.bincount(asked), (LENGTHS > np.arange(LONGEST)[:, None]).sum(axis=1))


@pytest.mark.parametrize(
    "steps, sentence",
    [
        ([3, 4], "be 5 whole numbers in 1 .. 23"),
        ([0, 1, 1, 1, 1], "in 1 .. 23"),
        ([24, 1, 1, 1, 1], "in 1 .. 23"),
        ([1.5] * 5, "whole numbers"),
    ],
)
def test_lengths_that_do_not_fit(data, steps, sentence):
    x, _, targets = data
    sim = sl.Simulator(network(), rule=sl.EProp(), optimizer=sl.SGD(1e-6))
    with pytest.raises((ValueError, TypeError), match=f"Simulator.run.steps must .*{sentence}"):
        sim.run(x, targets, steps=steps)
    with pytest.raises(ValueError, match="where it is an iterator"):
        sim.run(iter([x[0]]), steps=[3])


def test_the_learning_signal_of_the_mean_readout_is_the_recorded_one(data, path):
    x, labels, _ = data
    net, loss = network(), sl.CrossEntropy(of="mean")
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(0.0), loss=loss, dtype="float64")
    with sl.Recorder(path, learning_signal=True) as recorder:
        sim.run(x, labels, recorder=recorder, steps=LENGTHS)
    with sl.open_recording(path) as rec:
        for b, n in enumerate(LENGTHS):
            signal = sl.synapse_traces(net, sim.weights, (x[b, :n], labels[b]), [(0, 1)], "recurrent", loss=loss).signal
            np.testing.assert_allclose(rec["learning_signal"][b][:, 1], signal[:, 0], rtol=1e-10, atol=1e-12)
            assert np.abs(signal).max() > 1e-3
