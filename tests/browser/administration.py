"""Administration in the console, as an operator does it: organizations and clients, secrets that are shown once, two operators, who is noisy,
the log, who looked at a person; by mouse and by keyboard, on a telephone, in both languages."""

import base64
import datetime
import json
import random
import re
import struct
import time
from pathlib import Path

from playwright.sync_api import expect
from station import a_number

BYTES_MAX = 200_000
VIEWS = ("organizations", "clients", "offices", "noisy", "pairings", "requests", "orders", "persons", "log", "accesses")


def made(console, path, body):
    """An answer to the operator's own program."""
    status, answer = console.node.post(console.node.operator, path, body)
    assert status in (200, 201), answer
    return answer


def organization(console, name="Harbour Hotels", kind="certifying"):
    return made(console, "/v1/admin/organizations", {"name": name, "kind": kind, "region": "110105"})["organization_id"]


def view(console, name):
    console.page.click(f"[data-view={name}]")
    console.page.wait_for_selector(f"[data-view={name}][aria-current=page]")


def is_there(page):
    """What a view asks for has come."""
    page.wait_for_function("() => document.querySelector('#view-body > *') && !document.querySelector('#view [data-t=view_loading]')")


def opened(console, client):
    """The view of one client, by its organization's list."""
    view(console, "organizations")
    console.page.wait_for_selector(".admin tbody tr")
    row = console.page.get_by_role("button", name=client["organization_name"], exact=True)
    more = console.page.get_by_role("button", name="Show more")
    while row.count() == 0:
        before = console.page.locator(".admin tbody tr").count()
        more.click()
        expect(console.page.locator(".admin tbody tr")).not_to_have_count(before)
    row.click()
    console.page.get_by_role("button", name="Its clients").click()
    console.page.get_by_role("button", name=client["name"], exact=True).click()
    expect(console.page.locator("#view h3")).to_have_text(client["name"])


def client_of(console, **more):
    name = f"Group {random.randint(0, 10**9)}"
    body = {"organization_id": organization(console, name), "scopes": ["checks"], "name": f"desk of {name}", **more}
    return made(console, "/v1/admin/clients", body)


def token_status(console, of):
    form = f"grant_type=client_credentials&client_id={of[0]}&client_secret={of[1]}"
    return console.node._send("/oauth2/token", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})[0]


def hotel_is_made_and_its_desk_gets_a_secret_that_is_shown_once(console):
    page = console.sign_in()
    view(console, "organizations")
    page.click("#view summary")
    page.click("#organization .primary")
    expect(page.locator("#organization-name-hint")).to_have_text("This is needed.")
    page.fill("#organization-name", "Lakeside Inns")
    page.fill("#organization-region", "999999")
    page.fill("#organization-rate", "6000/60s")
    page.press("#organization-rate", "Enter")
    expect(page.locator("#organization-region-hint")).to_contain_text("Six digits")
    page.fill("#organization-region", "110105")
    page.press("#organization-region", "Enter")
    expect(page.locator("#view h3")).to_have_text("Lakeside Inns")
    expect(page.locator("#view .facts")).to_contain_text("6000/60s")
    page.get_by_role("button", name="Its clients").click()
    page.click("#view summary")
    page.fill("#client-name", "front desk")
    page.check("#client-scopes-checks")
    page.fill("#client-numbers", "250/1d")
    page.click("#client .primary")
    expect(page.locator("#view h4")).to_contain_text("shown this once")
    ident, secret = page.locator(".once code").all_inner_texts()
    assert secret.startswith("lcs_") and token_status(console, (ident, secret)) == 200
    console.axe("secret")
    page.get_by_role("button", name="I have it").click()
    assert secret not in page.content(), "a secret that was put away is nowhere"
    row = page.locator(".admin tbody tr", has_text="front desk")
    expect(row).to_contain_text("250/1d")
    expect(row).to_contain_text("never")
    assert secret not in page.content()


