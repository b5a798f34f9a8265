import importlib.resources
import itertools
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from figures.nearness import pairs_of
from figures.page import content, layout, summary
from figures.page.place import Place
from figures.sections import CLAIMS, SECTIONS
from reproduce.plan import step_times
from reproduce.render import html
from reproduce.study import Study
from tests.figures.test_claims import errors_as_claimed, seconds_as_claimed
from tests.helpers import made_up
from tests.helpers.chromium import find_chromium, printed_pages, visit
from tests.helpers.made_up import DATASET
from tests.helpers.processes import ROOT

HOSTILE = '<img src="http://192.0.2.1/x.png" onerror="alert(1)"><script>alert(2)</script>"\' & **bold**'
PUBLISHED = sorted((ROOT / "docs" / "results").glob("*/report.html"))
MOST_SHEETS = 20

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"
AXE = (importlib.resources.files("axe_core_python") / "axe.min.js").read_text("utf-8")
VIOLATIONS = """
axe.run(document, {resultTypes: ['violations']}).then(found =>
  found.violations.flatMap(one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 100)}`)))
"""
# Every piece of text with its place on the screen; what scrolls in a frame is cut to the frame.
TEXTS = """
window.texts = () => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest('nav, .skip, .unseen') || !parent.checkVisibility()) continue;
    const frame = parent.closest('.scroll')?.getBoundingClientRect();
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      const left = Math.max(box.left, frame?.left ?? box.left), right = Math.min(box.right, frame?.right ?? box.right);
      if (right - left > 1 && box.height > 1)
        found.push({text: node.textContent.trim().slice(0, 40), left, right, top: box.top, bottom: box.bottom});
    }
  }
  return found;
}
"""
CUT_OFF = """
[
  ...texts().filter(one => one.left < 0 || one.right > document.documentElement.clientWidth + 0.5)
    .map(one => one.text),
  ...[...document.body.querySelectorAll('*')]
    .filter(one => !one.matches('.unseen, .scroll, nav') && getComputedStyle(one).overflowX !== 'visible'
      && one.scrollWidth > one.clientWidth).map(one => one.textContent.slice(0, 40)),
  ...[...document.querySelectorAll('.tiles li, th, td, summary, h1, h2, h3, h4')]
    .filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && !one.matches('.unseen'))
    .map(one => one.textContent.slice(0, 40)),
]
"""
OVERLAPPING = """
(() => {
  const all = texts().sort((a, b) => a.top - b.top), found = [];
  all.forEach((a, i) => {
    for (let j = i + 1; j < all.length && all[j].top < a.bottom - 3; j++) {
      const b = all[j];
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2) found.push(`${a.text} / ${b.text}`);
    }
  });
  return found;
})()
"""
# Words that are broken because their box is too narrow for them.
BROKEN = """
[...document.querySelectorAll('.tiles li, th, td, h1, h2, h3, h4, nav a')].filter(box => {
  if (!box.checkVisibility() || box.matches('.unseen')) return false;
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  while (walker.nextNode())
    for (const word of walker.currentNode.textContent.matchAll(/[A-Za-z]+/g)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, word.index);
      range.setEnd(walker.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(one => Math.round(one.top))).size > 1) return true;
    }
  return false;
}).map(box => box.textContent.trim())
"""
LEVELS = "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(one => Number(one.tagName[1]))"
# Where each link within the page leads: nowhere, or to what the contents, which stay in sight, cover.
COVERED = """
(async () => {
  const found = [], nav = document.querySelector('nav');
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    const target = document.getElementById(link.hash.slice(1));
    if (!target) { found.push(link.hash + ' leads nowhere'); continue; }
    location.hash = link.hash;
    await new Promise(requestAnimationFrame);
    const top = target.getBoundingClientRect().top, bar = nav.getBoundingClientRect();
    const covered = bar.width > innerWidth / 2 ? bar.bottom : 0;
    const isAtEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    if (top < covered - 1 || (top > innerHeight / 3 && !isAtEnd)) found.push(`${link.hash} at ${top}, ${covered}`);
    if (bar.top < -1 || bar.bottom < 20) found.push(`the contents are out of sight at ${link.hash}`);
  }
  return found;
})()
"""
FOCUSABLE = """
[...document.querySelectorAll('a[href], summary, [tabindex="0"]')].filter(one => one.checkVisibility()).length
"""

needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    """All figures but 9 and 10, whose runs with augmentation are missing, and hostile names in the data."""
    folder = tmp_path_factory.mktemp("page")
    chosen = made_up.options(folder, seeds=2)
    made_up.fill(chosen, errors_as_claimed)
    for job in made_up.jobs(chosen):
        if job.experiment.augmentation == "report":
            shutil.rmtree(folder / "runs" / job.experiment.key, ignore_errors=True)
    times = Study(chosen, DATASET).folder / "times.json"
    times.parent.mkdir()
    step_times.write_times(times, made_up.times(chosen, seconds_as_claimed), DATASET, -1, "chainer")
    return content.gather(Study(chosen, replace(DATASET, name=f"{DATASET.name} {HOSTILE}")))


@pytest.fixture(scope="module")
def written(gathered):
    """The page of `make report`: one file."""
    path = gathered.study.folder / "report.html"
    layout.write(path, gathered, Place())
    return path


@pytest.fixture(scope="module")
def beside(gathered):
    """The page as it is published, beside its pictures."""
    shutil.copy(gathered.pictures[1], gathered.study.folder)
    path = gathered.study.folder / "beside.html"
    layout.write(path, gathered, Place(has_pictures_inside=False, docs="../.."))
    return path


def test_every_section_figure_and_claim_is_there_once(written):
    text = written.read_text()
    for section in SECTIONS:
        assert text.count(f"<h2>{section.TITLE}</h2>") == 1
        assert f">{section.TITLE.removeprefix('Section ')}</a></li>" in text
    for number in range(1, 11):
        assert len(re.findall(rf'<h3 id="figure-{number}"[^>]*>Figure {number}\. ', text)) == 1
        assert f'href="#figure-{number}"' in text
    for claim in CLAIMS:
        assert text.count(f'<details class="claim" id="claim-{claim.id}">') == 1
        assert text.count(f'<a href="#claim-{claim.id}">{html.text(claim.statement)}</a>') == 1
    assert text.count("<img ") == 8


def test_a_figure_has_its_title_once_in_sight(written):
    """A picture says its own title; the heading is for those who do not see it. Without a picture it is seen."""
    text = written.read_text()
    for number in range(1, 11):
        assert (f'<h3 id="figure-{number}" class="unseen">' in text) == (number < 9)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert len(captions) == 8
    assert not any("Figure" in caption for caption in captions)


def test_the_summary_says_what_is_here_and_what_is_not(written):
    text = written.read_text()
    # Two seeds decide no claim on runs: arithmetic and times are left.
    made = (
        "8 of the report&#x27;s 10 figures made again with its own network in Chainer, and 6 of its 24 claims decided"
    )
    assert made in text
    assert "<b>8 of 10</b> figures made" in text
    summary = re.sub(r"<[^>]+>", "", text[text.index('<section id="summary">') : text.index('<section id="claims">')])
    assert "Here: figures 1, 2, 3, 4, 5, 6, 7, 8." in summary
    assert "Not here: figures 9, 10. Runs are missing or unfinished" in summary
    for number in (9, 10):
        made = f"make figure-{number} PROFILE=smoke DATA=synthetic SEEDS=2 EPOCHS=4 TRAIN_SIZE=20 TEST_SIZE=10"
        assert made in text
    # Of figure 9, one setting of two is missing, with both seeds.
    assert "Not here: 2 of its 4 runs are missing or unfinished." in text
    assert "make figure-8 " not in text


def test_the_summary_s_gaps_are_those_of_curves_that_did_not_diverge(gathered):
    pairs = []
    for pair, beyond in zip(pairs_of(gathered.study), (1.0, 3.0, np.nan), strict=False):
        epochs = np.arange(pair.report.epochs[-1] + 1)
        values = np.interp(epochs, pair.report.epochs, pair.report.mean()) + beyond
        pairs.append(pair._replace(ours=pair.ours._replace(epochs=epochs, values=values[None])))
    said = str(summary.summary(replace(gathered, pairs=pairs)))
    assert "All 3 of the report" in said and "lie 1.0 to 3.0 points from it" in said
    assert "points from it" not in str(summary.summary(replace(gathered, pairs=pairs[2:])))


def test_a_page_without_a_figure_names_no_number_of_seeds(gathered):
    assert ", 2 seeds." in str(summary.opening(gathered))
    assert "seed" not in str(summary.opening(replace(gathered, seeds={})))


