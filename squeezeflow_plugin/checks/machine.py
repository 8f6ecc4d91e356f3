"""Whether this machine carries the system: cores, memory, disk, ports, way to the exchanges, clock."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import statistics
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from squeezeflow_plugin.checks.findings import Finding, Level
from squeezeflow_plugin.checks.pages import Pages
from squeezeflow_plugin.checks.planning import Plan
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.machine import memory_budget, size_of
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Settings

ENOUGH_CORES = 2
SLOW_WRITE_MS, TOO_SLOW_WRITE_MS = 50.0, 250.0
FAR_MS = 300.0
LOW_DISK_BYTES = 1 << 30
_WRITES, _WRITE_BYTES = 12, 64 * 1024
_PATIENCE_S = 5.0
_DATE_STEP_S = 1.0  # an HTTP date names whole seconds


def capacity(plan: Plan) -> Iterator[Finding]:
    """Cores and memory beside what the plan needs."""
    cores, needed = len(os.sched_getaffinity(0)), sum(plan.cores.values())
    text = f"{cores} for a load of {needed:.2f}"
    if cores < max(ENOUGH_CORES, needed):
        yield Finding("cores", Level.WARN, text, f"give it {max(ENOUGH_CORES, round(needed + 0.5))} cores")
    else:
        yield Finding("cores", Level.OK, text)
    budget, wanted = memory_budget(), plan.memory_bytes
    text = f"{budget / 1e9:.1f} GB, {wanted / 1e9:.1f} GB are planned"
    if budget < wanted:
        yield Finding("memory", Level.FAIL, text, "add memory, or collect fewer markets (squeezeflow plan)")
    else:
        yield Finding("memory", Level.OK, text)


def disk(folder: Path, plan: Plan, clock: Clock) -> Iterator[Finding]:
    """Whether the folder can be written, how fast a write is safe on it, and whether the plan fits.

    A folder that is not there is made for the time of the question.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield from _disk(folder, plan, clock)
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # something is in it by now
                path.rmdir()


def _disk(folder: Path, plan: Plan, clock: Clock) -> Iterator[Finding]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        took_ms = statistics.median(_safe_writes_ms(folder, clock))
    except OSError as error:
        text = f"{folder} cannot be written: {error.strerror or error}"
        yield Finding(
            "disk", Level.FAIL, text, "mount it writable for this user, or set SQUEEZEFLOW_DATA_DIR"
        )
        return
    level = Level.FAIL if took_ms > TOO_SLOW_WRITE_MS else Level.WARN if took_ms > SLOW_WRITE_MS else Level.OK
    remedy = "" if level is Level.OK else "put the data on a local solid-state disk (SQUEEZEFLOW_DATA_DIR)"
    yield Finding("disk speed", level, f"a write is on {folder} in {took_ms:.1f} ms", remedy)
    free = shutil.disk_usage(folder).free
    kept = sum(map(size_of, folder.rglob("*")))
    text = (
        f"{free / 1e9:.1f} GB are free, {kept / 1e9:.2f} of {plan.disk_bytes / 1e9:.1f} planned GB are used"
    )
    if free < LOW_DISK_BYTES:
        yield Finding("disk", Level.FAIL, text, "free space")
    elif free < plan.disk_bytes - kept:
        yield Finding("disk", Level.WARN, text, "keep less (SQUEEZEFLOW_RETENTION_DAYS), or add space")
    else:
        yield Finding("disk", Level.OK, text)


def _safe_writes_ms(folder: Path, clock: Clock) -> Iterator[float]:
    """How long each of some writes takes until the disk has it."""
    path = folder / f".doctor-{os.getpid()}"
    try:
        with path.open("wb") as out:
            for _ in range(_WRITES):
                before_ns = clock.now_ns()
                out.write(bytes(_WRITE_BYTES))
                out.flush()
                os.fsync(out.fileno())
                yield (clock.now_ns() - before_ns) / 1e6
    finally:
        path.unlink(missing_ok=True)


def ports(settings: Settings) -> Iterator[Finding]:
    """Whether the collector's ports are free, or already its own."""
    pages = Pages(settings)
    for what, port, url in (
        ("health", settings.health_port, f"{pages.health}/livez"),
        ("api", settings.api_port, f"{pages.api}/products"),
    ):
        if port == 0:
            yield Finding("ports", Level.SKIP, f"{what} is switched off")
        elif _is_free(settings.listen, port):
            yield Finding("ports", Level.OK, f"{port} is free for {what}")
        else:
            yield _taken(what, port, pages, url)


