// What one operator asks for and another one approves: undoing what a client did, an export of the audit log. And the file of an export.

import { act, form, table } from "./forms.js";
import { open } from "./organizations.js";
import { fill, stamp, waiting } from "./parts.js";
import { admin, listOf } from "./state.js";
import { make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

const requests = "/v1/admin/requests";
const acts = ["undo_client", "export_audit"];
const pagesMax = 20;
const atOnce = "500";

export function view() {
  const [result, place] = [zone(), zone()];
  let rows = [];
  // The list is of everything that was asked for, oldest first: these are few of few.
  const load = async () => {
    const list = listOf(requests);
    for (let page = 0; page < pagesMax && list.hasMore; page++) await list.more(atOnce);
    rows = list.rows.filter((of) => acts.includes(of.act)).reverse();
  };
  const draw = () => rows.length === 0 ? told("p", "orders_none") : table(t("view_orders"), [
    ["act", (of) => open(t(`act_${of.act}`), () => admin.open("requests", of.request_id))], ["why", (of) => of.requested.reason],
    ["state", (of) => t(`request_${of.state}`)], ["requested_at", (of) => stamp(of.requested_at)],
  ], rows);
  const asked = async (path, body, key, fields) => {
    const made = await admin.session.post(path, body, { "Idempotency-Key": key });
    fields.empty();
    waiting(result, made);
    await load();
    place.show(draw);
  };
  const undo = form("undo", [
    { name: "client_id", kind: "code", hint: "undo_client_hint" },
    { name: "from", kind: "time", hint: "time_hint" },
    { name: "to", kind: "time" },
    { name: "reason", kind: "text", hint: "reason_hint" },
  ], "undo_send", ({ to, ...values }, key) => asked("/v1/admin/undo", { ...values, to: endOf(to) }, key, undo));
  const exported = form("export", [
    { name: "after", kind: "code", optional: true, hint: "after_hint" },
    { name: "reason", kind: "text", hint: "reason_hint" },
  ], "export_send", ({ after, ...values }, key) => asked("/v1/admin/audit-exports", { ...values, ...(after && { after: numberOf(after) }) }, key, exported));
  fill(place, load, draw);
  return [
    told("p", "orders_about", { className: "hint" }),
    make("details", {}, told("summary", "act_undo_client"), told("p", "undo_about", { className: "hint" }), undo),
    make("details", {}, told("summary", "act_export_audit"), told("p", "export_about", { className: "hint" }), exported),
    told("h3", "orders_title"), result, place,
  ];
}

/** The whole of the second that somebody chose: acts have milliseconds. */
const endOf = (instant) => instant.replace(/\.000Z$/, ".999Z");

/** The service judges what is no number. */
const numberOf = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text);

/** What came of an undoing, in words. */
export function tally({ undone }) {
  if (!undone) return null;
  return [
    make("p", {}, t("undone_count", { count: undone.undone, left: undone.left_count })),
    undone.left.length === 0 ? null : table(t("undone_left"), [
      ["record_id", (of) => make("code", {}, of.record_id)], ["act", (of) => make("code", {}, of.action)], ["why", (of) => make("code", {}, of.why)],
    ], undone.left),
  ];
}

/** The button that gets an export as a file: who asked for it alone is let, and the service says so to others. */
export function download(request) {
  if (request.act !== "export_audit" || request.state !== "approved") return null;
  const line = make("span", { role: "status" });
  const get = async () => {
    const lines = [];
    let cursor = "";
    try {
      do {
        const asked = new URLSearchParams({ limit: atOnce, ...(cursor && { cursor }) });
        const page = await admin.session.get(`${requests}/${request.request_id}/export?${asked}`);
        lines.push(...page.lines);
        cursor = page.next_cursor ?? "";
        line.textContent = t("export_lines", { count: lines.length });
      } while (cursor);
    } catch (refusal) {
      line.textContent = "";
      throw refusal;
    }
    const url = URL.createObjectURL(new Blob(lines.map((one) => `${one}\n`), { type: "application/x-ndjson" }));
    make("a", { href: url, download: `lostcard-audit-${request.request_id}.ndjson` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return [told("p", "export_file_about", { className: "hint" }), make("div", { className: "actions" }, act("export_file", get, "primary"), line)];
}
