"""How Bybit spells ordinary trades (see ``exchanges/bybit.py``).

A block trade's frame is none of them, so that the session leaves the trade out.
"""

from __future__ import annotations

from squeezeflow_plugin.feeds.templates import Template

_HEADS = (
    '{"topic":"publicTrade.<text>","type":"snapshot","ts":<int>,"data":[',
    '{"topic":"publicTrade.<text>","ts":<int>,"type":"snapshot","data":[',
)
# contracts tell the tick's direction, spot does not and has another order
_ITEMS = (
    '"T":<ms>,"s":"<symbol>","S":"<Buy|Sell>","v":"<size>","p":"<price>","L":"<text>","i":"<id>"',
    '"i":"<id>","T":<ms>,"p":"<price>","v":"<size>","S":"<Buy|Sell>","s":"<symbol>"',
    '"T":<ms>,"s":"<symbol>","S":"<Buy|Sell>","v":"<size>","p":"<price>","i":"<id>"',
)
_ENDS = (
    '"BT":false,"RPI":<bool>,"seq":<int>',
    '"BT":false,"seq":<int>',
    '"BT":false,"RPI":<bool>',
    '"BT":false',
)
TEMPLATES = tuple(
    Template(head, f"{{{item},{end}}}", "]}") for head in _HEADS for item in _ITEMS for end in _ENDS
)
