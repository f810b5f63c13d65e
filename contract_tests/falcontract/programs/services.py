"""Programs that call fal's other hosts: run, tokens, platform API."""

from __future__ import annotations

from typing import Final

from falcontract.steps import (
    APP_PATH,
    VALID_INPUT,
    VEO2,
    Program,
    call,
    program,
    result,
    status,
    submit,
    wait,
)

ADMIN: Final = "/v1/serverless/apps/fal-ai/veo2/queue"


def programs() -> list[Program]:
    run = {"host": "run", "seconds": 30.0}
    token = {"allowed_apps": ["veo2"], "token_expiration": 60}
    use = f"{APP_PATH}/requests/{{A}}/status"
    return [
        program(
            "run-host",
            call("POST", f"/{VEO2}", input=VALID_INPUT, **run),
            call("POST", f"/{VEO2}", input={}, **run),
            call("POST", f"/{VEO2}/no-such-path", input={}, **run),
            call("POST", f"/{VEO2}", input={}, key="none", **run),
            call("POST", f"/{VEO2}", input={}, key="unknown", **run),
            call("GET", f"/{VEO2}", key="none", **run),
            call("POST", "/fal-ai/nosuchvendor/x", input={}, **run),
        ),
        program(
            "web-tokens",
            submit(),
            call("POST", "/tokens/", host="rest", input=token, save="T"),
            call("POST", "/tokens/", host="rest", input=token, key="none"),
            call("GET", use, query="fal_jwt_token={T.text}", key="none"),
            call("GET", use, query="fal_jwt_token=x.y.z", key="none"),
            call("POST", "/fal-ai/flux/dev", query="fal_jwt_token={T.text}", key="none", input={}),
            *(wait(61), call("GET", use, query="fal_jwt_token={T.text}", key="none")),
            tier=3,
        ),
        program(
            "platform",
            call("GET", "/v1/models", host="api", key="none", query="limit=1"),
            call("GET", "/v1/models", host="api", query="limit=1&cursor=Mg"),
            call("GET", "/v1/models", host="api", query="limit=0"),
            call("GET", "/v1/models", host="api", query="cursor=%21"),
            call("GET", "/v1/models/pricing", host="api", query=f"endpoint_id={VEO2}"),
            call("GET", "/v1/models/pricing", host="api", query="endpoint_id=fal-ai/nothing"),
            call("GET", "/v1/models/pricing", host="api"),
            call("GET", "/v1/models/pricing", host="api", query=f"endpoint_id={VEO2}", key="none"),
            call("GET", "/v1/no-such-call", host="api"),
            tier=1,
        ),
        program(
            "two-accounts",
            *(submit("A", webhook="r"), submit("B", key="b", webhook="s"), submit("C"), submit("D", key="b")),
            call("GET", "/applications/fal-ai/veo2/queue", host="rest"),
            call("DELETE", "/requests/queue/fal-ai/veo2", host="rest"),
            *(call("GET", ADMIN, host="api"), wait(20), status("B", key="b"), status("D", key="b")),
            *(result("B", key="b"), result("D", key="b")),
            call("GET", "/requests/webhooks", host="rest"),
            call("GET", "/requests/webhooks", host="rest", key="b"),
            call("DELETE", "/v1/models/requests/{B}/payloads", host="api"),
            result("B", key="b"),
            call("DELETE", "/v1/models/requests/{B}/payloads", host="api", key="b"),
            result("B", key="b"),
            runners=1,
        ),
    ]
