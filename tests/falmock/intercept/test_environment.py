from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import served
from programs import falmock, tool

from falmock.intercept.environment import render, variables
from falmock.intercept.server_info import ServerInfo
from falmock.protocol.hosts import FAL_DOMAINS

if TYPE_CHECKING:
    from pathlib import Path

SERVER = ServerInfo(
    http="http://127.0.0.1:1",
    https="https://127.0.0.1:2",
    proxy="http://127.0.0.1:3",
    certificate="/state/ca/certificate/ca.pem",
    bundle="/state/ca/certificate/bundle.pem",
    preload="/state/ca/certificate/preload.cjs",
)
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"])
def test_the_proxy_variable_is_set_in_every_spelling(name: str) -> None:
    assert variables(SERVER, {})[name] == SERVER.proxy


@pytest.mark.parametrize(
    ("before", "key"),
    [
        ({}, "falmock:local"),
        ({"FAL_KEY": ""}, "falmock:local"),
        ({"FAL_KEY": "me:secret"}, None),
        ({"FAL_KEY_ID": "me", "FAL_KEY_SECRET": "secret"}, None),
    ],
)
def test_a_key_is_set_only_where_there_is_none(before: dict[str, str], key: str | None) -> None:
    assert variables(SERVER, before).get("FAL_KEY") == key


@pytest.mark.parametrize(
    "entry", ["*", "fal.run", ".fal.ai", "*.fal.media", "queue.fal.run:443", "run", ".ai"]
)
def test_entries_of_no_proxy_that_cover_fal_are_dropped(entry: str) -> None:
    direct = variables(SERVER, {"NO_PROXY": f"intranet, {entry}"})["NO_PROXY"]

    assert direct == "localhost,127.0.0.1,::1,intranet"


@given(st.lists(st.sampled_from([*FAL_DOMAINS, "a.b", "*", "", ".run", "x.fal.ai"])))
def test_no_entry_of_no_proxy_ever_covers_fal(entries: list[str]) -> None:
    direct = variables(SERVER, {"no_proxy": ",".join(entries)})["no_proxy"].split(",")

    assert not {entry for entry in direct if entry not in {"localhost", "127.0.0.1", "::1", "a.b"}}


@pytest.mark.parametrize(
    ("name", "before", "option"),
    [("NODE_OPTIONS", "--no-warnings", "--require="), ("BUN_OPTIONS", "--smol", "--preload=")],
)
@pytest.mark.parametrize("folder", ["/state", "/two words", "/José's state", '/a"quote'])
def test_options_of_a_runtime_are_kept_and_the_preload_is_added_once(
    name: str, before: str, option: str, folder: str
) -> None:
    server = replace(SERVER, preload=f"{folder}/preload.cjs")
    once = variables(server, {name: before})[name]
    twice = variables(server, {name: once})[name]

    assert (once, shlex.split(once)) == (twice, [before, f"{option}{folder}/preload.cjs"])


def test_the_variables_for_a_container_have_its_addresses_and_paths() -> None:
    values = variables(SERVER.seen_from("host.docker.internal", "/certificates/"), {})

    assert (values["HTTPS_PROXY"], values["SSL_CERT_FILE"], values["NODE_OPTIONS"]) == (
        "http://host.docker.internal:3",
        "/certificates/bundle.pem",
        "--require=/certificates/preload.cjs",
    )


def test_the_two_variables_of_fal_client_lead_to_the_tls_port() -> None:
    values = variables(SERVER, {}, proxied=False)

    assert (values["FAL_RUN_HOST"], values["FAL_QUEUE_RUN_HOST"], "HTTPS_PROXY" in values) == (
        "127.0.0.1:2/fal.run",
        "127.0.0.1:2/queue.fal.run",
        False,
    )


def test_server_info_survives_a_round_trip_through_json() -> None:
    assert ServerInfo.from_json(SERVER.to_json()) == SERVER


@given(PLAIN)
def test_a_shell_reads_any_value_back(value: str) -> None:
    assert shlex.split(render({"NAME": value}, "sh")) == ["export", f"NAME={value}"]


@pytest.mark.parametrize("form", ["json", "dotenv"])
def test_json_and_dotenv_output_read_back(form: str) -> None:
    values = variables(SERVER, {})
    text = render(values, form)
    read = json.loads(text) if form == "json" else dict(line.split("=", 1) for line in text.splitlines())

    assert read == values


def test_env_leads_a_shell_to_the_running_emulator(tmp_path: Path) -> None:
    tool("curl")
    with served("--state", str(tmp_path)):
        environment = falmock("env", "--state", str(tmp_path)).out
        ask = f"{environment}\ncurl -sS https://api.fal.ai/v1/meta"
        done = subprocess.run(["/bin/sh", "-c", ask], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == {"webhook_ip_ranges": ["127.0.0.1/32"]}


def test_fal_client_follows_its_own_two_variables(tmp_path: Path) -> None:
    program = """if True:
        import fal_client
        arguments = {"prompt": "x", "image_url": "https://example.com/x.png"}
        handle = fal_client.submit("fal-ai/veo2/image-to-video", arguments)
        print(handle.status_url, *handle.get(), *fal_client.run("fal-ai/veo2/image-to-video", arguments))
    """
    quick = ("--queue-seconds", "0", "--run-seconds", "0")
    with served("--state", str(tmp_path), *quick):
        values = json.loads(falmock("env", "--state", str(tmp_path), "--fal-hosts", "--format", "json").out)
        done = subprocess.run(
            [sys.executable, "-W", "ignore::ResourceWarning", "-c", program],
            env=os.environ | values | {"FAL_KEY": "me:secret"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert done.startswith("https://127.0.0.1:")
    assert done.endswith(" video video\n")


def test_env_without_a_running_emulator_gives_advice(tmp_path: Path) -> None:
    ran = falmock("env", "--state", str(tmp_path))

    assert (ran.code, "start one with falmock serve" in ran.err) == (2, True)
