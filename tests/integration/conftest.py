"""What every integration test leaves as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from freqtrade.exchange import Exchange


@pytest.fixture(scope="module", autouse=True)
def exchanges_closed() -> Iterator[None]:
    """Close every exchange that FreqTrade opened.

    Its commands leave theirs to the garbage collector, which may finalize a connection before the exchange
    that would have closed it: the warning of that fails whatever test runs then.
    """
    made: list[Exchange] = []
    construct = Exchange.__init__

    def constructed(exchange: Exchange, *args: Any, **options: Any) -> None:
        made.append(exchange)
        construct(exchange, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Exchange, "__init__", constructed)
        yield
    for exchange in made:
        exchange.close()
