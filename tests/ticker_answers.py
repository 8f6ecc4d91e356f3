"""What exchanges answer about open interest, funding and volume, as their documentation shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NOW = 1_780_000_000_000_000_000
MS = 1_779_999_999_000

# market, the answers by path, open interest in base units and dollars, funding, 24 h volume where it is told
CASES: tuple[tuple[str, Mapping[str, Any], float, float, float, float], ...] = (
    (
        "BINANCE_FUTURES:btcusdt",
        {
            "/fapi/v1/premiumIndex": [
                {"symbol": "BTCUSDT", "markPrice": "60000", "lastFundingRate": "0.0001", "time": MS}
            ],
            "/fapi/v1/openInterest": {"openInterest": "10.5", "symbol": "BTCUSDT", "time": MS},
            "/fapi/v1/ticker/24hr": [{"symbol": "BTCUSDT", "quoteVolume": "123.5"}],
        },
        10.5, 630_000.0, 0.0001, 123.5,
    ),
    (
        "BINANCE_FUTURES:btcusd_perp",
        {
            "/dapi/v1/premiumIndex": [
                {"symbol": "BTCUSD_PERP", "markPrice": "50000", "lastFundingRate": "", "time": MS}
            ],
            "/dapi/v1/openInterest": {"openInterest": "1000", "symbol": "BTCUSD_PERP", "time": MS},
            "/dapi/v1/ticker/24hr": [{"symbol": "BTCUSD_PERP", "volume": "7"}],
        },
        2.0, 100_000.0, math.nan, 700.0,
    ),
    (
        "BYBIT:BTCUSDT",
        {
            "/v5/market/tickers": {
                "result": {
                    "list": [
                        {
                            "symbol": "BTCUSDT", "markPrice": "60000", "openInterest": "3",
                            "openInterestValue": "180000", "fundingRate": "-0.0002", "volume24h": "2",
                        }
                    ]
                },
                "time": MS,
            }
        },
        3.0, 180_000.0, -0.0002, 120_000.0,
    ),
    (
        "BYBIT:BTCUSD",
        {
            "/v5/market/tickers": {
                "result": {
                    "list": [
                        {
                            "symbol": "BTCUSD", "markPrice": "50000", "openInterest": "100000",
                            "openInterestValue": "2", "fundingRate": "0.0001", "volume24h": "900",
                        }
                    ]
                },
                "time": MS,
            }
        },
        2.0, 100_000.0, 0.0001, 900.0,
    ),
    (
        "OKEX:BTC-USDT-SWAP",
        {
            "/api/v5/public/funding-rate": {
                "data": [{"instId": "BTC-USDT-SWAP", "fundingRate": "0.0003", "ts": str(MS)}]
            },
            "/api/v5/public/open-interest": {
                "data": [
                    {"instId": "BTC-USDT-SWAP", "oi": "300", "oiCcy": "3", "oiUsd": "180100", "ts": str(MS)}
                ]
            },
            "/api/v5/market/tickers": {
                "data": [{"instId": "BTC-USDT-SWAP", "last": "60000", "vol24h": "100", "ts": str(MS)}]
            },
        },
        3.0, 180_100.0, 0.0003, 60_000.0,
    ),
    (
        "BITGET:BTCUSDT",
        {
            "/api/v2/mix/market/tickers": {
                "data": [
                    {
                        "symbol": "BTCUSDT", "holdingAmount": "4", "markPrice": "60000", "ts": str(MS),
                        "fundingRate": "0.0001", "usdtVolume": "5.5",
                    }
                ]
            }
        },
        4.0, 240_000.0, 0.0001, 5.5,
    ),
    (
        "HYPERLIQUID:BTC",
        {
            "/info": [
                {"universe": [{"name": "ETH"}, {"name": "BTC"}]},
                [
                    {"openInterest": "1", "markPx": "3000", "funding": "0.1", "dayNtlVlm": "1"},
                    {"openInterest": "2", "markPx": "60000", "funding": "0.00001", "dayNtlVlm": "77.5"},
                ],
            ]
        },
        2.0, 120_000.0, 0.00001, 77.5,
    ),
    (
        "KRAKEN:PF_XBTUSD",
        {
            "/derivatives/api/v3/tickers": {
                "result": "success",
                "tickers": [
                    {
                        "symbol": "PF_XBTUSD", "markPrice": 50000.0, "openInterest": 2.0, "vol24h": 3.0,
                        "fundingRate": 5.0,
                    },
                    {"symbol": "in_xbtusd", "last": 50000.0},
                ],
            }
        },
        2.0, 100_000.0, 0.0001, 150_000.0,
    ),
    (
        "KRAKEN:PI_XBTUSD",
        {
            "/derivatives/api/v3/tickers": {
                "tickers": [
                    {
                        "symbol": "PI_XBTUSD", "markPrice": 50000.0, "openInterest": 100000, "vol24h": 3000,
                        "fundingRate": 2e-9,
                    }
                ]
            }
        },
        2.0, 100_000.0, 0.0001, 3_000.0,
    ),
    (
        "COINBASE:BTC-PERP-INTX",
        {
            "/api/v3/brokerage/market/products": {
                "products": [
                    {
                        "product_id": "BTC-PERP-INTX", "price": "60000", "volume_24h": "2",
                        "future_product_details": {
                            "perpetual_details": {"open_interest": "5", "funding_rate": "0.000016"}
                        },
                    }
                ]
            }
        },
        5.0, 300_000.0, 0.000016, 120_000.0,
    ),
    (
        "HUOBI:BTC-USDT",
        {
            "/linear-swap-api/v1/swap_batch_funding_rate": {
                "data": [{"contract_code": "BTC-USDT", "funding_rate": "0.0001"}], "ts": MS,
            },
            "/linear-swap-api/v1/swap_open_interest": {
                "data": [
                    {
                        "contract_code": "BTC-USDT", "amount": 32.5, "volume": 32500, "value": 1_950_000.5,
                        "trade_turnover": 9.5,
                    }
                ],
                "ts": MS,
            },
        },
        32.5, 1_950_000.5, 0.0001, 9.5,
    ),
    (
        "HUOBI:BTC-USD",
        {
            "/swap-api/v1/swap_batch_funding_rate": {"data": [], "ts": MS},
            "/swap-api/v1/swap_open_interest": {
                "data": [
                    {"contract_code": "BTC-USD", "amount": 2.0, "volume": 1000, "trade_turnover": 8.5}
                ],
                "ts": MS,
            },
        },
        2.0, 100_000.0, math.nan, 8.5,
    ),
    (
        "DERIBIT:BTC-PERPETUAL",
        {
            "/api/v2/public/get_book_summary_by_currency": {
                "result": [
                    {
                        "instrument_name": "BTC-PERPETUAL", "open_interest": 100000, "mark_price": 50000,
                        "volume_usd": 6.5, "current_funding": 0.0001, "creation_timestamp": MS,
                    }
                ]
            }
        },
        2.0, 100_000.0, 0.0001, 6.5,
    ),
    (
        "GATEIO:BTC_USDT",
        {
            "/api/v4/futures/usdt/tickers": [
                {
                    "contract": "BTC_USDT", "total_size": "20000", "mark_price": "60000",
                    "funding_rate": "0.0001", "volume_24h_quote": "4.5",
                }
            ]
        },
        2.0, 120_000.0, 0.0001, 4.5,
    ),
    (
        "KUCOIN:XBTUSDTM",
        {
            "/api/v1/contracts/active": {
                "data": [
                    {
                        "symbol": "XBTUSDTM", "openInterest": "2000", "markPrice": 60000,
                        "fundingFeeRate": 0.0001, "turnoverOf24h": 3.5,
                    }
                ]
            }
        },
        2.0, 120_000.0, 0.0001, 3.5,
    ),
    (
        "BITFINEX:BTCF0:USTF0",
        {
            "/v2/tickers": [["tBTCF0:USTF0", 1, 1, 1, 1, 1, 1, 60000, 2.0, 1, 1]],
            "/v2/status/deriv": [
                [
                    "tBTCF0:USTF0", MS, None, 60001, 60002, None, 1, None, MS, 0, 1, None, 0.0001, None, None,
                    60000, None, None, 5.5, None, None, None, 0.1, 0.2,
                ]
            ],
        },
        5.5, 330_000.0, 0.0001, 120_000.0,
    ),
    (
        "CRYPTOCOM:BTCUSD-PERP",
        {
            "/exchange/v1/public/get-tickers": {
                "result": {"data": [{"i": "BTCUSD-PERP", "a": "60000", "oi": "2", "vv": "1.5", "t": MS}]}
            }
        },
        2.0, 120_000.0, math.nan, 1.5,
    ),
    (
        "MEXC:BTC_USDT",
        {
            "/api/v1/contract/ticker": {
                "data": [
                    {
                        "symbol": "BTC_USDT", "holdVol": 20000, "fairPrice": 60000.0, "fundingRate": 0.0001,
                        "amount24": 2.5, "timestamp": MS,
                    }
                ]
            }
        },
        2.0, 120_000.0, 0.0001, 2.5,
    ),
    (
        "PHEMEX:BTCUSDT",
        {
            "/md/v3/ticker/24hr/all": {
                "result": [
                    {
                        "symbol": "BTCUSDT", "openInterestRv": "2", "markPriceRp": "60000",
                        "fundingRateRr": "0.0001", "turnoverRv": "7.5", "timestamp": MS * 1_000_000,
                    }
                ]
            }
        },
        2.0, 120_000.0, 0.0001, 7.5,
    ),
    (
        "DYDX:BTC-USD",
        {
            "/v4/perpetualMarkets": {
                "markets": {
                    "BTC-USD": {
                        "ticker": "BTC-USD", "openInterest": "2", "oraclePrice": "60000",
                        "nextFundingRate": "0.00001", "volume24H": "6.5",
                    }
                }
            }
        },
        2.0, 120_000.0, 0.00001, 6.5,
    ),
    (
        "ASTER:BTCUSDT",
        {
            "/fapi/v1/premiumIndex": [
                {"symbol": "BTCUSDT", "markPrice": "60000", "lastFundingRate": "0.0001", "time": MS}
            ],
            "/fapi/v1/openInterest": {"openInterest": "2", "symbol": "BTCUSDT", "time": MS},
            "/fapi/v1/ticker/24hr": [{"symbol": "BTCUSDT", "quoteVolume": "9.25"}],
        },
        2.0, 120_000.0, 0.0001, 9.25,
    ),
)  # fmt: skip  # a line a group of fields

SPOT: tuple[tuple[str, str, Any, float], ...] = (
    ("BINANCE:btcusdt", "/api/v3/ticker/24hr", [{"symbol": "BTCUSDT", "quoteVolume": "5.5"}], 5.5),
    (
        "BYBIT:BTCUSDT-SPOT",
        "/v5/market/tickers",
        {"result": {"list": [{"symbol": "BTCUSDT", "turnover24h": "6.5"}]}},
        6.5,
    ),
    (
        "KRAKEN:XBT/USD",
        "/0/public/Ticker",
        {"result": {"XXBTZUSD": {"c": ["50", "1"], "v": ["1", "2"]}}},
        100,
    ),
    (
        "COINBASE:BTC-USD",
        "/products/stats",
        {"BTC-USD": {"stats_24hour": {"last": "50", "volume": "3"}}},
        150.0,
    ),
    ("HUOBI:btcusdt", "/market/tickers", {"data": [{"symbol": "btcusdt", "vol": 4.5}]}, 4.5),
    ("BITSTAMP:btcusd", "/api/v2/ticker/", [{"pair": "BTC/USD", "last": "50", "volume": "2"}], 100.0),
    (
        "KUCOIN:BTC-USDT",
        "/api/v1/market/allTickers",
        {"data": {"ticker": [{"symbol": "BTC-USDT", "volValue": "8.5"}]}},
        8.5,
    ),
    (
        "GATEIO:BTC_USDT-SPOT",
        "/api/v4/spot/tickers",
        [{"currency_pair": "BTC_USDT", "quote_volume": "1"}],
        1.0,
    ),
)
