// Who looked at a person. The number is typed here, sent in a body and forgotten; for the next page it is kept until the view is left.

import { act, form, table } from "./forms.js";
import { stamp } from "./parts.js";
import { admin } from "./state.js";
import { make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";
import { parse, tidied } from "../web/id_number.js";

const path = "/v1/admin/accesses";

export function view() {
  const place = zone();
  const fields = form("accesses", [{ name: "id_number", kind: "code", hint: "accesses_hint" }], "accesses_send", async ({ id_number }) => {
    place.clear();
    const { number, error } = parse(tidied(id_number));
    if (error) return place.show(() => told("p", "number_wrong", { className: "message", role: "alert" }));
    const rows = [];
    let cursor = "";
    const more = async () => {
      const answer = await admin.session.post(path, { id_number: number, ...(cursor && { cursor }) });
      rows.push(...answer.accesses);
      cursor = answer.next_cursor ?? "";
    };
    await more();
    fields.empty();
    const draw = () => rows.length === 0 ? told("p", "accesses_none", { role: "status" }) : [
      table(t("view_accesses"), [
        ["time", (of) => stamp(of.at)],
        ["action", (of) => make("code", {}, of.action)],
        ["organization", (of) => [of.organization_name ?? t(of.organization_id ? "unknown" : "the_operator"), of.client_id ? make("small", {}, make("code", {}, of.client_id.slice(-12))) : null]],
        ["person", (of) => of.person ?? of.os_user],
        ["reason", (of) => of.reason],
        ["origin", (of) => of.origin],
      ], rows),
      cursor ? act("more", async () => { await more(); place.show(draw); }) : null,
    ];
    place.show(draw);
  });
  return [told("p", "accesses_about", { className: "hint" }), fields, place];
}
