"""Names of markets; the exchanges' own rules are tested with test_classification.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.feeds.naming import QUOTES, separate, split_pair


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("LUSDUSDT", ("LUSD", "USDT")),
        ("USDTUSD", ("USDT", "USD")),
        ("DOTUSD", ("DOT", "USD")),
        ("1000PEPEUSDC", ("1000PEPE", "USDC")),
        ("XDGUSD", ("DOGE", "USD")),
        ("USDT", None),
        ("", None),
    ],
)
def test_the_longest_quote_is_meant(pair: str, expected: tuple[str, str] | None) -> None:
    assert split_pair(pair) == expected


@given(
    st.text(alphabet="ABCDEFGHIJ", min_size=1, max_size=6), st.sampled_from(["USDT", "USDC", "USD", "EUR"])
)
def test_what_was_joined_is_split(base: str, quote: str) -> None:
    assert split_pair(base + quote) == (base, quote)
    assert split_pair(base + quote, (*QUOTES, "TUSD")) == (base, quote)
    assert separate(f"{base}-{quote}", "-") == (base, quote)
    assert separate(f"{base}-{quote}", "_") is None
