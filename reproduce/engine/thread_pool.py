"""How threads share a loop without the interpreter: in compiled code, by a few shared numbers.

The thread that wants a loop run opens it, takes ranges of it like every other thread, closes it when no range is left,
and waits only for those who are in the middle of one. A thread that is still waking up by then is not waited for, so
no loop takes longer than it would take alone. Between loops the others watch for the next one, let other programs have
their cores when none comes at once, and go to sleep when none comes soon.

All of this is in sequentially consistent order. A thread adds itself to INSIDE before it reads OPEN, and the one that
closes a loop clears OPEN before it reads INSIDE; so a loop's description never changes while another thread reads it.
"""

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
from llvmlite import ir
from numba.core import callconv, cgutils, types
from numba.extending import intrinsic

from reproduce.engine.compilation import from_python, kernel, target

# Places of the shared numbers (int64); those that several threads write lie two cache lines apart.
LOOPS, OPEN, INSIDE, ASLEEP, BUSY, FAILED = range(0, 96, 16)
# Written by one thread while no other is inside: the description of the open loop.
FUNCTION, ARGUMENTS, UNITS, RANGES, SLOTS_ARE_RANGES = range(96, 101)
# Written once: the number of threads; the end from which a pipe is read, and the other one; how `launch` finds `share`.
THREADS, PIPE_OUT, PIPE_IN, SHARE = range(101, 105)
STOPPED = 105
# Where the bytes that wake threads are put; what they say does not matter.
ANY_BYTE = 106
# How many ranges have been taken of the first thread's part of the loop; of each other's, 16 places further on.
FIRST_TAKEN = 112


# So often a thread looks for the next loop before it leaves its core to whoever wants it, about 0.1 ms; and so often it
# then looks again before it goes to sleep, 1 ms or more, since waking up takes longer than most of the waiting.
PATIENCE, YIELDS = 5000, 3000
OTHER_TYPES = -1


def shared_numbers(threads: int) -> int:
    """How many numbers so many threads share."""
    return FIRST_TAKEN + 16 * threads


_I32, _I64 = ir.IntType(32), ir.IntType(64)
_ORDER = "seq_cst"


def _on_shared(operands: int, generate: Callable) -> Callable:
    """The code of an operation `generate(builder, place, *values)`, whose first two operands are base and place."""

    def emit(context, builder, signature, arguments):
        base = builder.inttoptr(arguments[0], _I64.as_pointer())
        return generate(builder, builder.gep(base, [arguments[1]]), *arguments[2:])

    return types.int64(*[types.int64] * operands), emit


@intrinsic
def load(typing_context, base, place):
    """The shared number at this place."""
    return _on_shared(2, lambda builder, at: builder.load_atomic(at, _ORDER, 8))


@intrinsic
def exchange(typing_context, base, place, value):
    """The shared number before it became `value`."""
    return _on_shared(3, lambda builder, at, value: builder.atomic_rmw("xchg", at, value, _ORDER))


@intrinsic
def add(typing_context, base, place, value):
    """The shared number before `value` was added."""
    return _on_shared(3, lambda builder, at, value: builder.atomic_rmw("add", at, value, _ORDER))


@intrinsic
def replace(typing_context, base, place, old, new):
    """1 if the shared number was `old` and is now `new`, else 0."""

    def generate(builder, at, old, new):
        return builder.zext(builder.extract_value(builder.cmpxchg(at, old, new, _ORDER, _ORDER), 1), _I64)

    return _on_shared(4, generate)


