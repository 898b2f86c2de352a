"""The desk's private mode: what it says is what a direct check says, and what leaves the page by it tells the service nothing of the card."""

import json
import re

from playwright.sync_api import expect

from guests import end_of
from station import a_number


def house(desk):
    """A client that may check directly and blindly; the same one for all cases."""
    node = desk.node
    if not hasattr(node, "private_house"):
        of = node.post(node.operator, "/v1/admin/organizations", {"name": "Quiet Inn", "kind": "certifying", "region": "110105"})[1]
        body = {"organization_id": of["organization_id"], "scopes": ["checks", "blind"], "rate": "6000/60s", "numbers": "none"}
        made = node.post(node.operator, "/v1/admin/clients", body)[1]
        node.private_house = (made["client_id"], made["client_secret"])
    return node.private_house


def sign_in(desk, **options):
    page = desk.open(**options)
    page.fill("#client-id", house(desk)[0])
    page.fill("#client-secret", house(desk)[1])
    page.press("#client-secret", "Enter")
    page.wait_for_selector("#number:visible")
    return page


def switch_on(page):
    """The node builds its base after it has started."""
    hint = page.locator("#private-hint")
    for _ in range(100):
        page.check("#private")
        expect(hint).to_have_text(re.compile(r"^(On\.|Off:|已开启|未开启)"), timeout=30_000)
        if not re.match(r"Off: the list is being|未开启：名单", hint.inner_text()):
            break
        page.wait_for_timeout(500)
    expect(hint).to_have_text(re.compile(r"^(On\.|已开启)"))


def asked(desk, path):
    return [data for method, url, data in desk.sent if method == "POST" and url.endswith(path)]


def says_what_direct_checks_say_and_asks_only_what_may_be_reported(desk):
    node = desk.node
    after, known = a_number(), a_number()
    for number, start in ((after, None), (known, "2018-03-01")):
        report = {"id_number": number, "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"}
        node.post(node.station, "/v1/loss-reports", {**report, **({"card_valid_from": start} if start else {})})
    cards = [
        node.unlisted, (a_number(), ""), node.listed, (node.listed[0], ""), node.newer, (after, ""), (after, "2020-01-01"), (known, "2018-03-01"),
        (known, "2017-01-01"), (known, "2021-05-01"),
    ]
    direct = []
    sign_in(desk)
    for number, start in cards:
        desk.ask(number, start)
        direct.append((desk.look(), desk.title()))
    assert {look for look, _ in direct} == {"not_listed", "card_listed", "number_listed", "other_card_listed"}, direct
    page = sign_in(desk)
    switch_on(page)
    for (number, start), told in zip(cards, direct):
        before = len(asked(desk, "/v1/checks"))
        desk.ask(number, start)
        assert (desk.look(), desk.title()) == told, (start, told)
        is_settled = told[0] in ("not_listed", "other_card_listed")
        assert len(asked(desk, "/v1/checks")) - before == (0 if is_settled else 1), told
        assert ("private check" in page.inner_text("#answer")) == is_settled
        assert page.locator("#slip svg.qr").count() == 0 or not is_settled
    for body in asked(desk, "/v1/blind/evaluations"):
        assert not re.search(r"[0-9a-f]{64}", body), "no digest is in what the service gets"
    assert len(asked(desk, "/v1/blind/evaluations")) == len(cards)
    assert "private" in page.inner_text("#rows")


def what_is_reported_meanwhile_is_known_at_once(desk):
    page = sign_in(desk)
    switch_on(page)
    number = a_number()
    desk.ask(number, "2020-01-01")
    assert desk.look() == "not_listed"
    report = {"id_number": number, "card_valid_from": "2020-01-01", "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"}
    assert desk.node.post(desk.node.station, "/v1/loss-reports", report)[0] == 201
    desk.ask(number, "2020-01-01")
    assert desk.look() == "card_listed"


