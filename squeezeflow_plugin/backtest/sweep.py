"""Many backtests: every parameter set on every span, side by side, into one table that can be taken up again.

A run is a function of its parameters, pairs, span and data, so each has a *key*: the digest of those, of the
data's rows and of the engine. Finished runs are appended to a file of JSON lines under their keys; a sweep
that was broken off, or is widened later, runs what is not there yet. The order of the table is that of the
sets, whoever ran them and in whichever order.

Runs go through joblib: on this machine's cores, or on a Dask cluster whose workers have the plugin, the
configuration and the store under the same paths.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import joblib  # type: ignore[import-untyped]  # it ships no types
import msgspec
from freqtrade.exceptions import FreqtradeException

from squeezeflow_plugin.backtest.options import BacktestOptions
from squeezeflow_plugin.backtest.run import configuration, prepare
from squeezeflow_plugin.backtest.stepper import Rules
from squeezeflow_plugin.backtest.summary import Summary, summary_of
from squeezeflow_plugin.backtest.sweep_options import SweepOptions
from squeezeflow_plugin.backtest.window import Asked, asked_range
from squeezeflow_plugin.errors import BacktestError, SettingsError, SqueezeFlowError
from squeezeflow_plugin.phases.engine import fingerprint
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.provider.tuning import tuned
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.store.registry import open_store

log = logging.getLogger(__name__)

MEASURES = (
    "seconds",
    "events",
    "trades",
    "wins",
    "profit_quote",
    "profit_share",
    "in_position_share",
    "untradable_share",
    "error",
)


class Finished(msgspec.Struct, frozen=True):
    """One finished run: its key, what was varied, and its measures by name (``error`` empty where it ran)."""

    key: str
    params: dict[str, Any]
    timerange: str
    pairs: tuple[str, ...]
    measures: dict[str, Any]


@dataclass(frozen=True)
class _Task:
    key: str
    params: Mapping[str, Any]
    options: BacktestOptions = field(default_factory=BacktestOptions)


def run_sweep(options: SweepOptions, out: TextIO) -> int:
    """Run what is not finished yet and write the table as CSV to ``out``; 1 where a run failed, else 0.

    Raises SettingsError or ParameterError, before anything is run, for what cannot be.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    log.setLevel(logging.INFO)
    found = sweep(options)
    varied = sorted({name for each in found for name in each.params})
    writer = csv.writer(out)
    writer.writerow(["timerange", "pairs", *varied, *MEASURES])
    for each in found:
        values = [each.params.get(name, "") for name in varied]
        measures = [each.measures.get(name, "") for name in MEASURES]
        writer.writerow([each.timerange, " ".join(each.pairs), *values, *measures])
    return 1 if any(each.measures.get("error") for each in found) else 0


def sweep(options: SweepOptions) -> list[Finished]:
    """The finished runs in the order of sets, time ranges and pairs, those of earlier sweeps among them."""
    tasks = list(_tasks(options))
    kept = {each.key: each for each in _read(options.out)}
    missing = [task for task in tasks if task.key not in kept]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("ab") as file:
        for number, done in enumerate(_run_all(missing, options), start=1):
            file.write(msgspec.json.encode(done) + b"\n")
            file.flush()
            kept[done.key] = done
            log.info("%d of %d runs finished, %d were there", number, len(missing), len(tasks) - len(missing))
    return [kept[task.key] for task in tasks]


def _tasks(options: SweepOptions) -> Iterator[_Task]:
    config = configuration(options.base)
    settings = options.base.applied_to(tuned(load(config.get("squeezeflow")), options.base.userdir))
    exchange: str = config["exchange"]["name"]
    whitelist = tuple(config.get("pairs") or config["exchange"]["pair_whitelist"])
    for timerange, chosen in itertools.product(options.timeranges, options.pairs):
        pairs = chosen or whitelist
        data = _data_digest(settings, exchange, pairs, asked_range(timerange))
        run = replace(options.base, timerange=timerange, date=None, pairs=pairs, export="none", report=False)
        for params in options.sets:
            engine = fingerprint(Params.from_mapping({**settings.method, **params}))
            said = repr((data, engine, sorted(asdict(run).items(), key=str), settings.max_leverage))
            yield _Task(hashlib.blake2b(said.encode(), digest_size=12).hexdigest(), params, run)


