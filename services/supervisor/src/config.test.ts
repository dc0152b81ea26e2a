import { expect, it } from "vitest";
import { readConfig } from "./config.ts";

const GOOD = { DATABASE_URL: "postgres://u:p@127.0.0.1/db", MUSTER_API_URL: "http://127.0.0.1:7380", MUSTER_AGENTS_DIR: "/var/lib/muster/agents", MUSTER_LOG_DIR: "/var/lib/muster/logs" };

it("takes the documented limits of silence where none are given", () => {
  expect(readConfig(GOOD)).toMatchObject({ port: 0, host: "127.0.0.1", silence: { suspect: 20_000, lost: 25_000 } });
  expect(readConfig({ ...GOOD, MUSTER_SUSPECT_AFTER: "2", MUSTER_LOST_AFTER: "2.5" })).toMatchObject({ silence: { suspect: 2000, lost: 2500 } });
});

it("names everything that is wrong at once", () => {
  expect(readConfig({})).toEqual({ problems: [expect.stringMatching(/^DATABASE_URL/), expect.stringMatching(/^MUSTER_API_URL/), expect.stringMatching(/^MUSTER_AGENTS_DIR/), expect.stringMatching(/^MUSTER_LOG_DIR/)] });
  expect(readConfig({ ...GOOD, MUSTER_LOG_DIR: "logs", MUSTER_SUPERVISOR_PORT: "x", MUSTER_LOST_AFTER: "1" })).toEqual({
    problems: [expect.stringMatching(/^MUSTER_LOG_DIR/), expect.stringMatching(/^MUSTER_SUPERVISOR_PORT/), expect.stringMatching(/^MUSTER_LOST_AFTER/)],
  });
});
