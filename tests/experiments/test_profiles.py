"""Profiles of chips: which limits a network keeps, in `plan` and on the command line."""

import numpy as np
import pytest

import snnlearn as sl
from snnlearn.cli import main
from snnlearn.experiments import profiles


def limits(name, net, rule=None, weights=None):
    weights = net.init_weights(0) if weights is None else weights
    return {limit.what: limit for limit in profiles.check(name, net, weights, rule, 10**6)}


def test_every_profile_has_a_source():
    for profile in sl.profiles.PROFILES.values():
        assert len(profile.source) > 20 and any(value is not None for value in profile[2:])


def test_what_fits_on_reckon():
    net = sl.Network(256, sl.LIF(256), sl.Readout(16))
    levels = np.linspace(-1, 1, 256)
    weights = net.init_weights(0)
    rounded = sl.Weights(*(levels[np.abs(w[..., None] - levels).argmin(-1)] for w in weights[:3]), weights.b_out)
    found = limits("reckon", net, sl.EProp(), rounded)
    assert all(limit.fits for limit in found.values()) and len(found) == 6
    too_much = limits("reckon", sl.Network(257, sl.ALIF(300), sl.Readout(17)), sl.EProp(order=2))
    assert not any(limit.fits for limit in too_much.values())
    assert str(too_much["neurons"]) == "too much: neurons 300 (at most 256)"
    assert too_much["learning by"].needed == "EProp of order 2" and too_much["levels of a matrix"].most == "2^8"


def test_what_fits_on_other_chips():
    net = sl.Network(16, sl.CubaLIF(100, tau_syn=5.0), sl.Readout(8), recurrent=sl.Sparse(10))
    found = limits("xylo", net, sl.BPTT())
    assert found["recurrent synapses of a neuron"].fits == (np.diff(net.init_weights(0).w_rec.indptr).max() <= 64)
    assert not found["learning by"].fits and "inference only" in found["learning by"].most
    assert "learning by" not in limits("xylo", net)
    assert found["neurons of"].fits and found["input channels"].fits
    assert limits("loihi2", net)["synapses"].needed == str(16 * 100 + 1000)
    assert limits("spinnaker2", net)["bytes"].fits


def test_a_plan_names_the_limits(capsys):
    net = sl.Network(4, sl.LIF(300), 2)
    plan = sl.plan(net, sl.EProp(), seconds=0, n_steps=10, profile="reckon")
    assert plan.profile.name == "ReckOn" and not all(limit.fits for limit in plan.limits)
    assert "chip     ReckOn (Frenkel" in str(plan) and "too much: neurons 300 (at most 256)" in str(plan)
    assert sl.plan(net, seconds=0, n_steps=10).limits == ()
    own = sl.profiles.Profile("ours", "a drawing on a napkin", neurons=1000)
    assert [limit.fits for limit in sl.plan(net, seconds=0, n_steps=10, profile=own).limits] == [True]
    with pytest.raises(ValueError, match=r"plan\.profile must be one of 'reckon', 'loihi2'"):
        sl.plan(net, seconds=0, profile="brain")
    assert main(["plan", "digits", "--seconds", "0", "--profile", "xylo"]) == 0
    assert "chip     Xylo Audio 2" in capsys.readouterr().out
    assert main(["plan", "digits", "--seconds", "0", "--profile", "brain"]) == 1
    assert "--profile must be one of" in capsys.readouterr().err
