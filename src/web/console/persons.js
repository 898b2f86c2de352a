// Persons of the operator: who was here, with which role and by which group, and what each did last.

import { act, table } from "./forms.js";
import { fill, stamp } from "./parts.js";
import { listOf } from "./state.js";
import { make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

export function view() {
  const place = zone();
  const list = listOf("/v1/admin/persons");
  const columns = [
    ["name", (of) => of.name],
    ["role", (of) => (of.role ? [make("span", {}, t(`role_${of.role}`)), make("small", {}, of.group ?? "")] : t("unknown"))],
    ["last_act", (of) => (of.last_act ? [make("code", {}, of.last_act), make("small", {}, stamp(of.last_act_at))] : t("never"))],
    ["last_seen_at", (of) => stamp(of.last_seen_at)],
    ["first_seen_at", (of) => stamp(of.first_seen_at)],
  ];
  const newestFirst = () => [...list.rows].sort((a, b) => b.last_seen_at.localeCompare(a.last_seen_at));
  const draw = () => [
    list.rows.length === 0 ? told("p", "persons_none") : table(t("view_persons"), columns, newestFirst()),
    list.hasMore ? act("more", async () => { await list.more(); place.show(draw); }) : null,
  ];
  fill(place, () => list.more(), draw);
  return [told("p", "persons_about", { className: "hint" }), place];
}
