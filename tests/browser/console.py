"""The console: who may see it, figures that follow what happens, a node that goes away, languages, looks, and the pictures of it."""

import json
import os
import re
import time
from pathlib import Path

from playwright.sync_api import expect

from harness import Console
from node import Node

FOLDER = Path(__file__).parents[2] / "src/web/console"
WEB = Path(__file__).parents[2] / "src/web/shared"
IMAGES = Path(__file__).parents[2] / "docs/images"
ALERT = "LostcardLeaseExpired"


def number_of(page, selector):
    """A tile's figure."""
    text = page.inner_text(f"{selector} b").replace(",", "")
    return 0.0 if text == "–" else float(re.search(r"[\d.]+", text).group())


def until(page, holds, seconds=20):
    """Waits for what the page comes to show."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, page.inner_text("main")
        page.wait_for_timeout(100)


def others_are_told_at_the_door(desk):
    page = desk.open()
    page.click("#enter")
    assert "both" in page.inner_text("#entry-message")
    page.fill("#client-id", desk.node.operator[0])
    page.fill("#client-secret", "lcs_wrong")
    page.click("#enter")
    expect(page.locator("#entry-message")).to_contain_text("secret is wrong")
    page.fill("#client-id", desk.node.hotel[0])
    page.fill("#client-secret", desk.node.hotel[1])
    page.click("#enter")
    expect(page.locator("#entry-message")).to_contain_text("lacks the scope")
    assert not page.is_visible("#tiles") and not any("/v1/console" in url for _, url, _ in desk.sent)


def figures_follow_what_happens(desk):
    page = desk.sign_in()
    expect(page.locator("#state-text")).to_have_text("Live")
    # The traffic of the run, and a report that is made now.
    until(page, lambda: number_of(page, "#tile_checks") > 1)
    assert re.search(r"\d (µs|ms)", page.inner_text("#tile_p99 b"))
    sequence = lambda: int(re.sub(r"\D", "", page.inner_text("#tile_age small")))  # noqa: E731
    before = sequence()
    report = {"id_number": desk.node.to_report[0], "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"}
    status, _ = desk.node.post(desk.node.station, "/v1/loss-reports", report)
    assert status == 201
    until(page, lambda: sequence() > before)
    shares = page.locator("#shares-rows tr").all_inner_texts()
    assert len(shares) == 4 and all(re.search(r"[\d.]+ %", row) for row in shares), shares
    assert page.locator("#nodes-rows tr").count() == 1 and "well" in page.inner_text("#nodes-rows")
    assert page.locator(".plot canvas").count() == 5
    told = page.get_attribute(".chart .plot >> nth=0", "aria-label")
    assert re.search(r"not listed: now [\d.]+, at most [\d.]+", told), told
    page.click(".chart summary >> nth=0")
    until(page, lambda: page.locator(".chart tbody tr").count() >= 10)


def node_goes_away_and_comes_back(desk):
    """A node of its own, which is stopped and started again on its port."""
    desk.open()
    with Own(desk) as (node, own):
        page = own.sign_in()
        expect(page.locator("#state-text")).to_have_text("Live")
        node.quit()
        expect(page.locator("#state-text")).to_contain_text("No answer since", timeout=15_000)
        expect(page.locator("#state-text")).to_contain_text("cannot be reached")
        assert page.is_visible("#tiles"), "what was known stays, in grey"
        assert page.get_attribute("#figures", "class") == "stale"
        own.axe("away")
        first = page.inner_text("#facts dd >> nth=0")
        node.start()
        expect(page.locator("#state-text")).to_have_text("Live", timeout=20_000)
        assert page.inner_text("#facts dd >> nth=0") != first, "a start is another node: its counts are kept apart"
        page.wait_for_timeout(5000)
        assert number_of(page, "#tile_checks") < 10_000, "a counter that begins again draws nothing"


class Own:
    def __init__(self, desk):
        self.desk = desk

    def __enter__(self):
        self.node = Node(self.desk.binary)
        self.console = Console(self.desk.browser, self.node, self.desk.binary)
        return self.node, self.console

    def __exit__(self, *_):
        self.console.__exit__()
        self.node.stop()


def series_draw_no_nonsense(desk):
    """The rules of series.js, on figures that are made up."""
    page = desk.open()
    told = page.evaluate("""async () => {
        const { Series, quantile } = await import("/console/series.js");
        const sample = (t, count, buckets = [0, 0, 0]) => ({ t, count, buckets, age: 1 });
        const pick = (of) => of.count;
        const told = {};
        const one = new Series();
        one.add("a", [0, 5, 10, 15].map((s) => sample(s * 1000, s * 10)));
        told.steady = one.rate([5000, 10000, 15000], pick);
        one.add("b", [0, 5, 10, 15].map((s) => sample(s * 1000, s * 2)));
        told.together = one.rate([5000, 10000, 15000], pick);
        const reset = new Series();
        reset.add("a", [sample(0, 100), sample(5000, 150), sample(10000, 3), sample(15000, 8)]);
        told.reset = reset.rate([5000, 10000, 15000], pick);
        const gap = new Series();
        gap.add("a", [sample(0, 0), sample(5000, 50), sample(65000, 60), sample(70000, 110)]);
        told.gap = gap.rate([5000, 30000, 65000, 70000], pick);
        const away = new Series();
        away.add("a", [sample(0, 0), sample(5000, 50)]);
        away.failed(5000);
        away.add("a", [sample(15000, 150), sample(20000, 200)]);
        away.answered(15000);
        told.away = away.rate([5000, 10000, 15000, 20000], pick);
        const slow = new Series();
        slow.bounds = [1, 2];
        slow.add("a", [sample(0, 0, [5, 5, 5]), sample(5000, 0, [5, 15, 15])]);
        told.quantiles = slow.quantiles([5000], [0.5, 0.95]);
        told.none = quantile([1, 2], [0, 0, 0], 0.5);
        told.beyond = quantile([1, 2], [0, 0, 3], 0.5);
        const twice = new Series();
        twice.add("a", [sample(5000, 50), sample(0, 0)]);
        twice.add("a", [sample(5000, 50)]);
        told.twice = [twice.nodes.get("a").length, twice.rate([5000], pick)];
        return told;
    }""")
    assert told == {
        "steady": [10, 10, 10], "together": [12, 12, 12], "reset": [10, None, 1], "gap": [10, None, None, 10],
        "away": [10, None, None, 10], "quantiles": [[1.5], [1.95]], "none": None, "beyond": 2, "twice": [2, [10]],
    }, told


def alert(desk, **changes):
    """The service's own answers, with alerts that a healthy node does not have."""
    def answer(route):
        response = route.fetch()
        body = response.json()
        if response.ok and "alerts" in body:
            since = body["sample"]["at"]
            for entry in body["alerts"]:
                entry.update(is_firing=False)
                entry.pop("since", None)
                if entry["name"] in changes.get("firing", ()):
                    entry.update(is_firing=True, since=since)
                if entry["name"] in changes.get("pending", ()):
                    entry.update(since=since)
            if changes.get("store_away"):
                body.pop("nodes", None)
                body.update(store_reached=False)
        route.fulfill(response=response, body=json.dumps(body))
    desk.page.route("**/v1/console", answer)


