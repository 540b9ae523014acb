/** What shards, clients and the checker agree on. A key's shard is its remainder; its channel has the same number. */

export const SHARDS = 2;
export const CLIENTS = 2;

/** Each client writes keys of its own: client n those from n times `KEYS`. */
export const KEYS = 64;
export const WRITES = 5_000;

/** Labels of requests. `PUT`: key and value. `GET`: key. */
export const PUT = 1;
export const GET = 2;

/** Labels of answers. `DONE` acknowledges a PUT, and is followed by the value of a GET, 0 for a key without one. */
export const DONE = 0;
/** The log has no room. Nothing was written: notify the shard, which makes some, and ask again. */
export const FULL = 1;
