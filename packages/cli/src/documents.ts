import { readFile } from "node:fs/promises";
import { parseAllDocuments } from "yaml";
import { UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";

export interface Document {
  /** `job.yaml`, or `job.yaml, document 2`. */
  source: string;
  content: Record<string, unknown>;
}

const MOST_BYTES = 64 * 1024 * 1024;

/** The YAML or JSON documents of files, `-` being standard input. Empty documents are left out. @throws UsageError */
export async function readDocuments(files: readonly string[], io: Io): Promise<Document[]> {
  const all: Document[] = [];
  for (const file of files) all.push(...parseDocuments(await readText(file, io), file === "-" ? "standard input" : file));
  if (all.length === 0) throw new UsageError(`nothing to do: ${files.join(", ")} holds no document`);
  return all;
}

export function parseDocuments(text: string, source: string): Document[] {
  const documents: Document[] = [];
  const parsed = [...parseAllDocuments(text, { prettyErrors: true, logLevel: "silent" })];
  for (const [index, document] of parsed.entries()) {
    const where = parsed.length === 1 ? source : `${source}, document ${index + 1}`;
    const [error] = document.errors;
    if (error) throw new UsageError(`${where} is no valid YAML: ${error.message.trim()}`);
    let content: unknown;
    try {
      content = document.toJS({ maxAliasCount: 100 });
    } catch (problem) {
      throw new UsageError(`${where} is no valid YAML: ${(problem as Error).message}`);
    }
    if (content === null || content === undefined) continue;
    if (typeof content !== "object" || Array.isArray(content))
      throw new UsageError(
        `${where}: expected fields such as "kind: job" and "name: ...", found ${Array.isArray(content) ? "a list" : JSON.stringify(content).slice(0, 40)}`,
      );
    documents.push({ source: where, content: content as Record<string, unknown> });
  }
  return documents;
}

async function readText(file: string, io: Io): Promise<string> {
  if (file !== "-") {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      throw new UsageError(`can't read ${file}: ${explain(error as NodeJS.ErrnoException)}`);
    }
  }
  if (io.stdin.isTTY) io.stderr.write("reading from standard input; end with Ctrl-D\n");
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of io.stdin) {
    chunks.push(Buffer.from(chunk as Uint8Array));
    size += (chunk as Uint8Array).length;
    if (size > MOST_BYTES) throw new UsageError("standard input is too large for a spec (more than 64 MiB)");
  }
  return Buffer.concat(chunks).toString("utf8");
}

function explain(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "there is no such file";
  if (error.code === "EACCES") return "permission denied";
  if (error.code === "EISDIR") return "it is a folder";
  return error.message;
}
