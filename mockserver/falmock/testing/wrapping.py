"""Wraps a function of another package for the length of a block.

Blocks may overlap: those of two threads, for example, end in any order.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = Callable[..., Any]

WRAPPER: Final = "falmock_wrapper"
_changing: Final = Lock()


@dataclass(slots=True)
class _Wrapper:
    before: Function
    active: bool = True


@contextmanager
def wrapped(owner: Any, name: str, wrap: Callable[[Function], Function]) -> Iterator[None]:
    """Replace a function with the one that `wrap` returns, for the length of a block.

    Args:
        owner: the module or class that has the function.
        name: the name of the function.
        wrap: is called with the function, which may be a replacement itself; returns its replacement.
    """
    with _changing:
        wrapper = _Wrapper(getattr(owner, name))
        replacement = wrap(wrapper.before)

        def call(*arguments: Any, **keywords: Any) -> Any:
            return (replacement if wrapper.active else wrapper.before)(*arguments, **keywords)

        setattr(call, WRAPPER, wrapper)
        setattr(owner, name, call)
    try:
        yield
    finally:
        with _changing:
            wrapper.active = False
            # A replacement below an active one stays, and does nothing, until that is removed.
            while (top := getattr(getattr(owner, name), WRAPPER, None)) is not None and not top.active:
                setattr(owner, name, top.before)
