"""One browser context on a page. Whatever a case does, no number, no outside request, no violation of the policy and no error
in the console may come of it: `settle` looks."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import urllib.parse
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error

NUMBER = re.compile(r"(?<![0-9a-fA-F])\d{17}[\dXx](?![0-9a-fA-F])")
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective + " " + event.blockedURI));
"""


def digest(number):
    return hashlib.sha256(b"lostcard:v1:" + number.upper().encode()).hexdigest()


# While a page is written: its files from this folder (src/web), not those of the binary.
PAGES = os.environ.get("PAGES")


def from_disk(route):
    parts = urllib.parse.urlsplit(route.request.url).path.strip("/").split("/")
    folder, name = parts[0], parts[1] if len(parts) > 1 else "index.html"
    file = Path(PAGES, "shared" if folder == "web" else folder, name)
    if not file.is_file():
        file = next(Path(PAGES, "vendor").glob(f"*/{name}"), None)
    if file is None:
        return route.fallback()
    kinds = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}
    # The page's own policy may name others.
    policy = route.fetch().headers["content-security-policy"] if name == "index.html" else "default-src 'none'"
    kind = kinds.get(file.suffix, "text/javascript") + "; charset=utf-8"
    return route.fulfill(body=file.read_bytes(), headers={"Content-Type": kind, "Content-Security-Policy": policy})


class Desk:
    path = "/desk"
    # There once the page has started.
    first = "#entry:visible"

    def __init__(self, browser, node, binary):
        self.browser, self.node, self.binary = browser, node, binary
        self.contexts = []
        # For a browser of its own, with other devices.
        self.chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for context in self.contexts:
            for page in context.pages:
                page.unroute_all(behavior="ignoreErrors")
            context.close()

    def keep(self, name):
        """A picture of what the case left, also of one that failed: in `browser-images` of the target folder."""
        folder = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "browser-images", "cases")
        folder.mkdir(parents=True, exist_ok=True)
        if self.contexts and not self.page.is_closed():
            with contextlib.suppress(Error):
                self.page.screenshot(path=folder / f"{name}.png", full_page=True, animations="disabled", timeout=5000)

    def open(self, width=1280, height=800, locale="en-GB", scheme="light", url=None, clock=False, below="", timezone_id=None):
        """A fresh page, not signed in; `below`: as a proxy serves it that takes this path off."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, locale=locale, color_scheme=scheme, accept_downloads=True, timezone_id=timezone_id)
        context.set_default_timeout(20_000)
        self.contexts.append(context)
        self.sent, self.console, self.typed = [], [], set()
        self.page = context.new_page()
        if below:
            root = self.node.url + below
            self.page.route(root + "/**", lambda route: route.fulfill(response=route.fetch(url=route.request.url.replace(root, self.node.url, 1))))
        if PAGES:
            self.page.route(re.compile(r"^[^?#]*//[^/]+/(desk|station|console|verify|web)(/|$)"), from_disk)
        if clock:
            self.page.clock.install()
        self.page.add_init_script(WATCH)
        self.page.on("request", lambda request: self.sent.append((request.method, request.url, request.post_data or "")))
        self.page.on("console", lambda message: self.console.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        assert self.page.goto((url or self.node.url) + below + self.path).status == 200
        self.page.wait_for_selector(self.first)
        self.unfold()
        return self.page

    def weigh(self):
        """Loads the page again, whole, and gives the bytes of its files by their address, as they come."""
        seen = {}
        page = self.page
        is_file = lambda url: not any(path in url for path in ("/v1/", "/oauth2/", "/registry-log/", "/.well-known/"))  # noqa: E731
        page.on("response", lambda response: seen.update({response.url: len(response.body())}) if response.ok and is_file(response.url) else None)
        link = page.context.new_cdp_session(page)
        link.send("Network.enable")
        # What the browser knows already is a 304 without a body, which weighs nothing.
        link.send("Network.setCacheDisabled", {"cacheDisabled": True})
        page.reload()
        page.wait_for_selector(self.first)
        self.unfold()
        return seen

    def unfold(self):
        """The way in with a secret is folded away."""
        self.page.evaluate("document.getElementById('by-secret')?.setAttribute('open', '')")

    def sign_in(self, **options):
        page = self.open(**options)
        self.enter()
        return page

    def enter(self):
        page = self.page
        page.fill("#client-id", self.node.hotel[0])
        page.fill("#client-secret", self.node.hotel[1])
        page.press("#client-secret", "Enter")
        page.wait_for_selector("#number:visible")

    def ask(self, number, date="", reference="", wait=True):
        """Types and sends; then the number is in no field."""
        page = self.page
        self.typed.add(number)
        page.fill("#number", number)
        page.fill("#date", date)
        page.fill("#reference", reference)
        page.press("#reference", "Enter")
        if wait:
            page.wait_for_selector("#answer-title")
            self.no_number_left()

    def look(self):
        """The look of the answer that is shown."""
        classes = self.page.get_attribute("#answer .verdict", "class").split()
        return next(name for name in classes if name != "verdict")

    def title(self):
        return self.page.inner_text("#answer-title")

    def bodies(self, path):
        return [json.loads(data) for _, url, data in self.sent if url.endswith(path)]

    def no_number_left(self):
        """Neither in a field nor anywhere in the document."""
        for field in ("#number", "#date", "#reference"):
            assert self.page.input_value(field) == "", f"{field} is not cleared"
        whole = self.page.content()
        for number in self.typed:
            assert number not in whole and digest(number) not in whole, "the number or its digest is in the document"

    def settle(self):
        """What holds after every case."""
        for method, url, data in self.sent:
            assert url.startswith((self.node.url + "/", "blob:" + self.node.url, "http://desk.test/")), f"an outside request: {url}"
            for number in self.typed:
                assert number.upper() not in (url + data).upper(), f"a number left the page: {method} {url}"
            assert not NUMBER.search(url + data), f"something like a number left the page: {method} {url}"
            assert not re.search(r"[0-9a-f]{64}", url), "a digest is in a URL"
        if not self.page.is_closed() and self.page.url.startswith("http"):
            assert self.page.evaluate("window.violations") == [], "the policy was violated"
        wrong = [text for text in self.console if "Failed to load resource" not in text]
        assert wrong == [], wrong

    def axe(self, state):
        """No violation of WCAG 2.2 AA or of axe's best practices."""
        # Colours in transition would be measured half-way.
        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
        told = [f"{entry['id']}: {node['html'][:160]} {node.get('failureSummary', '')}" for entry in found for node in entry["nodes"]]
        assert told == [], f"{state}: " + "\n".join(told)

    def stays_below(self, path):
        """Nothing was asked for but below the path of a proxy."""
        outside = [url for _, url, _ in self.sent if not url.startswith((self.node.url + path + "/", "blob:"))]
        assert outside == [], outside

    def fits(self, state):
        """Nothing is wider than the screen."""
        wide = self.page.evaluate("""() => document.documentElement.scrollWidth > innerWidth
            ? [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
                .map((e) => e.tagName + "#" + e.id + "." + e.className) : []""")
        assert wide == [], f"{state}: {wide}"


