"""The plugin's version, for those who must not import the package itself: it knows FreqTrade's side."""

from __future__ import annotations

VERSION = "0.1.0"
