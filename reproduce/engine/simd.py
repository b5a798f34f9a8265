"""What Numba does not generate: vectors of `LANES` floats held in registers, written as LLVM instructions.

Two building blocks carry nearly all of the engine's arithmetic: `multiply_rows` (the inner loop of every matrix
product) and the tile transforms of Winograd's convolution. Both work on flat float32 arrays with offsets and strides
counted in elements, and neither checks a bound: callers leave room.
"""

from collections.abc import Callable
from fractions import Fraction

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from reproduce.engine import cook_toom
from reproduce.engine.compilation import has_feature

LANES = 16 if has_feature("avx512f") else 8
# Matrices are stored in panels of 16 columns: one cache line, and one vector of AVX-512 or two of AVX2.
PANEL = 16
VECTORS = PANEL // LANES
# 12 vectors of sums: 6 rows x 2 of the 16 registers of AVX2, 3 more hold the operands; or 12 rows x 1 of AVX-512's 32.
# An element's sum is taken in the same order either way, so the numbers are the same.
ROWS = 12 // VECTORS

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FAST = ("nsz", "arcp", "contract", "afn", "reassoc")


def _integer(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _pointer(context, builder, array_type, array, offset):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def _load(builder, pointer):
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _store(builder, vector, pointer):
    builder.store(vector, builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def spread(builder, scalar):
    """A vector of `LANES` times the same number."""
    undefined = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    vector = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))


def _multiply_add(builder, a, b, c):
    name = f"llvm.fmuladd.v{LANES}f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), name)
    return builder.call(function, (a, b, c))


def call_apart(builder, name: str, arguments: list, emit: Callable, *attributes: str) -> None:
    """Call code that `emit(builder, *arguments)` writes, in a function of its own: one for each name and types.

    Written in each place where it is wanted, inside of several loops, the same code takes LLVM three times as long.
    """
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    name = f"{name} {kind}"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, kind, name)
        function.linkage = "internal"
        for attribute in ("noinline", *attributes):
            function.attributes.add(attribute)
        inside = ir.IRBuilder(function.append_basic_block())
        emit(inside, *function.args)
        inside.ret_void()
    builder.call(function, arguments)


def _make_multiply(rows: int) -> Callable:
    """`c[i, :16] (+)= sum over (p, d) of a[i, p, d] * b[p, d, :16]` for `rows` values of i, kept in registers.

    a[i, p, d] lies at a_offset + i * a_row + p * a_panel + d * a_step, the 16 floats of b[p, d] at
    b_offset + p * b_panel + d * 16, those of c[i] at c_offset + i * c_row.
    """

    def emit(builder, a, b, c, a_row, a_panel, a_step, b_panel, panels, depth, c_row, accumulate):
        sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(VECTORS)] for _ in range(rows)]
        places = [[builder.gep(c, [builder.add(builder.mul(c_row, _integer(i)), _integer(v * LANES))])
                   for v in range(VECTORS)] for i in range(rows)]  # fmt: skip
        row_offsets = [builder.mul(a_row, _integer(i)) for i in range(rows)]
        with builder.if_else(builder.icmp_signed("!=", accumulate, _integer(0))) as (add, overwrite):
            with add:
                for i in range(rows):
                    for v in range(VECTORS):
                        builder.store(_load(builder, places[i][v]), sums[i][v])
            with overwrite:
                for i in range(rows):
                    for v in range(VECTORS):
                        builder.store(ir.Constant(_VECTOR, [0.0] * LANES), sums[i][v])
        with cgutils.for_range(builder, panels, intp=_I64) as over_panels:
            a_start = builder.gep(a, [builder.mul(over_panels.index, a_panel)])
            b_start = builder.gep(b, [builder.mul(over_panels.index, b_panel)])
            with cgutils.for_range(builder, depth, intp=_I64) as over_depth:
                a_here = builder.gep(a_start, [builder.mul(over_depth.index, a_step)])
                b_here = builder.gep(b_start, [builder.mul(over_depth.index, _integer(PANEL))])
                columns = [_load(builder, builder.gep(b_here, [_integer(v * LANES)])) for v in range(VECTORS)]
                for i in range(rows):
                    factor = spread(builder, builder.load(builder.gep(a_here, [row_offsets[i]])))
                    for v in range(VECTORS):
                        total = _multiply_add(builder, factor, columns[v], builder.load(sums[i][v]))
                        builder.store(total, sums[i][v])
        for i in range(rows):
            for v in range(VECTORS):
                _store(builder, builder.load(sums[i][v]), places[i][v])

    @intrinsic
    def multiply(
        typing_context, a, a_offset, a_row, a_panel, a_step, b, b_offset, b_panel, panels, depth, c, c_offset, c_row,
        accumulate,
    ):  # fmt: skip
        number = types.int64
        signature = types.void(a, *[number] * 4, b, *[number] * 4, c, *[number] * 3)

        def generate(context, builder, signature, arguments):
            (a, a_offset, a_row, a_panel, a_step, b, b_offset, b_panel, panels, depth, c, c_offset, c_row,
             accumulate) = arguments  # fmt: skip
            a = _pointer(context, builder, signature.args[0], a, a_offset)
            b = _pointer(context, builder, signature.args[5], b, b_offset)
            c = _pointer(context, builder, signature.args[10], c, c_offset)
            numbers = [a_row, a_panel, a_step, b_panel, panels, depth, c_row, accumulate]
            call_apart(builder, f"multiply_{rows}_rows", [a, b, c, *numbers], emit)
            return context.get_dummy_value()

        return signature, generate

    return multiply


