import { expect, test } from "vitest";
import { isLoopback, readConfig } from "./config.ts";

const env = { DATABASE_URL: "postgres://localhost/x", MUSTER_LOG_STORE: "/var/lib/muster/logs" };

test("listens on loopback unless told", () => {
  expect(readConfig(env, [])).toMatchObject({ ok: true, host: "127.0.0.1", port: 7380, tls: undefined });
});

test("beyond this machine it wants TLS, or to be told that it may do without", () => {
  for (const MUSTER_HOST of ["0.0.0.0", "::", "10.0.0.1", "cluster.example.org", "127.0.0.1.example.org"]) {
    expect(readConfig({ ...env, MUSTER_HOST }, [])).toMatchObject({ ok: false, problems: [expect.stringContaining("--insecure")] });
    expect(readConfig({ ...env, MUSTER_HOST }, ["--insecure"])).toMatchObject({ ok: true, host: MUSTER_HOST });
    expect(readConfig({ ...env, MUSTER_HOST, MUSTER_TLS_CERT: "c", MUSTER_TLS_KEY: "k" }, [])).toMatchObject({
      ok: true,
      tls: { certFile: "c", keyFile: "k" },
    });
  }
  expect(["127.0.0.1", "127.1.2.3", "::1", "localhost"].every(isLoopback)).toBe(true);
});

test("says everything that is wrong at once", () => {
  expect(
    readConfig({ MUSTER_PORT: "http", MUSTER_TLS_CERT: "c", MUSTER_LOG_LEVEL: "loud", MUSTER_LOG_STORE: "logs", MUSTER_GIT_HOSTS: "git.corp, http://x" }, [
      "--verbose",
    ]),
  ).toMatchObject({
    ok: false,
    problems: [
      expect.stringContaining("--verbose"),
      expect.stringContaining("DATABASE_URL"),
      expect.stringContaining("MUSTER_PORT"),
      expect.stringContaining("MUSTER_TLS_KEY"),
      expect.stringContaining("MUSTER_LOG_LEVEL"),
      expect.stringContaining("MUSTER_LOG_STORE"),
      expect.stringContaining(
        'MUSTER_GIT_HOSTS: expected names, such as git.example.org or *.example.org, addresses, or ranges such as 10.1.0.0/16, not "http://x"',
      ),
    ],
  });
});
