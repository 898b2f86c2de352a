"""Every answer of the real service, what goes over the wire for it, its receipt, and the misuse report."""

import json
import os
import re
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from playwright.sync_api import expect

from harness import digest

UNKNOWN_CARD = "11010519491231002X"
REPLACED = "440524188001010014"


def each_verdict_has_its_own_look_and_words(desk):
    page, node = desk.sign_in(), desk.node
    common = {"reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"}
    assert node.post(node.station, "/v1/loss-reports", {"id_number": UNKNOWN_CARD, **common})[0] == 201
    new = {"id_number": REPLACED, "card_valid_from": "2024-03-01", "office": "110105-03"}
    assert node.post(node.station, "/v1/replacements", new)[0] == 201
    looks = {}
    for number, date, look, words in [
        (*node.unlisted, "not_listed", "No report found"),
        (*node.listed, "card_listed", "reported lost"),
        (*node.newer, "other_card_listed", "not this one"),
        (node.listed[0], "", "number_listed", "Confirm"),
        (UNKNOWN_CARD, "2016-05-01", "number_listed", "Confirm"),
        (REPLACED, "2004-03-01", "card_listed", "replaced"),
        (REPLACED, "2024-03-01", "other_card_listed", "not this one"),
    ]:
        desk.ask(number, date, "room-1")
        assert desk.look() == look and words in desk.title(), f"{look}: {desk.title()}"
        told = page.inner_text("#answer")
        assert "Never keep the card" in told
        if words == "replaced":
            assert "stays void" in told and "withdraws the report" not in told, "nobody withdraws what a new card has ended"
        sent = desk.bodies("/v1/checks")[-1]
        wanted = {"id_digest": digest(number), "purpose": "lodging", "client_ref": "room-1"}
        assert sent == (wanted | {"card_valid_from": date} if date else wanted), "only the digest is sent"
        shape = page.get_attribute("#answer .verdict use", "href")
        colour = page.evaluate("getComputedStyle(document.querySelector('#answer .verdict')).backgroundColor")
        looks.setdefault(look, (shape, colour))
        assert looks[look] == (shape, colour)
    assert len({shape for shape, _ in looks.values()}) == len({colour for _, colour in looks.values()}) == 4
    desk.ask(*node.unlisted)
    told = page.inner_text("#answer").lower()
    assert "does not make it valid" in told and "approved”: nobody" in told
    rows = page.inner_text("#rows")
    assert page.locator("#rows tbody tr").count() == 8 and "room-1" in rows
    assert page.locator("#rows button").count() == 1, "only the check at hand has its receipt"


def start_date_is_asked_for_without_the_number(desk):
    page, node = desk.sign_in(), desk.node
    desk.ask(node.listed[0])
    assert desk.look() == "number_listed"
    page.click(".confirm button")
    assert "start date" in page.inner_text("#confirm-hint")
    page.fill("#confirm", "2036.05.01")
    page.press("#confirm", "Enter")
    assert "end of validity" in page.inner_text("#confirm-hint"), "the end is not taken for the start"
    page.fill("#confirm", node.listed[1].replace("-", "."))
    page.press("#confirm", "Enter")
    page.wait_for_selector("#answer .verdict.card_listed")
    first, second = desk.bodies("/v1/checks")
    assert first["id_digest"] == second["id_digest"] == digest(node.listed[0]) and second["card_valid_from"] == node.listed[1]


def members(text):
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and not line.startswith(" "))


def receipt_is_saved_and_verifies(desk):
    page, node = desk.sign_in(), desk.node
    expect(page.locator("#house")).not_to_be_empty()
    house = page.inner_text("#house")
    desk.ask(*node.listed, "folio-7")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save receipt").first.click()
    saved = Path(waiting.value.path()).read_text()
    assert node.listed[0] not in saved and digest(node.listed[0]) not in saved, "no number in the file"
    assert "as sensitive as the ID number" in saved and "lostcard receipt verify" in saved
    told = members(saved)
    assert waiting.value.suggested_filename == f"lostcard-{told['check_id']}.txt"
    question = {"receipt": told["receipt"], "receipt_salt": told["receipt_salt"], "id_number": node.listed[0]}
    status, answer = node.post(node.hotel, "/v1/receipts/verify", question)
    assert (status, answer["authentic"], answer["opens"], answer["verdict"]) == (200, True, True, "card_listed"), answer
    status, answer = node.post(node.hotel, "/v1/receipts/verify", question | {"id_number": node.unlisted[0]})
    assert answer["authentic"] and not answer["opens"], "it opens with its own number alone"
    assert told["organization"] == house, "the name that the service has for this house"
    offline(desk, saved, told, node.listed[0])
    # The row keeps it until the next check is asked, and gives the same file.
    page.fill("#number", "1")
    with page.expect_download() as waiting:
        page.locator("#rows button").click()
    assert Path(waiting.value.path()).read_text() == saved
    page.check("#auto-save")
    with page.expect_download() as waiting:
        desk.ask(*node.unlisted)
    assert members(Path(waiting.value.path()).read_text())["verdict"] == "not_listed"


