// What is no chart: the tiles, the shares of verdicts, the nodes, and facts about the node that answered.

import { short, duration } from "./charts.js";
import { byId, make } from "../web/elements.js";
import { localTime, t } from "../web/i18n.js";

export const verdicts = ["not_listed", "card_listed", "other_card_listed", "number_listed"];

/** How a node is called on the page: the end of its id, which differs where the beginning is a time. */
export const nodeName = (id) => id.slice(-6);

const number = (value) => short(value, 12);

/** A time span in words. */
export function span(seconds) {
  if (seconds < 120) return t("seconds", { count: Math.round(seconds) });
  if (seconds < 7200) return t("minutes", { count: Math.round(seconds / 60) });
  return seconds < 172_800 ? t("hours", { count: Math.round(seconds / 3600) }) : t("days", { count: Math.round(seconds / 86_400) });
}

export function renderTiles({ rate, p99, latest, snapshot, firing }) {
  const age = latest.length > 0 ? Math.max(...latest.map((sample) => sample.age)) : null;
  const nodes = snapshot.nodes?.filter((node) => !node.is_dropped).length;
  const tiles = [
    ["tile_checks", rate === null ? "–" : short(rate), t("tile_checks_note")],
    ["tile_p99", p99 === null ? "–" : duration(p99), t(p99 === null ? "tile_p99_none" : "tile_p99_note")],
    ["tile_numbers", number(snapshot.sample.numbers_listed), t("tile_numbers_note", { count: number(snapshot.sample.recent_changes) })],
    ["tile_age", age === null ? "–" : duration(age / 1000), t("tile_age_note", { sequence: number(snapshot.sample.registry_sequence) }), age > 5000],
    ["tile_nodes", nodes ?? "–", t(nodes === undefined ? "tile_nodes_unknown" : snapshot.is_ready ? "tile_nodes_note" : "not_ready"), nodes === undefined || !snapshot.is_ready],
    ["tile_alerts", firing, t(firing === 0 ? "tile_alerts_none" : "tile_alerts_some"), firing > 0],
  ];
  byId("tiles").replaceChildren(
    ...tiles.map(([key, value, note, isBad]) => make("div", { className: isBad ? "tile bad" : "tile", id: key }, make("dt", {}, t(key)), make("dd", {}, make("b", {}, String(value)), make("small", {}, note)))),
  );
}

/** How checks were answered over the range: words, figures and bars. */
export function renderShares(counts) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const rows = verdicts.map((verdict, at) => {
    const share = all > 0 ? counts[at] / all : 0;
    const bar = make("div", { className: `bar-fill line-${at}` });
    bar.style.width = `${share * 100}%`;
    const track = make("div", { className: "bar-track" }, bar);
    track.setAttribute("aria-hidden", "true");
    const told = all > 0 ? `${short(share * 100)} %` : "–";
    return make("tr", {}, make("th", { scope: "row" }, t(verdict)), make("td", { className: "wide" }, track), make("td", { className: "figure" }, told), make("td", { className: "figure soft" }, number(Math.round(counts[at]))));
  });
  byId("shares-rows").replaceChildren(...rows);
}

export function renderNodes(snapshot) {
  byId("nodes-away").hidden = Boolean(snapshot.nodes);
  byId("nodes-table").hidden = !snapshot.nodes;
  byId("nodes-table").setAttribute("aria-label", t("table_of", { title: t("nodes_title") }));
  byId("nodes-rows").replaceChildren(
    ...(snapshot.nodes ?? []).map((node) => {
      const state = node.is_dropped ? "node_dropped" : node.silent_milliseconds > 3000 ? "node_silent" : node.changes_behind > 0 ? "node_behind" : "node_well";
      const own = node.node_id === snapshot.node_id ? make("small", {}, t("node_answers")) : null;
      return make(
        "tr",
        { className: state === "node_well" ? "" : "bad" },
        make("th", { scope: "row", title: node.node_id }, make("code", {}, nodeName(node.node_id)), own),
        make("td", {}, t(state)),
        make("td", { className: "figure" }, duration(node.silent_milliseconds / 1000)),
        make("td", { className: "figure" }, number(node.registry_sequence)),
        make("td", { className: "figure" }, number(node.changes_behind)),
      );
    }),
  );
}

export function renderFacts(snapshot) {
  const redis = !snapshot.redis_configured ? "redis_none" : snapshot.redis_reached ? "redis_reached" : "redis_away";
  const pairs = [
    ["fact_node", nodeName(snapshot.node_id)],
    ["fact_environment", t(`environment_${snapshot.environment}`)],
    ["fact_version", snapshot.version],
    ["fact_uptime", span(snapshot.uptime_seconds)],
    ["fact_memory", `${short(snapshot.resident_memory_bytes / 1048576)} MiB`],
    ["fact_ready", t(snapshot.is_ready ? "yes" : "not_ready")],
    ["fact_store", t(snapshot.store_reached ? "store_reached" : "store_away")],
    ["fact_redis", t(redis)],
    ["fact_waiting", number(snapshot.requests_waiting)],
    ["fact_sightings", `${short(snapshot.sightings_journal_bytes / 1024)} KiB`],
    ["fact_webhooks", snapshot.webhooks_overdue_seconds > 0 ? span(snapshot.webhooks_overdue_seconds) : t("nothing_due")],
    ["fact_retention", snapshot.retention_finished_at ? localTime(snapshot.retention_finished_at, { dateStyle: "short", timeStyle: "short" }) : t("never")],
    ["fact_rotation", t(snapshot.is_rotating ? "yes" : "no")],
  ];
  byId("facts").replaceChildren(...pairs.map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value))));
}
