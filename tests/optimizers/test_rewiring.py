"""DEEP R against its naive twin, and what moves with the synapses: moments, traces, structure; threads."""

import itertools
import math

import naive_rewiring as twin
import numpy as np
import pytest
from scipy import sparse

import snnlearn as sl
from snnlearn.network.projections import SparseProjection
from snnlearn.network.rewire import free_places, move_synapses, places
from snnlearn.network.shards import shards_of, split_again

N_IN, N = 5, 16
pytestmark = pytest.mark.filterwarnings("ignore::snnlearn.RunWarning")


def network(n=N, **changes):
    parts = {"recurrent": sl.Sparse(indegree=4), "inputs": sl.Sparse(density=0.4)} | changes
    neurons = [sl.LIF(n // 2, tau_m=20.0, threshold=0.3), sl.ALIF(n - n // 2, tau_m=20.0, tau_a=100.0, beta=0.05, threshold=0.3)]
    return sl.Network(N_IN, neurons, sl.Readout(2, tau=10.0), **parts)


def trials(count=4, steps=30, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.random((count, steps, N_IN)) < 0.4).astype(float), rng.standard_normal((count, steps, 2))


def simulator(net=None, rule=None, optimizer=None, **options):
    keep = {"rewiring": sl.DeepR(l1=0.05, temperature=0.02), "dtype": "float64", "seed": 3} | options
    return sl.Simulator(net or network(), None, rule or sl.EProp(), optimizer or sl.Adam(1e-2), **keep)


def synapses(w, **carried):
    """A csr_array as the twin has it."""
    pre = np.repeat(np.arange(w.shape[0]), np.diff(w.indptr))
    pairs = zip(pre.tolist(), w.indices.tolist(), strict=True)
    return {pair: {"w": w.data[k], **{name: x[k] for name, x in carried.items()}} for k, pair in enumerate(pairs)}


def as_arrays(of, name):
    return [of[pair][name] for pair in sorted(of)]


def held(sim, name):
    """What a simulator holds for the synapses of a matrix, as the twin has it."""
    engine = sim.engine
    m = next(x for x in engine.rewirer.matrices if x.name == name)
    moments = {"first": getattr(engine.opt.first, name), "second": getattr(engine.opt.second, name)}
    return synapses(getattr(sim.weights, name), s=m.signs, **{k: x for k, x in moments.items() if x.size})


def copy_without(sim):
    """The same state without rewiring, to see what the optimizer alone does."""
    parts = {name: getattr(sim, name) for name in ("rule", "optimizer", "loss", "update_every", "seed")}
    other = sl.Simulator(sim.net, sim.weights, dtype="float64", **parts)
    for one, two in ((sim.engine.opt.first, other.engine.opt.first), (sim.engine.opt.second, other.engine.opt.second)):
        for a, b in zip(one, two, strict=True):
            b[:] = a
    other.engine.opt.done[:] = sim.engine.opt.done
    return other


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (sl.Adam(1e-2), {}),
        (sl.SGD(sl.ExponentialDecay(0.02, 0.5, every=5), momentum=0.5), {"l1": 0.0, "temperature": 0.05}),
        (sl.SGD(1e-2, bounds={"w_rec": (0.0, 0.5), "w_in": (-0.3, 0.3)}), {"temperature": 0.0, "l1": 0.4}),
        (sl.Adam(1e-2), {"every": 3}),
    ],
)
def test_a_rewiring_is_that_of_the_naive_twin(optimizer, options):
    spec = sl.DeepR(**({"l1": 0.05, "temperature": 0.02} | options))
    sim, (x, y), exchanged = simulator(optimizer=optimizer, rewiring=spec), trials(), 0
    allowed = {"w_in": lambda pre, post: True, "w_rec": lambda pre, post: pre != post}
    for _ in range(6):
        alone = copy_without(sim)
        signs = {m.name: m.signs.copy() for m in sim.engine.rewirer.matrices}
        sim.run(x, y)
        alone.run(x, y)
        done = sim.updates_done
        for m, name in enumerate(("w_in", "w_rec")):
            opt = alone.engine.opt
            moments = {k: getattr(part, name) for k, part in (("first", opt.first), ("second", opt.second))}
            before = synapses(getattr(alone.weights, name), s=signs[name], **{k: v for k, v in moments.items() if v.size})
            want = before
            if done % spec.every == 0:
                eta = sum(optimizer.lr(k) if callable(optimizer.lr) else optimizer.lr for k in range(done - spec.every, done))
                low, high = optimizer._bounds()
                fresh = {key: 0.0 for key, v in moments.items() if v.size}
                size = {"shrink": eta * spec.l1, "spread": math.sqrt(2 * eta * spec.temperature), "fresh": fresh}
                shape, limits = getattr(sim.weights, name).shape, {"low": low[m], "high": high[m]}
                want, dead, born = twin.rewire(before, shape, done, 3, m, allowed=allowed[name], **size, **limits)
                assert len(dead) == len(born)
                exchanged += len(born)
            got = held(sim, name)
            assert set(got) == set(want)
            assert as_arrays(got, "s") == as_arrays(want, "s")
            for part in set(next(iter(want.values()))) - {"s"}:
                np.testing.assert_allclose(as_arrays(got, part), as_arrays(want, part), rtol=1e-12, atol=1e-15)
    assert exchanged > 5


