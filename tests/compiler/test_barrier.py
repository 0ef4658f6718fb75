"""Threads that run one trial together: the same bits as one thread, whatever learns and whatever is recorded."""

import naive
import numpy as np
import pytest
from numba import config
from numpy.testing import assert_array_equal
from twin import draw, simulator

import snnlearn as sl
from snnlearn.compiler import barrier
from snnlearn.engine import partition
from snnlearn.optimizers import optimizers

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="plain Python does not run kernels at the same time")

CASES = {
    "lif": dict(kind="lif", n_ref=1),
    "alif": dict(kind="alif", delay=2, n_ref=1, self_connections=False),
    "mixed": dict(kind="mixed", heterogeneous=True, delay=3, analog=True),
    "sparse": dict(kind="alif", density=0.5, density_in=0.6, delay=2),
}
SETTINGS = {
    "trial": ("lif", sl.EProp(), sl.SGD(1e-3), "trial"),
    "trial adam": ("alif", sl.EProp(feedback="adaptive"), sl.Adam(1e-3, clip_norm=0.1, weight_decay=0.1), "trial"),
    "trial sparse": ("sparse", sl.EProp(feedback="random"), sl.Adam(1e-3), "trial"),
    "trial forward": ("mixed", sl.EProp(method="forward", reset_gradient=True), sl.SGD(1e-3, momentum=0.5), "trial"),
    "rflo": ("alif", sl.RFLO(), sl.SGD(1e-3), "trial"),
    "interval": ("lif", sl.EProp(), sl.SGD(1e-4), 7),
    "interval adam": ("alif", sl.EProp(feedback="adaptive"), sl.Adam(1e-3, clip_norm=0.1), 7),
    "interval groups": ("groups", sl.EProp(), sl.SGD(1e-4), 7),
    "on read groups": ("groups", sl.EProp(), sl.SGD(1e-4), 1),
    "interval sparse": ("sparse", sl.EProp(), sl.Adam(1e-3), 7),
    "on read": ("lif", sl.EProp(feedback="random"), sl.SGD(1e-4), 1),
    "in place": ("alif", sl.EProp(reset_gradient=True), sl.SGD(1e-4), 1),
    "in place sparse": ("sparse", sl.EProp(), sl.Adam(1e-4), 1),
}
slow = {"trial forward", "rflo", "interval adam", "in place", "in place sparse"}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in SETTINGS]


@pytest.fixture
def small(monkeypatch):
    """Members of a few neurons."""
    monkeypatch.setattr(partition, "NEURONS", 8)
    monkeypatch.setattr(partition, "ALIGNED", 4)
    monkeypatch.setattr(partition, "SYNAPSES", 10)


def regularized(name):
    """The per-trial form, or the online form where weights change within a trial; half of the settings have one."""
    tau = {"trial adam": None, "trial forward": None, "interval": 20.0, "on read": 20.0, "in place": 20.0}
    return {"regularizer": sl.RateRegularizer(20.0, 0.1, tau[name])} if name in tau else {}


def members(sim):
    spaces = list(sim._engine.workspaces.values())
    return max(1 if space.shards is None else len(space.shards) for space in spaces)


def made(name, threads, **options):
    kind, rule, optimizer, every = SETTINGS[name]
    case = draw(T=60, n=34, n_in=6, **CASES["lif" if kind == "groups" else kind])
    if kind == "groups":  # of which each has one tau_m, and the members one group each
        case.net.alpha[:16], case.net.alpha[16:] = np.exp(-1 / 20.0), np.exp(-1 / 10.0)
        case.tau_m[:16], case.tau_m[16:] = 20.0, 10.0
    return simulator(case, rule, optimizer, sparse_all=kind == "sparse", update_every=every, threads=threads, **options)


def same(first, second):
    for name, weights in naive.plain(first.weights).items():
        assert_array_equal(naive.plain(second.weights)[name], weights, err_msg=name)
    if first.feedback is not None:
        assert_array_equal(first.feedback, second.feedback)


@pytest.mark.parametrize("name", NAMES)
def test_a_team_gives_the_same_bits(small, name):
    """Trials and a stream, learning and quiet, with one, two and four threads; weights change and neurons fire."""
    found = []
    for threads in (1, 2, 4):
        sim, data = made(name, threads, **regularized(name))
        before = naive.plain(sim.weights)
        runs = [sim.run(**data), sim.run(**data, learn=False), sim.run(**data)]
        assert (runs[0].regularization > 0) == bool(regularized(name))
        assert members(sim) == threads
        pieces = [tuple(data[k][a:b] for k in ("inputs", "targets", "mask")) for a, b in ((0, 21), (21, 42), (42, 60))]
        stream = sim.run(iter(pieces))
        quiet = sim.run(iter(pieces), learn=False)
        step = sim.step(data["inputs"][0], data["targets"][0])
        assert runs[0].rate > 0 and np.abs(naive.plain(sim.weights)["w_rec"] - before["w_rec"]).max() > 1e-6
        reports = [(r.loss, r.rate, r.regularization) for r in (*runs, stream, quiet)]
        found.append((sim, reports, step.readout, step.spikes))
    for other in found[1:]:
        same(found[0][0], other[0])
        for a, b in zip(found[0][1:], other[1:], strict=True):
            assert_array_equal(a, b)


def test_fewer_trials_than_threads(small):
    """A batch of three: dealt to two threads, one after the other on four that share the neurons."""
    found = []
    for threads in (1, 2, 4):
        sim, data = made("trial adam", threads)
        batch = {key: np.stack([value, value[::-1], value]) for key, value in data.items()}
        found.append((sim, sim.run(**batch).losses, sim.run(**batch, learn=False).losses))
        assert members(sim) == (4 if threads == 4 else 1)
    for sim, *losses in found[1:]:
        same(found[0][0], sim)
        assert_array_equal(losses, found[0][1:])


