"""Languages, screen readers, screen sizes, the policy, the weight of the page, and the pictures of it."""

import os
import re
from pathlib import Path

from node import Sandbox
from playwright.sync_api import expect

FOLDER = Path(__file__).parents[2] / "src/web/desk"
WEB = Path(__file__).parents[2] / "src/web/shared"
IMAGES = Path(__file__).parents[2] / "docs/images"
# With all that is fetched later: the certificate's window and what reads a code.
BYTES_MAX = 200_000
FIRST_BYTES_MAX = 132_000
PICTURED = {
    "desktop": ("entry", "not listed", "confirm", "listed", "report"),
    "phone": ("entry", "not listed", "other card", "listed", "failure"),
    "dark": ("listed",),
}


def states(desk):
    """Walks through the states of the page, by name."""
    page, node = desk.page, desk.node
    yield "entry"
    page.click("#enter")
    page.wait_for_selector("#entry-message:not(:empty)")
    yield "entry refused"
    page.fill("#client-id", node.hotel[0])
    page.fill("#client-secret", node.hotel[1])
    page.click("#enter")
    page.wait_for_selector("#number:visible")
    yield "empty"
    page.fill("#number", "110105194912310021")
    yield "wrong number"
    for name, number, date in [
        ("not listed", *node.unlisted), ("confirm", node.listed[0], ""), ("other card", *node.newer), ("listed", *node.listed)]:
        desk.ask(number, date, "room-301")
        yield name
    page.click("#answer button.strong")
    yield "report"
    page.keyboard.press("Escape")
    page.route("**/v1/checks", lambda route: route.fulfill(status=429, headers={"Retry-After": "12"}, json={"code": "limit_spent"}))
    desk.ask(*node.listed)
    yield "failure"
    page.unroute("**/v1/checks")


def every_state_has_no_violation_fits_and_is_pictured(desk):
    # Pictures go to docs/images where SCREENSHOTS=overwrite, else to the target folder: they differ by the time of day.
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "browser-images")
    folder = IMAGES if os.environ.get("SCREENSHOTS") == "overwrite" else target
    folder.mkdir(parents=True, exist_ok=True)
    for device, width, height, locale, scheme in [
        ("desktop", 1280, 860, "en-GB", "light"), ("phone", 390, 844, "zh-CN", "light"),
        ("dark", 1280, 860, "zh-CN", "dark"), ("small", 320, 600, "en-GB", "dark")]:
        page = desk.open(width=width, height=height, locale=locale, scheme=scheme)
        for state in states(desk):
            desk.axe(f"{state}, {device}")
            desk.fits(f"{state}, {device}")
            if state in PICTURED.get(device, ()):
                page.screenshot(path=folder / f"desk-{device}-{state.replace(' ', '-')}.png", animations="disabled")
        desk.settle()


def larger_text_fits(desk):
    page = desk.sign_in(width=640)
    page.evaluate("document.documentElement.setAttribute('class', 'x')")
    page.evaluate("for (const sheet of document.styleSheets) sheet.insertRule(':root.x { font-size: 200% !important; }', sheet.cssRules.length)")
    desk.ask(*desk.node.listed)
    desk.fits("text at twice its size")


def both_languages_are_whole(desk):
    page = desk.open(locale="zh-CN")
    en, zh = (page.evaluate(f'async () => (await import("/desk/{name}.js")).default') for name in ("en", "zh"))
    assert en.keys() == zh.keys(), set(en) ^ set(zh)
    names = lambda text: set(re.findall(r"\{\w+\}", text))  # noqa: E731
    for key in en:
        assert names(en[key]) == names(zh[key]) and zh[key].strip(), key
        assert len(en[key].split("\n")) == len(zh[key].split("\n")), key
    source = "".join(path.read_text() for path in [*FOLDER.glob("*.js"), *WEB.glob("*.js")] if path.name not in ("en.js", "zh.js"))
    html = (FOLDER / "index.html").read_text()
    used = set(re.findall(r'data-t="(\w+)"', html)) | set(re.findall(r'\bt\("(\w+)"', source))
    assert used <= en.keys(), used - en.keys()
    # Keys that are made of a verdict or are in a table; the rest must be named.
    made = set(re.findall(r'"(\w+)"', source)) | {
        f"{verdict}_{part}" for verdict in ("not_listed", "card_listed", "other_card_listed", "number_listed", "superseded", "failure")
        for part in ("title", "lead", "do", "dont")}
    made |= {f"short_{look}" for look in ("not_listed", "card_listed", "other_card_listed", "number_listed", "failure")}
    made |= {f"certificate_for_{purpose}" for purpose in ("air", "rail", "lodging")} | {"code_receipt", "code_salt"}
    made |= {f"certificate_{status}_{part}" for part in ("title", "lead") for status in (
        "valid", "offline", "unverified", "not_authentic", "another_person", "revoked", "expired", "not_yet_valid", "another_purpose")}
    made |= {f"status_{status}_{part}" for part in ("title", "lead") for status in (
        "not_authentic", "another_person", "expired", "not_yet_valid", "unverified")}
    errors = {"empty", "full_width", "not_ascii", "fifteen_digits", "wrong_length", "wrong_character", "unknown_province",
              "impossible_birth_date", "future_birth_date", "wrong_check_character"}
    assert errors <= en.keys()
    unused = en.keys() - used - made - errors - {"language"}
    assert unused == set(), f"nothing says {unused}"
    assert page.get_attribute("html", "lang") == "zh-CN" and "登录" in page.inner_text("main")