multiply_rows = _make_multiply(ROWS)
# 16 rows are 6 + 6 + 4, or 12 + 4.
multiply_four_rows = _make_multiply(4)
multiply_one_row = _make_multiply(1)


def _sum_of_products(builder, vectors: list, coefficients: list[Fraction]):
    """Sum of coefficient * vector, leaving out what is multiplied by 0; None if all of it is."""
    total = None
    for vector, coefficient in sorted(zip(vectors, coefficients, strict=True), key=lambda pair: abs(pair[1]) != 1):
        if coefficient == 0:
            continue
        if coefficient == 1:
            total = vector if total is None else builder.fadd(total, vector, flags=_FAST)
        elif coefficient == -1:
            zero = ir.Constant(_VECTOR, [0.0] * LANES)
            total = builder.fsub(zero if total is None else total, vector, flags=_FAST)
        else:
            factor = ir.Constant(_VECTOR, [float(coefficient)] * LANES)
            if total is None:
                total = builder.fmul(factor, vector, flags=_FAST)
            else:
                total = _multiply_add(builder, factor, vector, total)
    return total


def _opposites(rows: list[list[Fraction]]) -> list[tuple[int, int]]:
    """Pairs of rows that differ only in signs, as the rows of the points +p and -p do."""
    pairs, free = [], set(range(len(rows)))
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            same = all(abs(a) == abs(b) for a, b in zip(rows[i], rows[j], strict=True))
            if same and i in free and j in free and rows[i] != rows[j]:
                pairs.append((i, j))
                free -= {i, j}
    return pairs


def _apply(builder, matrix: list[list[Fraction]], vectors: list) -> list:
    """`matrix` times a column of vectors; what the points +p and -p have in common is computed once."""
    columns = [list(column) for column in zip(*matrix, strict=True)]
    if pairs := _opposites(columns):
        paired = {i for pair in pairs for i in pair}
        alone = [i for i in range(len(vectors)) if i not in paired]
        sums = [builder.fadd(vectors[i], vectors[j], flags=_FAST) for i, j in pairs]
        differences = [builder.fsub(vectors[i], vectors[j], flags=_FAST) for i, j in pairs]
        results = []
        for row in matrix:
            terms = [vectors[i] for i in alone]
            factors = [row[i] for i in alone]
            for number, (i, j) in enumerate(pairs):
                terms.append(sums[number] if row[i] == row[j] else differences[number])
                factors.append(row[i])
            results.append(_sum_of_products(builder, terms, factors))
        return results
    results = [None] * len(matrix)
    for i, j in _opposites(matrix):
        even = [(a + b) / 2 for a, b in zip(matrix[i], matrix[j], strict=True)]
        odd = [(a - b) / 2 for a, b in zip(matrix[i], matrix[j], strict=True)]
        even, odd = _sum_of_products(builder, vectors, even), _sum_of_products(builder, vectors, odd)
        results[i] = builder.fadd(even, odd, flags=_FAST)
        results[j] = builder.fsub(even, odd, flags=_FAST)
    for i, row in enumerate(matrix):
        if results[i] is None:
            results[i] = _sum_of_products(builder, vectors, row)
    return results


