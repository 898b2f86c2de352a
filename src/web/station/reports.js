// Loss reports: filed, found by number or id, withdrawn with a second person where that is needed, shown where they were seen.

import { act, facts, form, idForm, printed, reasonOf, told, zone } from "./forms.js";
import { printReceipt } from "./papers.js";
import { station } from "./state.js";
import { byId, make } from "../web/elements.js";
import { language, localTime, t } from "../web/i18n.js";
import { Session, secretOf } from "../web/session.js";

const dayMs = 24 * 3600_000;
const reasons = [["lost", "reason_lost"], ["stolen", "reason_stolen"]];
const reporters = [["holder", "reporter_holder"], ["guardian", "reporter_guardian"], ["agent", "reporter_agent"]];
const ways = [["station", "way_station"], ["hall", "way_hall"], ["telephone", "way_telephone"]];

/** Reports of a number that this organization has. */
const reportsOf = async (number) => (await station.session.post("/v1/loss-reports/search", { id_number: number })).reports;

/** Filing. */
export function reportTask() {
  const result = zone();
  const fields = form("report", [
    { name: "id_number", kind: "number", hint: "number_hint" },
    { name: "card_valid_from", kind: "start", optional: true, hint: "start_hint" },
    { name: "way", kind: "select", words: ways, keeps: true },
    { name: "reporter", kind: "select", words: reporters },
    { name: "phone", kind: "phone", optional: true, hint: "phone_hint", at: "contact/phone" },
    { name: "reason", kind: "select", words: reasons },
    { name: "lost_on", kind: "day", optional: true },
  ], "report_send", async (values, key) => {
    result.clear();
    if (values.way === "telephone" && !values.phone) return needPhone(fields);
    const before = (await reportsOf(values.id_number)).filter((one) => one.reporter === values.reporter && Date.now() - Date.parse(one.reported_at) < dayMs);
    if (before.length === 0) return file(fields, result, values, key);
    result.show(() => [
      told("p", "again_title", { className: "warning", role: "alert" }),
      make("ul", { className: "rows" }, before.map((report) => make("li", {}, row(report, station.tails.get(report.report_id))))),
      make("div", { className: "actions" },
        act("again_file", () => file(fields, result, values, key), "strong"),
        act("again_leave", async () => { result.clear(); fields.empty(); fields.field("id_number").focus(); }, "primary")),
    ]);
    result.querySelector(".actions .primary")?.focus();
  });
  return [told("p", "report_intro", { className: "hint" }), fields, result];
}

// Who reports by telephone was not seen: the office has to be able to call back.
function needPhone(fields) {
  const field = fields.field("phone");
  field.setAttribute("aria-invalid", "true");
  const hint = byId(`${field.id}-hint`);
  hint.textContent = t("phone_needed");
  hint.classList.add("wrong");
  field.focus();
}

async function file(fields, result, values, key) {
  const { way, phone, ...rest } = values;
  // A call is taken at the station; that it was one is on the receipt.
  const channel = way === "telephone" ? "station" : way;
  const report = await station.session.post(
    "/v1/loss-reports", { ...rest, office: station.office, channel, ...(phone && { contact: { phone } }) }, { "Idempotency-Key": key });
  const tail = values.id_number.slice(-4);
  station.tails.set(report.report_id, tail);
  fields.empty();
  const filed = { ...report, office: station.office, reporter: values.reporter, way, lost_on: values.lost_on };
  result.show(() => [
    told("h3", "filed_title", { tabIndex: -1 }),
    told("p", "filed_text"),
    row(filed, tail),
    make("div", { className: "actions" },
      act("print_receipt", async () => printReceipt(filed, tail), "primary"),
      act("next_report", async () => { result.clear(); fields.field("id_number").focus(); })),
  ]);
  result.querySelector(".actions .primary")?.focus();
}

/** What a report is, in a few words. */
export function row(report, tail) {
  return facts([
    ["report_id", report.report_id],
    ["state", t(`state_${report.state}`)],
    ["reported_at", localTime(report.reported_at)],
    ["tail", tail],
    ["field_card_valid_from", printed(report.card_valid_from) ?? t("not_given")],
    ["field_reason", t(`reason_${report.reason}`)],
    ["field_reporter", report.reporter && t(`reporter_${report.reporter}`)],
    ["office", report.office],
  ]);
}

