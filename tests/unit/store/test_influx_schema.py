"""Line protocol and InfluxQL as the server reads them."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import BAR_FIELDS, Bar
from squeezeflow_plugin.store.influx_schema import HIGHER, SECOND, BarLines, clipped, tag

T0 = 1_767_225_600


def bar(**fields: float) -> Bar:
    flat = Bar("A:x", T0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.0, 1, 0, 0.0, 0.0)
    return msgspec.structs.replace(flat, **fields)


def test_all_ten_fields_are_floats() -> None:
    fields = BarLines().line(bar()).split(" ")[1].split(",")
    assert len(fields) == 10
    assert not any(field.endswith("i") for field in fields)


def test_only_nan_prices_are_left_out() -> None:
    line = BarLines().line(bar(open=math.nan, close=math.nan))
    assert "open" not in line
    assert "high=1.0,low=1.0,vbuy=2.0,vsell=0.0,cbuy=1" in line


@given(
    prices=st.lists(st.floats(allow_infinity=False), min_size=4, max_size=4),
    volumes=st.lists(st.floats(allow_infinity=False, allow_nan=False), min_size=4, max_size=4),
)
def test_every_number_is_written_exactly(prices: list[float], volumes: list[float]) -> None:
    numbers = dict(zip((*BAR_FIELDS[:6], *BAR_FIELDS[8:]), prices + volumes, strict=True))
    written = bar(**numbers, cbuy=3, csell=2**53)
    fields = dict(field.split("=") for field in BarLines().line(written).split(" ")[1].split(","))
    for name in BAR_FIELDS:
        value = getattr(written, name)
        assert math.isnan(value) if name not in fields else float(fields[name]) == value


@pytest.mark.parametrize(("name", "value"), [("vbuy", math.nan), ("high", math.inf), ("vsell", -math.inf)])
def test_what_cannot_be_held_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(StoreError, match=f"{name} of A:x, second {T0} is {value}"):
        BarLines().line(bar(**{name: value}))


def test_large_finite_volumes_are_held() -> None:
    assert "vbuy=1e+308,vsell=1e+308" in BarLines().line(bar(vbuy=1e308, vsell=1e308))


@pytest.mark.parametrize("name", ["", "a\nb", "a\\"])
def test_names_that_line_protocol_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a name"):
        tag(name)


def test_the_timeframes_divide_each_other() -> None:
    for source, target in zip((SECOND, *HIGHER), HIGHER, strict=False):
        assert target.seconds % source.seconds == 0
    assert (SECOND.policy, SECOND.measurement) == ("aggr_1s", "trades_1s")


def test_seconds_stay_inside_influxs_time() -> None:
    assert (clipped(-5), clipped(T0), clipped(2**40)) == (0, T0, 9_223_372_036)
