import csv
import re
import subprocess
import sys

import matplotlib
import pytest
from matplotlib.image import imread

from figures import background
from figures.vgg import COLUMNS, layers_of
from figures.vgg_tables import PRINTED_MILLIONS, memory_table_as_printed, table_1, table_2, tables
from reproduce.errors import BadInput
from reproduce.profiles import Options
from reproduce.render.looks import WIDTH
from reproduce.render.tables import Table, as_csv, as_latex, as_markdown, picture
from tests.helpers.pictures import assert_readable, contrast_with_white

# The memory table of the report's background, word for word.
MEMORY_TABLE = """\
INPUT	[32x32x3]	32*32*3	0
CONV3-64	[32x32x64]	32*32*64	(3*3*3)*64
CONV3-64	[32x32x64]	32*32*64	(3*3*64)*64
POOL2	[112x112x64]	112*112*64	0
CONV3-128	[112x112x128]	112*112*128	(3*3*64)*128
CONV3-128	[112x112x128]	112*112*128	(3*3*128)*128
POOL2	[56x56x128]	56*56*128	0
CONV3-256	[56x56x256]	56*56*256	(3*3*128)*256
CONV3-256	[56x56x256]	56*56*256	(3*3*256)*256
CONV3-256	[56x56x256]	56*56*256	(3*3*256)*256
POOL2	[28x28x256]	28*28*256	0
CONV3-512	[28x28x512]	28*28*512	(3*3*256)*512
CONV3-512	[28x28x512]	28*28*512	(3*3*512)*512
CONV3-512	[28x28x512]	28*28*512	(3*3*512)*512
POOL2	[14x14x512]	14*14*512	0
CONV3-512	[14x14x512]	14*14*512	(3*3*512)*512
CONV3-512	[14x14x512]	14*14*512	(3*3*512)*512
CONV3-512	[14x14x512]	14*14*512	(3*3*512)*512
POOL2	[7x7x512]	7*7*512	0
FC	[1x1x4096]	4096	7*7*512*4096
FC	[1x1x4096]	4096	4096*4096
FC	[1x1x1000]	1000	4096*1000"""

# Table 1 of the report between its input and its soft-max, rows that span all columns left out.
TABLE_1 = """\
conv3-64	conv3-64	conv3-64	conv3-64	conv3-64	conv3-64
	LRN	conv3-64	conv3-64	conv3-64	conv3-64
conv3-128	conv3-128	conv3-128	conv3-128	conv3-128	conv3-128
		conv3-128	conv3-128	conv3-128	conv3-128
conv3-256	conv3-256	conv3-256	conv3-256	conv3-256	conv3-256
conv3-256	conv3-256	conv3-256	conv3-256	conv3-256	conv3-256
			conv1-256	conv3-256	conv3-256
					conv3-256
conv3-512	conv3-512	conv3-512	conv3-512	conv3-512	conv3-512
conv3-512	conv3-512	conv3-512	conv3-512	conv3-512	conv3-512
			conv1-512	conv3-512	conv3-512
					conv3-512
conv3-512	conv3-512	conv3-512	conv3-512	conv3-512	conv3-512
conv3-512	conv3-512	conv3-512	conv3-512	conv3-512	conv3-512
			conv1-512	conv3-512	conv3-512
					conv3-512"""


def named(name):
    return next(table for table in tables() if table.name == name)


def column(table, heading):
    return [row[table.header.index(heading)] for row in table.rows]


def test_table_1_is_the_reports():
    rows = [row[1:] for row in table_1().rows if row[0].startswith("block") and "maxpool" not in row]
    assert ["\t".join(row) for row in rows] == TABLE_1.split("\n")
    # As in the original of the table, arXiv:1409.1556.
    bold = [(table_1().header[c], table_1().rows[r][c]) for r, c in sorted(table_1().bold)]
    assert bold == [
        ("A-LRN", "LRN"),
        ("B", "conv3-64"),
        ("B", "conv3-128"),
        *[(c, f"{conv}-{n}") for n in (256, 512, 512) for c, conv in (("C", "conv1"), ("D", "conv3"), ("E", "conv3"))],
    ]


def test_table_2_agrees_with_the_report():
    table = table_2()
    assert column(table, "parameters") == [132863336, 132863336, 133047848, 133638952, 138357544, 143667240]
    assert column(table, "the report, millions") == [133, 133, 133, 134, 138, 144]
    assert column(table, "agrees") == ["yes"] * 6 and not table.marked


def test_a_wrong_number_of_parameters_is_called_wrong(monkeypatch):
    monkeypatch.setitem(PRINTED_MILLIONS, "C", 135)
    assert column(table_2(), "agrees") == ["yes", "yes", "yes", "no", "yes", "yes"]
    assert [table_2().shown(*cell) for cell in table_2().marked] == ["135 †"]


def test_the_memory_table_is_printed_as_in_the_report_and_its_slips_are_marked():
    table = memory_table_as_printed()
    assert ["\t".join(row[:4]) for row in table.rows] == MEMORY_TABLE.split("\n")
    assert sorted(table.marked) == [(row, column) for row in range(3) for column in (1, 2)]
    corrected = named("memory-table-224")
    for row, right in zip(table.rows, corrected.rows, strict=False):
        assert [row[4] or row[1], row[5] or row[2], row[3]] == [right[1], right[2], right[4]]


