// Organizations: the list, one of them, a new one.

import { act, form, grave, table } from "./forms.js";
import { fill, stamp, waiting } from "./parts.js";
import { admin, listOf } from "./state.js";
import { facts, make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

const path = "/v1/admin/organizations";
const kinds = ["certifying", "registrar", "portal", "auditor"].map((kind) => [kind, `kind_${kind}`]);
const prefixes = (text) => text.split(/[\s,，、]+/).filter(Boolean);

export function view(subject) {
  return subject ? one(subject) : all();
}

function all() {
  const [result, place] = [zone(), zone()];
  const list = listOf(path);
  const fields = form("organization", [
    { name: "name", kind: "text" },
    { name: "kind", kind: "select", words: kinds, hint: "kind_hint" },
    { name: "region", kind: "code", hint: "region_hint" },
    { name: "offices", kind: "code", optional: true, hint: "offices_hint" },
    { name: "rate", kind: "code", optional: true, hint: "rate_hint" },
  ], "organization_send", async ({ offices, ...values }, key) => {
    const made = await admin.session.post(path, { ...values, ...(offices && { offices: prefixes(offices) }) }, { "Idempotency-Key": key });
    fields.empty();
    if (made.request_id) return waiting(result, made);
    admin.open("organizations", made.organization_id);
  });
  const draw = () => [
    table(t("view_organizations"), [
      ["name", (of) => open(of.name, () => admin.open("organizations", of.organization_id))],
      ["kind", (of) => t(`kind_${of.kind}`)],
      ["region", (of) => of.region],
      ["state", (of) => t(`state_${of.state}`)],
      ["rate", (of) => of.rate ?? t("default")],
      ["created_at", (of) => stamp(of.created_at)],
    ], list.rows),
    list.hasMore ? act("more", async () => { await list.more(); place.show(draw); }) : null,
  ];
  fill(place, () => list.more(), draw);
  const more = make("details", {}, told("summary", "organization_new"), fields);
  return [more, result, place];
}

/** A name that opens what it names. */
export const open = (name, onclick) => make("button", { type: "button", className: "link", onclick }, name);

function one(id) {
  const [result, place] = [zone(), zone()];
  let of = null;
  const draw = () => [
    told("button", "back_to_organizations", { type: "button", className: "quiet", onclick: () => admin.open("organizations") }),
    make("h3", { tabIndex: -1 }, of.name),
    facts([
      ["organization_id", make("code", {}, of.organization_id)], ["kind", t(`kind_${of.kind}`)], ["region", of.region], ["state", t(`state_${of.state}`)],
      ["rate", of.rate ?? t("default")], ["offices", of.offices.join(" ") || t("offices_of_region")],
      ["any_office", of.any_office ? t("yes") : undefined], ["created_at", stamp(of.created_at)],
    ]),
    make("div", { className: "actions" }, act("its_clients", async () => admin.open("clients", { of: id, name: of.name, kind: of.kind }), "primary"),
      act("its_pairings", async () => admin.open("pairings", { of: id, name: of.name, kind: of.kind }))),
    of.state === "ended" ? told("p", "ended_text", { className: "hint" }) : [changes(), states(of.state, change, "organization_end_warning")],
  ];
  const change = async (body) => {
    if (Object.keys(body).length === 0) return place.show(draw);
    const answer = await admin.session.patch(`${path}/${id}`, body);
    if (answer.request_id) return waiting(result, answer);
    of = answer;
    place.show(draw);
    place.querySelector("h3").focus();
  };
  const changes = () => make("details", {}, told("summary", "change"), form("organization-change", [
    { name: "name", kind: "text", value: of.name },
    { name: "rate", kind: "code", value: of.rate ?? "default", hint: "rate_hint_change" },
    { name: "offices", kind: "code", optional: true, value: of.offices.join(" "), hint: "offices_hint" },
    ...(of.kind === "registrar" ? [{ name: "any_office", kind: "tick", value: of.any_office }] : []),
  ], "change_send", async (values) => {
    const told = { ...values, offices: prefixes(values.offices ?? "") };
    const before = { name: of.name, rate: of.rate ?? "default", offices: of.offices, any_office: of.any_office };
    await change(Object.fromEntries(Object.entries(told).filter(([member, value]) => String(value) !== String(before[member]))));
  }));
  fill(place, async () => (of = await admin.session.get(`${path}/${id}`)), draw);
  return [result, place];
}

/** Suspending, resuming, ending. */
export function states(state, change, warning) {
  return make("div", { className: "actions" },
    state === "active" ? act("suspend", () => change({ state: "suspended" })) : act("resume", () => change({ state: "active" })),
    grave("end", warning, () => change({ state: "ended" })));
}