@intrinsic
def _relax(typing_context):
    """Leave the core to its other hardware thread for a moment, where the processor knows how."""

    def generate(context, builder, signature, arguments):
        if target()[0].startswith("x86_64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


def _call_compiled(context, builder, address, result_type, argument_types, values):
    """Call what Numba compiled at an address: whether it failed, and a pointer to its result."""
    function = context.call_conv.get_function_type(result_type, argument_types)
    own = [cgutils.alloca_once(builder, kind.pointee) for kind in function.args[:2]]
    packed = context.get_arg_packer(argument_types).as_arguments(builder, values)
    code = builder.call(builder.inttoptr(address, function.as_pointer()), [*own, *packed])
    fine = [builder.icmp_signed("==", code, good) for good in (callconv.RETCODE_OK, callconv.RETCODE_NONE)]
    return builder.not_(builder.or_(*fine)), own[0]


@intrinsic
def _call_loop(typing_context, function, slot, first, last, arguments):
    """Call a function that `_loop_and_arguments` made."""

    def generate(context, builder, signature, values):
        function = ir.FunctionType(_I64, [_I64] * 4).as_pointer()
        return builder.call(builder.inttoptr(values[0], function), values[1:])

    return types.int64(*[types.int64] * 5), generate


@intrinsic
def _loop_and_arguments(typing_context, kernel, arguments):
    """The addresses of a function f(slot, first, last, arguments) and of the arguments that it wants.

    f calls the compiled kernel at an address with (slot, first, last, *arguments); it returns 0, or 1 after an error.
    """
    kernel_types = (types.int64,) * 3 + tuple(plain(kind) for kind in arguments)

    def generate(context, builder, signature, values):
        kept = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, values))
        loop = ir.Function(builder.module, ir.FunctionType(_I64, [_I64] * 4), name="loop")
        loop.linkage = "internal"
        inside = ir.IRBuilder(loop.append_basic_block())
        kernel, packed = cgutils.unpack_tuple(inside, inside.load(inside.inttoptr(loop.args[3], kept.type)), 2)
        own = cgutils.unpack_tuple(inside, packed, len(kernel_types) - 3)
        failed, _ = _call_compiled(context, inside, kernel, types.none, kernel_types, [*loop.args[:3], *own])
        inside.ret(inside.zext(failed, _I64))
        pair = [builder.ptrtoint(pointer, _I64) for pointer in (loop, kept)]
        return context.make_tuple(builder, signature.return_type, pair)

    return types.UniTuple(types.int64, 2)(types.int64, arguments), generate


@intrinsic
def _call_share(typing_context, base, function, arguments, units, ranges, slots_are_ranges):
    """Call `share` at its address: linked into every `launch`, it would be compiled as often."""
    numbers = (types.int64,) * 6

    def generate(context, builder, signature, values):
        place = builder.gep(builder.inttoptr(values[0], _I64.as_pointer()), [ir.Constant(_I64, SHARE)])
        failed, result = _call_compiled(context, builder, builder.load(place), types.int64, numbers, values)
        return builder.or_(builder.load(result), builder.zext(failed, _I64))

    return types.int64(*numbers), generate


def plain(kind: types.Type) -> types.Type:
    """The type by which a kernel is compiled: a read-only array's layout is a writable one's."""
    return types.Array(kind.dtype, kind.ndim, kind.layout) if isinstance(kind, types.Array) else kind


def code_of(kinds: Iterable[types.Type]) -> int:
    """A number that stands for a kernel's argument types."""
    text = repr([str(plain(kind)) for kind in kinds])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)


def address_of(kernel: Callable, kinds: Iterable[types.Type]) -> int:
    """Where the compiled code of `kernel` for arguments of these types begins."""
    signature = tuple(plain(kind) for kind in kinds)
    kernel.compile(signature)
    result = kernel.overloads[signature]
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


@intrinsic
def _code_of_types(typing_context, arguments):
    number = code_of(arguments)
    return types.int64(arguments), lambda *_: ir.Constant(_I64, number)


_read = types.ExternalFunction("read", types.intp(types.intc, types.intp, types.uintp))
_write = types.ExternalFunction("write", types.intp(types.intc, types.intp, types.uintp))
_yield_core = types.ExternalFunction("sched_yield", types.intc())


