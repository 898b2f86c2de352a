// What an office issues and decides: new cards, applications with their temporary cards, temporary certificates, misuse reports.

import { act, facts, form, printed, told, zone } from "./forms.js";
import { printCertificate, printTemporaryCard } from "./papers.js";
import { listAll, station, todayOn } from "./state.js";
import { make } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";

/** A new card was issued without an application here. */
export function replaceTask() {
  const result = zone();
  const fields = form("replace", [
    { name: "id_number", kind: "number", hint: "number_hint" },
    { name: "card_valid_from", kind: "day", label: "field_new_start", hint: "new_start_hint" },
  ], "replace_send", async (values, key) => {
    const made = await station.session.post("/v1/replacements", { ...values, office: station.office }, { "Idempotency-Key": key });
    fields.empty();
    result.show(() => [
      told("h3", "replace_done", { tabIndex: -1 }),
      told("p", "replace_text"),
      facts([["replacement_id", made.replacement_id], ["field_new_start", printed(made.card_valid_from)], ["reports_replaced", String(made.reports_replaced)]]),
    ]);
    result.querySelector("h3").focus();
  });
  return [told("p", "replace_intro", { className: "hint" }), fields, result];
}

const ticks = ["fingerprint_on_file", "appearance_changed", "credit_flag"].map((name) => ({ name, kind: "tick" }));

/** How long ago an application was made whose temporary card may still be out. */
const outMs = 366 * 24 * 3600_000;

/** Where one may apply, the application itself, and what becomes of it. */
export function applyTask() {
  const [answer, list] = [zone(), zone()];
  const fields = form("apply", [
    { name: "id_number", kind: "number", hint: "number_hint" },
    { name: "household_office", kind: "text", hint: "household_hint" },
    { name: "reason", kind: "select", words: [["lost", "apply_lost"], ["expired", "apply_expired"], ["damaged", "apply_damaged"]], label: "apply_reason" },
    ...ticks,
  ], "apply_send", async (values, key) => {
    const made = await station.session.post(
      "/v1/replacement-applications", { ...values, applied_at_office: station.office }, { "Idempotency-Key": key });
    fields.empty();
    answer.show(() => [told("h3", `apply_${made.state}`, { tabIndex: -1 }), summary(made)]);
    answer.querySelector("h3").focus();
    await load();
  });
  // The rules answer about nobody: no number is needed.
  async function eligible() {
    const place = (text) => text.normalize("NFKC").trim().slice(0, 6);
    const tick = (name) => fields.field(name).checked;
    const found = await station.session.post("/v1/acceptance/eligibility", {
      household_region: place(fields.field("household_office").value),
      applying_region: place(station.office),
      on: todayOn(),
      ...Object.fromEntries(ticks.map(({ name }) => [name, tick(name)])),
    });
    answer.show(() => [
      told("h3", found.eligible ? "eligible_yes" : "eligible_no", { tabIndex: -1 }),
      facts([["ground", t(`ground_${found.ground}`)], ["since", printed(found.since)]]),
    ]);
    answer.querySelector("h3").focus();
  }
  async function load() {
    const office = { office: station.office };
    const [{ rows }, ...ended] = await Promise.all([
      listAll("/v1/replacement-applications", { state: "accepted", ...office }),
      ...["issued", "cancelled"].map((state) => listAll("/v1/replacement-applications", { state, since: new Date(Date.now() - outMs).toISOString(), ...office })),
    ]);
    // Who fetches the new card gives the temporary one back after that.
    const out = ended.flatMap(({ rows: others }) => others.filter((one) => one.temporary_card?.state === "outstanding"));
    const entries = (of) => make("ol", { className: "rows" }, of.map((one) => make("li", {}, entry(one, load))));
    list.show(() => [
      make("h3", {}, t("accepted_title", { count: rows.length })),
      rows.length === 0 ? told("p", "none") : entries(rows),
      out.length === 0 ? null : [make("h3", {}, t("temporary_out_title", { count: out.length })), entries(out)],
    ]);
  }
  return [
    told("p", "apply_intro", { className: "hint" }), fields,
    make("div", { className: "actions more" }, act("eligible_ask", eligible), act("apply_list", load)), answer, list,
  ];
}

function summary(application) {
  const card = application.temporary_card;
  return facts([
    ["application_id", application.application_id],
    ["state", t(`state_${application.state}`)],
    ["ground", t(`ground_${application.ground}`)],
    ["applied_at", localTime(application.applied_at)],
    ["field_household_office", application.household_office],
    ["temporary_card", card && `${t(`state_${card.state}`)}, ${printed(card.card_valid_from)}–${printed(card.card_valid_until)}`],
  ]);
}

