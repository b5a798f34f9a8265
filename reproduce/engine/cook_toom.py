"""The matrices of Winograd's minimal filtering F(m, r), exact, from Cook and Toom's interpolation.

Lavin & Gray 2016 (arXiv:1509.09308), section 4.1: m outputs of a filter with r taps are
Y = Aᵀ [(G g) ⊙ (Bᵀ d)] for n = m + r - 1 inputs d, with n products in place of m * r.
"""

from fractions import Fraction
from functools import cache

Matrix = list[list[Fraction]]

# The last point, infinity, is implied. 0, 1, -1, 1/2, -2 round better than Lavin & Gray's 0, 1, -1, 2, -2: errors of
# 1.5e-6 against 2.5e-6 for F(4, 3) and 64 channels. 7 points do best with both signs of both.
POINTS = (0, 1, -1, Fraction(1, 2), -2, Fraction(-1, 2), 2)


def _times_linear(polynomial: list[Fraction], root: Fraction) -> list[Fraction]:
    """Coefficients of polynomial(x) * (x - root), lowest power first."""
    raised = [Fraction(0), *polynomial]
    for power, coefficient in enumerate(polynomial):
        raised[power] -= root * coefficient
    return raised


def _product_of_others(points: list[Fraction], left_out: int | None) -> list[Fraction]:
    polynomial = [Fraction(1)]
    for number, point in enumerate(points):
        if number != left_out:
            polynomial = _times_linear(polynomial, point)
    return polynomial


@cache
def matrices(m: int, r: int) -> tuple[Matrix, Matrix, Matrix]:
    """A (n x m), G (n x r) and Bᵀ (n x n) of F(m, r), n = m + r - 1 at most 8."""
    n = m + r - 1
    points = [Fraction(point) for point in POINTS[: n - 1]]
    a = [[point**j for j in range(m)] for point in points] + [[Fraction(int(j == m - 1)) for j in range(m)]]
    g, b_transposed = [], []
    for number, point in enumerate(points):
        scale = Fraction(1)
        for other in points[:number] + points[number + 1 :]:
            scale *= point - other
        g.append([point**j / scale for j in range(r)])
        b_transposed.append([*_product_of_others(points, number), Fraction(0)])
    g.append([Fraction(int(j == r - 1)) for j in range(r)])
    b_transposed.append(_product_of_others(points, None))
    return a, g, b_transposed
