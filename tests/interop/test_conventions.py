"""Parameter sets of NEST and of the TensorFlow e-prop code: the published training, and two steps worked by hand."""

import math

import numpy as np
import pytest

import snnlearn as sl
from snnlearn import conventions
from snnlearn.verification.published import superimposed_sines

NEST = {  # of NEST's tutorial on sine waves
    **{"C_m": 1.0, "E_L": 0.0, "I_e": 0.0, "V_m": 0.0, "V_th": 0.03, "t_ref": 0.0, "tau_m": 30.0, "gamma": 0.3},
    **{"regular_spike_arrival": False, "surrogate_gradient_function": "piecewise_linear", "c_reg": 300.0, "f_target": 10.0},
}


def test_the_published_training_in_the_terms_of_nest():
    sines = superimposed_sines()
    neurons = conventions.neurons_from_nest(100, NEST)
    assert neurons == sines.net.neurons[0]
    assert conventions.neurons_from_nest(100, NEST | {"gamma": 10.0, "beta": 1 / 0.03}).surrogate.gamma == pytest.approx(0.3)
    renamed = {k: v for k, v in NEST.items() if k not in ("gamma", "beta")}
    renamed |= {"surrogate_gradient_height": 10.0, "surrogate_gradient_width": 0.03}
    assert conventions.neurons_from_nest(100, renamed).surrogate.gamma == pytest.approx(0.3)
    readout = conventions.readout_from_nest(1, {"tau_m": 30.0, "regular_spike_arrival": False, "loss": "mean_squared_error"})
    assert readout == sines.net.readout
    assert conventions.regularizer_from_nest(NEST) == sines.regularizer
    assert conventions.optimizer_from_nest({"type": "gradient_descent", "eta": 1e-4}) == sl.SGD(1e-4)


def test_the_published_training_in_the_terms_of_tensorflow():
    sines = superimposed_sines()
    assert conventions.neurons_from_tensorflow("LightLIF", 100, {"tau": 30.0, "thr": 0.03}) == sines.net.neurons[0]
    assert conventions.readout_from_tensorflow(1, 30.0) == sines.net.readout
    assert conventions.optimizer_from_tensorflow(0.01) == sl.Adam(0.01, epsilon_form="tensorflow")


def test_voltages_refractoriness_and_currents_of_nest():
    params = {"E_L": -70.0, "V_th": -55.0, "t_ref": 5.0, "I_e": 250.0, "C_m": 250.0, "tau_m": 10.0}
    lif = conventions.neurons_from_nest(3, params, dt=1.0)
    assert (lif.threshold, lif.refractory, lif.normalize_input) == (15.0, 4.0, False)
    assert lif.current == pytest.approx(10.0 * (1 - math.exp(-0.1)))  # R I_e = 10 mV at rest
    scaled = conventions.neurons_from_nest(3, params | {"regular_spike_arrival": False})
    assert scaled.current == pytest.approx(10.0)
    for spec in (lif, scaled):  # both settle at E_L + 10 mV
        net = sl.Network(1, spec, 1)
        v = sl.simulate(net, net.init_weights(), np.zeros((200, 1)), record=("v",)).v
        np.testing.assert_allclose(v[-1], 10.0, rtol=1e-5)
    alif = conventions.neurons_from_nest(3, params | {"adapt_beta": 0.2, "adapt_tau": 200.0})
    assert (alif.beta, alif.tau_a) == (0.2, 200.0)
    assert conventions.regularizer_from_nest(NEST, average_over=150).strength == 2.0
    adam = conventions.optimizer_from_nest({"type": "adam", "eta": 5e-3, "Wmin": -1.0, "beta_1": 0.8})
    assert adam == sl.Adam(5e-3, bounds=(-1.0, math.inf), beta1=0.8, epsilon_form="tensorflow")


def test_adaptation_of_tensorflow_cells():
    light = conventions.neurons_from_tensorflow("LightALIF", 2, {"tau_adaptation": 500.0, "beta": 1.6, "thr": 0.6})
    b = (1 - math.exp(-1 / 500.0)) * 1.0  # the cell's b one step after a spike
    assert light.beta * 1.0 == pytest.approx(1.6 * b)
    assert light.normalize_input
    elig = conventions.neurons_from_tensorflow("EligALIF", 2, {"beta": 0.0174, "thr": 0.6, "n_refractory": 5})
    assert (elig.beta, elig.refractory, elig.normalize_input) == (0.0174, 4.0, False)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: conventions.neurons_from_nest(2, {"V_t": 1.0}), "neurons_from_nest parameter must be one of 'C_m'"),
        (lambda: conventions.neurons_from_nest(2, {"V_min": -80.0}), "V_min must be absent"),
        (lambda: conventions.neurons_from_nest(2, {"V_th": -75.0}), "V_th must lie above E_L"),
        (lambda: conventions.neurons_from_nest(2, NEST | {"beta": 1.0}), r"beta must be 1/\(V_th - E_L\) = 33"),
        (
            lambda: conventions.neurons_from_nest(2, NEST | {"surrogate_gradient_width": 0.03}),
            "surrogate_gradient_height must come with",
        ),
        (
            lambda: conventions.neurons_from_nest(2, {"surrogate_gradient_height": 1.0, "surrogate_gradient_width": 1.0}),
            "surrogate_gradient_width must be V_th - E_L = 15",
        ),
        (lambda: conventions.readout_from_nest(2, {"I_e": 1.0}), "I_e must be 0"),
        (lambda: conventions.optimizer_from_nest({"type": "rms"}), "type must be one of 'gradient_descent', 'adam'"),
        (lambda: conventions.neurons_from_tensorflow("GRU", 2, {}), "cell must be one of 'LightLIF'"),
        (lambda: conventions.neurons_from_tensorflow("LightLIF", 2, {"beta": 1.0}), "parameter must be one of 'tau'"),
    ],
)
def test_what_has_no_counterpart_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
