"""A client of fal's queue as people write it in a hurry: mistakes, each a method by a rule's name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulated import APPLICATION, ENDPOINT, GOOD
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from emulated import Mock
    from starlette.requests import Request

HOOK = "http://localhost:3000/hook"


@dataclass
class Naive:
    """A client that makes mistakes, in the name of a test, so that findings belong to a test."""

    mock: Mock
    test: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": "Key me:secret", "X-Falmock-Test": self.test}

    async def submit(self, query: str = "", **more: Any) -> Any:
        body = GOOD | {"prompt": f"for {self.test}"} | more
        return (await self.mock.http.post(f"/{ENDPOINT}{query}", json=body, headers=self.headers)).json()

    async def get(self, url: str) -> Any:
        return await self.mock.http.get(url, headers=self.headers)

    async def poll(
        self, submitted: Any, until: str = "COMPLETED", every: float = 1.0, times: int = 30
    ) -> None:
        for _ in range(times):
            if (await self.get(submitted["status_url"])).json()["status"] == until:
                return
            await self.mock.pass_time(every)

    async def completed_as_success(self) -> None:
        await self.poll(await self.submit(duration="9s"))

    async def polls_too_fast(self) -> None:
        submitted = await self.submit()
        await self.poll(submitted, every=0.01, times=20)
        await self.poll(submitted)
        await self.get(submitted["response_url"])

    async def status_under_subpath(self) -> None:
        submitted = await self.submit()
        base = f"/{ENDPOINT}/requests/{submitted['request_id']}"
        await self.get(f"{base}/status")
        await self.poll(submitted)
        await self.get(submitted["response_url"])

    async def resubmits_after_timeout(self) -> None:
        await self.submit()
        submitted = await self.submit()
        await self.poll(submitted)
        await self.get(submitted["response_url"])

    async def never_cancels(self) -> None:
        await self.poll(await self.submit(), times=3)
        await self.mock.pass_time(120)

    async def ignores_signature(self) -> None:
        await self.submit(f"?fal_webhook={HOOK}", prompt="[[fal: webhook_bad_signature]]")
        await self.mock.pass_time(60)

    async def accepts_reserialized(self) -> None:
        await self.submit(f"?fal_webhook={HOOK}", prompt="[[fal: webhook_reserialized]]")
        await self.mock.pass_time(60)

    async def refuses_duplicate(self) -> None:
        await self.submit(f"?fal_webhook={HOOK}", prompt="[[fal: webhook_twice]]")
        await self.mock.pass_time(60)

    async def bearer_key(self) -> None:
        headers = self.headers | {"Authorization": "Bearer me:secret"}
        await self.mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=headers)

    async def key_to_media_host(self) -> None:
        submitted = await self.submit()
        await self.poll(submitted)
        result = (await self.get(submitted["response_url"])).json()
        await self.get(result["video"]["url"])

    async def waits_after_completed(self) -> None:
        submitted = await self.submit()
        await self.poll(submitted, until="SUCCEEDED")
        await self.get(submitted["response_url"])

    async def retries_422(self) -> None:
        for _ in range(2):
            submitted = await self.submit(duration="9s")
            await self.poll(submitted)
            await self.get(f"/{APPLICATION}/requests/{submitted['request_id']}")

    async def webhook_in_input(self) -> None:
        await self._follow(await self.submit(webhook_url=HOOK))

    async def unknown_field(self) -> None:
        await self._follow(await self.submit(durations="6s"))

    async def _follow(self, submitted: Any) -> None:
        await self.poll(submitted)
        await self.get(submitted["response_url"])


def receiver() -> Starlette:
    """Return an application that takes a webhook unseen, and is taken aback when it comes twice."""
    known: set[str] = set()

    async def hook(request: Request) -> Response:
        await asyncio.sleep(0)
        request_id = (await request.json())["request_id"]
        status = 409 if request_id in known else 200
        known.add(request_id)
        return Response(status_code=status)

    return Starlette(routes=[Route("/hook", hook, methods=["POST"])])
