"""Loops over arrays, written as expressions of `Value` and compiled to vectors of `LANES` elements.

Numba leaves many such loops scalar, because an index might be negative or two arrays might overlap. `vector_loop` makes
LLVM's vector instructions itself; whoever calls it must make sure that no output overlaps another array.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from reproduce.engine.simd import LANES, call_apart, spread

_INTEGER = ir.IntType(64)
_ELEMENTS = {types.float32: ir.FloatType(), types.uint8: ir.IntType(8)}
_BYTES = {ir.FloatType(): 4, ir.IntType(8): 1}


class Value:
    """A vector of numbers (or, in a loop's remainder, one number); arithmetic rounds after every operation."""

    def __init__(self, builder: ir.IRBuilder, code: ir.Value) -> None:
        self.builder, self.code = builder, code

    @property
    def _element(self) -> ir.Type:
        return self.code.type.element if isinstance(self.code.type, ir.VectorType) else self.code.type

    def _like(self, other: Value | float) -> ir.Value:
        if isinstance(other, Value):
            return other.code
        is_vector = isinstance(self.code.type, ir.VectorType)
        return ir.Constant(self.code.type, [other] * self.code.type.count if is_vector else other)

    def _new(self, code: ir.Value) -> Value:
        return Value(self.builder, code)

    def __add__(self, other):
        return self._new(self.builder.fadd(self.code, self._like(other)))

    def __sub__(self, other):
        return self._new(self.builder.fsub(self.code, self._like(other)))

    def __mul__(self, other):
        return self._new(self.builder.fmul(self.code, self._like(other)))

    def __truediv__(self, other):
        return self._new(self.builder.fdiv(self.code, self._like(other)))

    def __gt__(self, other):
        return self._new(self.builder.fcmp_ordered(">", self.code, self._like(other)))

    def exceeds_or_is_nan(self, other: float) -> Value:
        return self._new(self.builder.fcmp_unordered(">", self.code, self._like(other)))

    def __and__(self, other):
        return self._new(self.builder.and_(self.code, other.code))

    def __or__(self, other):
        return self._new(self.builder.or_(self.code, other.code))

    def equals(self, other: Value) -> Value:
        return self._new(self.builder.icmp_unsigned("==", self.code, other.code))

    def is_nan(self) -> Value:
        return self._new(self.builder.fcmp_unordered("uno", self.code, self.code))

    def is_number(self) -> Value:
        return self._new(self.builder.fcmp_ordered("ord", self.code, self.code))

    def choose(self, yes: Value, no: Value | float) -> Value:
        """`yes` where this condition holds, else `no`."""
        return self._new(self.builder.select(self.code, yes.code, yes._like(no)))

    def to_float(self) -> Value:
        """The same whole numbers (uint8) as float32; of a condition, 1 where it holds and 0 elsewhere."""
        return self._new(self.builder.uitofp(self.code, self._shaped(ir.FloatType())))

    def square_root(self) -> Value:
        suffix = f"v{LANES}f32" if isinstance(self.code.type, ir.VectorType) else "f32"
        signature = ir.FunctionType(self.code.type, [self.code.type])
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.sqrt.{suffix}")
        return self._new(self.builder.call(function, [self.code]))

    def _shaped(self, element: ir.Type) -> ir.Type:
        return ir.VectorType(element, LANES) if isinstance(self.code.type, ir.VectorType) else element


# Tells the functions of several loops in one module apart.
_numbers = itertools.count()


def vector_loop(body: Callable) -> Callable:
    """A function `loop(count, arrays, offsets, scalars)` for compiled code: `body` on `count` elements of each array.

    `arrays` are flat, of float32 or uint8, each read and written from its offset on. `body` gets a Value for
    every array and scalar, and returns a tuple of Values for the last arrays, which they overwrite.
    """
    name = f"vector_loop_{next(_numbers)}"

    def emit(elements, builder, count, *values):
        starts, numbers = values[: len(elements)], values[len(elements) :]
        sizes = [_BYTES[element] for element in elements]

        def step(index, vector):
            places = [builder.gep(start, [index]) for start in starts]
            if vector:
                places = [builder.bitcast(place, ir.VectorType(element, LANES).as_pointer())
                          for place, element in zip(places, elements, strict=True)]  # fmt: skip
            loaded = [builder.load(place, align=size) for place, size in zip(places, sizes, strict=True)]
            loaded += [spread(builder, number) if vector else number for number in numbers]
            results = body(*(Value(builder, code) for code in loaded))
            for result, place, size in zip(results, places[-len(results) :], sizes[-len(results) :], strict=True):
                builder.store(result.code, place, align=size)

        lanes = ir.Constant(_INTEGER, LANES)
        vectors = builder.sdiv(count, lanes)
        with cgutils.for_range(builder, vectors, intp=_INTEGER) as whole:
            step(builder.mul(whole.index, lanes), vector=True)
        done = builder.mul(vectors, lanes)
        with cgutils.for_range(builder, builder.sub(count, done), intp=_INTEGER) as rest:
            step(builder.add(done, rest.index), vector=False)

    @intrinsic
    def loop(typing_context, count, arrays, offsets, scalars):
        signature = types.void(types.int64, arrays, types.UniTuple(types.int64, len(arrays)), scalars)

        def generate(context, builder, signature, arguments):
            count, arrays, offsets, scalars = arguments
            starts = []
            for number, array_type in enumerate(signature.args[1]):
                array = context.make_array(array_type)(context, builder, builder.extract_value(arrays, number))
                starts.append(builder.gep(array.data, [builder.extract_value(offsets, number)]))
            elements = [_ELEMENTS[array_type.dtype] for array_type in signature.args[1]]
            numbers = [builder.extract_value(scalars, number) for number in range(len(signature.args[3]))]
            # Without `optsize` LLVM makes vectors of the few elements that are left over, too, and repeats all of it.
            call_apart(builder, name, [count, *starts, *numbers], functools.partial(emit, elements), "optsize")
            return context.get_dummy_value()

        return signature, generate

    return loop
