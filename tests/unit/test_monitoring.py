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
from squeezeflow_plugin.jsonfile import replace_json
from squeezeflow_plugin.market import ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.store.paritystatus import PARITY_FILE, ParityStatus
from squeezeflow_plugin.timings import Timings
from tests.alert_faults import FAULTS, LONG_STEP_S, STEP_S, WELL, rule_test

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "docker/prometheus/alerts.yml"
DASHBOARD = ROOT / "docker/grafana/dashboards/squeezeflow.json"
GROUPS: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
EXPRESSIONS = [rule["expr"] for group in GROUPS for rule in group["rules"]]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]


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
    replace_json(folder / STATUS_FILE, status)
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
    replace_json(folder / PARITY_FILE, ParityStatus(1000, 0, 0))
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