def _taken(what: str, port: int, pages: Pages, url: str) -> Finding:
    try:
        pages.json(url)
    except ProcessError:
        remedy = f"end it, or set SQUEEZEFLOW_{what.upper()}_PORT"
        return Finding("ports", Level.FAIL, f"another program has {port}, wanted for {what}", remedy)
    return Finding("ports", Level.OK, f"{what} is served on {port}")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Answer:
    """An exchange's answer to one request: how long it took, and its clock minus ours (None: not told).

    ``failure`` says why there is none.
    """

    exchange: str
    took_ms: float = 0.0
    ahead_s: float | None = None
    failure: str = ""


def ask_exchanges(settings: Settings, clock: Clock) -> tuple[Answer, ...]:
    """One small request to each exchange, at the same time. Raises SettingsError for an unknown one."""
    adapters = [registry.adapter(n, settings.endpoints.get(n)) for n in settings.exchanges]
    urls = [(each.name, asked[0].url) for each in adapters if (asked := each.instrument_requests())]
    with ThreadPoolExecutor(max(len(urls), 1)) as pool:
        return tuple(pool.map(lambda each: _ask(each[0], each[1], clock), urls))


def _ask(exchange: str, url: str, clock: Clock) -> Answer:
    parts = urlsplit(url)
    request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/", method="HEAD")  # noqa: S310 - an adapter's own
    before_ns = clock.now_ns()
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310 - the same
            told = answer.headers.get("Date")
    except urllib.error.HTTPError as error:  # no page there, but an answer
        with error:
            told = error.headers.get("Date")
    except (OSError, http.client.HTTPException) as error:
        return Answer(
            exchange, failure=f"{parts.netloc} cannot be reached: {getattr(error, 'reason', error)}"
        )
    after_ns = clock.now_ns()
    took_ms = (after_ns - before_ns) / 1e6
    try:
        told_s = parsedate_to_datetime(told or "").timestamp()
    except ValueError:  # none, or one that a proxy has spelled its own way
        return Answer(exchange, took_ms)
    middle_s = (before_ns + after_ns) / 2 / NS_PER_SECOND
    return Answer(exchange, took_ms, told_s + _DATE_STEP_S / 2 - middle_s)


def exchange_findings(answers: tuple[Answer, ...]) -> Iterator[Finding]:
    """Who answers, and how fast."""
    for answer in answers:
        if answer.failure:
            remedy = "look at this machine's network, its name service and its firewall"
            yield Finding("exchanges", Level.FAIL, f"{answer.exchange}: {answer.failure}", remedy)
        elif answer.took_ms > FAR_MS:
            text = f"{answer.exchange} answers in {answer.took_ms:.0f} ms with a new connection"
            yield Finding("exchanges", Level.WARN, text, "a machine closer to it decides on fresher trades")
        else:
            yield Finding("exchanges", Level.OK, f"{answer.exchange} answers in {answer.took_ms:.0f} ms")


def clock_finding(settings: Settings, answers: tuple[Answer, ...], skew_ms: float | None) -> Finding:
    """How far this clock is off: as a running collector measures it, else by the exchanges' HTTP dates.

    ``skew_ms`` is ours minus the exchanges'. A date names whole seconds, so one within half a second of ours
    says nothing more.
    """
    limit_ms = settings.max_clock_skew_ms
    known = [answer.ahead_s for answer in answers if answer.ahead_s is not None]
    if skew_ms is not None:
        off_ms, how = skew_ms, "as the collector measures it"
    elif known:
        off_s = -statistics.median(known)
        off_ms, how = (0.0 if abs(off_s) <= _DATE_STEP_S else off_s * 1e3), "by the exchanges' HTTP dates"
    else:
        return Finding("clock", Level.SKIP, "no exchange answers, so it cannot be compared")
    text = f"{off_ms:.0f} ms off {how}, entries are vetoed from {limit_ms} ms"
    if abs(off_ms) > limit_ms / 4:
        level = Level.FAIL if abs(off_ms) > limit_ms else Level.WARN
        return Finding("clock", level, text, "run a time service (chrony, systemd-timesyncd)")
    return Finding("clock", Level.OK, text)
