"""Why a pair was scored as it was at one second, from the store, as it was known then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import StoreEmptyError
from squeezeflow_plugin.features.layout import WINDOW_NAMES, WINDOW_ROWS
from squeezeflow_plugin.phases.evidence import number
from squeezeflow_plugin.phases.explain import Explanation, explain
from squeezeflow_plugin.phases.fragility import Fragility
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.reasons import lines, reason
from squeezeflow_plugin.provider.closings import complete_until
from squeezeflow_plugin.provider.desk import open_desk, pair_markets
from squeezeflow_plugin.provider.timeline import TimelineSpec
from squeezeflow_plugin.provider.venues import MarketFlows, judge, market_flows
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.registry import open_store


@dataclass(frozen=True, slots=True)
class MarketShare:
    """What one market gave to its class over a window: taker volumes in quote currency.

    ``share`` is the part of the class's volume, 0 where the class did not trade.
    """

    market: str
    kind: str
    window: str
    buy: float
    sell: float
    share: float

    @property
    def delta(self) -> float:
        return self.buy - self.sell


@dataclass(frozen=True, slots=True)
class PairExplanation:
    """A pair's second explained; ``fragility`` None where there was no signal to judge."""

    pair: str
    told: Explanation
    shares: tuple[MarketShare, ...]
    fragility: Fragility | None

    @property
    def reason(self) -> str:
        """What happened or what was missing, in a line."""
        words = reason(self.told)
        return (
            f"{words}; {self.fragility}" if self.fragility is not None and self.fragility.fragile else words
        )


def explain_pair(
    store: BarStore, pair: str, markets: AssetMarkets, params: Params, horizon_s: int, second: int
) -> PairExplanation:
    """Explain the pair's second by the records up to its own.

    Raises StoreEmptyError where the store does not hold it, or its market had not traded by then.
    """
    spec = TimelineSpec(params, params.warmup_rows, horizon_s)
    rows = open_desk(store, {pair: markets}, spec, second + 1).timelines[pair].rows
    first = rows.first_priced
    if first is None or first > second:
        raise StoreEmptyError(f"{markets.reference} has not traded up to second {second}; there is no score")
    flow = rows.flow(max(first, second + 1 - params.warmup_rows), second + 1)
    told = explain(flow, params)
    decision = told.decision
    direction = decision.eligible or decision.entry
    judged = judge(store, markets, flow, direction, params, second) if direction else None
    flows = market_flows(store, markets, second + 1 - WINDOW_ROWS[-1], second + 1, second)
    return PairExplanation(pair, told, tuple(_shares(flows)), judged)


def run_explain(settings: Settings, exchange: str, pair: str, second: int) -> PairExplanation:
    """Explain a second by the settings' store; ``exchange`` is FreqTrade's name of the traded exchange.

    Raises StoreEmptyError where the second is not closed, UnknownInstrumentError for an unknown pair.
    """
    store = open_store(settings)
    try:
        span, stop = store.span(), complete_until(store, settings.collectors)
        if span is None or stop is None:
            raise StoreEmptyError(
                f"{settings.store_path} holds no closed second; there is nothing to explain"
            )
        if not span[0] <= second < stop:
            raise StoreEmptyError(
                f"second {second} is not in {settings.store_path}, which holds {span[0]} to {stop - 1}"
            )
        markets = pair_markets(store.instruments(), exchange, pair, settings.quotes, settings.references)
        params = Params.from_mapping(settings.method)
        return explain_pair(store, pair, markets, params, settings.revision_horizon_s, second)
    finally:
        store.close()


def _shares(flows: MarketFlows) -> Iterator[MarketShare]:
    for window, rows in zip(WINDOW_NAMES, WINDOW_ROWS, strict=True):
        buy, sell = flows.buy[:, -rows:].sum(axis=1), flows.sell[:, -rows:].sum(axis=1)
        spots = len(flows.markets.spot)
        for kind, part in (("spot", slice(0, spots)), ("perp", slice(spots, None))):
            total = float((buy[part] + sell[part]).sum())
            for place, market in enumerate(flows.markets.all[part], part.start):
                both = float(buy[place]), float(sell[place])
                yield MarketShare(market, kind, window, *both, sum(both) / total if total else 0.0)


def text_lines(found: PairExplanation) -> Iterator[str]:
    """The explanation as text: the reason first, then phase by phase, the markets, the venues left out."""
    first, *rest = lines(found.told)
    yield f"{found.pair} second {found.told.decision.second}: {first}"
    yield from rest
    yield "flow by market: volume, share of the class, delta"
    for share in found.shares:
        yield (
            f"  {share.window} {share.kind} {share.market} {number(share.buy + share.sell)}"
            f" {share.share:.1%} {number(share.delta)}"
        )
    if found.fragility is not None and found.fragility.left_out:
        yield "fragile" if found.fragility.fragile else "not fragile: it stands without each venue"
        for each in found.fragility.left_out:
            stands = "stands" if each.stands else "gone"
            yield f"  without {each.venue} {each.kind}: score {each.score:.4f}, {stands}"


def to_json(found: PairExplanation) -> bytes:
    """The explanation as a JSON object: every check with value, rule, threshold and rows; NaN is null."""
    told: dict[str, Any] = msgspec.to_builtins(found.told)
    body = {
        "pair": found.pair,
        "second": found.told.decision.second,
        "reason": found.reason,
        "veto": found.told.decision.veto,
        "score_before_clip": found.told.score_before_clip,
        **told,
        "markets": [{**msgspec.to_builtins(share), "delta": share.delta} for share in found.shares],
        "fragile": None if found.fragility is None else found.fragility.fragile,
        "left_out": [] if found.fragility is None else msgspec.to_builtins(found.fragility.left_out),
    }
    return msgspec.json.encode(body)
