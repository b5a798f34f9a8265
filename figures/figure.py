"""What a figure is, and the straight walk that makes it: experiments, training, results store, picture, comparison."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np

from reproduce.analysis.comparison import Row, last_values, orders
from reproduce.analysis.curves import Curve, Series, curve_of
from reproduce.analysis.report_curves import report_curve, report_curves
from reproduce.cli import add_options, parser_for, run
from reproduce.errors import BadInput
from reproduce.plan import step_times
from reproduce.profiles import PROFILES, Options
from reproduce.render.comparison import key_of, order_sentence, table
from reproduce.render.csv_files import write_curves
from reproduce.render.plotting import curves_picture, save_picture, stamp_of
from reproduce.study import Study
from reproduce.sweep.jobs import Job
from reproduce.sweep.train_missing import check, train_missing
from reproduce.text import counted_from, listed


@dataclass(frozen=True)
class Figure:
    """One figure of the report, or one of your own.

    Attributes:
        series: its curves.
        timed: pairs of series, by panel, whose run time the figure compares: the first one's over the second one's.
        explained: by panels' and series' names that do not explain themselves, what the picture says in their place.
    """

    number: int
    title: str
    series: tuple[Series, ...]
    timed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    explained: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"figure-{self.number}"

    def curve(self, panel: str, name: str) -> Series:
        """One of its curves.

        Raises:
            KeyError: it has no such curve.
        """
        for one in self.series:
            if (one.panel, one.name) == (panel, name):
                return one
        raise KeyError(f"{self.name} has no curve {panel!r}, {name!r}")


def runs_of(series: Series, study: Study, needed_by: Iterable[str] = ()) -> list[Job]:
    """The runs of one curve, one for each seed."""
    epochs = study.scale.epochs or series.epochs
    names = [", ".join(filter(None, (series.label, f"seed {seed}"))) for seed in range(study.scale.seeds)]
    experiments = study.experiments(series.settings)
    return [Job(one, epochs, name, frozenset(needed_by)) for one, name in zip(experiments, names, strict=True)]


def jobs_of(figure: Figure, study: Study) -> list[Job]:
    """The runs that a figure needs, all curves of a seed before those of the next."""
    by_series = [runs_of(series, study, [figure.name]) for series in figure.series]
    return [job for of_seed in zip(*by_series, strict=True) for job in of_seed]


def curves_of(figure: Figure, study: Study) -> list[Curve]:
    """What a figure draws, from the results store."""
    return [
        curve_of(series, [study.history(job.experiment) for job in jobs], study.scale.epochs or series.epochs)
        for series, jobs in zip(figure.series, drawn_runs(figure, study), strict=True)
    ]


def missing_runs(jobs: Iterable[Job], study: Study) -> int:
    """How many of the runs the results store does not hold, or not to their last epoch."""
    wanted = {job.key: job for job in jobs}.values()
    return sum(not study.state(job.experiment).has(job.epochs) for job in wanted)


def drawn_runs(figure: Figure, study: Study) -> list[list[Job]]:
    """The runs that each curve is drawn from: of the seeds, from 0 on, that are trained to their last epoch."""
    by_curve = (runs_of(series, study) for series in figure.series)
    return [[*takewhile(lambda job: not missing_runs([job], study), jobs)] for jobs in by_curve]


def compare(figure: Figure, ours: Sequence[Curve]) -> list[Row]:
    """Each series of a figure compared with the report's."""
    return last_values(report_curves(figure.number), ours)


def caption_of(figure: Figure, study: Study) -> list[str]:
    """What the numbers of our half of a figure are from, in sentences, the most telling first.

    The picture has as many of them as fit in two lines; the page has room for all.

    Raises:
        BadInput: runs in the store used other data.
    """
    by_curve = drawn_runs(figure, study)
    jobs = [job for of_curve in by_curve for job in of_curve]
    found = study.origins(job.experiment for job in jobs)
    return [
        made_from(study, [job.epochs for job in jobs], map(len, by_curve)),
        run_time_sentence(figure, study, times_of(study.folder / figure.name)),
        *found.warnings(),
        f"Width {study.scale.width:g}, batch size {study.scale.batch_size}, {found.engines_text}.",
        "The report's curves are read off its published figure." if report_curves(figure.number) else "",
    ]


