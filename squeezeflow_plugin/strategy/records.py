"""FreqTrade's own records of trades, read in this project's terms."""

from __future__ import annotations

from datetime import UTC, datetime

from freqtrade.persistence import Order, Trade

from squeezeflow_plugin.phases.tags import EnterTag, parse_tag
from squeezeflow_plugin.strategy.offline import Offer
from squeezeflow_plugin.strategy.trades import Entry, Fill, OpenTrade


def open_trades() -> tuple[OpenTrade, ...]:
    """Every open trade of FreqTrade's database."""
    return tuple(open_trade(trade, trade.pair) for trade in Trade.get_open_trades())


def fill_of(trade: Trade, order: Order, current_time: datetime) -> Fill:
    """What a filled order says."""
    return Fill(
        order.ft_order_side == trade.entry_side,
        epoch_ns(order.order_date_utc),
        epoch_ns(order.order_filled_utc or current_time),
        float(order.safe_price),
        float(trade.stake_amount),
    )


def open_trade(trade: Trade, pair: str) -> OpenTrade:
    return OpenTrade(pair, trade.id, -1 if trade.is_short else 1, parse_tag(trade.enter_tag))


def was_traded(pair: str, tag: EnterTag) -> bool:
    """Whether FreqTrade's database has a trade, open or closed, on this entry event."""
    if Trade.use_db:  # the database looks for it: every trade of the pair, with its orders, is slow to read
        wanted = [Trade.pair == pair, Trade.enter_tag.endswith(f"e={tag.second}")]
        found = Trade.get_trades(wanted, include_orders=False)
    else:
        found = Trade.get_trades_proxy(pair=pair)
    known = (parse_tag(trade.enter_tag) for trade in found)
    return any(other is not None and other.second == tag.second for other in known)


def is_taken(pair: str, entry: Entry) -> bool:
    """Whether the entry's event was traded, or a trade of the pair is open on its side.

    Live, FreqTrade leaves trades before it enters others; its backtest looks at an entry before it leaves a
    trade on the same side. An entry that waits for the second after the exit is the same in both.
    """
    held = Trade.get_trades_proxy(pair=pair, is_open=True)
    return was_traded(pair, entry.tag) or any(trade.is_short == (entry.direction < 0) for trade in held)


def name_event(trade: Trade, offer: Offer | None) -> None:
    """Give an analysed trade the tag of its event, which was not known when FreqTrade wrote its own.

    Callbacks are handed a copy of the trade, so the one that FreqTrade goes on with is looked up.
    """
    for each in Trade.get_trades_proxy(pair=trade.pair, is_open=True):
        if each.id == trade.id and offer is not None:
            each.enter_tag = str(offer.tag)
            for order in each.select_filled_orders(each.entry_side):
                order.ft_order_tag = each.enter_tag


def epoch_second(moment: datetime) -> int:
    return int(moment.timestamp())


def epoch_ns(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1_000_000) * 1000
