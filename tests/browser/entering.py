"""Signing in, the number while it is typed, the keyboard, idle time, the token's renewal."""

import json
from pathlib import Path

from playwright.sync_api import expect

from harness import digest

TODAY = "20261123"
# The table of the service's own reader, src/domain/id_number.rs.
TABLE = json.loads((Path(__file__).parents[1] / "id-numbers.json").read_text(encoding="utf-8"))
NUMBERS = [tuple(row) for row in TABLE["accepted"]]
REFUSED = [tuple(row) for row in TABLE["refused"]] + [("1" * 100_000, "wrong_length"), ("１" * 43, "wrong_length")]
DATES = [
    ("", {}), ("2016.05.01", {"date": "2016-05-01"}), (" 20160501 ", {"date": "2016-05-01"}), ("2016-5-1", {"date": "2016-05-01"}),
    ("2016年5月1日", {"date": "2016-05-01"}), ("2016.05.01-2036.05.01", {"date": "2016-05-01"}),
    ("2016.05.01-长期", {"date": "2016-05-01"}), ("2016。05。01", {"date": "2016-05-01"}), ("２０１６．０５．０１", {"date": "2016-05-01"}),
    ("2016 . 05 . 01", {"date": "2016-05-01"}), (" 2016 05 01", {"date": "2016-05-01"}), ("2016·5·1", {"date": "2016-05-01"}),
    ("２０１６０５０１－２０３６０５０１", {"date": "2016-05-01"}), ("2016.05.01至长期", {"date": "2016-05-01"}), ("2026.11.23", {"date": "2026-11-23"}), ("2026.11.24", {"error": "starts_in_future"}),
    ("2036.05.01", {"error": "starts_in_future"}), ("1984.04.05", {"error": "before_first_cards"}), ("2015.02.29", {"error": "malformed_date"}),
    ("2016", {"error": "malformed_date"}), ("16.05.01", {"error": "malformed_date"}), ("201605012036", {"error": "malformed_date"}),
]


def rules_are_those_of_the_service(desk):
    page = desk.open()
    parse = """async ([texts, today]) => { const m = await import("/web/id_number.js");
        return texts.map((text) => m.parse(text, today)); }"""
    got = page.evaluate(parse, [[text for text, _ in NUMBERS + REFUSED], TODAY])
    expected = [{"number": number} for _, number in NUMBERS] + [{"error": error} for _, error in REFUSED]
    for (text, _), one, wanted in zip(NUMBERS + REFUSED, got, expected, strict=True):
        assert one == wanted, f"{text[:40]!r}: {one}, not {wanted}"
    provinces = """async (today) => { const m = await import("/web/id_number.js"); const known = [];
        for (let at = 0; at < 100; at++) { const first = String(at).padStart(2, "0") + "010119900101001";
            if (m.parse(first + m.checkCharacter(first), today).number) known.push(at); } return known; }"""
    ranges = [(11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83), (90, 99)]
    assert page.evaluate(provinces, TODAY) == [n for first, last in ranges for n in range(first, last + 1)]
    hashed = page.evaluate('async (number) => (await import("/web/id_number.js")).digestOf(number)', NUMBERS[0][0])
    assert hashed == digest(NUMBERS[0][0])
    read = 'async ([texts, today]) => { const m = await import("/web/card_date.js"); return texts.map((x) => m.parseCardDate(x, today)); }'
    got = page.evaluate(read, [[text for text, _ in DATES], TODAY])
    for (text, wanted), one in zip(DATES, got, strict=True):
        assert one == wanted, f"{text!r}: {one}, not {wanted}"


def number_is_judged_while_it_is_typed(desk):
    page = desk.sign_in()
    hint = lambda: page.inner_text("#number-hint")  # noqa: E731
    wrong = lambda: page.get_attribute("#number", "aria-invalid") == "true"  # noqa: E731
    page.focus("#number")
    page.keyboard.type("1101051949")
    assert "8 more" in hint() and not wrong()
    page.keyboard.type("1231002")
    assert "1 more" in hint() and not wrong(), "fifteen digits on the way are no error"
    page.keyboard.type("1")
    assert "does not fit" in hint() and wrong()
    page.keyboard.press("Backspace")
    page.keyboard.type("x")
    assert "Complete" in hint() and not wrong()
    for typed, part in [("01", "province"), ("110105194913", None), ("11010519491331", "no date"), ("1101a", "X"), ("１１", None), ("110105 1949", None), ("110105-1949-12x", "X")]:
        page.fill("#number", typed)
        assert (part in hint() and wrong()) if part else not wrong(), f"{typed}: {hint()}"
    page.fill("#number", "110105491231002")
    page.press("#number", "Enter")
    assert "2013" in hint() and wrong() and page.evaluate("document.activeElement.id") == "number"
    assert desk.bodies("/v1/checks") == [], "a wrong number is not sent"
    desk.typed.add("11010519491231002")


def pasted_number_is_judged_at_once(desk):
    page = desk.sign_in()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    def paste(text):
        page.fill("#number", "")
        page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        page.focus("#number")
        page.keyboard.press("Control+V")

    paste("110105491231002")
    page.wait_for_selector("#number-hint.wrong")
    assert "2013" in page.inner_text("#number-hint")
    paste(" 1101051949123100211")
    expect(page.locator("#number-hint")).to_contain_text("exactly 18 characters")
    paste("  11010519491231002X")
    expect(page.locator("#number-hint")).to_contain_text("Complete")
    desk.typed.add("11010519491231002X")


