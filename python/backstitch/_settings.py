"""What layers, losses, optimizers and schedules have in common: a kind, and settings by name."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

import numpy as np

__all__ = ["Settings", "plain"]


@dataclass(frozen=True, repr=False)
class Settings:
    """Settings by name. Two of one class with the same settings are equal; none of them can be changed."""

    _kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, field.name, tuple(value.tolist()))
        self._check()

    def _check(self) -> None:
        """Raises where a setting has the wrong type."""

    def _values(self) -> dict[str, Any]:
        """The settings as the compiled part takes them."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self) if field.name != "name"}

    def _spec(self) -> tuple[str, dict[str, Any]]:
        return self._kind, self._values()

    def __repr__(self) -> str:
        """The call that makes it, without what is at its default."""
        positional, named = [], []
        for i, field in enumerate(sorted(fields(self), key=lambda field: field.kw_only is True)):
            value = getattr(self, field.name)
            required = field.default is MISSING and field.default_factory is MISSING
            if not required and value == _default(field):
                continue
            if field.kw_only is not True and (required or i == 0):
                positional.append(repr(value))
            else:
                named.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(positional + named)})"


def _default(field: Any) -> Any:
    return field.default if field.default is not MISSING else field.default_factory()


def plain(value: Any) -> Any:
    """A setting as the compiled part takes it."""
    if hasattr(value, "_plain"):
        return value._plain()
    if isinstance(value, (list, tuple)):
        return type(value)(plain(one) for one in value)
    return value
