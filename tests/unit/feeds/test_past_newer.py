"""Past trades are those of the stream: each exchange's documented answer beside its stream's own frames."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered
from squeezeflow_plugin.market import Instrument, MarketKind, Trade

S = 1_767_225_600
MS = S * 1000
NS = MS * 10**6
SPOT, PERP = MarketKind.SPOT, MarketKind.PERP


class Case(NamedTuple):
    """A market, one of its frames, and the answer that holds the same trade once more."""

    instrument: Instrument
    frame: object
    answer: object


def gate_future(**more: object) -> dict[str, object]:
    row = {"id": 7, "create_time": S, "contract": "BTC_USDT", "size": "-2.5", "price": "80000"}
    return row | more


CASES = [
    Case(
        Instrument("GATEIO:BTC_USDT-SPOT", "BTC_USDT", SPOT, "BTC", "USDT", "USDT"),
        {
            "channel": "spot.trades",
            "event": "update",
            "result": {
                "id": 7,
                "create_time": S,
                "create_time_ms": f"{MS + 123}.4560",
                "side": "sell",
                "currency_pair": "BTC_USDT",
                "amount": "0.5",
                "price": "80000",
            },
        },
        [
            {
                "id": "7",
                "create_time": str(S),
                "create_time_ms": f"{MS + 123}.456000",
                "currency_pair": "BTC_USDT",
                "side": "sell",
                "role": "taker",
                "amount": "0.5",
                "price": "80000",
            }
        ],
    ),
    Case(
        Instrument("GATEIO:BTC_USDT", "BTC_USDT", PERP, "BTC", "USDT", "USDT", 0.0001),
        {
            "channel": "futures.trades",
            "event": "update",
            "result": [gate_future(create_time_ms=MS + 123)],
        },
        [gate_future(create_time_ms=f"{S}.123")],
    ),
    Case(
        Instrument("KUCOIN:XBTUSDM", "XBTUSDM", PERP, "BTC", "USD", "BTC", 1.0, True),
        {
            "T": "trade.FUTURES",
            "P": NS,
            "d": {"s": "XBTUSDM", "S": "sell", "p": "80000", "q": "4000", "M": NS + 123_456_789, "ti": "7"},
        },
        {
            "code": "200000",
            "data": {
                "tradeType": "FUTURES",
                "list": [
                    {
                        "sequence": "9",
                        "tradeId": "7",
                        "price": "80000",
                        "size": "4000",
                        "side": "sell",
                        "ts": NS + 123_456_789,
                    }
                ],
            },
        },
    ),
    Case(
        Instrument("CRYPTOCOM:BTCUSD-PERP", "BTCUSD-PERP", PERP, "BTC", "USD", "USD"),
        {
            "id": -1,
            "method": "subscribe",
            "code": 0,
            "result": {
                "channel": "trade",
                "data": [
                    {"d": "7", "t": MS + 123, "p": "80000", "q": "0.5", "s": "SELL", "i": "BTCUSD-PERP"}
                ],
            },
        },
        {
            "id": -1,
            "method": "public/get-trades",
            "code": 0,
            "result": {
                "data": [
                    {
                        "s": "sell",
                        "p": "80000",
                        "q": "0.5",
                        "t": MS + 123,
                        "tn": NS,
                        "d": "7",
                        "i": "BTCUSD-PERP",
                    }
                ]
            },
        },
    ),
    Case(
        Instrument("DYDX:BTC-USD", "BTC-USD", PERP, "BTC", "USD", "USDC"),
        {
            "type": "channel_data",
            "id": "BTC-USD",
            "channel": "v4_trades",
            "contents": {
                "trades": [
                    {
                        "id": "07",
                        "size": "0.5",
                        "price": "80000",
                        "side": "SELL",
                        "type": "LIMIT",
                        "createdAt": "2026-01-01T00:00:00.123Z",
                    }
                ]
            },
        },
        {
            "trades": [
                {
                    "id": "07",
                    "side": "SELL",
                    "size": "0.5",
                    "price": "80000",
                    "type": "LIMIT",
                    "createdAt": "2026-01-01T00:00:00.123Z",
                    "createdAtHeight": "44849951",
                }
            ]
        },
    ),
    Case(
        Instrument("PHEMEX:BTCUSDT", "BTCUSDT", PERP, "BTC", "USDT", "USDT"),
        {
            "sequence": 9,
            "symbol": "BTCUSDT",
            "trades_p": [[NS + 123, "Sell", "80000", "0.5"]],
            "type": "incremental",
        },
        {
            "error": None,
            "id": 0,
            "result": {
                "sequence": 9,
                "symbol": "BTCUSDT",
                "trades_p": [[NS + 123, "Sell", "80000", "0.5"]],
                "type": "snapshot",
            },
        },
    ),
    Case(
        Instrument("PHEMEX:sBTCUSDT", "sBTCUSDT", SPOT, "BTC", "USDT", "USDT"),
        {
            "sequence": 9,
            "symbol": "sBTCUSDT",
            "trades": [[NS + 123, "Sell", 8_000_000_000_000, 50_000_000]],
            "type": "incremental",
        },
        {
            "error": None,
            "id": 0,
            "result": {"symbol": "sBTCUSDT", "trades": [[NS + 123, "Sell", 8_000_000_000_000, 50_000_000]]},
        },
    ),
    Case(
        Instrument("PHEMEX:BTCUSD", "BTCUSD", PERP, "BTC", "USD", "BTC", 1.0, True),
        {
            "sequence": 9,
            "symbol": "BTCUSD",
            "trades": [[NS + 123, "Sell", 800_000_000, 4000]],
            "type": "incremental",
        },
        {
            "error": None,
            "id": 0,
            "result": {"symbol": "BTCUSD", "trades": [[NS + 123, "Sell", 800_000_000, 4000]]},
        },
    ),
    Case(
        Instrument("ASTER:BTCUSDT", "BTCUSDT", PERP, "BTC", "USDT", "USDT"),
        {
            "e": "aggTrade",
            "E": MS + 130,
            "s": "BTCUSDT",
            "a": 7,
            "p": "80000.0",
            "q": "0.5",
            "f": 10,
            "l": 12,
            "T": MS + 123,
            "m": True,
        },
        [{"a": 7, "p": "80000.0", "q": "0.5", "f": 10, "l": 12, "T": MS + 123, "m": True}],
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=[case.instrument.market for case in CASES])
BODIES = (b"", b"null", b"[1]", b"<html>", b'{"data":[{}],"result":{},"trades":1}', b'{"x":' * 5000)


def past_of(instrument: Instrument) -> PastTrades:
    found = registry.past_trades(instrument.exchange)
    assert found is not None
    return found


def asked(instrument: Instrument, gap: Gap) -> RestRequest:
    request = past_of(instrument).request(instrument, gap)
    assert request is not None
    return request


def streamed(case: Case) -> Trade:
    adapter = registry.adapter(case.instrument.exchange)
    (plan,) = (plan for plan in adapter.plan([case.instrument]) if plan.markets)
    parsed = None
    session = adapter.session(plan)
    for _ in range(2):  # the first frame is a replay on some exchanges
        parsed = session.parse(msgspec.json.encode(case.frame).decode(), 0)
    assert parsed is not None
    (trade,) = parsed.trades
    return trade


def read(case: Case, answer: object, gap: Gap, request: RestRequest | None = None) -> Recovered:
    request = request or asked(case.instrument, gap)
    return past_of(case.instrument).read(msgspec.json.encode(answer), request, case.instrument, gap)


@every_case
def test_the_answer_holds_the_streams_trade(case: Case) -> None:
    trade = streamed(case)
    page = read(case, case.answer, Gap(case.instrument.market, trade.trade_id, trade.exchange_ns))
    assert page.trades == (trade,)
    assert (page.complete, page.following) == (True, None)


@every_case
def test_an_answer_that_cannot_be_read_is_named(case: Case) -> None:
    gap = Gap(case.instrument.market, "7", NS)
    request = asked(case.instrument, gap)
    for body in BODIES:
        with pytest.raises(FeedProtocolError, match=case.instrument.exchange):
            past_of(case.instrument).read(body, request, case.instrument, gap)


def case_of(market: str) -> Case:
    return next(case for case in CASES if case.instrument.market == market)


@pytest.mark.parametrize(
    ("market", "first", "following"),
    [
        (
            "GATEIO:BTC_USDT-SPOT",
            {"last_id": "99", "reverse": "true"},
            {"last_id": "7", "reverse": "true"},
        ),
        ("GATEIO:BTC_USDT", {"from": str(S - 5), "to": str(S + 8)}, {"from": str(S - 5), "to": str(S + 1)}),
        (
            "CRYPTOCOM:BTCUSD-PERP",
            {"start_ts": str(MS - 5000), "end_ts": str(MS + 7001)},
            {"start_ts": str(MS - 5000), "end_ts": str(MS + 124)},
        ),
        (
            "DYDX:BTC-USD",
            {"createdBeforeOrAt": "2026-01-01T00:00:07.000Z"},
            {"createdBeforeOrAt": "2026-01-01T00:00:00.123Z"},
        ),
    ],
)
def test_pages_go_back_from_the_gaps_end(
    market: str, first: dict[str, str], following: dict[str, str]
) -> None:
    case = case_of(market)
    gap = Gap(market, "1", NS - 5 * 10**9, "99", NS + 7 * 10**9)
    request = asked(case.instrument, gap)
    assert first.items() <= dict(request.params).items()
    page = read(case, case.answer, gap, request)
    assert not page.complete
    assert page.following is not None
    assert following.items() <= dict(page.following.params).items()
    assert page.following.headers == request.headers
    again = read(case, case.answer, gap, page.following)
    assert (again.following, again.complete) == (None, False), "the same page twice leads nowhere"


@pytest.mark.parametrize(
    ("market", "path", "full"),
    [("GATEIO:BTC_USDT", (), 1000), ("CRYPTOCOM:BTCUSD-PERP", ("result", "data"), 150)],
)
def test_a_page_from_a_time_on_that_is_not_full_is_all_there_was_since_then(
    market: str, path: tuple[str, ...], full: int
) -> None:
    case = case_of(market)
    begun, known = (Gap(market, number, NS - 10**9, "99", NS + 7 * 10**9) for number in ("", "1"))

    def with_rows(count: int) -> object:
        (row,) = _inside(case.answer, path)
        answer: object = [row] * count
        for name in reversed(path):
            answer = {name: answer}
        return answer

    for count in (0, 1, full - 1):
        assert read(case, with_rows(count), begun).complete
        assert not read(case, with_rows(count), known).complete, "the trade before it is not among them"
    page = read(case, with_rows(full), begun)
    assert (page.complete, page.following is None) == (False, False)


def _inside(answer: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        answer = answer[name]
    return answer


def test_gates_contracts_are_asked_for_in_fractions() -> None:
    request = asked(case_of("GATEIO:BTC_USDT").instrument, Gap("GATEIO:BTC_USDT", "1", NS))
    assert request.headers == (("X-Gate-Size-Decimal", "1"),)


def test_what_the_stream_leaves_out_is_left_out() -> None:
    gate, dydx = case_of("GATEIO:BTC_USDT"), case_of("DYDX:BTC-USD")
    gap = Gap(gate.instrument.market, "1", NS)
    internal = gate_future(create_time_ms=f"{S}.5", id=8, is_internal=True)
    page = read(gate, [internal, *msgspec.convert(gate.answer, list[object])], gap)
    assert ([trade.trade_id for trade in page.trades], page.left_out) == (["7"], ("8",))
    row = {"id": "08", "side": "BUY", "size": "1", "price": "2", "createdAt": "2026-01-01T00:00:01Z"}
    page = read(dydx, {"trades": [row | {"type": "DELEVERAGED"}]}, Gap(dydx.instrument.market, "1", NS))
    assert (page.trades, page.left_out) == ((), ("08",))


def test_asters_pages_go_on_by_id() -> None:
    case = case_of("ASTER:BTCUSDT")
    gap = Gap(case.instrument.market, "a7", NS + 123_000_000, "a2000", NS + 10**10)
    request = asked(case.instrument, gap)
    assert dict(request.params)["startTime"] == str(MS + 123)
    rows = [
        {"a": 7 + n, "p": "80000.0", "q": "0.5", "f": n, "l": n, "T": MS + 123, "m": True}
        for n in range(1000)
    ]
    page = read(case, rows, gap, request)
    assert page.following is not None
    assert dict(page.following.params).get("fromId") == "1007"
    assert "startTime" not in dict(page.following.params)
    assert read(case, rows[:5], gap, page.following).complete


def test_phemexs_answer_of_another_market_is_not_used() -> None:
    case = case_of("PHEMEX:BTCUSDT")
    with pytest.raises(FeedProtocolError, match="names another market"):
        read(case, {"result": {"symbol": "ETHUSDT", "trades_p": []}}, Gap(case.instrument.market, "1", NS))
