"""Every claim of the report: declared here by sections, decided by `figures.claims.decisions`."""

from figures.claims import architecture, optimization, regularization

_ALL = [*architecture.CLAIMS, *regularization.CLAIMS, *optimization.CLAIMS]
SECTION_NUMBERS = ("background", "1", "2", "3", "4", "5", "6", "7")
# In the report's order.
CLAIMS = tuple(claim for section in SECTION_NUMBERS for claim in _ALL if claim.section == section)