def everything_works_by_keyboard_alone(desk):
    page, node = desk.open(), desk.node
    keys = page.keyboard

    def tab_to(selector):
        for _ in range(40):
            if page.evaluate("(selector) => document.activeElement?.matches(selector)", selector):
                ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert ring != "none", f"{selector}: the focus cannot be seen"
                return
            keys.press("Tab")
        raise AssertionError(f"{selector} is not reached by Tab")

    tab_to("#client-id")
    keys.type(node.hotel[0])
    tab_to("#client-secret")
    keys.type(node.hotel[1])
    tab_to("#enter")
    keys.press("Enter")
    page.wait_for_selector("#number:focus")
    keys.type(node.listed[0])
    desk.typed.add(node.listed[0])
    tab_to("#date")
    keys.type(node.listed[1])
    keys.press("Enter")
    page.wait_for_selector("#answer-title:focus")
    assert desk.look() == "card_listed"
    tab_to("#answer button.strong")
    keys.press("Enter")
    page.wait_for_selector("#report[open]")
    assert page.evaluate("document.activeElement.id") == "report-send"
    keys.press("Escape")
    page.wait_for_selector("#report", state="hidden")
    assert page.query_selector("#answer-title"), "Escape closes the window alone"
    # The next number is typed, or sent by a reader, while the answer has the focus.
    page.focus("#answer-title")
    keys.type(node.unlisted[0])
    assert page.input_value("#number") == node.unlisted[0]
    desk.typed.add(node.unlisted[0])
    assert page.query_selector("#answer-title") and "card before" in page.inner_text("#before"), "typing wipes no answer, and it says whose it is"
    keys.press("Enter")
    page.wait_for_selector("#answer-title:focus")
    assert desk.look() == "not_listed"
    keys.press("Escape")
    page.wait_for_selector("#number:focus")
    assert page.query_selector("#answer-title") is None


def types_the_next(desk):
    """As a reader does that is a keyboard: it types, wherever the focus is, and presses Enter."""
    page, (number, _) = desk.page, desk.node.unlisted
    before = len(desk.bodies("/v1/checks"))
    desk.typed.add(number)
    page.keyboard.type(number)
    assert page.input_value("#number") == number, "what a reader types is not lost"
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer .verdict.not_listed")
    assert [body["id_digest"] for body in desk.bodies("/v1/checks")[before:]] == [digest(number)]
    desk.no_number_left()
    page.keyboard.press("Escape")


def a_reader_types_after_any_button(desk):
    page, node = desk.sign_in(), desk.node
    page.evaluate("() => { window.print = () => {}; }")
    for press in (
        lambda: page.get_by_role("button", name="Save receipt").first.click(),
        lambda: page.get_by_role("button", name="Print").first.click(),
        lambda: page.click("#language") or page.click("#language"),
        lambda: page.check("#auto-save") or page.uncheck("#auto-save"),
        lambda: page.click("#settings summary"),
        lambda: page.evaluate("document.activeElement.blur()"),
        lambda: page.select_option("#purpose", "banking") and page.focus("#purpose"),
    ):
        desk.ask(*node.listed)
        press()
        types_the_next(desk)
    # Who types elsewhere is left alone.
    page.focus("#reference")
    page.keyboard.type("8801")
    assert (page.input_value("#reference"), page.input_value("#number")) == ("8801", "")


def idle_time_clears_number_and_receipt(desk):
    page = desk.sign_in(clock=True)
    page.fill("#number", "1101051949123")
    page.fill("#date", "2016.05.01")
    page.clock.fast_forward("01:58")
    assert page.input_value("#number") != ""
    page.clock.fast_forward("00:03")
    assert page.input_value("#number") == page.input_value("#date") == ""
    assert "Cleared" in page.inner_text("#status")
    types_the_next(desk)
    desk.ask(*desk.node.listed)
    salt = page.inner_text("#slip").strip() or page.text_content("#slip")
    assert "receipt_salt" in salt
    page.click("#answer button.strong")
    page.fill("#narrative", "something seen")
    page.clock.fast_forward("02:01")
    assert page.query_selector("#answer-title") is None and page.text_content("#slip") == ""
    assert not page.is_visible("#report") and page.input_value("#narrative") == ""
    assert page.locator("#rows tbody tr").count() == 2, "today's list stays"
    assert page.locator("#rows button").count() == 0, "its receipt does not"
    types_the_next(desk)


def typed_credentials_do_not_stay(desk):
    page = desk.open(clock=True)
    page.fill("#client-secret", "half a secret")
    page.clock.fast_forward("02:01")
    assert page.input_value("#client-secret") == ""
    page.fill("#client-id", desk.node.hotel[0])
    page.fill("#client-secret", desk.node.hotel[1])
    page.click("#enter")
    page.wait_for_selector("#number:visible")
    assert page.input_value("#client-id") == page.input_value("#client-secret") == ""
    assert desk.node.hotel[1] not in page.content()
    stored = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie, history.length]")
    assert stored[:3] == [0, 0, ""], stored
    page.reload()
    page.wait_for_selector("#entry:visible")


def token_is_renewed_before_its_end(desk):
    page = desk.sign_in(clock=True)
    asked = lambda: len([1 for _, url, _ in desk.sent if url.endswith("/oauth2/token")])  # noqa: E731
    assert asked() == 1
    page.clock.fast_forward("08:58")
    assert asked() == 1
    with page.expect_response("**/oauth2/token"):
        page.clock.fast_forward("00:03")
    assert asked() == 2
    desk.ask(*desk.node.unlisted)
    assert desk.look() == "not_listed"


CASES = [
    rules_are_those_of_the_service, number_is_judged_while_it_is_typed, pasted_number_is_judged_at_once,
    everything_works_by_keyboard_alone, a_reader_types_after_any_button, idle_time_clears_number_and_receipt, typed_credentials_do_not_stay,
    token_is_renewed_before_its_end,
]
