"""Completion of commands and options in a shell, made from the parsers themselves."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator

from squeezeflow_plugin.commands.arguments import Commands

_SCRIPT = """\
_squeezeflow() {{
    local words
    case " ${{COMP_WORDS[*]:1:COMP_CWORD-1}} " in
{cases}
    *) words="{first}" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _squeezeflow squeezeflow
"""
_BEFORE = {"bash": "", "zsh": "autoload -U +X bashcompinit && bashcompinit\n"}


def script(commands: Commands, shell: str) -> str:
    """What the shell has to evaluate; where no command or option fits, it completes file names."""
    # A verb's words come before those of its command: the first pattern that fits is taken.
    found = sorted(_tree(commands, ()), key=lambda each: -len(each[0]))
    cases = "\n".join(f'    " {" ".join(path)} "*) words="{" ".join(words)}" ;;' for path, words in found)
    first = " ".join([*commands.choices, "--help", "--version"])
    return _BEFORE[shell] + _SCRIPT.format(cases=cases, first=first)


def _tree(commands: Commands, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each command with what may follow it: its verbs and its long options."""
    for name, parser in commands.choices.items():
        words = []
        for action in parser._actions:  # noqa: SLF001 - argparse shows them nowhere else
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
                words += list(action.choices)
                yield from _tree(action, (*path, name))
            words += [option for option in action.option_strings if option.startswith("--")]
        yield (*path, name), words


def _completion(commands: Commands, args: argparse.Namespace) -> int:
    sys.stdout.write(script(commands, args.shell))
    return 0


def add_to(commands: Commands) -> None:
    """Add the sub-command; it knows those that are added after it, too."""
    parser = commands.add_parser(
        "completion", help='what makes a shell complete commands: eval "$(squeezeflow completion bash)"'
    )
    parser.add_argument("shell", choices=sorted(_BEFORE), help="the shell that is to evaluate it")
    parser.set_defaults(command=functools.partial(_completion, commands))
