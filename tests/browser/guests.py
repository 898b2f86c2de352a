"""A shift at the desk: readers' lines, yellow answers, groups, a telephone, settings, and a network that fails."""

import json
import re
import statistics

from playwright.sync_api import expect

from harness import digest

# Name, number and dates as card readers and hotel programs send them.
NUMBER = "11010519491231002X"
LINES = [
    ("11010519491231002X", None), ("110105 19491231 002x", None), ("１１０１０５１９４９１２３１００２Ｘ", None), ("110105-19491231-002X", None),
    ("张三 男 汉 11010519491231002X 2016.05.01-2036.05.01 某某公安局", "2016-05-01"),
    ("2016。05。01－2036。05。01，张三，11010519491231002X", "2016-05-01"),
    ("11010519491231002X|20160501|20360501|张三|19491231", "2016-05-01"),
    ("20160501 20360501 Zhang San 11010519491231002X", "2016-05-01"),
    ("张三 1949年12月31日 11010519491231002X 2016年5月1日至长期", "2016-05-01"),
    ("11010519491231002X\t1949.12.31\t张三", None), ("\"张三\",\"110105194912310 02X\"", "error"), ("张三", "error"),
    ("11010519491231002X 2016-05-01", "2016-05-01"), ("2016.05.01 11010519491231002X", "2016-05-01"),
    ("\"11010519491231002X\",\"2016-05-01\"", "2016-05-01"), ("11010519491231002X,2016-05-01,长期", "2016-05-01"),
    ("11010519491231002X 2026-11-01 2036-11-01", "2026-11-01"), ("11010519491231002X 2016.02.29-2021.02.28", "2016-02-29"),
    ("11010519491231002X 2016.02.29-2036.02.29", "2016-02-29"), ("2006.05.01-2016.05.01 11010519491231002X", "2006-05-01"),
    ("11010519491231002X 2026-11-20 2016.05.01 2036.05.01 2026-11-22 8801", "2016-05-01"),
    # What is not surely the start: arrivals, stays, orders, and an end alone. Taken for the start, it makes a stolen card the newer one.
    ("张三,11010519491231002X,2026-11-21", None), ("张三 11010519491231002X 2026-11-20 2026-11-22 8801", None),
    ("11010519491231002X 2026.11.20至2026.11.22", None), ("订单20260915 11010519491231002X", None),
    ("张三 11010519491231002X 有效期至2016.05.01", None), ("张三 11010519491231002X 2016-05-01", None),
    ("11010519491231002X 2016-05-01 8801", None), ("11010519491231002X 2026-11-21", None), ("11010519491231002X 2025-11-23", None),
    ("11010519491231002X 2016.05.01-2017.05.01", None), ("11010519491231002X 2016.05.01-2036.05.02", None),
    ("11010519491231002X 2016-05-01 长期住客", None), ("11010519491231002X 2026-11-21 长期", None),
    ("11010519491231002X 2006.05.01-2016.05.01 2016.05.01-2036.05.01", None), ("11010519491231002X 2020.05.01 2016.04.01", None),
    ("110105194912310021 2016-05-01", "error"), ("1101051949123100211234", "error"),
    ("张三 110105194912310021 20160501", "error"), ("", "error"),
]


def end_of(date):
    """Where the validity of a card ends that starts on this day: twenty years later."""
    year, rest = int(date[:4]) + 20, date[4:]
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return f"{year}{rest if rest != '-02-29' or leap else '-02-28'}"


def lines_of_readers_are_understood(desk):
    page = desk.open()
    read = 'async ([texts, today]) => { const m = await import("/web/reading.js"); return texts.map((text) => m.readLine(text, today)); }'
    for (text, wanted), got in zip(LINES, page.evaluate(read, [[text for text, _ in LINES], "20261123"]), strict=True):
        if wanted == "error":
            assert "error" in got and "number" not in got, f"{text}: {got}"
        else:
            assert got == {"number": NUMBER} | ({"date": wanted} if wanted else {}), f"{text}: {got}"


def readers_line_is_checked_and_the_name_forgotten(desk):
    page, node = desk.sign_in(), desk.node
    number, date = node.listed
    until = end_of(date)
    desk.typed.add(number)
    page.focus("#number")
    page.keyboard.insert_text(f"某某 {number} {until.replace('-', '.')}")
    assert "Number read, no start date" in page.inner_text("#number-hint")
    page.fill("#number", "")
    page.keyboard.insert_text(f"某某 {number} {date.replace('-', '.')}-{until.replace('-', '.')}")
    assert f"start date {date.replace('-', '.')} read" in page.inner_text("#number-hint")
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer .verdict.card_listed")
    assert desk.bodies("/v1/checks")[-1]["card_valid_from"] == date
    assert "某某" not in page.content()
    # Pasted, the fields take what they are for.
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("(text) => navigator.clipboard.writeText(text)", f"某某\t{number}\t{date.replace('-', '')}\t{until.replace('-', '')}")
    page.focus("#number")
    page.keyboard.press("Control+V")
    assert (page.input_value("#number"), page.input_value("#date")) == (number, date.replace("-", "."))
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer-title:focus")
    desk.no_number_left()


