"""Checks JSON against the request types of a vendor's own SDK, the strict way: an unknown
field, a missing one or a wrong type is an error, as it is at the vendor's server.

The types are the `TypedDict`s that the SDK documents its parameters with.
"""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from typing import Any

import typing_extensions


class Mismatch(AssertionError):
    """Where the value is not what the type says."""

    def __init__(self, path: str, text: str):
        super().__init__(f"{path}: {text}")
        self.path = path


def check(value: Any, kind: Any, path: str = "body") -> None:
    """Raises `Mismatch` unless `value` is a `kind`."""
    kind = bare(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (Any, object):
        return
    if origin in (typing.Union, types.UnionType):
        check_union(value, arguments, path)
    elif origin in (typing.Literal, typing_extensions.Literal):
        if not any(value == allowed and type(value) is type(allowed) for allowed in arguments):
            raise Mismatch(path, f"{value!r:.200} is none of {arguments}")
    elif typing_extensions.is_typeddict(kind):
        check_fields(value, kind, path)
    elif isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        expect(value, dict, path)
        for name, item in value.items():
            check(item, arguments[1], f"{path}.{name}")
    elif isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        expect(value, list, path)
        for index, item in enumerate(value):
            check(item, arguments[0], f"{path}[{index}]")
    else:
        expect(value, SCALARS.get(kind, kind), path)


#: JSON has one kind of number.
SCALARS = {None: type(None), float: (float, int)}


def expect(value: Any, kind: Any, path: str) -> None:
    # Python's booleans are integers, JSON's are not.
    number = isinstance(value, bool) and kind is not bool
    if number or not isinstance(kind, (type, tuple)) or not isinstance(value, kind):
        raise Mismatch(path, f"{value!r:.200} is no {kind}")


def check_union(value: Any, arms: tuple[Any, ...], path: str) -> None:
    """Any arm will do. The error is that of the arm which the value names as its own, or
    of the one that went furthest."""
    errors = []
    for arm in map(bare, arms):
        try:
            return check(value, arm, path)
        except Mismatch as error:
            errors.append((names(value, arm), len(error.path), error))
    raise max(errors, key=lambda tried: tried[:2])[2]


def names(value: Any, arm: Any) -> bool:
    """Whether the value's `type` or `role` is the one of this arm."""
    if not isinstance(value, dict) or not typing_extensions.is_typeddict(arm):
        return False
    hints = fields(arm)[0]
    marks = [mark for mark in ("type", "role") if mark in hints]
    return bool(marks) and all(value.get(mark) in typing.get_args(bare(hints[mark])) for mark in marks)


def check_fields(value: Any, kind: Any, path: str) -> None:
    expect(value, dict, path)
    hints, required = fields(kind)
    if missing := required - value.keys():
        raise Mismatch(path, f"{kind.__name__} lacks {sorted(missing)}")
    for name, item in value.items():
        if name not in hints:
            raise Mismatch(f"{path}.{name}", f"{kind.__name__} has no such field")
        check(item, hints[name], f"{path}.{name}")


@functools.cache
def fields(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """Every field's type by its name on the wire, and the names of the required ones."""
    found, required = {}, set()
    for name, hint in typing_extensions.get_type_hints(kind, include_extras=True).items():
        needed = total(kind, name)
        if typing.get_origin(hint) in (typing_extensions.Required, typing_extensions.NotRequired):
            needed = typing.get_origin(hint) is typing_extensions.Required
            (hint,) = typing.get_args(hint)
        # The SDKs keep a name that Python cannot say (`from`, `in`) in an annotation.
        marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
        name = next((mark.alias for mark in marks if getattr(mark, "alias", None)), name)
        found[name] = hint
        if needed:
            required.add(name)
    return found, required


def total(kind: Any, name: str) -> bool:
    """Whether fields are required by default where this one is defined."""
    for base in getattr(kind, "__orig_bases__", ()):
        if typing_extensions.is_typeddict(base) and name in base.__annotations__:
            return total(base, name)
    return kind.__total__


def bare(kind: Any) -> Any:
    """Without `Annotated` and names of types."""
    while True:
        if typing.get_origin(kind) in (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired):
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing_extensions.TypeAliasType):
            kind = kind.__value__
        else:
            return kind
