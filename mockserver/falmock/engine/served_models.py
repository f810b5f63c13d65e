"""The models that an emulator serves: those that come with falmock, and the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from falmock.catalogue import BUNDLED, Catalogue, Model, bundled
from falmock.settings import Settings, SettingsError

if TYPE_CHECKING:
    from falmock.engine.own_models import Own

FOLDER: Final = "models"  # of own models, in the state folder


def catalogue(settings: Settings) -> Catalogue:
    """Return the bundled models, with those that the settings and the state folder add.

    Of several with one id the last counts; bundled ones come first.

    Raises:
        SettingsError: a file or folder is missing, or a document is broken.
    """
    folders = [] if settings.state is None else [settings.state / FOLDER]
    paths = [*(folder for folder in folders if folder.exists()), *map(Path, settings.models)]
    accepts_any = settings.unknown_models == "generic"
    if not paths and not accepts_any:
        return BUNDLED
    own: dict[str, Own] = {}
    for path in paths:
        own |= _read(path)
    models = [Model(each.entry) for each in own.values()]
    return Catalogue(models, (bundled.ids(), bundled.entry), accepts_any=accepts_any)


def _read(path: Path) -> dict[str, Own]:
    from falmock.catalogue.documents import Problems  # noqa: PLC0415 - loads pydantic, for own models only
    from falmock.engine import own_models  # noqa: PLC0415 - the same

    try:
        return own_models.read([path])
    except Problems as error:
        first, *others = error.lines
        more = f" (and {len(others)} more: falmock models add {path} prints all)" if others else ""
        raise SettingsError(f"{first}{more}") from None
