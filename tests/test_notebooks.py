"""The notebooks are committed with their outputs, and run from top to bottom in a short form."""

import pytest
from paths import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_BYTES = 1_000_000
COMPILED = {"analysis"}  # long enough in its short form that compiling pays; the others run tiny cases as plain Python
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@each_notebook
def test_outputs_are_committed(path):
    """Every cell was run, in order, without errors; the file is small and tells nothing about a machine."""
    cells = code(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs and all(output.output_type != "error" for output in outputs)
    text = path.read_text()
    assert path.stat().st_size < MAX_BYTES
    assert str(ROOT) not in text


@each_notebook
def test_has_a_pair_to_edit(path):
    """The .py beside a notebook has the same cells."""
    jupytext = pytest.importorskip("jupytext")
    pair = [(cell.cell_type, cell.source.strip()) for cell in jupytext.read(path.with_suffix(".py")).cells]
    assert pair == [(cell.cell_type, cell.source.strip()) for cell in nbformat.read(path, as_version=4).cells]


@pytest.mark.slow
@each_notebook
@pytest.mark.filterwarnings("default")  # of the machinery that runs notebooks
def test_runs_in_short_form(path, monkeypatch):
    monkeypatch.setenv("SNNLEARN_SHORT", "1")
    if path.stem not in COMPILED:
        monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}).execute()
