"""The auditor's page: receipts of the node verified in the browser, every kind of forgery refused, and nothing sent."""

import base64
import json
import re
import subprocess
import time
from datetime import datetime
from pathlib import Path

from playwright.sync_api import expect

from harness import digest

FOLDER = Path(__file__).parents[2] / "src/web/verify"
WEB = FOLDER.parent / "shared"
BYTES_MAX = 200_000
CARD = "2016-05-01"
NUMBER, OTHER = "11010519491231002X", "440524188001010014"


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def check(node, date=CARD, number=NUMBER):
    status, answer = node.post(node.hotel, "/v1/checks", {"id_number": number, "purpose": "lodging"} | ({"card_valid_from": date} if date else {}))
    assert status == 200, answer
    return answer


def batch(node, size=7):
    checks = [{"id_digest": digest(f"1101051949{at:08}"), "purpose": "lodging"} for at in range(size)]
    checks[4] = {"id_number": NUMBER, "purpose": "lodging", "card_valid_from": CARD}
    status, answer = node.post(node.hotel, "/v1/checks/batch", {"checks": checks})
    assert status == 200, answer
    return answer["results"][4]["check"]


def saved(answer, **other):
    """The file that the desk saves, as far as the page reads it."""
    names = ("check_id", "as_of", "verdict", "receipt", "receipt_salt")
    told = {"organization": "Harbour Hotels"} | {name: answer[name] for name in names} | other
    return "lostcard receipt\r\n\r\n" + "".join(f"{name}: {value}\r\n" for name, value in told.items()) + "\r\nKeep it.\r\n"


def saying(receipt, **change):
    head, claims, path = receipt.split("~")
    return "~".join([head, base64url(json.dumps(json.loads(unbase64url(claims)) | change).encode()), path])


def jwks(desk):
    return desk.page.request.get(desk.node.url + "/.well-known/jwks.json").text()


def ready(desk, **options):
    page = desk.open(**options)
    page.fill("#keys", jwks(desk))
    page.wait_for_selector("#keys-told:not(:empty)")
    return page


def verify(desk, receipt, number="", salt="", date="", pin=""):
    """Fills in and asks; the look of the answer and what it says."""
    page = desk.page
    if number:
        desk.typed.add(number)
    for field, text in [("receipt", receipt), ("number", number), ("salt", salt), ("date", date), ("pin", pin)]:
        page.fill(f"#{field}", text)
    # Without a date the page may try 42,000 days.
    page.press("#pin", "Enter", timeout=60_000)
    page.wait_for_selector("#answer-title", timeout=60_000)
    return shown(page)


def shown(page):
    look = page.get_attribute("#answer .verdict", "class").split()[-1]
    return look, page.inner_text("#answer")


def receipts_are_verified_by_keyboard_alone(desk):
    page, node = desk.open(width=390, height=844), desk.node
    answer = check(node)
    keys = page.keyboard

    def tab_to(selector):
        for _ in range(40):
            if page.evaluate("(selector) => document.activeElement?.matches(selector)", selector):
                return
            keys.press("Tab")
        raise AssertionError(f"{selector} is not reached by Tab")

    tab_to("#receipt")
    keys.insert_text(answer["receipt"])
    tab_to("#own-keys")
    keys.press("Enter")
    expect(page.locator("#keys-told")).to_contain_text("keys were read")
    tab_to("#number")
    keys.insert_text("110105 19491231 002x")
    desk.typed.add(NUMBER)
    tab_to("#salt")
    keys.insert_text(answer["receipt_salt"])
    tab_to("#date")
    keys.type("2016.05.01")
    keys.press("Enter")
    page.wait_for_selector("#answer-title:focus")
    look, told = shown(page)
    assert look == "verified" and "2016.05.01" in told and answer["check_id"] in told and answer["verdict"] in told
    box = page.locator("#answer .verdict").bounding_box()
    assert 0 <= box["y"] < 844, "the answer is brought up"
    keys.press("Shift+Tab")
    tab_to("#clear")
    keys.press("Enter")
    assert [page.input_value(f"#{field}") for field in ("receipt", "keys", "number", "salt", "date")] == [""] * 5
    assert page.query_selector("#answer-title") is None


