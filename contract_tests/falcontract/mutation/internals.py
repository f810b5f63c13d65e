"""The modules of falmock that mutants patch. When one moves, only this file changes."""

from __future__ import annotations

from falmock import (
    app,
    course,
    emulator,
    endpoints,
    errors,
    files,
    hosts,
    keys,
    models,
    queue,
    runner,
    signing,
    validation,
    webhooks,
)
from falmock.http import access, submission
from falmock.http import queue as queue_host
from falmock.media import images
from falmock.models import veo
