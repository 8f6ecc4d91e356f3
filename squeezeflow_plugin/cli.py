"""The command line. The commands stand in ``commands``; each imports what it needs when it is called.

Exit status: 0 done, 1 the answer is no (a parity difference), 2 an error, said in one sentence on stderr.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from squeezeflow_plugin import __version__
from squeezeflow_plugin.commands import completion, database, judging, operating, running, tables
from squeezeflow_plugin.errors import SqueezeFlowError

_LOG = logging.getLogger(__name__)
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    args = _parser().parse_args(argv)
    command: Command = args.command
    try:
        status = command(args)
        sys.stdout.flush()
    except SqueezeFlowError as error:
        sys.stderr.write(f"squeezeflow: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has gone, `head` for example
        _drop_output()
        return 141
    except OSError as error:  # a full disk, a folder that may not be written: this machine's, not a bug's
        sys.stderr.write(f"squeezeflow: the system refuses: {error}; the command ends here\n")
        _LOG.debug("the system refused here", exc_info=True)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return 2
    return status


def _drop_output() -> None:
    """Let nothing that is still unwritten fail again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="squeezeflow", description="One-second order flow, scored in five phases."
    )
    parser.add_argument("--version", action="version", version=f"squeezeflow {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (running, operating, judging, tables, database, completion):
        group.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
