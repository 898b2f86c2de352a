// Persons of the operator: who was here, with which role and by which group, what each did last; one of them, suspended, resumed or ended.

import { act, table } from "./forms.js";
import { open, states } from "./organizations.js";
import { fill, stamp } from "./parts.js";
import { admin, listOf } from "./state.js";
import { facts, make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

const path = "/v1/admin/persons";
const roleOf = (of) => (of.role ? [make("span", {}, t(`role_${of.role}`)), make("small", {}, of.group ?? "")] : t("unknown"));
const lastActOf = (of) => (of.last_act ? [make("code", {}, of.last_act), make("small", {}, stamp(of.last_act_at))] : t("never"));

export function view() {
  const [one, place] = [zone(), zone()];
  const list = listOf(path);
  const columns = [
    ["name", (of) => open(of.name, () => show(of))],
    ["state", (of) => t(`state_${of.state}`)],
    ["role", roleOf],
    ["last_act", lastActOf],
    ["last_seen_at", (of) => stamp(of.last_seen_at)],
    ["first_seen_at", (of) => stamp(of.first_seen_at)],
  ];
  const newestFirst = () => [...list.rows].sort((a, b) => b.last_seen_at.localeCompare(a.last_seen_at));
  const draw = () => [
    list.rows.length === 0 ? told("p", "persons_none") : table(t("view_persons"), columns, newestFirst()),
    list.hasMore ? act("more", async () => { await list.more(); place.show(draw); }) : null,
  ];
  const show = (person) => {
    const change = async (body) => {
      const changed = await admin.session.patch(`${path}/${person.person_id}`, body);
      list.rows = list.rows.map((row) => (row.person_id === changed.person_id ? changed : row));
      place.show(draw);
      show(changed);
    };
    one.show(() => [
      make("h3", { tabIndex: -1 }, person.name),
      facts([["state", t(`state_${person.state}`)], ["role", roleOf(person)], ["last_act", lastActOf(person)], ["last_seen_at", stamp(person.last_seen_at)]]),
      person.state === "ended" ? told("p", "ended_text", { className: "hint" }) : states(person.state, change, "person_end_warning"),
    ]);
    one.querySelector("h3").focus();
  };
  fill(place, () => list.more(), draw);
  return [told("p", "persons_about", { className: "hint" }), one, place];
}