def alert_tells_what_to_do(desk):
    page = desk.open()
    alert(desk, firing=(ALERT, "LostcardRedisAway"), pending=("LostcardChecksSlow",))
    desk.enter()
    expect(page.locator("#alerts-word")).to_have_text("2 are firing")
    words = page.locator("#alerts-list .mark").all_inner_texts()
    assert words == ["Wake somebody", "By morning", "Pending"], words
    page.press(f"#more-{ALERT}", "Enter")
    expect(page.locator(".runbook")).to_contain_text(first_words(ALERT))
    assert page.evaluate("document.activeElement.id") == f"more-{ALERT}", "the keyboard stays where it was"
    desk.axe("runbook")
    page.wait_for_timeout(2500)
    assert page.is_visible(".runbook"), "it stays open with the next figures"


def first_words(name):
    page = (Path(__file__).parents[2] / "docs/OPERATIONS.md").read_text().split(f"### {name}\n")[1]
    return re.split(r"[`*\[.:(]", page.strip())[0][:30].split("\n")[0].strip()


def store_that_is_away_is_said(desk):
    page = desk.open()
    alert(desk, store_away=True)
    desk.enter()
    expect(page.locator("#state-text")).to_contain_text("the store does not answer")
    expect(page.locator("#nodes-away")).to_be_visible()
    assert not page.is_visible("#nodes-table")
    desk.axe("store away")


