// What administration remembers: who is signed in, what the node told last, and how one view opens another. In memory alone.

export const admin = {
  session: null,
  /** The last answer of `GET /v1/console`. */
  snapshot: null,
  /** Opens a view: name and, where it has one, its subject. */
  open: () => {},
};

const rowsAtOnce = "50";

/** A list of the service, page by page: `rows`, and whether there are more. */
export function listOf(path, query = {}) {
  const member = path.split("/").pop();
  const list = { rows: [], hasMore: true };
  let cursor = "";
  list.more = async (limit = rowsAtOnce) => {
    const asked = new URLSearchParams({ limit, ...query, ...(cursor && { cursor }) });
    const answer = await admin.session.get(`${path}?${asked}`);
    list.rows.push(...(answer[member] ?? []));
    cursor = answer.next_cursor ?? "";
    list.hasMore = cursor !== "";
  };
  return list;
}
