"""The code of the documentation runs: every ```python block of a page, in order, in one namespace (```py blocks do not run).

A page runs in a process of its own without the JIT, where a tiny case takes no time to compile, and in an empty folder.
Trainings are cut to one trial, and those of evidence accumulation to a short one.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHORT = """
import warnings
import snnlearn as sl
warnings.simplefilter("error")
warnings.simplefilter("ignore", sl.SilentNetworkWarning)
_evidence, _train = sl.tasks.EvidenceAccumulation, sl.Simulator.train
def _brief(**options):
    return _evidence(**options | {"cue_duration": 20.0, "cue_spacing": 10.0, "delay": 10.0, "window": 20.0})
sl.tasks.EvidenceAccumulation = _brief
def _short(self, task=None, trials=None, batch=1, recorder=None, **options):
    options["evaluate_trials"] = 1
    if options.get("evaluate_every"):
        options["evaluate_every"] = 1
    return _train(self, task, 1, 1, recorder, **options)
sl.Simulator.train = _short
import matplotlib
matplotlib.use("Agg")
"""


def blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run(source, folder, **env):
    command = [sys.executable, "-c", source]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | env, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.relative_to(DOCS).as_posix())
def test_page_runs(page, tmp_path):
    # classes of the page need a file, from which Numba and dataclasses take their sources
    (tmp_path / "page.py").write_text(SHORT + "\n".join(blocks(page)), encoding="utf-8")
    run("import page", tmp_path, NUMBA_DISABLE_JIT="1", PYTHONPATH=str(ROOT))


@pytest.mark.slow
def test_a_rule_from_outside_compiles(tmp_path):
    """The worked example up to its check, with the JIT; `test_neurons.py` does the same with a neuron model."""
    parts = blocks(DOCS / "extend" / "rule.md")
    last = next(k for k, part in enumerate(parts) if "sl.gradient" in part)
    (tmp_path / "page.py").write_text("\n".join(parts[: last + 1]), encoding="utf-8")
    run("import page", tmp_path, PYTHONPATH=str(ROOT))


def test_readme_and_pages_name_files_that_exist():
    """Paths of the repository in `code` of prose."""
    found = 0
    for page in (ROOT / "README.md", *PAGES):
        for name in re.findall(r"`((?:snnlearn|tests|notebooks|benchmarks|docs|data)/[\w/.]+\.\w+)`", page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"
            found += 1
    assert found > 10
