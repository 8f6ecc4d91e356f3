"""A user's own FreqTrade folder made ready: what it lacks is written, what it has is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.provider.configuration import read_configuration
from squeezeflow_plugin.settings import load

FILES = ("config.json", "config.futures.json", "strategies/SqueezeFlow.py", "hyperopts/SqueezeFlowLoss.py")
"""What the bot needs in the folder; the package holds each under the same name."""


def prepare(userdir: Path) -> Sequence[str]:
    """Write the files that the folder lacks and say what was done, a line for each file.

    A file that is there is kept, whatever it holds, and so is a link. Raises ProcessError where the folder
    cannot be written; what was written until then stays.
    """
    return tuple(_prepared(userdir))


def _prepared(userdir: Path) -> Iterator[str]:
    for name in FILES:
        path, body = userdir / name, template(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                out.write(body)
        except FileExistsError:
            if path.is_file() and path.read_bytes() == body:
                yield f"{path} is there"
            else:
                yield f"{path} is yours and kept" + _advice(path)
        except OSError as error:
            raise ProcessError(
                f"{path} cannot be written: {error.strerror or error}; the files before it are"
            ) from error
        else:
            yield f"{path} written"


def _advice(path: Path) -> str:
    """What to do with a configuration that was not made for the bot."""
    if path.suffix != ".json":
        return ""
    return f"; `squeezeflow doctor --config {path}` names what of it will make trouble"


def template(name: str) -> bytes:
    """The file as the package holds it."""
    return files(__package__).joinpath("templates", *name.split("/")).read_bytes()


def configuration(userdir: Path, *, futures: bool) -> Path:
    """The folder's configuration for spot or perpetuals.

    Raises ProcessError where it is not there, SettingsError where it, or its ``squeezeflow`` section, cannot
    be used.
    """
    path = userdir / ("config.futures.json" if futures else "config.json")
    if not path.is_file():
        raise ProcessError(
            f"{path} is missing; `squeezeflow init --userdir {userdir}` writes it; nothing is started"
        )
    load(read_configuration(path).get("squeezeflow"))
    return path
