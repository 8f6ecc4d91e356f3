"""A real InfluxDB made ready: policies as the settings say, continuous queries that run, TLS, passwords."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import StoreError, StoreMissingError, StoreUnavailableError
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.admin import describe_database, drop_database, set_up_database, verify_database
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_schema import select
from squeezeflow_plugin.store.influx_setup import continuous_queries, policies, set_up
from tests.fault_proxy import FaultProxy
from tests.influx_server import PASSWORD, InfluxDaemon

MARKET = "BINANCE:btcusdt"
FOREVER = 2**40


@pytest.fixture
def server(influx: InfluxDaemon) -> Iterator[InfluxServer]:
    server = InfluxServer(influx.settings())
    yield server
    server.close()


def of(server: InfluxServer, influx: InfluxDaemon, retention: str) -> Settings:
    return influx.settings(influx_database=server.database, influx_retention_1s=retention)


def flat_bar(second: int, price: float, revision: int = 0) -> Bar:
    return Bar(MARKET, second, price, price + 2, price - 2, price + 1, 10.0, 5.0, 2, 1, 0.5, 0.25, revision)


def record(second: int, *bars: Bar, revisions: tuple[Bar, ...] = ()) -> ClosingRecord:
    return ClosingRecord("main", second, second * 10**9 + 1_400_000_000, bars, revisions, (MARKET,))


def test_policies_and_queries_are_what_the_settings_say(server: InfluxServer, influx: InfluxDaemon) -> None:
    done = set_up(server, of(server, influx, "24h"))
    assert len(done) == 1 + 9 + 6
    day = 86_400
    assert policies(server) == {
        "autogen": None, "squeezeflow": None, "squeezeflow_live": 3600,
        "aggr_1s": day, "aggr_1m": 90 * day, "aggr_5m": 365 * day,
        "aggr_15m": 730 * day, "aggr_30m": 1095 * day, "aggr_1h": 1825 * day, "aggr_4h": None,
    }  # fmt: skip  # a line of policies
    queries = continuous_queries(server)
    assert list(queries) == [f"squeezeflow_{name}" for name in ("1m", "5m", "15m", "30m", "1h", "4h")]
    assert "first(open)" in queries["squeezeflow_1m"]
    assert "aggr_1h.trades_1h" in queries["squeezeflow_4h"]
    assert set_up(server, of(server, influx, "24h")) == []


def test_a_longer_retention_is_set_and_a_shorter_one_only_on_word(
    server: InfluxServer, influx: InfluxDaemon
) -> None:
    set_up(server, of(server, influx, "24h"))
    assert set_up(server, of(server, influx, "3d")) == ["retention policy aggr_1s altered to keep 72h"]
    with pytest.raises(StoreError, match=r"aggr_1s of .* keeps 72h, the settings say 2h; .* --shorten only"):
        set_up(server, of(server, influx, "2h"))
    assert policies(server)["aggr_1s"] == 3 * 86_400
    assert set_up(server, of(server, influx, "2h"), shorten=True)
    rows = server.ask(f'SHOW RETENTION POLICIES ON "{server.database}"')[0][0].values
    assert [row[1:3] for row in rows if row[0] == "aggr_1s"] == [["2h0m0s", "1h0m0s"]]


def test_an_altered_continuous_query_is_made_again(server: InfluxServer, influx: InfluxDaemon) -> None:
    settings = of(server, influx, "24h")
    set_up(server, settings)
    server.command(f'DROP CONTINUOUS QUERY "squeezeflow_5m" ON "{server.database}"')
    assert set_up(server, settings) == ["continuous query squeezeflow_5m made"]


def test_continuous_queries_and_resampling_make_the_same_bars(
    server: InfluxServer, influx: InfluxDaemon, tmp_path: Path
) -> None:
    """The query makes the running minute, for which it has until the next one's end; a revision of a closed
    hour is made again by us."""
    settings = influx.settings(influx_database=server.database, data_dir=tmp_path)
    set_up(server, settings)
    clock = SystemClock()
    minute = clock.now_ns() // 10**9 // 60 * 60
    old = minute // 14_400 * 14_400 - 28_800
    store, embedded = InfluxBarStore(settings), EmbeddedBarStore(settings.store_path)
    records = [record(old + i, flat_bar(old + i, 100.0 + i % 60)) for i in (*range(0, 300, 7), 14_399)]
    records += [record(minute + i, flat_bar(minute + i, 200.0 + i)) for i in (3, 10, 59)]
    embedded.append(records)
    store.append(records)
    store.resample(records[:-3])  # the last minute is left to the continuous query
    deadline = (minute + 120) * 10**9  # the query reaches no further back
    statement = select("*", f'"{server.database}"."aggr_1m"."trades_1m"', f"time = {minute}s")
    while not (made := server.ask(statement)[0]):
        assert clock.now_ns() < deadline, "the continuous query has made nothing"
        clock.sleep_until(clock.now_ns() + 2 * 10**8)
    row = dict(zip(made[0].columns, made[0].values[0], strict=True))
    assert (row["open"], row["high"], row["low"], row["close"]) == (203.0, 261.0, 201.0, 260.0)
    assert (row["vbuy"], row["cbuy"], row["lsell"], row["market"]) == (30.0, 6.0, 0.75, MARKET)

    late = record(minute + 60, revisions=(flat_bar(old + 14, 50.0, 1), flat_bar(old + 1, 999.0)))
    for each in (embedded, store):
        each.append([late])
    stale = verify_database(settings, 0, FOREVER)
    assert stale.differences >= 1
    assert any("1m bar" in line for line in stale.named)
    store.resample([late])
    proof = verify_database(settings, 0, FOREVER)
    assert (proof.named, proof.records, proof.waiting) == ((), len(records) + 1, 0)
    store.close()
    embedded.close()


def test_verify_names_what_differs(influx: InfluxDaemon, tmp_path: Path) -> None:
    settings = influx.settings(data_dir=tmp_path)
    set_up_database(settings)
    t0 = 1_767_225_600
    records = [record(t0 + i, flat_bar(t0 + i, 100.0)) for i in range(120)]
    embedded, store = EmbeddedBarStore(settings.store_path), InfluxBarStore(settings)
    embedded.append(records)
    store.append(records[:100])
    store.resample(records[:100])
    first = verify_database(settings, 0, FOREVER)
    assert (first.differences, first.records, first.bars, first.waiting) == (0, 100, 100, 20)
    server = store.reader.server
    server.write(
        "aggr_1s", [f"trades_1s,market={MARKET} close=1 {t0 + 5}", f"trades_1s,market=X:y vbuy=1 {t0 + 6}"]
    )
    found = verify_database(settings, 0, FOREVER)
    assert any(f"second {t0 + 5} should be" in line for line in found.named)
    assert any(f"X:y, second {t0 + 6} is not in the embedded store" in line for line in found.named)
    lines = describe_database(settings)
    assert "trades_1s: 2 markets" in "\n".join(lines)
    assert f"collector main: closed up to second {t0 + 99}" in lines
    drop_database(settings)
    with pytest.raises(StoreMissingError, match="database not found"):
        describe_database(settings)
    store.close()
    embedded.close()


def test_a_wrong_password_is_refused_and_never_shown(influx: InfluxDaemon) -> None:
    settings = influx.settings(influx_password="guess-me")  # noqa: S106 - a wrong one
    with pytest.raises(StoreUnavailableError, match="refuses user 'squeezeflow': 401") as refused:
        set_up_database(settings)
    assert "guess-me" not in str(refused.value)
    with pytest.raises(StoreUnavailableError, match="refuses a request without a user"):
        set_up_database(replace(settings, influx_user="", influx_password=""))


def test_a_password_file_is_read(influx: InfluxDaemon, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    settings = influx.settings(influx_password="", influx_password_file=str(path))
    assert len(set_up_database(settings)) > 1


def test_tls_is_spoken_and_checked(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip  # one line a group of options
    daemon = InfluxDaemon(tmp_path / "influxd", certificate, key)
    daemon.start()
    try:
        trusted = daemon.settings(influx_ca_file=str(certificate))
        assert len(set_up_database(trusted)) > 1
        store = InfluxBarStore(trusted)
        store.append([record(1_767_225_600, flat_bar(1_767_225_600, 3.0))])
        assert store.last_second("main") == 1_767_225_600
        store.close()
        with pytest.raises(StoreUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            set_up_database(daemon.settings())
    finally:
        daemon.kill()


@pytest.mark.parametrize(
    ("version", "path"),
    [("1.6.7~rc0", "/write"), ("1.7.11", "/write"), ("1.8.10", "/api/v2/write"), ("2.7.1", "/api/v2/write")],
)
def test_the_version_chooses_how_is_written(influx: InfluxDaemon, version: str, path: str) -> None:
    """A 1.6 server behind a proxy that says to be another version and translates its way of writing."""
    proxy = FaultProxy(influx.port, version=version)
    settings = influx.settings(influx_url=proxy.url)
    store = InfluxBarStore(settings)
    try:
        store.set_up()
        store.append([record(1_767_225_600, flat_bar(1_767_225_600, 3.0))])
        assert store.bars(0, FOREVER).close.tolist() == [4.0]
        assert proxy.paths[path] > 0
        assert {"/write", "/api/v2/write"} & proxy.paths.keys() == {path}
    finally:
        store.close()
        proxy.close()
