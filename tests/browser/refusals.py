"""When there is no answer, the page says so: never a verdict, never an old one. The network is intercepted for what a healthy node
does not do."""

import contextlib
import functools
import json
import re

from playwright.sync_api import Error, expect

from harness import digest


def fulfill(answer, route):
    route.fulfill(**answer)


def hold(desk):
    """Checks are not answered; gives those that wait."""
    held = []
    desk.page.route("**/v1/checks", lambda route: held.append(route))
    return held


def no_answer(desk, words):
    """The failure's look; nothing that could be taken for a verdict."""
    page = desk.page
    page.wait_for_selector("#answer .verdict.failure")
    told = page.inner_text("#answer")
    assert desk.title() == "Not checked: do not let through" and words in told, told
    assert "The card was not checked" in told
    for look in ("not_listed", "card_listed", "other_card_listed", "number_listed"):
        assert page.query_selector(f"#answer .{look}") is None
    assert page.text_content("#slip") == "", "no receipt of another check"
    desk.no_number_left()


def wrong_secret_is_told_at_the_door(desk):
    page = desk.open()
    page.click("#enter")
    assert "both" in page.inner_text("#entry-message")
    page.fill("#client-id", desk.node.hotel[0])
    page.fill("#client-secret", "lcs_wrong")
    page.click("#enter")
    expect(page.locator("#entry-message")).to_contain_text("secret is wrong")
    page.fill("#client-id", desk.node.station[0])
    page.fill("#client-secret", desk.node.station[1])
    page.click("#enter")
    expect(page.locator("#entry-message")).to_contain_text("may not check")
    assert not page.is_visible("#number")


def each_failure_is_told_plainly(desk):
    page, node = desk.sign_in(), desk.node
    for status, headers, body, words in [
        (429, {"Retry-After": "37"}, {"code": "limit_spent"}, "Possible again in 3"),
        (429, {"Retry-After": "9"}, {"code": "abnormal_use"}, "Too many wrong numbers"),
        (503, {"Retry-After": "2"}, {"code": "registry_unavailable"}, "cannot ask the registry"),
        (507, {}, {"code": "storage_full"}, "cannot ask the registry"),
        (502, {}, None, "cannot ask the registry"),
        (403, {}, {"code": "insufficient_scope"}, "may not check"),
        (422, {}, {"code": "invalid_value"}, "refused the request"),
        (200, {}, None, "could not be read"),
        (200, {}, {"check_id": "0", "verdict": "fine", "as_of": "2026-11-23T09:00:00.123Z"}, "could not be read"),
        (200, {}, {"verdict": "not_listed"}, "could not be read"),
    ]:
        # A verdict is on the screen before each failure.
        desk.ask(*node.unlisted)
        assert desk.look() == "not_listed"
        text = "<html>" if body is None else json.dumps(body)
        answer = {"status": status, "headers": {"X-Request-Id": "req-7", **headers}, "body": text}
        page.route("**/v1/checks", functools.partial(fulfill, answer))
        desk.ask(*node.listed)
        no_answer(desk, words)
        if status != 200:
            assert "req-7" in page.inner_text("#answer")
        page.unroute("**/v1/checks")


def wait_is_counted_down_and_the_retry_needs_no_number(desk):
    page, node = desk.sign_in(clock=True), desk.node
    page.route("**/v1/checks", lambda route: route.fulfill(status=429, headers={"Retry-After": "12"}, json={"code": "limit_spent"}))
    desk.ask(*node.listed)
    no_answer(desk, "Too many checks")
    retry = page.get_by_role("button", name="Try again")
    assert retry.is_disabled() and "12 s" in page.inner_text(".wait")
    page.clock.run_for(13_000)
    assert retry.is_enabled() and "You can try again now" in page.inner_text(".wait")
    page.unroute("**/v1/checks")
    retry.click()
    page.wait_for_selector("#answer .verdict.card_listed")
    assert {body["id_digest"] for body in desk.bodies("/v1/checks")} == {digest(node.listed[0])}


