"""Papers at the desk: the receipt that people read, and temporary certificates from the camera, a photo or typed."""

import base64
import hashlib
import json
import random
import re
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import expect

NUMBER, OTHER = "11010519491231002X", "440524188001010014"


def saved(page):
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save receipt").first.click()
    return Path(waiting.value.path()).read_text()


def saved_file_is_what_every_tool_takes(desk):
    page, node = desk.sign_in(), desk.node
    page.click("#settings summary")
    page.fill("#site", "三号楼")
    page.fill("#clerk", "王")
    page.press("#clerk", "Tab")
    desk.ask(*node.listed, "folio-7")
    text = saved(page)
    assert "organization: " in text and "site: 三号楼" in text and "clerk: 王" in text and f"id_number_ends: {node.listed[0][-4:]}" in text
    assert re.search(r"local_time: .*GMT", text)
    guide = (Path(__file__).parents[2] / "docs/guides/auditors.md").read_text()
    with tempfile.TemporaryDirectory() as folder:
        write = lambda name, content: Path(folder, name).write_text(content, newline="")  # noqa: E731
        write("jwks.json", page.request.get(node.url + "/.well-known/jwks.json").text())
        write("receipt.txt", text)
        write("number.txt", node.listed[0])
        for language, name in (("bash", "v.sh"), ("python", "v.py")):
            write(name, re.search(rf"```{language}\n(.*?)```\n", guide, re.S)[1])
        run = lambda *words: subprocess.run(words, cwd=folder, capture_output=True, text=True)  # noqa: E731
        binary = str(Path(desk.binary).resolve())
        verify = [binary, "receipt", "verify", "--jwks", "jwks.json", "--id-number-file", "number.txt", "receipt.txt"]
        done = run(*verify, "--json")
        told = json.loads(done.stdout)
        assert told["opens"] and told["card_valid_from"] == node.listed[1] and told["organization_by_file"] in text, done.stderr
        salt = re.search(r"receipt_salt: (\S+)", text)[1]
        for words in (["bash", "v.sh"], ["python3", "v.py"]):
            done = run(*words, "jwks.json", "receipt.txt", salt, "number.txt", node.listed[1])
            assert done.stdout.splitlines()[-1].startswith("VERIFIED: ") and "card_listed" in done.stdout, done.stdout + done.stderr
        write("receipt.txt", text.replace("verdict: card_listed", "verdict: not_listed"))
        done = run(*verify)
        assert done.returncode == 1 and "another verdict" in done.stderr, "words beside the receipt are held against it"
    page.goto(node.url + "/verify")
    page.set_input_files("#receipt-file", {"name": "r.txt", "mimeType": "text/plain", "buffer": text.encode()})
    page.click("#own-keys")
    expect(page.locator("#keys-told")).to_contain_text("keys were read")
    page.fill("#number", node.listed[0])
    page.press("#number", "Enter")
    page.wait_for_selector("#answer .verdict.verified")


def printed_receipt_is_one_page_with_codes(desk):
    page, node = desk.sign_in(locale="zh-CN"), desk.node
    page.click("#settings summary")
    page.fill("#site", "三号楼前台")
    page.fill("#clerk", "王小明")
    page.press("#clerk", "Tab")
    expect(page.locator("#house")).not_to_be_empty()
    for number, date in (node.listed, node.newer):
        desk.ask(number, date, "folio-8")
        page.wait_for_function("document.querySelectorAll('#slip svg.qr').length === 2")
        page.emulate_media(media="print")
        told = page.inner_text("#slip")
        house = page.text_content("#house")
        for words in (house, "三号楼前台", "王小明", number[-4:], "GMT", date.replace("-", "."), "/verify"):
            assert words in told, words
        for paper in ("A6", "A4"):
            pages = re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format=paper, print_background=True))
            assert len(pages) == 1, f"{paper}: {len(pages)} pages"
        read = """async (of) => { const { readQr } = await import("/web/qr.js"); const svg = document.querySelector(`#slip figure.${of} svg`).cloneNode(true);
            svg.setAttribute("width", 700); svg.setAttribute("height", 700); const image = new Image();
            image.src = "data:image/svg+xml," + encodeURIComponent(new XMLSerializer().serializeToString(svg)); await image.decode(); return readQr(image); }"""
        receipt, salt = page.evaluate(read, "receipt"), page.evaluate(read, "salt")
        page.emulate_media(media="screen")
        answer = node.post(node.hotel, "/v1/receipts/verify", {"receipt": receipt, "receipt_salt": salt, "id_number": number})[1]
        assert answer["authentic"] and answer["opens"], answer


