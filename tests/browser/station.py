"""The station's page: each task as an officer does it, by mouse and by keyboard alone, on a telephone, in both languages; what it prints."""

import json
import random
import re
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import expect

FOLDER = Path(__file__).parents[2] / "src/web/station"
WEB = Path(__file__).parents[2] / "src/web/shared"
BYTES_MAX = 200_000
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def a_number():
    """A valid number of nobody in particular."""
    first = f"110105{random.randint(1950, 2005)}{random.randint(1, 12):02}{random.randint(1, 28):02}{random.randint(1, 999):03}"
    return first + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first, WEIGHTS)) % 11]


def no_printer(page):
    page.evaluate("() => { window.printed = 0; window.print = () => { window.printed += 1; }; }")


def printed(page):
    """Waits until the page has printed once; its policy lets nothing wait inside it."""
    for _ in range(400):
        if page.evaluate("window.printed") == 1:
            return
        page.wait_for_timeout(50)
    raise AssertionError("nothing was printed")


def file(station, number, start="2016.05.01", reporter="holder"):
    page = station.page
    page.fill("#report-id_number", number)
    page.fill("#report-card_valid_from", start)
    page.select_option("#report-reporter", reporter)
    page.press("#report-card_valid_from", "Enter")


def filed(station, number, **options):
    """Files a report; its id."""
    station.task("report")
    file(station, number, **options)
    page = station.page
    expect(page.locator(".zone h3")).to_have_text("Filed, and in force")
    return page.inner_text(".zone dd >> nth=0")


def verdict(station, number, start="2016-05-01"):
    body = {"id_number": number, "card_valid_from": start, "purpose": "lodging"}
    return station.node.post(station.node.hotel, "/v1/checks", body)[1]["verdict"]


def others_are_told_at_the_door(station):
    page = station.open()
    page.click("#enter")
    assert "office" in page.inner_text("#entry-message")
    page.fill("#client-id", station.node.hotel[0])
    page.fill("#client-secret", station.node.hotel[1])
    page.fill("#office", "110105-03")
    page.click("#enter")
    expect(page.locator("#entry-message")).to_contain_text("registry")
    assert not page.is_visible("#work")


def a_report_is_filed_found_printed_and_withdrawn(station):
    page = station.sign_in()
    number = a_number()
    id_ = filed(station, number)
    assert verdict(station, number) == "card_listed"
    assert page.input_value("#report-id_number") == "" and number not in page.content(), "the number stays in no field"
    no_printer(page)
    page.click(".zone .actions .primary")
    printed(page)
    paper = page.text_content("#paper")
    assert id_ in paper and number[-4:] in paper and number not in paper
    codes = {name: code_on_paper(page, name) for name in ("receipt", "salt")}
    station.task("search")
    assert page.text_content("#paper") == "", "the paper goes with its task"
    page.fill("#search-wanted", codes["receipt"])
    page.press("#search-wanted", "Enter")
    expect(page.locator(".zone h3")).to_have_text("1 found")
    expect(page.locator(".rows dd").first).to_have_text(id_)
    page.fill("#search-wanted", codes["salt"])
    page.press("#search-wanted", "Enter")
    expect(page.locator("#search-wanted-hint")).to_have_class("hint wrong")
    page.fill("#search-wanted", number.lower())
    page.press("#search-wanted", "Enter")
    expect(page.locator(".zone h3")).to_have_text("1 found")
    page.click(".rows button:text-is('Withdraw')")
    page.click(".rows button:text-is('Withdraw the report')")
    expect(page.locator(".rows")).to_contain_text("Withdrawn")
    assert verdict(station, number) == "not_listed"
    page.fill("#search-wanted", id_)
    page.press("#search-wanted", "Enter")
    expect(page.locator(".rows")).to_contain_text("Withdrawn")


def code_on_paper(page, name):
    """What the code on the paper says, as a camera reads it."""
    return page.evaluate("""async (of) => { const { readQr } = await import("/web/qr.js"); const svg = document.querySelector(`#paper figure.code_${of} svg`).cloneNode(true);
        svg.setAttribute("width", 700); svg.setAttribute("height", 700); const image = new Image();
        image.src = "data:image/svg+xml," + encodeURIComponent(new XMLSerializer().serializeToString(svg)); await image.decode(); return readQr(image); }""", name)