def test_a_recording_is_the_same(small, tmp_path):
    """All of a neuron's variables, and those of a few neurons, as the members have left them."""
    for choice in ({"v": True, "a": True, "psi": True, "threshold": True, "learning_signal": True}, {"v": [1, 30], "a": [2]}):
        data = []
        for threads in (1, 3):
            sim, trial = made("interval adam", threads)
            with sl.Recorder(tmp_path / f"{threads}.h5", **choice, overwrite=True) as recorder:
                sim.run(**trial, recorder=recorder)
            assert members(sim) == threads
            with sl.open_recording(tmp_path / f"{threads}.h5") as recording:
                piece = next(iter(recording.iter_trials()))
                data.append(({name: piece[name] for name in choice}, piece.spikes().step, piece.spikes().neuron))
        assert_array_equal(data[0][1], data[1][1])
        assert_array_equal(data[0][2], data[1][2])
        assert data[0][1].size
        for name, values in data[0][0].items():
            assert values.any()
            assert_array_equal(values, data[1][0][name], err_msg=name)


def test_divergence_names_the_first_neuron(small):
    """Whichever member finds it, and no member waits for one that has left."""
    for threads in (1, 2, 4):
        sim, data = made("trial", threads)
        w_in = sim.weights.w_in.copy()
        w_in[0, 20:] = 1e100
        sim.set_weights(sim.weights._replace(w_in=w_in))
        inputs = data["inputs"].copy()
        inputs[30, 0] = 1e300
        with pytest.raises(sl.Divergence) as trouble:
            sim.run(**{**data, "inputs": inputs}, learn=False)
        assert (trouble.value.step, trouble.value.neuron) == (30, 20)
        assert members(sim) == threads


def test_who_cannot_share(small):
    """Rules that cross recurrent synapses, passive rules, batches and single steps are run as before."""
    case = draw(T=60, n=34, n_in=6, **CASES["lif"])
    for rule, options in ((sl.BPTT(), {}), (sl.EProp(), {"passive": sl.BPTT()})):
        sim, data = simulator(case, rule, sl.SGD(1e-3), threads=2, **options)
        sim.run(**data)
        assert members(sim) == 1


def test_a_missing_thread_is_an_error(small):
    """A pool that refuses work leaves nobody waiting, and the network as it was."""
    sim, data = made("trial", 2)
    sim.run(**data)
    before = naive.plain(sim.weights)
    sim._engine.pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule"):
        sim.run(**data)
    for name, weights in before.items():
        assert_array_equal(naive.plain(sim.weights)[name], weights)


def test_cores_are_those_that_a_container_grants(tmp_path, monkeypatch):
    """A quota of one and a half cores is two threads; more threads than cores would wait for one another."""
    file = tmp_path / "cpu.max"
    monkeypatch.setattr(barrier, "CGROUP", file)
    bound = barrier.cores()
    for text, want in (("150000 100000\n", min(2, bound)), ("max 100000\n", bound), ("20000 100000\n", 1), ("", bound)):
        file.write_text(text, encoding="utf-8")
        assert barrier.cores() == want


def test_a_member_that_is_missing_in_an_update_changes_nothing(small):
    """As where Ctrl-C comes between the start of one thread and that of the next."""
    sim, _ = made("trial adam", 2)
    engine = sim._engine
    engine.grad.w_rec[0] = 1.0
    before, began = engine.weights.w_rec.copy(), []

    def kernel(*arguments):
        began.append(arguments)
        if len(began) == 2:
            raise KeyboardInterrupt
        return optimizers.apply_gradient(*arguments)

    with pytest.raises(KeyboardInterrupt):
        partition.apply_together(kernel, engine.pool, 2, engine.update_arguments(1, engine.grad), 0.1)
    assert len(began) == 2
    assert_array_equal(engine.weights.w_rec, before)


@pytest.mark.parametrize("name", ["trial", "trial adam", "trial sparse"])
def test_the_faster_way_is_taken(small, monkeypatch, name):
    """Whichever way each run goes, its results are those of one thread."""
    monkeypatch.setattr(partition, "PATIENCE", 0.0)
    ways, shares = [], partition.SharingPace.shares

    def turn(pace):
        shares(pace)
        ways.append(len(ways) % 3 != 1)
        return ways[-1]

    monkeypatch.setattr(partition.SharingPace, "shares", turn)
    (one, trial), (two, _) = made(name, 1), made(name, 2)
    for _ in range(6):
        runs = [sim.run(**trial) for sim in (one, two)]
        assert runs[0].loss == runs[1].loss
    same(one, two)
    assert ways == [True, False, True, True, False, True]
    assert two._engine.paces[True].seconds[True] is not None and two._engine.paces[True].seconds[False] is not None


def test_a_pace_tries_both_ways(monkeypatch):
    monkeypatch.setattr(partition, "PATIENCE", 1.0)
    pace, ways = partition.SharingPace(), []
    for _ in range(200):
        ways.append(pace.shares())
        pace.took(ways[-1], 0.5 if ways[-1] else 0.1, 10)
    assert ways[:5] == [True, True, True, False, False]  # the first of each way compiles
    assert ways.count(True) in range(5, 12)  # one in 32 looks again
    for _ in range(200):  # the other thread has its core for itself now
        ways.append(pace.shares())
        pace.took(ways[-1], 0.05 if ways[-1] else 0.1, 10)
    assert sum(ways[-30:]) >= 29