function entry(application, reload) {
  const more = zone();
  const path = `/v1/replacement-applications/${application.application_id}`;
  const card = application.temporary_card;
  const isOpen = application.state === "accepted";
  const office = () => ({ office: station.office });
  const issue = () => {
    const fields = form(`issue-${application.application_id}`, [{ name: "card_valid_from", kind: "day", label: "field_new_start" }], "issue_send", async (values) => {
      await station.session.post(`${path}/issue`, { ...values, ...office() });
      await reload();
    });
    more.show(() => fields);
    fields.querySelector("input").focus();
  };
  const handOut = async () => {
    const made = await station.session.post(`${path}/temporary-card`, office(), { "Idempotency-Key": crypto.randomUUID() });
    await reload();
    await printTemporaryCard(made, application);
  };
  return [
    summary(application),
    make("div", { className: "actions" },
      isOpen ? act("issue", async () => issue()) : null,
      card || !isOpen ? null : act("temporary_issue", handOut),
      card ? act("temporary_print", () => printTemporaryCard(card, application)) : null,
      card?.state === "outstanding" ? act("temporary_back", async () => { await station.session.post(`${path}/temporary-card/return`, office()); await reload(); }) : null,
      isOpen ? act("apply_cancel", async () => { await station.session.post(`${path}/cancellation`, office()); await reload(); }) : null),
    more,
  ];
}

/** Temporary identification certificates. */
export function certificateTask() {
  const [result, list] = [zone(), zone()];
  const fields = form("certificate", [
    { name: "id_number", kind: "number", hint: "number_hint" },
    { name: "purpose", kind: "select", words: [["lodging", "for_lodging"], ["rail", "for_rail"], ["air", "for_air"]] },
    { name: "journey_on", kind: "day", optional: true, hint: "journey_hint" },
    { name: "valid_hours", kind: "integer", value: "24", keeps: true, hint: "hours_hint" },
  ], "certificate_send", async (values, key) => {
    const issued = await station.session.post("/v1/temporary-certificates", { ...values, office: station.office }, { "Idempotency-Key": key });
    const tail = values.id_number.slice(-4);
    fields.empty();
    result.show(() => [
      told("h3", "certificate_done", { tabIndex: -1 }),
      told("p", "certificate_now"),
      facts([["certificate_id", issued.certificate_id], ["tail", tail], ["expires_at", localTime(issued.expires_at)]]),
      make("div", { className: "actions" }, act("certificate_print", () => printCertificate(issued, tail), "primary")),
    ]);
    result.querySelector(".actions .primary").focus();
  });
  async function load() {
    const { rows } = await listAll("/v1/temporary-certificates", { state: "active", office: station.office });
    const revoke = (id) => act("certificate_revoke", async () => {
      await station.session.post(`/v1/temporary-certificates/${id}/revocation`, { office: station.office });
      await load();
    });
    list.show(() => [
      make("h3", {}, t("active_title", { count: rows.length })),
      rows.length === 0 ? told("p", "none") : make("ol", { className: "rows" }, rows.map((one) => make("li", {},
        facts([["certificate_id", one.certificate_id], ["field_purpose", t(`for_${one.purpose}`)], ["expires_at", localTime(one.expires_at)]]),
        make("div", { className: "actions" }, revoke(one.certificate_id))))),
    ]);
  }
  return [told("p", "certificate_intro", { className: "hint" }), fields, result, make("div", { className: "actions more" }, act("certificate_list", load)), list];
}

/** Misuse reports of every organization, to be resolved. */
export function misuseTask() {
  const list = zone();
  async function load() {
    const { rows } = await listAll("/v1/misuse-reports", { state: "open" });
    list.show(() => [
      make("h3", {}, t("open_title", { count: rows.length })),
      rows.length === 0 ? told("p", "none") : make("ol", { className: "rows" }, rows.map((one) => make("li", {}, misuse(one, load)))),
    ]);
  }
  return [told("p", "misuse_intro", { className: "hint" }), make("div", { className: "actions more" }, act("misuse_list", load, "primary")), list];
}

function misuse(report, reload) {
  const more = zone();
  const path = `/v1/misuse-reports/${report.misuse_report_id}`;
  const open = async () => {
    const whole = await station.session.get(path);
    const fields = form(`resolve-${report.misuse_report_id}`, [
      { name: "outcome", kind: "select", words: ["confirmed", "unfounded", "handed_over"].map((word) => [word, `outcome_${word}`]) },
      { name: "note", kind: "area", optional: true, hint: "note_hint" },
    ], "resolve_send", async (values) => {
      await station.session.post(`${path}/resolution`, { ...values, office: station.office });
      await reload();
    });
    more.show(() => [make("p", { className: "story" }, whole.narrative ?? t("no_narrative")), fields]);
    fields.querySelector("select").focus();
  };
  return [
    facts([
      ["misuse_report_id", report.misuse_report_id],
      ["kind", t(`kind_${report.kind}`)],
      ["observed_at", localTime(report.observed_at)],
      ["reported_at", localTime(report.reported_at)],
      ["field_site", report.site],
      ["organization", report.organization],
    ]),
    make("div", { className: "actions" }, act("misuse_open", open)),
    more,
  ];
}
