"""The contract suites: what is in the package holds to them, and what is broken fails by the right name."""

import os
import subprocess
import sys

import pytest
from paths import ROOT

import snnlearn as sl
from snnlearn.verification.testing import check_neuron, check_rule, neuron_checks, rule_checks

NEURONS = [sl.LIF(5, threshold=0.5, refractory=2.0), sl.ALIF(5, threshold=0.5), sl.CubaLIF(5, threshold=0.5)]
RULES = [sl.EProp(), sl.EProp(2, method="adjoint"), sl.EProp(method="forward"), sl.BPTT(), sl.TruncatedBPTT(10), sl.RTRL()]
RULES += [sl.SnAp(1), sl.RFLO(feedback="random"), sl.UORO()]


@pytest.mark.slow
@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: type(neuron).__name__)
def test_neurons_of_the_package(neuron):
    done = check_neuron(neuron)
    assert done == [name for name, _ in neuron_checks(neuron)] and len(done) >= 8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # of UORO's hash, where it is not compiled
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_of_the_package(rule):
    done = check_rule(rule)
    assert done == [name for name, _ in rule_checks(rule)] and len(done) >= 5


# code of a page in docs/extend, a mistake in it, and the name of the check that must find it
STEP, LINEAR, ALIVE = (
    "derivatives are those of the step",
    "the gradient is linear in the error",
    "the gradient is finite and alive",
)
BROKEN = {
    "a derivative": ("neuron.md", "out.A[0, 1, j] = -p.zeta[j]", "out.A[0, 1, j] = p.zeta[j]", STEP),
    "a reset": ("neuron.md", "out.r[0, j] = -p.thr[j]", "out.r[0, j] = 0.0", STEP),
    "a regulariser": ("rule.md", "(signal[j] + reg[j])", "(signal[j] + 1)", LINEAR),
    "a readout": (
        "rule.md",
        "readout_step(rule.carry, net, tape, grad, b, span, row)",
        "pass",
        "the gradient is finite and alive",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_fails_by_name(tmp_path, case):
    page, right, wrong, found = BROKEN[case]
    text = (ROOT / "docs" / "extend" / page).read_text("utf-8")
    code = "\n".join(part.split("```")[0] for part in text.split("```python\n")[1:])
    assert right in code
    begin = code.index("rng = np.random.default_rng(0)")  # its own checks come after that
    call = (
        "check_rule(Coincidence())"
        if page == "rule.md"
        else "check_neuron(AdaptiveCurrent(5, threshold=0.5, follow=0.02, jump=0.1))"
    )
    head = "from snnlearn.verification.testing import check_neuron, check_rule\n"
    for mistake in (False, True):
        script = tmp_path / f"mine{mistake}.py"
        script.write_text(head + (code[:begin].replace(right, wrong) if mistake else code[:begin]) + call + "\n", "utf-8")
        environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
        run = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, cwd=tmp_path)
        if mistake:
            assert run.returncode and f", {found}: " in run.stderr, run.stderr[-500:]
        else:
            assert not run.returncode, run.stderr[-500:]


def test_what_is_none_is_refused():
    with pytest.raises(TypeError, match=r"check_neuron.neuron must be a group of neurons"):
        check_neuron(sl.EProp())
    with pytest.raises(TypeError, match=r"check_rule.rule must be a learning rule"):
        check_rule("eprop")


def test_a_silent_group_is_told():
    with pytest.raises(AssertionError, match="check_neuron, it fires: no neuron spikes"):
        check_neuron(sl.LIF(5, threshold=100.0))


@pytest.mark.parametrize(
    "old", ["connectivity:add_to_row", "conventions:neurons_from_nest", "recipes:RECIPES", "surrogate:ArcTan"]
)
def test_old_names_work_for_a_release(old):
    module, name = old.split(":")
    sys.modules.pop(f"snnlearn.{module}", None)
    with pytest.warns(DeprecationWarning, match=rf"snnlearn\.{module} is snnlearn\.[a-z.]+ now"):
        found = __import__(f"snnlearn.{module}", fromlist=[name])
    assert hasattr(found, name)
