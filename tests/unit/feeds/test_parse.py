"""Recorded frames to trade lines: both row shapes, rejections by line, aggregates never beside trades."""

from __future__ import annotations

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.errors import FrameError, SettingsError
from squeezeflow_plugin.feeds.parse import Summary, parse_file

T = 1_767_225_600_000


def trade(trade_id: int, symbol: str = "BTCUSDT", price: str = "2.0", **more: Any) -> str:
    event = {
        "e": "trade",
        "E": T,
        "s": symbol,
        "t": trade_id,
        "p": price,
        "q": "0.5",
        "T": T,
        "m": True,
        **more,
    }
    return json.dumps(event)


def aggregate(number: int, symbol: str = "BTCUSDT") -> str:
    event = {
        "e": "aggTrade",
        "E": T,
        "s": symbol,
        "a": number,
        "p": "2.0",
        "q": "1.5",
        "f": 1,
        "l": 3,
        "T": T,
    }
    return json.dumps({**event, "m": False})


def recording(path: Path, *frames: str | dict[str, Any]) -> Path:
    rows = [frame if isinstance(frame, dict) else {"raw": frame} for frame in frames]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(text)
    return path


def parsed(path: Path, exchange: str = "BINANCE") -> tuple[list[dict[str, Any]], list[str], Summary]:
    out, err = io.StringIO(), io.StringIO()
    summary = parse_file(exchange, path, out, err)
    return [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue().splitlines(), summary


@pytest.mark.parametrize("name", ["frames.jsonl", "frames.jsonl.gz"])
def test_a_line_holds_the_whole_trade(tmp_path: Path, name: str) -> None:
    path = recording(tmp_path / name, '{"result":null,"id":1}', {"raw": trade(7), "recv_ns": 5 * 10**18})
    lines, err, summary = parsed(path)
    assert lines == [
        {
            "line": 1,
            "market": "BINANCE:btcusdt",
            "exchange_ns": T * 1_000_000,
            "trade_id": "7",
            "price": 2.0,
            "size": 0.5,
            "quote": 1.0,
            "side": "sell",
            "count": 1,
            "liquidation": False,
        }
    ]
    assert (summary.frames, summary.trades, summary.rejected) == (2, 1, 0)
    assert err == [f"{path}: 2 frames: 1 trades, 0 rejected, 1 other (answer)"]


def test_binary_rows_and_both_receive_times_are_read(tmp_path: Path) -> None:
    future = trade(1, T=T + 7_200_000)
    rows: list[dict[str, Any]] = [
        {"raw_b64": base64.b64encode(trade(1).encode()).decode(), "other": [1]},
        {"raw": future, "recv_ts": T / 1000},
        {"raw": future, "recv_ns": T * 1_000_000},
        {"raw": future},
    ]
    lines, err, _ = parsed(recording(tmp_path / "a.jsonl", *rows))
    assert [line["line"] for line in lines] == [0, 3]
    assert [text.split(": ")[1].startswith("BINANCE trade") for text in err] == [True, True, False]


def test_lines_without_a_row_around_them_are_frames(tmp_path: Path) -> None:
    """Bare, behind a local time in any unit or as a date, and rows whose frame is a document."""
    late = trade(8, T=T + 7_200_000)  # dated hours after its receipt, where that is known
    path = tmp_path / "a.txt"
    rows = [
        "\ufeff" + trade(1),
        f"{T // 1000}.5: {trade(2)}",
        f"{T}\t{trade(3)}",
        f"{T * 1000} {trade(4)}",
        f"{T}000000 {trade(5)}",
        f"2026-01-01T00:00:00.123456Z {trade(6)}",
        f"2026-01-01T00:00:00 {trade(7)}",
        *(f"{time} {late}" for time in (f"{T // 1000}.5:", T, T * 1000, T * 10**6, "2026-01-01T00:00:00Z")),
        json.dumps({"raw": json.loads(trade(9)), "recv_ns": str(T * 1_000_000)}),
        json.dumps({"raw": None, "raw_b64": base64.b64encode(trade(10).encode()).decode()}),
        json.dumps({"raw": json.loads(late), "recv_ts": str(T / 1000)}),
    ]
    path.write_text("\r\n".join(rows))
    lines, _, summary = parsed(path)
    assert [line["trade_id"] for line in lines] == ["1", "2", "3", "4", "5", "6", "7", "9", "10"]
    assert summary.rejected == 6


def test_a_file_may_be_one_document(tmp_path: Path) -> None:
    path = tmp_path / "frame.json"
    path.write_text(json.dumps(json.loads(trade(1)), indent=4))
    assert [line["line"] for line in parsed(path)[0]] == [0]
    path.write_text("")
    assert parsed(path)[2].frames == 0


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    packed = recording(tmp_path / "a.jsonl.gz", trade(1))
    misnamed = packed.rename(tmp_path / "b.jsonl")
    assert parsed(misnamed)[2].trades == 1


@pytest.mark.parametrize("frames", [(aggregate(1), trade(1)), (trade(1), aggregate(1))])
def test_aggregates_are_left_out_beside_trades_wherever_they_stand(
    tmp_path: Path, frames: tuple[str, str]
) -> None:
    path = recording(tmp_path / "a.jsonl", *frames, aggregate(2, "ETHUSDT"))
    lines, _, summary = parsed(path)
    assert sorted((line["market"], line["trade_id"], line["count"]) for line in lines) == [
        ("BINANCE:btcusdt", "1", 1),
        ("BINANCE:ethusdt", "a2", 3),
    ]
    assert summary.left_out == {"aggregate beside the market's trades": 1}


def test_liquidations_do_not_silence_aggregates(tmp_path: Path) -> None:
    order = {"s": "BTCUSDT", "S": "SELL", "q": "1", "p": "2", "ap": "2", "T": T}
    forced = json.dumps({"e": "forceOrder", "E": T, "o": order})
    lines, _, _ = parsed(recording(tmp_path / "a.jsonl", forced, aggregate(1)), "BINANCE_FUTURES")
    assert [line["liquidation"] for line in lines] == [True, False]


def test_executions_that_are_no_trades_are_counted_by_reason(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.jsonl", trade(1, X="ADL"), trade(2, X="MARKET"))
    lines, err, _ = parsed(path, "BINANCE_FUTURES")
    assert [line["trade_id"] for line in lines] == ["2"]
    assert err == [f"{path}: 2 frames: 1 trades, 0 rejected, 1 left out (execution type 'ADL')"]


def test_options_are_left_out(tmp_path: Path) -> None:
    def push(topic: str, symbol: str) -> str:
        item = {
            "i": "u-1",
            "T": T,
            "p": "2",
            "v": "1",
            "S": "Buy",
            "s": symbol,
            "BT": False,
            "L": "ZeroPlusTick",
        }
        return json.dumps({"topic": f"publicTrade.{topic}", "data": [item]})

    options = [push("BTC", name) for name in ("BTC-27MAR26-80000-C", "BTC-27MAR26-80000-P-USDT")]
    path = recording(tmp_path / "a.jsonl", *options, push("BTC-27MAR26", "BTC-27MAR26"))
    lines, _, summary = parsed(path, "BYBIT")
    assert [line["market"] for line in lines] == ["BYBIT:BTC-27MAR26"]
    assert summary.left_out == {"option": 2}


def test_each_unreadable_frame_is_one_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = recording(
        tmp_path / "a.jsonl", trade(1), "{", trade(2, price="NaN"), '{"code":1,"msg":"no"}', trade(3)
    )
    lines, err, summary = parsed(path)
    assert [line["trade_id"] for line in lines] == ["1", "3"]
    assert [text.split(": ")[0] for text in err] == [f"{path}:1", f"{path}:2", f"{path}:3", str(path)]
    assert "field p must be a positive number, was 'NaN'" in err[1]
    assert (summary.rejected, summary.trades) == (3, 2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"{not json}\n", r"a\.jsonl:1: no row of a recording"),
        (b"7 {not json}\n", r"a\.jsonl:1: no row of a recording"),
        (b"words\n", r"a\.jsonl:1: no row of a recording: neither a row nor a frame, was b'words'"),
        (b'{"raw":5}\n', r"a\.jsonl:1: no row of a recording: raw must be a text or a document, was b'5'"),
        (b'{"raw":null,"raw_b64":5}\n', r"a\.jsonl:1: no row of a recording"),
        (b"2026-01-01T99:00:00Z {}\n", r"a\.jsonl:1: no row of a recording"),
        (b'{"raw_b64":"?"}\n', r"a\.jsonl:1: no row of a recording"),
        (b"\xff\xfe\n", r"a\.jsonl:1: no row of a recording"),
        (b'{"raw":"{}","recv_ns":"soon"}\n', r"a\.jsonl:1: no row of a recording"),
    ],
)
def test_a_file_that_is_no_recording_is_named_by_line_and_nothing_is_written(
    tmp_path: Path, bad: bytes, message: str
) -> None:
    path = recording(tmp_path / "a.jsonl", trade(1))
    path.write_bytes(path.read_bytes() + bad)
    out = io.StringIO()
    with pytest.raises(FrameError, match=message):
        parse_file("BINANCE", path, out, io.StringIO())
    assert out.getvalue() == ""


