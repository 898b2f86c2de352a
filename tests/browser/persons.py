"""Persons of the operator in the console, with a real OpenID Connect provider: signing in and out, roles, two persons for one act, what ends
and what fails, and what is left in the browser (nothing)."""

import base64
import json
import re
import urllib.parse

from administration import organization, view
from harness import Administration, NUMBER
from node import Node
from playwright.sync_api import expect
from portal import TOOLS, begun, free_port

RESOURCE = "https://lostcard.example"
PEOPLE = {
    "wang.fang": {"groups": ["ops"], "renews": True},
    "li.lei": {"groups": ["sec"]},
    "zhao.min": {"groups": ["watch"]},
    "chen.jie": {"groups": ["sec"]},
    "brief": {"groups": ["watch"], "ttl": 8},
    "lasting": {"groups": ["watch"], "ttl": 8, "renews": True},
    "stranger": {"groups": ["cooks"]},
}


class Persons(Administration):
    """A node of its own with a provider, started for the first case and stopped by `stop`."""
    running = None

    def __enter__(self):
        if Persons.running is None:
            Persons.running = self.start()
        self.node, self.provider = Persons.running[:2]
        return self

    def start(self):
        node = Node(self.binary)
        client, _ = node.client("admin", "6000/60s")
        provider = f"http://127.0.0.1:{free_port()}"
        process = self.provide(node, provider)
        of = {"ISSUER": provider, "AUDIENCE": RESOURCE, "JWKS_URL": f"{provider}/jwks", "CLIENT": client, "CONSOLE_CLIENT": "console",
              "CONSOLE_RESOURCE": RESOURCE, "VIEWERS": '["watch"]', "OPERATORS": '["ops"]', "SECURITY": '["sec"]'}
        node.quit()
        node.env = {f"LOSTCARD_ADMIN__OIDC__{name}": value for name, value in of.items()} | {"LOSTCARD_TOKENS__INSECURE_LOOPBACK_FOR_TESTS": "true"}
        node.start()
        return [node, provider, process]

    @staticmethod
    def provide(node, provider):
        return begun(["node", TOOLS / "provider/provider.mjs", provider.rsplit(":")[-1], node.url, json.dumps(PEOPLE)], "provider")

    @staticmethod
    def stop():
        if Persons.running:
            node, _, process = Persons.running
            process.terminate()
            process.wait(20)
            node.stop()

    def leave(self):
        """To the provider."""
        self.page.click("#enter-person")
        self.page.wait_for_url(self.provider + "/**")

    def vouch(self, name):
        """Signs in there, and agrees if asked."""
        page = self.page
        page.wait_for_url(self.provider + "/interaction/**")
        page.fill("[name=login]", name)
        page.fill("[name=password]", "any")
        page.click("[type=submit]")
        page.click("[type=submit]")
        page.wait_for_url(self.node.url + "/**")

    def sign_in_as(self, name, **options):
        page = self.open(**options)
        self.leave()
        self.vouch(name)
        page.wait_for_selector("#tiles .tile")
        return page

    def settle(self):
        for method, url, data in self.sent:
            assert url.startswith((self.node.url + "/", self.provider + "/", "blob:")) or "fonts.g" in url, f"an outside request: {url}"
            assert not NUMBER.search(url + data), f"a number left the page: {method} {url}"
            if url.startswith(self.node.url):
                assert "code=" not in url and "token" not in urllib.parse.urlsplit(url).query, "a code or a token is in an address of the service"
            assert not re.search(r"eyJ[\w-]+\.", url), "a token is in an address"
        page = self.page
        if not page.is_closed() and page.url.startswith(self.node.url):
            assert page.url == self.node.url + "/console", page.url
            assert page.evaluate("window.violations") == [], "the policy was violated"
            assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        # The provider's own page asks for a font that is elsewhere, and has a policy of its own.
        wrong = [text for text in self.console if "Failed to load resource" not in text and "fonts.googleapis" not in text]
        assert wrong == [], wrong


