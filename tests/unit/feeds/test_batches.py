"""What templates take is what the session's own ``parse`` takes, bit by bit; the rest they leave to it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import FrameParser, Parsed
from squeezeflow_plugin.feeds.batches import BatchReader, BatchReaders
from squeezeflow_plugin.feeds.registry import adapter, classify, names
from squeezeflow_plugin.feeds.scanning import read_frames
from squeezeflow_plugin.market import Instrument
from tests.unit.feeds.spelling import FRAMES, MARKETS, RECEIVED_NS, spoilt


def instrument(market: str) -> Instrument:
    found = classify(market)
    assert found is not None
    return found


def reader(known: Instrument, least: int = 1) -> BatchReader:
    return BatchReader(adapter(known.exchange).templates, [known], least=least)


def session(known: Instrument) -> FrameParser:
    exchange = adapter(known.exchange)
    return exchange.session(exchange.plan([known])[0])


def told(parser: FrameParser, frame: str | bytes, received_ns: int) -> list[str]:
    """Everything that a frame says, trade by trade."""
    try:
        parsed = parser.parse(frame, received_ns)
    except FeedProtocolError as error:
        return [str(error)]
    if parsed == Parsed(parsed.trades):
        return [repr(trade) for trade in parsed.trades]
    return [repr(parsed)]


def told_at_once(
    known: Instrument, frames: Sequence[str | bytes], received: Sequence[int], least: int
) -> list[str]:
    parser, found = session(known), []
    for each in reader(known, least).read(frames, received):
        if isinstance(each, int):
            found += told(parser, frames[each], received[each])
        else:
            assert len(each.ints)
            seconds = [trade.second for trade in each.trades()]
            assert (each.first, each.last) == (min(seconds), max(seconds))
            found += [repr(trade) for trade in each.trades()]
    return found


@pytest.mark.parametrize("market", MARKETS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_batches_say_what_the_session_says(market: str, data: st.DataObject) -> None:
    known = instrument(market)
    frames = data.draw(st.lists(spoilt(known.exchange, known.symbol), min_size=1, max_size=8))
    received = [RECEIVED_NS + n for n in range(len(frames))]
    parser = session(known)
    one_by_one = [
        line for frame, ns in zip(frames, received, strict=True) for line in told(parser, frame, ns)
    ]
    assert told_at_once(known, frames, received, data.draw(st.integers(0, 3))) == one_by_one


USUAL = {
    "BINANCE:btcusdt": (
        '{"e":"trade","E":1767225600124,"s":"BTCUSDT","t":7,"p":"88000.10000000","q":"0.00100000",'
        '"T":1767225600123,"m":true,"M":true}'
    ),
    "BINANCE_FUTURES:btcusdt": (
        '{"e":"trade","E":1767225600124,"T":1767225600123,"s":"BTCUSDT","t":7,"p":"88000.10","q":"0.001",'
        '"X":"MARKET","m":false}'
    ),
    "BYBIT:BTCUSDT": (
        '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1767225600130,"data":[{"T":1767225600123,'
        '"s":"BTCUSDT","S":"Sell","v":"0.5","p":"80000.00","L":"MinusTick",'
        '"i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,"RPI":true,"seq":9},{"T":1767225600123,'
        '"s":"BTCUSDT","S":"Buy","v":"1","p":"80000.10","L":"PlusTick",'
        '"i":"20f43950-d8dd-5b31-9112-a178eb6023b0","BT":false,"RPI":false,"seq":9}]}'
    ),
    "BYBIT:BTCUSDT-SPOT": (
        '{"topic":"publicTrade.BTCUSDT","ts":1767225600130,"type":"snapshot","data":[{"i":"2290000000061666327"'
        ',"T":1767225600123,"p":"88000.5","v":"0.25","S":"Sell","s":"BTCUSDT","BT":false,"RPI":false,"seq":9}]}'
    ),
    "OKEX:BTC-USDT-SWAP": (
        '{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
        '"tradeId":"9","px":"80000","sz":"50","side":"sell","ts":"1767225600123","count":"2","seqId":1}]}'
    ),
}


@pytest.mark.parametrize("market", USUAL)
def test_usual_frames_are_taken(market: str) -> None:
    (block,) = reader(instrument(market)).read([USUAL[market]] * 3, [RECEIVED_NS] * 3)
    assert not isinstance(block, int)
    parser = session(instrument(market))
    assert block.trades() == 3 * list(parser.parse(USUAL[market], RECEIVED_NS).trades)


def test_a_frame_with_a_block_trade_is_left_to_the_session() -> None:
    market = "BYBIT:BTCUSDT"
    frame = USUAL[market].replace('"BT":false', '"BT":true', 1)
    assert list(reader(instrument(market)).read([USUAL[market], frame], [RECEIVED_NS] * 2))[1:] == [1]


@pytest.mark.parametrize("market", ["BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt"])
@pytest.mark.parametrize("frame", ["{0},{0}", '{{"stream":"a@trade","data":{0},{0}}}'])
def test_only_a_list_has_several_items(market: str, frame: str) -> None:
    spelled = frame.format(USUAL[market])
    assert list(reader(instrument(market)).read([spelled], [RECEIVED_NS])) == [0]


def test_few_frames_in_a_row_are_left_to_the_session() -> None:
    usual, other = USUAL["BINANCE:btcusdt"], "{}"
    frames = [usual, usual, other, usual, usual, usual, other, other, usual]
    read = reader(instrument("BINANCE:btcusdt"), least=3).read
    found = list(read(frames, [RECEIVED_NS] * 9))
    assert [each if isinstance(each, int) else each.trades() for each in found] == [
        0, 1, 2, list(session(instrument("BINANCE:btcusdt")).parse(usual, RECEIVED_NS).trades) * 3, 6, 7, 8
    ]  # fmt: skip
    assert list(read(frames[:2], [RECEIVED_NS] * 2)) == [0, 1]


def test_a_block_owns_its_trades() -> None:
    known, usual = instrument("BINANCE:btcusdt"), USUAL["BINANCE:btcusdt"]
    chosen = reader(known)
    (block,) = chosen.read([usual] * 2, [RECEIVED_NS] * 2)
    assert not isinstance(block, int)
    before = block.trades()
    list(chosen.read([usual.replace('"t":7', '"t":123456789')] * 4, [RECEIVED_NS] * 4))
    assert block.trades() == before


def test_every_frame_is_left_to_the_session_where_no_market_is_planned() -> None:
    templates = adapter("BINANCE").templates
    assert list(BatchReader(templates, [], least=1).read(["{}", "[]"], [1, 2])) == [0, 1]


def test_readers_are_given_once_their_code_is_loaded_and_where_there_are_templates() -> None:
    readers = BatchReaders()
    plans = {
        name: adapter(name).plan([instrument(market)])
        for name, market in (("BINANCE", "BINANCE:btcusdt"), ("KRAKEN", "KRAKEN:XBT/USD"))
    }
    assert readers.reader(adapter("BINANCE"), plans["BINANCE"][0], 1, 1) is None
    readers.load()
    list(reader(instrument("BYBIT:BTCUSDT")).read(["{}"], [RECEIVED_NS]))
    assert len(read_frames.signatures) == 1  # type: ignore[attr-defined]  # nothing else has to be compiled
    assert isinstance(readers.reader(adapter("BINANCE"), plans["BINANCE"][0], 1, 1), BatchReader)
    assert readers.reader(adapter("KRAKEN"), plans["KRAKEN"][0], 1, 1) is None


def test_every_exchange_with_templates_is_tested_here() -> None:
    assert {name for name in names() if adapter(name).templates} == set(FRAMES)
