"""What clients understand; what falqueue sends, and how it handles errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.model.prediction import application
from falcontract.properties.claims import Claims, claim, equal, member, prop
from falcontract.steps import CLIENT_FAULTS, HOSTS, VEO2

if TYPE_CHECKING:
    from falcontract.traces import Trace

AS_THE_WIRE: Final = """
    lifecycle early-result broken-input unknown-path cancel-queued cancel-running cancel-late run-timeout
    start-timeout unknown-application bad-credentials unknown-key
"""
NEEDS: Final = ("stand-still", "hosts")
EVIDENCE: Final = "docs/falqueue.md"
# The CDN gets the upload token, in the same header.
WITH_KEY: Final = (HOSTS["queue"], HOSTS["run"], HOSTS["rest"], HOSTS["cdn"])
CALLS: Final = {
    "submit": ("POST", ""),
    "status": ("GET", "/status"),
    "until": ("GET", "/status"),
    "result": ("GET", ""),
    "cancel": ("PUT", "/cancel"),
}
# What falqueue may make of a submit with trouble: it is sent again only if there is certainly no job.
SUBMITS: Final = {
    "connection_reset": 1,
    "answer_lost": 1,
    "bad_gateway": 1,
    "runner_disconnected": 1,
    "rate_limited": 2,
}
MOST_POLLS: Final = 15  # in the five seconds of a job
WINDOW: Final = (-300, 0, 300)  # seconds; 9.2: more than 300 s off is refused


@prop(
    55,
    AS_THE_WIRE,
    tier=3,
    needs=("stand-still",),
    evidence="PROTOCOL 10 (C); falqueue is under test, fal_client agrees",
    each="run",
)
def clients_agree(trace: Trace) -> Claims:
    """falqueue and fal's Python client understand each answer as the wire does.

    `clients.agreement` repeats the program with each client and records the observations.
    """
    for seen in trace.observations:
        text = f"{seen.client} understands step {seen.step}"
        yield equal(seen.client, seen.found, seen.expected, text, seen.exchange)


@prop(
    98,
    "client-calls lifecycle cancel-late client-trouble client-short-files",
    needs=NEEDS,
    evidence=f"PROTOCOL 3, 8.3 (R, L), 10 (C); {EVIDENCE}",
)
def clients_send_the_key_to_fals_api_only(trace: Trace) -> Claims:
    """falqueue calls the URLs that fal returned, with the key on fal's API hosts and nowhere else."""
    for sent in trace.sent:
        host, _, path = sent.url.partition("?")[0].partition("/")
        yield member("host", host, tuple(HOSTS.values()), "it calls a host of fal's")
        yield claim("leak", not sent.key or host in WITH_KEY, "no other host gets the key", found=sent.url)
        if (known := CALLS.get(sent.step.do)) is not None and sent.step.endpoint == VEO2:
            method, tail = known
            expected = path == VEO2 if sent.step.do == "submit" else _is_of_job(path, tail)
            yield equal("method", sent.method, method, f"a {sent.step.do} is a {method}")
            yield claim("path", expected, "its path is the one that fal returned", found=path)
            yield equal("key", sent.key, sent.step.key in {"a", "b"}, "it has the key that there is")


def _is_of_job(path: str, tail: str) -> bool:
    head, _, rest = path.partition("/requests/")
    return head == application(VEO2) and rest.partition("/")[2] == tail.lstrip("/")


@prop(99, "client-calls lifecycle cancel-late", needs=NEEDS, evidence=EVIDENCE)
def clients_send_each_call_once(trace: Trace) -> Claims:
    """Without trouble falqueue sends one call for each step."""
    if CLIENT_FAULTS in trace.program.setup:
        return
    expected = [e.step for e in trace.exchanges if e.step.do in CALLS]
    for do in CALLS:
        wanted = sum(step.do == do for step in expected)
        found = sum(sent.step.do == do for sent in trace.sent)
        if trace.sent:
            yield equal("once", found, wanted, f"it sends one call for each {do}")