def _data_digest(settings: Settings, exchange: str, pairs: Iterable[str], asked: Asked) -> str:
    """The digest of the rows that a run on the span reads, its warm-up aside."""
    digest = hashlib.blake2b(digest_size=12)
    store = open_store(settings)
    try:
        first, last = store.span() or (0, 0)
        start, stop = max(asked.start or first, first), min(asked.stop or last, last)
        instruments = store.instruments()
        for pair in pairs:
            markets = pair_markets(instruments, exchange, pair, settings.quotes, settings.references)
            for piece in final_rows(store, markets, start, stop):
                digest.update(piece.values.tobytes())
    finally:
        store.close()
    return digest.hexdigest()


def _run_all(tasks: Sequence[_Task], options: SweepOptions) -> Iterator[Finished]:
    """Each run as it is finished."""
    with _backend(options):
        runs = joblib.Parallel(n_jobs=options.jobs, return_as="generator_unordered")
        yield from runs(joblib.delayed(run_one)(task.key, dict(task.params), task.options) for task in tasks)


@contextlib.contextmanager
def _backend(options: SweepOptions) -> Iterator[None]:
    if options.scheduler is None:
        with joblib.parallel_config(backend="loky"):
            yield
        return
    try:
        from dask.distributed import Client  # noqa: PLC0415 - an extra, needed for a cluster only
    except ImportError as error:
        raise SettingsError(
            "--scheduler needs Dask: pip install 'squeezeflow-plugin[dask]'; nothing is run"
        ) from error
    client = Client(options.scheduler)  # type: ignore[no-untyped-call]  # Dask leaves it untyped
    with client, joblib.parallel_config(backend="dask"):
        yield


def run_one(key: str, params: dict[str, Any], options: BacktestOptions) -> Finished:
    """One run, in whichever process; an error of ours or FreqTrade's becomes a row that says it."""
    try:
        measures = _measures(_summary(params, options))
    except (SqueezeFlowError, FreqtradeException) as error:
        measures = {"error": str(error)}
    return Finished(key, params, options.timerange or "", options.pairs, measures)


def _summary(params: Mapping[str, Any], options: BacktestOptions) -> Summary:
    config = configuration(options)
    settings = options.applied_to(tuned(load(config.get("squeezeflow")), options.userdir))
    settings = replace(settings, params={**settings.params, **params})
    store = open_store(settings)
    try:
        rules = Rules(delay_s=options.delay_s, slippage=options.slippage, noise=False)
        asked = asked_range(options.timerange or "-")
        run = prepare(config, settings, store, asked, rules)
        run.progress = None  # bars of many runs at once would be drawn over each other
        with contextlib.redirect_stdout(io.StringIO()):  # FreqTrade's tables
            run.start()
    finally:
        store.close()
    return summary_of(run)


def _measures(summary: Summary) -> dict[str, Any]:
    profit = summary.final_balance - summary.starting_balance
    return {
        "seconds": summary.stop - summary.start,
        "events": summary.events,
        "trades": len(summary.trades),
        "wins": sum(trade.profit_quote > 0 for trade in summary.trades),
        "profit_quote": profit,
        "profit_share": profit / summary.starting_balance,
        "in_position_share": summary.in_position_share,
        "untradable_share": summary.untradable_share,
        "error": "",
    }


def _read(path: Path) -> Iterator[Finished]:
    """The runs that are finished; a last line that was cut off by a kill is run again."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            yield msgspec.json.decode(line, type=Finished)
        except msgspec.MsgspecError as error:
            if number == len(lines) and not line.endswith(b"\n"):
                path.write_bytes(b"".join(lines[:-1]))
                return
            raise BacktestError(
                f"{path}, line {number} is no finished run: {error}; nothing is run"
            ) from error
