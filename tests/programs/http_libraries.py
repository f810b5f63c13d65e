"""Asks the platform API for its addresses with each of Python's common HTTP libraries."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from urllib.error import HTTPError

import aiohttp
import httpx
import requests

SERVED = "https://api.fal.ai/v1/meta"
REFUSED = "https://gateway.fal.ai/v1/meta"
BACKUP = "https://queue.falrun.com/fal-ai/veo2"


def with_urllib(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - the addresses above
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


async def with_aiohttp(url: str) -> int:
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as answer:
        return answer.status


def ask(url: str) -> dict[str, int]:
    return {
        "httpx": httpx.get(url).status_code,
        "requests": requests.get(url, timeout=30).status_code,
        "urllib": with_urllib(url),
        "aiohttp": asyncio.run(with_aiohttp(url)),
    }


print(json.dumps({"served": ask(SERVED), "refused": ask(REFUSED), "backup": ask(BACKUP)}))
