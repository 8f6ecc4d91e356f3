"""FreqTrade's parameter file, for what decides without FreqTrade: seconds backtests, parity, explanations.

``freqtrade hyperopt`` writes the best set beside the strategy, ``<userdir>/strategies/SqueezeFlow.json``::

    {"strategy_name": "SqueezeFlow", "params": {"buy": {"min_score": 4.5}, "sell": {"min_hold": 90}}}
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Final

import msgspec

from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.ranges import RANGES, WEIGHT_NAMES, params_of
from squeezeflow_plugin.settings import Settings

FILE_NAME: Final = "SqueezeFlow.json"
DECIMALS: Final = (
    9  # a search's steps leave a rounding behind, 0.15000000000000002, which the file does not keep
)
_NAMES: Final = tuple(field.name for field in fields(Params) if field.name != "regular")


class _Found(msgspec.Struct):
    """What is read of the file; other spaces (``roi``, ``protection``) are FreqTrade's affair."""

    buy: dict[str, float | int] = {}
    sell: dict[str, float | int] = {}


class _File(msgspec.Struct):
    params: _Found = msgspec.field(default_factory=_Found)


def tuned(settings: Settings, userdir: Path) -> Settings:
    """The settings with the file's values put in, as the strategy does; as they are where there is no file.

    What ``settings.params`` names is fixed. Raises SettingsError for a file that cannot be read,
    ParameterError for a value out of the method's bounds.
    """
    path = userdir / "strategies" / FILE_NAME
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File).params
    except FileNotFoundError:
        return settings
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(
            f"FreqTrade's parameter file {path} cannot be read: {error}; nothing is run"
        ) from error
    named = fixed(settings)
    given = found.buy | found.sell
    values = {
        name: round(value, DECIMALS) for name, value in given.items() if name in RANGES and name not in named
    }
    return with_params(settings, params_of(values, Params.from_mapping(settings.method)))


def fixed(settings: Settings) -> frozenset[str]:
    """The names of ``RANGES`` that the settings themselves fix."""
    named = frozenset(settings.params)
    return named | frozenset(WEIGHT_NAMES) if "weights" in named else named


def with_params(settings: Settings, params: Params) -> Settings:
    """The settings with all of the method's parameters said; the regular mode stays the settings'."""
    return replace(settings, params={name: getattr(params, name) for name in _NAMES})
