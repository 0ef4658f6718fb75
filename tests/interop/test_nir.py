"""NIR: graphs of other frameworks give the spikes that these frameworks gave, and own graphs come back as they were.

data/make_nir.py made the graphs and spikes, with snnTorch and Norse.
"""

import dataclasses
import itertools
import sys
import warnings

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from paths import ROOT
from scipy import sparse

import snnlearn as sl
from snnlearn.cli import main
from snnlearn.interop import export, from_nir, to_nir

nir = pytest.importorskip("nir")
DATA = ROOT / "data" / "nir"
OPTIONS = {
    "snntorch_leaky": {"dt": 0.1},
    "snntorch_immediate": {"dt": 0.1, "reset": "immediate"},
    "snntorch_rsynaptic": {"dt": 0.1},
    "norse_lif_box": {"dt": 1.0, "reset": "immediate"},
}


def run(name):
    with h5py.File(DATA / "runs.h5") as file:
        return {key: value[:] for key, value in file[name].items()}


# ---- graphs of other frameworks


@pytest.mark.parametrize("name", OPTIONS)
def test_spikes_of_another_framework_step_by_step(name):
    found, wanted = from_nir(DATA / f"{name}.nir", **OPTIONS[name]), run(name)
    got = sl.simulate(found.net, found.weights, wanted["x"].astype(float), ("spikes", "readout"))
    assert list(found.lags.values()) == list(range(len(found.groups)))
    for k, (population, neurons) in enumerate(found.groups.items()):
        spikes, lag = wanted[f"spikes{k}"].astype(bool), found.lags[population]
        assert spikes.sum() > 10
        assert_array_equal(got.spikes[lag:, neurons], spikes[: spikes.shape[0] - lag])
        assert not got.spikes[:lag, neurons].any()
    if "readout" in wanted:
        assert_allclose(got.readout, wanted["readout"], atol=1e-5)  # float32 on both sides
    else:
        assert_array_equal(got.readout, got.spikes[:, neurons])


def test_the_wrong_reset_is_told_apart():
    found, wanted = from_nir(DATA / "norse_lif_box.nir", 1.0, reset="delayed"), run("norse_lif_box")
    assert (sl.simulate(found.net, found.weights, wanted["x"].astype(float)).spikes != wanted["spikes0"]).sum() > 10


def graph_of(name):
    return nir.read(DATA / f"{name}.nir", type_check=False)


def same(a, b):
    assert a.net == b.net
    for x, y in zip(a.weights, b.weights, strict=True):
        assert_array_equal(x, y)


def test_subgraphs_are_opened():
    """The recurrent layers as subgraphs, as snnTorch makes them before they are flattened, and one more around everything."""
    flat = graph_of("snntorch_rsynaptic")

    def layer(key, n):
        nodes = {"input": nir.Input(np.array([n])), "output": nir.Output(np.array([n]))}
        nodes |= {name: flat.nodes[f"{key}.{name}"] for name in ("lif", "w_rec")}
        edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
        return nir.NIRGraph(nodes, edges, type_check=False)

    ends = {"input": nir.Input(np.array([8])), "output": nir.Output(np.array([5]))}
    nodes = {"0": flat.nodes["0"], "1": layer("1", 12), "2": flat.nodes["2"], "3": layer("3", 5), **ends}
    edges = [("input", "0"), ("0", "1"), ("1", "2"), ("2", "3"), ("3", "output")]
    nested = nir.NIRGraph(nodes, edges, type_check=False)
    around = nir.NIRGraph({"net": nested, **ends}, [("input", "net"), ("net", "output")], type_check=False)
    expected = from_nir(flat, 0.1)
    for graph in (nested, around):
        found = from_nir(graph, 0.1)
        same(found, expected)
    assert list(found.groups) == ["net.1.lif", "net.3.lif"]


