"""What a schedule came to, as one JSON line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import msgspec

from tests.soak.oracle import Verdict


@dataclass(frozen=True)
class Outcome:
    """``faults`` counts what was inflicted, by name; ``failure`` is why it could not be judged.

    ``influx_differences`` seconds and bars in which InfluxDB differs from the embedded store;
    ``bus_misread`` records that a reader of the bus got twice, not at all, or other than stored;
    ``catch_up_s`` the longest time from the end of a fault until the second it ended in was stored, every
    store stood at the clock and every market had been covered for three seconds (4.4 s at least after a
    kill); ``peak_spool_s`` and ``peak_spool_bytes`` the most that waited, and the most that the data
    directory held during a fault (for an outage alone: by how much it grew).
    """

    schedule: str
    seed: int
    faults: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    influx_differences: int = 0
    bus_misread: int = 0
    catch_up_s: float = 0.0
    peak_spool_s: int = 0
    peak_spool_bytes: int = 0
    elapsed_s: float = 0.0
    failure: str = ""

    @property
    def is_ok(self) -> bool:
        return (
            not self.failure
            and self.verdict.is_clean
            and self.influx_differences == 0
            and self.bus_misread == 0
        )

    @property
    def replay(self) -> str:
        """The command that plays the same schedule again."""
        return f"python -m tests.soak --seed {self.seed} --schedule {self.schedule}"

    def line(self) -> str:
        """One JSON line, the verdict's counts beside the rest."""
        body = asdict(self)
        body |= {"faults": dict(self.faults), "ok": self.is_ok, **body.pop("verdict")}
        body |= {"catch_up_s": round(self.catch_up_s, 1), "elapsed_s": round(self.elapsed_s, 1)}
        if not self.is_ok:
            body["replay"] = self.replay
        return msgspec.json.encode(body).decode()
