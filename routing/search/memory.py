"""Arrays by their addresses: compiled functions pass one record around instead of forty arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types, as numba
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype


def _address(builder: Any, world: Any, offset: int) -> Any:
    """The address that the world keeps at ``offset``."""
    start = builder.ptrtoint(world, ir.IntType(64))
    place = builder.add(start, ir.Constant(ir.IntType(64), offset))
    return builder.load(builder.inttoptr(place, ir.IntType(64).as_pointer()))


def _at(builder: Any, world: Any, offset: int, index: Any, size: int) -> Any:
    there = builder.mul(index, ir.Constant(ir.IntType(64), size))
    return builder.add(_address(builder, world, offset), there)


def records(world: np.dtype[Any], name: str, dtype: np.dtype[Any], stride: str = "") -> Any:
    """``f(w, i)``: the i-th record of the array whose address is the world's field ``name``, to read and write.

    With ``stride``, the field that holds the length of its rows, ``f(w, i, j)`` of a two-dimensional array.
    """
    fields: Any = world.fields
    record, world_type = from_dtype(dtype), from_dtype(world)
    offset, size = fields[name][1], dtype.itemsize

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        index = arguments[1]
        if stride:
            index = builder.add(builder.mul(index, _address(builder, arguments[0], fields[stride][1])), arguments[2])
        place = _at(builder, arguments[0], offset, index, size)
        return builder.inttoptr(place, context.get_value_type(record))

    if stride:

        @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
        def at_row(_typing: Any, _world: Any, _i: Any, _j: Any) -> Any:
            return record(world_type, types.int64, types.int64), generate

        return at_row

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def at(_typing: Any, _world: Any, _i: Any) -> Any:
        return record(world_type, types.int64), generate

    return at


def table(world: np.dtype[Any], name: str, *strides: str) -> Any:
    """``f(w, i, j, ...)``: a number of the 2- or 3-dimensional array of float64 at ``name``, to read.

    ``strides``: the fields with the lengths of the second and later dimensions.
    """
    return _table(world, name, strides, types.float64, 8)


def int_table(world: np.dtype[Any], name: str, *strides: str) -> Any:
    """As ``table``, of int32."""
    return _table(world, name, strides, types.int32, 4)


def _table(world: np.dtype[Any], name: str, strides: tuple[str, ...], kind: Any, size: int) -> Any:
    fields: Any = world.fields
    world_type = from_dtype(world)
    offset = fields[name][1]
    lengths = [fields[stride][1] for stride in strides]

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        index = arguments[1]
        for length, part in zip(lengths, arguments[2:], strict=True):
            index = builder.add(builder.mul(index, _address(builder, arguments[0], length)), part)
        place = _at(builder, arguments[0], offset, index, size)
        number = ir.DoubleType() if kind == types.float64 else ir.IntType(32)
        return builder.load(builder.inttoptr(place, number.as_pointer()))

    if len(strides) == 1:

        @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
        def at_2(_typing: Any, _world: Any, _i: Any, _j: Any) -> Any:
            return kind(world_type, types.int64, types.int64), generate

        return at_2

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def at_3(_typing: Any, _world: Any, _i: Any, _j: Any, _k: Any) -> Any:
        return kind(world_type, types.int64, types.int64, types.int64), generate

    return at_3


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def assign(_typing: Any, to: Any, source: Any) -> Any:
    """``assign(to, source)``: overwrite one record with another of its type."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        cgutils.raw_memcpy(builder, arguments[0], arguments[1], ir.Constant(ir.IntType(64), to.size), 1)
        return context.get_dummy_value()

    return types.none(to, source), generate
