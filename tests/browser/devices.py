"""Devices: a page is paired by a code, unlocked by a PIN, loaded again, locked by rest, by missed PINs and by its end; at the desk and at the station."""

import re

from playwright.sync_api import expect

from harness import Desk

# So often something is tried that a node learns a moment later.
TRIES = 50


class Device(Desk):
    """A page that is no device yet, of either kind."""

    def to(self, path, code=""):
        self.page.goto(f"{self.node.url}{path}" + (f"#pair={code}" if code else ""))
        self.page.wait_for_selector("#device-form:visible")

    def pair(self, code, clerk="王芳", pin="135790"):
        page = self.page
        page.fill("#code", code)
        page.fill("#clerk-name", clerk)
        page.fill("#pin", pin)
        page.fill("#pin-again", pin)
        page.press("#pin-again", "Enter")

    def unlock(self, pin="135790", clerk=None):
        page = self.page
        if clerk:
            page.fill("#clerk-name", clerk)
        page.fill("#pin", pin)
        page.press("#pin", "Enter")

    def settle(self):
        super().settle()
        for method, url, data in self.sent:
            assert "135790" not in url + data and "pair=" not in url, f"a PIN or a code left the page: {method} {url}"


def message(page):
    return page.locator("#device-message")


def a_code_makes_the_page_a_device_that_survives_loading_it_again(device):
    page = device.open()
    device.to("/desk", device.node.codes["desk"])
    # The code is taken out of the address, which the browser tells a moment later.
    page.wait_for_url(lambda url: "pair" not in url)
    page.wait_for_function("code => document.getElementById('code').value === code", arg=device.node.codes["desk"])
    device.axe("pairing")
    device.fits("pairing")
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")
    assert page.input_value("#clerk") == "王芳" and page.input_value("#site") == "harbour-1"
    device.ask(*device.node.listed)
    assert device.look() == "card_listed"
    page.reload()
    page.wait_for_selector("#number:visible")
    assert page.query_selector("#answer-title") is None and page.locator("#rows tbody tr").count() == 0
    device.ask(*device.node.unlisted)
    assert device.look() == "not_listed"
    told = [row for row in device.node.tell("pairing", "list")["pairings"] if row["state"] == "paired" and row["site"] == "harbour-1"]
    assert told, "the device is in the list"
    # Signed out, the PIN is asked for, and nothing else unlocks it.
    page.click("#sign-out")
    page.wait_for_selector("#pin:visible")
    page.reload()
    page.wait_for_selector("#pin:visible")
    assert not page.is_visible("#code") and page.input_value("#clerk-name") == "王芳"
    device.axe("locked")
    device.unlock(clerk="李雷")
    page.wait_for_selector("#number:visible")
    assert page.input_value("#clerk") == "李雷"


def a_bank_stays_one(device):
    page = device.open()
    device.to("/desk", device.node.codes["desk"])
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")
    page.click("#settings summary")
    page.select_option("#purpose", "banking")
    expect(page.locator("#settings-now")).to_contain_text("Banking")
    for again in (lambda: page.click("#sign-out"), page.reload):
        again()
        if page.wait_for_selector("#pin:visible, #number:visible").get_attribute("id") == "pin":
            device.unlock()
            page.wait_for_selector("#number:visible")
        device.ask(*device.node.unlisted)
        assert device.bodies("/v1/checks")[-1]["purpose"] == "banking", "at each lock it was a hotel again"


def a_new_tab_asks_for_the_pin(device):
    page = device.open()
    device.to("/desk", device.node.codes["desk"])
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")
    other = page.context.new_page()
    other.goto(device.node.url + "/desk")
    other.wait_for_selector("#pin:visible")
    assert not other.is_visible("#code") and not other.is_visible("#number")