def what_it_is_about_is_found(desk):
    page, node = ready(desk), desk.node
    for date in (CARD, ""):
        answer = check(node, date)
        assert verify(desk, answer["receipt"])[0] == "authentic"
        look, told = verify(desk, answer["receipt"], NUMBER, answer["receipt_salt"])
        assert look == "verified" and ("2016.05.01" if date else "had none") in told, told
        checked_at, as_of = re.findall(r"\d{4}-\d\d-\d\dT[\d:.]+Z", told)[:2]
        assert as_of == answer["as_of"] and datetime.fromisoformat(checked_at) >= datetime.fromisoformat(as_of), told
        assert verify(desk, answer["receipt"], OTHER, answer["receipt_salt"])[0] == "refused"
        look, told = verify(desk, answer["receipt"], NUMBER, answer["receipt_salt"], "2016.05.02")
        assert look == "refused" and "not about this number" in told
        assert verify(desk, answer["receipt"], NUMBER, base64url(bytes(32)))[0] == "refused"
    answer = batch(node)
    look, told = verify(desk, answer["receipt"], NUMBER, answer["receipt_salt"], "2016.05.01")
    assert look == "verified" and "7 receipts under one signature" in told
    # A changed field takes the answer away.
    page.fill("#number", "1")
    assert page.query_selector("#answer-title") is None and "appears here" in page.inner_text("#status")
    page.press("#number", "Enter")
    expect(page.locator("#card-told")).to_contain_text("exactly 18")
    page.fill("#number", NUMBER)
    page.fill("#salt", "")
    page.press("#number", "Enter")
    expect(page.locator("#card-told")).to_contain_text("salt is needed")


def every_kind_of_forgery_is_refused(desk):
    page, node = ready(desk), desk.node
    for answer, other in [(check(node), check(node)), (batch(node), batch(node))]:
        true_one = answer["receipt"]
        head, claims, path = true_one.split("~")
        header, payload, signature = head.split(".")
        parts = other["receipt"].split("~")
        bytes_of_path = bytearray(unbase64url(path))
        bytes_of_path[3] ^= 1
        root = base64url(json.dumps(json.loads(unbase64url(payload)) | {"root": base64url(bytes(32))}).encode())
        turned = bytearray(unbase64url(signature))
        turned[7] ^= 1
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        spare = signature[:85] + letters[letters.index(signature[85]) + 1]
        no_key = base64url(json.dumps(json.loads(unbase64url(header)) | {"kid": "AAAAAAAAAAAAAAAA"}).encode())
        for what, forged, words in [
            ("verdict", saying(true_one, verdict="card_listed"), "do not belong"),
            ("time", saying(true_one, iat=1_700_000_000), "do not belong"),
            ("audience", saying(true_one, aud="01993c5e-0000-7000-8000-000000000000"), "do not belong"),
            ("number", saying(true_one, cm=base64url(bytes(32))), "do not belong"),
            ("claims", "~".join([head, parts[1], path]), "do not belong"),
            ("path", "~".join([head, claims, base64url(bytes(bytes_of_path))]), "do not belong"),
            ("longer path", "~".join([head, claims, base64url(bytes(bytes_of_path) + bytes(32))]), "do not belong"),
            ("head", "~".join([f"{header}.{root}.{signature}", claims, path]), "signature is wrong"),
            ("another head", "~".join([parts[0], claims, path]), "do not belong"),
            ("signature", "~".join([f"{header}.{payload}.{base64url(bytes(turned))}", claims, path]), "signature is wrong"),
            ("spare bits", "~".join([f"{header}.{payload}.{spare}", claims, path]), "form of a receipt"),
            ("key", "~".join([f"{no_key}.{payload}.{signature}", claims, path]), "No key of this set"),
            ("token", "~".join([node.token(node.hotel), claims, path]), "is not a receipt"),
        ]:
            look, told = verify(desk, forged, NUMBER, answer["receipt_salt"], "2016.05.01")
            assert look == "refused" and words in told and "Verified" not in told, f"{what}: {told}"
    # Keys under an id that is not theirs.
    set_ = json.loads(jwks(desk))
    kid = json.loads(unbase64url(header))["kid"]
    others = [key | {"kid": kid} for key in set_["keys"] if key["kid"] != kid]
    page.fill("#keys", json.dumps({"keys": others}))
    look, told = verify(desk, true_one)
    assert look == "refused" and "No key of this set" in told, told
    for text, words in [("{}", "not a set"), ("[", "not a set"), ('{"keys":[]}', "no Ed25519")]:
        page.fill("#keys", text)
        expect(page.locator("#keys-told")).to_contain_text(words)
    page.fill("#receipt", "nothing")
    expect(page.locator("#receipt-told")).to_contain_text("no receipt")