def made_from(study: Study, epochs: Iterable[int], seeds: Iterable[int]) -> str:
    """Profile, data, epochs and seeds of curves of ours, in a sentence.

    Args:
        epochs: how many each curve has.
        seeds: how many runs each curve is the mean of.
    """
    dataset, lengths, seeds = study.dataset, set(epochs), set(seeds)
    trained = counted_from(min(lengths), max(lengths), "epoch")
    runs = counted_from(min(seeds), max(seeds), "seed") + " (band: lowest to highest)" * (max(seeds) > 1)
    return (
        f"Ours: {study.options.profile} profile, {dataset.name}, {len(dataset.y_train):,} training{study.draws} and "
        f"{len(dataset.y_test):,} test images, {trained}, {runs}."
    )


def is_overlaid(figure: Figure, study: Study) -> bool:
    """Whether the report's curves are drawn under ours, in the same axes.

    They are at the report's own scale, and where our runs use all images and are as long as the report's: elsewhere
    ours cannot be compared with the report's values.
    """
    if study.is_report_scale:
        return True
    uses_all_images = not study.dataset.is_synthetic and len(study.dataset.y_train) == PROFILES["full"].train_size
    curves = [(report_curve(series), study.scale.epochs or series.epochs) for series in figure.series]
    return uses_all_images and all(curve is None or curve.epochs[-1] < epochs for curve, epochs in curves)


def arrangement(figure: Figure, study: Study) -> str:
    """Which curves of a picture are whose, in words."""
    if not report_curves(figure.number):
        return "Our curves"
    places = ("Dashed", "solid") if is_overlaid(figure, study) else ("Above", "below, in axes of their own")
    return f"{places[0]}: the report's own curves; {places[1]}: ours"


def scale_sentence(study: Study) -> str:
    """What may be compared at this scale; empty at the report's own."""
    if study.is_report_scale:
        return ""
    if study.dataset.is_synthetic:
        return "These are results on SYNTHETIC DATA: they say nothing about CIFAR-10 or about the report."
    profile = study.options.profile
    return f"The {profile} profile, as set here, is smaller than the report: compare the order, not the values."


def time_steps(figure: Figure, study: Study, path: Path) -> None:
    """Measure the run time of a figure's timed pairs on this machine, and keep it in `path` for the caption."""
    experiments = [study.experiment(series.settings, 0) for series in figure.series]
    try:
        times = step_times.measure(experiments, study.dataset, study.options.device, study.options.engine)
    except BadInput as error:
        # The runs were made on a cluster, and this machine has no such device: the figure goes without.
        print(f"run times are not measured: {error}", flush=True)
        return
    step_times.write_times(path, times, study.dataset, study.options.device, study.options.engine)


def run_time_sentence(figure: Figure, study: Study, path: Path) -> str:
    """The run-time ratio of each of a figure's timed pairs, from `path`; empty if there is none."""
    times = step_times.read_times(path, study.dataset.fingerprint).seconds
    timed = {
        (panel, name): study.experiment(figure.curve(panel, name).settings, 0)
        for panel, names in figure.timed.items()
        for name in names
    }
    if not timed or any(experiment.key not in times for experiment in timed.values()):
        return ""
    seconds = {place: times[experiment.key] for place, experiment in timed.items()}
    ratios = {panel: seconds[panel, over] / seconds[panel, under] for panel, (over, under) in figure.timed.items()}
    images = _either(step_times.images_of_step(experiment, study.dataset) for experiment in timed.values())
    over = _either(" over ".join(names) for names in figure.timed.values())
    rounds = _either(len(ratio) for ratio in ratios.values())
    texts = [f"{panel} {np.median(r):.2f} ({r.min():.2f} to {r.max():.2f})" for panel, r in ratios.items()]
    what = f"Time of a training step of {images} images, {over}, median and range of {rounds} rounds"
    return f"{what}: {', '.join(texts)}."