@kernel
def _take_ranges(base, thread):
    """Take ranges of this thread's own part of the loop, and then what is left of the others' parts.

    Every loop is cut into the same parts, so a thread finds most of what it needs in its own core's cache.
    """
    function, arguments, threads = load(base, FUNCTION), load(base, ARGUMENTS), load(base, THREADS)
    units, ranges, slots_are_ranges = load(base, UNITS), load(base, RANGES), load(base, SLOTS_ARE_RANGES)
    for distance in range(threads):
        part = (thread + distance) % threads
        first, end = ranges * part // threads, ranges * (part + 1) // threads
        # Looking first: many threads may look at once, and only one can add.
        while first + load(base, FIRST_TAKEN + 16 * part) < end:
            number = first + add(base, FIRST_TAKEN + 16 * part, 1)
            if number >= end:
                break
            slot = number if slots_are_ranges else thread
            if _call_loop(function, slot, units * number // ranges, units * (number + 1) // ranges, arguments):
                exchange(base, FAILED, 1)


@kernel
def share(base, function, arguments, units, ranges, slots_are_ranges):
    """Run a loop's ranges together with the threads that watch; 1 if any failed."""
    if ranges == 1 or exchange(base, BUSY, 1):
        # Another thread has a loop open, so every core has work.
        failed = 0
        for number in range(ranges):
            slot = number if slots_are_ranges else 0
            failed |= _call_loop(function, slot, units * number // ranges, units * (number + 1) // ranges, arguments)
        return failed
    exchange(base, FUNCTION, function)
    exchange(base, ARGUMENTS, arguments)
    exchange(base, UNITS, units)
    exchange(base, RANGES, ranges)
    exchange(base, SLOTS_ARE_RANGES, slots_are_ranges)
    for part in range(load(base, THREADS)):
        exchange(base, FIRST_TAKEN + 16 * part, 0)
    exchange(base, FAILED, 0)
    exchange(base, OPEN, 1)
    add(base, LOOPS, 1)
    asleep = load(base, ASLEEP)
    while asleep > 0:
        woken = min(asleep, ranges - 1)
        if replace(base, ASLEEP, asleep, asleep - woken):
            # A byte for each.
            _write(np.int32(load(base, PIPE_IN)), base, np.uint64(woken))
            break
        asleep = load(base, ASLEEP)
    _take_ranges(base, 0)
    exchange(base, OPEN, 0)
    waited = 0
    while load(base, INSIDE):
        _relax()
        waited += 1
        if waited > PATIENCE:
            # The thread that is waited for may want this core.
            _yield_core()
    failed = load(base, FAILED)
    exchange(base, BUSY, 0)
    return failed


@kernel
def _sleep(base, seen):
    """Until there may be a loop other than the last one seen."""
    add(base, ASLEEP, 1)
    if load(base, LOOPS) != seen:
        # It may have opened before this thread was counted. Whoever is taken out of the count is sent a byte.
        asleep = load(base, ASLEEP)
        while asleep > 0:
            if replace(base, ASLEEP, asleep, asleep - 1):
                return
            asleep = load(base, ASLEEP)
    while _read(np.int32(load(base, PIPE_OUT)), base + 8 * ANY_BYTE, np.uint64(1)) < 0:
        _yield_core()  # a signal came


@from_python
def watch(base, thread):
    """Take part in every loop, as thread number `thread`, until STOPPED is set."""
    seen = 0
    while not load(base, STOPPED):
        looked = 0
        while load(base, LOOPS) == seen:
            _relax()
            looked += 1
            if looked > PATIENCE:
                _yield_core()
            if looked == PATIENCE + YIELDS:
                _sleep(base, seen)
                looked = 0
        seen = load(base, LOOPS)
        add(base, INSIDE, 1)
        if load(base, OPEN):
            _take_ranges(base, thread)
        add(base, INSIDE, -1)


@from_python
def stop(base):
    """Let all watching threads end."""
    exchange(base, STOPPED, 1)
    add(base, LOOPS, 1)
    asleep = exchange(base, ASLEEP, 0)
    if asleep:
        _write(np.int32(load(base, PIPE_IN)), base, np.uint64(asleep))


@from_python
def launch(base, kernel_address, code, units, ranges, slots_are_ranges, *arguments):
    """Run the kernel at an address, compiled for arguments of the types that `code` stands for.

    Returns 0, 1 after an error, or OTHER_TYPES if the arguments have other types; then nothing was run.
    """
    if code != _code_of_types(arguments):
        return OTHER_TYPES
    function, packed = _loop_and_arguments(kernel_address, arguments)
    return _call_share(base, function, packed, units, ranges, slots_are_ranges)
