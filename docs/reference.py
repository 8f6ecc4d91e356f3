"""The parts of the documentation that the code says itself: settings, commands, metrics, exchanges.

A page holds the table of a name between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``, so that
the repository's pages can be read as they are. ``python -m docs.reference`` writes the tables anew, a test
tells where that was forgotten, and MkDocs, which calls the ``on_`` functions while it builds, shows the
code's own. Nothing is opened, asked or started; settings are read as text and as defaults, metrics from the
calls that make them.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from squeezeflow_plugin import cli
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.ticker_sources import SOURCES
from squeezeflow_plugin.settings import (
    CREDENTIALS,
    ENV_PREFIX,
    UNPREFIXED,
    Settings,
    environment_name,
    to_environ,
)

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "squeezeflow_plugin"
PAGES = ROOT / "docs"
MARK = re.compile(r"^<!-- generated: ([a-z]+) -->\n.*?^<!-- end of \1 -->$", re.MULTILINE | re.DOTALL)
COPIED = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages that are files of the repository's top folder."""
_METRIC_MAKERS = {
    "Counter": "counter", "CounterMetricFamily": "counter", "_counter": "counter",
    "Gauge": "gauge", "GaugeMetricFamily": "gauge", "_gauge": "gauge",
    "Histogram": "histogram", "_histogram": "histogram",
}  # fmt: skip
_KINDS = {
    "bool": "true or false",
    "float": "number",
    "int": "whole number",
    "str": "text",
    "tuple[str, ...]": "names",
    "Path": "path",
    "Mapping[str, Any]": "mapping",
    "Mapping[str, str]": "mapping",
    "Mapping[str, Endpoint]": "mapping",
}
_METRIC_NAME = re.compile(r"[a-z][a-z0-9_]+")
_METRIC_PREFIX = "squeezeflow_"


def on_files(files: Files, config: Any) -> Files:
    """Add the copied pages."""
    for page, source in COPIED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its tables as the code has them now; an unknown name ends the build."""
    try:
        return generated(markdown)
    except KeyError as error:
        raise PluginError(f"{page.file.src_uri}: no generated part is called {error}") from error


def generated(markdown: str) -> str:
    """The page with its tables written anew. Raises KeyError for a name that is none."""

    def table(found: re.Match[str]) -> str:
        name = found[1]
        return f"<!-- generated: {name} -->\n\n{TABLES[name]()}\n\n<!-- end of {name} -->"

    return MARK.sub(table, markdown)


def write() -> None:
    """Write the tables of all pages anew."""
    for path in sorted(PAGES.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = generated(before)
        if after != before:
            path.write_text(after, encoding="utf-8")


def settings() -> str:
    """Every setting by family: variable, default, meaning."""
    defaults = to_environ(Settings())
    meanings = _meanings()
    families: dict[str, list[list[str]]] = {prefix: [] for prefix in (ENV_PREFIX, *UNPREFIXED)}
    for field in fields(Settings):
        variable = environment_name(field.name)
        family = next(prefix for prefix in families if variable.startswith(prefix))
        text = meanings[field.name]
        if field.name in CREDENTIALS:
            text += " From the environment or a file only."
        default = f"`{defaults[variable]}`" if defaults[variable] else ""
        families[family].append(
            [_anchored(variable), default, _KINDS.get(str(field.type), str(field.type)), text]
        )
    heads = ("variable", "default", "type", "meaning")
    return "\n\n".join(f"### `{family}*`\n\n{_table(heads, rows)}" for family, rows in families.items())


def _meanings() -> Mapping[str, str]:
    """The text below each field of ``Settings``."""
    found: dict[str, str] = {}
    (tree,) = ast.parse(dedent(inspect.getsource(Settings))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - the source of a class is one
    field = ""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            field = node.target.id
        elif field and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[field] = " ".join(str(node.value.value).split())
    return found


def commands() -> str:
    """Every command and its options, as ``--help`` has them."""
    return "\n\n".join(_command("squeezeflow", cli._parser(), ""))  # noqa: SLF001 - what ``main`` parses with


def _command(name: str, parser: argparse.ArgumentParser, about: str) -> Iterator[str]:
    actions = parser._actions  # noqa: SLF001 - argparse tells its arguments in no other way
    subs = [action for action in actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    if about:
        yield f"### `{name}`\n\n{_sentence(about)}"
    shown = [action for action in actions if action not in subs and action.help != argparse.SUPPRESS]
    rows = [_argument(action) for action in shown if not isinstance(action, argparse._HelpAction)]  # noqa: SLF001
    if rows:
        yield _table(("argument", "meaning"), rows)
    for sub in subs:
        helps = {choice.dest: choice.help or "" for choice in sub._choices_actions}  # noqa: SLF001
        for verb, child in sub.choices.items():
            yield from _command(f"{name} {verb}", child, helps.get(verb, ""))


def _argument(action: argparse.Action) -> list[str]:
    value = action.metavar or (None if action.nargs == 0 else action.dest.upper())
    if action.choices is not None:
        value = ",".join(map(str, action.choices))
    value = "/".join(value) if isinstance(value, tuple) else value
    names = [f"{each} {value}" if value else each for each in action.option_strings[-1:]]
    short = [f"`{each}`" for each in action.option_strings[:-1]]
    shown = ", ".join([*short, *(f"`{each}`" for each in names)]) or f"`{value}`"
    text = (action.help or "") % {**vars(action), "prog": "squeezeflow"}
    return [shown + (" (required)" if action.required and action.option_strings else ""), text]


@dataclass(frozen=True)
class MetricCall:
    """One metric as the code makes it; ``labels`` are empty where there are none."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    module: str


