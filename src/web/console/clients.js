// Clients: the list of all or of an organization, a new one, one of them and what it signs in with.

import { act, form, grave, table } from "./forms.js";
import { open, states } from "./organizations.js";
import { fill, secretOf, stamp, waiting } from "./parts.js";
import { admin, listOf } from "./state.js";
import { facts, make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

const path = "/v1/admin/clients";
/** Which scopes a kind of organization may have (decision 046). */
const scopesOf = {
  certifying: ["checks", "blind"], registrar: ["registry", "checks"], portal: ["citizen"], auditor: ["audit"], operator: ["admin"],
};
const worded = (words, of) => words.map((word) => [word, `${of}_${word}`]);
const bounds = worded(["none", "mtls", "dpop"], "bound");
const digests = worded(["taken", "refused"], "digests");
const keeps = [["7d", "keep_week"], ["24h", "keep_day"], ["0s", "keep_not"]];

export function view(subject) {
  return subject?.id ? one(subject.id) : all(subject);
}

/** What a client is called in a list. */
export const named = (of) => [
  open(of.name ?? t("client_without_name"), () => admin.open("clients", { id: of.client_id })),
  make("small", {}, of.organization_name), make("small", {}, make("code", {}, of.client_id.slice(-12))),
];

export const columns = [
  ["name", named],
  ["scopes", (of) => of.scopes.map((scope) => t(`scope_${scope}`)).join(", ")],
  ["state", (of) => [t(`state_${of.state}`), of.hold ? make("strong", { className: "held" }, t("held")) : null]],
  ["last_used_at", (of) => stamp(of.last_used_at) ?? t("never")],
  ["rate", (of) => of.rate ?? t("default")],
  ["numbers", (of) => of.numbers ?? t("default")],
  ["refused_count", (of) => String(of.refused), "figure"],
];

function all(organization) {
  const [result, place] = [zone(), zone()];
  const list = listOf(path, organization ? { organization_id: organization.of } : {});
  const draw = () => [
    list.rows.length === 0 ? told("p", "clients_none") : table(t("view_clients"), columns, list.rows),
    list.hasMore ? act("more", async () => { await list.more(); place.show(draw); }) : null,
  ];
  fill(place, () => list.more(), draw);
  if (!organization) return [told("p", "clients_hint", { className: "hint" }), place];
  const back = told("button", "back_to_organization", { type: "button", className: "quiet", onclick: () => admin.open("organizations", organization.of) });
  const fields = form("client", [
    { name: "name", kind: "text", optional: true },
    { name: "scopes", kind: "ticks", words: worded(scopesOf[organization.kind] ?? [], "scope") },
    { name: "rate", kind: "code", optional: true, hint: "rate_hint" },
    { name: "numbers", kind: "code", optional: true, hint: "numbers_hint" },
    { name: "bound", kind: "select", words: bounds, hint: "bound_hint" },
    { name: "keys", kind: "area", optional: true, hint: "new_keys_hint" },
  ], "client_send", async ({ keys, ...values }, key) => {
    const body = { organization_id: organization.of, ...values, ...(keys && { keys: keysOf(keys) }) };
    const made = await admin.session.post(path, body, { "Idempotency-Key": key });
    fields.empty();
    if (made.request_id) waiting(result, made);
    else if (keys) result.show(() => told("p", "client_made", { role: "status" }));
    else secretOf(result, made);
    list.rows.push(...(made.request_id ? [] : [{ ...made, client_secret: undefined }]));
    place.show(draw);
  });
  const more = organization.kind === "operator" ? told("p", "code_command_line_only", { className: "hint" }) : make("details", {}, told("summary", "client_new"), fields);
  return [back, make("h3", {}, organization.name), more, result, place];
}

/** Keys as people paste them: a JWK, a list of them, or a set. What is none is sent as no key, and the service says so. */
function keysOf(text) {
  try {
    const read = JSON.parse(text);
    return Array.isArray(read) ? read : (read.keys ?? [read]);
  } catch {
    return [];
  }
}

function one(id) {
  const [result, place, ways] = [zone(), zone(), zone()];
  const own = `${path}/${id}`;
  let of = null;
  const draw = () => [
    told("button", "back_to_organization", { type: "button", className: "quiet", onclick: () => admin.open("organizations", of.organization_id) }),
    make("h3", { tabIndex: -1 }, of.name ?? t("client_without_name")),
    facts([
      ["client_id", make("code", {}, of.client_id)], ["organization", of.organization_name], ["scopes", of.scopes.map((scope) => t(`scope_${scope}`)).join(", ")],
      ["state", t(`state_${of.state}`)], ["last_used_at", stamp(of.last_used_at) ?? t("never")], ["rate", of.rate ?? t("default")],
      ["numbers", of.numbers ?? t("default")], ["refused_count", String(of.refused)], ["bound", t(`bound_${of.bound}`)],
      ["digests", t(`digests_${of.digests}`)], ["created_at", stamp(of.created_at)],
    ]),
    of.hold ? held() : null,
    of.state === "ended" ? told("p", "ended_text", { className: "hint" }) : [changes(), proofs(), states(of.state, change, "client_end_warning")],
  ];
  const after = (answer) => {
    of = { ...answer, client_secret: undefined };
    ways.clear();
    place.show(draw);
    place.querySelector("h3").focus();
  };
  const added = (answer) => {
    if (answer.request_id) return waiting(result, answer);
    after(answer);
    result.show(() => told("p", "proof_added", { role: "status" }));
  };
  /** What it signs in with now, each to be ended. */
  const show = ({ credentials }) => ways.show(() => (credentials.length === 0 ? told("p", "credentials_none") : table(t("proofs"), [
    ["credential_kind", (one) => [t(`credential_${one.kind}`), make("small", {}, one.kid ?? one.subject ?? one.thumbprint ?? "")]],
    ["created_at", (one) => stamp(one.created_at)],
    ["credential_ends_at", (one) => stamp(one.ends_at)],
    ["credential_end", (one) => grave("credential_end", "credential_end_warning", async () =>
      show(await admin.session.post(`${own}/credentials/${one.credential_id}/revocation`, {})))],
  ], credentials)));
  const list = () => admin.session.get(`${own}/credentials`).then(show, () => {});
  const change = async (body) => {
    if (Object.keys(body).length === 0) return place.show(draw);
    const answer = await admin.session.patch(own, body);
    if (answer.request_id) waiting(result, answer);
    else after(answer);
  };
  const held = () => make("div", { className: "warning" },
    make("p", {}, t("held_since", { time: stamp(of.hold.held_at), why: t(`held_${of.hold.held_for}`) })),
    act("release", async () => after(await admin.session.post(`${own}/release`, {})), "primary"));
  const changes = () => make("details", {}, told("summary", "change"), form("client-change", [
    { name: "name", kind: "text", optional: true, value: of.name ?? "" },
    { name: "scopes", kind: "ticks", words: worded(Object.values(scopesOf).find((all) => of.scopes.every((scope) => all.includes(scope))) ?? of.scopes, "scope"), value: of.scopes },
    { name: "rate", kind: "code", value: of.rate ?? "default", hint: "rate_hint_change" },
    { name: "numbers", kind: "code", value: of.numbers ?? "default", hint: "numbers_hint_change" },
    { name: "bound", kind: "select", words: bounds, value: of.bound, hint: "bound_hint" },
    { name: "digests", kind: "select", words: digests, value: of.digests },
  ], "change_send", async (values) => {
    const before = { ...of, name: of.name ?? "", rate: of.rate ?? "default", numbers: of.numbers ?? "default" };
    await change(Object.fromEntries(Object.entries(values).filter(([member, value]) => String(value) !== String(before[member]))));
  }));
  const proofs = () => make("details", { ontoggle: ({ target }) => target.open && ways.childElementCount === 0 && list() }, told("summary", "proofs"), ways,
    form("secret", [{ name: "keep", kind: "select", words: keeps, hint: "keep_hint" }], "secret_send", async ({ keep }, key) => {
      const made = await admin.session.post(`${own}/secrets`, { keep }, { "Idempotency-Key": key });
      if (made.request_id) return waiting(result, made);
      after(made);
      secretOf(result, made);
    }),
    form("certificate", [{ name: "certificate", kind: "area", hint: "certificate_hint" }], "certificate_send", async ({ certificate }) => {
      added(await admin.session.post(`${own}/certificates`, { certificate: `${certificate}\n` }));
    }),
    form("keys", [{ name: "keys", kind: "area", hint: "keys_hint" }], "keys_send", async ({ keys }) => {
      added(await admin.session.post(`${own}/keys`, { keys: keysOf(keys) }));
    }),
    grave("revoke", "revoke_warning", async () => {
      after(await admin.session.post(`${own}/revocation`, {}));
      result.show(() => told("p", "revoked_text", { role: "status" }));
    }));
  fill(place, async () => (of = await admin.session.get(own)), draw);
  return [result, place];
}
