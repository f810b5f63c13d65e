"""Drives headless Chromium in tests of the live page, and watches what it loads."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright
from programs import NODE, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage

AXE = NODE / "node_modules" / "axe-core" / "axe.min.js"
FOREIGN = "evil.example"  # leads to this machine
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=HttpsUpgrades,LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
    f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser for the length of a block; skip the test if there is none."""
    path = tool("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A tab, and what happened in it.

    Attributes:
        page: of Playwright.
        problems: errors on the console and in scripts.
        loaded: the URLs of all requests.
    """

    page: Page
    problems: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def hear(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.problems.append(said.text)

    @property
    def hosts(self) -> set[str]:
        """The hosts that something was loaded from."""
        return {urlsplit(url).netloc for url in self.loaded if not url.startswith("data:")}


@contextmanager
def visit(browser: Browser, address: str, **options: Any) -> Iterator[Visit]:
    """Open a tab in a context of its own. Paths are those of `address`."""
    context = browser.new_context(base_url=address, **options)
    try:
        tab = Visit(context.new_page())
        tab.page.on("console", tab.hear)
        tab.page.on("pageerror", lambda error: tab.problems.append(str(error)))
        tab.page.on("request", lambda request: tab.loaded.append(request.url))
        yield tab
    finally:
        context.close()


def violations(page: Page) -> list[str]:
    """Return what axe finds serious on a page, a line each."""
    page.evaluate(AXE.read_text())  # as the debugger does: the page's policy allows no other script
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
