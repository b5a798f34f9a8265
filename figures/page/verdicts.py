"""The claims on the page: a table of all of them, and each with its verdicts and the comparisons that they rest on."""

import math

from figures.claims.decide import ARITHMETIC, DEVIATIONS, NO_CURVE, NOT_TESTED, Decision
from figures.claims.regime import REGIME_POINTS
from figures.claims.tables import effect_text, interval_text, p_text
from figures.page.content import Content
from reproduce.analysis.significance import FEWEST_SEEDS
from reproduce.render import html

HOW_DECIDED = (
    "Our verdicts rest on intervals that all hold at once with 95 % confidence; the seeds of all comparisons together "
    "tell how wide they are.",
    "Inconclusive is not wrong: these seeds cannot tell it from chance. Fewer than "
    f"{FEWEST_SEEDS} seeds decide nothing.",
    f"Out of regime: at this scale a network ends more than {REGIME_POINTS:.0f} points above or below the report's own "
    "train error, or so early that the report's own curves decide otherwise at their end. Nothing is said about the "
    "report.",
    "The report's own curves are single runs: what holds for them by less than "
    f"{DEVIATIONS:.0f} standard deviations of such runs is within run-to-run noise.",
    "Arithmetic: counted or computed, with no run, and so right or wrong.",
)


def at_a_glance(content: Content) -> list[str]:
    """All claims in a table, each linked to its place."""
    rows = [
        (html.link(one.claim.statement, f"#{_anchor(one)}"), one.verdict, one.report_decision)
        for one in content.decisions
    ]
    study = content.study
    caption = f"The report's claims. Verdicts on our runs: {study.options.profile} profile, {study.dataset.name}"
    return [
        html.table(("claim", "our runs", "the report's own curves"), rows, caption, stacks=True),
        html.folded("How a verdict is made", [html.bullets(HOW_DECIDED)]),
    ]


def _anchor(decision: Decision) -> str:
    return f"claim-{decision.claim.id}"


def claim(decision: Decision) -> str:
    """A claim with its verdicts, and the comparisons that they rest on."""
    columns = ("measured", "claimed", "effect", "95 % interval, all at once", "the report's curves")
    rows = []
    for outcome in decision.outcomes:
        comparison, found = outcome.comparison, outcome.estimate
        mark = ""
        if len(decision.outcomes) > 1 and outcome is decision.decisive:
            mark = " (the weakest: decides)"
        elif not comparison.decides:
            mark = " (for comparison: does not decide)"
        rows.append(
            (
                comparison.measure + mark,
                comparison.claimed_in_words(),
                effect_text(found.effect, comparison),
                interval_text(found, comparison),
                effect_text(outcome.report, comparison),
            )
        )
    unit = decision.decisive.comparison.unit
    effects = "Effects are ratios of times." if unit == "times" else f"Effects in {unit}."
    deciding = sum(outcome.comparison.decides for outcome in decision.outcomes)
    all_of = " The claim holds if each of these does." if deciding > 1 else ""
    table = html.table(columns, rows, effects + all_of, numeric=(2, 3, 4), stacks=True)
    basis = f"Our runs: {_basis(decision)}. The report's own curves: {_basis_on_report(decision)}."
    notes = [basis, *([f"Note: {decision.note}."] if decision.note else [])]
    verdicts = [("our runs", decision.verdict), ("the report's own curves", decision.report_decision)]
    parts = [html.paragraph(decision.claim.decides), table, *(html.paragraph(note, "soft") for note in notes)]
    return html.claim(decision.claim.statement, _anchor(decision), verdicts, parts)


def _basis(decision: Decision) -> str:
    repeats = decision.decisive.repeats
    if repeats == "exact" or decision.verdict == NOT_TESTED:
        return repeats
    if math.isnan(decision.p_corrected):
        of_all = sorted({outcome.repeats for outcome in decision.outcomes if outcome.comparison.decides})
        return f"{' or '.join(of_all)}: nothing is decided"
    p = f"p = {p_text(decision.p_corrected)}".replace("= <", "<")
    return f"{repeats}, {p}, the same in {decision.stable} of {decision.left_out} cases with one left out"


def _basis_on_report(decision: Decision) -> str:
    decisive = decision.report_decisive
    if decision.report_decision == ARITHMETIC:
        return "none is needed"
    if decision.report_decision == NO_CURVE:
        return "none shows it" if decisive.comparison.curves else "they show no times"
    return f"one run each, standard deviation from run to run {decisive.report_noise:.1f} {decisive.comparison.unit}"
