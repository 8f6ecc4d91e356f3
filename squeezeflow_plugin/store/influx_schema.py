"""What stands where in InfluxDB: aggr-server's schema, and beside it what closing records need.

====================  ==================  ========================  ======================================
retention policy      measurement         tags                      fields
====================  ==================  ========================  ======================================
``aggr_1s``           ``trades_1s``       ``market``                open high low close vbuy vsell cbuy csell
                                                                    lbuy lsell, all floats
``aggr_1m`` .. 4h     ``trades_1m`` ..    ``market``                the same
``aggr_1s``           ``closings_1s``     ``collector``             see ``influx_record``
``aggr_1s``           ``coverage_1s``     ``collector`` ``market``  covered (boolean), written at each change
                                                                    and at each whole minute
``aggr_1s``           ``open_interest``   ``market``                base (base units), usd, age_s
``aggr_1s``           ``funding``         ``market``                rate (fraction), age_s
``squeezeflow``       ``instruments``     ``market``                description (JSON), at time 0
``squeezeflow``       ``market_lists``    ``digest``                names (JSON), at time 0
``squeezeflow_live``  ``records_1s``      ``collector``             record (packed), the last hour only
====================  ==================  ========================  ======================================

A point's time is its second. aggr-server writes counts as floats, leaves out volumes of 0 and prices of a
second that had none; so counts are floats here too, absent volumes read as 0 and absent prices as NaN, while
our own bars always carry all ten fields (NaN prices excepted, InfluxDB has no NaN). The type of a field is
fixed by the first point a shard holds of it; another type is refused from then on, so it is fixed here.

``records_1s`` holds recent closing records whole: a bot that follows needs one value of one series where the
bars of a second are ten values of each market (measured: 2 ms instead of 20, because the server copies all
that it has cached of each).

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import BAR_FIELDS, NS_PER_SECOND, Bar, ClosingRecord

META_POLICY = "squeezeflow"
LIVE_POLICY = "squeezeflow_live"
LIVE_RECORDS = "records_1s"
LIVE_HOURS = 1  # InfluxDB's least
LIVE_SECONDS = 900  # records up to this old are written there
CLOSINGS = "closings_1s"
COVERAGE = "coverage_1s"
OPEN_INTEREST = "open_interest"
FUNDING = "funding"
INSTRUMENTS = "instruments"
MARKET_LISTS = "market_lists"
COVERAGE_EVERY = 60
HOUR = 3600
LAST_SECOND = 9_223_372_036  # InfluxDB's times are nanoseconds in 64 bits
# Floats as repr writes them, as exactly and in a third of its time: lines were half of a bulk load's work.
_as_json = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Timeframe:
    """Bars of ``seconds``, kept ``hours`` (None: for ever)."""

    name: str
    seconds: int
    hours: int | None

    @property
    def policy(self) -> str:
        return f"aggr_{self.name}"

    @property
    def measurement(self) -> str:
        return f"trades_{self.name}"


SECOND = Timeframe("1s", 1, 24)
# Each is made from the one before it.
HIGHER = (
    Timeframe("1m", 60, 90 * 24),
    Timeframe("5m", 300, 365 * 24),
    Timeframe("15m", 900, 2 * 365 * 24),
    Timeframe("30m", 1800, 3 * 365 * 24),
    Timeframe("1h", 3600, 5 * 365 * 24),
    Timeframe("4h", 14_400, None),
)


def quoted(name: str) -> str:
    """An identifier of InfluxQL.

    >>> quoted('trades"1s')
    '"trades\\\\"1s"'
    """
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A string of InfluxQL.

    >>> literal("it's")
    "'it\\\\'s'"
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def span(start: int, stop: int) -> str:
    """The condition for points of the seconds ``[start, stop)``, as far as InfluxDB's time reaches.

    >>> span(5, 2**40)
    'time >= 5s AND time < 9223372036s'
    """
    return f"time >= {clipped(start)}s AND time < {clipped(stop)}s"


def select(columns: str, source: str, where: str) -> str:
    """A read statement; names and literals in it are ``quoted`` and ``literal`` ones.

    >>> select("vbuy", quoted("trades_1s"), span(1, 2))
    'SELECT vbuy FROM "trades_1s" WHERE time >= 1s AND time < 2s'
    """
    return " ".join(("SELECT", columns, "FROM", source, "WHERE", where))


def clipped(second: int) -> int:
    """The second, moved into the range of InfluxDB's time."""
    return max(0, min(second, LAST_SECOND))