def metrics() -> str:
    """Every metric that a process of ours exposes: name, labels, meaning."""
    rows = [
        [
            _anchored(_METRIC_PREFIX + each.name),
            each.kind,
            ", ".join(f"`{one}`" for one in each.labels),
            each.help,
        ]
        for each in metric_calls()
    ]
    return _table(("metric", "type", "labels", "meaning"), rows)


def metric_calls() -> tuple[MetricCall, ...]:
    """The metrics by name, from the calls in the sources that make them and from the table ``COUNTERS``."""
    found: dict[str, MetricCall] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"prometheus_client|\b_gauge\(|MetricFamily\(", text):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(text)):
            for each in _made_by(node, module):
                found.setdefault(each.name, each)
    return tuple(found[name] for name in sorted(found))


def _made_by(node: ast.AST, module: str) -> Iterator[MetricCall]:
    """The metrics that one node makes: a call of a maker, or an assignment of ``COUNTERS``."""
    if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["COUNTERS"]:
        for name, text, _ in getattr(import_module(module), "COUNTERS"):  # noqa: B009 - no static type
            yield MetricCall(f"{name}_total", "counter", text, (), module)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) >= 2):
        return
    kind, name, text = _METRIC_MAKERS.get(node.func.id), _literal(node.args[0]), _literal(node.args[1])
    if kind is None or name is None or text is None:
        return
    name = name.removeprefix(_METRIC_PREFIX)
    if _METRIC_NAME.fullmatch(name):
        given = [key.value for key in node.keywords if key.arg in {"labels", "labelnames"}]
        labels = _texts((given or node.args[2:3])[:1])
        total = "" if kind != "counter" or name.endswith("_total") else "_total"
        yield MetricCall(name + total, kind, text, labels, module)


def _texts(lists: Sequence[ast.expr]) -> tuple[str, ...]:
    """The literal texts of the lists."""
    parts = [part for each in lists if isinstance(each, ast.List | ast.Tuple) for part in each.elts]
    return tuple(
        part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def _literal(node: ast.expr) -> str | None:
    """A text, or one that begins with ``{PREFIX}``; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else _METRIC_PREFIX for part in node.values]
        return "".join(map(str, parts))
    return None


def exchanges() -> str:
    """Every exchange of the registry, as its module describes it."""
    rows = []
    for name, adapter in registry.found().items():
        module = inspect.getmodule(adapter)
        about, links = _described(inspect.getdoc(module) or "")
        recovered = "yes" if registry.past_trades(name) is not None else "no"
        interest = "yes" if any(source.has_interest for source in SOURCES.get(name, ())) else "no"
        rows.append([_anchored(name), about + links, recovered, interest])
    heads = ("name", "markets", "missed trades are fetched again", "open interest and funding")
    return _table(heads, rows)


def _described(text: str) -> tuple[str, str]:
    """The first sentence of an exchange's module, and its links.

    >>> _described("Some: spot. https://some.example/docs and more\\n\\nDetails.")
    ('Some: spot.', ' ([1](https://some.example/docs))')
    """
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    sentence = re.split(r"(?<=\.) |,? ?\(?https://", first, maxsplit=1)[0]
    urls = re.findall(r"https://[^\s),;]+[^\s),;.]", first)
    links = ", ".join(f"[{place}]({url})" for place, url in enumerate(urls, 1))
    return sentence, f" ({links})" if links else ""


def _anchored(name: str) -> str:
    """A name in code that can be linked to."""
    return f'<a id="{name.lower()}"></a>`{name}`'


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    """A Markdown table; bars within cells are escaped."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


TABLES = {"settings": settings, "commands": commands, "metrics": metrics, "exchanges": exchanges}


if __name__ == "__main__":
    write()