def test_a_published_page_says_beside_its_commands_what_to_do_without_the_data(gathered, tmp_path):
    def remarks(data, name, place):
        study = Study(replace(gathered.study.options, data=data), replace(DATASET, name=name, is_synthetic=False))
        layout.write(tmp_path / "page.html", replace(gathered, study=study), place)
        text = (tmp_path / "page.html").read_text()
        return re.findall(r"<br>(\S+) is not published\. Leave DATA=… out to run the same on the real CIFAR-10", text)

    published = Place(has_pictures_inside=False)
    # Figures 9 and 10 are not there.
    assert remarks("folder/mine.hdf5", "My images", published) == ["mine.hdf5"] * 2
    assert remarks("folder/mine.hdf5", "My images", Place()) == []
    assert remarks("folder/mine.hdf5", "CIFAR-10", published) == []
    assert remarks(None, "My images", published) == []


def test_two_seeds_have_no_p_value_and_no_stability_and_five_rounds_have(written):
    bases = re.findall(r"Our runs: (.*?)\. The report", written.read_text())
    assert {basis for basis in bases if "seed" in basis} == {"2 seeds: nothing is decided", "0 seeds"}
    rounds = [basis for basis in bases if "round" in basis]
    assert rounds
    assert all("p " in basis and "cases with one left out" in basis for basis in rounds)


def test_synthetic_results_cannot_be_mistaken(written):
    text = written.read_text()
    assert '<p class="banner">SYNTHETIC DATA.' in text
    assert "claims reproduced on synthetic data" in text


def test_whatever_comes_from_data_is_escaped(written):
    text = written.read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(2)&lt;/script&gt;") > 5
    assert 'src="http' not in text


def test_every_picture_says_what_it_shows(written):
    text = written.read_text()
    assert "the report&#x27;s own curves" in text
    assert 'alt=""' not in text


def test_the_errata_are_linked_where_they_lie_beside_the_page(written, beside):
    assert 'href="../../errata.md"' in beside.read_text()
    assert "docs/errata.md of the project" in written.read_text()
    assert "errata.md" not in "".join(re.findall(r'href="([^"]*)"', written.read_text()))


def test_a_published_page_carries_no_picture(written, beside):
    assert re.findall(r'<img src="([^"]*)"', beside.read_text()) == [f"figure-{number}.png" for number in range(1, 9)]
    assert len(beside.read_bytes()) < 200_000 < len(written.read_bytes())


def test_a_picture_beside_the_page_is_a_link_to_its_file(written, beside):
    linked = re.findall(r'<a href="([^"]*)"><img src="([^"]*)"', beside.read_text())
    assert linked == [(f"figure-{number}.png",) * 2 for number in range(1, 9)]
    assert "<a" not in "".join(re.findall(r"<figure>.*?<img", written.read_text()))


def test_tables_colour_verdicts_and_escape_cells():
    table = html.table(("a", "b"), [("reproduced", "<i>"), ("contradicted", "1")], numeric=(1,))
    assert '<td class="good" data-label="a">reproduced</td>' in table
    assert '<td class="number" data-label="b">&lt;i&gt;</td>' in table
    assert '<td class="bad"' in table
    assert html.table(("a",), [(html.link("<b>", '"#"'),)]).count('<a href="&quot;#&quot;">&lt;b&gt;</a>') == 1


def test_the_page_allows_its_own_style_and_pictures_alone(written):
    text = written.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src &#x27;none&#x27;; img-src data:; style-src &#x27;sha256-" in policy
    assert "unsafe" not in policy
    for name in ("<link rel=stylesheet", "<iframe", "@import", "url(", "style="):
        assert name not in text


@needs_browser
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_the_page_is_whole_and_can_be_read(written, width, is_dark):
    looks = (OVERFLOW, CUT_OFF, OVERLAPPING, BROKEN)
    # Axe takes what is folded away for what lies over the next picture: it looks when all is unfolded.
    seen = visit(written, width, (TEXTS, LEVELS, *looks, UNFOLD, *looks, AXE, VIOLATIONS), is_dark=is_dark)
    assert [address for address in seen.requests if not address.startswith("data:")] == [written.as_uri()]
    assert seen.errors == []
    assert len(seen.pictures) == 8
    assert all(picture["drawn"] and picture["alternative"] for picture in seen.pictures)
    levels, folded, unfolded, violations = seen.values[1], seen.values[2:6], seen.values[7:11], seen.values[12]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    # Nothing sticks out to the right: wide tables and pictures scroll within the page.
    assert folded == unfolded == [0, [], [], []]
    assert violations == []


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_contents_stay_in_sight_and_cover_nothing(written, width):
    assert visit(written, width, (COVERED,)).values == [[]]