def person_signs_in_and_acts_in_their_own_name(console):
    page = console.open()
    assert page.is_visible("#enter-person") and page.locator("#by-secret-title").is_visible()
    console.axe("entry")
    console.leave()
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(next(url for _, url, _ in console.sent if url.startswith(console.provider + "/auth"))).query)
    assert asked["code_challenge_method"] == ["S256"] and len(asked["code_challenge"][0]) == 43 and asked["response_mode"] == ["fragment"], asked
    assert len(asked["state"][0]) >= 32 and len(asked["nonce"][0]) >= 32 and asked["state"] != asked["nonce"], asked
    console.vouch("wang.fang")
    page.wait_for_selector("#tiles .tile")
    assert page.inner_text("#who") == "wang.fang"
    # The code is in the address no more.
    page.wait_for_url(console.node.url + "/console")
    view(console, "organizations")
    page.click("#view summary")
    page.fill("#organization-name", "Quay Hotel")
    page.fill("#organization-region", "110105")
    page.press("#organization-region", "Enter")
    expect(page.locator("#view h3")).to_have_text("Quay Hotel")
    view(console, "persons")
    row = page.locator(".admin tbody tr", has_text="wang.fang")
    expect(row).to_contain_text("organization_created")
    # Who is new is noted by a task: a moment later.
    for _ in range(100):
        if "ops" in row.inner_text():
            break
        page.wait_for_timeout(200)
        view(console, "persons")
        page.wait_for_selector(".admin tbody tr")
    expect(row).to_contain_text("operator")
    console.axe("persons")
    page.click("#sign-out")
    expect(page.locator("#enter-person")).to_be_focused()
    revoked = [data for _, url, data in console.sent if url == console.provider + "/token/revocation"]
    assert len(revoked) == 1 and "token_type_hint=refresh_token" in revoked[0], "what could renew it is revoked"
    assert page.inner_text("#who") == "" and page.locator(".admin").count() == 0
    expect(page.locator("#provider-out-link")).to_have_attribute("href", re.compile("/session/end.client_id=console"))
    console.axe("signed out")
    console.leave()
    # The provider still knows them; who signed out is asked again all the same.
    console.vouch("zhao.min")
    page.wait_for_selector("#tiles .tile")
    assert page.inner_text("#who") == "zhao.min"


def loading_the_page_again_forgets_the_person(console):
    page = console.sign_in_as("zhao.min")
    page.reload()
    page.wait_for_selector("#entry:visible")
    assert page.inner_text("#who") == ""
    # The provider remembers: one press is enough.
    page.click("#enter-person")
    page.wait_for_selector("#tiles .tile")
    assert page.inner_text("#who") == "zhao.min"


def asked(console, name):
    page = console.page
    view(console, "organizations")
    page.click("#view summary")
    page.fill("#organization-name", name)
    page.select_option("#organization-kind", "registrar")
    page.fill("#organization-region", "110105")
    page.press("#organization-region", "Enter")
    expect(page.locator("#view h4")).to_contain_text("waits for another operator")


def waiting(console, name):
    """Opens what waits."""
    view(console, "requests")
    console.page.locator(".admin tbody tr", has_text=name).get_by_role("button").click()
    expect(console.page.locator("#view pre")).to_contain_text(name)


def what_waits_is_approved_by_another_person_or_refused(console):
    console.sign_in_as("li.lei")
    asked(console, "Harbour Station")
    asked(console, "Airport Station")
    waiting(console, "Harbour Station")
    console.page.get_by_role("button", name="Approve it").click()
    expect(console.page.locator("#view .act .message").first).to_contain_text("not the one who asked")
    console.settle()
    console.sign_in_as("wang.fang")
    waiting(console, "Harbour Station")
    expect(console.page.locator("#view .facts")).to_contain_text("li.lei")
    console.page.get_by_role("button", name="Approve it").click()
    expect(console.page.locator("#view .act .message").first).to_contain_text("needs security")
    console.settle()
    page = console.sign_in_as("chen.jie")
    waiting(console, "Harbour Station")
    console.axe("waiting")
    page.get_by_role("button", name="Approve it").click()
    expect(page.locator("#view .facts")).to_contain_text("approved: it is done")
    expect(page.locator("#view .facts")).to_contain_text("chen.jie")
    expect(page.locator(".admin tbody tr", has_text="Harbour Station")).to_have_count(0)
    waiting(console, "Airport Station")
    page.get_by_role("button", name="Refuse it").click()
    page.locator(".grave .strong").last.click()
    expect(page.locator("#view .facts")).to_contain_text("refused: it is not done")
    expect(page.locator(".admin tbody tr", has_text="Airport Station")).to_have_count(0)


def viewer_looks_and_changes_nothing(console):
    of = organization(console, "Looked At")
    page = console.sign_in_as("zhao.min")
    assert of
    view(console, "offices")
    page.fill("#office-code", "110105-88")
    page.fill("#office-name", "a")
    page.fill("#office-reach", "b")
    page.press("#office-reach", "Enter")
    expect(page.locator("#office .message")).to_contain_text("changing needs operator")
    assert page.is_visible("#sign-out"), "they stay signed in"


def token_that_ends_is_renewed_or_asked_for_again(console):
    page = console.sign_in_as("lasting")
    renewals = lambda: [data for _, url, data in console.sent if url == console.provider + "/token" and "refresh_token" in data]  # noqa: E731
    for _ in range(200):
        if len(renewals()) >= 2:
            break
        page.wait_for_timeout(200)
    assert len(renewals()) >= 2 and len({*renewals()}) == len(renewals()), "each is used once"
    assert page.inner_text("#who") == "lasting" and page.is_visible("#tiles")
    page.click("#sign-out")
    page.wait_for_selector("#entry:visible")
    console.settle()
    page = console.sign_in_as("brief")
    page.wait_for_selector("#entry:visible", timeout=40_000)
    expect(page.locator("#entry-message")).to_have_text("Your sign-in has ended. Sign in again.")
    console.leave()
    console.vouch("zhao.min")
    page.wait_for_selector("#tiles .tile")