def fifteen_minutes_of_rest_lock_it(device):
    page = device.open(clock=True)
    device.to("/desk", device.node.codes["desk"])
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")
    # The service's clock does not jump: its tokens are not what this is about.
    token = {"access_token": "a.b.c", "token_type": "DPoP", "expires_in": 3600, "scope": "checks"}
    page.route("**/oauth2/token", lambda route: route.fulfill(json=token))
    page.clock.fast_forward("14:00")
    page.press("#reference", "Shift")
    page.clock.fast_forward("14:00")
    assert page.is_visible("#number"), "who stirs is not locked out"
    page.clock.fast_forward("01:10")
    page.wait_for_selector("#pin:visible")
    expect(message(page)).to_contain_text("15 minutes")
    page.reload()
    page.wait_for_selector("#pin:visible")


def missed_pins_wait_and_lock(device):
    page = device.open(clock=True)
    device.to("/desk", device.node.codes["desk"])
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")
    page.click("#sign-out")
    page.wait_for_selector("#pin:visible")
    for missed in range(1, 5):
        device.unlock("000000")
        expect(message(page)).to_contain_text("The PIN is wrong")
        device.unlock("135790")
        expect(message(page)).to_contain_text("Wait for")
        page.clock.fast_forward(1000 * 2 ** missed + 100)
    device.unlock("000000")
    expect(message(page)).to_contain_text("locked")
    page.clock.fast_forward("01:00")
    device.unlock("135790")
    expect(message(page)).to_contain_text("locked")
    locked = [row for row in device.node.tell("pairing", "list")["pairings"] if row["state"] == "locked"]
    assert len(locked) == 1, locked
    device.node.tell("pairing", "release", locked[0]["pairing_id"])
    # The node knows it within its lease.
    for _ in range(TRIES):
        page.clock.fast_forward("01:00")
        with page.expect_response("**/oauth2/token") as told:
            device.unlock("135790")
        if told.value.ok:
            break
    page.wait_for_selector("#number:visible")


def a_card_scanned_at_the_lock_spends_no_try(device):
    number = device.node.listed[0]
    for path, code, first in (("/desk", "desk", "#number"), ("/station", "station", "#report-id_number")):
        page = device.open()
        device.to(path, device.node.codes[code])
        # Before it is a device, too.
        page.focus("#pin")
        page.keyboard.type(number)
        page.keyboard.press("Enter")
        assert [url for method, url, _ in device.sent if method == "POST"] == []
        device.pair(device.node.codes[code])
        page.wait_for_selector(f"{first}:visible")
        page.click("#sign-out")
        page.wait_for_selector("#pin:visible")
        device.sent.clear()
        for text in (number, f"张三 {number} 2016.05.01-2036.05.01", number[:7]):
            page.wait_for_selector("#pin:focus")
            page.keyboard.insert_text(text)
            page.keyboard.press("Enter")
            expect(message(page)).to_contain_text("six digits")
            assert page.input_value("#pin") == "", "what was scanned does not stay"
        assert [url for method, url, _ in device.sent if method == "POST"] == [], "no PIN was tried"
        device.unlock()
        page.wait_for_selector(f"{first}:visible")


def pairing_again_gives_nothing_up_before_there_is_a_code(device):
    page = device.open()
    device.to("/desk", device.node.codes["desk"])
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")
    page.click("#sign-out")
    page.wait_for_selector("#pin:visible")
    page.click("#pair-other")
    page.wait_for_selector("#code:focus")
    device.axe("a device that is paired again")
    page.click("#pair-back")
    page.wait_for_selector("#code", state="hidden")
    page.click("#pair-other")
    device.pair("7K3M-Q9TX")
    expect(message(page)).to_contain_text("cannot be used")
    page.reload()
    page.wait_for_selector("#pin:visible")
    assert not page.is_visible("#code"), "the device is still this page"
    device.unlock()
    page.wait_for_selector("#number:visible")


def a_code_is_not_spent_where_the_key_cannot_be_kept(device):
    page = device.open()
    page.add_init_script("""const put = IDBObjectStore.prototype.put;
        IDBObjectStore.prototype.put = function (value, ...rest) {
            if (value?.pair) throw new DOMException("no clone", "DataCloneError");
            return put.call(this, value, ...rest); };""")
    page.reload()
    device.to("/desk", device.node.codes["desk"])
    device.sent.clear()
    device.pair(device.node.codes["desk"])
    expect(message(page)).to_contain_text("keeps nothing")
    assert [url for method, url, _ in device.sent if method == "POST"] == []