def yellow_leads_to_the_date_and_nothing_is_wiped_before_enter(desk):
    page, node = desk.sign_in(), desk.node
    number, date = node.listed
    page.focus("#number")
    page.keyboard.insert_text(number)
    desk.typed.add(number)
    page.keyboard.press("Enter")
    page.wait_for_selector("#confirm:focus")
    assert desk.look() == "number_listed" and number[-4:] in page.inner_text("#answer .tail")
    page.keyboard.insert_text(date.replace("-", "。"))
    assert desk.look() == "number_listed", "the answer stays while the date is typed"
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer .verdict.card_listed")
    told = page.inner_text("#answer")
    assert "Compare the face" in told and "withdraws the report" in told and "Nobody but the police" in told
    # The next guest's number is typed beside the answer, which says whose it is.
    page.keyboard.type("1101")
    assert desk.look() == "card_listed" and number[-4:] in page.inner_text("#before")
    page.keyboard.press("Escape")
    page.wait_for_selector("#number:focus")
    # A reader that sends the next card into the field for the date.
    desk.ask(number)
    page.wait_for_selector("#confirm:focus")
    page.keyboard.insert_text(node.unlisted[0])
    desk.typed.add(node.unlisted[0])
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer .verdict.not_listed")
    assert desk.bodies("/v1/checks")[-1]["id_digest"] == digest(node.unlisted[0])


def enter_to_colour_is_quick(desk):
    page, node = desk.sign_in(), desk.node
    measure = """() => new Promise((done) => { const form = document.getElementById("ask-form"); const begun = performance.now();
        new MutationObserver((_, watch) => { if (!document.querySelector("#answer .verdict")) return; watch.disconnect();
            requestAnimationFrame(() => done(performance.now() - begun)); }).observe(document.getElementById("answer"), { childList: true });
        form.requestSubmit(); })"""
    bare = """async () => { const begun = performance.now(); await (await fetch("/v1/status", { cache: "no-store" })).text();
        await new Promise(requestAnimationFrame); return performance.now() - begun; }"""
    took, without = [], []
    for number, date in [node.unlisted, node.listed, node.newer] * 3:
        page.fill("#number", number)
        page.fill("#date", date)
        desk.typed.add(number)
        without.append(page.evaluate(bare))
        took.append(page.evaluate(measure))
    # The goal is 150 ms, of a debug build too. More is allowed only where the machine is so busy with other things that the plainest
    # question, `GET /v1/status` and the next frame, takes over 30 ms: then five of those.
    middle, plainest = statistics.median(took), statistics.median(without)
    assert middle < max(150, 5 * plainest), f"{middle:.0f} ms of {took}; the plainest question took {plainest:.0f} ms"


def settings_change_without_signing_in_again(desk):
    page, node = desk.sign_in(), desk.node
    page.click("#settings summary")
    page.select_option("#purpose", "banking")
    page.fill("#site", "三号楼 前台")
    page.fill("#clerk", "王")
    page.press("#clerk", "Tab")
    expect(page.locator("#site-code")).to_contain_text("site-")
    code = page.inner_text("#site-code").split()[-1]
    assert re.fullmatch(r"site-[0-9a-f]{12}", code) and page.inner_text("#settings-now") == "Banking · 三号楼 前台 · 王"
    desk.ask(*node.unlisted)
    sent = desk.bodies("/v1/checks")[-1]
    assert (sent["purpose"], sent["site"]) == ("banking", code) and "王" not in json.dumps(sent, ensure_ascii=False)
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert desk.look() == "not_listed" and "银行" in page.inner_text("#settings-now")
    page.fill("#site", " 三号楼　前台 ")
    page.press("#site", "Tab")
    page.fill("#site", "front-1")
    page.press("#site", "Tab")
    expect(page.locator("#site-code")).to_be_empty()
    desk.ask(*node.unlisted)
    assert desk.bodies("/v1/checks")[-1]["site"] == "front-1"
    page.fill("#site", "1101 0519 4912 3100 2X")
    page.press("#site", "Tab")
    expect(page.locator("#settings-message")).to_contain_text("证件号码")
    desk.ask(*node.unlisted)
    assert desk.bodies("/v1/checks")[-1]["site"] == "front-1", "a number is no site"
    assert len([1 for _, url, _ in desk.sent if url.endswith("/oauth2/token")]) == 1
    same = page.evaluate("async () => { const { codeOf } = await import('/desk/settings.js'); return Promise.all([' 三号楼　前台 ', '三号楼 前台'].map(codeOf)); }")
    assert same == [code, code], "the same words are the same code at every desk"