def test_ends_may_be_missing_and_parameters_numbers():
    whole = graph_of("snntorch_immediate")
    expected = from_nir(whole, 0.1)
    inner = {name: node for name, node in whole.nodes.items() if name in "01"}
    for name in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        setattr(inner["1"], name, float(getattr(inner["1"], name)[0]))
    same(from_nir(nir.NIRGraph(inner, [("0", "1")], type_check=False), 0.1), expected)
    passing = {**whole.nodes, "flat": nir.Flatten({"input": np.array([8])}, 0, -1)}
    edges = [("input", "flat"), ("flat", "0"), ("0", "1"), ("1", "output")]
    same(from_nir(nir.NIRGraph(passing, edges, type_check=False), 0.1), expected)


def lif(n, tau=0.02, **changes):
    values = {"tau": tau, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{key: np.full(n, value) for key, value in values.items()})


def sequence(*nodes, extra=(), edges=()):
    """Nodes a, b, c ... in a row between an input and an output, and others."""
    named = dict(zip("abcdefgh", nodes, strict=False))
    line = ["input", *named, "output"]
    ends = {"input": nir.Input(np.array([3])), "output": nir.Output(np.array([2]))}
    return nir.NIRGraph({**ends, **named, **dict(extra)}, [*itertools.pairwise(line), *edges], type_check=False)


def linear(n_out, n_in, scale=1.0):
    return nir.Linear(weight=scale * np.arange(1.0, n_out * n_in + 1).reshape(n_out, n_in))


def test_linear_nodes_are_multiplied_out():
    bias, scale = np.array([1.0, 2.0]), nir.Scale(np.array([1.0, 0.5, 2.0]))
    first, second = linear(2, 3), linear(2, 2)
    graph = sequence(scale, nir.Affine(first.weight, bias), second, lif(2, 0.01, r=2.0))
    found = from_nir(graph, 1.0)
    assert_allclose(found.weights.w_in, 0.2 * (second.weight @ first.weight @ np.diag(scale.scale)).T)
    assert_allclose(found.net.neurons[0].current, 0.2 * second.weight @ bias)


def integrate(n, r=1.0, **changes):
    return nir.IF(**{key: np.full(n, value) for key, value in ({"r": r, "v_threshold": 1.0, "v_reset": 0.0} | changes).items()})


@pytest.mark.parametrize("scheme", ["euler", "impulse", "exponential"])
def test_integrate_and_fire_has_no_leak(scheme):
    """v[t] = v[t-1] + r W x[t] - (v_threshold - v_reset) z[t-1]; so a LIF whose tau and r are infinite, with factor 1."""
    x = np.random.default_rng(0).random((20, 3))
    for neuron, r in ((integrate(2, 0.5, v_reset=-0.25), 0.5), (lif(2, np.inf, r=np.inf, v_reset=-0.25), 1.0)):
        found = from_nir(sequence(linear(2, 3, 0.1), neuron), 1.0, scheme=scheme)
        assert np.isinf(found.net.neurons[0].tau_m)
        v, z, spikes = np.zeros(2), np.zeros(2), []
        for drive in x @ linear(2, 3, 0.1).weight.T:
            v = v + r * drive - 1.25 * z
            z = (v > 1.0).astype(float)
            spikes.append(z)
        assert 0 < np.sum(spikes) < 40
        assert_array_equal(sl.simulate(found.net, found.weights, x, dtype="float64").spikes, np.array(spikes, bool))
    with pytest.raises(
        ValueError, match=r"node 'b', tau must be finite where r is: no input would count \(got inf\); .* is an IF"
    ):
        from_nir(sequence(linear(2, 3), lif(2, np.inf)), 1.0, scheme=scheme)
    with pytest.raises(ValueError, match=r"node 'b', r must be finite"):
        from_nir(sequence(linear(2, 3), lif(2, r=np.inf)), 1.0, scheme=scheme)


def test_networks_without_leak_are_written_as_integrate_and_fire():
    net = sl.Network(3, [sl.LIF(2, tau_m=np.inf), sl.ALIF(2, tau_m=np.inf)], 2)
    weights = net.init_weights(0)
    graph = to_nir(net, weights).graph
    assert type(graph.nodes["neurons"]) is nir.IF
    assert from_nir(graph).net == net
    bare = from_nir(graph, 1.0, metadata=False)
    assert_allclose(bare.weights.w_in, weights.w_in)
    for groups in ([sl.LIF(2, tau_m=np.inf), sl.LIF(2)], sl.CubaLIF(2, tau_m=np.inf)):
        mixed = sl.Network(3, groups, 2)
        with pytest.raises(
            ValueError, match=r"to_nir.net.neurons must have a finite tau_m to be written as NIR, or be all without"
        ):
            to_nir(mixed, mixed.init_weights(0))


