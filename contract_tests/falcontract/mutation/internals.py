"""The modules of falmock that mutants patch. When one moves, only this file changes."""

from __future__ import annotations

from falmock import models
from falmock.engine import (
    emulator,
    keys,
    object_lifecycle,
    queue,
    runner,
    signing,
    steps,
    transitions,
    webhooks,
)
from falmock.faults import effects
from falmock.http import access, guard, submission
from falmock.http import queue as queue_host
from falmock.media import images
from falmock.models import veo
from falmock.protocol import calls, endpoints, errors, hosts, outcomes, validation
