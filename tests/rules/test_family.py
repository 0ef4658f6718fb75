"""The taxonomy's entries against what the rules do and allocate, and rules by name."""

import tracemalloc
from functools import partial

import naive
import numpy as np
import pytest
from scipy import sparse
from twin import distance, draw, library, simulator

import snnlearn as sl
from snnlearn.network.weights import flatten
from snnlearn.rules.taxonomy import KINDS, MEMBERS, STANDARD, affordable, parse_rule, rule_names, size_of

MEMBER = partial(pytest.mark.parametrize, "member", MEMBERS, ids=lambda m: f"{m.name} {m.direction}")
FACTOR = 4.0  # leading terms leave out scratch, indices and small arrays


@pytest.fixture(scope="module")
def case():
    """A live ALIF network, so sparse (but stored densely) that SnAp-2 is not yet saturated: all approximate rules differ."""
    case = draw(kind="alif", T=30, n=6, n_in=3, density=0.35)
    exact = naive.bptt(case.net, case.w, **case.trial)
    naive.assert_live(exact.gradient, exact.forward.z)
    return case


@pytest.fixture(scope="module")
def gradient(case):
    net, weights, trial = library(case)
    return lambda rule: sl.gradient(net, weights, rule=rule, **trial)


# ---- properties ---------------------------------------------------------------------------------


@MEMBER()
def test_exact_rules_equal_bptt_and_no_others_do(member, gradient):
    options = {} if member.name == "rflo" else {"reset_gradient": True}  # the same treatment as the reference's
    error = distance(gradient(member.rule(2, **options)), gradient(sl.BPTT()), "w_rec")
    assert error < 1e-12 if member.exact else error > 1e-3


@MEMBER()
def test_online_rules_update_at_every_step_and_in_streams(member, case):
    def make(update_every):
        return simulator(case, member.rule(2), sl.SGD(0.01), update_every=update_every)

    if not member.online:
        sim, trial = make("trial")
        windows = member.name.startswith("tbptt")
        why = "have update_every a multiple of its window" if windows else r"run on whole trials with update_every='trial'"
        with pytest.raises(ValueError, match=why):
            make(1)
        why = "get pieces of a multiple of 2 steps" if windows else why
        with pytest.raises(ValueError, match=why):
            sim.run(iter([(trial["inputs"][:29], trial["targets"][:29])]))
        return
    sim, trial = make(1)
    before = sim.weights.w_rec.copy()
    sim.run(**trial)
    assert sim.updates_done == len(trial["inputs"])
    sim.run(iter([(trial["inputs"], trial["targets"])]))
    assert sim.updates_done == 2 * len(trial["inputs"])
    assert np.abs(sim.weights.w_rec - before).max() > 1e-6


@MEMBER()
def test_causal_rules_run_forward(member):
    rule = member.rule(2)
    assert rule.direction(None, False, False) == member.direction
    assert member.causal == member.online == (member.direction == "forward")
    if member.causal:
        assert rule.causal


@MEMBER()
def test_causal_rules_have_learnt_from_the_past_alone(member, case):
    """The weights after 20 steps are the same where the rest of the trial is other noise that earns no error."""
    if not member.causal:
        return
    finals = []
    for rest in (0, 5):
        sim, trial = simulator(case, member.rule(2), sl.SGD(0.01), update_every=1)
        x, mask = trial["inputs"].copy(), np.ones(30)
        x[20:], mask[20:] = np.roll(x[20:], rest, axis=0), 0.0
        sim.run(x, trial["targets"], mask)
        finals.append(sim.weights.w_rec.copy())
    np.testing.assert_array_equal(*finals)


# ---- memory -------------------------------------------------------------------------------------


def network(n, sparse_degree=None, neuron=sl.LIF):
    """A network with as many inputs as neurons."""
    connect = {"recurrent": sl.Dense()}
    if sparse_degree:
        connect = {"recurrent": sl.Sparse(indegree=sparse_degree), "inputs": sl.Sparse(indegree=sparse_degree)}
    net = sl.Network(n, neuron(n, threshold=0.5), 2, **connect)
    return net, net.init_weights(1)


def allocated(member, net, weights, number=2):
    """Floats (of 8 bytes) of a forward rule's own arrays for one trial."""
    weights = net.check_weights(weights)
    arrays = member.rule(number).arrays(
        net.arrays(weights, np.float64), flatten(weights, np.float64), "forward", 1, np.ones(4, bool)
    )
    return sum(_bytes(value) for name, value in zip(arrays._fields, arrays, strict=True) if name != "params") / 8