def test_a_time_constant_a_hair_below_dt_is_dt():
    found = from_nir(sequence(linear(2, 3), lif(2, 0.00099999999)), 1.0)
    assert_allclose(found.net.neurons[0].params(1.0).alpha, 0.0)
    with pytest.raises(ValueError, match=r"at least dt = 1 ms for the scheme 'euler' \(got '0.999 ms'\)"):
        from_nir(sequence(linear(2, 3), lif(2, 0.000999)), 1.0)
    with pytest.raises(ValueError, match=r"\(got '0.999998 ms'\)"):
        from_nir(sequence(linear(2, 3), lif(2, 0.000999998)), 1.0)
    net = sl.Network(3, sl.LIF(2), 2)
    assert from_nir(to_nir(net, net.init_weights(0)).graph, 1.0 + 1e-9).net == net


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 3, 4), (7, 24)])
def test_values_on_several_axes_are_channels_in_c_order(shape):
    """Flatten, as images have it; axes before those that are flattened are a batch."""
    weight, x = np.random.default_rng(0).normal(size=(5, 24)), np.random.default_rng(1).random((10, 2, 3, 4))
    flat = nir.Flatten({"input": np.array(shape)}, 0 if len(shape) == 3 else 1, -1)
    neurons = nir.LIF(*(np.full(5, value) for value in (0.01, 1.0, 0.0, 1.0)))
    nodes = {
        "in": nir.Input(np.array(shape)),
        "flat": flat,
        "w": nir.Linear(weight),
        "n": neurons,
        "out": nir.Output(np.array([5])),
    }
    edges = [("in", "flat"), ("flat", "w"), ("w", "n"), ("n", "out")]
    found = from_nir(nir.NIRGraph(nodes, edges, type_check=False), 1.0)
    assert found.net.n_inputs == 24
    assert_allclose(x.reshape(10, -1) @ found.weights.w_in, 0.1 * np.einsum("tchw,nchw->tn", x, weight.reshape(5, 2, 3, 4)))
    nodes["in"] = nir.Input(np.array([2, 3, 5]))
    with pytest.raises(ValueError, match=r"node 'in' must have a shape of 24 values, in C order.* \(got \(2, 3, 5\)\)"):
        from_nir(nir.NIRGraph(nodes, edges, type_check=False), 1.0)


def test_neurons_on_several_axes():
    values = [np.full((2, 3), value) for value in (0.01, 1.0, 0.0, 1.0)]
    nodes = {"in": nir.Input(np.array([2, 3])), "n": nir.LIF(*values), "flat": nir.Flatten({"input": np.array([2, 3])}, 0, -1)}
    nodes |= {"w": linear(2, 6), "out": nir.Output(np.array([2]))}
    edges = [("in", "n"), ("n", "flat"), ("flat", "w"), ("w", "out")]
    found = from_nir(nir.NIRGraph(nodes, edges, type_check=False), 1.0)
    assert (found.net.n_inputs, found.net.n) == (6, 6)
    assert_allclose(found.weights.w_in, 0.1 * np.eye(6))
    assert_allclose(found.weights.w_out, linear(2, 6).weight.T)