def csr(rng, shape, density):
    w = sparse.csr_array(sparse.random_array(shape, density=density, format="csr", rng=rng))
    w.sort_indices()
    return w


@pytest.mark.kernels
@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("skip_self", [False, True])
def test_entries_move_and_stay_sorted(density, skip_self):
    rng = np.random.default_rng(5)
    for _ in range(20):
        w = csr(rng, (9, 9), density)
        proj, before = SparseProjection(w.indptr.astype(np.int64), w.indices.astype(np.int32)), w.toarray() != 0
        taken = before | np.eye(9, dtype=bool) if skip_self else before
        free = free_places(proj, 9, skip_self)
        assert free.tolist() == (~taken).sum(axis=1).tolist()
        n = int(rng.integers(0, min(w.nnz, int(free.sum())) + 1))
        ranks = np.sort(rng.choice(int(free.sum()), n, replace=False))
        pre, post = places(proj, free, skip_self, ranks)
        assert list(zip(pre.tolist(), post.tolist(), strict=True)) == [tuple(p) for p in np.argwhere(~taken)[ranks].tolist()]
        dead = np.sort(rng.choice(w.nnz, n, replace=False))
        want = dict(zip(map(tuple, np.argwhere(before).tolist()), w.data, strict=True))
        for pair in [pair for k, pair in enumerate(want) if k in dead]:
            del want[pair]
        want |= dict.fromkeys(zip(pre.tolist(), post.tolist(), strict=True), 0.0)
        values = np.stack([w.data, w.data])
        shards = shards_of(proj, np.array([0, 4, 9]))
        move = move_synapses(proj, dead, pre, post)
        move.apply(values)
        got = sparse.csr_array((values[0], proj.indices, proj.indptr), shape=w.shape)
        assert got.has_canonical_format and np.array_equal(values[0], values[1])
        assert synapses(got) == {pair: {"w": x} for pair, x in sorted(want.items())}
        split_again(proj, shards, 9)
        for one, two in zip(shards, shards_of(proj, np.array([0, 4, 9])), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_places_that_are_short_are_all_taken_and_the_rest_stays():
    net = network(8, recurrent=sl.Sparse(density=0.9), inputs=sl.Dense())
    sim, (x, y) = simulator(net, optimizer=sl.SGD(1e-3), rewiring=sl.DeepR(l1=1e4, temperature=0.0)), trials()
    nnz, free = sim.weights.w_rec.nnz, 8 * 7 - sim.weights.w_rec.nnz
    sim.run(x, y)
    w = sim.weights.w_rec
    assert 0 < free < nnz and w.nnz == nnz and not w.data.any() and len(sim.engine.rewirer.changes[0].born) == free


@pytest.mark.parametrize(
    ("rule", "every", "update_every", "optimizer"),
    [
        (sl.EProp(), 2, "trial", sl.Adam(1e-2)),
        (sl.EProp(feedback="adaptive"), 2, 5, sl.Adam(1e-2)),
        (sl.EProp(reset_gradient=True), 3, 2, sl.SGD(1e-2)),
        (sl.EProp(), 7, 1, sl.SGD(1e-3)),
        (sl.RFLO(), 2, 4, sl.SGD(1e-2, momentum=0.9)),
        (sl.UORO(), 4, 3, sl.SGD(1e-4)),
        (sl.TruncatedBPTT(5), 2, 5, sl.Adam(1e-2)),
        (sl.RTRL(), 1, "trial", sl.Adam(1e-2)),
        (sl.EProp(order=2), 1, "trial", sl.Adam(1e-2)),
        (sl.BPTT(), 1, "trial", sl.Adam(1e-2)),
    ],
)
def test_rules_learn_on_the_new_structure_as_a_new_simulator_does(rule, every, update_every, optimizer):
    """After rewirings nothing stale is left: a simulator that begins with the weights and moments of now learns the same."""
    spec = sl.DeepR(l1=0.05, temperature=0.02, every=every)
    sim, (x, y) = simulator(rule=rule, optimizer=optimizer, update_every=update_every, rewiring=spec), trials()
    start = sim.weights.w_rec.copy()
    for _ in range(3):
        sim.run(x, y)
    assert not np.array_equal(start.indices, sim.weights.w_rec.indices)
    other = copy_without(sim)
    other.engine.weights.feedback[:] = sim.engine.weights.feedback
    one, two = sim.run(x, y, first_trial=0), other.run(x, y, first_trial=0)
    if update_every == "trial":
        assert one.loss == two.loss
    assert sim.run(x, y, learn=False).loss == sl.Simulator(sim.net, sim.weights, dtype="float64").run(x, y).loss


def test_what_does_not_learn_is_not_rewired():
    net = network(frozen=("w_in",))
    sim, (x, y) = simulator(net), trials()
    before = sim.weights.w_in.copy()
    sim.run(x, y)
    assert np.array_equal(before.indices, sim.weights.w_in.indices) and np.array_equal(before.data, sim.weights.w_in.data)
    assert {c.matrix for c in sim.engine.rewirer.changes} == {1}


def test_no_rewiring_between():
    sim, (x, y) = simulator(rewiring=sl.DeepR(l1=0.05, temperature=0.02, every=3)), trials()
    places = [sim.weights.w_rec.indices.copy()]
    for _ in range(6):
        sim.run(x, y)
        places.append(sim.weights.w_rec.indices.copy())
    assert [np.array_equal(a, b) for a, b in itertools.pairwise(places)] == [True, True, False] * 2


@pytest.mark.parametrize(("update_every", "optimizer"), [("trial", sl.Adam(1e-2)), (5, sl.Adam(1e-2)), (1, sl.SGD(1e-3))])
def test_threads_do_not_matter(update_every, optimizer):
    x, y = trials(count=9)
    found = []
    for threads in (1, 2, 3):
        sim = simulator(optimizer=optimizer, update_every=update_every, threads=threads, rewiring=sl.DeepR(0.05, 0.02, every=2))
        for _ in range(3):
            sim.run(x, y)
        found.append(sim.weights.w_rec.copy())
    for other in found[1:]:
        assert np.array_equal(found[0].data, other.data) and np.array_equal(found[0].indices, other.indices)


def rows_of(arrays):
    return {f"{k}.{r}": row for k, a in enumerate(arrays) for r, row in enumerate(a.reshape(-1, a.shape[-1]))}


def pieces(seed=2, count=6, steps=20):
    x, y = trials(count, steps, seed)
    return list(zip(x, y, strict=True))


@pytest.mark.parametrize(("update_every", "optimizer"), [("trial", sl.Adam(1e-2)), (5, sl.SGD(1e-2)), (1, sl.SGD(1e-3))])
def test_traces_of_a_stream_move_with_their_synapses(update_every, optimizer):
    """Each synapse that is there before and after has the trace that it had; a new one has none."""
    options = {"update_every": update_every, "optimizer": optimizer}
    sim = simulator(rule=sl.EProp(reset_gradient=True), rewiring=sl.DeepR(0.05, 0.02, every=10**9), **options)
    sim.run(iter(pieces()))
    from snnlearn.engine.schedule import STREAM
    from snnlearn.rules.engines.passive import synapse_traces

    engine, moved = sim.engine, 0
    for m in engine.rewirer.matrices:
        arrays = list(synapse_traces(engine.workspaces[STREAM].rule, m.name))
        assert arrays and any(a.any() for a in arrays)
        w = getattr(sim.weights, m.name)
        before = synapses(w, **{k: v.copy() for k, v in rows_of(arrays).items()})
        count = w.nnz // 3
        m.weights[:count] = -1e-9 * m.signs[:count]
        engine.rewirer.rewire()
        after = synapses(getattr(sim.weights, m.name), **rows_of(arrays))
        for pair, values in after.items():
            for name in set(values) - {"w"}:
                assert values[name] == (before[pair][name] if pair in before else 0.0)
            moved += pair not in before
    assert moved > 5


def test_steps_are_a_stream_of_pieces():
    spec, found = sl.DeepR(0.05, 0.02, every=4), []
    for way in ("pieces", "steps"):
        sim = simulator(optimizer=sl.SGD(1e-3), update_every=2, rewiring=spec)
        for x, y in pieces():
            if way == "pieces":
                sim.run(iter([(x, y)]))
            else:
                for t in range(len(x)):
                    sim.step(x[t], y[t])
        found.append(sim.weights)
    assert np.array_equal(found[0].w_rec.indices, found[1].w_rec.indices)
    np.testing.assert_allclose(found[0].w_rec.data, found[1].w_rec.data, rtol=1e-9, atol=1e-12)


def test_alignment_and_threads_that_share_neurons_go_on():
    sim, (x, y) = simulator(passive=[sl.BPTT()], passive_every=2), trials()
    for _ in range(3):
        run = sim.run(x, y)
    assert run.alignment is not None and np.isfinite(run.alignment.cosine).all()


def test_weights_of_another_structure_are_taken_over():
    sim, (x, y) = simulator(), trials()
    first = sl.Weights(*(w.copy() for w in sim.weights))
    for _ in range(4):
        sim.run(x, y)
    moments = held(sim, "w_rec")
    sim.set_weights(first)
    now = held(sim, "w_rec")
    assert np.array_equal(sim.weights.w_rec.toarray(), first.w_rec.toarray())
    for pair, one in now.items():
        assert one["first"] == (moments[pair]["first"] if pair in moments else 0.0) and one["s"] == np.sign(one["w"])
    with pytest.raises(ValueError, match=r"Simulator.set_weights must keep the structure"):
        sim.set_weights(first._replace(w_rec=csr(np.random.default_rng(0), (N, N), 0.1)))


BAD = [
    (lambda: sl.DeepR(l1=-1.0), ValueError, r"DeepR.l1 must be a number, not negative \(got -1.0\)"),
    (lambda: sl.DeepR(temperature=np.nan), ValueError, "DeepR.temperature must be a number, not negative"),
    (lambda: sl.DeepR(every=0), ValueError, r"DeepR.every must be a positive number of updates \(got 0\)"),
    (lambda: simulator(rewiring=3), TypeError, "Simulator.rewiring must be of class DeepR"),
    (
        lambda: sl.Simulator(network(), rewiring=sl.DeepR()),
        ValueError,
        "Simulator.rewiring must come with a rule and an optimizer",
    ),
    (
        lambda: simulator(network(recurrent=sl.Dense(), inputs=sl.Dense())),
        ValueError,
        "Simulator.rewiring must have a sparse matrix that learns .got .w_in Dense, w_rec Dense",
    ),
    (
        lambda: simulator(network(inputs=sl.Dense(), frozen=("w_rec",))),
        ValueError,
        "must have a sparse matrix that learns .got .w_in Dense, w_rec Sparse frozen",
    ),
    (lambda: simulator(rule=sl.RTRL(), update_every=5), ValueError, "Simulator.rewiring must come with a rule .*RTRL"),
    (
        lambda: simulator(passive=[sl.SnAp(2)], update_every=5),
        ValueError,
        "Simulator.rewiring must come with a rule .*SnAp",
    ),
    (
        lambda: simulator(network(inputs=sl.Dense(), recurrent=sl.Sparse(density=1.0))),
        ValueError,
        "Simulator.rewiring must have places for synapses that are free",
    ),
]


@pytest.mark.parametrize(("make", "error", "sentence"), BAD)
def test_what_does_not_fit_is_told_before_anything_runs(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_a_rule_that_carries_influence_is_refused_a_stream():
    sim = simulator(rule=sl.RTRL())
    with pytest.raises(ValueError, match=r"Simulator.rewiring must come with a rule .*RTRL in a stream"):
        sim.run(iter(pieces()))
    sim.run(iter([(x, None) for x, _ in pieces()]))
    with pytest.raises(ValueError, match=r"RTRL in a stream"):
        sim.step(*(a[0] for a in pieces()[0]))


def test_a_plan_counts_what_rewiring_takes():
    net = network()
    plain, found = (sl.plan(net, sl.EProp(), sl.Adam(1e-2), seconds=0, rewiring=r) for r in (None, sl.DeepR(every=3)))
    assert found.reason == plain.reason + "; synapses are rewired after every 3 updates"
    w = net.init_weights(0)
    assert found.bytes["optimizer"] - plain.bytes["optimizer"] == 5 * (w.w_in.nnz + w.w_rec.nnz)