def no_network_is_told(desk):
    page, node = desk.sign_in(), desk.node
    desk.ask(*node.unlisted)
    page.context.set_offline(True)
    desk.ask(*node.listed)
    no_answer(desk, "cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("#answer .verdict.card_listed")
    assert page.locator("#rows tbody tr").count() == 3, "what was not answered is in the list too"


def silence_ends_in_no_answer(desk):
    page, node = desk.sign_in(clock=True), desk.node
    held = hold(desk)
    desk.ask(*node.listed, wait=False)
    expect(page.locator("#status")).to_contain_text("Asking")
    page.clock.run_for(5_000)
    assert "Still asking" in page.inner_text("#status")
    page.clock.run_for(16_000)
    no_answer(desk, "did not answer in time")
    with contextlib.suppress(Error):
        held[0].abort()


def late_answer_is_not_shown_for_the_next_card(desk):
    page, node = desk.sign_in(), desk.node
    held = []
    page.route("**/v1/checks", lambda route: held.append(route) if not held else route.continue_())
    desk.ask(*node.unlisted, wait=False)
    expect(page.locator("#status")).to_contain_text("Asking")
    desk.ask(*node.listed)
    assert desk.look() == "card_listed"
    with page.expect_response(lambda response: digest(node.unlisted[0]) in (response.request.post_data or "")):
        held[0].continue_()
    page.wait_for_timeout(200)
    assert desk.look() == "card_listed", "the first card's answer came late and is not shown"
    assert page.locator("#rows tbody tr").count() == 1


def old_answer_goes_when_the_next_is_asked(desk):
    page, node = desk.sign_in(), desk.node
    desk.ask(*node.unlisted)
    page.fill("#number", "1")
    assert desk.look() == "not_listed" and node.unlisted[0][-4:] in page.inner_text("#before"), "typing wipes nothing before Enter"
    held = hold(desk)
    desk.ask(*node.listed, wait=False)
    expect(page.locator("#status")).to_contain_text("Asking")
    assert page.query_selector("#answer-title") is None, "nothing is there while the service is asked"
    held[0].continue_()
    page.wait_for_selector("#answer .verdict.card_listed")


def spent_token_is_replaced_and_a_revoked_client_signed_out(desk):
    page, node = desk.sign_in(), desk.node
    calls = []

    def once(route):
        calls.append(1)
        if len(calls) == 1:
            return route.fulfill(status=401, json={"code": "invalid_token"})
        return route.continue_()

    page.route("**/v1/checks", once)
    desk.ask(*node.listed)
    assert desk.look() == "card_listed" and len(calls) == 2, "a new token and the same question"
    page.unroute("**/v1/checks")
    page.route("**/v1/checks", lambda route: route.fulfill(status=401, json={"code": "invalid_token"}))
    page.route("**/oauth2/token", lambda route: route.fulfill(status=401, json={"error": "invalid_client"}))
    desk.ask(*node.unlisted, wait=False)
    expect(page.locator("#entry-message")).to_contain_text("signed out")
    assert "was not checked" in page.inner_text("#entry-message")
    assert not page.is_visible("#desk") and page.locator("#rows tbody tr").count() == 0


def leaving_forgets_everything(desk):
    page, node = desk.sign_in(), desk.node
    desk.ask(*node.listed)
    page.click("#sign-out")
    assert page.is_visible("#client-id") and page.text_content("#answer") == page.text_content("#slip") == ""
    assert page.locator("#rows tbody tr").count() == 0
    page = desk.sign_in()
    desk.ask(*node.listed)
    page.goto(node.url + "/")
    page.go_back()
    page.wait_for_selector("#entry:visible")
    assert page.text_content("#slip") == ""


def page_says_that_it_needs_a_secure_connection(desk):
    context = desk.browser.new_context(locale="zh-CN")
    desk.contexts.append(context)

    def serve(route):
        answer = context.request.get(desk.node.url + route.request.url.removeprefix("http://desk.test"))
        route.fulfill(status=answer.status, headers=answer.headers, body=answer.body())

    context.route("http://desk.test/**", serve)
    desk.sent, desk.console, desk.typed = [], [], set()
    desk.page = page = context.new_page()
    page.add_init_script("window.violations = []")
    page.on("request", lambda request: desk.sent.append((request.method, request.url, request.post_data or "")))
    page.goto("http://desk.test/desk")
    page.wait_for_selector("#unfit:visible")
    assert "https" in page.inner_text("#unfit") and not page.is_visible("#entry")
    page.click("#language")
    expect(page.locator("#unfit")).to_contain_text("secure connection")
    desk.axe("unfit")


def a_page_whose_program_does_not_come_says_so(desk):
    page = desk.open()
    for path in ("/desk", "/station", "/verify", "/console"):
        page.route(re.compile("/app\\.js$"), lambda route: route.fulfill(body="import nothing", content_type="text/javascript"))
        page.goto(desk.node.url + path)
        assert not page.locator(".late").evaluate("(of) => getComputedStyle(of).visibility === 'visible'")
        # Not a wait: its only animation is brought to its end.
        page.evaluate("document.getAnimations().forEach((one) => one.finish())")
        expect(page.locator(".late")).to_be_visible()
        page.unroute(re.compile("/app\\.js$"))
    desk.console.clear()


CASES = [
    a_page_whose_program_does_not_come_says_so,
    wrong_secret_is_told_at_the_door, each_failure_is_told_plainly, wait_is_counted_down_and_the_retry_needs_no_number,
    no_network_is_told, silence_ends_in_no_answer, late_answer_is_not_shown_for_the_next_card,
    old_answer_goes_when_the_next_is_asked, spent_token_is_replaced_and_a_revoked_client_signed_out,
    leaving_forgets_everything, page_says_that_it_needs_a_secure_connection,
]