class Reference(Desk):
    path = "/docs/"
    first = "#operations-checks-createCheck"


class Sending(Desk):
    """A page that sends numbers: in bodies, never in an address, and they stay in no field."""

    def settle(self):
        for method, url, _ in self.sent:
            assert url.startswith((self.node.url + "/", "blob:" + self.node.url)), f"an outside request: {url}"
            assert not NUMBER.search(url) and not re.search(r"[0-9a-f]{64}", url), f"a number is in an address: {method} {url}"
        if not self.page.is_closed():
            assert self.page.evaluate("window.violations") == [], "the policy was violated"
            assert self.page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        wrong = [text for text in self.console if "Failed to load resource" not in text]
        assert wrong == [], wrong


class Station(Sending):
    """A registrar's page, which files."""
    path = "/station"

    def enter(self, of=None, office="110105-03"):
        page = self.page
        page.fill("#client-id", (of or self.node.station)[0])
        page.fill("#client-secret", (of or self.node.station)[1])
        page.fill("#office", office)
        page.press("#office", "Enter")
        page.wait_for_selector("#report-id_number:visible")

    def task(self, name):
        self.page.click(f"[data-task={name}]")
        self.page.wait_for_selector(f"[data-task={name}][aria-current=page]")


class Verify(Desk):
    path = "/verify"
    first = "#receipt:visible"


class Console(Desk):
    path = "/console"

    def sign_in(self, **options):
        page = self.open(**options)
        self.enter()
        return page

    def enter(self, of=None):
        page = self.page
        page.fill("#client-id", (of or self.node.operator)[0])
        page.fill("#client-secret", (of or self.node.operator)[1])
        page.press("#client-secret", "Enter")
        page.wait_for_selector("#tiles .tile")


class Administration(Console, Sending):
    """The console's other views. One of them asks about a person."""

    settle = Sending.settle
