"""How OKX spells ordinary trades (see ``exchanges/okx.py``)."""

from __future__ import annotations

from squeezeflow_plugin.feeds.templates import Template

_ITEM = '"instId":"<symbol>","tradeId":"<id>","px":"<price>","sz":"<size>","side":"<buy|sell>","ts":"<ms>"'
_ENDS = (
    ',"count":"<count>"',
    ',"count":"<count>","source":"<text>","seqId":<int>',
    ',"count":"<count>","seqId":<int>',
    ',"count":"<count>","source":"<text>"',
    "",
)
TEMPLATES = tuple(
    Template('{"arg":{"channel":"trades","instId":"<text>"},"data":[', f"{{{_ITEM}{end}}}", "]}")
    for end in _ENDS
)
