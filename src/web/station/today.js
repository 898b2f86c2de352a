// Today's numbers of the office, counted from its lists.

import { act, told, zone } from "./forms.js";
import { dayBegan, listAll, station } from "./state.js";
import { make } from "../web/elements.js";
import { t } from "../web/i18n.js";

const day = () => ({ since: dayBegan(), office: station.office });
const counts = [
  ["today_reports", "/v1/loss-reports", day],
  ["today_replacements", "/v1/replacements", day],
  ["today_found", "/v1/found-cards", day],
  ["today_held", "/v1/found-cards", () => ({ state: "held", office: station.office })],
  ["today_applications", "/v1/replacement-applications", day],
  ["today_certificates", "/v1/temporary-certificates", day],
  ["today_misuse", "/v1/misuse-reports", () => ({ state: "open" })],
];

export function todayTask() {
  const result = zone();
  async function load() {
    const found = [];
    for (const [key, path, query] of counts) found.push([key, await listAll(path, query())]);
    result.show(() => make("dl", { className: "tiles" }, found.map(([key, { rows, isWhole }]) => make("div", {},
      told("dt", key), make("dd", {}, isWhole ? String(rows.length) : t("at_least", { count: rows.length }))))));
  }
  return [told("p", "today_intro", { className: "hint" }), make("div", { className: "actions more" }, act("today_load", load, "primary")), result];
}
