"""Which recordings of the reference data are used, line by line where that is not all of them, and why not.

``expected_aggr`` is what aggr-server makes of a line, ``expected_tardis`` and ``expected_cmp`` what
tardis-node and crypto-msg-parser do. Every line is either judged by one of them, or says nothing, or stands here.
"""

from __future__ import annotations

OUTDATED = "a format the exchange no longer sends"
REST = "an answer of the REST interface, no frame"
MADE = "made by tardis-node of answers of the REST interface, no frame"

FRAMES: dict[str, dict[int, str]] = {
    "BITGET/cryptomsgparser_bitget.jsonl": {0: OUTDATED, 1: OUTDATED, 2: REST, 3: OUTDATED},
    "BITGET/tardis_bitget-futures.jsonl": {},
    "BITGET/tardis_bitget.jsonl": {},
    "BYBIT/tardis_bybit-spot.jsonl": {0: OUTDATED},
    "BYBIT/tardis_bybit.jsonl": dict.fromkeys((1, 2, 3, 4, 5), OUTDATED),
    "COINBASE/cryptofeed_COINBASE.ws.28.0.jsonl": {},
    "COINBASE/cryptomsgparser_coinbase_pro.jsonl": {},
    "COINBASE/tardis_coinbase-international.jsonl": {},
    "COINBASE/tardis_coinbase.jsonl": {},
    "HYPERLIQUID/hftbacktest_BTC_20250126_a.jsonl": {},
    "HYPERLIQUID/tardis_hyperliquid.jsonl": {},
    "KRAKEN/cryptofeed_KRAKEN.ws.48.0.jsonl": {},
    "KRAKEN/cryptofeed_KRAKEN_FUTURES.ws.1.0.jsonl": {},
    "KRAKEN/cryptomsgparser_kraken.jsonl": {},
    "KRAKEN/tardis_cryptofacilities.jsonl": {},
    "KRAKEN/tardis_kraken.jsonl": {},
    "OKEX/cryptofeed_OKX.ws.1.0.jsonl": {},
    "OKEX/cryptomsgparser_okx.jsonl": {},
    "OKEX/tardis_okex-futures.jsonl": {**dict.fromkeys(range(5), OUTDATED), 6: MADE},
    "OKEX/tardis_okex-swap.jsonl": dict.fromkeys(range(3), OUTDATED),
    "OKEX/tardis_okex.jsonl": {0: OUTDATED},
}
"""Recordings of frames, and the lines of them that are not read, with the reason."""

DIFFERENT: dict[tuple[str, int], str] = {
    ("COINBASE/cryptomsgparser_coinbase_pro.jsonl", 0): (
        "crypto-msg-parser counts last_match, a replay, and takes the maker's side for the taker's"
    ),
    ("KRAKEN/tardis_cryptofacilities.jsonl", 3): (
        "aggr-server counts a liquidation's trade only as a liquidation; it is a trade as well"
    ),
}
"""Lines where we deliberately do not agree with one of the expected results, and why."""

BASE_SIZED = {"BITGET/tardis_bitget-futures.jsonl"}
"""Of markets that are inverse now, but whose sizes were base units on the former stream."""

ANSWERS = (
    "BYBIT/nautilus/http_get_instruments_inverse.json",
    "BYBIT/nautilus/http_get_instruments_inverse_symbol_type.json",
    "BYBIT/nautilus/http_get_instruments_linear.json",
    "BYBIT/nautilus/http_get_instruments_linear_symbol_type.json",
    "BYBIT/nautilus/http_get_instruments_spot.json",
    "BYBIT/nautilus/http_get_instruments_spot_xstocks.json",
    "COINBASE/nautilus/http_products_future.json",
    "HYPERLIQUID/nautilus/http_meta_perp_sample.json",
    "KRAKEN/nautilus/http_futures_instruments.json",
    "OKEX/nautilus/http_get_instruments_futures.json",
    "OKEX/nautilus/http_get_instruments_spot.json",
    "OKEX/nautilus/http_get_instruments_swap.json",
)
"""Answers of REST interfaces about instruments that we ask."""

CONTROL = (
    "BYBIT/nautilus/ws_subscription_ack.json",
    "BYBIT/nautilus/ws_subscription_failure.json",
    "COINBASE/nautilus/ws_heartbeats.json",
    "COINBASE/nautilus/ws_subscriptions.json",
    "KRAKEN/nautilus/ws_pong.json",
    "KRAKEN/nautilus/ws_subscribe_response.json",
)
"""Frames that carry no trade."""

OPTIONS = "options, which are no part of the method and are not asked for"
EXCUSED = {
    "BYBIT/nautilus/http_get_instruments_option.json": OPTIONS,
    "BYBIT/nautilus/http_get_instruments_option_symbol_id.json": OPTIONS,
    "COINBASE/nautilus/http_products.json": "spot is asked of Coinbase Exchange, not of Advanced Trade",
    "HYPERLIQUID/nautilus/http_all_perp_metas_non_usdc_collateral.json": (
        "an answer about builders' own exchanges, which are not asked for"
    ),
    "HYPERLIQUID/nautilus/http_spot_meta_non_usdc_collateral.json": "names no spot pair at all",
    "OKEX/nautilus/http_get_instruments_margin.json": "margin markets, which are those of spot again",
    "OKEX/nautilus/http_get_instruments_option.json": OPTIONS,
}
"""Files that are not used, with the reason."""