@pytest.mark.parametrize(
    ("name", "values", "counts"),
    [
        ("memory-table-224", 15_237_608, [138_344_128, 13_416, 138_357_544]),
        ("memory-table-32", 294_898, [4_627_160, 2_418, 2_816, 4_632_394]),
    ],
)
def test_memory_tables_add_up(name, values, counts):
    table = named(name)
    *rows, total = table.rows
    assert total[3] == values == sum(row[3] for row in rows)
    assert total[5:] == counts
    for row in rows:
        # The expressions in the report's notation have the values beside them.
        assert eval(row[2]) == row[3]
        assert eval(row[4]) == row[5]
        assert row[-1] == sum(row[5:-1])
        assert eval(row[1].strip("[]").replace("x", "*")) == row[3]


def test_markdown_keeps_every_character_and_every_cell():
    table = Table("t", "A_B", ["a|b", "n"], [["2*2", 1234567], ["x", 8]], ["1*1 $ <b>"], bold={(0, 0)}, marked={(1, 1)})
    assert as_markdown(table) == (
        "# A\\_B\n\n| a\\|b | n |\n| --- | ---: |\n| **2\\*2** | 1,234,567 |\n| x | 8 † |\n\n1\\*1 \\$ \\<b>\n"
    )
    assert as_csv(table) == "a|b,n\n2*2,1234567\nx,8\n"


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_no_text_of_a_picture_runs_into_another_or_over_its_edge(table):
    assert_readable(picture(table))


def test_no_text_of_figure_1_runs_into_another_or_over_its_edge():
    drawn = background.figure_1()
    assert_readable(drawn)
    # README and page show it as wide as that: a point is a point there.
    assert drawn.get_size_inches()[0] == pytest.approx(WIDTH)
    for text in drawn.axes[0].texts:
        assert contrast_with_white(text.get_color()) >= 7, text


def test_latex_has_every_cell_and_nothing_in_it_is_a_command():
    hostile = Table(
        "t",
        r"$\frac$ 100%_",
        ["a|b", "n~^"],
        [["[x]", 1234567], ["*{y}", 8]],
        ["a & #1"],
        bold={(0, 1)},
        marked={(1, 1)},
    )
    text = as_latex(hostile)
    assert r"\caption{\$\textbackslash{}frac\$ 100\%\_}" in text
    assert r"a\textbar{}b & n\textasciitilde{}\textasciicircum{} \\" in text
    assert "    {}[x] & \\textbf{1,234,567} \\\\\n    {}*\\{y\\} & 8 $\\dagger$ \\\\\n" in text
    assert r"{\footnotesize a \& \#1}" in text
    assert r"\begin{tabular}{lr}" in text
    for table in tables():
        lines = [line for line in as_latex(table).splitlines() if line.endswith(r"\\")]
        assert len(lines) == 1 + len(table.rows)
        assert {len(re.split(r"(?<!\\)&", line)) for line in lines} == {len(table.header)}
        assert as_latex(table).isascii()


def test_a_table_s_names_are_printed_as_they_are():
    names = [r"$\frac$", "x_1^2 $a$", "50% & more"]
    shown = picture(Table("t", names[0], names, [names], names))
    shown.draw_without_rendering()
    assert [text.get_text() for text in shown.axes[0].texts].count(names[0]) == 4


def test_figure_1_frames_a_d_and_e():
    frames = [patch for patch in background.figure_1().axes[0].patches if not patch.get_fill()]
    names = [COLUMNS[int(patch.get_x())].name for patch in frames]
    colours = [matplotlib.colors.to_hex(patch.get_edgecolor()).upper() for patch in frames]
    assert dict(zip(names, colours, strict=True)) == {"A": "#0072B2", "D": "#009E73", "E": "#E69F00"}


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "figures.background", *arguments], capture_output=True, text=True, timeout=120
    )


def test_the_command_writes_figure_and_tables(tmp_path):
    done = run(f"--results={tmp_path}", "--profile=smoke", "--data=nowhere", "--seeds=2", "--engine=auto", "--width=1")
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "smoke"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = ["table-1", "table-2", "memory-table-as-printed", "memory-table-224", "memory-table-32"]
    expected = {f"tables/{name}.{suffix}" for name in names for suffix in ("csv", "md", "tex", "png")}
    assert written == expected | {"figure-1.png", "figure-1.svg", "figure-1.pdf", "figure-1.csv"}
    for name in written:
        assert name in done.stdout
    for picture_file in folder.rglob("*.png"):
        assert imread(picture_file)[..., :3].min() < 0.2
    assert re.search(r">A-LRN<", (folder / "figure-1.svg").read_text())
    with (folder / "figure-1.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["panel", "series", "quantity", "epoch", "seed", "value"]
    for network in COLUMNS:
        values = [int(row["value"]) for row in rows if row["series"] == network.name]
        assert sum(values) == sum(layer.parameters for layer in layers_of(network))


def test_equal_runs_write_equal_pictures(tmp_path):
    for name in ("a", "b"):
        background.make_figure_1(Options(results=str(tmp_path / name)))
    for suffix in ("png", "svg", "pdf", "csv"):
        first, second = (tmp_path / name / "quick" / f"figure-1.{suffix}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("target", ["1", "tables"])
def test_one_target_alone(tmp_path, target):
    background.main([target, f"--results={tmp_path}"])
    assert (tmp_path / "quick" / "figure-1.png").exists() == (target == "1")
    assert (tmp_path / "quick" / "tables" / "table-2.png").exists() == (target == "tables")


def test_wrong_usage_is_one_line_and_exit_2():
    done = run("2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "python -m figures.background: 2: expected 1 or tables\n"


def test_results_that_are_no_folder_are_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"file/quick: expected a folder that can be written to: Not a directory"):
        background.main(["1", f"--results={tmp_path / 'file'}"])
