/**
 * Effective training time (productive time over wall time) through traces of faults, in virtual time: what Muster's own rules
 * see, decide and back off for on simulated evidence, beside policies by their constants and an oracle. docs/ettr.md explains.
 */
import {
  DAY,
  ELASTIC,
  ORACLE,
  RECREATE,
  REQUEUE,
  Random,
  SERVICES,
  adversarial,
  byConstants,
  llama3Faults,
  musterRecovery,
  poissonFaults,
  runJob,
  shareWithoutNodes,
  stepfunRepair,
} from "@muster/replay";
import type { Outcome, Policy, Setting } from "@muster/replay";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
/** A step of Llama 3 405B: 6 x 405e9 x 16e6 operations on 16,384 devices at 400 Tflop/s. */
const STEP = 6;
const MUSTER = { checker: true, maxRestarts: 1000, operator: 1800, step: STEP };

const OWN = musterRecovery(MUSTER);
const POLICIES: readonly Policy[] = [
  byConstants(REQUEUE),
  byConstants(RECREATE),
  byConstants(ELASTIC),
  OWN,
  musterRecovery({ ...MUSTER, checker: false }),
  byConstants(ORACLE),
];

const BASE = { start: 60, load: 60, commitEvery: 300, storageAway: [], controlAway: [] };

interface Row {
  policy: string;
  ettr: number;
  outcomes: Outcome[];
}

export async function run(): Promise<{ figures: Record<string, number>; peers: Record<string, unknown> }> {
  const figures: Record<string, number> = {};
  const peers: Record<string, unknown> = {};
  let broken = 0;
  const take = (title: string, settings: readonly Setting[], policies: readonly Policy[] = POLICIES): Row[] => {
    const rows = table(title, settings, policies);
    broken += rows.flatMap((row) => row.outcomes).reduce((sum, outcome) => sum + outcome.invariantsBroken, 0);
    return rows;
  };

  checkModel();
  sayConstants();
  const llama3 = SEEDS.map((seed): Setting => ({ ...BASE, nodes: 2048, seconds: 54 * DAY, faults: llama3Faults(new Random(seed)) }));
  const headline = take("Llama 3: 419 faults, 54 days, 2,048 nodes", llama3);
  sayRules(headline);
  figures["llama3_ettr"] = of(headline, OWN.name);
  figures["llama3_oracle_ettr"] = of(headline, ORACLE.name);
  figures["llama3_recreate_ettr"] = of(headline, RECREATE.name);
  figures["llama3_elastic_ettr"] = of(headline, ELASTIC.name);
  figures["llama3_no_checker_ettr"] = of(headline, "Muster, no checker");
  peers["llama3_requeue_ettr"] = of(headline, REQUEUE.name);
  figures["llama3_default_max_restarts_ettr"] = of(
    take("The same where the job says nothing of max_restarts (3)", llama3, [musterRecovery({ ...MUSTER, maxRestarts: 3 })]),
    OWN.name,
  );

  take(
    "The same: checkpoint every 30 min, load 240 s",
    llama3.map((setting) => ({ ...setting, commitEvery: 1800, load: 240 })),
  );
  const repaired = llama3.map((setting): Setting => ({ ...setting, repair: { spares: 32, seconds: stepfunRepair } }));
  sayRules(take("The same as the first, with 32 spares and StepFun's repair times", repaired));
  const without = mean(repaired.map(shareWithoutNodes));
  console.error(`  no policy could run in ${(100 * without).toFixed(1)} % of the time, as more than 32 nodes were in repair`);
  figures["llama3_32_spares_no_nodes_share"] = round(without);

  figures["rsc_ettr"] = of(takeRsc(take), OWN.name);

  const worst = SEEDS.map((seed): Setting => ({ ...BASE, nodes: 512, seconds: 14 * DAY, ...adversarial(new Random(seed), 512, 14 * DAY) }));
  const adverse = take(
    "Adversarial: 512 nodes, 14 days, 6.5 faults per 1,000 node-days; 3 lemons, 2 flapping links, 14 nodes at once, storage away 30 min, the control plane killed every 10 min (5 s away)",
    worst,
  );
  sayRules(adverse);
  figures["adversarial_ettr"] = of(adverse, OWN.name);
  figures["bug_attempts"] = bugAttempts();
  console.error(`\nA user's bug in a loop (the same error at the same step): given up after ${figures["bug_attempts"]} attempts`);
  figures["invariants_broken"] = broken;
  console.error(`Invariants broken in all runs of Muster's rules: ${broken}`);
  return { figures, peers };
}

