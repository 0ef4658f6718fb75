"""`verify` passes, and fails where a gradient, a trajectory or a published loss is off."""

import importlib.util

import h5py
import numpy as np
import pytest
from paths import ROOT
from scipy import sparse

import snnlearn as sl
from snnlearn.cli import main
from snnlearn.verification import published, verify
from snnlearn.verification.verify import Check

DATA = ROOT / "data"


@pytest.fixture(scope="module")
def cases():
    return verify.reference_cases()


def failed(table):
    return {check.name for check in table.checks if not check.ok}


def test_passes(capsys):
    assert main(["verify"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 30
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert "all 29 checks passed" in lines[-1]
    for what in ("control:", "identity: RTRL = BPTT", "reference: rflo", "published: NEST's losses"):
        assert any(what in line for line in lines)


def test_a_wrong_gradient_fails(monkeypatch, capsys):
    def wrong(net, weights, inputs, targets, rule, **options):
        """Order 2, adjoint: one synapse earns a billionth too much."""
        g = sl.gradient(net, weights, inputs, targets, rule, **options)
        if not isinstance(rule, sl.EProp) or rule.order != 2 or rule.method != "adjoint":
            return g
        w_rec = g.w_rec.copy()
        values = w_rec.data if sparse.issparse(w_rec) else w_rec
        values[np.unravel_index(np.abs(values).argmax(), values.shape)] *= 1.0 + 1e-9
        return g._replace(w_rec=w_rec)

    monkeypatch.setattr(verify, "gradient", wrong)
    assert main(["verify"]) == 1
    lines = capsys.readouterr().out.splitlines()
    bad = [line for line in lines if line.startswith("FAIL")]
    assert len(bad) == 3
    for line, what in zip(bad, ("forward = adjoint", "order2 ", "order2_feedback"), strict=True):
        assert what in line
    assert "3 of 29 checks FAILED" in lines[-1]


def test_a_wrong_simulation_or_training_fails(monkeypatch, cases):
    def wrong(*arguments):
        found = sl.simulate(*arguments)
        return found if found.v is None else found._replace(v=found.v * (1.0 + 1e-9))

    def drifted(iterations=5):
        training = published.train_sines(iterations)
        return training._replace(losses=training.losses * (1.0 + 1e-8))

    monkeypatch.setattr(verify, "simulate", wrong)
    monkeypatch.setattr(verify, "train_sines", drifted)
    monkeypatch.setattr(verify, "reference_cases", lambda: cases[:1])
    monkeypatch.setattr(verify, "IDENTITIES", {})
    seen = []
    table = sl.verify(lambda name, check: seen.append((name, check)))
    assert failed(table) == {"reference: spikes, membrane, readout, losses", "published: NEST's losses"}
    assert not table.ok
    assert str(table).count("FAIL") == 2
    assert seen == [pair for check in table.checks for pair in ((check.name, None), (check.name, check))]


def test_controls_notice_a_silent_network_and_equal_rules(cases):
    case = cases[0]
    silent = object.__new__(verify.Case)
    silent.__dict__.update(vars(case) | {"weights": case.weights._replace(w_in=0.0 * case.weights.w_in), "_found": {}})
    assert verify._liveness([case]) == 1.0
    assert verify._liveness([silent]) == 0.0
    same = [(case.gradient(sl.BPTT()), case.gradient(sl.RTRL()))]
    assert verify._smallest(lambda _: iter(same), [case]) < 1e-12


@pytest.mark.parametrize(("deviation", "within", "beyond"), [(1.0, True, False), (2.0, True, False), (3.0, False, True)])
def test_verdicts(deviation, within, beyond):
    assert Check("a", deviation, 2.0).ok is within
    assert Check("a", deviation, 2.0, control=True).ok is beyond
    assert not Check("a", np.nan, 2.0).ok and not Check("a", np.nan, 2.0, control=True).ok


def test_no_check_is_vacuous(cases):
    for name, pairs in verify.IDENTITIES.items():
        assert any(True for case in cases for _ in pairs(case)), name
    assert set(verify._rules(cases[0].feedback, True)) == set(cases[0].expected)
    one, other = np.ones((2, 2)), np.zeros((2, 2))
    assert verify._apart([one] * 4, [other] * 4) == [np.inf] * 4
    assert verify._apart([other] * 4, [other] * 4) == [0.0] * 4


def test_the_shipped_file_is_what_the_twins_write(tmp_path):
    spec = importlib.util.spec_from_file_location("make_reference_cases", DATA / "make_reference_cases.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write(tmp_path / "again.h5")
    shipped = DATA / "reference_cases.h5"
    assert shipped.stat().st_size < 300_000
    with h5py.File(tmp_path / "again.h5") as again, h5py.File(shipped) as file:
        assert list(again) == list(file)
        for name, group in file.items():
            assert set(group) == set(again[name])
            for key, value in group.attrs.items():
                assert again[name].attrs[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12))
            for key in set(group) - {"rules"}:
                np.testing.assert_allclose(again[f"{name}/{key}"][()], group[key][()], rtol=1e-10, atol=1e-12)
