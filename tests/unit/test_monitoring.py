"""The alert rules and the dashboard: they ask for metrics that exist, and each alert has its one fault.

The rules are run by promtool over made-up series: some minutes in which all is well, a fault, and
time to recover. During the fault exactly the alerts that belong to it fire; before and after it none do.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from squeezeflow_plugin.bars.flow import MIN_COVERAGE
from squeezeflow_plugin.bars.outcomes import Counts
from squeezeflow_plugin.bus.memory import MemoryBarBus
from squeezeflow_plugin.collector import families
from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.collector.families import COUNTERS
from squeezeflow_plugin.collector.metrics import Metrics, StateSource
from squeezeflow_plugin.collector.quality import QualityProbe
from squeezeflow_plugin.collector.shipping import ShippingStatus
from squeezeflow_plugin.collector.stats import Counted, Tally
from squeezeflow_plugin.market import ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus, write_status
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.store.paritystatus import PARITY_FILE, ParityStatus, write_parity
from squeezeflow_plugin.timings import Timings

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "docker/prometheus/alerts.yml"
DASHBOARD = ROOT / "docker/grafana/dashboards/squeezeflow.json"
GROUPS: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
EXPRESSIONS = [rule["expr"] for group in GROUPS for rule in group["rules"]]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
STEP_S, LONG_STEP_S = 15, 30
WELL_S, RECOVERY_S = 690, 690
GIB = float(1 << 30)

Course = Callable[[float], float]
"""A series: its value so many seconds after the beginning."""


def level(value: float) -> Course:
    return lambda _: value


def counting(per_second: float) -> Course:
    return lambda at_s: at_s * per_second


def instant(at_s: float) -> float:
    """A time stamp that keeps up: promtool's clock begins at 0."""
    return at_s


_DELAY = "squeezeflow_bar_close_delay_seconds_bucket"
_DURATION = "squeezeflow_score_duration_seconds_bucket"
_LIQUIDATIONS = 30 / 3600
_LAG = "squeezeflow_event_loop_lag_seconds_bucket"
WELL: dict[str, Course] = {
    'squeezeflow_build_info{version="1"}': level(1),
    "squeezeflow_bar_sequence": instant,
    "squeezeflow_bus_sequence": instant,
    "squeezeflow_decision_interval_seconds": level(1),
    "squeezeflow_memory_budget_bytes": level(2 * GIB),
    "process_resident_memory_bytes": level(GIB / 2),
    "squeezeflow_disk_free_bytes": level(100 * GIB),
    "squeezeflow_store_pending_records": level(0),
    "squeezeflow_store_readable": level(1),
    "squeezeflow_journal_failures_total": level(0),
    "squeezeflow_gaps_lost_total": level(0),
    'squeezeflow_reconnects_total{reason="broken"}': counting(1 / 3600),
    'squeezeflow_reconnects_total{reason="renewed"}': counting(1 / 60),  # as many as connections, once a day
    'squeezeflow_trades_received_total{exchange="BYBIT",kind="trade"}': counting(50.0),
    'squeezeflow_trades_received_total{exchange="BYBIT",kind="liquidation"}': counting(_LIQUIDATIONS),
    'squeezeflow_trades_received_total{exchange="OKEX",kind="trade"}': counting(5.0),
    'squeezeflow_trades_received_total{exchange="OKEX",kind="liquidation"}': level(2),  # hardly ever any
    "squeezeflow_influx_lag_seconds": level(1),
    "squeezeflow_influx_expired_seconds_total": level(0),
    "squeezeflow_store_verify_mismatch_total": level(0),
    "squeezeflow_parity_differing": level(0),
    'squeezeflow_frames_rejected_total{exchange="OKX",reason="no price"}': level(3),
    'squeezeflow_rate_limited_total{exchange="OKX"}': level(3),
    'squeezeflow_clock_skew_seconds{exchange="BINANCE"}': level(0.02),
    'squeezeflow_clock_skew_seconds{exchange="BYBIT"}': level(0.04),
    'squeezeflow_clock_skew_seconds{exchange="OKX"}': level(0.7),  # one exchange's own clock
    'squeezeflow_open_interest_timestamp_seconds{market="BYBIT:BTCUSDT"}': instant,
    'squeezeflow_feed_up{market="BINANCE:btcusdt",kind="spot"}': level(1),
    'squeezeflow_feed_up{market="OKX:BTC-USDT",kind="spot"}': level(1),
    'squeezeflow_feed_up{market="BYBIT:BTCUSDT",kind="perp"}': level(1),
    'squeezeflow_coverage_ratio{symbol="BTC",kind="spot",window="15m"}': level(1),
    'squeezeflow_coverage_ratio{symbol="BTC",kind="perp",window="15m"}': level(0.99),
    'squeezeflow_score_age_seconds{symbol="BTC/USDT"}': level(1),
    'squeezeflow_score_delay_seconds{symbol="BTC/USDT"}': level(0.431),
    'squeezeflow_entry_veto{symbol="ETH/USDT",reason="warming_up"}': lambda at_s: float(at_s < 7200),
    **{f'{_DELAY}{{le="{bound}"}}': counting(1.0) for bound in ("0.5", "0.75", "1.0", "+Inf")},
    **{f'{_LAG}{{le="{bound}"}}': counting(4.0) for bound in ("0.05", "0.25", "0.5", "+Inf")},
    **{f'{_DURATION}{{le="{bound}"}}': counting(1.0) for bound in ("0.1", "0.25", "0.5", "+Inf")},
    'squeezeflow_phase{symbol="BTC/USDT"}': level(2),
    'squeezeflow_phase{symbol="ETH/USDT"}': level(-4),  # in its trade
    'squeezeflow_open_trades{symbol="BTC/USDT"}': level(0),
    'squeezeflow_open_trades{symbol="ETH/USDT"}': level(1),
    'squeezeflow_entries_total{symbol="BTC/USDT"}': level(7),
    'squeezeflow_entries_total{symbol="ETH/USDT"}': level(3),
}


@dataclass(frozen=True)
class Fault:
    """``series`` replaces well ones while the fault lasts, by seconds since its start; None: all are gone.

    ``remains`` are changes that stay, such as a counter that has counted.
    """

    alert: str
    lasts_s: int
    series: Mapping[str, Course] | None = field(default_factory=dict)
    remains: Mapping[str, Course] = field(default_factory=dict)
    name: str = ""
    well: Mapping[str, Course] = field(default_factory=dict)
    well_s: int = WELL_S
    recovery_s: int = RECOVERY_S

    @property
    def step_s(self) -> int:
        """Seconds between two scrapes and two evaluations; more where the fault takes hours."""
        return STEP_S if self.well_s + self.lasts_s + self.recovery_s < 7200 else LONG_STEP_S


def counted(series: str, by: float = 1.0, start: float = 0.0) -> dict[str, Course]:
    return {series: level(start + by)}


FAULTS = (
    Fault("CollectorAbsent", 120, None),
    Fault(
        "CollectorStuck", 180, {name: level(WELL_S) for name in ("squeezeflow_bar_sequence",)}, name="hung"
    ),
    Fault(
        "CollectorBusy", 900, {f'{_LAG}{{le="{bound}"}}': level(4.0 * WELL_S) for bound in ("0.05", "0.25")}
    ),
    Fault("SlowClose", 900, {f'{_DELAY}{{le="{bound}"}}': level(1.0 * WELL_S) for bound in ("0.5", "0.75")}),
    Fault("MemoryBudget", 900, {"process_resident_memory_bytes": level(1.9 * GIB)}),
    Fault("DiskLow", 600, {"squeezeflow_disk_free_bytes": level(GIB / 2)}),
    Fault(
        "DiskFilling",
        7200,
        {"squeezeflow_disk_free_bytes": lambda s: (100 - 10 * s / 3600) * GIB},
        well_s=4500,  # an hour has to be known before its trend counts
        recovery_s=3600,
    ),
    Fault("FeedSilent", 120, {'squeezeflow_feed_up{market="OKX:BTC-USDT",kind="spot"}': level(0)}),
    Fault("KindSilent", 120, {'squeezeflow_feed_up{market="BYBIT:BTCUSDT",kind="perp"}': level(0)}),
    Fault(
        "CoverageLow", 300, {'squeezeflow_coverage_ratio{symbol="BTC",kind="spot",window="15m"}': level(0.95)}
    ),
    Fault(
        "CoverageLost", 300, {'squeezeflow_coverage_ratio{symbol="BTC",kind="spot",window="15m"}': level(0.5)}
    ),
    Fault("MissingTrades", 60, remains=counted("squeezeflow_gaps_lost_total")),
    Fault(
        "FramesRejected",
        60,
        remains=counted('squeezeflow_frames_rejected_total{exchange="OKX",reason="no price"}', start=3),
    ),
    Fault(
        "FramesRejected",
        60,
        remains=counted('squeezeflow_frames_rejected_total{exchange="HTX",reason="not JSON"}'),
        name="for the first time",
    ),
    Fault("RateLimited", 60, remains=counted('squeezeflow_rate_limited_total{exchange="OKX"}', start=3)),
    Fault(
        "RateLimited",
        60,
        remains=counted('squeezeflow_rate_limited_total{exchange="HTX"}'),
        name="first time",
    ),
    Fault("ReconnectStorm", 60, remains=counted('squeezeflow_reconnects_total{reason="broken"}', 9)),
    Fault(
        "LiquidationsSilent",
        25_200,
        {
            'squeezeflow_trades_received_total{exchange="BYBIT",kind="liquidation"}': level(
                28_800 * _LIQUIDATIONS
            )
        },
        well_s=28_800,  # so many have to have come before their absence counts
    ),
    Fault(
        "InterestStale",
        1200,
        {'squeezeflow_open_interest_timestamp_seconds{market="BYBIT:BTCUSDT"}': level(WELL_S)},
    ),
    *(
        Fault(
            alert,
            120,
            {
                f'squeezeflow_clock_skew_seconds{{exchange="{name}"}}': level(skew_s)
                for name in ("BINANCE", "BYBIT", "OKX")
            },
            name=f"{skew_s:+} s",
        )
        for alert, skew_s in (
            ("ClockSkew", 0.4),
            ("ClockSkew", -0.4),
            ("ClockWrong", 3.0),
            ("ClockWrong", -3.0),
        )
    ),
    Fault("StoreFailing", 120, {"squeezeflow_store_pending_records": lambda s: s}),
    Fault("StoreUnreadable", 120, {"squeezeflow_store_readable": level(0)}),
    Fault("JournalFailing", 60, remains=counted("squeezeflow_journal_failures_total")),
    Fault("InfluxBehind", 300, {"squeezeflow_influx_lag_seconds": lambda s: s}),
    Fault("InfluxExpired", 60, remains=counted("squeezeflow_influx_expired_seconds_total", 30)),
    Fault("StoreLies", 60, remains=counted("squeezeflow_store_verify_mismatch_total")),
    Fault("BusBehind", 120, {"squeezeflow_bus_sequence": level(WELL_S)}),
    Fault("ScoreStale", 60, {'squeezeflow_score_age_seconds{symbol="BTC/USDT"}': lambda s: s}),
    Fault(
        "ScoreStale",
        600,
        {'squeezeflow_score_age_seconds{symbol="BTC/USDT"}': lambda s: s},
        name="regular mode",
        well={
            "squeezeflow_decision_interval_seconds": level(300),
            'squeezeflow_score_age_seconds{symbol="BTC/USDT"}': lambda s: s % 300,
        },
    ),
    Fault("ParityBroken", 60, {"squeezeflow_parity_differing": level(2)}),
    Fault("SlowScore", 600, {'squeezeflow_score_delay_seconds{symbol="BTC/USDT"}': level(1.4)}),
    Fault("SlowEngine", 900, {f'{_DURATION}{{le="{bound}"}}': level(WELL_S) for bound in ("0.1", "0.25")}),
    Fault(
        "NoEntries",
        150,
        {'squeezeflow_phase{symbol="BTC/USDT"}': level(4)},
        recovery_s=21_900,
    ),
    Fault("EntriesVetoed", 11_400, {'squeezeflow_entry_veto{symbol="BTC/USDT",reason="skew"}': level(1)}),
)