def _bytes(value):
    if isinstance(value, tuple):
        return sum(map(_bytes, value))
    return value.nbytes if isinstance(value, np.ndarray) and value.dtype.kind == "f" else 0


def peak(rule, net, weights, n_steps):
    """Floats (of 8 bytes) that a gradient allocates at its peak, without inputs."""
    x, target = sl.Events(np.arange(0), np.arange(0), n_steps), np.ones((n_steps, net.n_outputs))
    arguments = (net, weights, x, target, rule)
    sl.gradient(*arguments)
    tracemalloc.start()
    try:
        sl.gradient(*arguments)
        return tracemalloc.get_traced_memory()[1] / 8
    finally:
        tracemalloc.stop()


FORWARD = pytest.mark.parametrize(
    "member", [m for m in MEMBERS if m.direction == "forward"], ids=lambda m: f"{m.name} {m.direction}"
)
ADJOINT = pytest.mark.parametrize("member", [m for m in MEMBERS if m.direction == "adjoint"], ids=lambda m: m.name)


@FORWARD
@pytest.mark.parametrize("neuron", [sl.LIF, sl.ALIF])
@pytest.mark.parametrize("degree", [None, 4])
def test_forward_memory_is_what_the_rule_allocates(member, neuron, degree):
    """The leading term within a factor, and its growth with the number of neurons."""
    found, said = [], []
    for n in (20, 40):
        net, weights = network(n, degree, neuron)
        found.append(allocated(member, net, weights))
        said.append(member.floats(member.at(size_of(net, weights, 1000, 2))))
        assert said[-1] / FACTOR < found[-1] < said[-1] * FACTOR
    assert np.log2(found[1] / found[0]) == pytest.approx(np.log2(said[1] / said[0]), abs=0.35)


def test_memory_tells_rules_apart():
    """Negative control: a factor of `FACTOR` and a third of an exponent do not cover another rule's cost."""
    net, weights = network(40)
    size = size_of(net, weights, 1000, 2)
    costs = {(m.name, m.direction): m.floats(m.at(size)) for m in MEMBERS}
    assert costs["rtrl", "forward"] > 2 * FACTOR * costs["snap:1", "forward"] > 2 * costs["eprop", "forward"]
    rtrl = sl.taxonomy().find("rtrl")
    growth = rtrl.floats(size_of(*network(40), 1000)) / rtrl.floats(size_of(*network(20), 1000))
    assert np.log2(growth) == pytest.approx(3.0, abs=0.2)  # n synapses, s = 2 n^2 of them
    assert allocated(rtrl, net, weights) > FACTOR * costs["eprop", "forward"]


def test_orders_grow_with_the_neighbourhood():
    """On a sparse network each order adds the neurons that one more crossing leads to."""
    net, weights = network(200, 3)
    member = sl.taxonomy().find("eprop:2", "forward")
    said = [member.floats(size_of(net, weights, 1000, m)) for m in (1, 2, 3)]
    found = [allocated(member, net, weights, m) for m in (2, 3)]
    assert said[0] < said[1] < said[2]
    for floats, stated in zip(found, said[1:], strict=True):
        assert stated / FACTOR < floats < stated * FACTOR


@ADJOINT
def test_adjoint_memory_is_that_of_the_tape(member, case):
    """It doubles with the trial's length, but for windows; the leading term is right within a factor."""
    net, weights, _ = library(case)
    lengths = (10_000, 20_000)
    short, long = (peak(member.rule(2), net, weights, T) for T in lengths)
    said = [member.floats(member.at(size_of(net, weights, T, 2))) for T in lengths]
    if said[0] == said[1]:  # what is left are the arrays of a trial's targets and spikes in time
        assert long - short < (peak(sl.BPTT(), net, weights, 20_000) - peak(sl.BPTT(), net, weights, 10_000)) / 1.5
        return
    assert np.log2(long / short) == pytest.approx(1.0, abs=0.1)
    assert said[1] / FACTOR < long < said[1] * FACTOR


def test_forward_memory_does_not_grow_with_time(case):
    """A thousand more steps of a stream cost far less than a thousand rows of a tape; for the two kinds of traces."""
    for rule in (sl.EProp(reset_gradient=True), sl.RTRL()):
        sim, trial = simulator(case, rule, sl.SGD(1e-4), update_every=1)
        peaks = []
        tracemalloc.start()
        for n_steps in (2000, 1000):
            for t in range(n_steps):
                sim.step(trial["inputs"][t % len(trial["inputs"])], trial["targets"][0])
            peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert peaks[1] - peaks[0] < 0.25 * 1000 * 8 * sim.net.n