/** Searching, by number or by the id of a receipt. */
export function searchTask() {
  const result = zone();
  const fields = form("search", [{ name: "wanted", kind: "number_or_id", hint: "wanted_hint" }], "search_send", async ({ wanted }) => {
    result.clear();
    const isId = idForm.test(wanted);
    const found = isId ? [await station.session.get(`/v1/loss-reports/${wanted}`)] : await reportsOf(wanted);
    fields.empty();
    show(result, found, isId ? "" : wanted.slice(-4));
  });
  return [told("p", "search_intro", { className: "hint" }), fields, result];
}

function show(result, found, tail) {
  if (found.length === 0) return result.show(() => told("p", "search_nothing", { role: "status" }));
  result.show(() => [
    make("h3", { tabIndex: -1 }, t("search_found", { count: found.length })),
    make("ol", { className: "rows" }, found.map((report) => make("li", {}, entry(report, tail, (after) => {
      Object.assign(report, after);
      show(result, found, tail);
    })))),
  ]);
  result.querySelector("h3")?.focus();
}

function entry(report, tail, changed) {
  const known = tail || station.tails.get(report.report_id) || "";
  const more = zone();
  const buttons = [
    act("print_receipt", async () => printReceipt(report, known)),
    act("show_sightings", () => sightings(report, more)),
    report.state === "active" ? act("withdraw", async () => withdrawal(report, more, changed)) : null,
  ];
  return [row(report, known), make("div", { className: "actions" }, buttons), more];
}

function withdrawal(report, more, changed) {
  const fields = form(`withdraw-${report.report_id}`, [
    { name: "reason", kind: "select", words: [["found", "withdraw_found"], ["mistaken", "withdraw_mistaken"]], label: "withdraw_reason" },
  ], "withdraw_send", async ({ reason }) => {
    const path = `/v1/loss-reports/${report.report_id}/withdrawal`;
    const answer = await station.session.post(path, { office: station.office, reason });
    if (answer.state !== "awaiting_confirmation") return changed({ state: answer.state });
    more.show(() => [
      told("p", "second_needed", { className: "warning", role: "alert" }),
      make("div", { className: "actions" }, act("second_now", async () => second(path, changed), "primary")),
    ]);
  });
  more.show(() => [told("p", "withdraw_text", { className: "hint" }), fields]);
  fields.querySelector("select").focus();
}

/** The second person signs in for this one act, and is signed out with it. */
export function second(path, done) {
  const [dialog, message] = [byId("second"), byId("second-message")];
  const clear = () => { byId("second-id").value = byId("second-secret").value = message.textContent = ""; };
  clear();
  byId("second-cancel").onclick = () => dialog.close();
  dialog.onclose = clear;
  byId("second-form").onsubmit = async (event) => {
    event.preventDefault();
    const person = new Session("registry", secretOf(byId("second-id").value.trim(), byId("second-secret").value.trim()), () => {});
    message.textContent = "";
    try {
      await person.renew();
      const answer = await person.post(`${path}/confirmation`, { office: station.office });
      dialog.close();
      done(answer);
    } catch (refusal) {
      if (!refusal.kind) throw refusal;
      message.textContent = reasonOf(refusal);
    } finally {
      person.end();
    }
  };
  dialog.showModal();
}

/** Where the card was shown, by day, the latest first. */
async function sightings(report, more) {
  const seen = [];
  let cursor = "";
  do {
    const page = await station.session.get(`/v1/loss-reports/${report.report_id}/sightings?limit=1000${cursor && `&cursor=${cursor}`}`);
    seen.push(...page.sightings);
    cursor = page.next_cursor ?? "";
  } while (cursor && seen.length < 5000);
  seen.sort((one, other) => Date.parse(other.seen_at) - Date.parse(one.seen_at));
  more.show(() => seen.length === 0 ? told("p", "sightings_none", { role: "status" }) : [
    told("h4", "sightings_title"),
    make("ol", { className: "line" }, byDay(seen).map(([on, all]) => make("li", {}, make("b", {}, on), make("ul", {}, all.map(place))))),
  ]);
}

/** The day of an instant, as the page's language writes it. */
function day({ seen_at }) {
  if (language() === "zh-CN") return localTime(seen_at).split(" ")[0];
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium" }).format(new Date(seen_at));
}

function byDay(seen) {
  const days = new Map();
  for (const one of seen) days.set(day(one), [...(days.get(day(one)) ?? []), one]);
  return [...days];
}

function place({ organization_name, site, region, purpose, verdict, count, seen_at }) {
  const time = make("time", { dateTime: seen_at }, localTime(seen_at, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }));
  const times = count > 1 ? t("sightings_times", { count }) : "";
  const words = [organization_name, site, region, t(`purpose_${purpose}`), t(`seen_${verdict}`), times].filter(Boolean).join(" · ");
  return make("li", {}, time, " ", words);
}
