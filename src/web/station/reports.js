// Loss reports: filed, found by number or id, withdrawn with a second person where that is needed, shown where they were seen.

import { act, facts, form, idForm, printed, reasonOf, told, zone } from "./forms.js";
import { printReceipt, saveReceipt } from "./papers.js";
import { station } from "./state.js";
import { byId, make } from "../web/elements.js";
import { language, localTime, t } from "../web/i18n.js";
import { Refusal, Session, secretOf } from "../web/session.js";

const dayMs = 24 * 3600_000;
const reasons = [["lost", "reason_lost"], ["stolen", "reason_stolen"]];
const reporters = [["holder", "reporter_holder"], ["guardian", "reporter_guardian"], ["agent", "reporter_agent"]];
const ways = [["station", "way_station"], ["hall", "way_hall"], ["telephone", "way_telephone"]];

/** Reports of a number: those that this organization may end, so its own, and where the operator lets it, everybody's. */
const reportsOf = async (number) => (await station.session.post("/v1/loss-reports/search", { id_number: number })).reports;

/** Failures after which nobody knows whether it was stored: the same try again gets the first one's answer, and its receipt. */
const unsure = ["network", "timeout", "unavailable", "unreadable"];

/** Filing. */
export function reportTask() {
  const result = zone();
  let unanswered = null;
  const send = async (values, key) => {
    unanswered = null;
    try {
      await file(fields, result, values, key);
    } catch (refusal) {
      if (unsure.includes(refusal.kind)) unanswered = key;
      throw refusal;
    }
  };
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
    // A search would find what it stored itself.
    if (unanswered === key) return send(values, key);
    const before = (await reportsOf(values.id_number)).filter((one) => one.reporter === values.reporter && Date.now() - Date.parse(one.reported_at) < dayMs);
    if (before.length === 0) return send(values, key);
    result.show(() => [
      told("p", "again_title", { className: "warning", role: "alert" }),
      make("ul", { className: "rows" }, before.map((report) => make("li", {}, row(report, station.tails.get(report.report_id))))),
      make("div", { className: "actions" },
        act("again_file", () => send(values, key), "strong"),
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
  // A call is taken at the station; that it was one is on the receipt, and nowhere else.
  const channel = way === "telephone" ? "station" : way;
  const report = await station.session.post(
    "/v1/loss-reports", { ...rest, office: station.office, channel, ...(phone && { contact: { phone } }) }, { "Idempotency-Key": key });
  const tail = values.id_number.slice(-4);
  station.tails.set(report.report_id, tail);
  // Not where there is no registry log.
  if (report.report_receipt) station.receipts.set(report.report_id, { text: report.report_receipt, salt: report.report_receipt_salt });
  fields.empty();
  const filed = { ...report, office: station.office, reporter: values.reporter, way, lost_on: values.lost_on };
  result.show(() => [
    told("h3", "filed_title", { tabIndex: -1 }),
    told("p", "filed_text"),
    row(filed, tail),
    make("div", { className: "actions" },
      act("print_receipt", async () => printReceipt(filed, tail), "primary"),
      act("next_report", async () => { result.clear(); fields.field("id_number").focus(); }),
      report.report_receipt ? act("save_receipt", async () => saveReceipt(filed, tail)) : null),
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
    ["filed_by", report.filed_elsewhere && t("filed_elsewhere")],
  ]);
}

/** Notes at a report whether a colleague has asked for its withdrawal, which waits for a second person. */
async function findWaiting(report) {
  if (report.state !== "active") return;
  try {
    const { state } = await station.session.get(withdrawalOf(report.report_id));
    report.waits = state === "awaiting_confirmation";
  } catch (refusal) {
    // Nobody has asked for it, or it cannot be told now: what was found is shown all the same.
    if (!(refusal instanceof Refusal)) throw refusal;
  }
}

/** When a report was withdrawn, for the paper; without it, where it cannot be told now. */
async function withEnd(report) {
  if (report.state !== "withdrawn") return report;
  try {
    return { ...report, ended_at: (await station.session.get(withdrawalOf(report.report_id))).withdrawn_at };
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    return report;
  }
}

const withdrawalOf = (id) => `/v1/loss-reports/${id}/withdrawal`;

/** Searching, by number or by the id of a receipt. */
export function searchTask() {
  const result = zone();
  const fields = form("search", [{ name: "wanted", kind: "number_or_id", hint: "wanted_hint" }], "search_send", async ({ wanted }) => {
    result.clear();
    const isId = idForm.test(wanted);
    const found = isId ? [await station.session.get(`/v1/loss-reports/${wanted}`)] : await reportsOf(wanted);
    fields.empty();
    await Promise.all(found.map(findWaiting));
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
    act("print_receipt", async () => printReceipt(await withEnd(report), known)),
    // Another organization's sightings are not for this one.
    report.filed_elsewhere ? null : act("show_sightings", () => sightings(report, more)),
    report.state === "active" && !report.waits ? act("withdraw", async () => withdrawal(report, more, changed)) : null,
  ];
  const waits = report.waits ? secondPerson(report.report_id, (after) => changed({ ...after, waits: false })) : [];
  return [row(report, known), waits, make("div", { className: "actions" }, buttons), more].flat();
}

/**
 * What to do with a withdrawal that waits. Who has the page confirms as who they are; the service refuses who asked. Beside somebody who
 * signed in with a secret a second one may do so for this one act; a paired device has no secret.
 */
function secondPerson(id, done) {
  const confirm = async () => done(await station.session.post(`${withdrawalOf(id)}/confirmation`, { office: station.office }));
  return [
    told("p", "second_waits", { className: "warning" }),
    make("div", { className: "actions" },
      act("second_confirm", confirm, "primary"),
      station.isDevice ? null : act("second_now", async () => second(withdrawalOf(id), done))),
  ];
}

/** What is said to who asked. */
export function awaiting(id, done) {
  return [
    told("p", station.isDevice ? "second_elsewhere" : "second_needed", { className: "warning", role: "alert" }),
    station.isDevice ? null : make("div", { className: "actions" }, act("second_now", async () => second(withdrawalOf(id), done), "primary")),
  ];
}

function withdrawal(report, more, changed) {
  const fields = form(`withdraw-${report.report_id}`, [
    { name: "reason", kind: "select", words: [["found", "withdraw_found"], ["mistaken", "withdraw_mistaken"]], label: "withdraw_reason" },
  ], "withdraw_send", async ({ reason }) => {
    const answer = await station.session.post(withdrawalOf(report.report_id), { office: station.office, reason });
    if (answer.state !== "awaiting_confirmation") return changed({ state: answer.state });
    more.show(() => awaiting(report.report_id, (after) => changed({ state: after.state })));
  });
  more.show(() => [told("p", "withdraw_text", { className: "hint" }), fields]);
  fields.querySelector("select").focus();
}

function clearSecond() {
  byId("second-id").value = byId("second-secret").value = byId("second-message").textContent = "";
}

/** Takes the second person's dialog away, with what was typed in it. */
export function closeSecond() {
  clearSecond();
  if (byId("second").open) byId("second").close();
}

/** The second person signs in for this one act, and is signed out with it. */
function second(path, done) {
  const [dialog, message] = [byId("second"), byId("second-message")];
  clearSecond();
  byId("second-cancel").onclick = closeSecond;
  dialog.onclose = clearSecond;
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
