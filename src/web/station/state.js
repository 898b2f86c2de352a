// What the station's page remembers, all of it in this object and gone with the page: the session and the office at work. A number is
// in the field where it was typed until its act is done, and nowhere else; of a report that was filed here its last four characters and its receipt are kept.

export const station = {
  session: null,
  /** Whether the session is of a paired device. */
  isDevice: false,
  /** The organization's name, as the service has it. */
  house: "",
  office: "",
  /** Which task is on the screen. */
  task: "report",
  /** The last four characters of numbers that were typed here, by the id of what was made of them. */
  tails: new Map(),
  /** Receipts of reports that were filed here, by the report's id: {text, salt}. The service tells them once. */
  receipts: new Map(),
};

/** Forgets who works here, and with what. */
export function forget() {
  station.session?.end();
  Object.assign(station, { session: null, isDevice: false, house: "", office: "", task: "report" });
  station.tails.clear();
  station.receipts.clear();
}

/** The instant at which the day began in Beijing. */
export const dayBegan = (nowMs = Date.now()) => `${new Date(nowMs + 8 * 3600_000).toISOString().slice(0, 10)}T00:00:00+08:00`;

/** The day in Beijing, as the service writes days. */
export const todayOn = (nowMs = Date.now()) => new Date(nowMs + 8 * 3600_000).toISOString().slice(0, 10);

const pagesMax = 20;

/** The rows of a list, page by page, at most 10,000: {rows, isWhole}. */
export async function listAll(path, query = {}) {
  const member = path.split("/").pop().replaceAll("-", "_");
  const rows = [];
  let cursor = "";
  for (let page = 0; page < pagesMax; page++) {
    const asked = new URLSearchParams({ limit: "500", ...query, ...(cursor && { cursor }) });
    const answer = await station.session.get(`${path}?${asked}`);
    rows.push(...(answer[member] ?? []));
    cursor = answer.next_cursor ?? "";
    if (!cursor) return { rows, isWhole: true };
  }
  return { rows, isWhole: false };
}