def until(page, holds):
    """Waits for what nodes come to know within their lease, and pages after it."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, page.inner_text("main")
        page.wait_for_timeout(200)


def client_is_changed_suspended_and_ended(console):
    client = client_of(console)
    own = (client["client_id"], client["client_secret"])
    page = console.sign_in()
    opened(console, client)
    page.click("#view summary >> nth=0")
    page.fill("#client-change-rate", "nonsense")
    page.click("#client-change .primary")
    expect(page.locator("#client-change-rate-hint")).to_contain_text("600/60s")
    page.fill("#client-change-rate", "1200/60s")
    page.click("#client-change .primary")
    expect(page.locator("#view .facts")).to_contain_text("1200/60s")
    page.get_by_role("button", name="Suspend").click()
    expect(page.locator("#view .facts")).to_contain_text("suspended")
    until(page, lambda: token_status(console, own) in (400, 401))
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#view .facts")).to_contain_text("active")
    until(page, lambda: token_status(console, own) == 200)
    page.get_by_role("button", name="End permanently").click()
    expect(page.locator("#view .grave .warning").last).to_contain_text("cannot be undone")
    page.keyboard.press("Enter")
    expect(page.locator("#view .grave .warning").last).not_to_be_visible()
    assert token_status(console, own) == 200, "the first key leaves it"
    page.get_by_role("button", name="End permanently").click()
    page.locator(".grave .strong").last.click()
    expect(page.locator("#view")).to_contain_text("which is final")
    until(page, lambda: token_status(console, own) in (400, 401))
    assert page.locator("#client-change").count() == 0


def new_secret_certificate_and_keys(console):
    client = client_of(console)
    page = console.sign_in()
    opened(console, client)
    page.click("#view summary >> nth=1")
    page.select_option("#secret-keep", "0s")
    page.click("#secret .primary")
    expect(page.locator("#view h4")).to_contain_text("shown this once")
    ident, secret = page.locator(".once code").all_inner_texts()
    assert ident == client["client_id"] and token_status(console, (ident, secret)) == 200
    until(page, lambda: token_status(console, (ident, client["client_secret"])) in (400, 401))
    page.get_by_role("button", name="I have it").click()
    page.click("#view summary >> nth=1")
    page.fill("#certificate-certificate", "no certificate")
    page.click("#certificate .primary")
    expect(page.locator("#certificate-certificate-hint")).to_contain_text("No certificate")
    examples = json.loads((Path(__file__).parents[2] / "src/http/contract/examples/admin.json").read_text())
    page.fill("#certificate-certificate", examples["addClientCertificate"]["requests"]["certificate"]["value"]["certificate"])
    page.click("#certificate .primary")
    expect(page.locator("#view")).to_contain_text("the newest two stay")
    page.click("#view summary >> nth=1")
    page.fill("#keys-keys", '{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}')
    page.click("#keys .primary")
    expect(page.locator("#keys-keys-hint")).to_contain_text("public keys")
    page.fill("#keys-keys", '{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}')
    page.click("#keys .primary")
    expect(page.locator("#view")).to_contain_text("the newest two stay")


def tokens_are_revoked(console):
    client = client_of(console)
    own = (client["client_id"], client["client_secret"])
    token = console.node.token(own)
    check = json.dumps({"id_number": console.node.unlisted[0], "purpose": "lodging"}).encode()
    ask = lambda: console.node._send("/v1/checks", check, {"Content-Type": "application/json", "Authorization": f"Bearer {token}"})[0]  # noqa: E731
    assert ask() == 200
    page = console.sign_in()
    opened(console, client)
    page.click("#view summary >> nth=1")
    page.get_by_role("button", name="Revoke all its tokens").click()
    page.locator(".grave:has(.warning) .strong").click()
    expect(page.locator("#view")).to_contain_text("are revoked")
    until(page, lambda: ask() == 401)


def held_client_is_seen_and_released(console):
    client = client_of(console, numbers="20/1d")
    own = (client["client_id"], client["client_secret"])
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {console.node.token(own)}"}
    for _ in range(40):
        number = a_number()
        wrong = number[:-1] + ("1" if number[-1] != "1" else "2")
        status, answer = console.node._send("/v1/checks", json.dumps({"id_number": wrong, "purpose": "lodging"}).encode(), headers)
        if status == 429:
            break
    assert answer["code"] == "abnormal_use", answer
    page = console.sign_in()

    def is_shown():
        view(console, "noisy")
        expect(page.locator("#view .zone .hint")).to_contain_text("clients were looked at")
        return page.locator(".admin tbody tr", has_text=client["name"]).count() == 1
    until(page, is_shown)
    row = page.locator(".admin tbody tr", has_text=client["name"])
    expect(row).to_contain_text("held")
    row.get_by_role("button").click()
    expect(page.locator("#view .warning")).to_contain_text("numbers that nobody can have")
    console.axe("held")
    page.get_by_role("button", name="Release").click()
    expect(page.locator("#view .warning")).not_to_be_visible()
    until(page, lambda: console.node._send("/v1/checks", json.dumps({"id_number": a_number(), "purpose": "lodging"}).encode(), headers)[0] == 200)


def registrar_takes_two_operators(console):
    second = console.node.client("admin", "600/60s")
    page = console.sign_in()
    view(console, "organizations")
    page.click("#view summary")
    page.fill("#organization-name", "Riverside Station")
    page.select_option("#organization-kind", "registrar")
    page.fill("#organization-region", "110105")
    page.press("#organization-region", "Enter")
    expect(page.locator("#view h4")).to_contain_text("waits for another operator")
    request = page.inner_text(".once code")
    assert page.locator(".admin tbody tr", has_text="Riverside Station").count() == 0
    view(console, "requests")
    expect(page.locator(".admin tbody tr", has_text="Riverside Station")).to_have_count(1)
    page.click("#view summary")
    page.fill("#request-request_id", "not a number")
    page.press("#request-request_id", "Enter")
    expect(page.locator("#view .zone").last).to_contain_text("no number of a request")
    page.fill("#request-request_id", request)
    page.press("#request-request_id", "Enter")
    expect(page.locator("#view pre")).to_contain_text("Riverside Station")
    page.get_by_role("button", name="Approve it").click()
    expect(page.locator("#view .act .message")).to_contain_text("not the one who asked")
    page.click("#sign-out")
    console.enter(of=second)
    view(console, "requests")
    page.locator(".admin tbody tr", has_text="Riverside Station").get_by_role("button").click()
    page.get_by_role("button", name="Approve it").click()
    expect(page.locator("#view .facts")).to_contain_text("approved: it is done")
    console.axe("approved")


def undoing_and_export_take_two_operators_and_the_export_is_saved(console):
    first, second = (console.node.client("admin", "600/60s") for _ in range(2))
    thief = console.node.client("registry", "600/60s")
    body = {"id_number": a_number(), "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"}
    assert console.node.post(thief, "/v1/loss-reports", body)[0] == 201
    page = console.open(timezone_id="Asia/Shanghai")
    console.enter(of=first)
    view(console, "orders")
    is_there(page)
    for summary in page.locator("#view summary").all():
        summary.click()
    page.click("#undo .primary")
    expect(page.locator("#undo-client_id-hint")).to_have_text("This is needed.")
    page.fill("#undo-client_id", thief[0])
    page.fill("#undo-reason", "ticket 7: its secret was stolen")
    china = datetime.timezone(datetime.timedelta(hours=8))
    at = lambda minutes: (datetime.datetime.now(china) + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S")  # noqa: E731
    page.fill("#undo-from", at(1))
    page.fill("#undo-to", at(-9))
    page.click("#undo .primary")
    expect(page.locator("#undo-to-hint")).not_to_be_empty()
    page.fill("#undo-from", at(-10))
    page.fill("#undo-to", at(1))
    page.click("#undo .primary")
    expect(page.locator("#view h4")).to_contain_text("waits for another operator")
    undoing = page.inner_text(".once code")
    expect(page.locator(".admin tbody tr", has_text="ticket 7")).to_contain_text("waits for approval")
    page.fill("#export-reason", "the yearly visit")
    page.press("#export-reason", "Enter")
    expect(page.locator(".once code")).not_to_have_text(undoing)
    console.axe("orders")
    console.settle()
    page.click("#sign-out")
    console.enter(of=second)
    for reason in ("ticket 7", "the yearly visit"):
        view(console, "requests")
        page.locator(".admin tbody tr", has_text=reason).get_by_role("button").click()
        expect(page.locator("#view pre")).to_contain_text(reason)
        page.get_by_role("button", name="Approve it").click()
        expect(page.locator("#view .facts")).to_contain_text("approved: it is done")
    # Who approved it is not who asked for it.
    page.get_by_role("button", name="Save the export").click()
    expect(page.locator("#view .act .message").first).to_contain_text("nothing of this number")
    page.click("#sign-out")
    console.enter(of=first)
    view(console, "orders")
    page.locator(".admin tbody tr", has_text="the yearly visit").get_by_role("button").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the export").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert len(lines) > 3 and all(json.loads(line) for line in lines), len(lines)
    assert any("administration_approved" in line for line in lines), "it goes to its own approval"
    expect(page.locator("#view [role=status]").last).to_have_text(f"{len(lines)} lines")
    console.axe("export")

    def undone():
        status, told = console.node.post(thief, "/v1/loss-reports/search", {"id_number": body["id_number"]})
        return status == 200 and told["reports"][0]["state"] == "withdrawn"
    until(page, undone)
    view(console, "orders")
    page.locator(".admin tbody tr", has_text="ticket 7").get_by_role("button").click()
    expect(page.locator("#view")).to_contain_text("Undone: 1. Left as they are: 0.")


def device_gets_a_code_that_is_shown_once_and_is_ended(console):
    name = f"Lodge {random.randint(0, 10**9)}"
    organization(console, name)
    page = console.sign_in()
    view(console, "organizations")
    page.wait_for_selector(".admin tbody tr")
    row, more = page.get_by_role("button", name=name, exact=True), page.get_by_role("button", name="Show more")
    while row.count() == 0:
        before = page.locator(".admin tbody tr").count()
        more.click()
        expect(page.locator(".admin tbody tr")).not_to_have_count(before)
    row.click()
    page.get_by_role("button", name="Its devices").click()
    page.click("#view summary")
    page.fill("#pairing-site", "no site!")
    page.fill("#pairing-name", "front desk")
    page.press("#pairing-name", "Enter")
    expect(page.locator("#pairing-site-hint")).to_contain_text("Letters, digits")
    page.fill("#pairing-site", "lodge-1")
    page.press("#pairing-site", "Enter")
    expect(page.locator("#view h4")).to_contain_text("shown this once")
    code, link = page.locator(".once code").all_inner_texts()
    assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}", code) and link == f"{console.node.url}/desk#pair={code}", (code, link)
    console.axe("code")
    page.get_by_role("button", name="I have it").click()
    assert code not in page.content(), "a code that was put away is nowhere"
    row = page.locator(".admin tbody tr", has_text="front desk")
    expect(row).to_contain_text("waits for its page")
    # A page becomes the device by the link.
    desk = page.context.browser.new_context()
    console.contexts.append(desk)
    one = desk.new_page()
    one.goto(link)
    one.wait_for_selector("#device-form:visible")
    assert one.input_value("#code") == code
    one.fill("#clerk-name", "Wang Fang")
    one.fill("#pin", "246802")
    one.fill("#pin-again", "246802")
    one.press("#pin-again", "Enter")
    one.wait_for_selector("#number:visible")
    row.get_by_role("button").click()
    expect(page.locator("#view .facts")).to_contain_text("paired")
    page.get_by_role("button", name="End permanently").click()
    page.locator(".grave .strong").last.click()
    expect(page.locator("#view")).to_contain_text("which is final")
    # Within the lease it is nobody's device any more.
    one.click("#sign-out")

    def is_told():
        if not one.is_visible("#pin"):
            return "ended" in one.inner_text("main")
        one.fill("#pin", "246802")
        one.press("#pin", "Enter")
        one.wait_for_timeout(500)
        return "ended" in one.inner_text("main")
    until(page, is_told)


def lists_go_on_and_every_view_fits_a_telephone_in_both_languages(console):
    of = organization(console, "Many Desks")
    for at in range(55):
        made(console, "/v1/admin/clients", {"organization_id": of, "scopes": ["checks", "blind"], "name": f"desk {at}"})
    for locale, width, height, scheme in [("en-GB", 1280, 800, "dark"), ("zh-CN", 390, 844, "light"), ("en-GB", 320, 600, "dark")]:
        page = console.open(locale=locale, width=width, height=height, scheme=scheme)
        console.enter()
        for name in VIEWS:
            view(console, name)
            is_there(page)
            for summary in page.locator("#view summary").all():
                summary.click()
            console.axe(f"{name}, {width}, {locale}")
            console.fits(f"{name}, {width}, {locale}")
        view(console, "clients")
        rows = page.locator(".admin tbody tr")
        expect(rows).to_have_count(50)
        page.locator("#view .act button").last.click()
        expect(rows).not_to_have_count(50)
        assert rows.count() > 50
        page.locator(".admin tbody tr .link").last.click()
        page.wait_for_selector("#view h3")
        for summary in page.locator("#view summary").all():
            summary.click()
        console.axe(f"one client, {width}, {locale}")
        console.fits(f"one client, {width}, {locale}")
        console.settle()


def keyboard_alone_is_enough(console):
    page = console.sign_in()
    page.focus("[data-view=organizations]")
    page.keyboard.press("Enter")
    expect(page.locator("#view-title")).to_be_focused()
    # What a person waits for: the list below the title.
    page.wait_for_selector("#view tbody tr")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#organization-name")).to_be_focused()
    page.keyboard.type("Keyboard Inn")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("110105")
    page.keyboard.press("Enter")
    expect(page.locator("#view h3")).to_have_text("Keyboard Inn")


def language_changes_what_is_shown(console):
    page = console.sign_in()
    view(console, "clients")
    expect(page.locator(".admin thead")).to_contain_text("Last used")
    page.click("#language")
    expect(page.locator(".admin thead")).to_contain_text("最近使用")
    expect(page.locator("#view-title")).to_have_text("客户端")
    view(console, "organizations")
    page.wait_for_selector(".admin tbody tr")
    shown = page.inner_text("#view") + page.inner_text("#views")
    names = "|".join(page.locator(".admin .link").all_inner_texts())
    left = re.findall(r"[A-Za-z]{4,}", re.sub("|".join(map(re.escape, names.split("|"))), "", shown))
    assert left == [], left


def log_is_told_and_who_cosigned_it(console):
    page = console.sign_in()
    view(console, "log")
    expect(page.locator("#view .facts")).to_contain_text("/registry-log/1", timeout=15_000)
    expect(page.locator("#view")).to_contain_text("Nobody has cosigned")
    first = int(page.locator("#view dd").nth(1).inner_text())
    console.node.post(console.node.station, "/v1/loss-reports", {"id_number": a_number(), "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"})
    until(page, lambda: int(page.locator("#view dd").nth(1).inner_text()) > first)
    # Lines as two witnesses write them. One of them fails after that.
    state = {"failing": False}

    def cosigned(route):
        response = route.fetch()
        line = base64.b64encode(bytes(4) + struct.pack(">Q", int(time.time()) - 30) + bytes(64)).decode()
        names = ["witness.example/w1"] + ([] if state["failing"] else ["witness.example/w2"])
        route.fulfill(response=response, body=response.text() + "".join(f"— {name} {line}\n" for name in names))
    page.route("**/registry-log/*/checkpoint", cosigned)
    expect(page.locator("#view .admin")).to_contain_text("witness.example/w2", timeout=15_000)
    expect(page.locator("#view .admin")).to_contain_text(re.compile("3[0-9] seconds ago"))
    state["failing"] = True
    expect(page.locator("#view .admin")).to_contain_text("not this one", timeout=15_000)
    console.axe("log")


def who_looked_is_told_and_the_number_stays_nowhere(console):
    number = a_number()
    node = console.node
    node.post(node.station, "/v1/loss-reports", {"id_number": number, "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"})
    node.post(node.station, "/v1/loss-reports/search", {"id_number": number})
    page = console.sign_in()
    view(console, "accesses")
    page.fill("#accesses-id_number", number[:-1])
    page.press("#accesses-id_number", "Enter")
    expect(page.locator("#view .message").last).to_contain_text("no identity number")
    page.fill("#accesses-id_number", f"{number[:6]} {number[6:14]} {number[14:]}")
    page.press("#accesses-id_number", "Enter")
    rows = page.locator(".admin tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("reports_searched")
    expect(rows.last).to_contain_text("report_filed")
    expect(rows.first).to_contain_text("loopback")
    assert number not in page.content() and page.input_value("#accesses-id_number") == ""
    page.fill("#accesses-id_number", number)
    page.press("#accesses-id_number", "Enter")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("accesses_read")
    expect(rows.first).to_contain_text("Test admin")
    view(console, "state")
    assert number not in page.content()


def office_is_described_and_described_again(console):
    page = console.sign_in()
    view(console, "offices")
    for name in ("Quay station", "Harbour station"):
        page.fill("#office-code", "110105-77")
        page.fill("#office-name", name)
        page.fill("#office-reach", "1 Quay Road, +86 10 1234 5678")
        page.press("#office-reach", "Enter")
        expect(page.locator(".admin tbody tr", has_text="110105-77")).to_contain_text(name)
    assert page.locator(".admin tbody tr", has_text="110105-77").count() == 1
    page.fill("#office-code", "no code!")
    page.fill("#office-name", "a")
    page.fill("#office-reach", "b")
    page.press("#office-reach", "Enter")
    expect(page.locator("#office-code-hint")).to_contain_text("Letters, digits")


def signing_out_leaves_nothing_of_it(console):
    page = console.sign_in()
    view(console, "clients")
    page.wait_for_selector(".admin tbody tr")
    page.click("#sign-out")
    assert page.locator(".admin").count() == 0 and not page.is_visible("#views")
    console.enter()
    assert page.is_visible("#figures") and not page.is_visible("#view")


def page_is_light_with_all_its_views(console):
    page = console.open()
    seen = console.weigh()
    console.enter()
    for name in VIEWS:
        view(console, name)
        is_there(page)
    assert len(seen) > 15 and sum(seen.values()) <= BYTES_MAX, seen


CASES = [
    hotel_is_made_and_its_desk_gets_a_secret_that_is_shown_once, client_is_changed_suspended_and_ended, new_secret_certificate_and_keys,
    tokens_are_revoked, held_client_is_seen_and_released, registrar_takes_two_operators,
    undoing_and_export_take_two_operators_and_the_export_is_saved, device_gets_a_code_that_is_shown_once_and_is_ended,
    lists_go_on_and_every_view_fits_a_telephone_in_both_languages, keyboard_alone_is_enough, language_changes_what_is_shown,
    log_is_told_and_who_cosigned_it, office_is_described_and_described_again, who_looked_is_told_and_the_number_stays_nowhere, signing_out_leaves_nothing_of_it,
    page_is_light_with_all_its_views,
]