@prop(
    100,
    "client-submit-reset client-submit-lost client-submit-502 client-submit-503 client-submit-429",
    needs=(*NEEDS, "faults"),
    evidence=f"PROTOCOL 4.1: no idempotency key exists; {EVIDENCE}",
)
def clients_do_not_pay_twice(trace: Trace) -> Claims:
    """falqueue sends a submit again only if there is certainly no job, and says if there may be one."""
    for rule in trace.program.setup.get(CLIENT_FAULTS, ()) if trace.sent else ():
        count = sum(sent.step.do == "submit" for sent in trace.sent)
        fault = rule["fault"]
        yield equal("count", count, SUBMITS[fault], f"after {fault} a submit is sent as often as it may")
        for seen in trace.observations:
            if seen.step.startswith("submit"):
                kind = seen.found[:2]
                allowed = [("accepted",)] if SUBMITS[fault] > 1 else [("error", "SubmitUnconfirmed")]
                yield member("reading", kind, allowed, "it says what may have become of the submit")


@prop(
    101,
    "client-trouble client-half-answers",
    needs=(*NEEDS, "faults"),
    evidence=f"PROTOCOL 10 (C); {EVIDENCE}",
)
def clients_repeat_what_is_free(trace: Trace) -> Claims:
    """After lost and broken answers falqueue sends polls, results and cancels again."""
    if not trace.sent:
        return
    for seen in trace.observations:
        yield equal("reading", seen.found, seen.expected, f"falqueue understands {seen.step}", seen.exchange)
    for rule in trace.program.setup.get(CLIENT_FAULTS, ()):
        calls = [sent for sent in trace.sent if sent.step.do == rule["on"]]
        text = f"a {rule['on']} is sent again after each fault"
        yield equal("again", len(calls), 2 + len(rule.get("then", ())), text)


@prop(
    102,
    "client-limit client-limit-outage client-patience",
    needs=NEEDS,
    evidence=f"PROTOCOL 10 (C: client timeout cancels); {EVIDENCE}",
)
def clients_wait_with_a_limit(trace: Trace) -> Claims:
    """When its limit has passed falqueue cancels the job once, and polls no more; without one it waits."""
    for outcome in trace.outcomes:
        calls = [sent for sent in trace.sent if sent.step.action == "wait"]
        cancels = [n for n, sent in enumerate(calls) if sent.method == "PUT"]
        if outcome.step.seconds:
            expected = ("took too long", "CANCELLATION_REQUESTED")
            yield equal("gives-up", outcome.reading, expected, "it gives up and says so")
            yield equal("cancels", cancels, [len(calls) - 1], "one cancel is its last call")
        else:
            yield equal("output", outcome.reading[0], "output", "it returns the output")
            yield equal("no-cancel", cancels, [], "it cancels nothing")
        yield claim("patience", len(calls) < MOST_POLLS, "it does not poll without a pause", found=len(calls))


@prop(
    103,
    "client-calls client-short-files client-broken-file",
    needs=NEEDS,
    evidence=f"PROTOCOL 8.1, 8.3; {EVIDENCE}",
)
def clients_check_what_they_download(trace: Trace) -> Claims:
    """A download is complete or an error: falqueue continues a broken one, and refuses a short one."""
    rules = trace.program.setup.get(CLIENT_FAULTS, ())
    always = any(rule.get("times") == "always" for rule in rules)
    for outcome in trace.outcomes:
        if always:
            found = outcome.reading
            yield equal("refused", found, ("error", "TransferFailed"), "a short file is an error")
        elif outcome.step.action == "upload":
            expected = ("file", len(outcome.step.body or ""), None)
            yield equal("uploaded", outcome.reading, expected, "what was uploaded can be downloaded")
        else:
            kind, *sizes = outcome.reading
            complete = kind == "file" and len(set(sizes)) == 1
            yield claim("complete", complete, "the file has the announced size", found=outcome.reading)
            ranges = sum(sent.step.action == "download" and "media" in sent.url for sent in trace.sent)
            yield equal("calls", ranges, 2 if rules else 1, "a broken download is continued")


@prop(
    104,
    "client-webhook",
    needs=(*NEEDS, "receive"),
    evidence="PROTOCOL 9.2 (D-hook): more than 300 s off is refused",
)
def clients_check_the_age_of_webhooks(trace: Trace) -> Claims:
    """falqueue accepts a webhook at most 300 s old or early, to the second, and no other."""
    for outcome in trace.outcomes:
        expected = ("verified", "ERROR", *WINDOW)
        yield equal("window", outcome.reading, expected, "it accepts it within 300 s on both sides")