def group_is_checked_in_one_batch(desk):
    page, node = desk.sign_in(), desk.node
    guests = [node.unlisted, node.listed, (node.listed[0], ""), node.newer]
    desk.typed |= {number for number, _ in guests}
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    text = "\n".join(f"客人 {number} {f'{date}/{end_of(date)}'.replace('-', '') if date else ''} 8801" for number, date in guests)
    page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    page.focus("#number")
    page.keyboard.press("Control+V")
    assert page.evaluate("document.activeElement.id") == "lines" and "4 cards read" in page.inner_text("#lines-hint")
    # As a reader sends it: a line and Enter.
    page.keyboard.insert_text("\n110105194912310021")
    page.press("#lines", "Tab")
    page.keyboard.press("Enter")
    assert "Line 5" in page.inner_text("#lines-hint") and desk.bodies("/v1/checks/batch") == [], "nothing is sent while a line is wrong"
    page.fill("#lines", text)
    page.press("#lines", "Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#group-title:focus")
    [sent] = desk.bodies("/v1/checks/batch")
    assert [check["id_digest"] for check in sent["checks"]] == [digest(number) for number, _ in guests]
    assert page.input_value("#lines") == "" and "客人" not in page.content()
    looks = [item.get_attribute("class").split()[-1] for item in page.locator(".guests li").all()]
    assert looks == ["not_listed", "card_listed", "number_listed", "other_card_listed"]
    assert page.inner_text(".counts").split("\n") == ["Stop 1", "Confirm 1", "Older card listed 1", "No report 1"]
    for item, (_, date) in zip(page.locator(".guests li small").all(), guests, strict=True):
        told = item.inner_text()
        assert (f"card from {date.replace('-', '.')}" in told) if date else "card from" not in told, "the start that was used is told"
    assert not page.is_visible("#group-before") and not page.is_visible("#group-age")
    page.fill("#number", "1")
    expect(page.locator("#group-before")).to_have_text("These are the answers for the cards before.")
    page.fill("#number", "")
    expect(page.locator("#group-before")).to_be_hidden()
    desk.axe("group")
    desk.fits("group")
    # The yellow one is finished without its number, and the group stays.
    page.get_by_role("button", name="Start date").click()
    page.wait_for_selector("#confirm:focus")
    page.keyboard.insert_text(node.listed[1].replace("-", "."))
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer .verdict.card_listed")
    looks = [item.get_attribute("class").split()[-1] for item in page.locator(".guests li").all()]
    assert looks == ["not_listed", "card_listed", "card_listed", "other_card_listed"]
    page.locator(".guests li >> nth=0").get_by_role("button").click()
    page.wait_for_selector("#answer .verdict.not_listed")
    assert page.get_by_role("button", name="Save receipt").first.is_visible()
    assert page.locator("#rows tbody tr").count() == 5
    page.keyboard.press("Escape")
    assert not page.is_visible("#group") and page.text_content("#slip") == ""


def group_that_gets_no_answer_is_told(desk):
    page, node = desk.sign_in(), desk.node
    page.click("#several summary")
    page.route("**/v1/checks/batch", lambda route: route.fulfill(status=429, headers={"Retry-After": "9"}, json={"code": "limit_spent"}))
    page.fill("#lines", f"{node.listed[0]}\n{node.unlisted[0]}")
    desk.typed |= {node.listed[0], node.unlisted[0]}
    page.get_by_role("button", name="Check all").click()
    page.wait_for_selector(".guests .failure")
    assert page.locator(".guests .failure").count() == 2 and "Not checked 2" in page.inner_text(".counts")
    page.unroute("**/v1/checks/batch")
    page.locator(".guests li >> nth=0").get_by_role("button").click()
    assert "Too many checks" in page.inner_text("#answer")
    page.fill("#lines", "\n".join([node.listed[0]] * 101))
    page.get_by_role("button", name="Check all").click()
    assert "At most 100" in page.inner_text("#lines-hint")


