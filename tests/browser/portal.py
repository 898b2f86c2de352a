"""The reference portal of examples/citizen-portal against a node and an OpenID Connect provider: a person signs in there and sees what lostcard
holds on that person alone."""

import contextlib
import json
import os
import re
import socket
import subprocess
import urllib.request
from pathlib import Path

from harness import NUMBER, Desk
from playwright.sync_api import expect
from station import a_number

TOOLS = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "browser-tools").resolve()
PEOPLE = {"zhang": a_number(), "li": a_number()}


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return taken.getsockname()[1]


def begun(command, line, **env):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **env})
    while line not in (said := process.stdout.readline()):
        assert said, f"{command[1]} did not start"
    return process


class Portal(Desk):
    """Portal and provider, started for the first case and stopped by `stop`."""
    running = None

    def __enter__(self):
        if Portal.running is None:
            Portal.running = self.start()
        self.url = Portal.running[0]
        return self

    def start(self):
        node = self.node
        of = node.client("citizen", "6000/60s")
        url, provider = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        told = {name: {"id_number": number} for name, number in PEOPLE.items()} | {"nobody": {}}
        processes = [
            begun(["node", TOOLS / "provider/provider.mjs", provider.rsplit(":")[-1], url, json.dumps(told)], "provider"),
            begun(["node", TOOLS / "portal/server.mjs"], "portal", LOSTCARD_URL=node.url, LOSTCARD_CLIENT_ID=of[0], LOSTCARD_CLIENT_SECRET=of[1],
                  PORTAL_URL=url, OIDC_ISSUER=provider, OIDC_CLIENT_ID="portal", OIDC_CLIENT_SECRET="a-secret-of-the-test"),
        ]
        return url, processes

    @staticmethod
    def stop():
        for process in Portal.running[1] if Portal.running else []:
            process.terminate()
            process.wait(20)

    def open(self, width=1280, height=800, locale="en-GB", scheme="light"):
        context = self.browser.new_context(viewport={"width": width, "height": height}, locale=locale, color_scheme=scheme)
        context.set_default_timeout(20_000)
        self.contexts.append(context)
        self.sent, self.console = [], []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.sent.append((request.method, request.url, request.post_data or "")))
        self.page.on("console", lambda message: self.console.append(message.text) if message.type == "error" else None)
        assert self.page.goto(self.url).status == 200
        return self.page

    def sign_in(self, name, **options):
        page = self.open(**options)
        page.click("main button")
        page.fill("[name=login]", name)
        page.fill("[name=password]", "any")
        page.click("[type=submit]")
        page.click("[type=submit]")
        page.wait_for_url(self.url + "/**")
        return page

    def settle(self):
        for method, url, data in self.sent:
            assert not NUMBER.search(url + data), f"a number left the browser: {method} {url}"
        whole = self.page.content()
        assert all(number not in whole for number in PEOPLE.values()), "no number is on the page"
        # The provider's own page asks for a font that is elsewhere.
        wrong = [text for text in self.console if "Failed to load resource" not in text]
        assert wrong == [], wrong


def section(page, title):
    return page.locator("section", has=page.get_by_role("heading", name=title, exact=True))


def person_sees_reports_sightings_and_found_cards_with_offices(portal):
    node = portal.node
    number = PEOPLE["zhang"]
    office = {"code": "110105-03", "name": "Harbour <b>station</b>", "reach": "1 Quay Road, +86 10 1234 5678"}
    assert node.post(node.operator, "/v1/admin/offices", office)[0] == 200
    report = {"id_number": number, "card_valid_from": "2016-05-01", "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"}
    assert node.post(node.station, "/v1/loss-reports", report)[0] == 201
    for site in ("a", "b"):
        check = {"id_number": number, "card_valid_from": "2016-05-01", "purpose": "lodging", "site": site}
        assert node.post(node.hotel, "/v1/checks", check)[1]["verdict"] == "card_listed"
    found = {"id_number": number, "card_valid_from": "2016-05-01", "found_on": "2026-01-01", "found_at_region": "110105", "office": "110105-03"}
    assert node.post(node.station, "/v1/found-cards", found)[0] == 201
    page = portal.sign_in("zhang")
    expect(section(page, "Loss reports")).to_contain_text("in force")
    expect(section(page, "Loss reports")).to_contain_text("Harbour <b>station</b> (110105-03)")
    expect(section(page, "Loss reports")).to_contain_text("1 Quay Road, +86 10 1234 5678")
    expect(section(page, "Cards that were handed in").first).to_contain_text("waits for you at the office")

    def are_shown():
        page.reload()
        return section(page, "Where your card was shown").locator("li").count() == 2
    for _ in range(50):
        if are_shown():
            break
        page.wait_for_timeout(200)
    shown = section(page, "Where your card was shown")
    expect(shown.locator("h3")).to_have_count(1)
    expect(shown.locator("li").first).to_contain_text("a hotel, bank or carrier · 1 times")
    expect(section(page, "Who looked")).to_contain_text("report_filed")
    portal.axe("records")


def person_sees_nothing_of_others(portal):
    page = portal.sign_in("li")
    for title in ("Loss reports", "Where your card was shown", "Cards that were handed in"):
        expect(section(page, title)).to_contain_text("Nothing.")


def who_is_not_vouched_for_sees_nothing(portal):
    page = portal.sign_in("nobody")
    expect(page.locator(".note")).to_have_text("Your provider did not tell your identity number.")
    page.goto(portal.url)
    expect(page.get_by_role("button")).to_have_text("Sign in")


def status_is_a_code_or_said_not_to_be_offered(portal):
    page = portal.sign_in("li")
    page.fill("#from", "2020-01-01")
    page.press("#from", "Enter")
    code = page.locator("figure img")
    note = page.locator(".note")
    expect(code.or_(note)).to_be_visible()
    status, _ = portal.node.post(portal.node.operator, "/v1/citizen/card-status", {})
    if status == 404:
        expect(note).to_have_text("The registry does not offer this.")
    else:
        expect(code).to_be_visible()
        assert re.match(r"data:image/svg", code.get_attribute("src"))


def forms_of_elsewhere_do_nothing(portal):
    page = portal.sign_in("li")
    cookie = next(one for one in page.context.cookies() if one["name"] == "sid")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    request = urllib.request.Request(portal.url + "/logout", b"csrf=wrong", {"Cookie": f"sid={cookie['value']}"})
    urllib.request.urlopen(request).read()
    page.reload()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button")).to_have_text("Sign in")


def telephone_and_chinese(portal):
    page = portal.open(locale="zh-CN", width=320, height=600, scheme="dark")
    portal.axe("entry")
    page = portal.sign_in("zhang", locale="zh-CN", width=320, height=600, scheme="dark")
    expect(section(page, "挂失记录")).to_contain_text("挂失中")
    portal.axe("records, dark")
    portal.fits("records")


CASES = [
    person_sees_reports_sightings_and_found_cards_with_offices, person_sees_nothing_of_others, who_is_not_vouched_for_sees_nothing,
    status_is_a_code_or_said_not_to_be_offered, forms_of_elsewhere_do_nothing, telephone_and_chinese,
]
