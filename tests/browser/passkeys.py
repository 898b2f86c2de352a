"""Persons without a provider: a link leads to making a passkey, the console is opened by it, two persons do one act, and what is refused is said.
Chromium has an authenticator as a program (the WebAuthn domain of its protocol)."""

import json
import os
import subprocess

from administration import view
from harness import Administration
from node import Node
from persons import asked, waiting
from playwright.sync_api import expect

AUTHENTICATOR = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
                 "automaticPresenceSimulation": True}


class Passkeys(Administration):
    """A node of its own at http://localhost, started for the first case and stopped by `stop`: passkeys are for names."""
    running = None

    def __enter__(self):
        if Passkeys.running is None:
            Passkeys.running = self.start()
        self.node = Passkeys.running
        return self

    def start(self):
        node = Node(self.binary)
        client, _ = node.client("admin", "6000/60s")
        url = node.url.replace("127.0.0.1", "localhost")
        node.quit()
        node.env = {"LOSTCARD_ADMIN__PASSKEYS__CLIENT": client, "LOSTCARD_PUBLIC_URL": url}
        node.start()
        node.url = url
        return node

    @staticmethod
    def stop():
        if Passkeys.running:
            Passkeys.running.stop()

    def person(self, *command):
        command = [self.binary, "--data", self.node.folder.name, "person", *command, "--json"]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **self.node.env})
        return json.loads(told.stdout)

    def open(self, is_verified=True, **options):
        page = super().open(**options)
        self.link = page.context.new_cdp_session(page)
        self.link.send("WebAuthn.enable")
        made = self.link.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR | {"isUserVerified": is_verified}})
        self.authenticator = made["authenticatorId"]
        return page

    def follow(self, link):
        """Opens a link of the command line in the same browser."""
        self.page.goto("about:blank")
        self.page.goto(link)
        self.page.wait_for_selector("#entry:visible")
        self.page.wait_for_url(self.node.url + "/console")

    def join(self, name, role, **options):
        """Somebody new, with a passkey; not signed in."""
        page = self.open(**options)
        self.follow(self.person("invite", name, "--role", role)["link"])
        page.click("#enter-person")
        page.wait_for_function("() => document.querySelector('#entry-message').textContent !== ''")
        return page

    def sign_in_by_passkey(self):
        self.page.click("#enter-person")
        self.page.wait_for_selector("#tiles .tile")

    def settle(self):
        super().settle()
        for method, url, _ in self.sent:
            assert "invite" not in url.partition("#")[0], f"a code is in an address: {method} {url}"


def invited_person_makes_a_passkey_and_acts_in_their_own_name(console):
    page = console.open()
    expect(page.locator("#enter-person")).to_have_text("Sign in with a passkey")
    console.axe("entry")
    invited = console.person("invite", "Wang Fang", "--role", "operator")
    console.follow(invited["link"])
    expect(page.locator("#enter-person")).to_have_text("Make a passkey")
    expect(page.locator("#person-text")).to_contain_text("You were invited")
    console.axe("invited")
    page.click("#enter-person")
    expect(page.locator("#entry-message")).to_have_text("The passkey is made. Sign in with it.")
    kept = console.link.send("WebAuthn.getCredentials", {"authenticatorId": console.authenticator})["credentials"]
    assert len(kept) == 1 and kept[0]["isResidentCredential"] and kept[0]["rpId"] == "localhost", kept
    console.sign_in_by_passkey()
    assert page.inner_text("#who") == "Wang Fang"
    view(console, "organizations")
    page.click("#view summary")
    page.fill("#organization-name", "Quay Hotel")
    page.fill("#organization-region", "110105")
    page.press("#organization-region", "Enter")
    expect(page.locator("#view h3")).to_have_text("Quay Hotel")
    view(console, "persons")
    expect(page.locator(".admin tbody tr", has_text="Wang Fang")).to_contain_text("organization_created")
    page.click("#sign-out")
    expect(page.locator("#enter-person")).to_be_focused()
    assert page.inner_text("#who") == ""
    console.sign_in_by_passkey()
    page.reload()
    page.wait_for_selector("#entry:visible")
    assert page.inner_text("#who") == "", "the page forgets the person"
    listed = next(one for one in console.person("list")["persons"] if one["person_id"] == invited["person_id"])
    assert listed["passkeys"] == 1 and listed["last_used_at"], listed
    # A second passkey on the same authenticator is none.
    console.follow(console.person("invite", "--person", invited["person_id"])["link"])
    page.click("#enter-person")
    expect(page.locator("#entry-message")).to_contain_text("has a passkey of yours already")
    # Who is ended is out.
    console.page.reload()
    console.sign_in_by_passkey()
    console.person("end", invited["person_id"])
    expect(page.locator("#entry")).to_be_visible()
    page.click("#enter-person")
    expect(page.locator("#entry-message")).to_contain_text("cannot be used")


def what_needs_two_is_approved_by_another_person(console):
    console.join("Li Lei", "security")
    console.sign_in_by_passkey()
    asked(console, "Chaoyang Station")
    waiting(console, "Chaoyang Station")
    console.page.get_by_role("button", name="Approve it").click()
    expect(console.page.locator("#view .act .message").first).to_contain_text("not the one who asked")
    console.settle()
    page = console.join("Chen Jie", "security")
    console.sign_in_by_passkey()
    waiting(console, "Chaoyang Station")
    expect(page.locator("#view .facts")).to_contain_text("Li Lei")
    page.get_by_role("button", name="Approve it").click()
    expect(page.locator("#view .facts")).to_contain_text("Chen Jie")


def what_is_refused_is_said(console):
    page = console.open()
    console.follow(console.node.url + "/console#invite=AAAAAAAAAAAAAAAAAAAAAA")
    page.click("#enter-person")
    expect(page.locator("#entry-message")).to_contain_text("cannot be used")
    # No passkey is here: the browser finds none.
    console.link.send("WebAuthn.setUserVerified", {"authenticatorId": console.authenticator, "isUserVerified": False})
    console.follow(console.person("invite", "Zhao Min", "--role", "viewer")["link"])
    page.click("#enter-person")
    expect(page.locator("#entry-message")).to_contain_text("told to stop")
    console.link.send("WebAuthn.setUserVerified", {"authenticatorId": console.authenticator, "isUserVerified": True})
    page.click("#enter-person")
    expect(page.locator("#entry-message")).to_contain_text("The passkey is made")


def telephone_and_chinese(console):
    page = console.open(locale="zh-CN", width=320, height=600, scheme="dark")
    expect(page.locator("#enter-person")).to_have_text("使用通行密钥登录")
    console.axe("entry, telephone")
    console.fits("entry, telephone")
    console.follow(console.person("invite", "王芳", "--role", "viewer")["link"])
    expect(page.locator("#enter-person")).to_have_text("创建通行密钥")
    console.axe("invited, telephone")
    console.fits("invited, telephone")
    page.click("#enter-person")
    expect(page.locator("#entry-message")).to_have_text("通行密钥已创建，请用它登录。")
    console.sign_in_by_passkey()
    assert page.inner_text("#who") == "王芳"


CASES = [invited_person_makes_a_passkey_and_acts_in_their_own_name, what_needs_two_is_approved_by_another_person, what_is_refused_is_said, telephone_and_chinese]
