"""What the tests of the exchanges share: instruments by name, answers about instruments, what a plan asks."""

from __future__ import annotations

import json
from typing import Any

from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, StreamPlan
from squeezeflow_plugin.feeds.registry import classify
from squeezeflow_plugin.market import Instrument

T = 1_767_225_600_123


def named(*markets: str) -> list[Instrument]:
    """What the names say."""
    instruments = [classify(market) for market in markets]
    assert all(instruments)
    return [instrument for instrument in instruments if instrument is not None]


def told(adapter: ExchangeAdapter, position: int, body: Any) -> tuple[Instrument, ...]:
    """The instruments in an answer to the adapter's request at a position."""
    return adapter.parse_instruments(json.dumps(body).encode(), adapter.instrument_requests()[position])


def asked(plan: StreamPlan) -> list[Any]:
    """The plan's control frames."""
    return [json.loads(subscription.text) for subscription in plan.subscribe]
