"""Trades for the tests of bars and journal: seeded, drawn by Hypothesis, or from the reference data."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from hypothesis import strategies as st

from squeezeflow_plugin.feeds.blocks import TradeBlock, block_of
from squeezeflow_plugin.feeds.blocks import words as spelled
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, Trade
from tests.reference.bars_twin import TwinBar

MARKETS = ("X:a", "X:b", "Y:a")
START = 1_700_000_000


def bits(bar: Bar) -> bytes:
    """A bar's content for comparison to the bit; the revision left out, NaN equal to NaN."""
    return msgspec.msgpack.encode(msgspec.structs.replace(bar, revision=0))


def contents(bars: dict[tuple[str, int], Bar]) -> dict[tuple[str, int], bytes]:
    return {key: bits(bar) for key, bar in bars.items()}


def assert_equals_twin(bar: Bar, twin: TwinBar) -> None:
    prices = [None if math.isnan(value) else value for value in (bar.open, bar.high, bar.low, bar.close)]
    assert prices == [twin.open, twin.high, twin.low, twin.close]
    assert (bar.cbuy, bar.csell) == (twin.cbuy, twin.csell)
    for name in ("vbuy", "vsell", "lbuy", "lsell"):
        exact = float(getattr(twin, name))
        # At most some thousand additions of 2^-53 each.
        assert abs(getattr(bar, name) - exact) <= 1e-12 * exact, (name, bar, twin)


@st.composite
def tapes(draw: st.DrawFn, seconds: int = 6, max_size: int = 40) -> list[Trade]:
    """Trades in order of receipt, few ids and times, so that ties, repeats and out-of-order are common.

    The same identity has the same content wherever it occurs.
    """
    made: dict[tuple[str, bool, str], Trade] = {}
    identities = st.tuples(
        st.sampled_from(MARKETS), st.booleans(), st.integers(0, 1200).map(str), st.integers(0, 9)
    )
    tape = []
    for market, liquidation, trade_id, roll in draw(st.lists(identities, max_size=max_size)):
        identity = (market, liquidation and roll == 0, trade_id)
        if identity not in made:
            made[identity] = _drawn(draw, identity, seconds)
        tape.append(made[identity])
    return tape


def _drawn(draw: st.DrawFn, identity: tuple[str, bool, str], seconds: int) -> Trade:
    market, liquidation, trade_id = identity
    second = START + draw(st.integers(0, seconds - 1))
    offset = draw(st.sampled_from([0, 1, 2, 500_000_000, 999_999_999]))
    price = draw(st.floats(0.01, 1e5))
    size = draw(st.floats(1e-6, 1e4))
    count = draw(st.sampled_from([1, 1, 2, 300]))
    side = draw(st.sampled_from([1, -1]))
    when = second * NS_PER_SECOND + offset
    return Trade(market, when, trade_id, price, size, price * size, side, count, liquidation, when)


def reference_frame(shared: Path) -> pd.DataFrame:
    """46,452 real trades of three markets, received 1.25 s before they happened by the recorder's clock."""
    return pd.read_parquet(shared / "market_data" / "binance_btc_spot_usdm_coinm_20240808.parquet")


def trades_of(frame: pd.DataFrame) -> list[Trade]:
    """A table in the columns of the reference data as trades, in the table's order."""
    quote = frame["price"].to_numpy() * frame["size"].to_numpy()
    columns = zip(
        frame["market"],
        (frame["ts_ms"] * 1_000_000).tolist(),
        map(str, frame["trade_id"].tolist()),
        frame["price"].tolist(),
        frame["size"].tolist(),
        quote.tolist(),
        np.where(frame["side"] == "buy", 1, -1).tolist(),
        (frame["recv_ms"] * 1_000_000).tolist(),
        strict=True,
    )
    return [
        Trade(market, when, trade_id, price, size, notional, side, 1, False, received)
        for market, when, trade_id, price, size, notional, side, received in columns
    ]


def as_block(trades: list[Trade], words: int = 5) -> TradeBlock:
    """Trades, none of them a liquidation, as the block that a connection of their markets would have made."""
    markets = tuple(sorted({trade.market for trade in trades}))
    ints = [
        (
            trade.exchange_ns,
            markets.index(trade.market),
            trade.side * trade.count,
            trade.received_ns,
            len(trade.trade_id),
            _number_of(trade.trade_id),
        )
        for trade in trades
    ]
    floats = [(trade.price, trade.size, trade.quote) for trade in trades]
    ids = spelled([trade.trade_id for trade in trades], words)
    return block_of(markets, np.array(ints), ids, np.array(floats))


def _number_of(trade_id: str) -> int:
    if not trade_id.isdecimal() or len(trade_id) > 18:
        return -1
    number = int(trade_id)
    return number if str(number) == trade_id else -1