def test_schemes():
    tau, dt = 0.01, 1.0
    graph = sequence(linear(2, 3), lif(2, tau, r=3.0), linear(2, 2), nir.LI(*(np.full(2, x) for x in (tau, 1.0, 0.5))))
    for scheme, decay, factor in (
        ("euler", 0.9, 0.1),
        ("impulse", np.exp(-0.1), 0.1),
        ("exponential", np.exp(-0.1), 1 - np.exp(-0.1)),
    ):
        found = from_nir(graph, dt, scheme=scheme)
        assert_allclose(found.net.neurons[0].params(dt).alpha, decay, rtol=1e-14)
        assert_allclose(found.weights.w_in, 3 * factor * graph.nodes["a"].weight.T)
        assert_allclose(found.weights.w_out, factor * graph.nodes["c"].weight.T)
        assert_allclose(found.net.readout.kappa(dt), decay)
        assert_allclose(found.weights.b_out, 0.5 * (1 - decay))
        assert found.net.readout.bias
    assert from_nir(graph, dt, unit=1e4).net.neurons[0].tau_m == pytest.approx(-1 / np.log(0.99))


def test_synaptic_currents_as_their_equations_say():
    """CubaLIF with all its parameters, in the convention of Rockpool, against the equations of the table step by step."""
    rng, n, dt, steps = np.random.default_rng(3), 2, 1e-3, 60
    tau_m, tau_s, leak, theta, w_in = (
        rng.uniform(a, b, n) for a, b in ((0.01, 0.03), (2e-3, 8e-3), (0, 0.3), (0.8, 1.2), (1, 2))
    )
    alpha, alpha_s = np.exp(-dt / tau_m), np.exp(-dt / tau_s)
    node = nir.CubaLIF(tau_s, tau_m, tau_m / dt * alpha, leak, theta, v_reset=np.zeros(n), w_in=w_in * tau_s / dt * alpha_s)
    matrix, bias = nir.Affine(rng.normal(0.2, 0.3, (n, 3)), rng.normal(0.0, 0.01, n)), nir.Linear(rng.normal(0, 0.3, (n, n)))
    graph = sequence(matrix, node, extra={"rec": bias}.items(), edges=[("b", "rec"), ("rec", "b")])
    x = (rng.random((steps, 3)) < 0.3).astype(float)
    for reset in ("delayed", "immediate"):
        v, i, z, spikes = leak.copy(), np.zeros(n), np.zeros(n), []
        for row in x:
            i = alpha_s * i + alpha_s * w_in * (matrix.weight @ row + matrix.bias + bias.weight @ z)
            v = leak + alpha * (v - leak - (theta * z if reset == "immediate" else 0)) + alpha * i
            v -= theta * z if reset == "delayed" else 0
            z = (v > theta).astype(float)
            spikes.append(z)
        assert 5 < np.sum(spikes) < n * steps / 2
        found = from_nir(graph, 1.0, scheme="impulse", reset=reset)
        assert_array_equal(sl.simulate(found.net, found.weights, x).spikes, np.array(spikes))


def test_delays():
    recurrent = {"rec": linear(2, 2, 0.1), "later": nir.Delay(np.full(2, 0.003))}.items()
    edges = [("b", "rec"), ("rec", "later"), ("later", "b")]
    found = from_nir(sequence(linear(2, 3), lif(2), extra=recurrent, edges=edges), 1.0)
    assert found.net.delay == 3.0 and found.lags == {"b": 0}
    assert_allclose(found.weights.w_rec, 0.1 / 20 * np.array([[1, 3], [2, 4]]))
    forward = sequence(linear(2, 3), lif(2), nir.Delay(np.full(2, 0.002)), linear(2, 2), lif(2))
    found = from_nir(forward, 1.0)
    assert found.net.delay == 2.0 and found.lags == {"b": 0, "e": 0}
    late = sequence(nir.Delay(np.full(3, 0.002)), linear(2, 3), lif(2))
    assert from_nir(late, 1.0).lags == {"c": -2}
    back = [("e", "back"), ("back", "b")]
    loop = from_nir(
        sequence(
            linear(2, 3), lif(2), linear(2, 2), lif(2), extra={"back": linear(2, 2)}.items(), edges=[("d", "back"), back[1]]
        ),
        1.0,
    )
    assert loop.lags == {"b": 0, "d": 1}
    assert any("the connection from d back to b is 1 steps longer" in text for text in loop.differences)


# ---- own networks


