"""FreqTrade's parameter file: put in where it is, and never over what the settings say themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.errors import ParameterError, SettingsError
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.tuning import FILE_NAME, tuned
from squeezeflow_plugin.settings import Settings


def written(userdir: Path, **spaces: dict[str, Any]) -> Path:
    path = userdir / "strategies" / FILE_NAME
    path.parent.mkdir()
    path.write_text(json.dumps({"strategy_name": "SqueezeFlow", "params": spaces, "ft_stratparam_v": 1}))
    return userdir


def test_without_a_file_the_settings_stay(tmp_path: Path) -> None:
    settings = Settings(params={"min_score": 5.0})
    assert tuned(settings, tmp_path) is settings


def test_its_values_are_put_in_and_foreign_ones_left_alone(tmp_path: Path) -> None:
    buy = {"min_score": 4.5, "weight_bias": 1.0, "setup_ttl": 2400, "of_another_strategy": 7}
    userdir = written(tmp_path, buy=buy, sell={"exit_threshold": 1.5}, roi={"0": 100.0}, max_open_trades={})
    found = Params.from_mapping(tuned(Settings(), userdir).method)
    assert found == Params(min_score=4.5, weights=(3.5, 2.5, 2.0, 1.0), setup_ttl=2400, exit_threshold=1.5)


def test_what_the_settings_name_is_fixed(tmp_path: Path) -> None:
    userdir = written(tmp_path, buy={"min_score": 4.5, "weight_bias": 1.0, "rearm": 60})
    settings = Settings(params={"min_score": 6, "weights": [1.0, 1.0, 1.0, 1.0]}, enable_1s_mode=False)
    found = Params.from_mapping(tuned(settings, userdir).method)
    assert found == Params(min_score=6, weights=(1.0, 1.0, 1.0, 1.0), rearm=60, regular=True)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    userdir = written(tmp_path, buy={"min_score": 40.0})
    with pytest.raises(ParameterError, match="min_score must be in"):
        tuned(Settings(), userdir)
    (userdir / "strategies" / FILE_NAME).write_text("{")
    with pytest.raises(SettingsError, match=r"SqueezeFlow\.json cannot be read: .*; nothing is run"):
        tuned(Settings(), userdir)
