"""Recorded frames of the real exchanges, from the reference data, against what other programs made of them.

Every recording of a registered exchange must be used here or be excused by name: a new one fails until
somebody decides.
"""

from __future__ import annotations

import gzip
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from squeezeflow_plugin.feeds.adapter import Parsed
from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.feeds.parse import parse_file
from squeezeflow_plugin.feeds.registry import adapter, names
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from tests.integration import recorded

FRAMES = (
    "BINANCE/cryptofeed_BINANCE.ws.1.0.jsonl",
    "BINANCE/cryptomsgparser_binance.jsonl",
    "BINANCE/hftbacktest_btcusdt_20240808.jsonl.gz",
    "BINANCE/tardis_binance.jsonl",
    "BINANCE_FUTURES/cryptofeed_BINANCE_DELIVERY.ws.1.0.jsonl",
    "BINANCE_FUTURES/cryptofeed_BINANCE_FUTURES.ws.1.0.jsonl",
    "BINANCE_FUTURES/hftbacktest_btcusd_perp_20240808.jsonl.gz",
    "BINANCE_FUTURES/hftbacktest_btcusdt_20240808.jsonl.gz",
    "BINANCE_FUTURES/tardis_binance-delivery.jsonl",
    "BINANCE_FUTURES/tardis_binance-futures.jsonl",
)
EXCHANGE_INFO = "BINANCE_FUTURES/nautilus/spot__http_json__exchange_info_response.json"
RECOVERY = "an answer of the REST request that would repair a gap, which this version does not ask"
EXCUSED = {
    "BINANCE/nautilus/http_spot_market_agg_trades.json": RECOVERY,
    "BINANCE/nautilus/http_spot_market_trades.json": RECOVERY,
    "BINANCE_FUTURES/nautilus/http_futures_market_agg_trades.json": RECOVERY,
    "BINANCE_FUTURES/nautilus/http_futures_market_trades.json": RECOVERY,
}
JUDGED_BY_AGGR = [name for name in FRAMES if "tardis" in name or name.startswith("BINANCE/c")]
BARS = [name for name in FRAMES if "hftbacktest" in name]


class Line(NamedTuple):
    """A row of a recording, what Python's json makes of its frame, and what the adapter does."""

    number: int
    row: dict[str, Any]
    event: dict[str, Any]
    parsed: Parsed

    @property
    def trades(self) -> tuple[Trade, ...]:
        return self.parsed.trades + self.parsed.aggregates


def lines(path: Path) -> Iterator[Line]:
    """Linear and inverse futures in a recording of spot are read by the futures' adapter."""
    folder = path.parent.name
    sessions = {name: adapter(name).session() for name in names()}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for number, text in enumerate(file):
            row = json.loads(text)
            spot = row.get("market_type", "Spot") == "Spot"
            document = json.loads(row["raw"])
            parsed = sessions[folder if spot else "BINANCE_FUTURES"].parse(row["raw"], row.get("recv_ns", 0))
            yield Line(number, row, document.get("data", document), parsed)


def expectations(shared: Path, name: str, kind: str) -> dict[int, list[dict[str, Any]]]:
    stem = name.removesuffix(".gz").removesuffix(".jsonl")
    path = shared / "recordings" / f"{stem}.{kind}.jsonl"
    return {row["line"]: row["trades"] for row in map(json.loads, path.read_text().splitlines())}


def current_recordings(shared: Path) -> set[str]:
    """The files of registered exchanges that the manifest does not call outdated, and those it forgets."""
    folder = shared / "recordings"
    outdated = set()
    for text in (folder / "MANIFEST.md").read_text().splitlines():
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if len(cells) == 7 and "OUTDATED" in cells[6]:
            outdated.add(f"{cells[0]}/{cells[1]}")
    return {
        path.relative_to(folder).as_posix()
        for name in names()
        for path in (folder / name).rglob("*")
        if path.is_file() and ".expected_" not in path.name
    } - outdated


def test_every_current_recording_of_a_registered_exchange_is_used(shared: Path) -> None:
    used = {
        *FRAMES,
        EXCHANGE_INFO,
        *recorded.FRAMES,
        *recorded.UNJUDGED,
        *recorded.ANSWERS,
        *recorded.CONTROL,
    }
    excused = {*EXCUSED, *recorded.EXCUSED}
    assert current_recordings(shared) - used == excused, "use it, or excuse it with a reason"


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_says_what_a_plain_reading_of_it_says(shared: Path, name: str) -> None:
    trades = 0
    for line in lines(shared / "recordings" / name):
        event = line.event
        kind = event.get("e")
        if kind not in {"trade", "aggTrade", "forceOrder"}:
            assert line.parsed.other
            assert not line.trades
            continue
        (trade,) = line.trades
        fields = event["o"] if kind == "forceOrder" else event
        price, quantity = Decimal(fields["p"]), Decimal(fields["q"])
        if "USD_" in fields["s"]:
            contract = 100 if fields["s"].startswith("BTC") else 10
            assert trade.quote == float(quantity * contract)
            assert math.isclose(trade.size, float(quantity * contract / price), rel_tol=1e-15)
        else:
            assert trade.size == float(fields["q"])
            assert math.isclose(trade.quote, float(price * quantity), rel_tol=1e-15)
        taker_buys = fields["S"] == "BUY" if kind == "forceOrder" else not fields["m"]
        assert trade.price == float(fields["p"])
        assert trade.side == (1 if taker_buys else -1)
        assert trade.exchange_ns == fields["T"] * 1_000_000
        assert trade.market.partition(":")[2] == fields["s"].lower()
        assert trade.liquidation == (kind == "forceOrder")
        assert trade.count == (event["l"] - event["f"] + 1 if kind == "aggTrade" else 1)
        trades += 1
    assert trades