def test_size_counts_what_exists():
    net = sl.Network(4, sl.ALIF(6), 2, delay=3.0, recurrent=sl.Dense())
    size = size_of(net, net.init_weights(), 50, 3)
    assert size == (6, 2, 6 * 5 + 4 * 6, 5.0, 50, 2, 3, 3)
    mask = np.zeros((6, 6), bool)
    mask[0, 1:4] = True
    net = sl.Network(4, sl.LIF(6), 2, recurrent=sl.Masked(mask), inputs=sl.Sparse(density=0.5))
    weights = net.init_weights()
    assert sparse.issparse(weights.w_in)
    assert size_of(net, weights, 50)[2:4] == (3 + weights.w_in.nnz, 0.5)


def test_affordable_rules():
    net, weights = network(10)
    assert affordable(net, weights, 100) == (list(STANDARD), {})
    fit, unfit = affordable(net, weights, 100, max_bytes=2e4)
    assert set(unfit) == {"rtrl", "snap:2"} and unfit["rtrl"].startswith("needs about")
    assert affordable(net, weights, 100, max_operations=1e6)[1]["rtrl"].startswith("takes about")
    assert [name for name in STANDARD if name in fit] == fit


# ---- the table ----------------------------------------------------------------------------------


def test_table():
    table = sl.taxonomy()
    assert isinstance(table, sl.Taxonomy)
    lines = str(table).splitlines()
    assert lines[0].split()[:6] == ["rule", "direction", "causal", "local", "exact", "online"]
    assert len({line.index("[") for line in lines[1 : len(table) + 1]}) == 1  # aligned
    assert max(map(len, lines)) <= 140
    array = table.to_array()
    assert array.shape == (len(table),)
    assert array["name"][array["exact"] & array["causal"]].tolist() == ["rtrl", "eprop:all"]
    assert set(array["name"][array["local"]]) == {"eprop", "snap:1", "rflo"}
    for name in ("Bellec", "Menick", "Murray", "Williams & Zipser", "2207.11439"):
        assert name in str(table)


def test_every_rule_of_the_package_is_in_the_table():
    made = {type(member.rule(2)) for member in MEMBERS}
    assert {kind.make for kind in KINDS.values()} == made
    assert made >= {getattr(sl, name) for name in ("BPTT", "TruncatedBPTT", "RTRL", "EProp", "SnAp", "RFLO")}


def test_find():
    table = sl.taxonomy()
    assert table.find("snap:3").name == "snap:m"
    assert table.find("snap:1").name == "snap:1"
    assert table.find("eprop:1", "adjoint") == table.find("eprop:adjoint")
    assert table.find("eprop:4:adjoint")[:2] == ("eprop:m", "adjoint")
    with pytest.raises(ValueError, match=r"direction must be 'forward' for rtrl \(got 'adjoint'\)"):
        table.find("rtrl", "adjoint")
    with pytest.raises(ValueError, match="must be one of bptt"):
        table.find("magic")


# ---- names --------------------------------------------------------------------------------------


def test_names_make_rules():
    made = {name: parse_rule(name.replace(":m", ":3"), feedback="random", seed=4) for name in rule_names()}
    assert all(rule.feedback == "random" and rule.seed == 4 for rule in made.values())
    assert (made["eprop"].order, made["eprop:m"].order, made["eprop:all"].order) == (1, 3, None)
    assert (made["tbptt:m"].window, made["snap:m"].n) == (3, 3)
    assert parse_rule("eprop:2:forward").method == "forward"
    assert parse_rule("rflo:adjoint").method == "adjoint"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("magic", r"rule must be one of bptt, tbptt:m, rtrl, eprop, .* \(got 'magic'\)"),
        ("", r"rule must be one of"),
        ("eprop:x", r"rule must be one of"),
        ("eprop:-1", r"rule must be one of"),
        ("eprop:2:3", r"rule must be one of"),
        ("bptt:3", r"rule must be one of"),
        ("bptt:forward", r"eprop and rflo may end in :forward or :adjoint"),
        ("snap:all", r"rule must be one of"),
        ("snap", r"rule must have a number, as snap:2 \(got 'snap'\)"),
        ("eprop:0", r"EProp.order must be a number >= 1"),
        ("tbptt:0", r"TruncatedBPTT.window must be a positive number of steps"),
    ],
)
def test_bad_names(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_rule(text)
