"""The live page in a real browser."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest
from browser import AXE, FOREIGN, chromium, violations, visit
from emulated import data_uri, png
from playwright.sync_api import FilePayload, expect
from processes import PATIENCE, Receiver, Served, served, web_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from browser import Visit
    from playwright.sync_api import Browser, Request

    Open = Callable[..., AbstractContextManager[Visit]]

HOSTILE = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\"> {{ 7*7 }}"
QUICK = ("--queue-seconds", "0.1", "--run-seconds", "0.2", "--ephemeral")
SCHEMES = ("light", "dark")
WIDTHS = (360, 768, 1280, 2560)
MOST_SHIFT = 0.02  # of the layout; Lighthouse calls 0.1 good
MOST_BYTES = 250_000  # of a first view, not compressed
MOST_REQUESTS = 8  # of a first view
PAGE_ROWS = 50  # of the list of requests

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with served(*QUICK) as server:
        yield server


@pytest.fixture
def server(running: Served) -> Served:
    """An emulator without requests."""
    running.http.post("/control/reset", json={}).raise_for_status()
    return running


@pytest.fixture
def tab(browser: Browser, server: Served) -> Iterator[Visit]:
    """A tab. At the end of the test nothing has failed in it, and nothing came from another host."""
    with visit(browser, server.address) as tab:
        yield tab
        assert tab.problems == []
        assert tab.hosts == {server.address.removeprefix("http://")}


def at(submitted: Any) -> str:
    return f"/ui/requests/{submitted['request_id']}"


def held(server: Served, **more: Any) -> Any:
    """Submit a request that stays in the queue: time stands still until it is held."""
    server.http.post("/control/clock", json={"scale": 0}).raise_for_status()
    submitted = server.submit(**more)
    server.http.post(f"/control/requests/{submitted['request_id']}/hold").raise_for_status()
    server.http.post("/control/clock", json={"scale": 1}).raise_for_status()
    return submitted


def completed(server: Served, **more: Any) -> Any:
    submitted = server.submit(**more)
    server.wait_until_completed(submitted["request_id"])
    return submitted


# Live


def test_a_submit_appears_without_a_reload(tab: Visit, server: Served) -> None:
    tab.page.goto("/")
    expect(tab.page.get_by_text("No requests yet")).to_be_visible()

    submitted = server.submit(prompt="A surprise")

    row = tab.page.locator(f"#r-{submitted['request_id']}")
    expect(row).to_contain_text("A surprise")
    expect(row).to_contain_text("Completed")
    expect(tab.page.get_by_text("No requests yet")).to_be_hidden()


def test_a_burst_of_requests_leaves_a_page_of_the_newest_that_can_be_used(tab: Visit, server: Served) -> None:
    tab.page.goto("/")
    expect(tab.page.locator("body")).to_have_class("is-live")

    for number in range(3 * PAGE_ROWS):
        server.http.post("/fal-ai/any-llm", json={"prompt": f"number {number}"}).raise_for_status()

    rows = tab.page.locator("#rows tr")
    expect(rows.first).to_contain_text(f"number {3 * PAGE_ROWS - 1}")
    expect(rows).to_have_count(PAGE_ROWS)
    tab.page.get_by_label("Search").fill("number 7")
    expect(rows.last).to_contain_text("number 7")


def test_a_line_that_repeats_a_request_is_copied(browser: Browser, server: Served) -> None:
    submitted = completed(server, prompt=HOSTILE)
    with visit(browser, server.address, permissions=["clipboard-read", "clipboard-write"]) as tab:
        tab.page.goto(at(submitted))
        line = tab.page.locator("#snippet-1")
        tab.page.locator("[data-copy=snippet-1]").click()

        expect(tab.page.locator("[data-copy=snippet-1]")).to_have_text("Copied")
        assert tab.page.evaluate("navigator.clipboard.readText()") == line.text_content()


def test_the_timeline_of_an_open_request_moves(tab: Visit, server: Served) -> None:
    tab.page.goto(at(submitted := held(server)))
    width = tab.page.locator("#course text.tick").last
    first = width.text_content()
    expect(width).not_to_have_text(str(first))  # the scale changes as time passes

    server.http.post(f"/control/requests/{submitted['request_id']}/release").raise_for_status()

    expect(tab.page.locator("#course rect.run")).to_have_count(1)
    expect(tab.page.locator("#course")).to_contain_text("completed with 200")
    expect(tab.page.locator("#head .badge")).to_have_text("Completed")


def test_a_video_plays_and_goes_on_playing_when_the_page_changes(tab: Visit, server: Served) -> None:
    tab.page.goto(at(submitted := completed(server)))
    video = tab.page.locator("video")
    video.evaluate("async (video) => { video.muted = true; await video.play() }")
    calls = tab.page.locator(".call")
    expect(calls).to_have_count(2)

    server.http.get(submitted["status_url"])

    expect(calls).to_have_count(3)
    seen = "(video) => new Promise((done) => { video.ontimeupdate = () => done(video.currentTime) })"
    assert video.evaluate(seen) < video.evaluate(seen)


def test_the_headers_of_a_call_are_loaded_when_it_is_opened(tab: Visit, server: Served) -> None:
    tab.page.goto(at(submitted := completed(server)))
    tab.page.locator(".call summary").first.click()
    exchange = tab.page.locator(".exchange")
    expect(exchange).to_contain_text("content-type")

    server.http.get(submitted["status_url"])

    expect(tab.page.locator(".call")).to_have_count(3)
    expect(exchange).to_be_visible()


# Steer


def test_a_held_request_is_released_on_its_page(tab: Visit, server: Served) -> None:
    tab.page.goto(at(held(server)))

    tab.page.get_by_role("button", name="Release").click()

    expect(tab.page.locator("#head .badge")).to_have_text("Completed")
    expect(tab.page.get_by_role("status")).to_have_text("The request is released.")


def test_a_request_fails_with_a_chosen_error(tab: Visit, server: Served) -> None:
    tab.page.goto(at(held(server)))

    tab.page.get_by_label("Error").select_option("content_policy_violation")
    tab.page.get_by_role("button", name="Fail").click()

    expect(tab.page.locator("#head .badge")).to_have_text("Failed 422")


def test_a_webhook_is_sent_again_and_arrives(tab: Visit, server: Served) -> None:
    with Receiver() as receiver:
        submitted = server.submit(f"?fal_webhook={receiver.url}")
        first = receiver.next()
        tab.page.goto("/ui/webhooks")
        tab.page.get_by_role("button", name="Send again").click()

        assert receiver.next() == first
        tab.page.goto(at(submitted))
        expect(tab.page.locator("#attempts details")).to_have_count(2)


# Submit by hand


DROP = """
    (place, text) => {
      const data = new DataTransfer();
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      data.items.add(new File([bytes], "<b>chef</b>.png", {type: "image/png"}));
      for (const name of ["dragover", "drop"])
        place.dispatchEvent(new DragEvent(name, {dataTransfer: data, bubbles: true, cancelable: true}));
    }
