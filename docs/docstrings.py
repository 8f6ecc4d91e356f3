"""Shows a docstring's doctests as code in the API reference, where Markdown would see quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^(?!>>> )\S.*\n?|^(?:\.\.\.|[ ]).*\n?)*)+", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts each run of examples and their answers, up to the next empty line, into a code block."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """The docstring with its examples between fences."""
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text)