def who_has_no_role_or_cancels_is_told_so(console):
    page = console.open()
    console.leave()
    console.vouch("stranger")
    expect(page.locator("#entry-message")).to_contain_text("have no role here")
    page.click("#language")
    expect(page.locator("#entry-message")).to_contain_text("没有角色")
    page.click("#language")
    console.leave()
    page.wait_for_url(console.provider + "/interaction/**")
    page.click("text=Cancel")
    page.wait_for_url(console.node.url + "/**")
    expect(page.locator("#entry-message")).to_have_text("The sign-in was cancelled at the provider.")
    console.axe("cancelled")


def answers_that_nobody_asked_for_are_refused(console):
    page = console.open()
    for answer in ("#code=stolen&state=other", "#error=access_denied&error_description=evil-words", "#error=x&state=" + "s" * 32):
        page.goto("about:blank")
        page.goto(console.node.url + "/console" + answer)
        expect(page.locator("#entry-message")).to_contain_text("does not belong to a sign-in")
        page.wait_for_url(console.node.url + "/console")
        assert "evil" not in page.content()
    assert not [url for _, url, _ in console.sent if url.startswith(console.provider)], "nothing was sent to the provider"
    # One of another tab's question, and one of another provider.
    console.leave()
    page.goto(console.node.url + "/console#code=stolen&state=other")
    expect(page.locator("#entry-message")).to_contain_text("does not belong to a sign-in")
    console.leave()
    state = urllib.parse.parse_qs(urllib.parse.urlsplit([url for _, url, _ in console.sent if "/auth?" in url][-1]).query)["state"][0]
    page.goto(f"{console.node.url}/console#code=stolen&state={state}&iss=https://evil.example")
    expect(page.locator("#entry-message")).to_contain_text("does not belong to a sign-in")
    # A code that the provider does not know.
    console.leave()
    state = urllib.parse.parse_qs(urllib.parse.urlsplit([url for _, url, _ in console.sent if "/auth?" in url][-1]).query)["state"][0]
    page.goto(f"{console.node.url}/console#code=stolen&state={state}")
    expect(page.locator("#entry-message")).to_contain_text("refused the sign-in")


def id_token_of_another_sign_in_is_refused(console):
    page = console.open()

    def with_other_nonce(route):
        response = route.fetch()
        told = response.json()
        head, claims, signature = told["id_token"].split(".")
        says = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"nonce": "another"}
        told["id_token"] = ".".join([head, base64.urlsafe_b64encode(json.dumps(says).encode()).decode().rstrip("="), signature])
        route.fulfill(response=response, json=told)
    page.route(console.provider + "/token", with_other_nonce)
    console.leave()
    console.vouch("wang.fang")
    expect(page.locator("#entry-message")).to_contain_text("does not belong to a sign-in")
    assert page.locator("#tiles .tile").count() == 0


def telephone_and_chinese(console):
    page = console.sign_in_as("chen.jie", locale="zh-CN", width=320, height=600, scheme="dark")
    for name in ("persons", "requests", "pairings"):
        view(console, name)
        page.wait_for_function("() => document.querySelector('#view-body > *') && !document.querySelector('#view [data-t=view_loading]')")
        console.axe(f"{name}, telephone")
        console.fits(f"{name}, telephone")
    page.click("#sign-out")
    console.axe("entry, telephone")
    console.fits("entry, telephone")
    expect(page.locator("#enter-person")).to_have_text("前往身份提供方登录")


def keyboard_alone_is_enough(console):
    page = console.open()
    expect(page.locator("#enter-person")).to_be_focused()
    page.keyboard.press("Enter")
    console.vouch("zhao.min")
    page.wait_for_selector("#tiles .tile")
    expect(page.locator("#console-title")).to_be_focused()


def provider_that_is_away_is_said_and_secrets_work_on(console):
    node, provider, process = Persons.running
    process.terminate()
    process.wait(20)
    node.quit()
    node.start()
    page = console.open()
    expect(page.locator("#entry-message")).to_have_text("The provider of accounts cannot be reached now.")
    expect(page.locator("#enter-person")).to_have_text("Try again")
    console.axe("away")
    console.enter(of=node.operator)
    page.click("#sign-out")
    Persons.running[2] = console.provide(node, provider)
    # A node asks again after ten seconds.
    for _ in range(100):
        page.click("#enter-person")
        page.wait_for_selector("#entry:visible")
        if page.inner_text("#enter-person") == "Sign in at the provider":
            break
        page.wait_for_timeout(300)
    console.leave()
    console.vouch("zhao.min")
    page.wait_for_selector("#tiles .tile")


CASES = [
    person_signs_in_and_acts_in_their_own_name, loading_the_page_again_forgets_the_person, what_waits_is_approved_by_another_person_or_refused,
    viewer_looks_and_changes_nothing, token_that_ends_is_renewed_or_asked_for_again, who_has_no_role_or_cancels_is_told_so,
    answers_that_nobody_asked_for_are_refused, id_token_of_another_sign_in_is_refused, telephone_and_chinese, keyboard_alone_is_enough,
    provider_that_is_away_is_said_and_secrets_work_on,
]
