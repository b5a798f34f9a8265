"""docs/figure-6.ipynb, run by a Jupyter kernel in a folder of its own, with fewer images and epochs."""

import ast

import nbformat
from nbclient import NotebookClient

from tests.helpers.processes import ROOT, child_environment

PATH = ROOT / "docs" / "figure-6.ipynb"
SIZES = "epochs=6, train_size=2000, test_size=500, batch_size=40"


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path):
    notebook = nbformat.read(PATH, as_version=4)
    (train,) = (cell for cell in notebook.cells if SIZES in cell.source)
    train.source = train.source.replace(SIZES, "epochs=1, train_size=40, test_size=20, batch_size=20, width=0.0625")
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=child_environment(OMP_NUM_THREADS="1"))
    printed = {
        cell.id: "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    # Where a user opens it, `results` is what is published.
    assert [path.name for path in tmp_path.iterdir()] == ["my-results"]
    assert "4,632,394 parameters in 38 arrays" in printed["same-weights"]
    assert "[6/6] max pooling, RMSprop" in printed["train"]
    assert printed["train"].count("Figure 6. Pooling and optimizers") == 1
    pictures = {
        cell.id
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    }
    assert pictures == {"show-images", "show-picture"}
    assert next(cell for cell in notebook.cells if cell.id == "install").outputs == []
    assert all(output.get("name") != "stderr" for cell in notebook.cells for output in cell.get("outputs", ()))


def test_the_notebook_shows_the_network_that_the_tests_compare_with():
    source = next(cell.source for cell in nbformat.read(PATH, as_version=4).cells if cell.get("id") == "section-8")
    section_8 = (ROOT / "tests" / "helpers" / "section_8.py").read_text(encoding="utf-8")
    shown, expected = (
        next(ast.dump(node) for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
        for text in (source, section_8)
    )
    assert shown == expected


def test_the_notebook_is_kept_without_output():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert str(ROOT) not in PATH.read_text(encoding="utf-8")
