"""Trade frames of the exchanges that have templates, as Hypothesis draws them: usual, odd and spoilt ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

RECEIVED_NS = 1_767_225_600_200_000_000
T = TypeVar("T")


def mostly(usual: st.SearchStrategy[T], *odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """The usual one 15 times in 16 each: a frame has many fields, and one odd one makes it odd."""
    return st.integers(0, 15).flatmap(lambda roll: st.one_of(*odd) if roll == 7 else usual)


DIGITS = st.text("0123456789", max_size=20)
ODD_DECIMALS = (
    "", "0", "0.0", "-0", "-0.0", "-1", "+1", "1.", ".5", "00.5", "01", " 1", "1 ", "1_0", "0x1", "1,5",
    "nan", "inf", "Infinity", "1e5", "1E+5", "1e-5", "1.5e3", "1e400", "1e-400", "0e0", "5e-324", "\u0663",
    "9007199254740993", "9007199254740992.0", "0.9007199254740993", "123456789012345678", "1" + "0" * 30,
    "1.0000000000000002", "0.1000000000000000055511151231257827", "0." + "0" * 17 + "1",
    "0." + "0" * 18 + "1", "1." + "0" * 40, "0." + "0" * 25 + "1", "9" * 400,
)  # fmt: skip
DECIMALS = mostly(
    st.tuples(st.integers(1, 10**7), st.integers(0, 8), st.integers(0, 10**8 - 1)).map(
        lambda parts: f"{parts[0]}.{parts[2]:08d}"[: -parts[1] or None].rstrip(".")
    ),
    st.tuples(DIGITS, DIGITS).map(".".join),
    # about as many digits as a float holds, where a wrong rounding would show
    st.tuples(st.integers(2**51, 2**55), st.integers(1, 24)).map(
        lambda parts: (
            (digits := f"{parts[0]:025d}")[: -parts[1]].lstrip("0").rjust(1, "0") + f".{digits[-parts[1] :]}"
        )
    ),
    st.sampled_from(ODD_DECIMALS),
)
IDS = mostly(st.integers(0, 2**40), st.sampled_from([0, 10**18 - 1, 10**18, 2**63 - 1, 2**63, -1]))
TEXT_IDS = mostly(
    st.one_of(st.integers(0, 2**62).map(str), st.uuids().map(str)),
    st.sampled_from(["", "0", "007", "a\\nb", "é", "x" * 39, "x" * 40, "x" * 129, "12345678", "1" * 16]),
)
TIMES = mostly(
    st.integers(1_767_225_600_000, 1_767_225_601_000),
    st.sampled_from([0, 1, 1_230_768_000_000, 1_230_768_000_001, 1_767_229_200_200, 1_767_999_999_999]),
)
FLAGS = st.sampled_from(["true", "false"])


@st.composite
def symbols(draw: st.DrawFn, symbol: str) -> str:
    return draw(mostly(st.just(symbol), st.just("UNKNOWN")))


@st.composite
def binance(draw: st.DrawFn, symbol: str) -> str:
    symbol = draw(symbols(symbol))
    time_ms = draw(TIMES)
    execution = draw(mostly(st.sampled_from(["", '"X":"MARKET",']), st.just('"X":"NA",')))
    maker = draw(st.sampled_from(['"m":true', '"m":false', '"m":true,"M":true']))
    before, behind = draw(st.sampled_from([("", f'"T":{time_ms},'), (f'"T":{time_ms},', "")]))
    frame = (
        f'{{"e":"trade","E":{time_ms},{before}"s":"{symbol}","t":{draw(IDS)},"p":"{draw(DECIMALS)}",'
        f'"q":"{draw(DECIMALS)}",{behind}{execution}{maker}}}'
    )
    return draw(st.sampled_from([frame, f'{{"stream":"{symbol.lower()}@trade","data":{frame}}}']))


@st.composite
def bybit(draw: st.DrawFn, symbol: str) -> str:
    is_spot, head = draw(st.booleans()), draw(st.sampled_from([0, 0, 0, 1]))
    blocks = mostly(st.just("false"), st.sampled_from(["true", "null"]))
    ends = draw(st.sampled_from(["", f',"RPI":{draw(FLAGS)}', ',"seq":7', f',"RPI":{draw(FLAGS)},"seq":70']))
    items = []
    for _ in range(draw(mostly(st.integers(1, 3), st.just(0)))):
        side = draw(mostly(st.sampled_from(["Buy", "Sell"]), st.just("None")))
        tick = draw(mostly(st.sampled_from(["PlusTick", "ZeroMinusTick"]), st.just("")))
        name, size, price, time_ms = draw(symbols(symbol)), draw(DECIMALS), draw(DECIMALS), draw(TIMES)
        told = (
            f'"i":"{draw(TEXT_IDS)}","T":{time_ms},"p":"{price}","v":"{size}","S":"{side}","s":"{name}"'
            if is_spot
            else f'"T":{time_ms},"s":"{name}","S":"{side}","v":"{size}","p":"{price}",'
            f'"L":"{tick}","i":"{draw(TEXT_IDS)}"'
        )
        items.append(f'{{{told},"BT":{draw(blocks)}{ends}}}')
    kinds = ['"type":"snapshot","ts":1767225600130', '"ts":1767225600130,"type":"snapshot"']
    return f'{{"topic":"publicTrade.{symbol}",{kinds[head]},"data":[{",".join(items)}]}}'


@st.composite
def okx(draw: st.DrawFn, symbol: str) -> str:
    channel = draw(mostly(st.just("trades"), st.sampled_from(["trades-all", "tickers"])))
    counts = mostly(st.integers(1, 9), st.sampled_from([-1, 0, 2**31 - 1, 2**31]))
    end = draw(st.sampled_from(["", ',"source":"0","seqId":7', ',"seqId":123', ',"source":"0"']))
    is_counted = draw(st.booleans()) or bool(end)
    items = []
    for _ in range(draw(mostly(st.integers(1, 3), st.just(0)))):
        side = draw(mostly(st.sampled_from(["buy", "sell"]), st.just("")))
        count = f',"count":"{draw(counts)}"' if is_counted else ""
        items.append(
            f'{{"instId":"{draw(symbols(symbol))}","tradeId":"{draw(TEXT_IDS)}","px":"{draw(DECIMALS)}",'
            f'"sz":"{draw(DECIMALS)}","side":"{side}","ts":"{draw(TIMES)}"{count}{end}}}'
        )
    return f'{{"arg":{{"channel":"{channel}","instId":"{symbol}"}},"data":[{",".join(items)}]}}'


FRAMES: dict[str, Callable[[str], st.SearchStrategy[str]]] = {
    "BINANCE": binance,
    "BINANCE_FUTURES": binance,
    "BYBIT": bybit,
    "OKEX": okx,
}
MARKETS = (
    "BINANCE:btcusdt",
    "BINANCE_FUTURES:btcusdt",
    "BINANCE_FUTURES:btcusd_perp",
    "BYBIT:BTCUSDT",
    "BYBIT:BTCUSDT-SPOT",
    "BYBIT:BTCUSD",
    "OKEX:BTC-USDT",
    "OKEX:BTC-USDT-SWAP",
    "OKEX:BTC-USD-SWAP",
)


CONTROL = (
    "", "{}", "[]", "pong", "\ufeff{}", '{"result":null,"id":1}', '{"success":true,"op":"subscribe"}',
    '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}', '{"e":"serverShutdown"}',
)  # fmt: skip
ASIDE = ('"z":1', '"z":[1,[{"s":"x"}]]', '"z":{"p":"1"}', '"p":"7"', '"T":1767225600001', '"BT":false')
"""Fields that no template has, or has once already."""
PUNCTUATION = re.compile(r"[,:{}\[\]]")
FIELDS = re.compile(r'"\w+":(?:"[^"]*"|[\w.]+)')


@st.composite
def spoilt(draw: st.DrawFn, exchange: str, symbol: str) -> str | bytes:
    """Such a frame, one that is not quite so, or another one; as text or as bytes."""
    frame = draw(FRAMES[exchange](symbol))
    if draw(st.integers(0, 3)) == 3:
        frame = draw(st.sampled_from(SPOILING).flatmap(lambda spoil: spoil(frame)))
    return frame.encode("utf-8", "surrogatepass") if draw(st.integers(0, 7)) == 7 else frame


@st.composite
def changed(draw: st.DrawFn, frame: str) -> str:
    """Cut short, or with another character at some place."""
    place = draw(st.integers(0, len(frame) - 1))
    letter = draw(st.one_of(st.characters(max_codepoint=0x17F), st.sampled_from("0123456789.\ud800")))
    return draw(st.sampled_from([frame[:place], frame[:place] + letter + frame[place + 1 :]]))


@st.composite
def spaced(draw: st.DrawFn, frame: str) -> str:
    """With space where JSON allows it, or a field more."""
    place = draw(st.sampled_from([match.end() for match in PUNCTUATION.finditer(frame)] + [0, len(frame)]))
    aside = draw(
        st.sampled_from(
            [" ", "\n", "\t", *(f"{field}," for field in ASIDE), *(f",{field}" for field in ASIDE)]
        )
    )
    return frame[:place] + aside + frame[place:]


@st.composite
def reordered(draw: st.DrawFn, frame: str) -> str:
    """With two of its fields in each other's places, or one of them in both."""
    fields = [match.span() for match in FIELDS.finditer(frame)]
    (a, b), (c, d) = sorted(draw(st.lists(st.sampled_from(fields), min_size=2, max_size=2)))
    if a == c:
        return frame
    first = draw(st.sampled_from([frame[a:b], frame[c:d]]))
    return frame[:a] + frame[c:d] + frame[b:c] + first + frame[d:]


@st.composite
def escaped(draw: st.DrawFn, frame: str) -> str:
    """With a letter of some text in JSON's longer spelling, which means the same."""
    place = draw(st.sampled_from([at for at, letter in enumerate(frame) if letter.isalnum()]))
    return f"{frame[:place]}\\u{ord(frame[place]):04x}{frame[place + 1 :]}"


SPOILING: tuple[Callable[[str], st.SearchStrategy[str]], ...] = (
    changed,
    spaced,
    reordered,
    escaped,
    lambda frame: st.sampled_from([frame * 2, f"[{frame}]", frame + "}", f"{frame},{frame}"]),
    lambda _frame: st.sampled_from(CONTROL),
)