def misuse_number_is_shown_and_copied(desk):
    page, node = desk.sign_in(), desk.node
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.ask(*node.listed)
    page.click("#answer button.strong")
    with page.expect_response("**/v1/misuse-reports") as waiting:
        page.keyboard.press("Enter")
    number = waiting.value.json()["misuse_report_id"]
    expect(page.locator("#report-id")).to_have_text(number)
    expect(page.locator("#status")).to_contain_text(number)
    assert page.evaluate("navigator.clipboard.readText()") == number
    page.evaluate("navigator.clipboard.writeText('')")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == number


def issued(node, **other):
    body = {"id_number": NUMBER, "purpose": "lodging", "office": "110105-03", "valid_hours": 24} | other
    status, answer = node.post(node.station, "/v1/temporary-certificates", body)
    assert status == 201, answer
    return answer


def verify(desk, text, number=NUMBER):
    """Enters a certificate; the words of the answer."""
    page = desk.page
    desk.typed.add(number)
    if not page.is_visible("#certificate"):
        page.click("#open-certificate")
    page.fill("#certificate-text", text)
    page.fill("#certificate-number", number)
    page.press("#certificate-number", "Enter")
    page.wait_for_selector("#certificate-title:focus")
    expect(page.locator("#certificate-status")).to_be_empty()
    assert page.input_value("#certificate-text") == page.input_value("#certificate-number") == ""
    return page.inner_text("#certificate-answer")


def signed_in(desk, **options):
    """With the published keys at hand."""
    page = desk.open(**options)
    page.fill("#client-id", desk.node.hotel[0])
    page.fill("#client-secret", desk.node.hotel[1])
    with page.expect_response("**/qr-decode.min.js"):
        page.press("#client-secret", "Enter")
    page.wait_for_selector("#number:visible")
    return page


def certificate_is_verified_here_and_by_the_service(desk):
    page, node = signed_in(desk), desk.node
    good = issued(node)
    told = verify(desk, good["certificate"])
    assert "The certificate is valid" in told and "by the service" in told and "110105-03" in told and "lodging" in told
    assert NUMBER[-4:] in told
    desk.axe("certificate")
    desk.fits("certificate")
    sent = desk.bodies("/v1/temporary-certificates/verify")[-1]
    assert set(sent) == {"certificate", "id_digest", "purpose"}, "the number itself is not sent"
    assert "another number" in verify(desk, good["certificate"], OTHER)
    head, payload, signature = good["certificate"].split(".")
    assert "Not a genuine certificate" in verify(desk, f"{head}.{payload}.{signature[:-8]}AAAAAAA{signature[-1]}")
    assert "Not a genuine certificate" in verify(desk, node.token(node.hotel))
    assert "another purpose" in verify(desk, issued(node, purpose="air")["certificate"])
    assert node.post(node.station, f"/v1/temporary-certificates/{good['certificate_id']}/revocation", {"office": "110105-03"})[0] in (200, 204)
    assert "was revoked" in verify(desk, good["certificate"])
    page.fill("#certificate-text", "")
    page.press("#certificate-text", "Tab")
    page.get_by_role("button", name="Verify", exact=True).click()
    assert "Scan the code" in page.inner_text("#certificate-message")
    page.keyboard.press("Escape")
    assert not page.is_visible("#certificate") and page.text_content("#certificate-answer") == ""


