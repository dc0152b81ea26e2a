import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/** A trace is not there; benches say so in one line and report no figure. */
export class TraceMissing extends Error {
  constructor(path: string) {
    super(`${path} is missing: set MUSTER_TRACES to the folder that holds the traces`);
    this.name = "TraceMissing";
  }
}

export function tracesFolder(): string {
  return process.env["MUSTER_TRACES"] ?? fileURLToPath(new URL("../../../../shared/traces", import.meta.url));
}

/** Rows of a CSV file (gzip where the name ends in .gz) as records by column name. Throws TraceMissing. */
export function readTrace(name: string): Record<string, string>[] {
  const path = join(tracesFolder(), name);
  if (!existsSync(path)) throw new TraceMissing(path);
  const bytes = readFileSync(path);
  return parseCsv((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8"));
}

/** Plain CSV without quoting, as all traces are. */
export function parseCsv(text: string): Record<string, string>[] {
  const [header, ...lines] = text.split(/\r?\n/).filter((line) => line !== "");
  if (header === undefined) return [];
  const columns = header.split(",");
  return lines.map((line) => {
    const cells = line.split(",");
    return Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? ""]));
  });
}
