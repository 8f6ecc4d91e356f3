"""Statements that make higher timeframes."""

from __future__ import annotations

from squeezeflow_plugin.store.influx_resample import COLUMNS, STEPS, aggregate


def test_each_timeframe_is_made_of_the_one_below() -> None:
    names = [(source.name, target.name) for source, target in STEPS]
    assert names == [("1s", "1m"), ("1m", "5m"), ("5m", "15m"), ("15m", "30m"), ("30m", "1h"), ("1h", "4h")]


def test_the_aggregation_is_aggr_servers() -> None:
    assert COLUMNS == (
        "first(open) AS open, max(high) AS high, min(low) AS low, last(close) AS close, sum(vbuy) AS vbuy,"
        " sum(vsell) AS vsell, sum(cbuy) AS cbuy, sum(csell) AS csell, sum(lbuy) AS lbuy, sum(lsell) AS lsell"
    )


def test_a_statement_names_its_places_and_keeps_the_market() -> None:
    statement = aggregate("db", *STEPS[0], "time >= 0s AND time < 60s")
    columns, rest = statement.removeprefix("SELECT ").split(" INTO ")
    assert columns == COLUMNS
    assert rest == (
        '"db"."aggr_1m"."trades_1m" FROM "db"."aggr_1s"."trades_1s"'
        " WHERE time >= 0s AND time < 60s GROUP BY time(1m), market fill(none)"
    )
    assert "INTO" not in aggregate("db", *STEPS[0], "time >= 0s", into=False)
    assert aggregate("db", *STEPS[0]).endswith('"trades_1s" GROUP BY time(1m), market')
