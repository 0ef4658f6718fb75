"""The contract of neuron models and learning rules, as checks for people who add their own.

    check_neuron(AdaptiveCurrent(5, threshold=0.5))
    check_rule(Coincidence())

Each runs named checks on small networks in float64 and raises AssertionError that names the first one that does not hold. A test
of yours can take them one by one: `neuron_checks` and `rule_checks` yield (name, function).
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numba
import numpy as np

from .. import _check
from ..compiler.compilations import belongs
from ..engine.functional import gradient, simulate
from ..network.connectivity import Masked, Sparse
from ..network.network import Network, Readout, Weights
from ..neurons.base import Neuron, SpikeTangents, adjoint, advance, derivatives, make_derivatives, prepare, tangent
from ..neurons.chain_rule import ChainParams
from ..neurons.lif import LIF
from ..optimizers.optimizers import SGD
from ..rules import BPTT, RTRL, Rule
from ..rules.base import NO_WINDOW
from ..runs.resume import resume
from ..simulator.simulator import Simulator

Check = tuple[str, Callable[[], None]]
STEPS, INPUTS, OUTPUTS = 40, 4, 2
EXACT = 1e-9  # relative, of two ways to one gradient
SLOPE = 1e-6  # of differences against derivatives


def check_neuron(neuron: Neuron) -> list[str]:
    """Check a neuron model, given as a group that fires with inputs of order 1; returns the names of the checks.

    Raises AssertionError "check_neuron, NAME: ..." for the first check that fails, TypeError where it is no group of neurons.
    """
    if not isinstance(neuron, Neuron):
        raise _check.fail("check_neuron.neuron", "be a group of neurons such as LIF(5)", neuron, error=TypeError)
    return _run("check_neuron", neuron_checks(neuron))


def check_rule(rule: Rule, neuron: Neuron | None = None) -> list[str]:
    """Check a learning rule, on LIF neurons or on others; returns the names of the checks.

    Raises AssertionError "check_rule, NAME: ..." for the first check that fails, TypeError where it is no rule.
    """
    if not isinstance(rule, Rule):
        raise _check.fail("check_rule.rule", "be a learning rule such as EProp()", rule, error=TypeError)
    return _run("check_rule", rule_checks(rule, neuron))


def neuron_checks(neuron: Neuron) -> Iterator[Check]:
    """The checks of a neuron model: (name, function) each."""
    yield "parameters are arrays", partial(_parameters, neuron)
    yield "derivatives are those of the step", partial(_derivatives, neuron)
    if type(neuron.params(1.0)) in adjoint.table:  # type: ignore[attr-defined]
        yield "the written-out chain rule is the general one", partial(_written_out, neuron)
    yield "it fires", partial(_fires, neuron)
    yield "variables can be recorded", partial(_records, neuron)
    yield "BPTT equals RTRL", partial(_two_ways, neuron)
    yield "batches and threads change no bit", partial(_batches, BPTT(), neuron)
    yield "pieces of a stream change no bit", partial(_pieces, None, neuron)
    yield "it goes on from a file", partial(_resumes, None, neuron)


def rule_checks(rule: Rule, neuron: Neuron | None = None) -> Iterator[Check]:
    """The checks of a learning rule: (name, function) each."""
    group = LIF(6, threshold=0.5) if neuron is None else neuron
    yield "the gradient is finite and alive", partial(_alive, rule, group)
    if rule.truncation == NO_WINDOW:
        yield "the readout's gradient is exact", partial(_readout, rule, group)
    yield "the gradient is linear in the error", partial(_linear, rule, group)
    yield "nothing is learnt where the mask is zero", partial(_masked, rule, group)
    if not rule.draws:
        yield "sparse and masked networks agree", partial(_sparse, rule, group)
    yield "batches and threads change no bit", partial(_batches, rule, group)
    if _streams(rule):
        yield "pieces of a stream change no bit", partial(_pieces, rule, group)
        yield "it goes on from a file", partial(_resumes, rule, group)


def _streams(rule: Rule) -> bool:
    """Whether the rule learns in a stream."""
    try:
        return type(rule).causal and bool(rule.direction(10, True, False))
    except ValueError:
        return False


def _run(where: str, checks: Iterator[Check]) -> list[str]:
    done = []
    for name, check in checks:
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"{where}, {name}: {str(error).strip() or 'it does not hold'}") from error
        except Exception as error:
            raise AssertionError(f"{where}, {name}: {type(error).__name__}: {error}") from error
        done.append(name)
    return done


# ---- what the checks run on -------------------------------------------------------------------------


def _case(neuron: Neuron, **parts: Any) -> tuple[Network, Weights, np.ndarray, np.ndarray]:
    """A network with this group, its weights, inputs [3, T, n_inputs] and targets [3, T, n_outputs]."""
    net = Network(INPUTS, neuron, Readout(OUTPUTS, tau=5.0), **parts)
    draws = np.random.default_rng(2)
    x = (draws.random((3, STEPS, INPUTS)) < 0.4).astype(float)
    weights = net.init_weights(seed=1, gain={"w_in": 1.5, "w_rec": 0.7, "w_out": 1.0})
    return net, weights, x, draws.standard_normal((3, STEPS, OUTPUTS))


def _simulator(net: Network, weights: Weights, rule: Rule | None, **options: Any) -> Simulator:
    return Simulator(net, weights, rule, None if rule is None else SGD(1e-3), dtype="float64", **options)


def _near(found: Any, wanted: Any, tolerance: float, what: str) -> None:
    found, wanted = (np.asarray(w.toarray() if hasattr(w, "toarray") else w) for w in (found, wanted))
    size = max(float(np.abs(wanted).max(initial=0.0)), 1e-12)
    far = float(np.abs(found - wanted).max(initial=0.0)) / size
    assert far <= tolerance, f"{what} differ by {far:.1e} of the largest, at most {tolerance:.0e} is right"


def _same(found: Any, wanted: Any, what: str) -> None:
    assert np.array_equal(found, wanted), f"{what} are not the same bits"


# ---- of a neuron model ------------------------------------------------------------------------------


def _parameters(neuron: Neuron) -> None:
    params = neuron.params(1.0)
    for name, value in params._asdict().items():
        if not isinstance(value, tuple):
            assert getattr(value, "shape", None) == (neuron.n,), f"{name} has shape {np.shape(value)}, not ({neuron.n},)"
            assert np.isfinite(value).all(), f"{name} is not finite"
    first = ("alpha", "zeta", "thr", "inv_thr", "current", "n_ref", "surrogate")
    assert params._fields[:7] == first, f"the first seven fields are {params._fields[:7]}, not {first}"
    rows = neuron.initial().shape
    assert rows == (len(neuron.variables), neuron.n), f"initial() has shape {rows}, not [variables, n]"


@numba.njit
def _step(p, hidden, z, refractory, current, psi, local):  # type: ignore[no-untyped-def]
    advance(p, hidden, z, refractory, current, psi, local)


@numba.njit
def _derive(p, psi, local, out):  # type: ignore[no-untyped-def]
    derivatives(p, psi, local, out)


def _derivatives(neuron: Neuron) -> None:
    """Central differences of a step by the state, the input and the spike before it."""
    p, rows, n = (
        Network(1, neuron, 1).arrays(Network(1, neuron, 1).init_weights(), np.float64).params,
        len(neuron.variables),
        neuron.n,
    )
    draws = np.random.default_rng(3)
    state, current = 0.3 * draws.standard_normal((rows, n)), 0.2 * draws.standard_normal(n)

    def after(state: np.ndarray, current: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        hidden, psi, local = state.copy(), np.zeros(n), np.zeros((neuron.n_local, n))
        _step(p, hidden, np.full(n, z), np.zeros(n, np.int32), current.copy(), psi, local)
        return hidden, psi, local

    for z in (0.0, 1.0):
        out = make_derivatives(rows, n, np.float64)
        _, psi, local = after(state, current, z)
        _derive(p, psi, local, out)
        for y, name in enumerate(neuron.variables):
            up, down = state.copy(), state.copy()
            up[y] += SLOPE
            down[y] -= SLOPE
            slope = (after(up, current, z)[0] - after(down, current, z)[0]) / (2 * SLOPE)
            _close(out.A[:, y], slope, f"A, by {name}")
        slope = (after(state, current + SLOPE, z)[0] - after(state, current - SLOPE, z)[0]) / (2 * SLOPE)
        _close(out.b, slope, "b")
        slope = (after(state, current, z + SLOPE)[0] - after(state, current, z - SLOPE)[0]) / (2 * SLOPE)
        _close(out.k + out.r, slope, "k + r")


def _close(given: np.ndarray, slope: np.ndarray, name: str) -> None:
    worst = np.unravel_index(int(np.abs(given - slope).argmax()), slope.shape)
    far = abs(float(given[worst] - slope[worst]))
    assert far <= 1e-5 * max(1.0, float(np.abs(slope).max())), f"{name} is {given[worst]:g} where the step has {slope[worst]:g}"


@numba.njit
def _back(p, psi, local, gz, attached, lam, c):  # type: ignore[no-untyped-def]
    prepare(p, psi, local)
    adjoint(p, psi, gz, attached, lam, c)


@numba.njit
def _forth(p, l, psi, attached, current, hidden, start, spikes):  # type: ignore[no-untyped-def]
    tangent(p, l, psi, attached, current, hidden, start, spikes)


def _written_out(neuron: Neuron) -> None:
    """adjoint and tangent as registered, and as made of the derivatives."""
    rows, n = len(neuron.variables), neuron.n
    own = Network(1, neuron, 1).arrays(Network(1, neuron, 1).init_weights(), np.float64).params
    general = ChainParams(own, make_derivatives(rows, n, np.float64), 1.0, np.zeros((rows, n)))
    for attached in (0.0, 1.0):
        results = []
        for p in (own, general):
            draws, found = np.random.default_rng(5), []
            lam, c, hidden = np.zeros((rows + 1, n)), np.zeros(n), np.zeros((rows, 3 * n))
            old, new = np.zeros((n, 3)), np.zeros((n, 3))
            for _ in range(6):
                psi = draws.random(n)
                _back(p, psi, np.zeros((neuron.n_local, n)), draws.standard_normal(n), attached, lam, c)
                for l in range(n):
                    _forth(p, l, psi[l], attached, draws.standard_normal(3), hidden, 3 * l, SpikeTangents(old[l], new[l]))
                old, new = new, old
                found += [c.copy(), hidden.copy(), old.copy()]
            results.append(np.concatenate([values.ravel() for values in found]))
        _near(results[0], results[1], EXACT, "adjoint and tangent")


def _fires(neuron: Neuron) -> None:
    net, weights, x, _ = _case(neuron)
    found = simulate(net, weights, x[0], record=("spikes", "v"), dtype="float64")
    assert found.spikes is not None and found.v is not None
    assert np.isfinite(found.v).all(), "the membrane potential is not finite"
    assert found.spikes.any(), "no neuron spikes; give a group with a lower threshold"


def _records(neuron: Neuron) -> None:
    net, weights, x, _ = _case(neuron)
    names = (*neuron.variables, "psi", "threshold")
    found = simulate(net, weights, x[0], record=names, dtype="float64")
    for name in neuron.variables:
        values = found.v if name == "v" else found.a if name == "a" else found.hidden[name]
        assert values is not None and values.shape == (STEPS, net.n), f"{name} was not recorded at every step"
    assert found.psi is not None and found.threshold is not None
    assert (found.psi >= 0).all() and found.psi.any(), "the pseudo-derivative is negative, or zero everywhere"
    assert (found.threshold > 0).all(), "the threshold is not positive"


def _two_ways(neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron)
    back, forth = (gradient(net, weights, x, y, rule) for rule in (BPTT(), RTRL()))
    assert np.abs(back.w_rec).max() > 0, "the gradient is zero"
    for name in ("w_in", "w_rec", "w_out"):
        _near(getattr(forth, name), getattr(back, name), EXACT, f"gradients of {name}")


# ---- of both ----------------------------------------------------------------------------------------


def _batches(rule: Rule, neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron)
    one, two = (gradient(net, weights, x, y, rule, threads=threads) for threads in (1, 2))
    for name in ("w_in", "w_rec", "w_out"):
        _same(getattr(one, name), getattr(two, name), f"gradients of {name} by one and two threads")
    batch, single = (_simulator(net, weights, None).run(given) for given in (x, x[1]))
    alone = [_simulator(net, weights, None).run(trial).rate for trial in x]
    assert single.rate > 0, "no neuron spikes"
    _near(batch.rate, np.mean(alone), 1e-12, "rates of a batch and of its trials")


def _pieces(rule: Rule | None, neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron)
    x, y = x.reshape(-1, INPUTS), y.reshape(-1, OUTPUTS)
    results = []
    for length in (20, 40, 120):
        sim = _simulator(net, weights, rule, update_every=10) if rule is not None else _simulator(net, weights, None)
        fed = [x[k : k + length] if rule is None else (x[k : k + length], y[k : k + length]) for k in range(0, len(x), length)]
        run = sim.run(iter(fed))
        results.append((*sim.weights[:3], np.array([run.rate])))
    for other in results[1:]:
        for a, b in zip(results[0][:3], other[:3], strict=True):
            _same(a, b, "weights after a stream in other pieces")
        _near(other[3], results[0][3], 1e-12, "rates")


def _resumes(rule: Rule | None, neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron)
    fed = [trial if rule is None else (trial, target) for trial, target in zip(x, y, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "state.h5"
        sim = _simulator(net, weights, rule, **({} if rule is None else {"update_every": 10}))
        sim.run(iter(fed[:1]))
        sim.save(path)
        again = resume(path, **{name: part for name, part in (("net", net), ("rule", rule)) if _is_foreign(part)})  # type: ignore
        runs = [one.run(iter(fed[1:])) for one in (sim, again)]
    _same(runs[0].rate, runs[1].rate, "rates after going on from a file")
    for a, b in zip(sim.weights[:3], again.weights[:3], strict=True):
        _same(a, b, "weights after going on from a file")


def _is_foreign(part: Any) -> bool:
    """Whether a file cannot hold a network or a rule, because it is of a user's own class."""
    own = part.neurons if isinstance(part, Network) else () if part is None else (part,)
    return not all(belongs(type(one)) for one in own)