def tag(value: str) -> str:
    """A tag's value in line protocol.

    >>> tag("a b,c=d")
    'a\\\\ b\\\\,c\\\\=d'
    """
    if not value or "\n" in value or value.endswith("\\"):
        raise StoreError(f"{value!r} cannot be a name in InfluxDB; nothing was stored")
    return value.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def text(value: str) -> str:
    """A string field in line protocol.

    >>> text('say "x"')
    '"say \\\\"x\\\\""'
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def ticker_lines(record: ClosingRecord) -> Iterator[str]:
    """Lines of ``open_interest`` and ``funding``, for whoever plots them; a number not known is left out.

    >>> from squeezeflow_plugin.market import DerivativeTicker
    >>> ticker = DerivativeTicker("B:x", 5_500_000_000, 2.0, float("nan"), 0.0001)
    >>> list(ticker_lines(ClosingRecord("main", 6, 0, tickers=(ticker,))))
    ['open_interest,market=B:x base=2.0,age_s=1.5 6', 'funding,market=B:x rate=0.0001,age_s=1.5 6']
    """
    for ticker in record.tickers:
        age_s = ((record.second + 1) * NS_PER_SECOND - ticker.exchange_ns) / NS_PER_SECOND
        for measurement, numbers in (
            (OPEN_INTEREST, (("base", ticker.interest_base), ("usd", ticker.interest_usd))),
            (FUNDING, (("rate", ticker.funding_rate),)),
        ):
            known = [f"{name}={value!r}" for name, value in numbers if math.isfinite(value)]
            if known:
                series = f"{measurement},market={tag(ticker.market)}"
                yield f"{series} {','.join(known)},age_s={age_s!r} {record.second}"


class BarLines:
    """Bars as lines of ``trades_1s``; remembers the markets' escaped names.

    >>> bar = Bar("B:x", 7, 1.5, 2.0, 1.0, float("nan"), 3.0, 0.0, 2, 0, 0.0, 0.0)
    >>> BarLines().line(bar)
    'trades_1s,market=B:x open=1.5,high=2.0,low=1.0,vbuy=3.0,vsell=0.0,cbuy=2,csell=0,lbuy=0.0,lsell=0.0 7'
    """

    def __init__(self) -> None:
        self._prefixes: dict[str, str] = {}

    def line(self, bar: Bar) -> str:
        """One line. Raises StoreError for a number that InfluxDB cannot hold: infinite, or a volume NaN."""
        prefix = self._prefixes.get(bar.market)
        if prefix is None:
            prefix = self._prefixes[bar.market] = f"{SECOND.measurement},market={tag(bar.market)} "
        numbers = (
            bar.open, bar.high, bar.low, bar.close,
            bar.vbuy, bar.vsell, bar.cbuy, bar.csell, bar.lbuy, bar.lsell,
        )  # fmt: skip  # in the order of BAR_FIELDS
        if not math.isfinite(sum(numbers)):
            return f"{prefix}{self._fields(bar)} {bar.second}"
        o, h, low, c, vbuy, vsell, cbuy, csell, lbuy, lsell = str(_as_json(numbers), "ascii")[1:-1].split(",")
        return (
            f"{prefix}open={o},high={h},low={low},close={c},vbuy={vbuy},vsell={vsell},"
            f"cbuy={cbuy},csell={csell},lbuy={lbuy},lsell={lsell} {bar.second}"
        )

    @staticmethod
    def _fields(bar: Bar) -> str:
        """The fields one by one: without the prices that are NaN."""
        values = {name: getattr(bar, name) for name in BAR_FIELDS}
        for name, value in values.items():
            if not math.isfinite(value) and not (name in BAR_FIELDS[:4] and math.isnan(value)):
                raise StoreError(
                    f"{name} of {bar.market}, second {bar.second} is {value}, which InfluxDB cannot hold;"
                    " nothing was stored"
                )
        return ",".join(f"{name}={value!r}" for name, value in values.items() if not math.isnan(value))
