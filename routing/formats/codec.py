"""Dataclasses as plain JSON data, exactly there and back, with the place of whatever is wrong.

A dataclass is an object with its fields' names; a field with a default may be missing, an unknown name is an error.
Times are ISO 8601 in UTC, a ``Position`` is ``[lat, lon, alt_amsl_m]``, tuples are lists, enumerations their values.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from routing.errors import BadInput
from routing.geo import Position
from routing.problem import TimedPosition

Data = dict[str, Any]
T = TypeVar("T")
_Read = Callable[[Any, str], Any]
_Write = Callable[[Any], Any]


def to_data(value: Any, *, without: str | None = None) -> Data:
    """Plain data of a dataclass, but for its field ``without``. Equal numbers are equal data, of whatever kind."""
    kind: Any = type(value)
    written: Data = _object_writer(kind, without)(value)
    return written


def from_data(kind: type[T], data: object, where: str, **known: object) -> T:
    """Read what ``to_data`` wrote; raises ``BadInput`` naming the place, from ``where`` on, that is wrong.

    ``known``: the field that was left out, with its value.
    """
    wanted: Any = kind
    found: T = _object_reader(wanted, frozenset(known))(data, where, **known)
    return found


def plain(number: float) -> float:
    """Negative zero would not come back from a database's JSON; ints would hash differently."""
    return float(number) + 0.0


def moment(when: datetime) -> str:
    """A time in UTC; raises ``BadInput`` where it has no zone."""
    if when.utcoffset() is None:
        raise BadInput(f"the time {when.isoformat()} has no time zone")
    return when.astimezone(UTC).isoformat()


def table(data: object, where: str) -> Mapping[str, Any]:
    """Return an object's data; raises ``BadInput`` when it is none."""
    if not isinstance(data, Mapping):
        raise BadInput(f"{where}: must be an object, not {_kind(data)}")
    return data


@cache
def _writer(kind: Any) -> _Write:
    if kind in _WRITERS:
        return _WRITERS[kind]
    if isinstance(kind, type) and is_dataclass(kind):
        return _object_writer(kind, None)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return lambda value: value.value
    inner, many = _inside(kind)
    if inner is None:
        raise TypeError(f"{kind} has no form as data")
    write = _writer(inner)
    if many:
        return lambda values: [write(value) for value in values]
    return lambda value: None if value is None else write(value)


@cache
def _reader(kind: Any) -> _Read:
    if kind in _READERS:
        return _READERS[kind]
    if isinstance(kind, type) and is_dataclass(kind):
        return _object_reader(kind, frozenset())
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return lambda data, where: _one_of(kind, data, where)
    inner, many = _inside(kind)
    if inner is None:
        raise TypeError(f"{kind} has no form as data")
    read = _reader(inner)
    if not many:
        return lambda data, where: None if data is None else read(data, where)
    count = len(typing.get_args(kind)) if typing.get_args(kind)[-1] is not Ellipsis else None
    return lambda data, where: _list(read, count, data, where)


def _inside(kind: Any) -> tuple[Any, bool]:
    """What an optional or a tuple is of, and whether it holds many; tuples of a fixed length hold one kind."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return arguments[0], True
    if origin in (typing.Union, types.UnionType) and len(arguments) == 2 and arguments[1] is type(None):
        return arguments[0], False
    return None, False


@cache
def _object_writer(kind: Any, without: str | None) -> _Write:
    hints = typing.get_type_hints(kind)
    parts = [(field.name, _writer(hints[field.name])) for field in fields(kind) if field.name != without]
    return lambda value: {name: write(getattr(value, name)) for name, write in parts}


@cache
def _object_reader(kind: Any, known: frozenset[str]) -> Callable[..., Any]:
    hints = typing.get_type_hints(kind)
    read_here = [field for field in fields(kind) if field.name not in known]
    readers = {field.name: _reader(hints[field.name]) for field in read_here}
    needed = [f.name for f in read_here if f.default is MISSING and f.default_factory is MISSING]

    def read(data: object, where: str, **rest: object) -> Any:
        given = table(data, where)
        for name in needed:
            if name not in given:
                raise BadInput(f"{where}.{name}: missing")
        for name in given:
            if name not in readers:
                raise BadInput(f"{where}.{str(name)[:40]}: is not known; known are {', '.join(readers)}")
        return kind(**rest, **{name: readers[name](value, f"{where}.{name}") for name, value in given.items()})

    return read


def _list(read: _Read, count: int | None, data: object, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise BadInput(f"{where}: must be a list, not {_kind(data)}")
    if count is not None and len(data) != count:
        raise BadInput(f"{where}: must be a list of {count}")
    return tuple(read(value, f"{where}[{i}]") for i, value in enumerate(data))


def text(data: object, where: str) -> str:
    """Return text; raises ``BadInput`` when it is none."""
    if not isinstance(data, str):
        raise BadInput(f"{where}: must be text, not {_kind(data)}")
    return data


def _number(data: object, where: str) -> float:
    if not isinstance(data, int | float) or isinstance(data, bool):
        raise BadInput(f"{where}: must be a number, not {_kind(data)}")
    try:
        number = float(data)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadInput(f"{where}: must be a finite number")
    return number


def _whole(data: object, where: str) -> int:
    if not isinstance(data, int) or isinstance(data, bool):
        raise BadInput(f"{where}: must be a whole number, not {_kind(data)}")
    return data


def _flag(data: object, where: str) -> bool:
    if not isinstance(data, bool):
        raise BadInput(f"{where}: must be true or false, not {_kind(data)}")
    return data


def _moment(data: object, where: str) -> datetime:
    value = text(data, where)
    try:
        when = datetime.fromisoformat(value)
        if when.utcoffset() is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadInput(f"{where}: must be an ISO 8601 time with its zone, not {value[:40]!r}")


def _one_of(kind: type[StrEnum], data: object, where: str) -> StrEnum:
    value = text(data, where)
    try:
        return kind(value)
    except ValueError:
        raise BadInput(f"{where}: {value[:40]!r} is not known") from None


def _position(data: object, where: str) -> Position:
    if not isinstance(data, list | tuple) or len(data) != 3:
        raise BadInput(f"{where}: must be [lat, lon, alt_amsl_m]")
    return Position(*(_number(value, where) for value in data))


def _timed_position(data: object, where: str) -> TimedPosition:
    given = table(data, where)
    for name in ("lat", "lon", "alt_amsl_m", "at"):
        if name not in given:
            raise BadInput(f"{where}.{name}: missing")
    place = Position(*(_number(given[name], f"{where}.{name}") for name in ("lat", "lon", "alt_amsl_m")))
    return TimedPosition(_moment(given["at"], f"{where}.at"), place)


def _write_timed_position(point: TimedPosition) -> Data:
    lat, lon, alt_amsl_m = _WRITERS[Position](point.position)
    return {"at": moment(point.at), "lat": lat, "lon": lon, "alt_amsl_m": alt_amsl_m}


_READERS: dict[Any, _Read] = {
    str: text,
    float: _number,
    int: _whole,
    bool: _flag,
    datetime: _moment,
    Position: _position,
    TimedPosition: _timed_position,
}

_WRITERS: dict[Any, _Write] = {
    str: lambda value: value,
    float: plain,
    int: lambda value: value,
    bool: lambda value: value,
    datetime: moment,
    Position: lambda place: [plain(place.lat), plain(place.lon), plain(place.alt_amsl_m)],
    TimedPosition: _write_timed_position,
}

_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false"}


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), "a number")
