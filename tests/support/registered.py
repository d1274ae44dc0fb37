"""Markets that are not in the list, registered for a test: the template, and a market whose answer is an equilibrium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from optmarket.modeling import registry
from optmarket.modeling.registry import ModelSpec


@contextmanager
def registered(spec: ModelSpec[Any, Any, Any]) -> Iterator[ModelSpec[Any, Any, Any]]:
    """While this lasts, the market is found by its name."""
    names, get = registry.names, registry.get
    with (
        mock.patch.object(registry, "names", lambda: sorted({*names(), spec.name})),
        mock.patch.object(registry, "get", lambda name: spec if name == spec.name else get(name)),
    ):
        yield spec