def saved_file_is_read_and_its_words_are_its_own(desk):
    page, node = desk.open(), desk.node
    answer = check(node)
    file = lambda name, text, kind="text/plain": {"name": name, "mimeType": kind, "buffer": text.encode()}  # noqa: E731
    page.set_input_files("#receipt-file", [file("jwks.json", jwks(desk), "application/json"), file("r.txt", saved(answer))])
    page.wait_for_selector("#answer-title")
    look, told = shown(page)
    assert look == "authentic" and "What the file says: Harbour Hotels" in told
    organization = json.loads(unbase64url(answer["receipt"].split("~")[1]))["aud"]
    assert organization in told and page.input_value("#salt") == answer["receipt_salt"]
    look, told = verify(desk, saved(answer, verdict="card_listed"))
    assert look == "refused" and "something else than the receipt" in told
    look, told = verify(desk, json.dumps(answer), NUMBER, answer["receipt_salt"])
    assert look == "verified" and "names nobody" in told
    page.click("#clear")
    drop = """([name, type, text]) => { const data = new DataTransfer(); data.items.add(new File([text], name, {type}));
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})); }"""
    page.evaluate(drop, ["receipt.txt", "text/plain", saved(answer)])
    expect(page.locator("#receipt-told")).to_contain_text("Harbour Hotels")
    page.evaluate(drop, ["jwks.json", "application/json", jwks(desk)])
    page.wait_for_selector("#answer .verdict.authentic")


DRAW = """async (text) => { const { drawQr } = await import("/web/qr.js"); const svg = await drawQr(text, "x");
    const image = new Image(); image.src = "data:image/svg+xml," + encodeURIComponent(new XMLSerializer().serializeToString(svg)
        .replace("<svg", '<svg width="900" height="900"')); await image.decode();
    const canvas = document.createElement("canvas"); [canvas.width, canvas.height] = [1300, 1100]; const to = canvas.getContext("2d");
    to.fillStyle = "#b9b3a6"; to.fillRect(0, 0, 1300, 1100); to.translate(650, 540); to.rotate(0.12); to.drawImage(image, -450, -450);
    return canvas.toDataURL("image/jpeg", 0.8).split(",")[1]; }"""


def photo(page, text):
    """A photo of the code of this text."""
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": base64.b64decode(page.evaluate(DRAW, text))}


def salt_on_a_photo_is_beside_the_receipt(desk):
    page, node = ready(desk), desk.node
    first, second = check(node), check(node)
    desk.typed.add(NUMBER)
    # One after the other, and both at once in either order.
    page.set_input_files("#receipt-file", photo(page, first["receipt"]))
    page.wait_for_selector("#answer .verdict.authentic")
    page.set_input_files("#receipt-file", photo(page, first["receipt_salt"]))
    expect(page.locator("#salt")).to_have_value(first["receipt_salt"])
    assert page.input_value("#receipt") == first["receipt"], "the receipt is not lost"
    page.fill("#number", NUMBER)
    page.press("#number", "Enter")
    page.wait_for_selector("#answer .verdict.verified")
    for turn in (1, -1):
        page.set_input_files("#receipt-file", [photo(page, second[name]) for name in ("receipt", "receipt_salt")][::turn])
        expect(page.locator("#salt")).to_have_value(second["receipt_salt"])
        assert page.input_value("#receipt") == second["receipt"]
        page.fill("#number", NUMBER)
        page.press("#number", "Enter")
        page.wait_for_selector("#answer .verdict.verified")
        first, second = second, first
    page.click("#clear")
    page.fill("#keys", jwks(desk))
    # A text that is dropped; before any receipt, too.
    drop = """(text) => { const data = new DataTransfer(); data.setData("text/plain", text);
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})); }"""
    page.evaluate(drop, first["receipt_salt"])
    expect(page.locator("#card-told")).to_contain_text("A salt was read")
    assert page.input_value("#receipt") == ""
    page.set_input_files("#receipt-file", photo(page, first["receipt"]))
    page.wait_for_selector("#answer .verdict")
    page.fill("#number", NUMBER)
    page.press("#number", "Enter")
    page.wait_for_selector("#answer .verdict.verified")


