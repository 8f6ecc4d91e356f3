"""What a store should hold, rebuilt from the generator's truth, and how far it does.

The truth is every trade the simulated exchanges sent, heard or not. A second of a market that the store
calls covered must hold the bar of all its trades; any other second must hold the bar of the trades that
were received, which the journal knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.frames import build_bars
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import BAR_FIELDS, Trade
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

_SUM_SLACK = 1e-12
UNSETTLED_S = 4  # a late trade may still be under way in the last seconds
_COLUMNS = ("ts_ms", "price", "size", "side", "market", "trade_id", "liquidation")
_CBUY, _CSELL = BAR_FIELDS.index("cbuy"), BAR_FIELDS.index("csell")

Key = tuple[int, str]
"""A second and a market."""
Values = tuple[float, ...]
"""A bar's fields in the order of BAR_FIELDS."""


class Sent(msgspec.Struct, frozen=True):
    """A line of the truth file; ``sent_ms`` is None for a liquidation."""

    market: str
    ts_ms: int
    trade_id: int
    price: float
    size: float
    side: str
    liquidation: bool
    sent_ms: int | None

    @property
    def key(self) -> Key:
        return self.ts_ms // 1000, self.market


@dataclass(frozen=True)
class Verdict:
    """Counts over the judged span; every one but the first four should be 0.

    ``lost`` trades that were received and are in no bar; ``duplicated`` trades that a bar has too many;
    ``wrong`` bars with the right trades and other values; ``unflagged`` trades missing from a second that is
    said to be covered, whenever they were sent; ``altered`` closing records that were read once and are
    different or gone; ``gaps`` seconds without a record. ``uncovered`` counts markets x
    seconds.
    """

    seconds: int = 0
    trades: int = 0
    bars: int = 0
    uncovered: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    unflagged: int = 0
    altered: int = 0
    gaps: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether all is as promised."""
        kept = {"seconds", "trades", "bars", "uncovered"}
        return self.trades > 0 and not any(
            getattr(self, each.name) for each in fields(self) if each.name not in kept
        )


def read_truth(path: Path) -> list[Sent]:
    """Every line of the simulator's truth file."""
    decoder = msgspec.json.Decoder(Sent, strict=False)  # prices and sizes are decimal texts
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def true_bars(sent: Iterable[Sent]) -> dict[Key, Values]:
    """The bars of everything sent."""
    rows = [tuple(getattr(each, name) for name in _COLUMNS) for each in sent]
    bars = build_bars(pd.DataFrame(rows, columns=list(_COLUMNS)))
    values = zip(*(bars[name].tolist() for name in BAR_FIELDS), strict=True)
    return dict(zip(zip(bars["time"].tolist(), bars["market"].tolist(), strict=True), values, strict=True))


def heard_bars(trades: Iterable[Trade]) -> dict[Key, Values]:
    """The bars of everything the journal has."""
    kept = list(trades)
    if not kept:
        return {}
    bars = bars_of_trades(columns_of_trades(kept)).bars()
    return {(bar.second, bar.market): tuple(getattr(bar, name) for name in BAR_FIELDS) for bar in bars}


def stored_bars(columns: BarColumns) -> dict[Key, Values]:
    """The store's latest revisions."""
    values = zip(*(getattr(columns, name).tolist() for name in BAR_FIELDS), strict=True)
    markets = [columns.names[number] for number in columns.market.tolist()]
    return dict(zip(zip(columns.second.tolist(), markets, strict=True), values, strict=True))


def judge(settings: Settings, truth: Path, seen: Mapping[int, bytes]) -> Verdict:
    """Compare store, journal and truth once the collector has ended.

    ``seen`` are the closing records that were read while it ran, encoded, by second.
    """
    store = EmbeddedBarStore(settings.store_path, readonly=True)
    try:
        records = {r.second: msgspec.msgpack.encode(r) for r in store.records(0, 2**40, [settings.collector])}
        first, stop = min(records), max(records) + 1
        end = stop - UNSETTLED_S
        covered = {
            (second, each.market)
            for each in store.coverage(first, end)
            for second in range(each.start, each.stop)
        }
        stored = stored_bars(store.bars(first, end))
    finally:
        store.close()
    with TradeJournal(settings.journal_dir) as journal:
        received = [trade for trade in journal.replay(first) if trade.second < end]
    sent = [each for each in read_truth(truth) if first <= each.ts_ms // 1000 < end]
    summed = {(trade.second, trade.market) for trade in received if trade.count > 1}
    counts = _compare(true_bars(sent), heard_bars(received), stored, covered, summed)
    markets = {each.market for each in sent}
    return Verdict(
        seconds=end - first,
        trades=sum(not each.liquidation for each in sent),
        bars=len(stored),
        uncovered=(end - first) * len(markets) - len(covered),
        lost=counts.lost,
        duplicated=counts.duplicated,
        wrong=counts.wrong,
        unflagged=counts.unflagged,
        altered=sum(records.get(second) != record for second, record in seen.items()),
        gaps=stop - first - len(records),
    )


@dataclass
class _Counts:
    """As ``Verdict`` has them."""

    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    unflagged: int = 0


def _compare(
    true: Mapping[Key, Values],
    heard: Mapping[Key, Values],
    stored: Mapping[Key, Values],
    covered: set[Key],
    summed: set[Key],
) -> _Counts:
    """``summed`` bars hold sums of fills that REST gave: their volumes are right but for the last bits."""
    found = _Counts()
    for key in true.keys() | stored.keys():
        want, got, have = (_trades(bars.get(key)) for bars in (true, heard, stored))
        lost = max(0, got - have)
        found.lost += lost
        found.duplicated += max(0, have - want)
        if have < want and key in covered:
            found.unflagged += max(0, want - have - lost)
        elif have == want and key in covered:
            found.wrong += not _same(stored.get(key), true.get(key), is_exact=key not in summed)
        elif have == got:
            found.wrong += not _same(stored.get(key), heard.get(key))
    return found


def _trades(bar: Values | None) -> int:
    return 0 if bar is None else int(bar[_CBUY] + bar[_CSELL])


def _same(one: Values | None, other: Values | None, *, is_exact: bool = True) -> bool:
    """Equal to the bit; the NaN prices of a second with liquidations only are equal, too."""
    if is_exact or one is None or other is None:
        return repr(one) == repr(other)
    return np.allclose(one, other, rtol=_SUM_SLACK, atol=0.0, equal_nan=True)
