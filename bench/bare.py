"""The application that falmock is compared with: three routes that return dicts, on the same uvicorn."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request


def _links(request_id: str) -> dict[str, str]:
    base = f"http://127.0.0.1/fal-ai/any-llm/requests/{request_id}"
    return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


async def submit(request: Request) -> JSONResponse:
    del request
    request_id = str(uuid.uuid4())
    return JSONResponse(
        {"status": "IN_QUEUE", "request_id": request_id, **_links(request_id), "queue_position": 0}
    )


async def status(request: Request) -> JSONResponse:
    request_id = request.path_params["id"]
    return JSONResponse({"status": "COMPLETED", "request_id": request_id, **_links(request_id), "logs": None})


async def result(request: Request) -> JSONResponse:
    del request
    return JSONResponse({"output": "A lego chef cooks eggs.", "reasoning": None, "partial": False})


app = Starlette(
    routes=[
        Route("/fal-ai/any-llm", submit, methods=["POST"]),
        Route("/fal-ai/any-llm/requests/{id}/status", status),
        Route("/fal-ai/any-llm/requests/{id}", result),
    ]
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=60,
    )
