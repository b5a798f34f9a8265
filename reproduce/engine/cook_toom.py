"""The matrices of Winograd's minimal filtering F(m, r), exact, from Cook and Toom's interpolation.

Lavin & Gray 2016 (arXiv:1509.09308), section 4.1: m outputs of a filter with r taps are
Y = Aᵀ [(G g) ⊙ (Bᵀ d)] for m + r - 1 inputs d, with as many products in place of m * r. With more inputs the points lie
further apart, and rounding errors grow; then the polynomial x² + 1, that is the points i and -i, takes the place of two
points at the price of one product (Barabasz & Gregg 2019, arXiv:1905.05233).
"""

from fractions import Fraction
from functools import cache

Matrix = list[list[Fraction]]

# The last point, infinity, is implied. 0, 1, -1, 1/2, -2 round better than Lavin & Gray's 0, 1, -1, 2, -2: errors of
# 1.5e-6 against 2.5e-6 for F(4, 3) and 64 channels. 7 points do best with both signs of both.
POINTS = (0, 1, -1, Fraction(1, 2), -2, Fraction(-1, 2), 2)
# F(4, 5) with x² + 1 has a fifth of the error, 6e-7 in place of 3e-6, but takes a quarter more time. F(4, 7) without it
# is off by 4e-5, and with it by 1.4e-6.
MOST_REAL_INPUTS = 8
# With x² + 1 in the place of two points, and infinity.
MOST_INPUTS = len(POINTS) + 3


def _product(a: list[Fraction], b: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of two polynomials, lowest power first."""
    product = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return product


def _product_of(points: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of all x - point."""
    polynomial = [Fraction(1)]
    for point in points:
        polynomial = _product(polynomial, [-point, Fraction(1)])
    return polynomial


def _value_at_i(polynomial: list[Fraction]) -> tuple[Fraction, Fraction]:
    """Real and imaginary part."""
    return (
        sum(polynomial[0::4], Fraction(0)) - sum(polynomial[2::4], Fraction(0)),
        sum(polynomial[1::4], Fraction(0)) - sum(polynomial[3::4], Fraction(0)),
    )


def _unit(length: int, place: int) -> list[Fraction]:
    return [Fraction(int(j == place)) for j in range(length)]


@cache
def matrices(m: int, r: int) -> tuple[Matrix, Matrix, Matrix]:
    """A (products x m), G (products x r) and Bᵀ (products x inputs) of F(m, r).

    Raises:
        ValueError: there are more than 10 inputs, m + r - 1: that many points are not known to round well.
    """
    inputs = m + r - 1
    if inputs > MOST_INPUTS:
        raise ValueError(f"F({m}, {r}) has {inputs} inputs; expected at most {MOST_INPUTS}")
    with_i = inputs > MOST_REAL_INPUTS
    points = [Fraction(point) for point in POINTS[: inputs - 3 if with_i else inputs - 1]]
    square = [Fraction(1), Fraction(0), Fraction(1)] if with_i else [Fraction(1)]
    a, g, b_transposed = [], [], []

    def add(a_row: list[Fraction], g_row: list[Fraction], polynomial: list[Fraction]) -> None:
        a.append(a_row)
        g.append(g_row)
        b_transposed.append(polynomial + [Fraction(0)] * (inputs - len(polynomial)))

    for number, point in enumerate(points):
        others = _product(square, _product_of(points[:number] + points[number + 1 :]))
        scale = sum(coefficient * point**j for j, coefficient in enumerate(others))
        add([point**j for j in range(m)], [point**j / scale for j in range(r)], others)
    others = _product_of(points)
    if with_i:
        # Modulo x² + 1, i is x: (p + iq)(s + it) = ps - qt + i((p + q)(s + t) - ps - qt) takes three products.
        real, imaginary = _value_at_i(others)
        a_real, a_imaginary = zip(*(_value_at_i(_unit(m, j)) for j in range(m)), strict=True)
        g_real, g_imaginary = [], []
        for x, y in (_value_at_i(_unit(r, j)) for j in range(r)):
            g_real.append((x * real + y * imaginary) / (real**2 + imaginary**2))
            g_imaginary.append((y * real - x * imaginary) / (real**2 + imaginary**2))
        add(list(a_real), g_real, _product(others, [Fraction(1), Fraction(-1)]))
        add(list(a_imaginary), g_imaginary, _product(others, [Fraction(-1), Fraction(-1)]))
        sums = [[x + y for x, y in zip(*rows, strict=True)] for rows in ((a_real, a_imaginary), (g_real, g_imaginary))]
        add(*sums, _product(others, [Fraction(0), Fraction(1)]))
    add(_unit(m, m - 1), _unit(r, r - 1), _product(others, square))
    return a, g, b_transposed


def products(m: int, r: int) -> int:
    """The number of products of F(m, r)."""
    return len(matrices(m, r)[0])