def _either(values: Iterable[object]) -> str:
    """Each distinct value once: `50`, or `20 or 50`."""
    return " or ".join(dict.fromkeys(map(str, values)))


def times_of(path: Path) -> Path:
    """Where the run times of a figure at `path` are kept."""
    return path.with_name(f"{path.name}-times.json")


def draw_figure(figure: Figure, ours: Sequence[Curve], study: Study) -> list[Path]:
    """Draw a figure and write its CSV; the files written."""
    study.folder.mkdir(parents=True, exist_ok=True)
    path = study.folder / figure.name
    is_synthetic = study.dataset.is_synthetic
    write_curves(path.with_suffix(".csv"), ours, is_synthetic)
    overlaid = is_overlaid(figure, study)
    picture = curves_picture(
        f"Figure {figure.number}. {figure.title}",
        report_curves(figure.number),
        ours,
        caption_of(figure, study),
        is_overlaid=overlaid,
        stamp=stamp_of(study.options.profile, is_synthetic),
        notes=gap_notes(compare(figure, ours), study.is_report_scale) if overlaid else {},
        explained=figure.explained,
    )
    return [*save_picture(picture, path), path.with_suffix(".csv")]


def gap_notes(rows: Iterable[Row], is_report_scale: bool) -> dict[tuple[str, str, str], str]:
    """For the names in a picture: which of our curves the report lacks, and at its own scale how far the others lie."""
    gaps = {row[:3]: row.mean_absolute_gap for row in rows}
    notes = {key: f"gap {gap:.1f}" if np.isfinite(gap) else "not in the report" for key, gap in gaps.items()}
    return {key: note for key, note in notes.items() if is_report_scale or not np.isfinite(gaps[key])}


def print_comparison(figure: Figure, rows: Sequence[Row], study: Study) -> None:
    """Print how a figure's series compare with the report's."""
    print(f"\nFigure {figure.number}. {figure.title} (%), {study.dataset.name}")
    print(table(rows, study.is_report_scale))
    for order in orders(rows):
        print(order_sentence(order))
    for panel in dict.fromkeys(series.panel for series in figure.series):
        if panel not in {row.panel for row in rows}:
            print(f"{panel or 'all series'}: no epoch that both the report and we have; more EPOCHS reach one")


def make(figure: Figure, study: Study) -> None:
    """Train what a figure lacks, draw it, write its CSV and print how it compares with the report's."""
    train_missing(jobs_of(figure, study), study)
    finish(figure, study)


def finish(figure: Figure, study: Study) -> None:
    """Draw a figure whose runs are there, write its CSV and print how it compares with the report's."""
    study.folder.mkdir(parents=True, exist_ok=True)
    path = study.folder / figure.name
    if figure.timed:
        time_steps(figure, study, times_of(path))
    ours = curves_of(figure, study)
    files = draw_figure(figure, ours, study)
    rows = compare(figure, ours)
    print_comparison(figure, rows, study)
    key = key_of(rows, study.is_report_scale) if rows else ""
    for sentence in (key, run_time_sentence(figure, study, times_of(path)), scale_sentence(study)):
        if sentence:
            print(sentence)
    print(f"\n{figure.name}: {', '.join(map(str, files))}", flush=True)


def section_main(figures: Mapping[int, Figure], module: str) -> None:
    """The command line of a section's script: `python -m figures.<section> NUMBER... [options]`; exits."""

    def main(arguments: list[str]) -> None:
        parser = parser_for(
            f"python -m {module}", f"Regenerate figure {listed(list(map(str, figures)))} of the report."
        )
        parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="figures to make (default: all)")
        add_options(parser, Options)
        given = vars(parser.parse_args(arguments))
        numbers = given.pop("numbers") or list(figures)
        for unknown in set(numbers) - set(figures):
            raise BadInput(f"figure {unknown}: expected one of {', '.join(map(str, figures))}")
        options = Options(**given)
        check(options)
        study = Study.of(options)
        for chosen in numbers:
            make(figures[chosen], study)

    run(f"python -m {module}", main)