def texts_are_whole_in_both_languages(desk):
    page = desk.open(locale="zh-CN")
    en, zh = (page.evaluate(f'async () => (await import("/console/{name}.js")).default') for name in ("en", "zh"))
    assert en.keys() == zh.keys(), set(en) ^ set(zh)
    for key in en:
        names = [set(re.findall(r"\{\w+\}", text[key])) for text in (en, zh)]
        assert names[0] == names[1] and zh[key].strip(), key
    others = ("en.js", "zh.js", "uPlot.iife.min.js", "uPlot.esm.js", "entry.js")
    source = "".join(path.read_text() for path in [*FOLDER.glob("*.js"), *WEB.glob("*.js")] if path.name not in others)
    html = (FOLDER / "index.html").read_text()
    used = set(re.findall(r'data-t="(\w+)"', html)) | set(re.findall(r'\bt\("(\w+)"', source))
    assert used <= en.keys(), used - en.keys()
    rules = (Path(__file__).parents[2] / "src/service/console/rules.rs").read_text()
    alerts = set(re.findall(r"^    (Lostcard\w+) (?:page|ticket) for", rules, re.M))
    assert alerts and alerts == {key for key in en if key.startswith("Lostcard")}
    desk.enter()
    assert "控制台" in page.title() and "节点" in page.inner_text("main")
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert not re.search(r"[\u4e00-\u9fff]", page.evaluate("document.body.innerText").replace("中文", "")), "no Chinese is left"
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0


def signing_out_forgets(desk):
    page = desk.sign_in()
    page.click("#sign-out")
    assert page.is_visible("#entry") and not page.is_visible("#tiles")
    asked = len(desk.sent)
    page.wait_for_timeout(2600)
    assert len(desk.sent) == asked, "nothing is asked any more"


def looks_right_everywhere(desk):
    """No violation, nothing wider than the screen, and the pictures: under the traffic of the whole run."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "browser-images")
    folder = IMAGES if os.environ.get("SCREENSHOTS") == "overwrite" else target
    folder.mkdir(parents=True, exist_ok=True)
    for name, width, height, locale, scheme in [
        ("desktop-light", 1440, 900, "en-GB", "light"), ("desktop-dark", 1440, 900, "zh-CN", "dark"),
        ("phone-light", 390, 844, "zh-CN", "light"), ("phone-dark", 390, 844, "en-GB", "dark"), ("small", 320, 600, "en-GB", "light")]:
        page = desk.open(width=width, height=height, locale=locale, scheme=scheme)
        desk.axe(f"entry, {name}")
        desk.enter()
        page.select_option("#range", "5")
        page.wait_for_timeout(4500)
        desk.axe(name)
        desk.fits(name)
        if name != "small":
            page.screenshot(path=folder / f"console-{name}.png", full_page=True, animations="disabled")
        desk.settle()


def policy_stops_what_is_foreign(desk):
    page = desk.sign_in()
    stopped = page.evaluate("""async () => {
        const script = document.createElement("script"); script.textContent = "window.inline = true"; document.body.append(script);
        let left = false; try { await fetch("https://elsewhere.example/"); left = true; } catch {}
        for (let at = 0; at < 100 && window.violations.length < 2; at++) await new Promise((next) => setTimeout(next, 20));
        return [window.inline === undefined, !left, window.violations.length]; }""")
    assert stopped == [True, True, 2], stopped
    page.evaluate("window.violations = []")
    desk.console.clear()
    desk.sent[:] = [entry for entry in desk.sent if "elsewhere.example" not in entry[1]]


def console_works_below_the_path_of_a_proxy(desk):
    page = desk.sign_in(below="/city")
    expect(page.locator("#state-text")).to_have_text("Live")
    until(page, lambda: number_of(page, "#tile_checks") > 1)
    desk.stays_below("/city")


CASES = [
    others_are_told_at_the_door, series_draw_no_nonsense, figures_follow_what_happens, node_goes_away_and_comes_back, alert_tells_what_to_do,
    store_that_is_away_is_said, texts_are_whole_in_both_languages, signing_out_forgets, policy_stops_what_is_foreign, looks_right_everywhere,
    console_works_below_the_path_of_a_proxy,
]