def sparse_net():
    net = sl.Network(
        3,
        sl.CubaLIF(8, tau_m=15.0, tau_syn=4.0, normalize_input=True, noise=0.1),
        sl.Readout(2, tau=0.0),
        dt=0.5,
        delay=1.5,
        recurrent=sl.Sparse(indegree=3),
        inputs=sl.Sparse(density=0.5),
    )
    weights = net.init_weights(2)
    weights.w_rec.data[2] = 0.0  # a synapse that exists
    return net, weights


def adaptive_net():
    taus = np.linspace(10, 30, 5)
    net = sl.Network(
        3,
        [
            sl.LIF(5, tau_m=taus, refractory=2.0, current=0.1, v_init=0.2, surrogate=sl.FastSigmoid(gamma=0.5)),
            sl.ALIF(4, beta=0.3, threshold=0.7, surrogate=sl.FastSigmoid()),
        ],
        sl.Readout(2, tau=7.0, bias=True, normalize_input=True),
        recurrent=sl.Masked(np.random.default_rng(0).random((9, 9)) < 0.5),
        frozen="w_in",
    )
    return net, net.init_weights(1)._replace(b_out=np.array([0.1, -0.2]))


@pytest.mark.parametrize("scheme", ["impulse", "euler", "exponential"])
@pytest.mark.parametrize("make", [adaptive_net, sparse_net])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_own_networks_come_back_bit_for_bit(make, scheme, dtype, tmp_path):
    net, weights = make()
    weights = sl.Weights(*(w.astype(dtype) for w in weights))
    to_nir(net, weights, tmp_path / "a.nir", scheme=scheme)
    found = from_nir(tmp_path / "a.nir")
    assert found.net == net and found.differences == ()
    for a, b in zip(found.weights, weights, strict=True):
        assert a.dtype == b.dtype
        if sparse.issparse(b):
            assert_array_equal(a.indptr, b.indptr)
            assert_array_equal(a.indices, b.indices)
            a, b = a.data, b.data
        assert_array_equal(a, b)
    assert nir.read(tmp_path / "a.nir").nodes["neurons"] is not None  # with the checks of nir


def test_what_is_lost_is_listed():
    text = "; ".join(to_nir(*adaptive_net()).lost)
    for part in (
        "the time step of 1 ms",
        "the reset",
        "the surrogate",
        "the adaptation of 4 of 9 neurons",
        "the refractory period of 5 neurons",
        "the initial state of 5 neurons",
        "the delay of 1 ms",
        "which recurrent connections exist (Masked(9x9,",
        "frozen w_in",
    ):
        assert part in text
    text = "; ".join(to_nir(*sparse_net()).lost)
    assert "the background noise of 8 neurons" in text and "delay" not in text and "which inputs connections exist" in text
    net = sl.Network(3, sl.LIF(4), 2)
    assert len(to_nir(net, net.init_weights()).lost) == 4


@pytest.mark.parametrize("scheme", ["impulse", "euler", "exponential"])
@pytest.mark.parametrize("cuba", [False, True])
def test_the_bare_graph_is_the_same_network_where_nir_can_say_so(scheme, cuba):
    groups = [sl.LIF(4, tau_m=np.array([5.0, 10.0, 20.0, 40.0]), threshold=0.6, current=0.05)]
    groups += [sl.CubaLIF(3, tau_syn=6.0, normalize_input=True)] if cuba else []
    net = sl.Network(3, groups, sl.Readout(2, tau=15.0, normalize_input=True), delay=2.0)
    weights = net.init_weights(5)
    found = from_nir(to_nir(net, weights, scheme=scheme).graph, 1.0, scheme=scheme, metadata=False)
    zeta = net.arrays(weights, "float64").params.zeta  # is in the weights, of which there are those of the graph times zeta
    for a, b in zip(found.weights, weights, strict=True):
        scale = 1 - np.exp(-1 / 15) if b is weights.w_out else zeta if b.ndim == 2 else 1
        assert_allclose(a, b * scale, rtol=1e-13)
    a, b = (n.arrays(w, "float64").params for n, w in ((found.net, found.weights), (net, weights)))
    for name in ("alpha", "thr", *(("alpha_s",) if cuba else ())):
        assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-13, atol=1e-300)
    assert_allclose(a.current, b.current * zeta)
    assert found.net.delay == 2.0 and found.net.recurrent == sl.Dense()
    assert_allclose(found.net.readout.tau, 15.0)


