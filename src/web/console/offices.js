// Offices as people know them: what the records of a person name.

import { act, form, table } from "./forms.js";
import { fill } from "./parts.js";
import { admin, listOf } from "./state.js";
import { told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

const path = "/v1/admin/offices";

export function view() {
  const [result, place] = [zone(), zone()];
  let list;
  const draw = () => [
    list.rows.length === 0 ? told("p", "offices_none") : table(t("view_offices"), [["office", (of) => of.code], ["name", (of) => of.name], ["reach", (of) => of.reach]], list.rows),
    list.hasMore ? act("more", async () => { await list.more(); place.show(draw); }) : null,
  ];
  const load = () => fill(place, () => (list = listOf(path)).more(), draw);
  const fields = form("office", [
    { name: "code", kind: "code", label: "office" },
    { name: "name", kind: "text" },
    { name: "reach", kind: "text", hint: "reach_hint" },
  ], "office_send", async (values) => {
    await admin.session.post(path, values);
    fields.empty();
    result.show(() => told("p", "office_done", { role: "status" }));
    await load();
  });
  load();
  return [told("p", "offices_about", { className: "hint" }), fields, result, place];
}
