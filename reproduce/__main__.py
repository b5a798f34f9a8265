"""python -m reproduce train | data | infer"""

import sys
from dataclasses import replace
from pathlib import Path

from reproduce.cli import add_options, checked, one_of, parser_for, path, run, suggestion
from reproduce.data.dataset import CACHE, load, prepare, say_if_synthetic, write_hdf5
from reproduce.devices import check_device, resolve_engine
from reproduce.errors import BadInput, Failure
from reproduce.experiment import Experiment
from reproduce.files import make_folder
from reproduce.optimizers import OPTIMIZERS, SETTINGS, users_of
from reproduce.profiles import IMAGES, PROFILES, Options
from reproduce.store.history import has_diverged
from reproduce.study import Study
from reproduce.sweep.train_missing import check
from reproduce.text import counted, listed, printable
from reproduce.unstated.answers import answers_text, write_answers
from reproduce.unstated.candidates import QUESTIONS
from reproduce.unstated.race import answers_of, infer

DEFAULT_EPOCHS = 20


def train_command(arguments: list[str]) -> None:
    """Train one network, by default the report's, into a folder of its own."""
    parser = parser_for(
        "python -m reproduce train",
        "Train one network: by default the Conv_NN of section 8 under Adam, ratio 0.4, max pooling, on all images. "
        "Run again with more epochs to go on.",
    )
    parser.add_argument("--out", required=True, type=checked(path), metavar="DIR", help="folder for the run's files")
    parser.add_argument(
        "--profile",
        type=checked(one_of(*PROFILES)),
        help="what is not given, as a profile has it: images, width, batch size, epochs, momentum and SGD's rate "
        "(default: all images, the report's width, 20 epochs, Chainer's momentum and rates)",
    )
    of_a_sweep = ("profile", "seeds", "width", "batch_size", "results", "jobs", "scheduler", "verbose")
    add_options(parser, Options, leave_out=of_a_sweep)
    add_options(parser, Experiment)
    given = vars(parser.parse_args(arguments))
    folder, profile = Path(given.pop("out")), given.pop("profile")
    settings = {name: given.pop(name) for name in tuple(given) if name in Experiment.__dataclass_fields__}
    options = Options(**given, **({"profile": profile} if profile else {}))
    # All that can be refused without the images is, before they are loaded, or downloaded.
    experiment = Experiment(**(options.scale().completed(settings) if profile else settings))
    for name in sorted(settings.keys() & set(SETTINGS)):
        if name not in OPTIMIZERS[experiment.optimizer].settings:
            raise BadInput(f"{name}: a setting of {listed(users_of(name))}; the optimizer is {experiment.optimizer}")
    check_device(options.device)
    resolve_engine(options.engine, options.device)
    make_folder(folder)
    if profile:
        dataset, epochs = options.load_data(), options.scale().epochs
    else:
        dataset = load(options.data, options.train_size, options.test_size, may_be_synthetic=False)
        say_if_synthetic(dataset)
        epochs = options.epochs
    dataset = dataset.of_seed(experiment.seed)
    experiment = replace(experiment, data_fingerprint=dataset.fingerprint)
    print(f"{dataset.name}: {len(dataset.y_train):,} training and {len(dataset.y_test):,} test images", flush=True)
    from reproduce.store.training_run import train

    history = train(experiment, dataset, folder, epochs or DEFAULT_EPOCHS, options.device, options.engine)
    ended = "diverged" if has_diverged(history) else counted(len(history), "epoch")
    print(printable(f"{folder / 'history.csv'}: {ended}"))


