"""What the report page is made of: what each section of the report said, and what there is to say of it now."""

from dataclasses import dataclass
from pathlib import Path

from figures import background, walk
from figures.claims.decisions import Decision, decide_all, runs_needed
from figures.sections import FIGURES
from reproduce import results, timing
from reproduce.comparison import Row
from reproduce.data import Dataset
from reproduce.origins import Origins
from reproduce.profiles import Options

# Each section of the report: its title, its figures, and what it does, in a sentence or two of ours.
SECTIONS = {
    "background": (
        "Background: the architecture",
        (1,),
        "Introduces VGG networks: 3 x 3 convolutions with ReLU, 2 x 2 pooling, fully connected layers at the end, with "
        "a table of every layer's size and parameters, and the six VGG columns with their parameter counts.",
    ),
    "1": (
        "Section 1: deeper networks",
        (2,),
        "Trains networks of one, two and three blocks of two convolutions and a pooling, and compares training errors.",
    ),
    "2": (
        "Section 2: batch normalization",
        (3,),
        "Trains each of these with and without batch normalization, and names its benefits and its cost.",
    ),
    "3": (
        "Section 3: dropout",
        (4, 5),
        "Varies the dropout ratio, which the text calls a retention probability, and compares train and test errors.",
    ),
    "4": (
        "Section 4: pooling and optimizers",
        (6, 7),
        "Trains under Adam, MomentumSGD and RMSprop with average and with max pooling, and ranks the six combinations.",
    ),
    "5": ("Section 5: filter size", (8,), "Varies the filters of the convolutions: 3 x 3, 5 x 5 and 7 x 7 pixels."),
    "6": (
        "Section 6: data augmentation",
        (9,),
        "Makes the training set four times as large: mirrored, contrast-normalized and median-filtered copies.",
    ),
    "7": (
        "Section 7: the best model",
        (10,),
        "Puts together what the sections before found best, and compares it with the baseline.",
    ),
}


@dataclass(frozen=True)
class Content:
    """All that the page is made of.

    Attributes:
        pictures: the PNG file of each figure that has been made.
        rows: the comparison of each of them with the report's; figure 1 has none.
        origins: of all runs that the page is made of.
        seconds: the time that all of them took.
    """

    options: Options
    dataset: Dataset
    pictures: dict[int, Path]
    rows: dict[int, list[Row]]
    decisions: list[Decision]
    origins: Origins
    runs: int
    seconds: float


def gather(options: Options, dataset: Dataset) -> Content:
    """Draw every figure whose runs are there, decide every claim; nothing is trained or timed.

    Raises:
        BadInput: runs on other data lie in the store under these settings, or a file there is damaged.
    """
    scale, store = options.scale(), Path(options.results)
    folder = store / options.profile
    folder.mkdir(parents=True, exist_ok=True)
    background.make_figure_1(folder)
    pictures, rows = {1: folder / "figure-1.png"}, {}
    jobs = [*runs_needed(scale, dataset)]
    for number, figure in FIGURES.items():
        needed = walk.jobs_of(figure, scale, dataset)
        jobs += needed
        if not walk.missing_runs(needed, store):
            ours = walk.curves_of(figure, scale, dataset, store)
            walk.draw_figure(figure, ours, options, dataset)
            pictures[number] = folder / f"{figure.name}.png"
            rows[number] = walk.compare(figure, ours)
    decisions, _ = decide_all(options, dataset, timing.read_times(folder / "times.json", dataset.fingerprint))
    present = {job.experiment.key: job for job in jobs if results.history_of(store, job.experiment)}
    histories = [results.history_of(store, job.experiment) for job in present.values()]
    origins = walk.origins(list(present.values()), dataset, store)
    seconds = sum(row.seconds for history in histories for row in history)
    return Content(options, dataset, pictures, rows, decisions, origins, len(present), seconds)