"""
FORM = "/ui/models/fal-ai/veo2/image-to-video"


def test_a_request_is_submitted_from_the_form_with_a_dropped_file(tab: Visit) -> None:
    tab.page.goto(FORM)
    tab.page.get_by_label("prompt", exact=True).fill("A lego chef")
    tab.page.locator("[data-drop]").evaluate(DROP, base64.b64encode(png()).decode())
    expect(tab.page.locator(".chosen img")).to_be_visible()

    tab.page.get_by_role("button", name="Submit", exact=True).click()

    expect(tab.page.locator("#head .badge")).to_have_text("Completed")
    expect(tab.page.locator("#input img")).to_have_js_property("naturalWidth", 32)


def test_a_form_with_a_missing_file_is_not_sent(tab: Visit) -> None:
    tab.page.goto(FORM)
    tab.page.get_by_label("prompt", exact=True).fill("A lego chef")

    tab.page.get_by_role("button", name="Submit", exact=True).click()

    expect(tab.page.get_by_label("image_url", exact=True)).to_be_focused()
    expect(tab.page).to_have_url(re.compile(f"{FORM}$"))


def test_an_invalid_input_can_be_sent_to_see_how_fal_refuses_it(tab: Visit) -> None:
    tab.page.goto(FORM)

    tab.page.get_by_role("button", name="Submit unchecked").click()

    expect(tab.page.locator("#head .badge")).to_have_text("Failed 422")


def test_an_example_fills_its_field(tab: Visit) -> None:
    tab.page.goto("/ui/models/fal-ai/flux-lora")

    tab.page.get_by_role("button", name="Use it").click()

    expect(tab.page.get_by_label("loras", exact=True)).to_have_value('[{"path": "…", "scale": 1}]')


def test_a_request_is_repeated_in_the_form(tab: Visit, server: Served) -> None:
    tab.page.goto(at(completed(server, prompt=HOSTILE, image_url=data_uri(png()), lenght="5s")))
    tab.page.get_by_role("link", name="Repeat").click()
    expect(tab.page.get_by_label("prompt", exact=True)).to_have_value(HOSTILE)

    tab.page.get_by_role("button", name="Submit", exact=True).click()

    expect(tab.page.locator("#head .badge")).to_have_text("Completed")
    expect(tab.page.locator("#input img")).to_have_js_property("naturalWidth", 32)
    expect(tab.page.locator("#input-text")).to_contain_text('"lenght": "5s"')


def test_a_file_is_sent_without_javascript(browser: Browser, server: Served) -> None:
    with visit(browser, server.address, java_script_enabled=False) as tab:
        tab.page.goto(FORM)
        tab.page.get_by_label("prompt", exact=True).fill("A lego chef")
        file = FilePayload(name="chef.png", mimeType="image/png", buffer=png())
        tab.page.locator("[type=file]").set_input_files(file)
        tab.page.get_by_role("button", name="Submit", exact=True).click()

        expect(tab.page.locator("#input img")).to_be_visible()
        assert "/v3b.fal.media/files/" in str(tab.page.locator("#input-text").text_content())


def test_models_are_found_while_a_name_is_typed(tab: Visit) -> None:
    tab.page.goto("/ui/models")
    tab.page.get_by_label("Search").fill("veo2 image")
    expect(tab.page).to_have_url(re.compile(r"/ui/models\?text=veo2\+image$"))
    expect(tab.page.locator(".models tbody tr")).to_have_count(1)

    tab.page.reload()

    expect(tab.page.get_by_label("Search")).to_have_value("veo2 image")
    tab.page.get_by_role("link", name="fal-ai/veo2/image-to-video").click()
    expect(tab.page).to_have_url(re.compile(f"{FORM}$"))


def test_a_fault_of_the_page_hits_the_next_request_alone(tab: Visit, server: Served) -> None:
    tab.page.goto("/ui/steer")
    expect(tab.page.locator("body")).to_have_class("is-live")

    tab.page.get_by_label("Fault", exact=True).select_option("model_error")
    expect(tab.page.locator("#fault [name=fault]")).to_have_value("model_error")  # its fields are there
    tab.page.get_by_role("textbox", name="msg").fill("Try a calmer prompt.")
    tab.page.get_by_role("button", name="Add the fault").click()
    expect(tab.page.locator(".rule")).to_contain_text("took effect 0 of 1")
    ended = [server.http.get(completed(server)["response_url"]) for _ in range(2)]

    assert [answer.status_code for answer in ended] == [422, 200]
    assert ended[0].json()["detail"][0]["msg"] == "Try a calmer prompt."
    expect(tab.page.locator(".rule")).to_contain_text("took effect 1 of 1")
    assert tab.page.url.endswith("/ui/steer?fault=model_error")


def test_another_fault_keeps_the_filters_that_are_filled_in(tab: Visit) -> None:
    tab.page.goto("/ui/steer")
    tab.page.get_by_text("Only some requests or calls").click()
    tab.page.get_by_label("Prompt contains").fill("battle")

    tab.page.get_by_label("Fault", exact=True).select_option("requeued")

    expect(tab.page.get_by_role("spinbutton", name="times")).to_have_value("3")
    expect(tab.page.get_by_label("Prompt contains")).to_have_value("battle")


def test_the_clock_is_paused_and_stepped(tab: Visit, server: Served) -> None:
    tab.page.goto("/ui/steer")
    speed = tab.page.get_by_role("form", name="Speed")

    speed.get_by_role("button", name="Paused").click()
    expect(speed.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "true")
    before = server.http.get("/control/clock").json()["now"]
    tab.page.get_by_role("button", name="Step +10 min").click()
    expect(tab.page.get_by_role("status")).to_have_text("The clock has moved by 10 min 0 s.")
    after = server.http.get("/control/clock").json()["now"]
    speed.get_by_role("button", name="×1", exact=True).click()
    expect(speed.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")

    assert after - before == pytest.approx(600)


def test_a_reset_asks_before_it_deletes(tab: Visit, server: Served) -> None:
    completed(server)
    tab.page.goto("/ui/steer")
    delete = tab.page.get_by_role("button", name="Delete them")
    expect(delete).to_be_hidden()

    tab.page.get_by_text("Reset…").click()
    delete.click()

    expect(tab.page.locator("#reset-what")).to_contain_text("0 now")


# Figures


def test_the_plots_move_with_the_requests(tab: Visit, server: Served) -> None:
    completed(server)
    tab.page.goto("/ui/overview")
    plots = tab.page.locator(".plot canvas")
    expect(plots).to_have_count(2)
    expect(tab.page.locator("body")).to_have_class("is-live")
    before = [plot.evaluate("(canvas) => canvas.toDataURL()") for plot in plots.all()]

    for _ in range(3):
        completed(server)

    drawn = """([plot, before]) => new Promise((done) => {
        const look = () => plot.toDataURL() === before ? requestAnimationFrame(look) : done(true);
        look();
    })"""
    assert all(
        tab.page.evaluate(drawn, [plot.element_handle(), old])
        for plot, old in zip(plots.all(), before, strict=True)
    )


def test_a_plot_says_its_figures_under_the_pointer(tab: Visit, server: Served) -> None:
    completed(server)
    tab.page.goto("/ui/overview")
    over = tab.page.locator(".plot .u-over").first
    expect(over).to_be_visible()

    over.hover(position={"x": 4, "y": 20})

    expect(tab.page.locator("[data-column='1']")).to_have_text("1")


# The address


def test_filters_survive_a_reload(tab: Visit, server: Served) -> None:
    for prompt in ("wanted", "other"):
        held(server, prompt=prompt)
    tab.page.goto("/")
    rows = tab.page.locator("#rows tr")
    expect(rows).to_have_count(2)

    tab.page.get_by_label("Search").fill("wanted")
    expect(tab.page).to_have_url(re.compile(r"/\?text=wanted$"))
    tab.page.get_by_label("State").select_option("In queue")
    expect(rows).to_have_count(1)
    expect(tab.page).to_have_url(re.compile(r"/\?text=wanted&state=in_queue$"))
    tab.page.reload()

    expect(rows).to_have_count(1)
    expect(tab.page.get_by_label("Search")).to_have_value("wanted")
    tab.page.go_back()
    expect(tab.page).to_have_url(re.compile(r"/\?text=wanted$"))


def test_a_filtered_list_is_live(tab: Visit, server: Served) -> None:
    tab.page.goto("/")
    tab.page.get_by_label("Search").fill("wanted")
    expect(tab.page).to_have_url(re.compile(r"/\?text=wanted$"))

    held(server, prompt="other")
    held(server, prompt="wanted")

    expect(tab.page.locator("#rows tr")).to_have_count(1)


def test_the_slash_key_leads_to_the_search_field(tab: Visit, server: Served) -> None:
    tab.page.goto("/")

    tab.page.keyboard.press("/")
    tab.page.keyboard.type("a/b")

    expect(tab.page.get_by_label("Search")).to_have_value("a/b")


# Hostile texts


def test_a_hostile_prompt_stays_text(tab: Visit, server: Served) -> None:
    submitted = completed(server, prompt=HOSTILE)

    tab.page.goto("/")
    expect(tab.page.locator("#rows .prompt")).to_have_text(HOSTILE)
    tab.page.goto(at(submitted))
    expect(tab.page.locator("#input-text")).to_contain_text("<img src=x onerror=")
    held(server, prompt=HOSTILE)  # over the stream, too
    tab.page.goto("/")
    expect(tab.page.locator("#rows tr")).to_have_count(2)

    assert not tab.page.title().startswith("ran")


def test_a_page_of_another_site_cannot_steer(browser: Browser, server: Served) -> None:
    submitted = held(server)
    form = (
        f"<!doctype html><form method=post action='{server.address}{at(submitted)}/finish'><button></form>"
        "<script>document.forms[0].submit()</script>"
    )
    with (
        web_server(lambda *_: (200, "text/html", form.encode())) as elsewhere,
        visit(browser, server.address) as tab,
    ):
        tab.page.goto(elsewhere.replace("127.0.0.1", FOREIGN))
        tab.page.wait_for_url(f"{server.address}/**")
        refused = tab.page.text_content("body")

    assert "answers to pages of this machine only" in str(refused)
    assert server.status(submitted["request_id"]) == "IN_QUEUE"


def test_a_page_of_another_site_may_link_to_the_page(browser: Browser, server: Served) -> None:
    link = f"<!doctype html><a href='{server.address}/'>falmock</a>"
    with (
        web_server(lambda *_: (200, "text/html", link.encode())) as elsewhere,
        visit(browser, server.address) as tab,
    ):
        tab.page.goto(elsewhere.replace("127.0.0.1", FOREIGN))
        tab.page.click("a")
        expect(tab.page.get_by_role("heading", name="Requests", exact=True)).to_be_visible()


def test_no_page_may_be_framed(browser: Browser, server: Served) -> None:
    frame = f"<!doctype html><iframe src='{server.address}/'></iframe>"
    with (
        web_server(lambda *_: (200, "text/html", frame.encode())) as elsewhere,
        visit(browser, server.address) as tab,
    ):
        tab.page.goto(elsewhere)  # a page of this machine, which may call the API
        framed = tab.page.frames[1]

        assert framed.url != f"{server.address}/" or "Requests" not in framed.content()


# Without a script


def test_the_page_is_complete_without_javascript(browser: Browser, server: Served) -> None:
    submitted = held(server, prompt="A quiet page")
    with visit(browser, server.address, java_script_enabled=False) as tab:
        tab.page.goto("/?text=quiet")
        tab.page.get_by_role("link", name="fal-ai/veo2/image-to-video").click()
        tab.page.get_by_role("button", name="Release").click()

        assert tab.page.url.endswith(at(submitted))
        expect(tab.page.get_by_role("button", name="Release")).to_have_count(0)
        expect(tab.page.locator("#input-text")).to_contain_text("A quiet page")


def test_a_fault_is_added_without_javascript(browser: Browser, server: Served) -> None:
    with visit(browser, server.address, java_script_enabled=False) as tab:
        tab.page.goto("/ui/steer")
        tab.page.get_by_label("Fault", exact=True).select_option("requeued")
        tab.page.get_by_role("button", name="Choose").click()
        tab.page.get_by_role("spinbutton", name="times").fill("2")
        tab.page.get_by_role("button", name="Add the fault").click()

        expect(tab.page.locator(".rule")).to_contain_text("requeued times=2")


def test_the_figures_are_a_table_without_javascript(browser: Browser, server: Served) -> None:
    completed(server)
    with visit(browser, server.address, java_script_enabled=False) as tab:
        tab.page.goto("/ui/overview")

        expect(tab.page.locator("#buckets tr").first).to_be_visible()
        expect(tab.page.locator(".plots")).to_be_hidden()


# Looks


@pytest.fixture
def pages(server: Served) -> list[str]:
    """The addresses of all pages, of an emulator in which something of each kind has happened."""
    with Receiver() as receiver:
        image = data_uri(png())
        done = server.submit(f"?fal_webhook={receiver.url}", image_url=image, prompt="long " * 40)
        receiver.next()
    failed = held(server, lenght="5s")
    server.http.post(f"/control/requests/{failed['request_id']}/fail", json={"fault": "file_too_large"})
    waiting = held(server)
    return [
        "/",
        "/?state=held&text=nothing",
        at(done),
        at(failed),
        at(waiting),
        "/ui/webhooks",
        "/ui/models",
        "/ui/models?text=klnig",
        f"{FORM}?request={done['request_id']}",
        "/ui/models/fal-ai/flux-lora",
        "/ui/models/openrouter/router",
        "/ui/overview",
        "/ui/steer?fault=deep_queue",
        "/ui/nothing",
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious(browser: Browser, server: Served, pages: list[str], scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run `make tools`")
    with visit(browser, server.address, color_scheme=scheme) as tab:
        found = {path: violations(tab.page) for path in pages if tab.page.goto(path)}

    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(
    browser: Browser, server: Served, pages: list[str], width: int
) -> None:
    with visit(browser, server.address, viewport={"width": width, "height": 800}) as tab:
        wide = {
            path: tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            for path in pages
            if tab.page.goto(path)
        }

    assert {path: more for path, more in wide.items() if more > 0} == {}


def test_the_layout_does_not_shift(browser: Browser, server: Served, pages: list[str]) -> None:
    watch = """
        window.shift = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
        }).observe({type: "layout-shift", buffered: true});
    """
    shifts = {}
    with visit(browser, server.address) as tab:
        tab.page.add_init_script(watch)
        for path in pages:
            tab.page.goto(path)
            if path != "/ui/nothing":
                expect(tab.page.locator("body")).to_have_class("is-live")
            shifts[path] = tab.page.evaluate("window.shift")

    assert {path: shift for path, shift in shifts.items() if shift > MOST_SHIFT} == {}


def test_a_first_view_is_small(browser: Browser, server: Served, pages: list[str]) -> None:
    with visit(browser, server.address) as tab:
        sizes: list[int] = []

        def weigh(request: Request) -> None:
            if "/ui/live/" not in request.url:
                sizes.append(request.sizes()["responseBodySize"])

        tab.page.on("requestfinished", weigh)
        tab.page.goto("/")
        expect(tab.page.locator("body")).to_have_class("is-live")

    assert sum(sizes) < MOST_BYTES
    assert len(tab.loaded) <= MOST_REQUESTS
