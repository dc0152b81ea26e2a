import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { onServer } from "@muster/store/testing";
import { freePorts } from "../support/free-ports.ts";

/** Starts the API and the scheduler of the image on an empty database; both must say that they are ready, and the dashboard be there. */
export async function servicesAnswer(
  start: (main: string, env: Record<string, string>) => ChildProcess,
  stop: (child: ChildProcess) => void = (child) => void child.kill("SIGTERM"),
): Promise<void> {
  const name = `image_${process.pid}_${randomBytes(4).toString("hex")}`;
  const server = process.env["MUSTER_TEST_DATABASE_URL"] ?? "";
  await onServer(server, `CREATE DATABASE ${name}`);
  const [apiPort, schedulerPort] = await freePorts(2);
  const env = {
    DATABASE_URL: Object.assign(new URL(server), { pathname: `/${name}` }).href,
    MUSTER_LOG_STORE: "/tmp",
    MUSTER_PORT: String(apiPort),
    MUSTER_SCHEDULER_PORT: String(schedulerPort),
    NODE_ENV: "production",
  };
  const children = ["api", "scheduler"].map((service) => start(`services/${service}/src/main.ts`, env));
  const ended = Promise.all(children.map((child) => new Promise<number | null>((resolve) => child.once("exit", resolve))));
  try {
    await until(`http://127.0.0.1:${apiPort}/readyz`, children);
    await until(`http://127.0.0.1:${schedulerPort}/readyz`, children);
    const page = await (await fetch(`http://127.0.0.1:${apiPort}/`)).text();
    if (!page.includes("<script")) throw new Error(`no dashboard: ${page.slice(0, 200)}`);
    for (const child of children) stop(child);
    const codes = await ended;
    if (codes.some((code) => code !== 0)) throw new Error(`ended with ${codes.join(", ")}`);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await ended;
    await onServer(server, `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

async function until(url: string, children: { exitCode: number | null }[]): Promise<void> {
  for (const end = Date.now() + 60_000; ; await delay(100)) {
    if (
      await fetch(url).then(
        (answer) => answer.ok,
        () => false,
      )
    )
      return;
    if (Date.now() > end || children.some((child) => child.exitCode !== null)) throw new Error(`${url} does not answer`);
  }
}
