"""Which markets are collected: the wanted assets' spot and perpetual markets in US dollars and the like.

Of an asset's spot markets, and of its perpetuals, the largest by the volume of a day are taken up to a cap.
Where markets are named one by one, these are taken and no others. A shard takes its part of what was chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from squeezeflow_plugin.bars.venues import asset_of
from squeezeflow_plugin.market import Instrument, MarketKind

_FLOW_KINDS = (MarketKind.SPOT, MarketKind.PERP)


@dataclass(frozen=True)
class Wanted:
    """What to look for: base assets and quote currencies, or ``markets`` by name where there are any.

    ``per_asset`` is the cap of an asset's markets of one kind, None for none.
    """

    assets: tuple[str, ...]
    quotes: tuple[str, ...]
    markets: tuple[str, ...] = ()
    per_asset: int | None = None
    volumes: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """A day's volume in quote currency by market; a market that is not there counts as 0."""


@dataclass(frozen=True)
class Selection:
    """``instruments`` ordered by market; ``notes`` say in a sentence each what was left out, ``gaps`` what is
    missing for the method.
    """

    instruments: tuple[Instrument, ...]
    notes: tuple[str, ...]
    gaps: tuple[str, ...]


def select_markets(known: Mapping[str, Sequence[Instrument]], wanted: Wanted) -> Selection:
    """Choose from each exchange's instruments.

    >>> btc = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
    >>> eur = Instrument("BINANCE:btceur", "BTCEUR", MarketKind.SPOT, "BTC", "EUR", "EUR")
    >>> selection = select_markets({"BINANCE": [btc, eur]}, Wanted(("BTC",), ("USDT", "USD")))
    >>> [instrument.market for instrument in selection.instruments]
    ['BINANCE:btcusdt']
    >>> selection.notes
    ('BINANCE: 1 markets of the assets left out, their quote is none of USDT, USD: btceur',)
    >>> selection.gaps
    ('BTC has no perp market on BINANCE; its perp flow stays 0 and it is never traded',)
    """
    if wanted.markets:
        return _named(known, wanted)
    taken: list[Instrument] = []
    notes: list[str] = []
    for exchange, instruments in known.items():
        of_assets = [i for i in instruments if asset_of(i.base) in wanted.assets]
        flows = [i for i in of_assets if i.kind in _FLOW_KINDS]
        taken += [i for i in flows if i.quote in wanted.quotes]
        notes += _left_out(
            exchange,
            [i for i in flows if i.quote not in wanted.quotes],
            f"their quote is none of {', '.join(wanted.quotes)}",
        )
        dated = [i for i in of_assets if i.kind not in _FLOW_KINDS]
        notes += _left_out(exchange, dated, "dated contracts are no part of the method")
    kept: list[Instrument] = []
    for (asset, kind), group in _groups(taken).items():
        ranked = sorted(group, key=lambda i: (-wanted.volumes.get(i.market, 0.0), i.market))
        kept += ranked[: wanted.per_asset]
        if smaller := ranked[len(ranked[: wanted.per_asset]) :]:
            names = " ".join(i.market for i in smaller)
            notes.append(
                f"{asset}: {len(smaller)} {kind.value} markets left out, {wanted.per_asset} others are"
                f" larger: {names}"
            )
    gaps = _gaps(wanted.assets, kept, known)
    return Selection(tuple(sorted(kept, key=lambda i: i.market)), tuple(notes), gaps)


def crowded_exchanges(known: Mapping[str, Sequence[Instrument]], wanted: Wanted) -> frozenset[str]:
    """The exchanges whose volumes decide which markets come under the cap; none where nothing exceeds it."""
    if wanted.markets or wanted.per_asset is None:
        return frozenset()
    fitting = [
        i
        for instruments in known.values()
        for i in instruments
        if asset_of(i.base) in wanted.assets and i.quote in wanted.quotes and i.kind in _FLOW_KINDS
    ]
    return frozenset(
        i.exchange for group in _groups(fitting).values() if len(group) > wanted.per_asset for i in group
    )


def in_shard(market: str, part: int, parts: int) -> bool:
    """Whether a market falls to part ``part`` (from 1) of ``parts``: by its name alone, so for good.

    >>> [sum(in_shard(f"X:{n}", part, 2) for n in range(1000)) for part in (1, 2)]
    [493, 507]
    """
    digest = hashlib.blake2b(market.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % parts == part - 1


def _groups(instruments: Iterable[Instrument]) -> dict[tuple[str, MarketKind], list[Instrument]]:
    """By asset and kind."""
    groups: dict[tuple[str, MarketKind], list[Instrument]] = {}
    for instrument in instruments:
        groups.setdefault((asset_of(instrument.base), instrument.kind), []).append(instrument)
    return groups


def _named(known: Mapping[str, Sequence[Instrument]], wanted: Wanted) -> Selection:
    """The markets that were named; those that no exchange knows, or that are no flow, are left out."""
    by_market = {i.market: i for instruments in known.values() for i in instruments}
    found = [by_market[market] for market in sorted(set(wanted.markets)) if market in by_market]
    taken = [i for i in found if i.kind in _FLOW_KINDS]
    notes = [
        f"{i.market} left out, dated contracts are no part of the method" for i in found if i not in taken
    ]
    unknown = [market for market in sorted(set(wanted.markets)) if market not in by_market]
    notes += [f"{market} left out, its exchange has no such open market" for market in unknown]
    assets = tuple(dict.fromkeys(asset_of(i.base) for i in taken))
    return Selection(tuple(taken), tuple(notes), _gaps(assets, taken, known))


def _gaps(assets: Iterable[str], taken: Sequence[Instrument], known: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        f"{asset} has no {kind.value} market on {', '.join(known) or 'any exchange'};"
        f" its {kind.value} flow stays 0 and it is never traded"
        for asset in assets
        for kind in _FLOW_KINDS
        if not any(asset_of(i.base) == asset and i.kind is kind for i in taken)
    )


def _left_out(exchange: str, instruments: Sequence[Instrument], reason: str) -> list[str]:
    if not instruments:
        return []
    names = " ".join(sorted(i.market.partition(":")[2] for i in instruments))
    return [f"{exchange}: {len(instruments)} markets of the assets left out, {reason}: {names}"]