# ---- of a rule --------------------------------------------------------------------------------------


def _alive(rule: Rule, neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron)
    found = gradient(net, weights, x, y, rule)
    for name in ("w_in", "w_rec", "w_out"):
        values = getattr(found, name)
        assert np.isfinite(values).all(), f"the gradient of {name} is not finite"
        assert values.any(), f"the gradient of {name} is zero"


def _readout(rule: Rule, neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron)
    _near(gradient(net, weights, x, y, rule).w_out, gradient(net, weights, x, y, BPTT()).w_out, EXACT, "gradients of w_out")


def _linear(rule: Rule, neuron: Neuron) -> None:
    """Targets that double every error double the gradient."""
    net, weights, x, y = _case(neuron)
    readout = simulate(net, weights, x[0], record=("readout",), dtype="float64").readout
    assert readout is not None
    one = gradient(net, weights, x[0], y[0], rule)
    two = gradient(net, weights, x[0], 2 * y[0] - readout, rule)
    for name in ("w_in", "w_rec", "w_out"):
        _near(getattr(two, name), 2 * np.asarray(getattr(one, name)), EXACT, f"gradients of {name} for twice the error")


def _masked(rule: Rule, neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron)
    found = gradient(net, weights, x[0], y[0], rule, mask=np.zeros(STEPS))
    for name in ("w_in", "w_rec", "w_out"):
        assert not np.any(getattr(found, name)), f"the gradient of {name} is not zero"


def _sparse(rule: Rule, neuron: Neuron) -> None:
    net, weights, x, y = _case(neuron, recurrent=Sparse(indegree=2))
    masked = dataclasses.replace(net, recurrent=Masked(weights.w_rec.toarray() != 0))
    found = gradient(net, weights, x, y, rule)
    wanted = gradient(masked, weights._replace(w_rec=weights.w_rec.toarray()), x, y, rule)
    for name in ("w_in", "w_rec", "w_out"):
        _near(getattr(found, name), getattr(wanted, name), EXACT, f"gradients of {name}")
