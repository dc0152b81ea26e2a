import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseServerUrl, readClientDefaults, stateDir } from "./index.ts";

test.each([
  [{ MUSTER_STATE_DIR: "/srv/m", XDG_STATE_HOME: "/x" }, 0, "/srv/m"],
  [{}, 0, "/var/lib/muster"],
  [{ XDG_STATE_HOME: "/x" }, 1000, "/x/muster"],
  [{ XDG_STATE_HOME: "relative" }, 1000, "/home/a/.local/state/muster"],
  [{}, undefined, "/home/a/.local/state/muster"],
])("the state folder with %o as user %s is %s", (env, uid, expected) => {
  expect(stateDir({ env, uid, home: "/home/a" })).toBe(expected);
});

test("the embedded server's defaults are read, absent, or an error that shows no content", () => {
  const dir = mkdtempSync(join(tmpdir(), "muster-client-"));
  try {
    const file = join(dir, "client.json");
    expect(readClientDefaults(file)).toBeUndefined();
    writeFileSync(file, JSON.stringify({ server: "http://127.0.0.1:7070", token: "t" }));
    expect(readClientDefaults(file)).toEqual({ server: "http://127.0.0.1:7070", token: "t" });
    writeFileSync(file, `{"token": "hush"`);
    expect(() => readClientDefaults(file)).toThrow(/damaged/);
    expect(() => readClientDefaults(file)).not.toThrow(/hush/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("a server address is a plain http one", () => {
  expect(parseServerUrl("https://muster.lab/base/").href).toBe("https://muster.lab/base/");
  for (const text of ["muster.lab", "ftp://x", "localhost:7070"]) expect(() => parseServerUrl(text)).toThrow(/expected one such as/);
  expect(() => parseServerUrl("http://anna:hush@lab")).toThrow(/must not contain/);
});
