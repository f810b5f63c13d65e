"""falmock: an offline emulator of fal's queue for generative video models.

The public names are imported at their first use:

    with falmock.offline(falmock.Settings(seed=7)):
        make_clip("A lego chef")  # its calls to fal reach an emulator in this process
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falmock.app import StateError, create_app, open_emulator
    from falmock.engine.emulator import Emulator
    from falmock.faults.vocabulary import ScenarioError
    from falmock.protocol.limits import Limits
    from falmock.settings import Settings, SettingsError, Span
    from falmock.testing.harness import Harness
    from falmock.testing.transport import LeakError, offline

__version__ = "0.1.0"
__all__ = [
    "Emulator",
    "Harness",
    "LeakError",
    "Limits",
    "ScenarioError",
    "Settings",
    "SettingsError",
    "Span",
    "StateError",
    "create_app",
    "offline",
    "open_emulator",
]

_MODULES = {
    "Emulator": "engine.emulator",
    "Harness": "testing.harness",
    "LeakError": "testing.transport",
    "Limits": "protocol.limits",
    "ScenarioError": "faults.vocabulary",
    "Settings": "settings",
    "SettingsError": "settings",
    "Span": "settings",
    "StateError": "app",
    "create_app": "app",
    "offline": "testing.transport",
    "open_emulator": "app",
}

if not TYPE_CHECKING:  # for type checkers, other names do not exist

    def __getattr__(name: str) -> object:
        """Import a public name at its first use, so that `falmock --help` and pytest start fast."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
