"""Compilation: one specialisation per kind of network, found again on disk, and the same numbers without it."""

import gc
import inspect
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba import config, njit
from paths import TESTS
from twin import assert_same, draw, library, simulator

import snnlearn as sl
from snnlearn.compiler import dispatch
from snnlearn.compiler.cache import SOURCE, kernel_sources
from snnlearn.compiler.compilations import Announcer
from snnlearn.engine.block_loop import run_block

compiled = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
CASES = {
    "lif": dict(T=25),
    "alif": dict(kind="alif", T=25, n_ref=2),
    "sparse": dict(kind="alif", T=25, density=0.6, density_in=0.7),
}
RULES = {"forward": sl.EProp(method="forward"), "adjoint": sl.EProp(), "bptt": sl.BPTT()}


def tiny():
    """Gradients of each rule and neuron, and the weights after an online run: name -> array."""
    results = {}
    for name, kwargs in CASES.items():
        case = draw(**kwargs)
        net, weights, trial = library(case, sparse_rec=name == "sparse", sparse_in=name == "sparse")
        for key, rule in RULES.items():
            got = sl.gradient(net, weights, rule=rule, **trial)
            results[f"{name} {key}"] = got.w_rec.toarray() if name == "sparse" else got.w_rec
    for name, optimizer in (("sgd", sl.SGD(0.002)), ("adam", sl.Adam(0.002))):
        sim, data = simulator(draw(**CASES["alif"]), RULES["forward"], optimizer, update_every=7)
        sim.run(**data)
        results[name] = sim.weights.w_rec
    return results


