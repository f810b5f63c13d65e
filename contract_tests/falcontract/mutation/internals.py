"""The modules of falmock and falqueue that mutants patch. When one moves, only this file changes."""

from __future__ import annotations

import falqueue
from falmock.catalogue import (
    answers,
    outputs,
    performing,
    planning,
    pricing,
    reading,
    schema,
    sizes,
    sources,
)
from falmock.catalogue import catalogue as catalogue_models
from falmock.engine import (
    delivery,
    emulator,
    files,
    ids,
    keys,
    logs,
    posting,
    queue,
    rows,
    runner,
    signing,
    steps,
    transitions,
    uploads,
    webhooks,
)
from falmock.faults import effects
from falmock.http import (
    access,
    application,
    cdn,
    cors,
    guard,
    platform,
    rest,
    submission,
)
from falmock.http import queue as queue_host
from falmock.media import images, renderer
from falmock.protocol import calls, endpoints, errors, hosts, model_errors, outcomes, validation
from falqueue import _downloads as client_downloads
from falqueue import _flows as client_flows
from falqueue import _sending as client_sending
from falqueue import _webhooks as client_webhooks
