"""The documentation builds without a warning, with every setting, command, metric and exchange in it."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import docstrings, reference
from squeezeflow_plugin import cli
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.phases.layout import EXIT_NAMES
from squeezeflow_plugin.settings import Settings, to_environ

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; its links, anchors and API pages are checked by the build."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's news about its makers' next product
    built = subprocess.run(
        command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stdout + built.stderr
    return out


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


def commands(name: str, parser: argparse.ArgumentParser) -> list[str]:
    """The parser's sub-commands, and theirs."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, child in action.choices.items():
                found += [f"{name} {verb}", *commands(f"{name} {verb}", child)]
    return found


def test_every_setting_and_its_default(site: Path) -> None:
    text = page(site, "configuration")
    for variable, default in to_environ(Settings()).items():
        assert f"<code>{variable}</code>" in text
        row = text.partition(f'<a id="{variable.lower()}">')[2].partition("</tr>")[0]
        assert not default or f"<code>{default}</code>" in row, variable


@pytest.mark.parametrize("path", sorted(reference.PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_the_pages_in_the_repository_have_the_codes_tables(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("<!-- generated:") == len(reference.MARK.findall(text))
    assert text == reference.generated(text), "`make docs` writes the tables anew"


def test_every_setting_has_a_meaning() -> None:
    assert set(reference._meanings()) == set(Settings.__dataclass_fields__)


def test_every_command_and_option(site: Path) -> None:
    text = page(site, "commands")
    every = commands("squeezeflow", cli._parser())
    assert "squeezeflow db verify" in every
    assert [name for name in every if f"<code>{name}</code>" not in text] == []
    assert "<code>--shard K/N</code>" in text


def test_every_exchange(site: Path) -> None:
    text = page(site, "exchanges")
    assert [name for name in registry.names() if f"<code>{name}</code>" not in text] == []


def test_every_metric(site: Path) -> None:
    """What the sources make; that the collector exposes no other is told where it is asked for its page."""
    text = page(site, "metrics")
    found = {each.name for each in reference.metric_calls()}
    assert len(found) > 50
    assert [name for name in found if f"<code>squeezeflow_{name}</code>" not in text] == []


def test_every_metric_that_a_page_names_is_one() -> None:
    names = {each.name for each in reference.metric_calls()}
    known = names | {f"{name}_bucket" for name in names}
    for path in (ROOT / "docs").glob("*.md"):
        written = reference.MARK.sub("", path.read_text(encoding="utf-8"))  # the tables are the code's
        named = set(re.findall(r"\bsqueezeflow_([a-z0-9_]+)", written))
        assert named - known - {"plugin"} == set(), path.name


def test_every_exit_is_told() -> None:
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    assert [name for name in EXIT_NAMES if name and f"`{name}`" not in text] == []


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """A page that nobody can reach is none."""
    text = page(site, "index")
    pages = [path.stem for path in (ROOT / "docs").glob("*.md")]
    assert [name for name in pages if f'href="{name}.html"' not in text and name != "index"] == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"', text)
        loaded += re.findall(
            r'<link[^>]+rel="(?:stylesheet|preconnect|icon)"[^>]+href="(https?:[^"]+)"', text
        )
        assert loaded == [], path.name


def test_the_readmes_links_into_the_docs_hold(site: Path) -> None:
    links = re.findall(
        r"\]\(docs/([a-z-]+)\.md(?:#([a-z-]+))?\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert len(links) > 5
    for name, anchor in links:
        assert not anchor or f'id="{anchor}"' in page(site, name), (name, anchor)
        assert (ROOT / "docs" / f"{name}.md").exists(), name


def test_doctests_become_code() -> None:
    text = docstrings.fenced("Adds.\n\n>>> f(\n...     1,\n... )\n1\n>>> g()\n2\n\nMore.")
    assert text == "Adds.\n\n```pycon\n>>> f(\n...     1,\n... )\n1\n>>> g()\n2\n```\n\nMore."


def test_an_exchange_is_described_by_its_first_sentence() -> None:
    about = reference._described("Some: spot. https://some.example/docs and more\n\nDetails.")
    assert about == ("Some: spot.", " ([1](https://some.example/docs))")