def telephone_has_the_verdict_above_the_form(desk):
    page, node = desk.sign_in(width=390, height=844), desk.node
    top = lambda selector: page.locator(selector).bounding_box()["y"]  # noqa: E731
    assert not page.is_visible("#result"), "no empty box between the header and the form"
    assert page.get_attribute("#number", "inputmode") == "numeric" and page.get_attribute("#date", "inputmode") == "decimal"
    desk.ask(*node.listed)
    assert top("#answer .verdict") < top("#ask") and 0 <= top("#answer .verdict") < 500
    for button in page.locator("#answer button:visible, #ask .primary:visible").all():
        assert button.bounding_box()["height"] >= 44, button.inner_text()
    desk.fits("phone")
    phone = desk.browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="zh-CN")
    desk.contexts.append(phone)
    page = desk.page = phone.new_page()
    page.add_init_script("window.violations = []")
    page.goto(node.url + "/desk")
    page.tap("#by-secret summary")
    page.fill("#client-id", node.hotel[0])
    page.fill("#client-secret", node.hotel[1])
    page.tap("#enter")
    page.wait_for_selector("#number:visible")
    page.fill("#number", NUMBER[:-1])
    page.tap("#put-x")
    assert page.input_value("#number") == NUMBER and page.evaluate("document.activeElement.id") == "number"
    desk.typed.add(NUMBER)


def network_that_fails_makes_no_old_answer_new(desk):
    page, node = desk.sign_in(clock=True), desk.node
    desk.ask(*node.unlisted)
    assert not page.is_visible("#age") and not page.is_visible("#offline")
    page.clock.run_for(30_000)
    assert not page.is_visible("#age")
    page.clock.run_for(35_000)
    assert "1 minute ago" in page.inner_text("#age"), "an answer is new for a minute"
    desk.ask(*node.unlisted)
    assert not page.is_visible("#age")
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    assert "ago" in page.inner_text("#age"), "without a network at once"
    # The page's clock also goes by itself: a slow machine has half a minute for the steps since the answer.
    page.clock.run_for(25_000)
    assert re.search(r"No network.* [2-5]\d seconds ago", page.inner_text("#offline"))
    # What changes each second is beside what a screen reader is told, not in it.
    assert not re.search(r"\d", page.inner_text("#offline [role=status]")), page.inner_text("#offline [role=status]")
    assert page.locator("#offline-ago").evaluate("(of) => of.closest('[role=status], [aria-live]') === null")
    desk.axe("offline")
    desk.ask(*node.listed)
    assert desk.look() == "failure" and "do not let through" in desk.title()
    page.context.set_offline(False)
    page.clock.run_for(6_000)
    expect(page.locator("#offline")).to_be_hidden()
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("#answer .verdict.card_listed")


def answers_of_a_group_grow_old(desk):
    page, node = desk.sign_in(clock=True), desk.node
    page.click("#several summary")
    page.fill("#lines", f"{node.listed[0]}\n{node.unlisted[0]}")
    desk.typed |= {node.listed[0], node.unlisted[0]}
    page.get_by_role("button", name="Check all").click()
    page.wait_for_selector("#group-title:focus")
    page.clock.run_for(30_000)
    assert not page.is_visible("#group-age")
    page.clock.run_for(35_000)
    assert "oldest of these answers came 1 minute ago" in page.inner_text("#group-age")
    desk.axe("an old group")
    page.fill("#lines", node.unlisted[0])
    page.get_by_role("button", name="Check all").click()
    expect(page.locator(".guests li")).to_have_count(1)
    assert not page.is_visible("#group-age")
    page.context.set_offline(True)
    expect(page.locator("#group-age")).to_be_visible()
    page.context.set_offline(False)


def words_are_those_of_the_counter(desk):
    page, node = desk.sign_in(locale="zh-CN"), desk.node
    assert "不上传号码原文" in page.inner_text("#number-hint") and "国徽面" in page.inner_text("#date-hint")
    assert "房号/订单号" in page.inner_text("#ask")
    desk.ask(*node.listed)
    told = page.inner_text("#answer")
    for words in ("数据更新至", "解除挂失", "核对本人", "除公安机关外", node.listed[1].replace("-", ".")):
        assert words in told, words
    assert re.search(r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d", told) and not re.search(r"年\d+月|\d/\d", told)
    page.route("**/v1/checks", lambda route: route.abort())
    desk.ask(*node.listed)
    assert desk.title() == "核查失败，请勿放行"


CASES = [
    lines_of_readers_are_understood, readers_line_is_checked_and_the_name_forgotten,
    yellow_leads_to_the_date_and_nothing_is_wiped_before_enter, enter_to_colour_is_quick, settings_change_without_signing_in_again,
    group_is_checked_in_one_batch, group_that_gets_no_answer_is_told, telephone_has_the_verdict_above_the_form,
    network_that_fails_makes_no_old_answer_new, answers_of_a_group_grow_old, words_are_those_of_the_counter,
]
