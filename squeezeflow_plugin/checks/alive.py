"""A container's health check: ``python -m squeezeflow_plugin.checks.alive URL``, status 0 for an answer 200.

It imports nothing but the standard library, because it runs every few seconds.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

_TIMEOUT_S = 4.0


def main(argv: Sequence[str]) -> int:
    """Ask the page; its body, or why there is none, goes to stderr where it is not well."""
    (url,) = argv
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the page of our own container
            return int(answer.status != 200)
    except urllib.error.HTTPError as error:
        with error:
            sys.stderr.write(f"{url} answers {error.code}: {error.read(1000).decode(errors='replace')}\n")
    except OSError as error:
        sys.stderr.write(f"nothing answers on {url}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
