"""Imports run one way, as docs/architecture.md has it, and every run has the key that it was published with."""

import ast
import csv
import shlex

import pytest

from figures.publish.runs import experiment_of_row
from tests.helpers.processes import ROOT

# From the top to the bottom: a module imports from its own line and from those below it.
LAYERS = (
    ("figures.__main__",),
    ("figures.publish",),
    ("figures.page",),
    ("figures",),
    ("reproduce.__main__",),
    ("reproduce.unstated", "reproduce.plan"),
    ("reproduce.sweep", "reproduce.render"),
    ("reproduce.study", "reproduce.analysis"),
    ("reproduce.store",),
    ("reproduce.training", "reproduce.devices", "reproduce.profiles"),
    ("reproduce.network", "reproduce.augmentation", "reproduce.experiment", "reproduce.optimizers", "reproduce.data"),
    ("reproduce.layers",),
    ("reproduce.pattern",),
    ("reproduce.engine", "reproduce.compat", "reproduce.signals", "reproduce.text", "reproduce.errors"),
    ("reproduce.cli", "reproduce.files"),
    ("reproduce.version",),
)
SMALL = {
    "reproduce.cli",
    "reproduce.files",
    "reproduce.signals",
    "reproduce.text",
    "reproduce.errors",
    "reproduce.version",
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("reproduce", "figures")
    for path in (ROOT / package).rglob("*.py")
}


def imported(path):
    """The modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in whole if node.module in MODULES)


def layer(module):
    """The line of LAYERS that a module is on: that of the longest name that it begins with."""
    found = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    return max(found)[1]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_downwards(module):
    if module == "reproduce":
        return
    wrong = [name for name in imported(MODULES[module]) if name not in SMALL and layer(name) < layer(module)]
    assert wrong == []


def test_the_engine_and_the_small_helpers_know_nothing_of_ours():
    for module, path in MODULES.items():
        if module.startswith("reproduce.engine"):
            assert all(name.startswith("reproduce.engine") for name in imported(path)), module
        if module in SMALL:
            assert set(imported(path)) <= SMALL, module


@pytest.mark.parametrize(
    "runs", sorted((ROOT / "docs" / "results").glob("*/runs.csv")), ids=lambda path: path.parent.name
)
def test_published_runs_have_the_keys_of_their_settings(runs):
    with runs.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        assert shlex.split(row["settings"])
        assert experiment_of_row(row).key == row["key"]
