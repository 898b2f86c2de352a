"""Officers at stations: the whole way on a paired device, from its code to the paper; a second officer who confirms on a device of their own."""

from devices import Device, message
from harness import NUMBER, Station
from node import Node
from playwright.sync_api import expect
from station import a_number, code_on_paper, no_printer, printed


class Officers(Station, Device):
    """Pages of a node of its own, where a device withdraws one report a day by itself. They send numbers, in bodies alone."""
    path = "/station"

    def __enter__(self):
        self.node = Node(self.binary)
        self.node.quit()
        self.node.env = {"LOSTCARD_REGISTRY__WITHDRAWALS_PER_DAY": "1"}
        self.node.start()
        return self

    def __exit__(self, *given):
        super().__exit__(*given)
        self.node.stop()

    def paired(self, clerk, **options):
        """A page of another browser, which this officer pairs."""
        page = self.open(**options)
        made = self.node.tell("pairing", "create", "--organization", self.organization(), "--scope", "registry", "--site", "110105-03")
        self.to("/station", made["code"])
        page.wait_for_function("code => document.getElementById('code').value === code", arg=made["code"])
        self.pair(made["code"], clerk=clerk)
        page.wait_for_selector("#report-id_number:visible")
        return page

    def organization(self):
        clients = self.node.tell("client", "list")["clients"]
        return next(one["organization_id"] for one in clients if one["client_id"] == self.node.station[0])

    def settle(self):
        for method, url, data in self.sent:
            assert url.startswith((self.node.url + "/", "blob:" + self.node.url)), f"an outside request: {url}"
            assert not NUMBER.search(url), f"a number is in an address: {method} {url}"
            assert "135790" not in url + data and "pair=" not in url, f"a PIN or a code left the page: {method} {url}"
        if not self.page.is_closed():
            assert self.page.evaluate("window.violations") == [], "the policy was violated"
        wrong = [text for text in self.console if "Failed to load resource" not in text]
        assert wrong == [], wrong


def file(page, number):
    """Files a report; its id."""
    page.click("[data-task=report]")
    page.fill("#report-id_number", number)
    page.fill("#report-card_valid_from", "2016.05.01")
    page.press("#report-card_valid_from", "Enter")
    page.wait_for_selector(".zone h3")
    return page.inner_text(".zone dd >> nth=0")


def find(page, wanted):
    page.click("[data-task=search]")
    page.fill("#search-wanted", wanted)
    page.press("#search-wanted", "Enter")
    page.wait_for_selector(".rows")


def withdraw(page, number):
    find(page, number)
    page.click(".rows button:text-is('Withdraw')")
    page.click(".rows button:text-is('Withdraw the report')")


def an_officer_pairs_files_prints_and_withdraws(station):
    page = station.paired("李警官", locale="zh-CN")
    page.click("#sign-out")
    page.wait_for_selector("#pin:visible")
    expect(message(page)).to_be_empty()
    page.fill("#device-office", "110105-04")
    station.unlock()
    page.wait_for_selector("#report-id_number:visible")
    number = a_number()
    id_ = file(page, number)
    no_printer(page)
    page.click(".zone .actions .primary")
    printed(page)
    paper = page.text_content("#paper")
    assert id_ in paper and "110105-04" in paper and number not in paper
    find(page, code_on_paper(page, "receipt"))
    expect(page.locator(".rows dd").first).to_have_text(id_)
    page.click(".rows button:text-is('解除挂失')")
    page.click(".rows button:text-is('解除')")
    expect(page.locator(".rows")).to_contain_text("已解除")
    find(page, number)
    expect(page.locator(".rows")).to_contain_text("已解除")


