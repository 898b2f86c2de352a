// What waits for another operator, newest last; one of it, approved or refused by somebody else than who asked.

import { act, form, grave, table } from "./forms.js";
import { download, tally } from "./orders.js";
import { open } from "./organizations.js";
import { fill, stamp } from "./parts.js";
import { admin, listOf } from "./state.js";
import { facts, make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

const path = "/v1/admin/requests";
const idForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What it is about, as it was sent. */
const about = ({ requested, client_id: client }) => requested.name ?? requested.reason ?? client ?? "";
const asker = (of) => of.requested_by_person ?? make("code", {}, of.requested_by.slice(-12));

export function view(subject) {
  const [one, all] = [zone(), zone()];
  let list;
  const draw = () => [
    told("h3", "requests_waiting"),
    list.rows.length === 0 ? told("p", "requests_none") : table(t("requests_waiting"), [
      ["act", (of) => open(t(`act_${of.act}`), () => show(of))], ["name", about], ["requested_by_whom", asker], ["requested_at", (of) => stamp(of.requested_at)],
    ], list.rows),
    list.hasMore ? act("more", async () => { await list.more(); all.show(draw); }) : null,
  ];
  const load = () => fill(all, () => (list = listOf(path, { state: "awaiting_approval" })).more(), draw);
  const drawn = (request) => {
    const decide = (how) => async () => {
      show(await admin.session.post(`${path}/${request.request_id}/${how}`, {}));
      await load();
    };
    return [
      make("h3", { tabIndex: -1 }, t(`act_${request.act}`)),
      facts([
        ["state", t(`request_${request.state}`)], ["requested_by_person", request.requested_by_person], ["requested_by", make("code", {}, request.requested_by)],
        ["requested_at", stamp(request.requested_at)], ["client_id", request.client_id],
        ["approved_by_person", request.approved_by_person], ["approved_by", request.approved_by], ["approved_at", stamp(request.approved_at)],
        ["refused_by_person", request.refused_by_person], ["refused_by", request.refused_by], ["refused_at", stamp(request.refused_at)], ["subject_id", request.subject_id], ["done_at", stamp(request.done_at)],
      ]),
      told("p", "requested"), make("pre", { className: "break" }, JSON.stringify(request.requested, null, 2)),
      tally(request), download(request),
      request.state === "awaiting_approval" ? make("div", { className: "actions" }, act("approve", decide("approval"), "primary"), grave("refuse", "refuse_warning", decide("refusal"))) : null,
    ];
  };
  const show = (request) => {
    one.show(() => drawn(request));
    one.querySelector("h3").focus();
  };
  const fields = form("request", [{ name: "request_id", kind: "code", hint: "request_hint" }], "request_send", async ({ request_id }) => {
    if (!idForm.test(request_id)) return one.show(() => told("p", "code_malformed_id", { className: "message", role: "alert" }));
    show(await admin.session.get(`${path}/${request_id.toLowerCase()}`));
  });
  load();
  let first = null;
  if (subject) fill(one, async () => (first = await admin.session.get(`${path}/${subject}`)), () => drawn(first));
  return [told("p", "requests_about", { className: "hint" }), all, make("details", {}, told("summary", "request_by_number"), fields), one];
}
