import { expect, it } from "vitest";
import { readConfig } from "./config.ts";

const GOOD = {
  DATABASE_URL: "postgres://u:p@127.0.0.1/db",
  MUSTER_API_URL: "http://127.0.0.1:7380",
  MUSTER_AGENTS_DIR: "/var/lib/muster/agents",
  MUSTER_LOG_STORE: "/var/lib/muster/logs",
};

it("keeps logs in a folder or in a bucket", () => {
  expect(readConfig(GOOD)).toMatchObject({ port: 0, host: "127.0.0.1", logs: "/var/lib/muster/logs" });
  expect(readConfig({ ...GOOD, MUSTER_LOG_STORE: "s3://bucket/logs?region=eu" })).toMatchObject({ logs: "s3://bucket/logs?region=eu" });
});

it("has secrets only where their folder is named", () => {
  expect(readConfig(GOOD)).toMatchObject({ secretsDir: undefined });
  expect(readConfig({ ...GOOD, MUSTER_SECRETS_DIR: "/etc/muster/secrets" })).toMatchObject({ secretsDir: "/etc/muster/secrets" });
  expect(readConfig({ ...GOOD, MUSTER_SECRETS_DIR: "secrets" })).toEqual({ problems: [expect.stringMatching(/^MUSTER_SECRETS_DIR/)] });
});

it("keeps checkpoints in one place for all agents only where that is named", () => {
  expect(readConfig(GOOD)).toMatchObject({ checkpointRoot: undefined });
  expect(readConfig({ ...GOOD, MUSTER_CHECKPOINT_ROOT: "/shared/ckpt" })).toMatchObject({ checkpointRoot: "/shared/ckpt" });
  expect(readConfig({ ...GOOD, MUSTER_CHECKPOINT_ROOT: "ckpt" })).toEqual({ problems: [expect.stringMatching(/^MUSTER_CHECKPOINT_ROOT/)] });
});

it("has agents of this machine only where their folder is named", () => {
  const { MUSTER_AGENTS_DIR: _, ...without } = GOOD;
  expect(readConfig(GOOD)).toMatchObject({ agentsDir: "/var/lib/muster/agents" });
  expect(readConfig(without)).toMatchObject({ agentsDir: undefined });
  expect(readConfig({ ...GOOD, MUSTER_AGENTS_DIR: "agents" })).toEqual({ problems: [expect.stringMatching(/^MUSTER_AGENTS_DIR/)] });
});

it("names everything that is wrong at once", () => {
  expect(readConfig({})).toEqual({
    problems: [expect.stringMatching(/^DATABASE_URL/), expect.stringMatching(/^MUSTER_API_URL/), expect.stringMatching(/^MUSTER_LOG_STORE/)],
  });
  expect(readConfig({ ...GOOD, MUSTER_LOG_STORE: "logs", MUSTER_SUPERVISOR_PORT: "x" })).toEqual({
    problems: [expect.stringMatching(/^MUSTER_LOG_STORE/), expect.stringMatching(/^MUSTER_SUPERVISOR_PORT/)],
  });
});
