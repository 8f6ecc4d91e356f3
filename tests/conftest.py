"""Fixtures of the whole test tree."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.given_servers import GIVEN, GivenInflux
from tests.influx_server import InfluxDaemon

# The same examples at every run, and no time limits: those belong into the benchmarks.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")

SHARED = Path(os.environ.get("SQUEEZEFLOW_SHARED") or Path(__file__).parents[2] / "shared")


@pytest.fixture(scope="module", autouse=True)
def exchanges_closed() -> Iterator[None]:
    """Close every exchange that FreqTrade opened in the module's tests.

    Its commands leave theirs to the garbage collector, which may finalize a connection before the exchange
    that would have closed it: the warning of that fails whatever test runs then.
    """
    if "freqtrade.exchange" not in sys.modules:  # no test here uses it, and it takes seconds to import
        yield
        return
    exchange_class = sys.modules["freqtrade.exchange"].Exchange
    made: list[Any] = []
    construct = exchange_class.__init__

    def constructed(exchange: Any, *args: Any, **options: Any) -> None:
        made.append(exchange)
        construct(exchange, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange_class, "__init__", constructed)
        yield
    for exchange in made:
        exchange.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference data: SQUEEZEFLOW_SHARED, else ../shared; skips the test where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"there is no reference data at {SHARED} (set SQUEEZEFLOW_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDaemon]:
    """A real InfluxDB with authentication on, for the whole session; each ``settings()`` is a database."""
    daemon = InfluxDaemon(tmp_path_factory.mktemp("influxd"))
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture(scope="session")
def influx_databases(request: pytest.FixtureRequest) -> Iterator[InfluxDaemon | GivenInflux]:
    """For tests that only want databases: the InfluxDB that INFLUX_URL names, else the session's own."""
    if "INFLUX_URL" not in GIVEN:
        yield request.getfixturevalue("influx")
        return
    given = GivenInflux()
    yield given
    given.drop()
