"""Which markets are collected: the wanted assets' spot and perpetual markets in US dollars and the like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from squeezeflow_plugin.market import Instrument, MarketKind

_FLOW_KINDS = (MarketKind.SPOT, MarketKind.PERP)


@dataclass(frozen=True)
class Selection:
    """``instruments`` ordered by market; ``notes`` say in a sentence each what was left out, ``gaps`` what is
    missing for the method.
    """

    instruments: tuple[Instrument, ...]
    notes: tuple[str, ...]
    gaps: tuple[str, ...]


def select_markets(
    known: Mapping[str, Sequence[Instrument]], assets: Iterable[str], quotes: Iterable[str]
) -> Selection:
    """Choose from each exchange's instruments.

    >>> btc = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
    >>> eur = Instrument("BINANCE:btceur", "BTCEUR", MarketKind.SPOT, "BTC", "EUR", "EUR")
    >>> selection = select_markets({"BINANCE": [btc, eur]}, ["BTC"], ["USDT", "USD"])
    >>> [instrument.market for instrument in selection.instruments]
    ['BINANCE:btcusdt']
    >>> selection.notes
    ('BINANCE: 1 markets of the assets left out, their quote is none of USDT, USD: btceur',)
    >>> selection.gaps
    ('BTC has no perp market on BINANCE; its perp flow stays 0 and it is never traded',)
    """
    wanted_assets, wanted_quotes = tuple(assets), tuple(quotes)
    taken: list[Instrument] = []
    notes: list[str] = []
    for exchange, instruments in known.items():
        of_assets = [i for i in instruments if i.base in wanted_assets]
        flows = [i for i in of_assets if i.kind in _FLOW_KINDS]
        taken += [i for i in flows if i.quote in wanted_quotes]
        notes += _left_out(
            exchange,
            [i for i in flows if i.quote not in wanted_quotes],
            f"their quote is none of {', '.join(wanted_quotes)}",
        )
        dated = [i for i in of_assets if i.kind not in _FLOW_KINDS]
        notes += _left_out(exchange, dated, "dated contracts are no part of the method")
    gaps = [
        f"{asset} has no {kind.value} market on {', '.join(known) or 'any exchange'};"
        f" its {kind.value} flow stays 0 and it is never traded"
        for asset in wanted_assets
        for kind in _FLOW_KINDS
        if not any(i.base == asset and i.kind is kind for i in taken)
    ]
    return Selection(tuple(sorted(taken, key=lambda i: i.market)), tuple(notes), tuple(gaps))


def _left_out(exchange: str, instruments: Sequence[Instrument], reason: str) -> list[str]:
    if not instruments:
        return []
    names = " ".join(sorted(i.market.partition(":")[2] for i in instruments))
    return [f"{exchange}: {len(instruments)} markets of the assets left out, {reason}: {names}"]
