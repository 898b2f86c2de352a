// Devices of desks and stations: the list of all or of an organization, a new one by a code that is shown once, one of them.

import { act, form, grave, table } from "./forms.js";
import { open } from "./organizations.js";
import { fill, onceOf, stamp } from "./parts.js";
import { admin, listOf } from "./state.js";
import { facts, make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";
import { at } from "../web/session.js";

const path = "/v1/admin/pairings";
/** What devices of a kind of organization may do. */
const scopesOf = { certifying: ["checks", "blind"], registrar: ["registry", "checks"] };

export function view(subject) {
  return subject?.id ? one(subject.id) : all(subject);
}

const named = (of) => [
  open(of.name ?? of.site, () => admin.open("pairings", { id: of.pairing_id })),
  make("small", {}, of.organization_name), of.name ? make("small", {}, of.site) : null,
];
const scopes = (of) => of.scopes.map((scope) => t(`scope_${scope}`)).join(", ");

function all(organization) {
  const [result, place] = [zone(), zone()];
  const list = listOf(path, organization ? { organization_id: organization.of } : {});
  const draw = () => [
    list.rows.length === 0 ? told("p", "pairings_none") : table(t("view_pairings"), [
      ["name", (of) => named(of).filter(Boolean)], ["scopes", scopes], ["state", (of) => t(`pairing_${of.state}`)],
      ["last_used_at", (of) => stamp(of.last_used_at) ?? t("never")], ["created_at", (of) => stamp(of.created_at)],
    ], list.rows),
    list.hasMore ? act("more", async () => { await list.more(); place.show(draw); }) : null,
  ];
  fill(place, () => list.more(), draw);
  if (!organization) return [told("p", "pairings_hint", { className: "hint" }), place];
  const back = told("button", "back_to_organization", { type: "button", className: "quiet", onclick: () => admin.open("organizations", organization.of) });
  const offered = scopesOf[organization.kind];
  if (!offered) return [back, make("h3", {}, organization.name), told("p", "pairings_not_for", { className: "hint" }), place];
  const fields = form("pairing", [
    { name: "scopes", kind: "ticks", words: offered.map((scope) => [scope, `scope_${scope}`]), value: offered.slice(0, 1) },
    { name: "site", kind: "code", hint: "site_hint" },
    { name: "name", kind: "text", optional: true },
    { name: "numbers", kind: "code", optional: true, hint: "numbers_hint" },
  ], "pairing_send", async (values) => {
    const made = await admin.session.post(path, { organization_id: organization.of, ...values });
    fields.empty();
    codeOf(result, made, values.scopes.includes("registry") ? "/station" : "/desk");
    list.rows.unshift(await admin.session.get(`${path}/${made.pairing_id}`));
    place.show(draw);
  });
  return [back, make("h3", {}, organization.name), make("details", {}, told("summary", "pairing_new"), fields), result, place];
}

/** The code, until it is put away: the service has a hash of it. */
function codeOf(place, { code, expires_at: until }, page) {
  onceOf(place, "pairing_code_title", "pairing_code_text", { time: stamp(until) }, [["pairing_code", code], ["pairing_link", `${at(page)}#pair=${code}`]]);
}

function one(id) {
  const place = zone();
  const own = `${path}/${id}`;
  let of = null;
  const after = (answer) => {
    of = answer;
    place.show(draw);
    place.querySelector("h3").focus();
  };
  const draw = () => [
    told("button", "all_pairings", { type: "button", className: "quiet", onclick: () => admin.open("pairings") }),
    make("h3", { tabIndex: -1 }, of.name ?? of.site),
    facts([
      ["pairing_id", make("code", {}, of.pairing_id)], ["organization", of.organization_name], ["site", of.site], ["scopes", scopes(of)],
      ["state", t(`pairing_${of.state}`)], ["numbers", of.numbers ?? t("default")], ["client_id", of.client_id && make("code", {}, of.client_id)],
      ["created_at", stamp(of.created_at)], ["paired_at", stamp(of.paired_at)], ["last_used_at", stamp(of.last_used_at) ?? t("never")],
      ["locked_at", stamp(of.locked_at)], ["ended_at", stamp(of.ended_at)],
    ]),
    of.state === "locked" ? make("div", { className: "warning" }, told("p", "pairing_locked_text"), act("pairing_release", async () => after(await admin.session.post(`${own}/release`, {})), "primary")) : null,
    of.state === "ended" ? told("p", "ended_text", { className: "hint" }) : grave("end", "pairing_end_warning", async () => after(await admin.session.patch(own, { state: "ended" }))),
  ];
  fill(place, async () => (of = await admin.session.get(own)), draw);
  return [place];
}