def nothing_is_left_of_the_receipt_before(desk):
    page, node = ready(desk), desk.node
    first, second, third = check(node), check(node, ""), check(node, number=OTHER)
    desk.typed |= {NUMBER, OTHER}
    file = lambda text: page.set_input_files("#receipt-file", {"name": "r.txt", "mimeType": "text/plain", "buffer": text.encode()})  # noqa: E731
    fields = lambda: tuple(page.input_value(f"#{name}") for name in ("salt", "date", "number"))  # noqa: E731
    file(saved(first, card_valid_from=CARD))
    page.wait_for_selector("#answer .verdict.authentic")
    assert fields() == (first["receipt_salt"], "2016.05.01", "")
    page.fill("#number", NUMBER)
    page.press("#number", "Enter")
    page.wait_for_selector("#answer .verdict.verified")
    # The next one had no start: with that of the one before it would be refused.
    file(saved(second, card_valid_from="-"))
    page.wait_for_selector("#answer .verdict.authentic")
    assert fields() == (second["receipt_salt"], "", "")
    page.fill("#number", NUMBER)
    page.press("#number", "Enter")
    page.wait_for_selector("#answer .verdict.verified")
    # A receipt alone, of somebody else.
    file(third["receipt"])
    page.wait_for_selector("#answer .verdict.authentic")
    assert fields() == ("", "", "")
    # Pasted, the number that was typed stays, and what came with the other receipt goes.
    file(saved(first, card_valid_from=CARD))
    page.fill("#number", OTHER)
    page.fill("#receipt", third["receipt"])
    assert fields() == ("", "", OTHER)
    page.fill("#salt", third["receipt_salt"])
    page.fill("#receipt", third["receipt"] + "\n")
    assert fields() == (third["receipt_salt"], "", OTHER), "the same receipt takes nothing away"
    page.press("#number", "Enter")
    page.wait_for_selector("#answer .verdict.verified")


def words_of_a_file_are_held_against_the_receipt(desk):
    page, node = ready(desk), desk.node
    dated, undated = check(node), check(node, "")
    status, report = node.post(node.station, "/v1/loss-reports", {"id_number": OTHER, "card_valid_from": CARD, "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"})
    assert status == 201, report
    filed = {name: report[name] for name in ("report_id", "reported_at", "card_valid_from", "report_receipt", "report_receipt_salt")}
    lines = lambda **other: "lostcard\r\n\r\n" + "".join(f"{name}: {value}\r\n" for name, value in (filed | other).items())  # noqa: E731
    other_id = "01993c5e-0000-7000-8000-000000000000"
    for text, number, salt, look in [
        (saved(dated, card_valid_from=CARD), NUMBER, dated, "verified"),
        (saved(undated, card_valid_from="-"), NUMBER, undated, "verified"),
        (saved(dated, card_valid_from="2016-05-02"), NUMBER, dated, "refused"),
        (saved(dated, card_valid_from="-"), NUMBER, dated, "refused"),
        (saved(undated, card_valid_from=CARD), NUMBER, undated, "refused"),
        (saved(dated, report_id=other_id), "", dated, "refused"),
        (lines(), OTHER, report, "verified"),
        (json.dumps(report), OTHER, report, "verified"),
        (lines(report_id=other_id), OTHER, report, "refused"),
        (lines(reported_at="2026-01-01T00:00:00Z"), OTHER, report, "refused"),
        (lines(card_valid_from="2024-05-01"), OTHER, report, "refused"),
        (lines(card_valid_from="-"), OTHER, report, "refused"),
    ]:
        given = salt.get("receipt_salt") or salt["report_receipt_salt"]
        shown_look, told = verify(desk, text, number, given)
        assert shown_look == look, f"{text}: {told}"
        assert look == "verified" or "something else than the receipt" in told, told
    # The start that the file brought is the file's word, too, not the reader's.
    page.set_input_files("#receipt-file", {"name": "r.txt", "mimeType": "text/plain", "buffer": saved(dated, card_valid_from="2016-05-02").encode()})
    expect(page.locator("#date")).to_have_value("2016.05.02")
    page.fill("#number", NUMBER)
    page.press("#number", "Enter")
    expect(page.locator("#answer")).to_contain_text("something else than the receipt")


