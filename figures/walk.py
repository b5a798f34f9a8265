"""The straight walk that every section's script takes: experiments, training, results store, figure, comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reproduce import results, schedule, timing
from reproduce.comparison import Row, last_values, order_sentences, table
from reproduce.curves import Curve, curve_of, write_curves
from reproduce.data import Dataset
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.history import History, is_complete
from reproduce.options import add_options, parser_for, run
from reproduce.original import report_curves
from reproduce.origins import Origins, origins_of
from reproduce.plotting import draw
from reproduce.profiles import PROFILES, Options, Profile
from reproduce.schedule import Job, train_missing


@dataclass(frozen=True)
class Series:
    """One curve of a figure.

    Attributes:
        panel, name, quantity: as in the report's own CSV (`reproduce/original/`).
        settings: of Experiment; what makes this series differ from the report's `Conv_NN`.
        epochs: how many the full profile trains: the length of the report's axis.
    """

    panel: str
    name: str
    quantity: str
    settings: Mapping[str, Any]
    epochs: int


@dataclass(frozen=True)
class Figure:
    """One figure of the report."""

    number: int
    title: str
    series: tuple[Series, ...]
    timed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Pairs of series, by panel, whose run time the figure compares: the first one's over the second one's."""

    @property
    def name(self) -> str:
        return f"figure-{self.number}"


def experiment_of(series: Series, scale: Profile, dataset: Dataset, seed: int) -> Experiment:
    """One run of a series."""
    return Experiment(data_fingerprint=dataset.fingerprint, seed=seed, **{**scale.settings, **series.settings})


def jobs_of(figure: Figure, scale: Profile, dataset: Dataset) -> list[Job]:
    """The runs that a figure needs."""
    return [
        Job(
            experiment_of(series, scale, dataset, seed),
            scale.epochs or series.epochs,
            ", ".join(part for part in (series.panel, series.name, f"seed {seed}") if part),
            frozenset([figure.name]),
        )
        for seed in range(scale.seeds)
        for series in figure.series
    ]


def histories_of(series: Series, scale: Profile, dataset: Dataset, store: Path) -> list[History]:
    """What the results store has of a series, a history a seed."""
    runs = (experiment_of(series, scale, dataset, seed) for seed in range(scale.seeds))
    return [results.history_of(store, experiment) for experiment in runs]


def curves_of(figure: Figure, scale: Profile, dataset: Dataset, store: Path) -> list[Curve]:
    """What a figure draws, from the results store."""
    curves = []
    for series in figure.series:
        histories = histories_of(series, scale, dataset, store)
        curves.append(curve_of(series.panel, series.name, series.quantity, histories, scale.epochs or series.epochs))
    return curves


def folder_of(job: Job, store: Path) -> Path:
    """Where the results store keeps a run."""
    return results.run_folder(store, job.experiment)


def missing_runs(jobs: list[Job], store: Path) -> int:
    """How many of the runs the results store does not hold, or not to their last epoch."""
    wanted = {job.experiment.key: job for job in jobs}.values()
    return sum(not is_complete(results.history_of(store, job.experiment), job.epochs) for job in wanted)


def origins(jobs: list[Job], dataset: Dataset, store: Path) -> Origins:
    """Where the runs are from: engines, devices and versions.

    Raises:
        BadInput: one of them used other data.
    """
    return origins_of((folder_of(job, store) for job in jobs), dataset.fingerprint)


def is_report_scale(options: Options, dataset: Dataset) -> bool:
    """Whether values, and not only their order, can be set beside the report's: same images, network and batches."""
    full, scale = PROFILES["full"], options.scale()
    sizes = (len(dataset.y_train), len(dataset.y_test), scale.batch_size, scale.width)
    return not dataset.is_synthetic and sizes == (full.train_size, full.test_size, full.batch_size, full.width)


def caption_of(options: Options, dataset: Dataset, epochs: str, found: Origins) -> str:
    """Profile, data, seeds, epochs and engine of our half of a figure, and a warning where runs differ."""
    scale = options.scale()
    seeds = f"{scale.seeds} seeds, line: mean, band: lowest to highest" if scale.seeds > 1 else "1 seed"
    caption = (
        f"Reproduction: {options.profile} profile, {dataset.name}, {len(dataset.y_train):,} training and "
        f"{len(dataset.y_test):,} test images, {epochs} epochs, {seeds}, "
        f"width {scale.width:g}, batch size {scale.batch_size}, {found.engines_text}. "
        "The report's curves are read off its published figure."
    )
    return " ".join([caption, *found.warnings()])


def time_pairs(figure: Figure, options: Options, dataset: Dataset, path: Path) -> None:
    """Measure the run time of a figure's timed pairs on this machine, and keep it in `path` for the caption."""
    experiments = [experiment_of(s, options.scale(), dataset, 0) for s in figure.series]
    try:
        times = timing.measure(experiments, dataset, options.device, options.engine)
    except BadInput as error:
        # The runs were made on a cluster, and this machine has no such device: the figure goes without.
        print(f"run times are not measured: {error}", flush=True)
        return
    timing.write_times(path, times, dataset, options.device, options.engine)


