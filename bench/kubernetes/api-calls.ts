import type { ApiClient } from "../../test/kubernetes/control-plane/api-client.ts";

/** Requests that an API server has answered, whoever asked, by `VERB resource`, and by the code where it refused. */
export async function apiCalls(admin: ApiClient): Promise<Map<string, number>> {
  const calls = new Map<string, number>();
  for (const line of (await admin.text("GET", "/metrics")).split("\n")) {
    const [, labels, count] = /^apiserver_request_total\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (labels === undefined) continue;
    const label = (name: string): string => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? "";
    const refused = Number(label("code")) >= 400 ? ` (${label("code")})` : "";
    const key = `${label("verb")} ${[label("resource"), label("subresource")].filter(Boolean).join("/")}${refused}`;
    calls.set(key, (calls.get(key) ?? 0) + Number(count));
  }
  return calls;
}

/** What came between, the most frequent first. */
export function between(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): [string, number][] {
  return [...after]
    .map(([key, count]): [string, number] => [key, count - (before.get(key) ?? 0)])
    .filter(([, count]) => count > 0)
    .toSorted((a, b) => b[1] - a[1]);
}
