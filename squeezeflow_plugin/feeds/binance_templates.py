"""How Binance spells ordinary trades, on ``/ws`` and ``/stream`` (see ``binance_wire`` for the sources)."""

from __future__ import annotations

from squeezeflow_plugin.feeds.templates import Template

# Spot says M, which means nothing any more; contracts say which kind of execution it was. COIN-M and USD-M
# differ in where T stands.
_ITEMS = tuple(
    f'{{"e":"trade","E":<int>,{body}}}'
    for body in (
        '"s":"<symbol>","t":<number>,"p":"<price>","q":"<size>","T":<ms>,"m":<false|true>,"M":<bool>',
        '"s":"<symbol>","t":<number>,"p":"<price>","q":"<size>","T":<ms>,"m":<false|true>',
        '"s":"<symbol>","t":<number>,"p":"<price>","q":"<size>","T":<ms>,"X":"MARKET","m":<false|true>',
        '"T":<ms>,"s":"<symbol>","t":<number>,"p":"<price>","q":"<size>","X":"MARKET","m":<false|true>',
    )
)
TEMPLATES = (
    *(Template("", item) for item in _ITEMS),
    *(Template('{"stream":"<text>","data":', item, "}") for item in _ITEMS),
)