def an_ended_device_is_out_and_paired_again(device):
    page = device.open()
    device.to("/desk", device.node.codes["desk"])
    before = {row["pairing_id"] for row in device.node.tell("pairing", "list")["pairings"]}
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")
    made = [row["pairing_id"] for row in device.node.tell("pairing", "list")["pairings"] if row["pairing_id"] not in before]
    device.node.tell("pairing", "end", made[0])
    # The node knows it within its lease.
    for _ in range(TRIES):
        with page.expect_response("**/v1/checks") as told:
            device.ask(*device.node.unlisted, wait=False)
        if not told.value.ok:
            break
        page.wait_for_selector("#answer-title:visible")
    page.wait_for_selector("#pin:visible")
    expect(message(page)).to_contain_text("no longer takes")
    device.unlock()
    expect(message(page)).to_contain_text("was ended")
    page.click("#pair-other")
    page.wait_for_selector("#code:visible")
    device.pair(device.node.codes["desk"])
    page.wait_for_selector("#number:visible")


def what_is_wrong_is_said_before_anything_is_sent(device):
    page = device.open()
    device.to("/desk")
    sent = lambda: [url for method, url, _ in device.sent if method == "POST"]  # noqa: E731
    for code, clerk, pin, again, words in [
        ("", "Wang", "135790", "135790", "eight letters"),
        ("7K3M", "Wang", "135790", "135790", "eight letters"),
        ("7K3M-Q9TU", "Wang", "135790", "135790", "eight letters"),
        ("7K3M-Q9TX", "", "135790", "135790", "short name"),
        ("7K3M-Q9TX", "王" * 22, "135790", "135790", "short name"),
        ("7K3M-Q9TX", "Wang", "13579", "13579", "six digits"),
        ("7K3M-Q9TX", "Wang", "135790", "135791", "not the same"),
    ]:
        page.fill("#code", code)
        page.fill("#clerk-name", clerk)
        page.fill("#pin", pin)
        page.fill("#pin-again", again)
        page.press("#pin-again", "Enter")
        expect(message(page)).to_contain_text(words)
    assert sent() == []
    device.pair("zzzz zzzz")
    expect(message(page)).to_contain_text("cannot be used")
    body = re.search(r'"code":"([^"]+)"', next(data for _, url, data in device.sent if url.endswith("/registration")))[1]
    assert body == "ZZZZ-ZZZZ", "forgiven on the page alone"
    assert page.input_value("#pin") == page.input_value("#pin-again") == ""


def a_station_files_for_who_unlocked_it(device):
    page = device.open(locale="zh-CN")
    device.to("/station", device.node.codes["station"])
    device.axe("pairing a station")
    device.pair(device.node.codes["station"], clerk="李警官")
    page.wait_for_selector("#report-id_number:visible")
    expect(page.locator("#house")).to_contain_text("110105-03")
    page.reload()
    page.wait_for_selector("#report-id_number:visible")
    page.click("#sign-out")
    page.wait_for_selector("#pin:visible")
    page.fill("#device-office", "110105-04")
    device.unlock()
    page.wait_for_selector("#report-id_number:visible")
    expect(page.locator("#house")).to_contain_text("110105-04")


CASES = [
    a_code_makes_the_page_a_device_that_survives_loading_it_again, a_bank_stays_one, a_new_tab_asks_for_the_pin, fifteen_minutes_of_rest_lock_it,
    missed_pins_wait_and_lock, a_card_scanned_at_the_lock_spends_no_try, pairing_again_gives_nothing_up_before_there_is_a_code,
    a_code_is_not_spent_where_the_key_cannot_be_kept, an_ended_device_is_out_and_paired_again, what_is_wrong_is_said_before_anything_is_sent,
    a_station_files_for_who_unlocked_it,
]