def code_on_a_photo_is_read(desk):
    page, node = ready(desk), desk.node
    for answer in (check(node), batch(node, 30)):
        page.fill("#receipt", "")
        page.set_input_files("#receipt-file", photo(page, answer["receipt"]))
        page.wait_for_selector("#answer .verdict.authentic")
        assert page.input_value("#receipt") == answer["receipt"]
    page.set_input_files("#receipt-file", {"name": "no.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    expect(page.locator("#receipt-told")).to_contain_text("No QR code")


def pinned_fingerprint_holds(desk):
    ready(desk)
    answer = check(desk.node)
    told = subprocess.run([desk.binary, "--data", desk.node.folder.name, "keys", "fingerprints", "--json"], capture_output=True, text=True, check=True)
    for key in json.loads(told.stdout)["keys"]:
        look, words = verify(desk, answer["receipt"], pin=key["fingerprint"].upper())
        assert look == ("authentic" if key["purpose"] == "receipt" else "refused"), words
        assert ("pinned fingerprint" in words) and (key["fingerprint"] in words) == (key["purpose"] == "receipt")
    desk.page.fill("#pin", "12")
    desk.page.press("#pin", "Enter")
    expect(desk.page.locator("#keys-told")).to_contain_text("64 hexadecimal")


def it_works_below_the_path_of_a_proxy(desk):
    page = desk.open(below="/city")
    page.click("#own-keys")
    expect(page.locator("#keys-told")).to_contain_text("keys were read")
    answer = check(desk.node)
    assert verify(desk, answer["receipt"], NUMBER, answer["receipt_salt"], "2016.05.01")[0] == "verified"
    desk.stays_below("/city")


def nothing_is_sent(desk):
    page, node = ready(desk), desk.node
    answer = check(node)
    page.evaluate("import('/web/qr.js')")
    page.context.set_offline(True)
    desk.sent.clear()
    assert verify(desk, saved(answer), NUMBER, answer["receipt_salt"])[0] == "verified"
    assert desk.sent == [], "without a network it does the same"
    page.click("#own-keys")
    expect(page.locator("#keys-told")).to_contain_text("could not be fetched")
    page.context.set_offline(False)
    page.click("#own-keys")
    expect(page.locator("#keys-told")).to_contain_text("keys were read")
    assert {(method, data) for method, _, data in desk.sent} == {("GET", "")}
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0


def audit_is_asked_with_a_token_or_read_from_a_file(desk):
    page, node = ready(desk), desk.node
    answer = check(node)
    body = {"receipt": answer["receipt"], "receipt_salt": answer["receipt_salt"], "id_number": NUMBER}
    for _ in range(100):
        status, told = node.post(node.hotel, "/v1/receipts/audit", body)
        if status != 503:
            break
        time.sleep(0.1)
    assert status == 200 and told["outcome"] == "consistent", told
    assert verify(desk, saved(answer), NUMBER, answer["receipt_salt"])[0] == "verified"
    page.click("details summary")
    page.click("#audit")
    expect(page.locator("#audit-told")).to_contain_text("Enter a token")
    page.fill("#token", "nonsense")
    page.click("#audit")
    expect(page.locator("#audit-told")).to_contain_text("does not take this token")
    page.fill("#token", node.token(node.hotel))
    page.click("#audit")
    page.wait_for_selector("#audit-title:focus")
    shown_audit = page.inner_text("#audit-result")
    assert "bears the receipt out" in shown_audit and "/registry-log/" in shown_audit and "own word" in shown_audit
    desk.axe("audit")
    desk.fits("audit")
    for outcome, words in [("contradicted", "contradicts"), ("cannot_tell", "cannot tell")]:
        buffer = json.dumps(told | {"outcome": outcome}).encode()
        page.set_input_files("#audit-file", {"name": "a.json", "mimeType": "application/json", "buffer": buffer})
        expect(page.locator("#audit-title")).to_contain_text(words)
    page.set_input_files("#audit-file", {"name": "a.json", "mimeType": "application/json", "buffer": b"{}"})
    expect(page.locator("#audit-told")).to_contain_text("not an answer")
    page.click("#clear")
    assert page.input_value("#token") == "" and page.locator("#audit-result").count() == 0


def browser_without_ed25519_verifies_the_same(desk):
    page = desk.open()
    page.add_init_script("""const own = SubtleCrypto.prototype.importKey; window.missed = 0;
        SubtleCrypto.prototype.importKey = function (form, key, kind, ...rest) {
            if (kind?.name === "Ed25519") { window.missed++; return Promise.reject(new DOMException("none", "NotSupportedError")); }
            return own.call(this, form, key, kind, ...rest); };""")
    page.reload()
    page.wait_for_selector("#receipt:visible")
    page.fill("#keys", jwks(desk))
    page.wait_for_selector("#keys-told:not(:empty)")
    answer = check(desk.node)
    assert verify(desk, answer["receipt"], NUMBER, answer["receipt_salt"], "2016.05.01")[0] == "verified"
    head, *rest = answer["receipt"].split("~")
    turned = head[:-20] + ("A" if head[-20] != "A" else "B") + head[-19:]
    look, told = verify(desk, "~".join([turned, *rest]))
    assert look == "refused" and "signature is wrong" in told and page.evaluate("window.missed") == 2


def every_state_has_no_violation_fits_and_is_light(desk):
    for width, height, locale, scheme in [(1280, 860, "en-GB", "light"), (390, 844, "zh-CN", "light"), (320, 600, "en-GB", "dark")]:
        page = desk.open(width=width, height=height, locale=locale, scheme=scheme)
        seen = desk.weigh()
        desk.axe("empty")
        desk.fits("empty")
        page.press("#receipt", "Control+Enter")
        page.click(".primary")
        desk.axe("refused to ask")
        page.fill("#keys", jwks(desk))
        page.wait_for_selector("#keys-told:not(:empty)")
        answer = check(desk.node)
        for receipt, number in [(saved(answer), NUMBER), (saved(answer), ""), (saying(answer["receipt"], verdict="card_listed"), "")]:
            look, _ = verify(desk, receipt, number, answer["receipt_salt"])
            desk.axe(look)
            desk.fits(look)
        page.evaluate("import('/web/qr.js').then(({ readQr }) => readQr(document.createElement('canvas')))")
        assert sum(seen.values()) <= BYTES_MAX, seen


def both_languages_are_whole(desk):
    page = desk.open(locale="zh-CN")
    words = 'async (name) => (await import(`/verify/${name}.js`)).default'
    en, zh = page.evaluate(words, "en"), page.evaluate(words, "zh")
    assert en.keys() == zh.keys()
    holes = lambda text: sorted(re.findall(r"\{\w+\}", text))  # noqa: E731
    assert all(holes(en[key]) == holes(zh[key]) for key in en)
    source = "".join(path.read_text() for path in [*FOLDER.glob("*.js"), *WEB.glob("*.js")] if path.name not in ("en.js", "zh.js"))
    used = set(re.findall(r'data-t="(\w+)"', (FOLDER / "index.html").read_text()))
    made = set(re.findall(r'"(\w+)"', source))
    made |= {f"{kind}_{part}" for kind in ("verified", "authentic", "refused") for part in ("title", "lead")}
    made |= {f"step_{step}" for step in ("signature", "inclusion", "commitment", "file")}
    made |= {f"verdict_{verdict}" for verdict in ("not_listed", "card_listed", "other_card_listed", "number_listed")}
    made |= {f"audit_{outcome}" for outcome in ("consistent", "contradicted", "cannot_tell")}
    made |= {f"act_{act}" for act in ("report", "withdrawal", "replacement", "correction")}
    assert used <= en.keys() and en.keys() - used - made == {"language"} - made, en.keys() - used - made
    page.fill("#keys", jwks(desk))
    answer = check(desk.node)
    look, told = verify(desk, saved(answer), NUMBER, answer["receipt_salt"])
    assert look == "verified" and "验证通过" in told and "文件所写：Harbour Hotels" in told
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert "Verified" in shown(page)[1]
    assert not re.search(r"[\u4e00-\u9fff]", page.evaluate("document.body.innerText").replace("中文", ""))


CASES = [
    receipts_are_verified_by_keyboard_alone, what_it_is_about_is_found, every_kind_of_forgery_is_refused,
    saved_file_is_read_and_its_words_are_its_own, nothing_is_left_of_the_receipt_before, words_of_a_file_are_held_against_the_receipt,
    salt_on_a_photo_is_beside_the_receipt, code_on_a_photo_is_read, pinned_fingerprint_holds, it_works_below_the_path_of_a_proxy,
    nothing_is_sent, audit_is_asked_with_a_token_or_read_from_a_file,
    browser_without_ed25519_verifies_the_same, every_state_has_no_violation_fits_and_is_light, both_languages_are_whole,
]
