// Who is noisy: the clients that limits refuse most, and those that are held.

import { columns } from "./clients.js";
import { table } from "./forms.js";
import { fill } from "./parts.js";
import { listOf } from "./state.js";
import { make, told, zone } from "../web/elements.js";
import { t } from "../web/i18n.js";

const pagesMax = 20;
const shownMax = 50;

export function view() {
  const place = zone();
  const list = listOf("/v1/admin/clients");
  const all = async () => {
    for (let page = 0; page < pagesMax && list.hasMore; page++) await list.more("500");
  };
  const loud = () => list.rows
    .filter((of) => of.hold || of.refused > 0)
    .sort((one, other) => Boolean(other.hold) - Boolean(one.hold) || other.refused - one.refused)
    .slice(0, shownMax);
  fill(place, all, () => {
    const rows = loud();
    const read = make("p", { className: "hint" }, t(list.hasMore ? "noisy_read_part" : "noisy_read", { count: list.rows.length }));
    return rows.length === 0 ? [told("p", "noisy_none"), read] : [table(t("view_noisy"), columns, rows), read];
  });
  return [told("p", "noisy_about", { className: "hint" }), place];
}
