"""`python -m benchmarks`: training and evaluation steps of the same network, contestants alternating.

Times are wall-clock medians; ratios are medians over the rounds with their smallest and largest, since a round's
contestants run within seconds of each other while the machine's speed may drift over minutes.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time

from benchmarks.contestants import NAMES, TITLES, Case, Contestant
from benchmarks.first_step import print_first_steps
from benchmarks.operations import direct_gigaflops, print_operations

REPORT_CASES = (
    Case("full width, batch 100"),
    Case("full width, batch 500", batch_size=500),
    Case("quarter width, batch 100", width=0.25),
    Case("quarter width, batch 40", batch_size=40, width=0.25),
    Case("quarter width, batch 25", batch_size=25, width=0.25),
    Case("quarter width, batch 2: what a step costs at least", batch_size=2, width=0.25),
    Case("quarter width, batch 40, beside a busy core", batch_size=40, width=0.25, beside_a_busy_core=True),
    Case("5 x 5 filters, batch 100", filter_size=5),
    Case("7 x 7 filters, batch 100", filter_size=7),
    Case("evaluation, batch 100", evaluation=True),
)
# A contestant's share of a round lasts at least this long, so that short steps are not lost in the noise.
SECONDS_A_TURN = 1.0


def _number(smallest: float, kind: type):
    def convert(text: str):
        value = kind(text)
        if not value >= smallest:
            raise argparse.ArgumentTypeError(f"must be at least {smallest}; found {text}")
        return value

    return convert


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=_number(1, int), default=5, help="rounds of all contestants (default: 5)")
    parser.add_argument("--batch-size", type=_number(1, int), help="one case of this size, not all of the report's")
    parser.add_argument("--width", type=_number(0.01, float), help="one case of this width; 1 is the report's network")
    parser.add_argument("--filter-size", type=int, choices=(1, 3, 5, 7), help="one case of this size of filters")
    parser.add_argument("--evaluation", action="store_true", help="one case: evaluation instead of a training step")
    parser.add_argument("--contestants", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME",
                        help=f"some of {', '.join(NAMES)} (default: all)")  # fmt: skip
    parser.add_argument("--threads", type=_number(1, int), help="threads of every contestant (default: all cores)")
    parser.add_argument("--ops", action="store_true", help="time each operation too, against stock Chainer")
    return parser.parse_args(arguments)


def chosen_cases(options: argparse.Namespace) -> tuple[Case, ...]:
    """The report's cases, or the one that the options describe."""
    if not (options.batch_size or options.width or options.filter_size or options.evaluation):
        return REPORT_CASES
    batch_size, width, filter_size = options.batch_size or 100, options.width or 1.0, options.filter_size or 3
    title = f"{'evaluation' if options.evaluation else 'training'}, batch {batch_size}, width {width:g}, "
    title += f"{filter_size} x {filter_size} filters"
    return (Case(title, batch_size, width, filter_size, options.evaluation),)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}x ({min(values):.2f}-{max(values):.2f})"


def run_case(case: Case, names: list[str], rounds: int, threads: int) -> None:
    """Time one case and print its table."""
    print(f"\n{case.title}", flush=True)
    contestants = {name: Contestant(name, case, threads) for name in [*names, "peak"]}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if case.beside_a_busy_core else None
    try:
        times: dict[str, list[float]] = {name: [] for name in contestants}
        steps = {}
        for name, contestant in contestants.items():
            estimate = contestant.run(1)
            if contestant.failure:
                print(f"  {TITLES[name]} cannot run here: {contestant.failure.strip().splitlines()[-1]}")
            else:
                steps[name] = 1 if name == "peak" else max(1, round(SECONDS_A_TURN / estimate))
        for _ in range(rounds):
            for name, count in steps.items():
                times[name].append(contestants[name].run(count))
        _print_table(case, {name: times[name] for name in steps if not contestants[name].failure}, contestants)
    finally:
        if busy:
            busy.kill()
            busy.wait()
        for contestant in contestants.values():
            contestant.__exit__()


def _print_table(case: Case, times: dict[str, list[float]], contestants: dict[str, Contestant]) -> None:
    peak = max(times.pop("peak"))
    print(f"  {'':18}{'ms a step':>11}{'images/s':>10}{'peak MB':>9}{'of sgemm':>10}   the engine is faster by")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        fraction = direct_gigaflops(case) / median / peak
        line = f"  {TITLES[name]:18}{1e3 * median:11.1f}{case.batch_size / median:10.0f}"
        line += f"{contestants[name].megabytes:9.0f}{fraction:10.2f}"
        if name != "fast" and "fast" in times:
            line += f"   {_spread([other / fast for other, fast in zip(seconds, times['fast'], strict=True)])}"
        print(line)
    print(f"  (of sgemm: direct-convolution operations as a fraction of {peak:.0f} GFLOP/s, a large matrix product)",
          flush=True)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; the exit status."""
    options = parse(arguments)
    names = list(dict.fromkeys(options.contestants))
    if importlib.util.find_spec("torch") is None and any(name.startswith("torch") for name in names):
        print("PyTorch is not installed, so it is left out; pip install -e '.[bench]' installs it")
        names = [name for name in names if not name.startswith("torch")]
        if not names:
            return 2
    from reproduce import engine

    start = time.monotonic()
    if "fast" in names:
        engine.prepare()
    count = options.threads or engine.THREADS
    print(f"{count} threads, {options.rounds} rounds, float32; medians, and ratios with the smallest and largest round")
    for case in chosen_cases(options):
        run_case(case, names, options.rounds, count)
        if options.ops:
            print_operations(case, options.rounds)
    if chosen_cases(options) == REPORT_CASES:
        print_first_steps(names, options.rounds, count)
    print(f"\n{time.monotonic() - start:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