@pytest.mark.parametrize("row", [False, True])
def test_a_last_line_that_was_not_finished_hides_none_before_it(tmp_path: Path, row: bool) -> None:
    last = json.dumps({"raw": trade(2)}) if row else trade(2)
    path = recording(tmp_path / "a.jsonl", trade(1))
    path.write_bytes(path.read_bytes() + last[:-20].encode())
    lines, err, summary = parsed(path)
    assert [line["trade_id"] for line in lines] == ["1"]
    assert (summary.rejected, err[0].startswith(f"{path}:1: BINANCE: frame must be JSON")) == (1, True)


def test_pings_that_are_words_are_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("pong\nping\n")
    assert parsed(path, "OKEX")[2].other == {"pong": 1}
    assert parsed(path, "OKEX")[2].rejected == 1


def test_a_cut_gzip_file_and_a_missing_one_are_named(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.jsonl.gz", *(trade(i, price=f"{i * 7919 % 9973}.5") for i in range(500)))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FrameError, match=r"a\.jsonl\.gz:\d+: the file cannot be read"):
        parse_file("BINANCE", path, io.StringIO(), io.StringIO())
    with pytest.raises(FrameError, match=r"none\.jsonl:0: the file cannot be read"):
        parse_file("BINANCE", tmp_path / "none.jsonl", io.StringIO(), io.StringIO())


def test_an_unknown_exchange_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown exchange"):
        parse_file("NOWHERE", tmp_path / "a.jsonl", io.StringIO())


def test_trades_replayed_at_a_subscription_are_left_out_by_name(tmp_path: Path) -> None:
    item = {"i": "7", "p": "2", "v": "1", "S": "buy", "T": str(T)}
    argument = {"instType": "spot", "topic": "publicTrade", "symbol": "BTCUSDT"}
    snapshot = {"action": "snapshot", "arg": argument, "data": [item, {**item, "i": "8"}]}
    update = {"action": "update", "arg": argument, "data": [{**item, "i": "9"}]}
    frames = (json.dumps(snapshot), json.dumps(update))
    trades, _, summary = parsed(recording(tmp_path / "a.jsonl", *frames), "BITGET")
    assert [each["trade_id"] for each in trades] == ["9"]
    assert summary.left_out == {"replayed at the subscription": 2}
