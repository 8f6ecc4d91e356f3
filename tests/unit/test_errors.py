"""The tree of errors is what its drawing says."""

from __future__ import annotations

import inspect

from squeezeflow_plugin import errors


def test_every_error_stands_in_the_drawing_and_has_one_root() -> None:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(value, errors.SqueezeFlowError) for value in classes)
    assert all(value.__name__ in (errors.__doc__ or "") for value in classes)
    assert all(value.__doc__ for value in classes)
