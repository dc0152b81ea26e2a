import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { LocalEngine } from "@muster/engine-local";
import { literal } from "@muster/model";
import type { WorkerStart } from "@muster/engine";
import type { Behaviour, EngineHarness } from "@muster/engine/conformance";
import { startAgent, stopAgent, type AgentConfigInput, type RunningAgent } from "./index.ts";

/* For tests: a real agent over a folder of its own, and real programs for each behaviour. */

export interface TestAgent extends EngineHarness {
  engine: LocalEngine;
  agent: RunningAgent;
  config: AgentConfigInput;
  stateDir: string;
  /** Starts an agent anew over the same state, after a kill. */
  restart: () => Promise<RunningAgent>;
}

/** Lets agents find a perl that doesn't work; returns how to end that. */
export function withoutPerl(): () => void {
  const before = process.env["PATH"] ?? "";
  const folder = mkdtempSync("/tmp/muster-noperl-");
  writeFileSync(join(folder, "perl"), "#!/bin/sh\nexit 1\n");
  chmodSync(join(folder, "perl"), 0o755);
  process.env["PATH"] = `${folder}:${before}`;
  return () => {
    process.env["PATH"] = before;
    rmSync(folder, { recursive: true });
  };
}

export function script(text: string): Pick<WorkerStart, "argv" | "env" | "files"> {
  return { argv: ["sh", "-c", literal(text)], env: {}, files: [] };
}

export function realBehaviour(behaviour: Behaviour): Pick<WorkerStart, "argv" | "env" | "files"> {
  switch (behaviour.kind) {
    case "exit":
      return script(`${printing(behaviour.print)}exit ${behaviour.code}`);
    case "signal":
      return script(`kill -${behaviour.signal.slice(3)} $$`);
    case "run":
      return script(`${printing(behaviour.print)}exec sleep 600`);
    case "stubborn":
      return script(`trap '' TERM; echo ready; while :; do sleep 0.2; done`);
    default:
      return script(
        `d="$MUSTER_CHECKPOINT_DIR/step-${behaviour.step}"; mkdir "$d"; echo weights > "$d/model"; echo "saved ${behaviour.step} $d"; exec sleep 600`,
      );
  }
}

function printing(lines: readonly string[] = []): string {
  return lines.map((line) => `printf '%s\\n' '${line}'; `).join("");
}

export async function testAgent(more: Partial<AgentConfigInput> = {}): Promise<TestAgent> {
  const stateDir = more.state_dir ?? (await mkdtemp("/tmp/muster-agent-"));
  const config: AgentConfigInput = {
    shard: "test",
    state_dir: stateDir,
    nodes: [
      { name: "node-a", vendor: "nvidia", count: 8 },
      { name: "node-b", vendor: "ascend", count: 8 },
    ],
    ...more,
  };
  const agent = await startAgent(config);
  const engines: LocalEngine[] = [];
  const connect = (): LocalEngine => {
    const engine = new LocalEngine({ shard: "test", socket: agent.socket });
    engines.push(engine);
    return engine;
  };
  const test: TestAgent = {
    engine: connect(),
    agent,
    config,
    stateDir,
    nodes: ["node-a", "node-b"],
    behave: realBehaviour,
    pass: () =>
      new Promise((resolve) => {
        setTimeout(resolve, 10);
      }),
    reconnect: () => Promise.resolve(connect()),
    restart: async () => {
      test.agent = await startAgent(config);
      return test.agent;
    },
    dispose: async () => {
      await Promise.all(engines.map((engine) => engine.close()));
      await stopAgent(stateDir, true);
      if (more.state_dir === undefined) await rm(stateDir, { recursive: true, force: true });
    },
  };
  return test;
}