def _make_transform(name: str, choose_matrix: Callable, accumulate: bool = False, bias: bool = False) -> Callable:
    """`M X Mᵀ` for a square tile X of `PANEL` channels, M being `choose_matrix(m, r)`.

    m and r arrive as the lengths of two tuples, so that each F(m x m, r x r) is compiled for itself. Entry (i, j) of a
    tile lies at offset + i * row + j * column. The result is stored, or added to what is there; `bias` (a flat array,
    with an offset) is added to each entry.
    """

    @intrinsic
    def transform(
        typing_context, m, r, source, source_offset, source_row, source_column, target, target_offset, target_row,
        target_column, added, added_offset,
    ):  # fmt: skip
        number = types.int64
        signature = types.void(m, r, source, *[number] * 3, target, *[number] * 3, added, number)
        matrix = choose_matrix(m.count, r.count)

        def emit(builder, source, target, added, source_row, source_column, target_row, target_column):
            size, result_size = len(matrix[0]), len(matrix)
            with cgutils.for_range(builder, _integer(VECTORS), intp=_I64) as over_vectors:
                lane = builder.mul(over_vectors.index, _integer(LANES))
                half = []
                for j in range(size):
                    column = []
                    for i in range(size):
                        offset = builder.add(
                            builder.mul(source_row, _integer(i)), builder.mul(source_column, _integer(j))
                        )
                        column.append(_load(builder, builder.gep(source, [builder.add(lane, offset)])))
                    half.append(_apply(builder, matrix, column))
                constant = _load(builder, builder.gep(added, [lane])) if bias else None
                for i in range(result_size):
                    for j, value in enumerate(_apply(builder, matrix, [half[k][i] for k in range(size)])):
                        offset = builder.add(
                            builder.mul(target_row, _integer(i)), builder.mul(target_column, _integer(j))
                        )
                        place = builder.gep(target, [builder.add(lane, offset)])
                        if accumulate:
                            value = builder.fadd(value, _load(builder, place), flags=_FAST)
                        if bias:
                            value = builder.fadd(value, constant, flags=_FAST)
                        _store(builder, value, place)

        def generate(context, builder, signature, arguments):
            (_, _, source, source_offset, source_row, source_column, target, target_offset, target_row, target_column,
             added, added_offset) = arguments  # fmt: skip
            source = _pointer(context, builder, signature.args[2], source, source_offset)
            target = _pointer(context, builder, signature.args[6], target, target_offset)
            added = _pointer(context, builder, signature.args[10], added, added_offset)
            strides = [source_row, source_column, target_row, target_column]
            call_apart(builder, f"{name}_{m.count}_{r.count}", [source, target, added, *strides], emit)
            return context.get_dummy_value()

        return signature, generate

    return transform


def _transposed(matrix):
    return [list(column) for column in zip(*matrix, strict=True)]


# Lavin & Gray 2016, arXiv:1509.09308, equation 8: Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A; the adjoints are for the gradients.
transform_input = _make_transform("transform_input", lambda m, r: cook_toom.matrices(m, r)[2])
transform_filter = _make_transform("transform_filter", lambda m, r: cook_toom.matrices(m, r)[1])
transform_output = _make_transform("transform_output", lambda m, r: _transposed(cook_toom.matrices(m, r)[0]), bias=True)
adjoint_of_input = _make_transform(
    "adjoint_of_input", lambda m, r: _transposed(cook_toom.matrices(m, r)[2]), accumulate=True
)
adjoint_of_filter = _make_transform(
    "adjoint_of_filter", lambda m, r: _transposed(cook_toom.matrices(m, r)[1]), accumulate=True
)
adjoint_of_output = _make_transform("adjoint_of_output", lambda m, r: cook_toom.matrices(m, r)[0])
