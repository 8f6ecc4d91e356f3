"""What the collector's two servers answer, as OpenAPI 3.1; each serves its own at ``/openapi.json``.

Written by hand, held to the routes and to the answers by tests, which make their questions from it.
https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from squeezeflow_plugin.version import VERSION

Description = Mapping[str, Any]
_REASONS = {
    "type": "object",
    "required": ["status", "reasons"],
    "properties": {
        "status": {"enum": ["ok", "failing"]},
        "reasons": {"type": "array", "items": {"type": "string"}},
    },
}
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_HISTORY = {
    "type": "object",
    "required": ["format", "columns", "results"],
    "properties": {
        "format": {"const": "point"},
        "columns": {"type": "object", "additionalProperties": {"type": "integer"}},
        "results": {"type": "array", "items": {"type": ["array", "object"]}},
    },
}


def _answer(
    text: str, schema: Mapping[str, Any] | None = None, kind: str = "application/json"
) -> Description:
    return {"description": text, "content": {kind: {"schema": schema or {"type": "string"}}}}


def _get(text: str, answers: Mapping[str, Description], *parameters: Description) -> Description:
    shown = {"summary": text, "responses": dict(answers)}
    return {"get": shown | ({"parameters": list(parameters)} if parameters else {})}


def _path(name: str, text: str, schema: Mapping[str, Any]) -> Description:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _state(text: str) -> Description:
    return _get(text, {"200": _answer("it is so", _REASONS), "503": _answer("it is not, and why", _REASONS)})


def _file(text: str, kind: str) -> Description:
    return _get(text, {"200": _answer(text, kind=kind)})


def _described(title: str, paths: Mapping[str, Description]) -> Description:
    own = _get("This description", {"200": _answer("OpenAPI", {"type": "object"})})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": VERSION},
        "paths": {**paths, "/openapi.json": own},
    }


HEALTH = _described(
    "SqueezeFlow collector: health, metrics, flow page",
    {
        "/livez": _state("Seconds are being closed"),
        "/readyz": _state("Closed seconds reach store, bus and InfluxDB"),
        "/health/data/1s": _state("Entries would be allowed on the stored data"),
        "/health": _state("The three together, and the collector's counts"),
        "/metrics": _file("Counts for Prometheus", "text/plain"),
        "/flow": _file("The flow page", "text/html"),
        "/flow/flow.css": _file("Its look", "text/css"),
        "/flow/flow.js": _file("Its program", "text/javascript"),
        "/flow/events": _get(
            "What the page shows, as server-sent events",
            {
                "200": _answer("one message with everything, then one a second", kind="text/event-stream"),
                "503": _answer("enough readers are connected", kind="text/plain"),
            },
        ),
    },
)

_MILLISECONDS = {"type": "integer", "minimum": 0, "maximum": 10**16 - 1}
_INTERVAL = (
    _path("from", "milliseconds", _MILLISECONDS),
    _path("to", "milliseconds, not in the bars", _MILLISECONDS),
)
_TIMEFRAME = _path("timeframe", "milliseconds, whole seconds; 0 is a minute", _MILLISECONDS)
_MARKETS = _path("markets", "EXCHANGE:symbol joined with +; none are all", {"type": "string"})
_HISTORICAL = {
    "200": _answer("bars", _HISTORY),
    **{
        status: _answer(text, _ERROR)
        for status, text in {
            "400": "the question cannot be answered as it is",
            "404": "no bar there",
            "429": "too many questions within a minute",
            "501": "nothing is stored yet",
        }.items()
    },
}

API = _described(
    "SqueezeFlow collector: aggr-server's HTTP API",
    {
        "/": _get("Whether it is there", {"200": _answer("hi", {"type": "object"})}),
        "/products": _get(
            "The markets", {"200": _answer("names", {"type": "array", "items": {"type": "string"}})}
        ),
        "/historical/{from}/{to}": _get("Bars of a minute", _HISTORICAL, *_INTERVAL),
        "/historical/{from}/{to}/{timeframe}": _get("Bars", _HISTORICAL, *_INTERVAL, _TIMEFRAME),
        "/historical/{from}/{to}/{timeframe}/{markets}": _get(
            "Bars of these markets", _HISTORICAL, *_INTERVAL, _TIMEFRAME, _MARKETS
        ),
    },
)


def answering(described: Description) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler that shows a description."""
    body = msgspec.json.encode(described)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer
