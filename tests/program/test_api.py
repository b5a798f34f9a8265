"""docs/api.md, run: its code blocks one after another, in a fresh process and an empty folder."""

import re

from tests.helpers.processes import ROOT, run_python
from tests.helpers.section_8 import Section8_NN

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_of_the_page_runs(tmp_path):
    (tmp_path / "page.py").write_text("\n".join(BLOCKS), encoding="utf-8")
    done = run_python("page.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(BLOCKS) == PAGE.count("```") // 2
    printed = done.stdout.splitlines()
    assert printed[0] == f"{sum(parameter.size for parameter in Section8_NN().params())} parameters"
    assert printed[1].startswith("(100, 10) [")
    assert float(printed[2]) < 1e-4
    # The network that comes back has the test accuracy that the run's history says.
    predicted, remembered = next(line for line in printed if re.fullmatch(r"[\d.]+ [\d.]+", line)).split()
    assert abs(float(predicted) - float(remembered)) < 1e-4
    for suffix in ("png", "svg", "pdf"):
        assert (tmp_path / f"api-run/picture.{suffix}").stat().st_size > 1000
    assert "SYNTHETIC" in (tmp_path / "api-run/picture.svg").read_text()
