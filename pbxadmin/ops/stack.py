"""Room on the stack of Python, so that no page or task is slow because of how deep it is called."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Returned = TypeVar("Returned")
SLOTS = 17_000  # 133 KiB, for which Python takes 256 KiB: the rest has room for some hundred calls within each other


def with_stack_room(call: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Return a function that does the same, with room for all that it calls in one chunk of Python's stack.

    Python 3.11 to 3.13 keep frames in chunks of 16 KiB, asking the system for the next one and giving it back at once.
    A loop that calls across such an end does so each time, which makes a page up to three times as slow at one depth
    of calls as at another. A frame that claims many slots, and uses none, begins a chunk of a larger size. See
    https://github.com/python/cpython/issues/142183.
    """

    def roomy(*args: Given.args, **named: Given.kwargs) -> Returned:
        return call(*args, **named)

    roomy.__code__ = roomy.__code__.replace(co_stacksize=SLOTS)
    return roomy
