"""The notebooks run from top to bottom."""

import pathlib

import pytest

NOTEBOOKS = pathlib.Path(__file__).parents[1] / "notebooks"


def read(name):
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOKS / name, 4)


def test_the_notebook_is_committed_with_its_outputs():
    notebook = read("analysis.ipynb")
    assert (NOTEBOOKS / "analysis.ipynb").stat().st_size < 1_000_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count == k + 1 for k, cell in enumerate(code))
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 8
    assert not any(output.output_type == "error" for output in outputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("SNNLEARN_SHORT", "1")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent), prepend=":")
    notebook = read("analysis.ipynb")
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert not list(tmp_path.iterdir())