def the_receipt_of_a_report_is_what_every_tool_takes(station):
    page, node = station.sign_in(), station.node
    number = a_number()
    id_ = filed(station, number)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the receipt").click()
    name, text = waiting.value.suggested_filename, Path(waiting.value.path()).read_text()
    assert name == f"lostcard-{id_}.txt" and f"report_id: {id_}" in text and number[-4:] in text and number not in text
    no_printer(page)
    page.click(".zone .actions .primary")
    printed(page)
    for member, code in (("report_receipt", "receipt"), ("report_receipt_salt", "salt")):
        assert re.search(rf"^{member}: (\S+)\r?$", text, re.M)[1] == code_on_paper(page, code), "paper and file are the same"
    with tempfile.TemporaryDirectory() as folder:
        write = lambda name, content: Path(folder, name).write_text(content, newline="")  # noqa: E731
        write("jwks.json", page.request.get(node.url + "/.well-known/jwks.json").text())
        write("receipt.txt", text)
        write("number.txt", number)
        command = [str(Path(station.binary).resolve()), "receipt", "verify", "--jwks", "jwks.json", "--id-number-file", "number.txt", "receipt.txt", "--json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        told = json.loads(done.stdout or "{}")
        assert done.returncode == 0 and told["opens"] and told["card_valid_from"] == "2016-05-01", done.stdout + done.stderr
        # The programs of the auditors' guide take the same file.
        for guide in ("auditors.md", "auditors.zh-CN.md"):
            words = (FOLDER.parents[2] / "docs/guides" / guide).read_text()
            for language, shell in (("bash", "bash"), ("python", "python3")):
                write("v", re.search(rf"```{language}\n(.*?)```\n", words, re.S)[1])
                salt = re.search(r"^report_receipt_salt: (\S+)\r?$", text, re.M)[1]
                done = subprocess.run([shell, "v", "jwks.json", "receipt.txt", salt, "number.txt", "2016-05-01"], cwd=folder, capture_output=True, text=True)
                assert done.stdout.splitlines()[-1:] and done.stdout.splitlines()[-1].startswith("VERIFIED: "), done.stdout + done.stderr
        for other in ("report_id: 01993c5e-0000-7000-8000-000000000000", "reported_at: 2026-01-01T00:00:00Z", "card_valid_from: 2024-05-01"):
            write("receipt.txt", re.sub(rf"^{other.split(':')[0]}: .*$", other, text, flags=re.M))
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 1 and f"another {other.split(':')[0]}" in done.stderr, "words beside the receipt are held against it"
    page.goto(node.url + "/verify")
    page.set_input_files("#receipt-file", {"name": "r.txt", "mimeType": "text/plain", "buffer": text.encode()})
    page.click("#own-keys")
    expect(page.locator("#keys-told")).to_contain_text("keys were read")
    page.fill("#number", number)
    page.press("#number", "Enter")
    page.wait_for_selector("#answer .verdict.verified")
    expect(page.locator("#answer")).to_contain_text(id_)


def a_readers_line_fills_the_form_and_files_nothing(station):
    page = station.sign_in()
    number = a_number()
    sent = lambda path: [json.loads(data) for method, url, data in station.sent if method == "POST" and url.endswith(path)]  # noqa: E731
    for line, start in [
        (number, ""), (f"张三 男 {number} 2016.05.01-2036.05.01 某某公安局", "2016.05.01"), (f"{number},2016-05-01", "2016.05.01"),
        (f"{number} 2026-11-28", ""), (number.lower(), ""),
    ]:
        station.task("report")
        page.wait_for_selector("#report-id_number:focus")
        page.keyboard.insert_text(line)
        page.keyboard.press("Enter")
        page.wait_for_selector("#report-card_valid_from:focus")
        assert page.input_value("#report-card_valid_from") == start, line
        assert page.input_value("#report-id_number").upper() == number and "张三" not in page.content()
        assert sent("/v1/loss-reports") == sent("/v1/loss-reports/search") == [], "who reports, and which card, is said by nobody yet"
    # A line that was pasted, and the button: the start goes with it.
    page.fill("#report-card_valid_from", "")
    page.fill("#report-id_number", f"{number} 20160501 20360501")
    page.click("#report .primary")
    expect(page.locator(".zone h3")).to_have_text("Filed, and in force")
    assert sent("/v1/loss-reports")[0]["card_valid_from"] == "2016-05-01"
    # The start on the old card is not that of the new one.
    station.task("replace")
    page.keyboard.insert_text(f"{number} 2016.05.01-2036.05.01")
    page.keyboard.press("Enter")
    page.wait_for_selector("#replace-card_valid_from:focus")
    assert page.input_value("#replace-card_valid_from") == "" and page.input_value("#replace-id_number") == number
    page.keyboard.press("Enter")
    assert sent("/v1/replacements") == []
    station.task("search")
    page.keyboard.insert_text(f"张三 {number} 2016.05.01-2036.05.01")
    page.keyboard.press("Enter")
    expect(page.locator(".zone h3")).to_have_text("1 found")


def an_answer_that_does_not_come_loses_no_receipt(station):
    page = station.sign_in()
    number = a_number()
    sent = lambda path: len([url for method, url, _ in station.sent if method == "POST" and url.endswith(path)])  # noqa: E731
    reports, search = re.compile(r"/v1/loss-reports$"), re.compile(r"/v1/loss-reports/search$")

    def store_and_break(route):
        route.fetch()
        route.abort()
    page.route(reports, store_and_break)
    file(station, number)
    expect(page.locator("#report .message")).to_contain_text("cannot be reached")
    assert verdict(station, number) == "card_listed", "it was stored"
    page.unroute(reports)
    page.click("#report .primary")
    expect(page.locator(".zone h3")).to_have_text("Filed, and in force")
    assert sent("/v1/loss-reports/search") == 1 and sent("/v1/loss-reports") == 2
    page.get_by_role("button", name="Save the receipt").wait_for()
    assert len(station.node.post(station.node.station, "/v1/loss-reports/search", {"id_number": number})[1]["reports"]) == 1
    # A search that fails is no such try.
    page.click(".zone button:text-is('Next')")
    page.route(search, lambda route: route.abort())
    file(station, number)
    expect(page.locator("#report .message")).to_contain_text("cannot be reached")
    page.unroute(search)
    page.click("#report .primary")
    expect(page.locator(".warning")).to_contain_text("within 24 hours")


def a_receipt_says_what_checks_answer_now(station):
    page, node = station.sign_in(), station.node

    def paper(number):
        station.task("search")
        page.fill("#search-wanted", number)
        page.press("#search-wanted", "Enter")
        page.wait_for_selector(".rows .actions")
        no_printer(page)
        page.locator(".rows").get_by_text("Print the receipt").first.click()
        printed(page)
        return page.text_content("#paper")

    dated, undated, replaced = a_number(), a_number(), a_number()
    id_ = filed(station, dated)
    filed(station, undated, start="")
    filed(station, replaced)
    assert "names this start of validity is answered “reported lost”" in paper(dated)
    told = paper(undated)
    assert "“confirm which card this is”" in told and "names no start" in told and "“reported lost”" not in told
    assert verdict(station, undated) == "number_listed"
    status, _ = node.post(node.station, "/v1/replacements", {"id_number": replaced, "card_valid_from": "2026-11-01", "office": "110105-03"})
    assert status == 201
    told = paper(replaced)
    assert "“replaced”" in told and "“reported lost”" not in told and "withdraw the report" not in told
    status, _ = node.post(node.station, f"/v1/loss-reports/{id_}/withdrawal", {"office": "110105-03", "reason": "found"})
    assert status == 200
    told = paper(dated)
    assert re.search(r"was withdrawn at .*\d\d:\d\d", told) and "“reported lost”" not in told and "withdraw the report" not in told


def a_second_report_is_hinted_at_before_it_is_stored(station):
    page = station.sign_in()
    number = a_number()
    filed(station, number)
    sent = lambda: len([url for method, url, _ in station.sent if method == "POST" and url.endswith("/v1/loss-reports")])  # noqa: E731
    assert sent() == 1
    page.click(".zone button:text-is('Next')")
    file(station, number)
    expect(page.locator(".warning")).to_contain_text("within 24 hours")
    assert sent() == 1, "nothing is stored before the officer says so"
    page.click("text=Leave it")
    file(station, number, reporter="guardian")
    expect(page.locator(".zone h3")).to_have_text("Filed, and in force")
    file(station, number)
    page.click("text=File another one")
    expect(page.locator(".zone h3")).to_have_text("Filed, and in force")
    assert sent() == 3


def a_call_needs_a_number_to_call_back(station):
    page = station.sign_in()
    number = a_number()
    page.fill("#report-id_number", number)
    page.select_option("#report-way", "telephone")
    page.press("#report-card_valid_from", "Enter")
    expect(page.locator("#report-phone-hint")).to_contain_text("call back")
    assert page.evaluate("document.activeElement.id") == "report-phone"
    page.fill("#report-phone", "+86 138 0013 8000")
    page.press("#report-phone", "Enter")
    expect(page.locator(".zone h3")).to_have_text("Filed, and in force")
    body = json.loads(next(data for _, url, data in station.sent if url.endswith("/v1/loss-reports")))
    assert body["contact"] == {"phone": "+86 138 0013 8000"} and body["channel"] == "station"


def what_is_wrong_is_said_at_its_field(station):
    page = station.sign_in()
    page.fill("#report-id_number", "110105194912310021")
    page.press("#report-id_number", "Enter")
    expect(page.locator("#report-id_number-hint")).to_contain_text("does not fit the first 17")
    file(station, a_number(), start="2016.02.30")
    expect(page.locator("#report-card_valid_from-hint")).to_contain_text("2016.05.01")
    page.fill("#report-card_valid_from", "")
    page.fill("#report-lost_on", "2090-01-01")
    page.press("#report-lost_on", "Enter")
    expect(page.locator("#report-lost_on-hint")).to_contain_text("future")
    page.click("#sign-out")
    station.enter(office="440304-01")
    file(station, a_number())
    expect(page.locator("#report .message")).to_contain_text("not your organization's")


def where_a_card_was_shown_is_on_a_line(station):
    page = station.sign_in()
    number = a_number()
    filed(station, number)
    for _ in range(2):
        assert verdict(station, number) == "card_listed"
    page.wait_for_timeout(3000)
    station.task("search")
    page.fill("#search-wanted", number)
    page.press("#search-wanted", "Enter")
    page.click("text=Where it was shown")
    expect(page.locator(".line")).to_contain_text("this very card")
    expect(page.locator(".line")).to_contain_text("2 times")


def a_found_card_comes_in_and_goes_back(station):
    page = station.sign_in()
    number = a_number()
    id_ = filed(station, number)
    station.task("found")
    page.fill("#found-id_number", number)
    page.fill("#found-card_valid_from", "2016.05.01")
    page.press("#found-card_valid_from", "Enter")
    expect(page.locator(".zone >> nth=0")).to_contain_text("Tell the holder")
    expect(page.locator(".zone >> nth=0")).to_contain_text(id_)
    card = page.inner_text(".zone dd >> nth=0")
    no_printer(page)
    page.click("text=Print the label")
    printed(page)
    assert card in page.text_content("#paper.label") and number not in page.text_content("#paper")
    held = page.locator(".zone >> nth=1").locator("li", has_text=card).first
    expect(held).to_contain_text("0 days")
    held.get_by_text("Return to the holder").click()
    page.select_option(f"#back-{card}-holder_verified_by", "face")
    page.click(f"#back-{card} .primary")
    expect(page.locator(".zone >> nth=1").locator("ul.rows li", has_text=card)).to_contain_text("Returned")
    assert verdict(station, number) == "not_listed"


def a_new_card_lists_the_older_ones(station):
    page = station.sign_in()
    number = a_number()
    filed(station, number)
    station.task("replace")
    page.fill("#replace-id_number", number)
    page.fill("#replace-card_valid_from", "2026.11.01")
    page.press("#replace-card_valid_from", "Enter")
    expect(page.locator(".zone")).to_contain_text("Recorded")
    assert verdict(station, number, "2026-11-01") == "other_card_listed"
    page.fill("#replace-id_number", number)
    page.fill("#replace-card_valid_from", "2016.05.01")
    page.press("#replace-card_valid_from", "Enter")
    expect(page.locator("#replace .message")).to_contain_text("must start after")


def an_application_is_judged_filed_and_ended(station):
    page = station.sign_in()
    station.task("apply")
    page.fill("#apply-household_office", "410102-01")
    page.click("text=Can it be taken here?")
    expect(page.locator(".zone >> nth=0")).to_contain_text(re.compile("It can(not)? be taken here"))
    page.fill("#apply-id_number", a_number())
    page.fill("#apply-household_office", "110105-03")
    page.press("#apply-household_office", "Enter")
    expect(page.locator(".zone >> nth=0 >> h3")).to_have_text("Accepted")
    id_ = page.inner_text(".zone >> nth=0 >> dd >> nth=0")
    mine = lambda: page.locator(".zone >> nth=1").locator("li", has_text=id_).first  # noqa: E731
    no_printer(page)
    mine().get_by_text("Hand out a temporary card").click()
    printed(page)
    assert "temporary" in page.text_content("#paper").lower()
    mine().get_by_text("Temporary card returned").click()
    expect(mine()).to_contain_text("Returned")
    mine().get_by_text("Cancel", exact=True).click()
    expect(page.locator(".zone >> nth=1").locator("li", has_text=id_)).to_have_count(0)


def a_temporary_card_comes_back_after_the_new_one(station):
    page = station.sign_in()
    station.task("apply")
    lists = page.locator(".zone >> nth=1")
    for end in ("issue", "cancel"):
        page.fill("#apply-id_number", a_number())
        page.fill("#apply-household_office", "110105-03")
        page.press("#apply-household_office", "Enter")
        expect(page.locator(".zone >> nth=0 >> h3")).to_have_text("Accepted")
        id_ = page.inner_text(".zone >> nth=0 >> dd >> nth=0")
        mine = lists.locator("li", has_text=id_).first
        no_printer(page)
        mine.get_by_text("Hand out a temporary card").click()
        printed(page)
        if end == "issue":
            mine.get_by_text("New card issued").click()
            # It starts after the temporary one.
            page.fill(f"#issue-{id_}-card_valid_from", page.evaluate("import('/station/state.js').then((m) => m.todayOn(Date.now() + 24 * 3600_000))"))
            page.click(f"#issue-{id_} .primary")
        else:
            mine.get_by_text("Cancel", exact=True).click()
        expect(lists).to_contain_text("to come back")
        expect(mine).to_contain_text("Issued" if end == "issue" else "Cancelled")
        assert mine.get_by_text("Cancel", exact=True).count() == mine.get_by_text("Hand out").count() == 0
        mine.get_by_text("Temporary card returned").click()
        expect(lists.locator("li", has_text=id_)).to_have_count(0)


def a_certificate_is_printed_once_and_revoked(station):
    page = station.sign_in()
    station.task("certificate")
    number = a_number()
    page.fill("#certificate-id_number", number)
    page.press("#certificate-journey_on", "Enter")
    expect(page.locator(".zone >> nth=0")).to_contain_text("Issued")
    id_ = page.inner_text(".zone dd >> nth=0")
    no_printer(page)
    page.click("text=Print the certificate")
    printed(page)
    assert id_ in page.text_content("#paper.certificate")
    page.click("button:text-is('Certificates in force')")
    mine = page.locator(".zone >> nth=1").locator("li", has_text=id_)
    mine.get_by_text("Revoke").click()
    expect(mine).to_have_count(0)


def a_misuse_report_is_resolved(station):
    node = station.node
    told = node.post(node.hotel, "/v1/misuse-reports", {
        "id_number": a_number(), "kind": "forged_card", "observed_at": station_now(), "narrative": "The picture peels off."})
    assert told[0] == 201, told
    id_ = told[1]["misuse_report_id"]
    page = station.sign_in()
    station.task("misuse")
    page.click("button:text-is('Open reports')")
    mine = page.locator(".rows > li", has_text=id_)
    mine.get_by_text("Open", exact=True).click()
    expect(mine).to_contain_text("peels off")
    mine.locator("textarea").fill("Seen on the cameras.")
    mine.locator("form .primary").click()
    expect(mine).to_have_count(0)


def station_now():
    import datetime
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def today_is_counted(station):
    page = station.sign_in()
    filed(station, a_number())
    station.task("today")
    page.click("button:text-is('Count')")
    expect(page.locator(".tiles div")).to_have_count(7)
    assert int(page.inner_text(".tiles dd >> nth=0")) >= 1


def a_report_takes_the_keyboard_alone(station):
    page = station.open()
    press = page.keyboard.press
    page.focus("#client-id")
    for text in (station.node.station[0], station.node.station[1], "110105-03"):
        page.keyboard.type(text)
        press("Tab")
    press("Enter")
    page.wait_for_selector("#report-id_number:focus")
    page.keyboard.type(a_number())
    press("Tab")
    page.keyboard.type("2016.05.01")
    press("Enter")
    expect(page.locator(".zone h3")).to_have_text("Filed, and in force")
    expect(page.locator(".zone .actions .primary")).to_be_focused()
    no_printer(page)
    press("Enter")
    printed(page)
    press("Tab")
    press("Enter")
    expect(page.locator("#report-id_number")).to_be_focused()


A5, A6 = (148, 210), (105, 148)


def one_page(page, size):
    """The paper is one page of so many millimetres."""
    paper = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", paper)) == 1
    box = [float(side) * 25.4 / 72 for side in re.search(rb"/MediaBox\s*\[([\d. ]+)\]", paper)[1].split()]
    assert abs(box[2] - size[0]) < 1 and abs(box[3] - size[1]) < 1, f"{size} mm, not {box}"


def every_paper_is_one_page_of_its_size(station):
    for locale in ("zh-CN", "en-GB"):
        page = station.sign_in(locale=locale)
        number = a_number()

        def shows(press, size, kind):
            no_printer(page)
            press()
            printed(page)
            assert page.get_attribute("#paper", "class") == kind
            one_page(page, size)
        station.task("report")
        file(station, number)
        page.wait_for_selector(".zone .actions .primary")
        shows(lambda: page.click(".zone .actions .primary"), A5, "receipt")
        station.task("found")
        page.fill("#found-id_number", number)
        page.fill("#found-card_valid_from", "2016.05.01")
        page.press("#found-card_valid_from", "Enter")
        page.wait_for_selector(".zone .actions .primary")
        shows(lambda: page.locator(".zone .actions .primary").first.click(), A6, "label")
        station.task("certificate")
        page.fill("#certificate-id_number", a_number())
        page.press("#certificate-journey_on", "Enter")
        page.wait_for_selector(".zone .actions .primary")
        shows(lambda: page.locator(".zone .actions .primary").first.click(), A5, "certificate")
        station.task("apply")
        page.fill("#apply-id_number", a_number())
        page.fill("#apply-household_office", "110105-03")
        page.press("#apply-household_office", "Enter")
        id_ = page.locator(".zone >> nth=0 >> dd >> nth=0").inner_text()
        mine = page.locator(".zone >> nth=1").locator("li", has_text=id_).first
        shows(lambda: mine.get_by_text("发放临时身份证" if locale == "zh-CN" else "Hand out a temporary card").click(), A5, "receipt")
        station.settle()


def the_receipt_is_one_page_of_a5(station):
    page = station.sign_in(locale="zh-CN")
    number = a_number()
    file(station, number)
    page.wait_for_selector(".zone .actions .primary")
    no_printer(page)
    page.click(".zone .actions .primary")
    printed(page)
    one_page(page, A5)
    assert "挂失申报回执" in page.text_content("#paper")
    labels = [code.get_attribute("aria-label") for code in page.locator("#paper svg[role=img]").all()]
    assert sorted(labels) == sorted(["回执", "盐值"]), labels


def tab_to(page, name):
    """By Tab alone, until the focus is on a button or field of this name."""
    for _ in range(80):
        if page.evaluate("document.activeElement?.id") == name or page.evaluate("document.activeElement?.textContent?.trim()") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by Tab")


def withdrawal_and_return_take_the_keyboard_alone(station):
    page = station.sign_in()
    press, type_ = page.keyboard.press, page.keyboard.type
    number, other = a_number(), a_number()
    filed(station, number)
    filed(station, other)
    page.focus("[data-task=report]")
    tab_to(page, "Search, withdraw")
    press("Enter")
    expect(page.locator("#search-wanted")).to_be_focused()
    type_(number)
    press("Enter")
    expect(page.locator(".zone h3")).to_be_focused()
    tab_to(page, "Withdraw")
    press("Enter")
    expect(page.locator(".rows select")).to_be_focused()
    press("ArrowDown")
    tab_to(page, "Withdraw the report")
    press("Enter")
    expect(page.locator(".rows")).to_contain_text("Withdrawn")
    expect(page.locator(".zone h3")).to_be_focused()
    page.focus("[data-task=report]")
    tab_to(page, "Found cards")
    press("Enter")
    expect(page.locator("#found-id_number")).to_be_focused()
    type_(other)
    tab_to(page, "found-card_valid_from")
    type_("2016.05.01")
    press("Enter")
    expect(page.locator(".zone .actions .primary").first).to_be_focused()
    card = page.inner_text(".zone dd >> nth=0")
    held = page.locator(".zone >> nth=1").locator("ol li", has_text=card).first
    expect(held).to_be_visible()
    # Past the cards of others, to its own.
    for _ in range(400):
        if held.evaluate("(row) => row.contains(document.activeElement) && document.activeElement.textContent === 'Return to the holder'"):
            break
        press("Tab")
    press("Enter")
    expect(held.locator("select")).to_be_focused()
    press("Tab")
    press("Enter")
    expect(page.locator(".zone >> nth=1").locator("ul.rows li", has_text=card)).to_contain_text("Returned")
    assert verdict(station, other) == "not_listed"


def reports_of_others_are_found_and_withdrawn_where_the_rules_allow(station):
    node = station.node
    number = a_number()
    body = {"id_number": number, "card_valid_from": "2016-05-01", "reason": "lost", "reporter": "guardian", "office": "110105-03", "channel": "hall"}
    assert node.post(node.station, "/v1/loss-reports", body)[0] == 201
    make = ["organization", "create", "--name", "Headquarters", "--kind", "registrar", "--region", "110105", "--rate", "600/60s"]
    own, everybodys = (node.tell(*make, *more)["organization_id"] for more in ([], ["--any-office"]))
    clients = {of: node.tell("client", "create", "--organization", of, "--scope", "registry", "--rate", "600/60s") for of in (own, everybodys)}

    def search(of):
        page = station.open()
        station.enter(of=(clients[of]["client_id"], clients[of]["client_secret"]), office="110105-01")
        station.task("search")
        page.fill("#search-wanted", number)
        page.press("#search-wanted", "Enter")
        return page
    page = search(own)
    expect(page.locator(".zone")).to_contain_text("There is no report")
    station.settle()
    page = search(everybodys)
    expect(page.locator(".zone h3")).to_have_text("1 found")
    for words in ("another organization", "110105-03", "A guardian"):
        expect(page.locator(".rows")).to_contain_text(words)
    assert page.get_by_role("button", name="Where it was shown").count() == 0
    station.axe("another organization's")
    no_printer(page)
    page.get_by_role("button", name="Print the receipt").click()
    printed(page)
    assert "Headquarters" not in page.text_content("#paper"), "it is not this house's receipt"
    page.click(".rows button:text-is('Withdraw')")
    page.click(".rows button:text-is('Withdraw the report')")
    expect(page.locator(".rows")).to_contain_text("Withdrawn")
    assert verdict(station, number) == "not_listed"


def every_task_has_no_violation_and_fits(station):
    for width, height, locale, scheme in [(1280, 860, "en-GB", "light"), (390, 844, "zh-CN", "light"), (320, 640, "en-GB", "dark")]:
        page = station.open(width=width, height=height, locale=locale, scheme=scheme)
        station.axe(f"entry, {width}")
        station.enter()
        for task in ("report", "search", "found", "replace", "apply", "certificate", "misuse", "today"):
            station.task(task)
            for button in page.query_selector_all("#task-body .more button"):
                button.click()
                page.wait_for_timeout(200)
            station.axe(f"{task}, {width}")
            station.fits(f"{task}, {width}")
        station.task("report")
        file(station, a_number())
        page.wait_for_selector(".zone h3")
        station.axe(f"filed, {width}")
        station.fits(f"filed, {width}")
        station.settle()


def both_languages_are_whole(station):
    page = station.open(locale="zh-CN")
    en, zh = (page.evaluate(f'async () => (await import("/station/{name}.js")).default') for name in ("en", "zh"))
    assert en.keys() == zh.keys(), set(en) ^ set(zh)
    names = lambda text: set(re.findall(r"\{\w+\}", text))  # noqa: E731
    for key in en:
        assert names(en[key]) == names(zh[key]) and zh[key].strip(), key
    source = "".join(path.read_text() for path in FOLDER.glob("*.js") if path.name not in ("en.js", "zh.js"))
    html = (FOLDER / "index.html").read_text()
    used = set(re.findall(r'data-t="(\w+)"', html)) | set(re.findall(r'\b(?:t|act)\("(\w+)"', source)) | set(re.findall(r'told\("\w+", "(\w+)"', source))
    assert used <= en.keys(), used - en.keys()
    station.enter()
    expect(page.locator("#task-title")).to_have_text("挂失申报")
    page.click("#language")
    expect(page.locator("#task-title")).to_have_text("Report a loss")
    shown = page.evaluate("document.body.innerText")
    assert not re.search(r"[\u4e00-\u9fff]", shown.replace("中文", "")), "no Chinese is left"


def the_page_is_light_and_stays_below_a_path(station):
    page = station.sign_in(below="/lost")
    file(station, a_number())
    page.wait_for_selector(".zone h3")
    no_printer(page)
    page.click(".zone .actions .primary")
    printed(page)
    station.stays_below("/lost")
    names = {path for method, url, _ in station.sent if method == "GET" and (path := url.removeprefix(station.node.url + "/lost/")).startswith(("station", "web"))}
    size = sum(len(page.request.get(f"{station.node.url}/{name}").body()) for name in names)
    assert 0 < size < BYTES_MAX, size


CASES = [
    others_are_told_at_the_door,
    a_report_is_filed_found_printed_and_withdrawn,
    the_receipt_of_a_report_is_what_every_tool_takes,
    a_second_report_is_hinted_at_before_it_is_stored,
    a_call_needs_a_number_to_call_back,
    what_is_wrong_is_said_at_its_field,
    where_a_card_was_shown_is_on_a_line,
    a_found_card_comes_in_and_goes_back,
    a_new_card_lists_the_older_ones,
    an_application_is_judged_filed_and_ended,
    a_readers_line_fills_the_form_and_files_nothing,
    an_answer_that_does_not_come_loses_no_receipt,
    a_receipt_says_what_checks_answer_now,
    a_temporary_card_comes_back_after_the_new_one,
    a_certificate_is_printed_once_and_revoked,
    a_misuse_report_is_resolved,
    today_is_counted,
    a_report_takes_the_keyboard_alone,
    the_receipt_is_one_page_of_a5,
    every_paper_is_one_page_of_its_size,
    withdrawal_and_return_take_the_keyboard_alone,
    reports_of_others_are_found_and_withdrawn_where_the_rules_allow,
    every_task_has_no_violation_and_fits,
    both_languages_are_whole,
    the_page_is_light_and_stays_below_a_path,
]