def test_a_graph_that_was_changed_is_taken_as_it_is(tmp_path):
    net, weights = adaptive_net()
    graph = to_nir(net, weights).graph
    graph.nodes["w_rec"].weight = 2 * graph.nodes["w_rec"].weight  # trained elsewhere: still this network
    assert_array_equal(from_nir(graph).weights.w_rec, 2 * weights.w_rec)
    graph.nodes["neurons"].tau = 2 * graph.nodes["neurons"].tau
    with pytest.raises(ValueError, match=r"from_nir.dt must be given, the step of the framework in ms \(got None\)"):
        from_nir(graph)
    found = from_nir(graph, 1.0, scheme="impulse")
    assert "since then the graph has changed, tau of node 'neurons' is another" in found.differences[0]
    assert_allclose(found.net.neurons[0].tau_m[0], 20.0)


def test_recordings_are_exported(tmp_path, capsys):
    task = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=5.0, delay=5.0, n_per_group=4, rate=400.0, seed=3)
    net = sl.Network(task.n_inputs, sl.LIF(12, threshold=0.5), sl.Readout(task.n_outputs, tau=5.0))
    for checkpoints in (None, 1):
        path = tmp_path / f"{checkpoints}.h5"
        sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(5e-3), loss=sl.CrossEntropy(), seed=5)
        with sl.Recorder(path, every=100, weights_every=1, checkpoint_every=checkpoints) as recorder:
            sim.train(task, trials=4, batch=4, recorder=recorder)
        with pytest.warns(UserWarning, match="NIR does not hold, except in metadata that from_nir reads: the time step of 1 ms"):
            assert export(path, "nir", tmp_path / "out.nir", overwrite=True) == [tmp_path / "out.nir"]
        found = from_nir(tmp_path / "out.nir")
        assert found.net == net
        for a, b in zip(found.weights, sim.weights, strict=True):
            assert_array_equal(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["export", str(path), "--format", "nir"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == f"written {tmp_path / '1.nir'}" and "1.nir: NIR does not hold, except in metadata" in told.err
    with pytest.raises(FileExistsError):
        export(path, "nir", tmp_path / "out.nir")
    with pytest.raises(ValueError, match=r"trials must be None: a graph holds no trials \(got 0\)"):
        export(path, "nir", tmp_path / "new.nir", trials=0)


# ---- errors


def conv():
    return nir.Conv2d(None, np.ones((1, 1, 2, 2)), 1, 0, 1, 1, np.zeros(1))


def cuba_li():
    return nir.CubaLI(*(np.full(2, 0.1) for _ in range(4)))


LOOP = [("c", "d"), ("d", "c")]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: sequence(conv(), lif(2)), r"node 'a' must be one of LIF, CubaLIF, IF, LI, .* \(got 'Conv2d'\)"),
        (lambda: sequence(linear(2, 3), lif(2), cuba_li()), r"node 'c' must be one of .* \(got 'CubaLI'\)"),
        (lambda: sequence(linear(2, 3)), r"must have nodes that spike, LIF, CubaLIF, IF \(got 'none'\)"),
        (
            lambda: sequence(linear(2, 3), lif(2, tau=5e-4)),
            r"tau must be at least dt = 1 ms for the scheme 'euler' \(got '0.5 ms'\)",
        ),
        (lambda: sequence(linear(2, 3), lif(2, tau=-1.0)), r"node 'b', tau must be positive times \(got -1000.0\)"),
        (lambda: sequence(linear(2, 3), lif(2, r=np.nan)), r"node 'b', r must be finite \(got nan\)"),
        (lambda: sequence(linear(2, 3), lif(2, v_leak=1.0)), r"node 'b', v_threshold must be above v_leak \(got 1.0\)"),
        (lambda: sequence(linear(2, 3), lif(2, v_reset=1.0)), r"node 'b', v_threshold must be above v_reset \(got 1.0\)"),
        (lambda: sequence(linear(4, 3), lif(2)), r"node 'b', tau must have 4 values or one \(got 2\)"),
        (lambda: sequence(linear(2, 3), linear(2, 3), lif(2)), r"node 'b', weight must have 2 columns \(got \(2, 3\)\)"),
        (
            lambda: sequence(linear(2, 3), lif(2), nir.LI(np.array([0.1, 0.2]), np.ones(2), np.zeros(2))),
            r"node 'c', tau must be one time constant for all readouts",
        ),
        (
            lambda: sequence(linear(2, 3), nir.LI(*(np.full(2, 0.1),) * 3), lif(2)),
            r"node 'b' must be the last node before the output, as a readout",
        ),
        (
            lambda: sequence(
                linear(2, 3), lif(2), linear(2, 2), lif(2), extra={"x": linear(2, 2)}.items(), edges=[("c", "x"), ("x", "c")]
            ),
            r"must be on no loop without a neuron \(got '.* -> .*'\)",
        ),
        (
            lambda: sequence(nir.Delay(np.full(3, 0.0004)), linear(2, 3), lif(2)),
            r"delay from 'input' to 'c' must be a whole number of steps of dt = 1 ms \(got '0.4 ms'\)",
        ),
        (
            lambda: sequence(nir.Delay(np.array([0.001, 0.002, 0.003])), linear(2, 3), lif(2)),
            r"node 'a', delay must be one time for all values, not negative",
        ),
        (
            lambda: sequence(linear(2, 3), lif(2), edges=[("b", "x")]),
            r"edge \('b', 'x'\) must join nodes of the graph \(got 'x'\)",
        ),
        (lambda: sequence(linear(2, 3), lif(2), edges=[("a", "output")]), r"must have an output that populations alone reach"),
    ],
)
def test_graphs_that_no_network_can_be_are_named(graph, message):
    with pytest.raises(ValueError, match="^the NIR graph.*" + message):
        from_nir(graph(), 1.0)


