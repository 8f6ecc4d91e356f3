"""The collector's HTTP pages, as seen from the same machine."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any

import msgspec

from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.settings_values import secret

_TIMEOUT_S = 15.0  # the first look at a day of data takes a second or two
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what a server may listen on; we ask it on loopback


class Pages:
    """Asks health and API where the settings say they listen, with their token. Raises SettingsError."""

    def __init__(self, settings: Settings) -> None:
        host = "127.0.0.1" if settings.listen in _EVERYWHERE else settings.listen
        self.health = f"http://{host}:{settings.health_port}"
        self.api = f"http://{host}:{settings.api_port}"
        token = secret(settings.listen_token, settings.listen_token_file, "listen_token_file")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, url: str) -> tuple[int, bytes]:
        """Status and body. Raises ProcessError where nothing answers."""
        request = urllib.request.Request(url, headers=self._headers)  # noqa: S310 - made above, http only
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the same
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ProcessError(f"nothing answers on {url}: {reason}") from error

    def json(self, url: str) -> tuple[int, Any]:
        """Status and decoded body. Raises ProcessError also where the body is no JSON."""
        status, body = self.get(url)
        try:
            return status, msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise ProcessError(f"{url} answers {status} with no JSON: {body[:80]!r}") from error