def course(fault: Fault, name: str) -> Iterator[str]:
    """The series in promtool's notation: well, faulty, well again."""
    well = {**WELL, **fault.well}.get(name)
    for at_s in range(0, fault.well_s + fault.lasts_s + fault.recovery_s, fault.step_s):
        since_s = at_s - fault.well_s
        during = 0 <= since_s < fault.lasts_s
        now: Course | None = None if during and fault.series is None else well
        if during and fault.series is not None and name in fault.series:
            yield f"{fault.series[name](since_s)}"
        elif since_s >= 0 and name in fault.remains:
            yield f"{fault.remains[name](since_s)}"
        elif now is None:
            yield "stale"
        else:
            yield f"{now(at_s)}"


def rule_test(fault: Fault) -> dict[str, Any]:
    """One test in promtool's format. https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/"""
    names = dict.fromkeys((*WELL, *fault.well, *(fault.series or {}), *fault.remains))
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    moments = {
        fault.well_s - fault.step_s: (),
        fault.well_s + fault.lasts_s - fault.step_s: (fault.alert,),
        fault.well_s + fault.lasts_s + fault.recovery_s - fault.step_s: (),
    }
    return {
        "name": f"{fault.alert} {fault.name}".strip(),
        "interval": f"{fault.step_s}s",
        "input_series": [{"series": name, "values": " ".join(course(fault, name))} for name in names],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": f"{at_s}s",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts],
            }
            for at_s, alerts in moments.items()
        ],
    }


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The name of every sample that a collector with bus, InfluxDB and bot exports."""
    folder = tmp_path_factory.mktemp("data")
    market = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
    store = MemoryBarStore()
    store.append([ClosingRecord("main", 1000, 0, (), (), (market.market,))])
    columns = ("score", "regime", "setup", "reset_active", "entry")
    log = DecisionLog(folder / "decisions.sqlite", columns, "engine")
    log.append([LoggedDecision("BTC/USDT", 1000, 1000, 0, 431.0, (6.5, 1.0, 1.0, 1.0, 1.0), "warming_up")])
    log.close()
    deciding = Timings((0.1,)).buckets()
    status = BotStatus(0, 1001, 0.0, 0, {}, (), {"BTC/USDT": {"warming_up": 1}}, deciding)
    write_status(folder / STATUS_FILE, status)
    stats = Tally().snapshot(
        collector="main",
        last_second=1000,
        markets=1,
        counts=Counts(0, 0, 0, 0, 0, 0),
        reconnects={"broken": 6},
        pending_records=0,
        offsets_ns={},
        skew_ns=None,
    )
    write_parity(folder / PARITY_FILE, ParityStatus(1000, 0, 0))
    announcer = Announcer(MemoryBarBus(), "main")
    announcer.announced = 1000
    quality = QualityProbe(store, [market], ["USDT"], MIN_COVERAGE)
    bot = BotWatch(folder / "decisions.sqlite")
    counted = Counted(lambda: stats, {}, Timings(()))
    source = StateSource(Settings(data_dir=folder), counted, quality, bot, announcer)
    everything = [*source.collect(), *families.influx(ShippingStatus()), *Metrics(source)._registry.collect()]
    bot.close()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {family.name + end for family in everything for end in suffixes.get(family.type, ("",))}


def asked(expression: str) -> set[str]:
    """The metrics that an expression names."""
    return set(re.findall(r"(?<!:)\b(?:squeezeflow|process)_\w+", expression))


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def targets() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def test_every_metric_of_the_rules_exists_and_has_a_well_course(exported: set[str]) -> None:
    named = set().union(*map(asked, EXPRESSIONS))
    assert named <= exported
    assert named == {name.partition("{")[0] for name in WELL}


def test_every_metric_of_the_dashboard_exists_and_those_of_the_alerts_are_in_it(exported: set[str]) -> None:
    shown = set().union(*map(asked, targets()))
    assert shown <= exported
    counters = {f"squeezeflow_{name}_total" for name, _, _ in COUNTERS}
    assert counters <= shown
    alerted = set().union(*map(asked, EXPRESSIONS))
    assert alerted - shown <= {"squeezeflow_build_info", "squeezeflow_store_readable"}


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "warn"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "remedy"}, rule["alert"]
        assert all(text.endswith(".") for text in rule["annotations"].values()), rule["alert"]
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_every_alert_is_in_the_documentation_with_its_severity() -> None:
    text = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))
    assert documented == {rule["alert"]: rule["labels"]["severity"] for rule in RULES}


def test_every_alert_has_a_fault() -> None:
    assert {fault.alert for fault in FAULTS} == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("step_s", [STEP_S, LONG_STEP_S])
def test_each_fault_fires_its_alert_and_no_other_and_the_alert_resolves(tmp_path: Path, step_s: int) -> None:
    tests = tmp_path / "alerts_test.yml"
    document = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": f"{step_s}s",
        "tests": [rule_test(fault) for fault in FAULTS if fault.step_s == step_s],
    }
    tests.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    promtool("test", "rules", str(tests))


def test_promtool_reads_the_configuration() -> None:
    promtool("check", "config", str(ROOT / "docker/prometheus/prometheus.yml"))


def test_promtool_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(targets())]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    promtool("check", "rules", "--lint=none", str(path))


def test_the_dashboard_is_laid_out_without_overlap_and_each_panel_explains_itself() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
            )
        )
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"].endswith("."), panel["title"]


def test_the_dashboard_asks_the_data_source_that_is_provided() -> None:
    provided = yaml.safe_load(
        (ROOT / "docker/grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    )
    (source,) = provided["datasources"]
    used = {panel["datasource"]["uid"] for panel in panels() if "datasource" in panel}
    assert used == {source["uid"]}