/** Job sizes at Meta RSC's rate: each has the same share of all device-hours. */
function takeRsc(take: (title: string, settings: readonly Setting[]) => Row[]): Row[] {
  const sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
  const settings = sizes.flatMap((nodes) =>
    SEEDS.slice(0, 3).map((seed): Setting => {
      const seconds = 400 * DAY;
      return { ...BASE, nodes, seconds, faults: poissonFaults(new Random(1000 * seed + nodes), nodes, 6.5, seconds) };
    }),
  );
  return take("Meta RSC's rate, 6.5 per 1,000 node-days: jobs of 8 to 4,096 devices, each size with the same device-hours, causes as Llama 3's", settings);
}

/** The published figures that the simulator must give before any of its own mean something. */
function checkModel(): void {
  console.error("The model against published figures (Meta RSC: 2,048 nodes, 6.5 faults per 1,000 node-days, 5 min to start again)");
  for (const [minutes, published] of [
    [60, 0.7],
    [5, 0.93],
  ] as const) {
    const seconds = 400 * DAY;
    const ettr = runJob(
      { ...BASE, nodes: 2048, seconds, start: 300, load: 0, commitEvery: minutes * 60, faults: poissonFaults(new Random(1), 2048, 6.5, seconds) },
      byConstants(ORACLE),
    ).ettr;
    console.error(`  checkpoint every ${minutes} min: ${ettr.toFixed(3)}, published ${published}`);
    if (Math.abs(ettr - published) > 0.02) throw new Error(`the simulator gives ${ettr.toFixed(3)} where ${published} is published`);
  }
}

function sayConstants(): void {
  console.error(
    "\nThe same for all: checkpoint every 5 min, not blocking; load 60 s; framework start 60 s; 10 % of faults hang; a healthy replacement at hand.",
  );
  console.error(
    `Muster: what the shipped rules take, and the services ${Object.entries(SERVICES)
      .map(([name, seconds]) => `${name} ${seconds} s`)
      .join(", ")}; step ${STEP} s; max_restarts ${MUSTER.maxRestarts}; a person sees to a job that was given up within ${MUSTER.operator / 60} min.`,
  );
  for (const { name, exit, silent, hang, again } of [REQUEUE, RECREATE, ELASTIC, ORACLE])
    console.error(`${name}: an exit seen after ${exit} s, a silent node ${silent} s, a hang ${hang} s; then ${again} s to the start`);
  console.error("Given to all but Muster for nothing: which node is out is known at the next start; never given up; the rendezvous host never lost.");
}

function table(title: string, settings: readonly Setting[], policies: readonly Policy[]): Row[] {
  console.error(`\n${title} (${settings.length} runs)`);
  console.error(
    `  ${"policy".padEnd(38)}${["ETTR", "least", "failures", "at start", "given up", "down p50 s", "p99 s", "mean s", "redone h"].map((head) => head.padStart(11)).join("")}`,
  );
  return policies.map((policy) => {
    const outcomes = settings.map((setting) => runJob(setting, policy));
    const ettr = round(mean(outcomes.map((outcome) => outcome.ettr)));
    const columns = [
      ettr.toFixed(4),
      Math.min(...outcomes.map((outcome) => outcome.ettr)).toFixed(4),
      mean(outcomes.map((outcome) => outcome.failures)).toFixed(1),
      mean(outcomes.map((outcome) => outcome.failedStarts)).toFixed(1),
      mean(outcomes.map((outcome) => outcome.givenUp)).toFixed(1),
      mean(outcomes.map((outcome) => outcome.downtime.p50)).toFixed(0),
      mean(outcomes.map((outcome) => outcome.downtime.p99)).toFixed(0),
      mean(outcomes.map((outcome) => outcome.downtime.mean)).toFixed(0),
      mean(outcomes.map((outcome) => outcome.redone / 3600)).toFixed(1),
    ];
    console.error(`  ${policy.name.padEnd(38)}${columns.map((column) => column.padStart(11)).join("")}`);
    return { policy: policy.name, ettr, outcomes };
  });
}

/** What the rules took the faults of the first run for. */
function sayRules(rows: readonly Row[]): void {
  const first = rows.find((row) => row.policy === OWN.name)?.outcomes[0];
  console.error(`  What ${OWN.name}'s rules took them for, first run:`);
  for (const line of first?.detail ?? []) console.error(`    ${line}`);
}

/** A job that ends with the same error 10 min into each attempt's work, before it brought a commit. */
function bugAttempts(): number {
  const bug = llama3Faults(new Random(1)).find((fault) => fault.cause.name === "software bug" && !fault.hangs);
  if (!bug) throw new Error("no software bug among the faults");
  const faults = Array.from({ length: 50 }, (_, index) => ({ ...bug, at: 400 + index * 130, slot: 0, draws: [0, 0, 0] as const }));
  const outcome = runJob({ ...BASE, nodes: 4, seconds: 1500, commitEvery: 3600, faults }, musterRecovery({ ...MUSTER, operator: DAY }));
  return outcome.failures;
}

function of(rows: readonly Row[], policy: string): number {
  const row = rows.find((one) => one.policy === policy);
  if (!row) throw new Error(`no row of ${policy}`);
  return row.ettr;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
