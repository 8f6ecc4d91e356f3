"""Journal and closer together: real trades, killed at random points, end in the bars of all trades."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord
from tests.unit.bars.tapes import contents, reference_frame, trades_of


def test_killed_at_random_points_real_trades_end_in_the_same_bars(shared: Path, tmp_path: Path) -> None:
    """Twelve lives; each dies between two trades and the next one starts up to 30 s later.

    What arrives while nobody lives is lost to all and left out of the expectation. Some trades come late.
    """
    rng = random.Random(7)
    tape = trades_of(reference_frame(shared))
    for place in range(0, len(tape), 50):
        late_ns = rng.randrange(1, 90) * NS_PER_SECOND
        tape[place] = msgspec.structs.replace(tape[place], received_ns=tape[place].received_ns + late_ns)
    tape.sort(key=lambda each: (each.received_ns, each.exchange_ns, int(each.trade_id)))
    markets = sorted({each.market for each in tape})
    deaths = [*sorted(rng.sample(range(2000, len(tape)), 11)), len(tape)]
    records: list[ClosingRecord] = []
    received = []
    at = 0
    for death in deaths:
        if at >= death:
            continue
        journal = TradeJournal(tmp_path)
        started_ns = tape[at].received_ns - 1
        closer = Closer("test", markets, started_ns=started_ns)
        if records:
            first = records[-1].second - closer.builder.horizon_s + 1
            recent = [each for each in records if each.second >= first]
            closer.resume(recent, *journal.split(first, records[-1].second))
        for each in tape[at:death]:
            while (due_ns := closer.due_local_ns()) < each.received_ns:
                records.append(closer.close(max(due_ns, started_ns)))
                journal.mark(records[-1].second)
            journal.append([each])
            received.append(each)
            closer.on_trades([each])
        journal.close()
        back_ns = tape[death - 1].received_ns + rng.randrange(30) * NS_PER_SECOND
        at = next((n for n in range(death, len(tape)) if tape[n].received_ns > back_ns), len(tape))
    end_ns = tape[-1].received_ns + 300 * NS_PER_SECOND
    while (due_ns := closer.due_local_ns()) < end_ns:
        records.append(closer.close(due_ns))
    assert [each.second for each in records] == list(
        range(records[0].second, records[0].second + len(records))
    )
    known: dict[tuple[str, int], Bar] = {}
    for record in records:
        known.update({(bar.market, bar.second): bar for bar in (*record.bars, *record.revisions)})
    whole = {(bar.market, bar.second): bar for bar in bars_of_trades(columns_of_trades(received)).bars()}
    assert contents(known) == contents(whole)
    assert len(received) < len(tape)
    assert sum(bool(record.revisions) for record in records) > 100
