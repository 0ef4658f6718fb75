"""Specs as JSON values and back."""

import json

import numpy as np
import pytest

import snnlearn as sl
from snnlearn import spec

MASK = np.random.default_rng(1).random((5, 5)) < 0.5
PER_NEURON = np.linspace(10.0, 30.0, 40)


def through(value):
    arrays = {}
    text = json.dumps(spec.encode(value, arrays))
    return spec.decode(json.loads(text), arrays)


@pytest.mark.parametrize(
    "value",
    [
        sl.Network(
            3,
            [sl.LIF(2, surrogate=sl.ArcTan(0.4)), sl.ALIF(3, beta=(0.1, 0.2, 0.3), tau_a=np.float64(50.0))],
            sl.Readout(2, bias=True),
            dt=0.5,
            delay=1.5,
            recurrent=sl.Masked(MASK),
            inputs=sl.Sparse(indegree=2),
            frozen=("w_in",),
        ),
        sl.Network(3, sl.CubaLIF(40, tau_m=PER_NEURON), 2, recurrent=sl.Sparse(density=0.25)),
        sl.SGD(0.1, momentum=0.9, bounds=(-1.0, np.inf), clip_norm=2.0),
        sl.Adam(sl.ExponentialDecay(0.1, 0.5, 30), bounds={"w_rec": (0, 1)}, epsilon_form="tensorflow"),
        sl.Adam(sl.CosineDecay(0.1, 100)),
        sl.SGD(sl.StepDecay(0.1, 0.5, 7)),
        sl.RateRegularizer(10.0, 0.1, tau=100.0),
        sl.CrossEntropy(),
        (1, None, "a", [True, 2.5]),
    ],
)
def test_specs_come_back_equal(value):
    assert through(value) == value


@pytest.mark.parametrize(("dt", "steps"), [(0.1, 10), (0.5, 2), (1.0, 1), (0.3, 1), (10.0, 1)])
def test_a_written_network_without_a_delay_has_one_of_a_millisecond(dt, steps):
    values = spec.encode(sl.Network(3, sl.LIF(2), 2, dt=dt), {})
    assert values.pop("delay") == dt
    assert spec.decode(values, {}).delay_steps == steps  # or of a step where that is no whole number of them


@pytest.mark.parametrize(
    "rule",
    [
        sl.EProp(order=None, method="forward"),
        sl.EProp(2, feedback="random", seed=3),
        sl.BPTT(reset_gradient=False),
        sl.TruncatedBPTT(20),
        sl.RTRL(max_bytes=2**20),
        sl.SnAp(2),
        sl.RFLO(feedback="adaptive"),
        sl.UORO(seed=9),
    ],
)
def test_rules_come_back_with_every_parameter(rule):
    back = through(rule)
    assert type(back) is type(rule)
    assert vars(back) == vars(rule)


def test_arrays_stay_out_of_the_text():
    feedback = np.arange(6.0).reshape(3, 2)
    arrays = {}
    encoded = spec.encode({"rule": sl.EProp(feedback=feedback), "net": sl.Network(3, sl.LIF(40, tau_m=PER_NEURON), 2)}, arrays)
    assert set(arrays) == {"rule.feedback", "net.neurons.0.tau_m"}
    np.testing.assert_array_equal(spec.decode(encoded, arrays)["rule"].feedback, feedback)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"file must name a class of the package, LIF, .* \(got 'Popen'\)"):
        spec.decode({"type": "Popen", "args": "ls"}, {}, "file")
    with pytest.raises(ValueError, match=r"file, LIF must have parameters among n, tau_m, .* \(got 'tau_x'\)"):
        spec.decode({"type": "LIF", "n": 3, "tau_x": 1.0}, {}, "file")
    with pytest.raises(ValueError, match=r"file must hold its arrays"):
        spec.decode({"array": "x"}, {}, "file")


def test_foreign_parts_can_be_told():
    class Mine(sl.LIF):
        pass

    encoded = spec.encode({"optimizer": sl.SGD(lambda update: 0.1), "neurons": (Mine(3),)}, {})
    parts = list(spec.foreign(encoded))
    assert [part["at"] for part in parts] == ["optimizer.lr", "neurons.0"]
    assert "lambda" in parts[0]["foreign"] and parts[1]["foreign"].endswith("Mine")
    with pytest.raises(ValueError, match="file must hold only what the package can make again"):
        spec.decode(encoded, {}, "file")