def data_command(arguments: list[str]) -> None:
    """Download CIFAR-10, or convert an archive, or draw the synthetic stand-in, to the course's HDF5 file."""
    parser = parser_for(
        "python -m reproduce data",
        "Write CIFAR-10 in the course's HDF5 layout: from --data, or downloaded from its author's site.",
    )
    parser.add_argument(
        "--out", type=checked(path), default=CACHE, metavar="FILE", help="the file to write (default: %(default)s)"
    )
    add_options(parser, Options, leave_out=set(Options.__dataclass_fields__) - {"data"})
    for part, images in (("train", "training"), ("test", "test")):
        of_part = f"number of {images} images, from the start of --data (default: all)"
        parser.add_argument(f"--{part}-size", type=checked(IMAGES), metavar=f"{part.upper()}_SIZE", help=of_part)
    given = parser.parse_args(arguments)
    data, sizes = getattr(given, "data", None), (given.train_size, given.test_size)
    if data is None and sizes != (None, None):
        raise BadInput("train_size and test_size choose from --data; the download is written whole")
    out = Path(given.out)
    if out.is_dir():
        raise BadInput(f"--out: expected a file to write; found the folder {out}")
    # It may be CIFAR-10 as every command without --data takes it, under whatever name, or --data itself.
    if data is not None and out.exists():
        raise BadInput(f"--out: {out} is there already; remove it first, or name another file with --out=FILE")
    make_folder(out.parent)
    if data is None and not out.exists():
        prepare(out)
    elif data is not None:
        dataset = load(data, *sizes, may_be_synthetic=False)
        parts = {
            "X_train": dataset.x_train,
            "Y_train": dataset.y_train,
            "X_test": dataset.x_test,
            "Y_test": dataset.y_test,
        }
        write_hdf5(out, parts, dataset.name, dataset.is_synthetic)
    dataset = load(str(out), None, None, may_be_synthetic=False)
    print(
        printable(
            f"{out}: {dataset.name}, {len(dataset.y_train):,} training and {len(dataset.y_test):,} test images, "
            f"fingerprint {dataset.fingerprint}"
        )
    )


def infer_command(arguments: list[str]) -> None:
    """Train candidates for what the report leaves unstated, and say which lie nearest to its curves."""
    parser = parser_for(
        "python -m reproduce infer",
        "Train the candidates for each setting that the report does not state, rank them by their distance to its own "
        "curves; those that are ruled out end early. Writes settings.csv, .md and .png; run again to go on.",
    )
    names = [question.name for question in QUESTIONS]
    parser.add_argument(
        "--question",
        nargs="+",
        type=checked(one_of(*names)),
        metavar="NAME",
        default=names,
        help=f"some of {', '.join(names)} (default: all)",
    )
    parser.add_argument(
        "--profile",
        type=checked(one_of(*PROFILES)),
        default="full",
        help="sizes, width and seeds (default: full; gaps mean something at the report's scale only)",
    )
    add_options(parser, Options, leave_out=("profile",))
    given = vars(parser.parse_args(arguments))
    chosen = given.pop("question")
    options = Options(**given)
    check(options)
    study = Study.of(options)
    failures = infer([question for question in QUESTIONS if question.name in chosen], study)
    # What was found before, or for other questions, stays on the page.
    answers = answers_of(QUESTIONS, study)
    print(answers_text([answer for answer in answers if answer.question.name in chosen], study))
    files = write_answers(study.folder, answers, study)
    print(f"\nsettings: {', '.join(map(str, files))}", flush=True)
    if failures:
        raise Failure("; ".join(failures))


COMMANDS = {"train": train_command, "data": data_command, "infer": infer_command}


def main(arguments: list[str]) -> None:
    *others, last = COMMANDS
    expected = f"{', '.join(others)} or {last}"
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m reproduce COMMAND [options]; COMMAND --help lists its options\n")
        for name, command in COMMANDS.items():
            print(f"  {name:8}{command.__doc__}")
        if not arguments:
            raise BadInput(f"expected a command: {expected}")
        return
    if arguments[0] not in COMMANDS:
        near = suggestion(arguments[0], COMMANDS)
        raise BadInput(f"no such command: {arguments[0]!r}; expected {expected}{near}")
    COMMANDS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    run("python -m reproduce", main, sys.argv[1:])