def python(code, **environment):
    here = TESTS / "compiler"
    path = os.pathsep.join([str(TESTS), str(here), str(Path(sl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=here, check=True, capture_output=True, text=True
    ).stdout


@compiled
def test_results_are_the_same_without_compilation(tmp_path):
    python(
        f"import test_dispatch, numpy; numpy.savez({str(tmp_path / 'tiny.npz')!r}, **test_dispatch.tiny())", NUMBA_DISABLE_JIT="1"
    )
    plain = np.load(tmp_path / "tiny.npz")
    results = tiny()
    assert set(plain.files) == set(results)
    for name, got in results.items():
        error = np.linalg.norm(got - plain[name]) / np.linalg.norm(plain[name])
        assert np.abs(got).max() > 1e-8 and error < 1e-12, f"{name}: {error:.1e}"


@compiled
def test_a_helper_has_no_machine_code_of_its_own():
    @dispatch.device
    def twice(x):
        return 2 * x

    @dispatch.uncached
    @dispatch.kernel
    def root(x):
        return twice(x) + 1

    assert root(3.0) == 7.0
    (compiled,) = twice.overloads.values()
    assert compiled.library._compiled_object is None
    with pytest.raises((TypeError, IndexError)):
        twice(3.0)


@compiled
def test_a_second_start_compiles_nothing():
    code = (
        "import test_dispatch as t; from snnlearn.engine.block_loop import run_block\n"
        "net, weights, trial = t.library(t.draw(**t.CASES['lif']))\n"
        "t.sl.gradient(net, weights, rule=t.RULES['adjoint'], **trial)\n"
        "s = run_block.stats; print(sum(s.cache_hits.values()), sum(s.cache_misses.values()))"
    )
    python(code)
    assert python(code).split() == ["1", "0"]


@compiled
@pytest.mark.parametrize("rule", RULES)
def test_no_kind_of_array_compiles_another_kernel(rule):
    case = draw(**CASES["alif"])
    net, weights, trial = library(case)
    want = sl.gradient(net, weights, rule=RULES[rule], **trial)
    n_signatures = len(run_block.signatures)

    def frozen(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    kinds = {
        "Fortran": np.asfortranarray,
        "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        "read-only": frozen,
        "list": lambda a: a.tolist(),
        "float32": lambda a: a.astype(np.float32).astype(np.float64),
    }
    for name, kind in kinds.items():
        changed = {key: kind(trial[key]) for key in ("inputs", "targets", "mask")}
        got = sl.gradient(
            net, sl.Weights(*(kind(w) if name != "float32" else w for w in weights)), rule=RULES[rule], **trial | changed
        )
        assert_same(got, want, rtol=1e-4 if name == "float32" else 0)
    sl.gradient(net, weights, rule=RULES[rule], **trial | {"inputs": case.x.astype(bool)})
    sl.gradient(
        net, weights, rule=RULES[rule], **trial | {"inputs": np.stack([case.x] * 3), "targets": np.stack([case.target] * 3)}
    )
    sl.gradient(net, weights, rule=RULES[rule], **trial | {"loss": sl.CrossEntropy(), "targets": 1, "regularizer": None})
    assert len(run_block.signatures) == n_signatures


@compiled
def test_every_way_of_online_learning_shares_one_kernel():
    case = draw(**CASES["alif"])
    sim, data = simulator(case, RULES["forward"], sl.SGD(0.002), update_every=7)
    sim.run(**data)
    n_signatures = len(run_block.signatures)
    sim.run(**data, learn=False)
    sim.run(case.x, error=lambda t, y: y)
    sim.run(case.x, learning_signal=np.ones((25, 6)))
    sim.run(iter([(case.x, case.target), (case.x, case.target, case.mask)]))
    sim.step(case.x[0], case.target[0])
    sim.step(case.x[0], learn=False)
    for optimizer in (
        sl.SGD(0.1, momentum=0.5, bounds=(-1, 1)),
        sl.SGD(sl.StepDecay(0.1, 0.5, 2), clip_norm=1.0, weight_decay=0.1),
    ):
        simulator(case, RULES["forward"], optimizer, update_every=1)[0].run(**data)
    assert len(run_block.signatures) == n_signatures


def test_the_cache_key_covers_what_kernels_are_made_of(monkeypatch):
    """Every class of tuple that reaches a kernel is defined in a file whose edit recompiles; a figure's is not."""
    seen = set()

    def note(value):
        if isinstance(value, tuple):
            if hasattr(value, "_fields"):
                seen.add(Path(inspect.getfile(type(value))))
            for part in value:
                note(part)

    for rule in (sl.EProp(), sl.EProp(method="forward"), sl.SnAp(1), sl.UORO()):
        case = draw(T=5)
        sim, trial = simulator(case, rule, sl.Adam(0.1), update_every=5, passive=[sl.SnAp(1)])
        monkeypatch.setattr(sim._engine, "run_block", lambda *arguments: note(arguments))
        sim.run(iter([(trial["inputs"], trial["targets"])]))
    assert len(seen) > 10
    assert seen <= kernel_sources()
    package = Path(sl.__file__).parent
    others = {package.joinpath(*parts) for parts in (("plot", "trial.py"), ("cli", "training.py"), ("rules", "bptt.py"))}
    assert all(path.is_file() for path in (*seen, *others)) and not others & kernel_sources()
    assert package / "losses.py" in kernel_sources()


@compiled
def test_denormal_numbers_are_zero_in_kernels_and_there_alone():
    # a membrane that decays for 100 time constants: float32 reaches its denormal numbers after 87 of them
    net = sl.Network(1, sl.LIF(3, tau_m=1.0, v_init=1.0, threshold=2.0), sl.Readout(1))
    v = sl.simulate(net, net.init_weights(seed=0), np.zeros((100, 1)), record=("v",), dtype=np.float32).v
    tiny = np.finfo(np.float32).tiny
    assert 0 < v[80, 0] < 1e-34 and (v[99] == 0).all()
    assert not ((v != 0) & (np.abs(v) < tiny)).any()
    outside = np.array([tiny, tiny]) * np.float32(0.5)
    assert (outside > 0).all()  # the caller's own numbers are as they were


@compiled
@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_is_afterwards_as_it_was(collects):
    listener, compiling = Announcer(), SimpleNamespace(data={"dispatcher": run_block})
    listener.told, before = True, gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        listener.on_start(compiling), listener.on_start(compiling)  # a helper within a kernel
        listener.on_end(compiling)
        assert not gc.isenabled()
        listener.on_end(compiling)
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()


@compiled
def test_each_state_of_the_sources_has_an_index_of_its_own():
    """An index that an earlier version of the package has left may name classes that have moved: it is not opened."""
    assert f"{SOURCE:x}" in run_block._cache._cache_file._index_name


@compiled
def test_functions_and_classes_of_users_may_have_no_module():
    """As functions have that are made by `exec` or `types.FunctionType`: they are not the package's."""

    def twice(x):
        return 2 * x

    twice.__module__ = None
    assert njit(twice)(3) == 6  # who listens to compilations looks at every function
    params = namedtuple("Own", "x")
    params.__module__ = None
    assert not dispatch.is_ours(params(1)) and not dispatch.is_ours((1, params(2))) and dispatch.is_ours((1, (2.0,)))