@needs_browser
def test_everything_can_be_reached_with_the_keyboard(written):
    (count,) = visit(written, 390, (FOCUSABLE,)).values
    seen = visit(written, 390, tabs=count)
    assert seen.focused[0]["text"] == "Skip the contents"
    assert {one["tag"] for one in seen.focused} == {"A", "SUMMARY", "DIV"}
    assert all(one["is_marked"] for one in seen.focused)
    reached = [one["text"] for one in seen.focused]
    assert len(reached) == count
    for claim in CLAIMS:
        # In the table, and where it is unfolded.
        assert sum(text.startswith(claim.statement) for text in reached) == 2
    assert reached[-1].startswith("Data, runs, machine")


@needs_browser
def test_a_page_beside_its_pictures_asks_for_them_alone(beside):
    seen = visit(beside, 1280, (UNFOLD, AXE, VIOLATIONS))
    assert seen.values[-1] == []
    wanted = [beside.as_uri(), *(beside.with_name(f"figure-{number}.png").as_uri() for number in range(1, 9))]
    assert [address for address in seen.requests if not address.startswith("data:")] == wanted
    assert seen.errors == []
    assert all(picture["drawn"] for picture in seen.pictures)


@needs_browser
@pytest.mark.parametrize("page", PUBLISHED, ids=lambda page: page.parent.name)
def test_published_pages_are_drawn_and_print_on_few_sheets(page):
    seen = visit(page, 390, (OVERFLOW,))
    assert seen.errors == []
    assert seen.pictures
    assert all(picture["drawn"] for picture in seen.pictures)
    assert seen.values == [0]
    assert 2 < printed_pages(page) < MOST_SHEETS


@pytest.mark.parametrize("page", PUBLISHED, ids=lambda page: page.parent.name)
def test_links_of_published_pages_lead_to_files(page):
    links = re.findall(r'(?:href|src)="([^"#][^"]*)"', page.read_text(encoding="utf-8"))
    files = [link for link in links if link != "data:,"]
    assert any(link.endswith("errata.md") for link in files)
    for link in files:
        assert (page.parent / link).exists(), link


def test_the_page_on_published_results_shows_the_figures_that_are_there():
    folder = ROOT / "docs" / "results"
    text = (folder / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "//" not in link]
    assert {f"full/figure-{number}.png" for number in range(1, 11)} <= {*links}
    for link in links:
        assert (folder / link).exists(), link
    assert "All four profiles have all ten figures" in text
    for profile in ("quick", "evening", "overnight", "full"):
        made = json.loads((folder / profile / "summary.json").read_text(encoding="utf-8"))["figures"]
        assert made == [*range(1, 11)], profile


def test_published_pictures_are_small_and_there_once():
    # A publisher's lock stays, and is no part of what is published.
    files = [path for path in (ROOT / "docs" / "results").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert sum(path.stat().st_size for path in files) < 10e6
    assert {path.suffix for path in files} <= {".png", ".csv", ".json", ".html", ".md", ".tex"}
    for page in PUBLISHED:
        # The overlay is README's, and a part of the picture of nearness.
        pictures = sorted(path.name for path in page.parent.rglob("*.png") if path.name != "overlay.png")
        assert pictures == sorted(re.findall(r'<img src="([^"]*)"', page.read_text(encoding="utf-8")))


@needs_browser
def test_the_browser_would_notice_what_is_wrong(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        '<img src="data:image/png;base64,AAAA" alt="x"><script>undefined_name()</script>'
        '<img src="http://127.0.0.1:9/x.png" alt=""><div style="width:3000px">.</div>'
        '<p style="color:#bbb">Pale.</p><h4>A level is left out</h4>'
        '<p style="position:absolute;top:200px;left:9px">One</p><p style="position:absolute;top:204px;left:9px">Two</p>'
        '<p style="position:absolute;top:300px;left:1270px;white-space:nowrap">Cut off</p>'
        '<ul class="tiles"><li style="width:4em;overflow-wrap:anywhere">contradicted</li></ul>'
        '<nav><a href="#nowhere">x</a></nav>'
    )
    seen = visit(path, 1280, (TEXTS, AXE, OVERFLOW, CUT_OFF, OVERLAPPING, BROKEN, VIOLATIONS, COVERED))
    assert "http://127.0.0.1:9/x.png" in seen.requests
    assert any("undefined_name" in error or "Uncaught" in error for error in seen.errors)
    assert [picture["drawn"] for picture in seen.pictures] == [False, False]
    overflow, cut_off, overlapping, broken, violations, covered = seen.values[2:]
    assert overflow > 1000
    assert "Cut off" in cut_off
    assert overlapping == ["One / Two"]
    assert broken == ["contradicted"]
    assert {"color-contrast", "html-has-lang", "document-title"} <= {one.split(":")[0] for one in violations}
    assert covered == ["#nowhere leads nowhere"]
