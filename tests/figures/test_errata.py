import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "docs" / "errata.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:figures|reproduce)/[\w/.]*)`", TEXT))))
def test_the_errata_point_to_files_that_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), sorted(set(re.findall(r"`([\w.]+)` in `([\w/]+\.py)`", TEXT))))
def test_the_errata_name_what_is_in_those_files(name, path):
    assert re.search(rf"\b{name.split('.')[-1]}\b", (ROOT / path).read_text(encoding="utf-8"))
