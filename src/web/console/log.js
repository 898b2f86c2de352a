// The registry log as anybody reads it: its newest checkpoint and who cosigned it; whether this node says that it stands still.

import { table } from "./forms.js";
import { fill } from "./parts.js";
import { admin } from "./state.js";
import { facts, make, told, zone } from "../web/elements.js";
import { ago, t } from "../web/i18n.js";
import { ask, Refusal } from "../web/session.js";

const everyMs = 5_000;

async function read(path) {
  const answer = await ask("GET", path, undefined, {}, everyMs, (response) => response.text()).catch(() => null);
  if (!answer) throw new Refusal("network");
  const { response, body } = answer;
  if (response.status === 404) return null;
  if (!response.ok) throw new Refusal(response.status === 429 ? "limited" : "unavailable");
  return body;
}

/** A checkpoint (C2SP tlog-checkpoint) and when each witness cosigned it (tlog-cosignature); null where there is no log. */
export async function newest() {
  const keys = await read("/registry-log/keys");
  const name = keys?.split("\n")[0].replace(/\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/, "");
  const note = name ? await read(`/registry-log/${name.split("/").pop()}/checkpoint`) : null;
  if (!note) return null;
  const [origin, size, root] = note.split("\n");
  const lines = note.split("\n\n")[1]?.split("\n").filter((line) => line.startsWith("— ")) ?? [];
  const witnesses = lines.map((line) => line.slice(2).split(" ")).filter(([of]) => of !== origin).map(([of, signature]) => ({ name: of, atMs: cosignedMs(signature) }));
  return { origin, size, root, witnesses };
}

/** The time of a cosignature/v1: eight bytes of seconds behind four of the key's hash. */
function cosignedMs(signature) {
  const bytes = Uint8Array.from(atob(signature), (one) => one.charCodeAt(0));
  return bytes.length === 76 ? Number(new DataView(bytes.buffer).getBigUint64(4)) * 1000 : null;
}

export function view() {
  const place = zone();
  let [checkpoint, before, changedMs] = [null, null, 0];
  // Of witnesses that were there before: who is missing now has failed.
  const seen = new Set();
  const ask = async () => {
    checkpoint = await newest();
    if (checkpoint && checkpoint.size !== before) [before, changedMs] = [checkpoint.size, Date.now()];
    checkpoint?.witnesses.forEach(({ name }) => seen.add(name));
  };
  const firing = (name) => admin.snapshot?.alerts.some((alert) => alert.name === name && alert.since);
  const draw = () => {
    if (!checkpoint) return told("p", "log_none");
    const missing = [...seen].filter((name) => !checkpoint.witnesses.some((one) => one.name === name)).map((name) => ({ name, atMs: null }));
    const all = [...checkpoint.witnesses, ...missing];
    return [
      told("p", firing("LostcardRegistryLogStopped") ? "log_stopped" : "log_grows", { className: firing("LostcardRegistryLogStopped") ? "message" : "", role: "status" }),
      facts([
        ["log_origin", make("code", {}, checkpoint.origin)], ["log_size", checkpoint.size], ["log_root", make("code", {}, checkpoint.root)],
        ["log_age", ago(changedMs)],
      ]),
      make("h3", {}, t("witnesses")),
      firing("LostcardWitnessesFail") ? told("p", "LostcardWitnessesFail", { className: "message", role: "alert" }) : null,
      all.length === 0 ? told("p", "witnesses_none") : table(t("witnesses"), [
        ["witness", (of) => of.name], ["cosigned_at", (of) => (of.atMs ? ago(of.atMs) : make("strong", { className: "held" }, t("not_cosigned")))],
      ], all),
    ];
  };
  const again = async () => {
    if (!place.isConnected) return;
    try {
      await ask();
      if (place.isConnected) place.show(draw);
    } catch (refusal) {
      if (!refusal.kind) throw refusal;
      place.show(() => told("p", refusal.kind, { className: "message", role: "alert" }));
    }
    setTimeout(again, everyMs);
  };
  fill(place, ask, draw).then(() => setTimeout(again, everyMs));
  return [told("p", "log_about", { className: "hint" }), place];
}
