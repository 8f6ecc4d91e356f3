"""Which recordings of the reference data are used, line by line where that is not all of them, and why not.

``expected_aggr`` is what aggr-server makes of a line, ``expected_tardis`` and ``expected_cmp`` what
tardis-node and crypto-msg-parser do. Every line is judged by one of them, or says nothing, or stands here.
"""

from __future__ import annotations

OUTDATED = "a format the exchange no longer sends"
REST = "an answer of the REST interface, no frame"
MADE = "made by tardis-node of answers of the REST interface, no frame"

FRAMES: dict[str, dict[int, str]] = {
    "ASTER/tardis_aster-futures.jsonl": {},
    "BITFINEX/cryptomsgparser_bitfinex.jsonl": {1: "the older trades that a channel begins with"},
    "BITFINEX/tardis_bitfinex-derivatives.jsonl": {},
    "BITFINEX/tardis_bitfinex.jsonl": {0: "channel 89, whose market no recorded frame says"},
    "BITSTAMP/cryptofeed_BITSTAMP.ws.1.0.jsonl": {},
    "BITSTAMP/cryptomsgparser_bitstamp.jsonl": {},
    "BITSTAMP/tardis_bitstamp.jsonl": {},
    "CRYPTOCOM/tardis_crypto-com.jsonl": {},
    "DERIBIT/cryptomsgparser_deribit.jsonl": {},
    "DERIBIT/tardis_deribit.jsonl": {},
    "DYDX/tardis_dydx-v4.jsonl": {},
    "GATEIO/cryptofeed_GATEIO.ws.1.0.jsonl": {},
    "GATEIO/cryptomsgparser_gate.jsonl": {0: OUTDATED, 4: REST},
    "GATEIO/tardis_gate-io-futures.jsonl": {},
    "GATEIO/tardis_gate-io.jsonl": {0: OUTDATED},
    "HUOBI/cryptomsgparser_huobi.jsonl": {4: "options", 5: REST},
    "HUOBI/tardis_huobi-dm-linear-swap.jsonl": {},
    "HUOBI/tardis_huobi-dm-swap.jsonl": {},
    "HUOBI/tardis_huobi-dm.jsonl": {
        1: "a dated contract, whose trades bear another name than its liquidations"
    },
    "HUOBI/tardis_huobi.jsonl": {},
    "KUCOIN/cryptofeed_KUCOIN.ws.1.0.jsonl": {},
    "KUCOIN/cryptomsgparser_kucoin.jsonl": {},
    "KUCOIN/tardis_kucoin-futures.jsonl": {},
    "KUCOIN/tardis_kucoin.jsonl": {},
    "MEXC/cryptomsgparser_mexc.jsonl": {0: OUTDATED},
    "MEXC/tardis_mexc-futures.jsonl": {},
    "MEXC/tardis_mexc.jsonl": {},
    "PHEMEX/cryptofeed_PHEMEX.ws.1.0.jsonl": dict.fromkeys(range(10), "older trades"),
    "PHEMEX/tardis_phemex.jsonl": {},
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

UNJUDGED = (
    "HUOBI/cryptofeed_HUOBI.ws.44.0.jsonl",
    "HUOBI/cryptofeed_HUOBI_SWAP.ws.1.0.jsonl",
    "HUOBI/cryptofeed_HUOBI_SWAP.ws.2.0.jsonl",
)
"""Recordings of frames for which there is no expected result; they are compared with a plain reading."""

DIFFERENT: dict[tuple[str, int], str] = {
    ("BITFINEX/cryptomsgparser_bitfinex.jsonl", 2): (
        "crypto-msg-parser counts tu, which repeats the trade that te has told"
    ),
    ("DERIBIT/cryptomsgparser_deribit.jsonl", 1): (
        "aggr-server counts options, which are no market of the method"
    ),
    ("DERIBIT/tardis_deribit.jsonl", 2): (
        "aggr-server counts a liquidation's trade only as a liquidation, and of the taker's side even where "
        "the maker was liquidated"
    ),
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
    "DERIBIT/nautilus/http_get_instruments.json",
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
    "DERIBIT/nautilus/ws_error.json",
    "DERIBIT/nautilus/ws_subscribe_response.json",
    "DYDX/nautilus/ws_block_height_subscribed.json",
    "DYDX/nautilus/ws_error.json",
    "DYDX/nautilus/ws_markets_subscribed.json",
    "BYBIT/nautilus/ws_subscription_ack.json",
    "BYBIT/nautilus/ws_subscription_failure.json",
    "COINBASE/nautilus/ws_heartbeats.json",
    "COINBASE/nautilus/ws_subscriptions.json",
    "KRAKEN/nautilus/ws_pong.json",
    "KRAKEN/nautilus/ws_subscribe_response.json",
)
"""Frames that carry no trade."""

OPTIONS = "options, which are no part of the method and are not asked for"
ONE = "an answer to a request about one instrument, which is not asked"
EXCUSED = {
    "DERIBIT/nautilus/http_get_instrument.json": ONE,
    "DERIBIT/nautilus/http_get_instrument_option.json": OPTIONS,
    "DERIBIT/nautilus/http_get_instruments_future_combo.json": OPTIONS,
    "DERIBIT/nautilus/http_get_instruments_option_combo.json": OPTIONS,
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
