// Found cards: taken in, given back, passed on, destroyed; what the office holds and for how long.

import { act, facts, form, printed, told, zone } from "./forms.js";
import { printLabel } from "./papers.js";
import { awaiting } from "./reports.js";
import { dayBegan, listAll, station, todayOn } from "./state.js";
import { make } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";

const dayMs = 24 * 3600_000;
const oldDays = 30;
const verified = [["fingerprint", "verified_fingerprint"], ["face", "verified_face"], ["document", "verified_document"]];

export function foundTask() {
  const [result, list] = [zone(), zone()];
  const fields = form("found", [
    { name: "id_number", kind: "number", hint: "number_hint" },
    { name: "card_valid_from", kind: "start", optional: true, hint: "found_start_hint" },
    { name: "found_on", kind: "day", value: printed(todayOn()), keeps: true },
    { name: "found_at_region", kind: "text", value: station.office.slice(0, 6).replace(/\D.*/, ""), keeps: true, hint: "region_hint" },
    { name: "phone", kind: "phone", optional: true, label: "field_finder", at: "finder_contact/phone" },
  ], "found_send", async ({ phone, ...values }, key) => {
    const body = { ...values, office: station.office, ...(phone && { finder_contact: { phone } }) };
    const made = await station.session.post("/v1/found-cards", body, { "Idempotency-Key": key });
    const tail = values.id_number.slice(-4);
    station.tails.set(made.found_card_id, tail);
    fields.empty();
    const card = { ...made, found_on: values.found_on, office: station.office, registered_at: new Date().toISOString() };
    result.show(() => [
      told("h3", "found_done", { tabIndex: -1 }),
      told("p", made.matched_report_id ? "found_matched" : "found_unmatched"),
      facts([["found_card_id", made.found_card_id], ["report_id", made.matched_report_id], ["tail", tail]]),
      make("div", { className: "actions" }, act("print_label", async () => printLabel(card, tail), "primary")),
    ]);
    result.querySelector(".actions .primary").focus();
    await load();
  });
  async function load() {
    const [held, today] = await Promise.all([
      listAll("/v1/found-cards", { state: "held", office: station.office }),
      listAll("/v1/found-cards", { since: dayBegan(), office: station.office }),
    ]);
    show(list, held.rows, today.rows, load);
  }
  return [fields, result, make("div", { className: "actions more" }, act("found_list", load)), list];
}

const age = (card) => Math.floor((Date.now() - Date.parse(card.registered_at)) / dayMs);

function show(list, held, today, reload) {
  const left = today.filter((card) => card.state !== "held");
  list.show(() => [
    make("h3", {}, t("held_title", { count: held.length })),
    held.length === 0 ? told("p", "none") : make("ol", { className: "rows" }, held.map((card) => make("li", {}, entry(card, reload)))),
    make("h3", {}, t("found_today_title", { count: today.length })),
    left.length === 0 ? null : make("ul", { className: "rows" }, left.map((card) => make("li", {}, summary(card)))),
  ]);
}

function summary(card) {
  const days = age(card);
  return facts([
    ["found_card_id", card.found_card_id],
    ["state", t(`state_${card.state}`)],
    ["tail", station.tails.get(card.found_card_id)],
    ["field_found_on", printed(card.found_on)],
    ["registered_at", localTime(card.registered_at)],
    ["age", card.state === "held" ? t(days >= oldDays ? "age_old" : "age_days", { days }) : undefined],
    ["report_id", card.matched_report_id],
  ]);
}

function entry(card, reload) {
  const more = zone();
  const path = `/v1/found-cards/${card.found_card_id}`;
  const back = () => {
    const needed = card.card_valid_from === undefined;
    const fields = form(`back-${card.found_card_id}`, [
      ...(needed ? [{ name: "card_valid_from", kind: "start", hint: "found_start_needed" }] : []),
      { name: "holder_verified_by", kind: "select", words: verified },
    ], "back_send", async (values) => {
      const answer = await station.session.post(`${path}/return`, { ...values, office: station.office });
      if (answer.state !== "awaiting_confirmation") return reload();
      more.show(() => awaiting(answer.report_id, reload));
    });
    more.show(() => fields);
    fields.querySelector("input, select").focus();
  };
  const on = () => {
    const fields = form(`on-${card.found_card_id}`, [{ name: "to_office", kind: "text" }], "on_send", async (values) => {
      await station.session.post(`${path}/transfer`, { ...values, office: station.office });
      await reload();
    });
    more.show(() => fields);
    fields.querySelector("input").focus();
  };
  const destroy = () => more.show(() => [
    told("p", "destroy_text", { className: "warning" }),
    make("div", { className: "actions" }, act("destroy_send", async () => {
      await station.session.post(`${path}/destruction`, { office: station.office });
      await reload();
    }, "strong")),
  ]);
  return [
    summary(card),
    make("div", { className: "actions" },
      act("back", async () => back()), act("on", async () => on()), act("destroy", async () => destroy()),
      act("print_label", () => printLabel(card, station.tails.get(card.found_card_id)))),
    more,
  ];
}
