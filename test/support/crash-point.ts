import diagnostics from "node:diagnostics_channel";
import pg from "pg";

/*
 * Loaded into a service before its own code (`node --import`): ends the process with SIGKILL right before or right after its n-th write
 * from a certain statement on. A write is a statement that changes the database, a commit of such, or a command to an engine.
 * MUSTER_CRASH_POINT is `before:12` or `after:12`, MUSTER_CRASH_FROM a pattern that the first statement's text matches.
 */

const [side, number] = (process.env["MUSTER_CRASH_POINT"] ?? "").split(":");
const at = Number(number);
const from = new RegExp(process.env["MUSTER_CRASH_FROM"] ?? "INSERT INTO jobs\\b");
/** Heartbeats, which have nothing to do with any job. */
const BEATS = new Set(["take-lease", "drop-lease", "record-beat", "check-lease"]);
let writes = 0;

/** Of each connection whether its transaction has written. */
const wrote = new WeakMap<object, boolean>();

function isWrite(connection: object, text: string, name: string | undefined): boolean {
  if (BEATS.has(name ?? "")) return false;
  if (/^\s*COMMIT\b/i.test(text)) return wrote.get(connection) ?? false;
  const write = /^\s*(INSERT|UPDATE|DELETE|WITH)\b/i.test(text) && /\b(INSERT INTO|DELETE FROM|(?<!FOR |KEY )UPDATE)\b/i.test(text);
  if (write) wrote.set(connection, true);
  else if (/^\s*BEGIN\b/i.test(text)) wrote.set(connection, false);
  return write;
}

function die(): void {
  process.kill(process.pid, "SIGKILL");
}

/** @returns whether this is the one after which to end */
function count(): boolean {
  writes++;
  if (writes !== at) return false;
  if (side === "before") die();
  return true;
}

type Query = (this: object, ...words: unknown[]) => unknown;
const prototype = pg.Client.prototype as unknown as { query: Query };
const { query } = prototype;
prototype.query = function crashing(...words) {
  const [first] = words;
  const config = typeof first === "string" ? { text: first } : ((first ?? {}) as { text?: string; name?: string });
  const text = config.text ?? "";
  const counted = writes > 0 || from.test(text);
  const write = isWrite(this, text, config.name);
  if (!counted || !write || !count()) return query.apply(this, words);
  // a pool asks by callback, a transaction by promise
  if (typeof words.at(-1) === "function") return query.apply(this, [...words.slice(0, -1), die]);
  return (query.apply(this, words) as Promise<unknown>).finally(die);
};

let last: unknown;
diagnostics.subscribe("undici:request:create", (message) => {
  const { request } = message as { request: { method: string; path: string } };
  if (writes > 0 && request.method === "POST" && request.path.startsWith("/v1/") && count()) last = request;
});
// what it asked for is done, and nobody has heard
for (const answered of ["undici:request:headers", "undici:request:error"])
  diagnostics.subscribe(answered, (message) => {
    if (last !== undefined && (message as { request: unknown }).request === last) die();
  });
