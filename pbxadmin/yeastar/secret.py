"""Secrets on their way to a PBX."""

from typing import NoReturn


class Secret:
    """A token or a password digest that no repr, log, pickle or frame dump shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not pickle")

    def reveal(self) -> str:
        return self._value
