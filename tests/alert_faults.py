"""What goes wrong, as series: for each alert a course of the metrics in which it alone has to fire.

Each fault is a stretch in which all is well, the fault, and time to recover, in promtool's format for tests
of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

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