def certificate_without_a_network_is_never_called_valid(desk):
    page, node = signed_in(desk), desk.node
    good = issued(node)["certificate"]
    page.click("#open-certificate")
    page.context.set_offline(True)
    told = verify(desk, good)
    assert "perhaps revoked" in told and page.query_selector("#certificate-answer .verdict.number_listed")
    assert "another number" in verify(desk, good, OTHER)
    assert "Not a genuine" in verify(desk, good[:-10] + "AAAAAAAAA" + good[-1])
    page.context.set_offline(False)
    page.route("**/v1/temporary-certificates/verify", lambda route: route.fulfill(status=503, json={"code": "registry_unavailable"}))
    assert "perhaps revoked" in verify(desk, good)
    page.unroute("**/v1/temporary-certificates/verify")
    assert "is valid" in verify(desk, good)


def code_of(desk, text):
    """The modules of a QR code, with its border."""
    draw = """async (text) => { const { default: encode } = await import("/web/qr-encode.min.js"); return encode(text, "raw", { ecc: "low", border: 4 }); }"""
    return desk.page.evaluate(draw, text)


def a_number():
    """A valid number of nobody in particular (GB 11643)."""
    number = f"11010119{random.randint(50, 99)}{random.randint(1, 12):02}{random.randint(1, 28):02}{random.randint(0, 999):03}"
    return number + "10X98765432"[sum(int(digit) * 2 ** (17 - at) for at, digit in enumerate(number)) % 11]


def card_status_is_verified_without_asking_anybody(desk):
    page, node = signed_in(desk), desk.node
    portal = node.client("citizen", "600/60s")

    def status(number, start):
        code, answer = node.post(portal, "/v1/citizen/card-status", {"id_number": number, "card_valid_from": start})
        assert code == 200, answer
        return f"{answer['status']}~{answer['status_salt']}"

    asked = len(desk.bodies("/v1/temporary-certificates/verify"))
    # No other case has reported it.
    own = a_number()
    good = status(own, "2016-05-01")
    # Of this service and of no other that has its keys.
    judge = """async ([text, digest, issuer]) => { const [{ judgeStatus }, { readKeys }] = [await import("/desk/card_status.js"), await import("/web/jws.js")];
        const keys = await readKeys(await (await fetch("/.well-known/jwks.json")).text()); return judgeStatus(text, digest, keys, issuer, Date.now() / 1000); }"""
    issuer = page.evaluate("async () => (await (await fetch('/.well-known/oauth-authorization-server')).json()).issuer")
    digest = hashlib.sha256(f"lostcard:v1:{own}".encode()).hexdigest()
    assert page.evaluate(judge, [good, digest, issuer])["verdict"] == "not_listed"
    assert page.evaluate(judge, [good, digest, issuer + "/sandbox"])["status"] == "not_authentic"
    assert page.evaluate(judge, [good, digest, ""])["status"] == "unverified"
    page.click("#open-certificate")
    page.context.set_offline(True)
    told = verify(desk, good, own)
    assert "No report found" in told and "2016.05.01" in told and "was not asked" in told, told
    assert page.query_selector("#certificate-answer .verdict.not_listed")
    desk.axe("certificate")
    desk.fits("certificate")
    assert "another number" in verify(desk, good, OTHER)
    signed, salt = good.split("~")
    assert "another number" in verify(desk, f"{signed}~{salt[:-2]}AA" if not salt.endswith("AA") else f"{signed}~{'B' * 42}A", own)
    head, payload, signature = signed.split(".")
    assert "Not a genuine card status" in verify(desk, f"{head}.{payload}.{signature[:-8]}AAAAAAA{signature[-1]}~{salt}", own)
    assert "Not a genuine card status" in verify(desk, f"{signed}~{salt}~{salt}", own)
    page.context.set_offline(False)
    told = verify(desk, status(*node.listed), node.listed[0])
    assert page.query_selector("#certificate-answer .verdict.card_listed"), told
    assert len(desk.bodies("/v1/temporary-certificates/verify")) == asked, "nobody was asked"
    page.evaluate("Date.now = ((now) => () => now() + 16 * 60_000)(Date.now)")
    assert "too old" in verify(desk, good, own)


