"""Every notebook runs from a clean kernel, in time, and is stored without outputs."""

import os
import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [
    "01_quickstart",
    "02_region_fusion_attention",
    "03_train_and_ablate",
    "04_quantize_and_export",
    "05_serve",
]
# A reader waits a minute at most on 2 cores. Held in processor time, because the cores
# that run the tests are shared: a notebook's own, its children's and both cores' added.
PROCESSOR_SECONDS = 100
ALL_PROCESSOR_SECONDS = 240

spent: dict[str, float] = {}
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Half of all notebooks' time; tests/test_recipe_ablation.py always trains the same.
SLOW = ("03_train_and_ablate",)
run_by_name = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [])
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)


def processor_seconds():
    times = os.times()
    return times.children_user + times.children_system


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@run_by_name
# The kernel's own packages warn; what the cells do is checked by the run.
@pytest.mark.filterwarnings("default")
def test_notebook_runs(path, tmp_path, monkeypatch):
    # No way to real images but a reader's own: neither by name nor beside the folder.
    monkeypatch.delenv("COVSEG_DATA", raising=False)
    notebook = nbformat.read(path, as_version=4)
    folder = tmp_path / "checkout" / "notebooks"
    folder.mkdir(parents=True)
    (folder.parent / "docs").symlink_to(ROOT / "docs")
    resources = {"metadata": {"path": str(folder)}}
    before = processor_seconds()
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources=resources
    ).execute()
    spent[path.stem] = processor_seconds() - before
    assert spent[path.stem] < PROCESSOR_SECONDS, spent
    assert not list(folder.iterdir()), "a notebook writes to a temporary folder"


def test_all_notebooks_stay_in_their_budget():
    assert sum(spent.values()) < ALL_PROCESSOR_SECONDS, spent


@by_name
def test_notebook_is_stored_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in code(notebook):
        assert not cell.outputs
        assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any("attachments" in cell for cell in notebook.cells)


@by_name
def test_notebook_checks_what_it_says(path):
    notebook = nbformat.read(path, as_version=4)
    assert any("assert" in cell.source for cell in code(notebook))
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {path.stem[:2]} ")
    assert "not a medical device" in first.source


@by_name
def test_links_lead_somewhere(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for target in re.findall(r"\]\(([^)#\s]+)", cell.source):
            if cell.cell_type == "markdown" and "://" not in target:
                assert (path.parent / target).exists(), target


def test_notebooks_are_numbered_and_listed():
    assert [path.stem for path in NOTEBOOKS] == NAMES
    numbers = [int(name[:2]) for name in NAMES]
    assert numbers == list(range(1, len(NAMES) + 1))
    listed = (ROOT / "notebooks" / "README.md").read_text("utf-8")
    assert all(f"]({name}.ipynb)" in listed for name in NAMES)
