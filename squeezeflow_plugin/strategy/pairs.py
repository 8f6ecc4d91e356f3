"""Which of FreqTrade's pairs are scored, on which markets; told when it changes, whatever changed it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import UnknownInstrumentError
from squeezeflow_plugin.market import Instrument
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.strategy.session import Session

log = logging.getLogger(__name__)
SEEK_S = 60
"""An unknown pair may be collected from some day on: it is looked for again after so many seconds."""


class PairChoice:
    """Follows the whitelist, which a dynamic pairlist changes at any time.

    Scored are the first ``max_symbols`` pairs that the store has a reference market for, and the pairs of
    open trades. The others keep the exchange's candles and are never entered.
    """

    def __init__(self, settings: Settings, exchange: str) -> None:
        self._settings = settings
        self._exchange = exchange
        self._seen: tuple[str, ...] | None = None
        self._chosen: Mapping[str, AssetMarkets] = {}
        self._told: set[str] = set()

    def is_new(self, whitelist: Sequence[str], held: Iterable[str]) -> bool:
        """Whether a pair has come or gone since the last choice."""
        return self._seen != _asked(whitelist, held)

    def choose(
        self, instruments: Collection[Instrument], whitelist: Sequence[str], held: Iterable[str]
    ) -> Mapping[str, AssetMarkets]:
        """The markets of every pair to score, in the order of the whitelist."""
        asked = _asked(whitelist, held)
        known = {pair: found for pair in asked if (found := self.find(instruments, pair)) is not None}
        kept = dict(list(known.items())[: self._settings.max_symbols])
        kept |= {pair: known[pair] for pair in sorted(set(held)) if pair in known}
        left = [pair for pair in known if pair not in kept]
        if left:
            self._tell(f"max_symbols is {self._settings.max_symbols}: {', '.join(left)} are not scored")
        for pair, markets in kept.items():
            log.log(
                logging.INFO if self._chosen.get(pair) != markets else logging.DEBUG,
                "%s",
                told(pair, markets),
            )
        self._seen, self._chosen = asked, kept
        return kept

    def find(self, instruments: Collection[Instrument], pair: str) -> AssetMarkets | None:
        """The markets of one pair; None, with one warning, where the store has none to price it by."""
        settings = self._settings
        try:
            return pair_markets(instruments, self._exchange, pair, settings.quotes, settings.references)
        except UnknownInstrumentError as error:
            self._tell(f"{error}; its candles are the exchange's")
            return None

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            log.warning("%s", line)


class LiveCandles:
    """The session's candles for FreqTrade's DataProvider: of scored pairs, and of others that are asked for.

    The latter are read from the store when they are asked for first, and go on with the session then.
    """

    def __init__(self, session: Session, choice: PairChoice) -> None:
        self._session = session
        self._choice = choice
        self._beside: dict[str, AssetMarkets] = {}
        self._sought: dict[str, int] = {}

    @property
    def pairs(self) -> Collection[str]:
        """The pairs that are scored."""
        return self._session.pairs

    def serves(self, pair: str) -> bool:
        """Whether the store has a market to price the pair by."""
        if pair in self._session.pairs or pair in self._beside:
            return True
        now = self._session.desk.next_second
        if now - self._sought.get(pair, -SEEK_S) < SEEK_S:
            return False
        self._sought[pair] = now
        markets = self._choice.find(self._session.instruments(), pair)
        if markets is not None:
            self._beside[pair] = markets
        return markets is not None

    def candles(self, pair: str, seconds: int) -> pd.DataFrame:
        """A pair's candles with flow columns, the last one forming. Raises StoreError."""
        markets = self._beside.get(pair)
        if pair not in self._session.pairs and markets is not None:
            self._session.hold_beside(pair, markets)
        return self._session.candles(pair, seconds)


def told(pair: str, markets: AssetMarkets) -> str:
    """One line: what the pair is scored on.

    >>> told("BTC/USDT", AssetMarkets("BTC", ("B:btcusdt",), (), "B:btcusdt"))
    'BTC/USDT is BTC, priced by B:btcusdt; spot flow of B:btcusdt; perpetual flow of none: never entered'
    """
    perp = ", ".join(markets.perp) or "none: never entered"
    spot = ", ".join(markets.spot) or "none: never entered"
    priced = f"{pair} is {markets.asset}, priced by {markets.reference}"
    return f"{priced}; spot flow of {spot}; perpetual flow of {perp}"


def _asked(whitelist: Sequence[str], held: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*whitelist, *sorted(set(held))]))
