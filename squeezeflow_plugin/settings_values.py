"""How the values of settings are read: from the text of a variable, or as a configuration file holds them."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from squeezeflow_plugin.errors import SettingsError

SHARD = re.compile(r"(\d{1,3})/(\d{1,3})")


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base URLs that replace an exchange's own, so that a stand-in can be used; None keeps its own."""

    rest: str | None = None
    ws: str | None = None


def secret(value: str, file: str, name: str) -> str:
    """The credential itself, or what the file holds; empty where neither is set.

    ``name`` is the file's setting. Raises SettingsError where the file cannot be read.
    """
    if not file:
        return value
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"{name} {file} cannot be read: {reason}; nothing is started") from None


def parameter(params: Mapping[str, Any], name: str, otherwise: float) -> float:
    """A parameter of the method, for who shows it without the method. Raises SettingsError for no number.

    >>> parameter({"min_score": 6}, "min_score", 4.0), parameter({}, "min_score", 4.0)
    (6.0, 4.0)
    """
    value = params.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"params: {name} must be a number, was {value!r}; nothing is started")
    return float(value)


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return tuple(msgspec.convert(value, list[str]))


def _endpoints(value: Any) -> Mapping[str, Endpoint]:
    if isinstance(value, str):
        return types.MappingProxyType(msgspec.json.decode(value, type=dict[str, Endpoint]))
    return types.MappingProxyType(msgspec.convert(dict(value), dict[str, Endpoint]))


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        value = msgspec.json.decode(value)
    return types.MappingProxyType(msgspec.convert(dict(value), dict[str, Any]))


def _texts(value: Any) -> Mapping[str, str]:
    if isinstance(value, str):
        value = msgspec.json.decode(value)
    return types.MappingProxyType(msgspec.convert(dict(value), dict[str, str]))


def _scalar(kind: type) -> Callable[[Any], Any]:
    return lambda value: msgspec.convert(value, kind, strict=not isinstance(value, str))


CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "int": _scalar(int),
    "float": _scalar(float),
    "bool": _scalar(bool),
    "str": _scalar(str),
    "Path": lambda value: Path(msgspec.convert(str(value), str)),
    "tuple[str, ...]": _names,
    "Mapping[str, Endpoint]": _endpoints,
    "Mapping[str, str]": _texts,
    "Mapping[str, Any]": _mapping,
}