def group_is_settled_blind_and_the_rest_is_asked_in_one_batch(desk):
    node = desk.node
    page = sign_in(desk)
    switch_on(page)
    cards = [node.unlisted, node.listed, node.newer, (a_number(), "")]
    desk.typed.update(number for number, _ in cards)
    page.click("#several summary")
    page.fill("#lines", "\n".join(f"{number} {start} {end_of(start) if start else ''}" for number, start in cards))
    page.click("#several-form .primary")
    page.wait_for_selector("#group-title:focus")
    looks = [item.get_attribute("class").split()[1] for item in page.locator(".guests li").all()]
    assert looks == ["not_listed", "card_listed", "other_card_listed", "not_listed"], looks
    batches = [json.loads(body) for body in asked(desk, "/v1/checks/batch")]
    assert [len(batch["checks"]) for batch in batches] == [1], "one card alone was asked openly"
    assert len(asked(desk, "/v1/blind/evaluations")) == 1


def nothing_of_it_is_fetched_before_it_is_switched_on(desk):
    page = sign_in(desk)
    fetched = lambda: [url for _, url, _ in desk.sent if "blind" in url or url.endswith("/desk/private.js")]  # noqa: E731
    desk.ask(*desk.node.unlisted)
    assert fetched() == []
    switch_on(page)
    assert any(url.endswith("/desk/blind.min.js") for url in fetched())
    assert re.search(r"learns that you check a card, not which one", page.inner_text("#private-hint"))
    page.uncheck("#private")
    count = len(fetched())
    desk.ask(*desk.node.unlisted)
    assert len(fetched()) == count and len(asked(desk, "/v1/checks")) == 2


def outage_is_no_answer_and_nothing_is_asked_openly(desk):
    page = sign_in(desk)
    switch_on(page)
    page.route("**/v1/blind/evaluations", lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json={"code": "registry_unavailable"}))
    desk.ask(*desk.node.unlisted)
    assert desk.look() == "failure" and asked(desk, "/v1/checks") == []
    page.unroute("**/v1/blind/evaluations")

    def forged(route):
        answer = route.fetch()
        body = answer.json()
        body["proof"] = ("A" if body["proof"][0] != "A" else "B") + body["proof"][1:]
        route.fulfill(response=answer, json=body)
    page.route("**/v1/blind/evaluations", forged)
    desk.ask(*desk.node.unlisted)
    assert desk.look() == "failure" and "could not prove" in page.inner_text("#answer") and asked(desk, "/v1/checks") == []
    desk.axe("unproven")


def house_without_the_scope_is_told(desk):
    page = desk.sign_in()
    page.check("#private")
    expect(page.locator("#private-hint")).to_contain_text("lacks the scope")
    assert not page.is_checked("#private")
    desk.ask(*desk.node.unlisted)
    assert desk.look() == "not_listed"


def keyboard_telephone_and_languages(desk):
    for locale, width, height, scheme in [("zh-CN", 390, 844, "light"), ("en-GB", 320, 600, "dark")]:
        page = sign_in(desk, locale=locale, width=width, height=height, scheme=scheme)
        desk.axe(f"private off, {width}")
        page.focus("#private")
        page.keyboard.press("Space")
        page.wait_for_timeout(50)
        switch_on(page)
        desk.ask(*desk.node.unlisted)
        desk.axe(f"private, {width}")
        desk.fits(f"private, {width}")
        page.click("#language")
        expect(page.locator("#private-hint")).to_have_text(re.compile(r"^(On\.|已开启)"))
        page.click("#sign-out")
        assert not page.is_checked("#private") and page.is_visible("#entry")
        desk.settle()


CASES = [
    says_what_direct_checks_say_and_asks_only_what_may_be_reported, what_is_reported_meanwhile_is_known_at_once,
    group_is_settled_blind_and_the_rest_is_asked_in_one_batch, nothing_of_it_is_fetched_before_it_is_switched_on,
    outage_is_no_answer_and_nothing_is_asked_openly, house_without_the_scope_is_told, keyboard_telephone_and_languages,
]