def language_changes_at_once_and_is_not_stored(desk):
    page = desk.sign_in(locale="zh-CN")
    desk.ask(*desk.node.listed)
    assert "停止" in desk.title()
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert "Stop" in desk.title() and page.title() == "lostcard desk"
    shown = page.evaluate("document.body.innerText")
    assert not re.search(r"[\u4e00-\u9fff]", shown.replace("中文", "")), "no Chinese is left"
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert "停止" in desk.title()


def verdict_is_told_to_screen_readers(desk):
    page = desk.sign_in()
    desk.ask(*desk.node.listed)
    focused = page.evaluate("[document.activeElement.tagName, document.activeElement.textContent]")
    assert focused[0] == "H3" and "Stop" in focused[1], "reading begins at the verdict"
    assert page.get_attribute("#status", "role") == "status"
    assert page.evaluate("document.querySelector('#answer svg').getAttribute('aria-hidden')") == "true"
    page.set_viewport_size({"width": 390, "height": 700})
    desk.ask(*desk.node.listed)
    box = page.locator("#answer .verdict").bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] <= 700, "on a phone the verdict is brought up"


def policy_holds_and_the_page_is_light(desk):
    page = desk.open()
    seen = desk.weigh()
    total = sum(seen.values())
    assert total <= FIRST_BYTES_MAX, f"{len(seen)} files, {total} bytes"
    page.fill("#client-id", desk.node.hotel[0])
    page.fill("#client-secret", desk.node.hotel[1])
    with page.expect_response("**/qr-decode.min.js"):
        page.click("#enter")
    desk.ask(*desk.node.listed)
    page.wait_for_selector("#slip svg.qr", state="attached")
    assert sum(seen.values()) <= BYTES_MAX, seen
    # The policy is in force: what it must stop is stopped.
    stopped = page.evaluate("""async () => {
        const script = document.createElement("script"); script.textContent = "window.inline = true"; document.body.append(script);
        let left = false; try { await fetch("https://elsewhere.example/"); left = true; } catch {}
        for (let at = 0; at < 100 && window.violations.length < 2; at++) await new Promise((next) => setTimeout(next, 20));
        return [window.inline === undefined, !left, window.violations.length]; }""")
    assert stopped == [True, True, 2], stopped
    page.evaluate("window.violations = []")
    desk.console.clear()
    desk.sent[:] = [entry for entry in desk.sent if "elsewhere.example" not in entry[1]]


def slow_link_is_enough(desk):
    """160 kbit/s and half a second there and back, as on the edge of a mobile network."""
    context = desk.browser.new_context(locale="zh-CN")
    desk.contexts.append(context)
    page = context.new_page()
    link = context.new_cdp_session(page)
    slow = {"offline": False, "latency": 500, "downloadThroughput": 20_000, "uploadThroughput": 10_000}
    link.send("Network.enable")
    link.send("Network.emulateNetworkConditions", slow)
    page.goto(desk.node.url + "/desk", wait_until="commit")
    page.wait_for_selector("#entry:visible", timeout=10_000)
    link.send("Network.emulateNetworkConditions", slow | {"latency": 4600})
    page.click("#by-secret summary")
    page.fill("#client-id", desk.node.hotel[0])
    page.fill("#client-secret", desk.node.hotel[1])
    page.click("#enter")
    expect(page.locator("#enter")).to_have_text("正在登录…")
    page.wait_for_selector("#number:visible", timeout=15_000)
    page.fill("#number", desk.node.listed[0])
    page.press("#number", "Enter")
    expect(page.locator("#status")).to_contain_text("正在查询")
    expect(page.locator("#status")).to_contain_text("仍在查询", timeout=6000)
    page.wait_for_selector("#answer .verdict.number_listed", timeout=15_000)
    desk.page, desk.sent, desk.console = page, [], []
    page.evaluate("window.violations = []")


def sandbox_is_said(desk):
    page = desk.sign_in()
    assert not page.is_visible("#sandbox")
    desk.settle()
    page.close()
    with Sandbox(desk.binary) as sandbox:
        desk.node = sandbox
        page = desk.sign_in(width=390, height=844)
        expect(page.locator("#sandbox")).to_contain_text("mean nothing")
        desk.ask("119999199001011023")
        assert desk.look() == "number_listed" and page.is_visible("#sandbox")
        desk.axe("sandbox")
        desk.fits("sandbox")
        page.click("#language")
        expect(page.locator("#sandbox")).to_contain_text("沙盒")
        desk.settle()
        page.close()


CASES = [
    every_state_has_no_violation_fits_and_is_pictured, larger_text_fits, both_languages_are_whole,
    language_changes_at_once_and_is_not_stored, verdict_is_told_to_screen_readers, policy_holds_and_the_page_is_light, slow_link_is_enough,
    sandbox_is_said,
]