@dataclasses.dataclass(frozen=True)
class Mine(sl.LIF):
    """A user's own model."""


def test_bad_arguments_and_files_are_named(tmp_path, monkeypatch):
    net, weights = adaptive_net()
    (tmp_path / "text.nir").write_text("no graph")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["x"] = 1
    for call, error, message in (
        (lambda: from_nir(3), TypeError, r"from_nir.source must be a path or a nir.NIRGraph \(got 3\)"),
        (lambda: from_nir(tmp_path / "a.nir"), FileNotFoundError, r"NIR file '.*a.nir' must be a file"),
        (lambda: from_nir(tmp_path / "text.nir"), OSError, r"NIR file '.*text.nir' must be a NIR graph that can be read"),
        (lambda: from_nir(tmp_path / "other.nir"), OSError, r"NIR file '.*other.nir' must be a NIR graph that can be read"),
        (lambda: from_nir(DATA / "norse_lif_box.nir"), ValueError, r"from_nir.dt must be given"),
        (lambda: from_nir(DATA / "norse_lif_box.nir", 1.0, scheme="x"), ValueError, r"scheme must be one of 'impulse', 'euler'"),
        (
            lambda: from_nir(DATA / "norse_lif_box.nir", 1.0, reset="x"),
            ValueError,
            r"reset must be one of 'delayed', 'immediate'",
        ),
        (lambda: from_nir(to_nir(net, weights).graph, 2.0), ValueError, r"from_nir.dt must be None or 1, as the NIR graph says"),
        (lambda: to_nir(3, weights), TypeError, r"to_nir.net must be an sl.Network \(got 3\)"),
        (lambda: to_nir(net, net.init_weights()._replace(w_in=np.ones(2))), ValueError, r"weights.w_in must have shape"),
        (lambda: to_nir(m := sl.Network(2, Mine(3), 1), m.init_weights()), TypeError, r"must be LIF, ALIF or CubaLIF .*'Mine'"),
    ):
        with pytest.raises(error, match=message):
            call()
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(ImportError, match="from_nir needs nir: pip install nir"):
        from_nir(tmp_path / "a.nir", 1.0)