@pytest.mark.parametrize("name", JUDGED_BY_AGGR)
def test_agrees_with_aggr_server(shared: Path, name: str) -> None:
    """No difference to excuse: its known mistakes are not in these frames."""
    expected = expectations(shared, name, "expected_aggr")
    assert expected
    for line in lines(shared / "recordings" / name):
        if line.number not in expected:
            continue
        (theirs,), (trade,) = expected[line.number], line.trades
        assert theirs["pair"] == trade.market.partition(":")[2]
        assert theirs["timestamp"] * 1_000_000 == trade.exchange_ns
        assert theirs["price"] == trade.price
        assert math.isclose(theirs["size"], trade.size, rel_tol=1e-14)
        assert theirs["side"] == ("buy" if trade.side > 0 else "sell")
        assert theirs.get("liquidation", False) == trade.liquidation
        del expected[line.number]
    assert not expected


@pytest.mark.parametrize("name", [name for name in FRAMES if "tardis" in name])
def test_agrees_with_tardis(shared: Path, name: str) -> None:
    """Its amounts are contracts; its tickers are not ours to make."""
    compared = 0
    for line in lines(shared / "recordings" / name):
        expected = [e for e in line.row["expected_tardis"] if e["type"] in {"trade", "liquidation"}]
        assert len(expected) == len(line.trades)
        for theirs, trade in zip(expected, line.trades, strict=True):
            amount = trade.quote / 100 if ":btcusd_" in trade.market else trade.size
            assert theirs["symbol"].lower() == trade.market.partition(":")[2]
            assert theirs["price"] == trade.price
            assert theirs["amount"] == amount
            assert theirs["side"] == ("buy" if trade.side > 0 else "sell")
            assert (theirs["type"] == "liquidation") == trade.liquidation
            if theirs["type"] == "trade":
                assert theirs["id"] == trade.trade_id
            compared += 1
    assert compared


def test_agrees_with_crypto_msg_parser(shared: Path) -> None:
    compared = 0
    for line in lines(shared / "recordings" / "BINANCE/cryptomsgparser_binance.jsonl"):
        expected = line.row["expected_cmp"]
        assert bool(expected) == bool(line.trades)
        for trade in line.trades:
            assert float(expected["quantity_base"]) == trade.size
            assert expected["side"] == ("TradeSide::Buy" if trade.side > 0 else "TradeSide::Sell")
            compared += 1
    assert compared == 3


@pytest.mark.parametrize("name", BARS)
def test_seconds_of_the_parsed_trades_equal_the_exact_bars(shared: Path, name: str) -> None:
    """Through ``parse_file``, as the command does; volumes within a float's rounding of the Decimal sums."""
    folder = shared / "recordings"
    out, err = io.StringIO(), io.StringIO()
    summary = parse_file(name.partition("/")[0], folder / name, out, err)
    assert summary.rejected == 0
    seconds: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for trade in map(json.loads, out.getvalue().splitlines()):
        seconds[trade["exchange_ns"] // NS_PER_SECOND].append(trade)
    stem = name.removesuffix(".jsonl.gz")
    for kind in ("expected_decimal_bars_1s", "expected_aggr_bars_1s"):
        bars = list(map(json.loads, (folder / f"{stem}.{kind}.jsonl").read_text().splitlines()))
        assert [bar["time"] // 1000 for bar in bars] == sorted(seconds)
        for bar in bars:
            trades = sorted(
                seconds[bar["time"] // 1000], key=lambda t: (t["exchange_ns"], int(t["trade_id"]))
            )
            prices = [trade["price"] for trade in trades]
            assert [float(bar[key]) for key in ("open", "high", "low", "close")] == [
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
            ]
            for side in ("buy", "sell"):
                taken = [trade["quote"] for trade in trades if trade["side"] == side]
                assert bar[f"c{side}"] == len(taken)
                assert math.isclose(float(bar[f"v{side}"]), math.fsum(taken), rel_tol=1e-12)
            assert {trade["market"] for trade in trades} == {bar["market"]}


def test_an_exchange_info_answer(shared: Path) -> None:
    spot = BinanceSpot()
    body = (shared / "recordings" / EXCHANGE_INFO).read_bytes()
    (instrument,) = spot.parse_instruments(body, spot.instrument_requests()[0])
    assert (instrument.market, instrument.base, instrument.quote) == ("BINANCE:ethbtc", "ETH", "BTC")