def run_time_sentence(figure: Figure, options: Options, dataset: Dataset, path: Path) -> str:
    """The run-time ratio of each of a figure's timed pairs, from `path`; empty if there is none."""
    times = timing.read_times(path, dataset.fingerprint).seconds
    keys = {(s.panel, s.name): experiment_of(s, options.scale(), dataset, 0).key for s in figure.series}
    texts = []
    for panel, names in figure.timed.items():
        slower, faster = (times.get(keys[panel, name]) for name in names)
        if slower is None or faster is None:
            return ""
        ratio = slower / faster
        texts.append(f"{panel} {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})")
    if not texts:
        return ""
    over, images = " over ".join(names), min(timing.LARGEST_BATCH, options.scale().batch_size)
    what = f"Time of a training step of {images} images, {over}, median and range of {len(ratio)} rounds"
    return f"{what}: {', '.join(texts)}."


def compare(figure: Figure, ours: Sequence[Curve]) -> list[Row]:
    """Each series of a figure beside the report's."""
    return last_values(report_curves(figure.number), ours)


def times_of(path: Path) -> Path:
    """Where the run times of a figure at `path` are kept."""
    return path.with_name(f"{path.name}-times.json")


def draw_figure(figure: Figure, ours: Sequence[Curve], options: Options, dataset: Dataset) -> list[Path]:
    """Draw a figure and write its CSV; the files written."""
    scale, store = options.scale(), Path(options.results)
    jobs = jobs_of(figure, scale, dataset)
    folder = store / options.profile
    folder.mkdir(parents=True, exist_ok=True)
    lengths = sorted({job.epochs for job in jobs})
    caption = caption_of(options, dataset, " or ".join(map(str, lengths)), origins(jobs, dataset, store))
    path = folder / figure.name
    caption = f"{caption} {run_time_sentence(figure, options, dataset, times_of(path))}".rstrip()
    write_curves(path.with_suffix(".csv"), ours, dataset.is_synthetic)
    title, report = f"Figure {figure.number}. {figure.title}", report_curves(figure.number)
    files = draw(path, title, report, ours, caption, dataset.is_synthetic)
    return [*files, path.with_suffix(".csv")]


def print_comparison(figure: Figure, rows: Sequence[Row], options: Options, dataset: Dataset) -> None:
    """Print how a figure's series compare with the report's."""
    print(f"\nFigure {figure.number}. {figure.title} (%)")
    print(table(rows, dataset.name, is_report_scale(options, dataset)))
    print("\n".join(order_sentences(rows)))


def scale_sentence(options: Options, dataset: Dataset) -> str:
    """What may be compared at this scale; empty at the report's own."""
    if is_report_scale(options, dataset):
        return ""
    if dataset.is_synthetic:
        return "These are results on SYNTHETIC DATA: they say nothing about CIFAR-10 or about the report."
    return f"The {options.profile} profile as set here has not the report's scale: compare the order, not the values."


def make(figure: Figure, options: Options, dataset: Dataset) -> None:
    """Train what a figure lacks, draw it, write its CSV and print how it compares with the report's."""
    jobs = jobs_of(figure, options.scale(), dataset)
    train_missing(jobs, dataset, options)
    finish(figure, options, dataset)


def finish(figure: Figure, options: Options, dataset: Dataset) -> None:
    """Draw a figure whose runs are there, write its CSV and print how it compares with the report's."""
    path = Path(options.results) / options.profile / figure.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if figure.timed:
        time_pairs(figure, options, dataset, times_of(path))
    ours = curves_of(figure, options.scale(), dataset, Path(options.results))
    files = draw_figure(figure, ours, options, dataset)
    print_comparison(figure, compare(figure, ours), options, dataset)
    if sentence := run_time_sentence(figure, options, dataset, times_of(path)):
        print(sentence)
    if sentence := scale_sentence(options, dataset):
        print(sentence)
    print(f"\n{figure.name}: {', '.join(map(str, files))}", flush=True)


def section_main(figures: Mapping[int, Figure], module: str) -> None:
    """The command line of a section's script: `python -m figures.<section> NUMBER... [options]`; exits."""

    def main(arguments: list[str]) -> None:
        parser = parser_for(
            f"python -m {module}", f"Regenerate figure {' and '.join(map(str, figures))} of the report."
        )
        parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="figures to make (default: all)")
        add_options(parser, Options)
        given = vars(parser.parse_args(arguments))
        numbers = given.pop("numbers") or list(figures)
        for unknown in set(numbers) - set(figures):
            raise BadInput(f"figure {unknown}: expected one of {', '.join(map(str, figures))}")
        options = Options(**given)
        schedule.check(options)
        dataset = options.load_data()
        for chosen in numbers:
            make(figures[chosen], options, dataset)

    run(f"python -m {module}", main)