def photo_and_camera_read_the_code(desk):
    page, node = signed_in(desk), desk.node
    good = issued(node)["certificate"]
    rows = code_of(desk, good)
    draw = """(rows) => { const canvas = document.createElement("canvas"); canvas.width = canvas.height = rows.length * 8; const to = canvas.getContext("2d");
        to.fillStyle = "#fff"; to.fillRect(0, 0, canvas.width, canvas.height); to.fillStyle = "#222";
        rows.forEach((row, y) => row.forEach((dark, x) => dark && to.fillRect(x * 8, y * 8, 8, 8))); return canvas.toDataURL("image/png").split(",")[1]; }"""
    photo = base64.b64decode(page.evaluate(draw, rows))
    page.click("#open-certificate")
    page.set_input_files("#certificate-file", {"name": "code.png", "mimeType": "image/png", "buffer": photo})
    expect(page.locator("#certificate-text")).to_have_value(good)
    page.set_input_files("#certificate-file", {"name": "no.png", "mimeType": "image/png", "buffer": b"none"})
    expect(page.locator("#certificate-message")).to_contain_text("No QR code")
    page.keyboard.press("Escape")
    desk.settle()
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "code.y4m")
        film.write_bytes(video(rows))
        args = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
        kind = desk.browser.browser_type
        with_camera = kind.launch(executable_path=desk.chromium, args=args)
        usual, desk.browser = desk.browser, with_camera
        try:
            page = signed_in(desk)
            page.click("#open-certificate")
            page.click("#certificate-camera")
            expect(page.locator("#certificate-text")).to_have_value(good, timeout=20_000)
            expect(page.locator("#certificate-video")).to_be_hidden()
            assert "is valid" in verify(desk, good)
            desk.settle()
        finally:
            desk.contexts.remove(page.context)
            with_camera.close()
            desk.browser = usual


def video(rows, side=720):
    """Two frames of a grey picture (YUV4MPEG2) with the code in it: what the camera sees."""
    scale = (side - 40) // len(rows)
    edge = (side - scale * len(rows)) // 2
    luma = bytearray(b"\xd0" * (side * side))
    for y, row in enumerate(rows):
        line = b"".join((b"\x18" if dark else b"\xe8") * scale for dark in row)
        for at in range(scale):
            start = (edge + y * scale + at) * side + edge
            luma[start:start + len(line)] = line
    chroma = b"\x80" * (side * side // 4)
    frame = b"FRAME\n" + bytes(luma) + chroma + chroma
    return f"YUV4MPEG2 W{side} H{side} F10:1 Ip A1:1 C420jpeg\n".encode() + frame * 2


def idle_time_clears_certificate_and_group(desk):
    page, node = signed_in(desk, clock=True), desk.node
    page.click("#open-certificate")
    page.fill("#certificate-text", "a.b.c")
    page.clock.fast_forward("02:01")
    assert not page.is_visible("#certificate") and page.input_value("#certificate-text") == ""
    page.click("#several summary")
    page.fill("#lines", f"{node.listed[0]}\n{node.unlisted[0]}")
    desk.typed |= {node.listed[0], node.unlisted[0]}
    page.get_by_role("button", name="Check all").click()
    page.wait_for_selector("#group-title:focus")
    page.clock.fast_forward("02:01")
    assert not page.is_visible("#group") and page.locator(".guests li:visible").count() == 0


CASES = [
    saved_file_is_what_every_tool_takes, printed_receipt_is_one_page_with_codes, misuse_number_is_shown_and_copied,
    certificate_is_verified_here_and_by_the_service, certificate_without_a_network_is_never_called_valid,
    card_status_is_verified_without_asking_anybody,
    photo_and_camera_read_the_code, idle_time_clears_certificate_and_group,
]
