import shutil
from dataclasses import replace

import pytest

from figures.page import content, layout
from figures.sections import SECTIONS
from reproduce.plan import step_times
from reproduce.render import html
from reproduce.study import Study
from tests.figures.test_claims import errors_as_claimed, seconds_as_claimed
from tests.helpers import made_up
from tests.helpers.chromium import find_chromium, visit
from tests.helpers.made_up import DATASET

HOSTILE = '<img src="http://192.0.2.1/x.png" onerror="alert(1)"><script>alert(2)</script>"\' & **bold**'
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page with all figures but 9 and 10, whose runs with augmentation are missing, and hostile names in its data."""
    folder = tmp_path_factory.mktemp("page")
    chosen = made_up.options(folder, seeds=2)
    made_up.fill(chosen, errors_as_claimed)
    for job in made_up.jobs(chosen):
        if job.experiment.augmentation == "report":
            shutil.rmtree(folder / "runs" / job.experiment.key, ignore_errors=True)
    times = Study(chosen, DATASET).folder / "times.json"
    times.parent.mkdir()
    step_times.write_times(times, made_up.times(chosen, seconds_as_claimed), DATASET, -1, "chainer")
    path = times.with_name("report.html")
    layout.write(path, content.gather(Study(chosen, replace(DATASET, name=f"{DATASET.name} {HOSTILE}"))))
    return path


def test_every_section_figure_and_claim_is_there(written):
    content = written.read_text()
    for title in (section.TITLE for section in SECTIONS):
        assert f"<h2>{title}</h2>" in content
        assert f">{title}</a>" in content
    for number in range(1, 11):
        assert f"<h3>Figure {number}</h3>" in content
    assert content.count('<div class="claim">') == 24
    assert content.count("<img ") == 8
    assert "8 of 10" in content


def test_a_missing_figure_shows_the_command_that_makes_it(written):
    content = written.read_text()
    for number in (9, 10):
        made = f"make figure-{number} PROFILE=smoke DATA=synthetic SEEDS=2 EPOCHS=4 TRAIN_SIZE=20 TEST_SIZE=10"
        assert made in content
    assert "make figure-8 " not in content


def test_synthetic_results_cannot_be_mistaken(written):
    content = written.read_text()
    assert '<p class="banner">SYNTHETIC DATA.' in content
    assert "claims reproduced on synthetic data" in content


def test_whatever_comes_from_data_is_escaped(written):
    content = written.read_text()
    assert "<script" not in content
    assert content.count("&lt;script&gt;alert(2)&lt;/script&gt;") > 10
    assert 'src="http' not in content


def test_every_picture_says_what_it_shows(written):
    content = written.read_text()
    assert "the report&#x27;s own curves" in content
    assert 'alt=""' not in content


def test_the_errata_are_rendered_and_may_be_absent(tmp_path, monkeypatch):
    if layout.ERRATA.exists():
        assert "<h3>" in "".join(layout._errata())
    monkeypatch.setattr(layout, "ERRATA", tmp_path / "errata.md")
    assert "not installed" in "".join(layout._errata())
    layout.ERRATA.write_text(f"# Title\n\n## Part\n- **Report:** {HOSTILE}\n")
    assert "<script" not in "".join(layout._errata())
    assert "<h3>Part</h3>" in "".join(layout._errata())


def test_tables_colour_verdicts_and_escape_cells():
    table = html.table(("a", "b"), [("reproduced", "<i>"), ("contradicted", "1")], numeric=(1,))
    assert '<td class="good" data-label="a">reproduced</td>' in table
    assert '<td class="number" data-label="b">&lt;i&gt;</td>' in table
    assert '<td class="bad"' in table


def test_the_page_asks_for_nothing(written):
    content = written.read_text()
    assert "default-src &#x27;none&#x27;" in content
    for name in ("<link rel=stylesheet", "<iframe", "@import", "url(http"):
        assert name not in content


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_the_page_is_drawn_whole_without_a_request_or_an_error(written, width):
    seen = visit(written, width, (OVERFLOW, "document.querySelectorAll('nav a').length"))
    assert [address for address in seen.requests if not address.startswith("data:")] == [written.as_uri()]
    assert seen.errors == []
    assert len(seen.pictures) == 8
    assert all(picture["drawn"] and picture["alternative"] for picture in seen.pictures)
    # Nothing sticks out to the right: wide tables and pictures scroll within the page.
    assert seen.values == [0, 11]


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_the_browser_would_notice_a_request_an_error_and_a_picture_that_is_not_drawn(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        '<img src="data:image/png;base64,AAAA" alt="x"><script>undefined_name()</script>'
        '<img src="http://127.0.0.1:9/x.png" alt=""><div style="width:3000px">.</div>'
    )
    seen = visit(path, 390, (OVERFLOW,))
    assert "http://127.0.0.1:9/x.png" in seen.requests
    assert any("undefined_name" in error or "Uncaught" in error for error in seen.errors)
    assert [picture["drawn"] for picture in seen.pictures] == [False, False]
    assert seen.values[0] > 1000
