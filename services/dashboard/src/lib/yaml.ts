/** A JSON value as YAML, for people to read and to copy into a file; what it writes reads back as the same value. */
export function toYaml(value: unknown): string {
  return Array.isArray(value) || isRecord(value) ? `${block(value, "").join("\n")}\n` : `${scalar(value)}\n`;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function block(value: unknown[] | Record<string, unknown>, indent: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => attach(`${indent}-`, item, `${indent}  `));
  return Object.entries(value).flatMap(([key, item]) => attach(`${indent}${plainKey(key)}:`, item, `${indent}  `));
}

function attach(head: string, item: unknown, indent: string): string[] {
  if (Array.isArray(item)) {
    if (item.length === 0) return [`${head} []`];
    // Short lists of plain values, such as a command line, read better on one line.
    if (item.every((part) => typeof part !== "object" || part === null)) {
      const inline = `[${item.map((part) => inFlow(part)).join(", ")}]`;
      if (head.length + inline.length < 110) return [`${head} ${inline}`];
    }
    return [head, ...block(item, indent)];
  }
  if (isRecord(item)) {
    if (Object.keys(item).length === 0) return [`${head} {}`];
    const lines = block(item, indent);
    if (!head.endsWith("-")) return [head, ...lines];
    return [`${head} ${(lines[0] ?? "").trimStart()}`, ...lines.slice(1)];
  }
  if (typeof item === "string" && item.includes("\n") && !/\r|^\s|[ \t]\n|\n\n$/.test(item)) {
    const body = item.endsWith("\n") ? item.slice(0, -1) : item;
    return [`${head} |${item.endsWith("\n") ? "" : "-"}`, ...body.split("\n").map((line) => (line === "" ? "" : `${indent}${line}`))];
  }
  return [`${head} ${scalar(item)}`];
}

const PLAIN = /^[A-Za-z_/][\w./$+-]*(?: [\w./$+-]+)*$/;
const WORDS = /^(?:true|false|null|yes|no|on|off|y|n)$/i;
const plain = (text: string): boolean => PLAIN.test(text) && !WORDS.test(text);
const plainKey = (key: string): string => (plain(key) ? key : JSON.stringify(key));

function scalar(value: unknown): string {
  return typeof value === "string" ? (plain(value) ? value : JSON.stringify(value)) : JSON.stringify(value ?? null);
}
const inFlow = scalar;
