"""Make what docker-compose.yml needs, once: passwords in docker/secrets/, and .env from .env.example.

Nothing that exists is changed. The folder is for its owner only; the files in it can be read by every user,
because the containers, which see only these files, run as users of their own.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path


def password() -> str:
    """Forty characters that need no quoting anywhere."""
    return secrets.token_urlsafe(30)


def freqtrade_api() -> str:
    """The part of FreqTrade's configuration that lets a person in."""
    login = {
        "username": "freqtrader",
        "password": password(),
        "jwt_secret_key": secrets.token_hex(32),
        "ws_token": password(),
    }
    return json.dumps({"api_server": login}, indent=4) + "\n"


FILES: dict[str, Callable[[], str]] = {
    "influx_password": password,
    "influx_read_password": password,
    "redis_password": password,
    "grafana_password": password,
    "freqtrade_api.json": freqtrade_api,
}


def main(root: Path) -> int:
    """Make what is missing and say so."""
    folder = root / "docker" / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name, make in FILES.items():
        path = folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(make(), encoding="utf-8")
            path.chmod(0o444)
            sys.stdout.write(f"made {path.relative_to(root)}\n")
    if not (root / ".env").exists():
        shutil.copyfile(root / ".env.example", root / ".env")
        sys.stdout.write("made .env from .env.example\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