def offline(desk, saved, told, number):
    """By the command that the file names, with the file as it was saved; and on the auditor's page."""
    with tempfile.TemporaryDirectory() as folder:
        with urllib.request.urlopen(desk.node.url + "/.well-known/jwks.json") as response:
            Path(folder, "jwks.json").write_bytes(response.read())
        file = f"lostcard-{told['check_id']}.txt"
        Path(folder, file).write_text(saved)
        Path(folder, "number.txt").write_text(number)
        command = next(line.split() for line in saved.splitlines() if line.startswith("  lostcard "))
        assert command[-1] == file
        run = lambda: subprocess.run([os.path.abspath(desk.binary), *command[1:]], cwd=folder, capture_output=True, text=True)  # noqa: E731
        done = run()
        assert done.returncode == 0 and re.search(r"opens +true", done.stdout) and told["organization"] in done.stdout, done.stderr
        Path(folder, file).write_text(saved.replace("verdict: card_listed", "verdict: not_listed"))
        assert run().returncode == 1, "the words of the file are compared"
        page = desk.page.context.new_page()
        page.goto(desk.node.url + "/verify")
        page.wait_for_selector("#receipt:visible")
        page.fill("#number", number)
        page.set_input_files("#receipt-file", [
            {"name": "jwks.json", "mimeType": "application/json", "buffer": Path(folder, "jwks.json").read_bytes()},
            {"name": file, "mimeType": "text/plain", "buffer": saved.encode()}])
        page.wait_for_selector("#answer .verdict.verified")
        assert told["organization"] in page.inner_text("#answer")
        page.close()


def print_shows_the_receipt_alone(desk):
    page, node = desk.sign_in(), desk.node
    page.evaluate("() => { window.print = () => { window.printed = (window.printed ?? 0) + 1; }; }")
    desk.ask(*node.newer, "folio-8")
    page.get_by_role("button", name="Print receipt").click()
    assert page.evaluate("window.printed") == 1
    page.emulate_media(media="print")
    assert page.is_visible("#slip") and not page.is_visible("main") and not page.is_visible("header")
    told = page.inner_text("#slip")
    assert "receipt_salt: " in told and "own register" in told and node.newer[0] not in told
    code = page.locator("#slip .receipt .qr")
    expect(code).to_be_visible()
    auditor = page.context.new_page()
    auditor.goto(node.url + "/verify")
    auditor.wait_for_selector("#receipt:visible")
    auditor.set_input_files("#receipt-file", {"name": "slip.png", "mimeType": "image/png", "buffer": code.screenshot()})
    expect(auditor.locator("#receipt")).to_have_value(re.compile(r"^[\w-]+\.[\w-]+\.[\w-]+~[\w-]+~[\w-]+$"))
    auditor.close()
    assert len(page.pdf(format="A4")) > 10_000
    page.emulate_media(media="screen")
    assert not page.is_visible("#slip")


def misuse_is_reported_in_two_clicks(desk):
    page, node = desk.sign_in(), desk.node
    taken = []

    def answer(route):
        taken.append((route.request.headers.get("idempotency-key"), route.request.post_data_json))
        if len(taken) == 1:
            return route.abort()
        return route.continue_()

    page.route("**/v1/misuse-reports", answer)
    desk.ask(*node.listed)
    check_id = page.inner_text("#answer dd:last-child >> nth=-1")
    page.click("#answer button.strong")
    page.click("#report-send")
    expect(page.locator("#report-message")).to_contain_text("not confirmed")
    with page.expect_response("**/v1/misuse-reports") as waiting:
        page.click("#report-send")
    assert waiting.value.status == 201, waiting.value.text()
    page.wait_for_selector("#report", state="hidden")
    (first_key, first), (second_key, second) = taken
    assert first_key == second_key and first == second, "a repetition counts once"
    assert second["id_digest"] == digest(node.listed[0]) and second["check_id"] == check_id
    assert second["kind"] == "impersonation" and second["observed_at"].endswith("Z") and len(second) == 4
    assert "Misuse reported" in page.inner_text("#status") and "Misuse reported" in page.inner_text("#rows")
    assert page.locator("#answer button.strong").count() == 0, "not reported twice by a slip"


def misuse_report_needs_a_kind_and_takes_no_number(desk):
    page, node = desk.sign_in(), desk.node
    desk.ask(*node.unlisted)
    page.get_by_role("button", name="Report misuse").click()
    page.click("#report-send")
    assert page.inner_text("#report-message") == "Say what happened."
    page.check("input[value=forged_card]")
    desk.typed.add("11010519491231002X")
    for text in ("he showed 11010519491231002X", "110105 1949 1231 002X"):
        page.fill("#narrative", text)
        page.click("#report-send")
        assert "long number" in page.inner_text("#report-message"), text
    assert desk.bodies("/v1/misuse-reports") == []
    page.click("#report-cancel")
    page.get_by_role("button", name="Report misuse").click()
    assert page.input_value("#narrative") == "" and page.inner_text("#report-message") == ""


def everything_works_below_the_path_of_a_proxy(desk):
    page, node = desk.sign_in(below="/city/registry"), desk.node
    desk.ask(*node.listed)
    assert desk.look() == "card_listed"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save receipt").first.click()
    saved = Path(download.value.path()).read_text()
    assert members(saved)["service"] == f"{node.url}/city/registry", saved
    assert f"{node.url}/city/registry/.well-known/jwks.json" in saved
    desk.stays_below("/city/registry")


CASES = [
    each_verdict_has_its_own_look_and_words, start_date_is_asked_for_without_the_number, receipt_is_saved_and_verifies,
    print_shows_the_receipt_alone, misuse_is_reported_in_two_clicks, misuse_report_needs_a_kind_and_takes_no_number,
    everything_works_below_the_path_of_a_proxy,
]