def a_second_officer_confirms_on_a_device_of_their_own(station):
    first = station.paired("Li")
    numbers = [a_number() for _ in range(3)]
    ids = [file(first, number) for number in numbers]

    withdraw(first, numbers[0])
    expect(first.locator(".rows")).to_contain_text("Withdrawn")
    withdraw(first, numbers[1])
    expect(first.locator(".warning")).to_contain_text("a colleague must search")
    assert first.locator("#second").is_hidden() and first.get_by_text("confirms here").count() == 0, "a device has no secret to type"
    station.axe("waits for a colleague")
    # Who asked finds that it waits, and cannot confirm it.
    find(first, ids[1])
    expect(first.locator(".rows .warning")).to_contain_text("waits for a second person")
    assert first.locator(".rows button:text-is('Withdraw')").count() == 0
    first.click(".rows button:text-is('Confirm')")
    expect(first.locator(".rows .act .message").first).to_contain_text("who asked cannot")
    # The return of a found card waits in the same way.
    first.click("[data-task=found]")
    first.fill("#found-id_number", numbers[2])
    first.fill("#found-card_valid_from", "2016.05.01")
    first.press("#found-card_valid_from", "Enter")
    first.wait_for_selector(".zone .actions .primary")
    card = first.inner_text(".zone dd >> nth=0")
    held = first.locator(".zone >> nth=1").locator("li", has_text=card).first
    held.get_by_text("Return to the holder").click()
    first.click(f"#back-{card} .primary")
    expect(held.locator(".warning")).to_contain_text("a colleague must search")
    second = station.paired("Wang")
    for number in numbers[1:]:
        find(second, number)
        expect(second.locator(".rows .warning")).to_contain_text("waits for a second person")
        second.click(".rows button:text-is('Confirm')")
        expect(second.locator(".rows")).to_contain_text("Withdrawn")
        assert second.locator(".rows .warning").count() == 0
        body = {"id_number": number, "card_valid_from": "2016-05-01", "purpose": "lodging"}
        assert station.node.post(station.node.hotel, "/v1/checks", body)[1]["verdict"] == "not_listed"
    first.click("[data-task=found]")
    first.click("text=What is held, and today's")
    expect(first.locator(".zone >> nth=1").locator("ul.rows li", has_text=card)).to_contain_text("Returned")


def spent(station, **options):
    """Signed in by secret, with the day's number spent; and a report that is left."""
    page = station.open(**options)
    station.enter()
    numbers = [a_number() for _ in range(2)]
    for number in numbers:
        file(page, number)
    withdraw(page, numbers[0])
    expect(page.locator(".rows")).to_contain_text("Withdrawn")
    withdraw(page, numbers[1])
    expect(page.locator(".warning")).to_contain_text("second person")
    page.click("text=A second person confirms here")
    return page


def a_second_person_signs_in_for_one_act_beside_who_signed_in_by_secret(station):
    page = spent(station)
    page.fill("#second-id", station.node.station[0])
    page.fill("#second-secret", station.node.station[1])
    station.axe("second person")
    page.press("#second-secret", "Enter")
    expect(page.locator("#second-message")).to_contain_text("who asked cannot")
    colleague = station.node.tell("client", "create", "--organization", station.organization(), "--scope", "registry")
    page.fill("#second-id", colleague["client_id"])
    page.fill("#second-secret", colleague["client_secret"])
    page.press("#second-secret", "Enter")
    expect(page.locator("#second")).to_be_hidden()
    expect(page.locator(".rows")).to_contain_text("Withdrawn")
    assert page.input_value("#second-id") == page.input_value("#second-secret") == ""


def idle_time_clears_what_was_typed_and_the_second_persons_secret(station):
    page = station.open(clock=True)
    page.fill("#client-id", station.node.station[0])
    page.fill("#client-secret", station.node.station[1])
    page.fill("#pin", "135790")
    page.clock.fast_forward("05:01")
    assert [page.input_value(field) for field in ("#client-id", "#client-secret", "#pin")] == ["", "", ""]
    page = spent(station, clock=True)
    page.fill("#second-id", "colleague")
    page.fill("#second-secret", "hush")
    page.clock.fast_forward("05:01")
    expect(page.locator("#second")).to_be_hidden()
    assert page.input_value("#second-id") == page.input_value("#second-secret") == ""
    assert page.locator(".rows").count() == 0, "what was found is gone too"


def a_device_is_paired_and_unlocked_by_the_keyboard_alone(station):
    page = station.open()
    press, type_ = page.keyboard.press, page.keyboard.type
    made = station.node.tell("pairing", "create", "--organization", station.organization(), "--scope", "registry", "--site", "110105-03")
    expect(page.locator("#code")).to_be_focused()
    for text in (made["code"], "Li", "", "135790", "135790"):
        type_(text)
        press("Tab")
    expect(page.locator("#device-enter")).to_be_focused()
    press("Enter")
    page.wait_for_selector("#report-id_number:focus")
    page.focus("#sign-out")
    press("Enter")
    page.wait_for_selector("#pin:focus")
    type_("135790")
    press("Enter")
    page.wait_for_selector("#report-id_number:focus")


CASES = [
    an_officer_pairs_files_prints_and_withdraws, a_second_officer_confirms_on_a_device_of_their_own,
    a_second_person_signs_in_for_one_act_beside_who_signed_in_by_secret, idle_time_clears_what_was_typed_and_the_second_persons_secret,
    a_device_is_paired_and_unlocked_by_the_keyboard_alone,
]
