import { largestGangs, poolsFree } from "./capacity.ts";
import { couldEverStart } from "./empty-cluster.ts";
import { estimateOf, type WorkAhead } from "./estimates.ts";
import type { Explanation, Need, WaitReason } from "./explanation.ts";
import type { JobRecord } from "./jobs.ts";
import { judge } from "./judge.ts";
import { durations } from "./learned.ts";
import type { Partition } from "./partition.ts";
import type { State } from "./state.ts";
import { SAMPLE, type Verdict } from "./verdict.ts";
import { before } from "./waiting.ts";

/** Reasons that no amount of waiting removes. */
const NEVER: ReadonlySet<WaitReason> = new Set(["no_matching_pool", "exceeds_quota", "exceeds_topology", "invalid"]);

interface Ahead extends WorkAhead {
  top: readonly string[];
}

const NOBODY: Ahead = { jobs: 0, devices: 0, work: { likely: 0, longest: 0 }, top: [] };

/** The dominant reason for which a job waits, judged on the state as it is now. */
export function reasonFor(state: State, job: JobRecord): WaitReason {
  return judged(state, job).reason;
}

function judged(state: State, job: JobRecord): Verdict {
  state.settle();
  const verdict = judge(state, job);
  if (state.jobs.get(job.input.id) === job) {
    const since = job.entry?.lane.blockedSince ?? state.now;
    if (job.reason !== verdict.reason) {
      job.reasonSince = job.reason === "pending_evaluation" ? Math.max(job.reasonSince, since) : state.now;
      job.reason = verdict.reason;
    }
  }
  return verdict;
}

/** Why a job waits, with the numbers that it was judged on. */
export function explainJob(state: State, job: JobRecord): Explanation {
  const verdict = judged(state, job);
  const { request } = job;
  const partitions = state.placer.partitionsFor(request);
  const lead = request.variants[0]!.roles[0]!;
  const ahead = NEVER.has(verdict.reason) ? NOBODY : aheadOf(state, job, partitions);
  return {
    job: job.input.id,
    reason: verdict.reason,
    message: verdict.message,
    since: job.reasonSince,
    evaluatedAt: state.now,
    need: needOf(state, job),
    free: poolsFree(state, lead.shape, partitions),
    largestGangs: partitions.flatMap((partition) => largestGangs(state, partition, lead.shape, lead.layers)),
    filtered: verdict.filtered,
    blocks: verdict.blocks,
    ahead: { jobs: ahead.jobs, devices: ahead.devices, top: ahead.top },
    wouldFitIf: verdict.wouldFitIf,
    estimate: estimateOf(state, job, verdict.reason, ahead),
  };
}

function needOf(state: State, job: JobRecord): Need {
  const { roles } = job.request.variants[0]!;
  const shapes = roles.map((role) => role.shape);
  const most = (pick: (shape: (typeof shapes)[number]) => number): number => Math.max(...shapes.map(pick));
  return {
    members: roles.reduce((sum, role) => sum + role.min, 0),
    devices: roles.reduce((sum, role) => sum + role.min * (role.shape.devices + role.shape.share / 1000), 0),
    perNode: {
      accelerators: most((s) => s.devices),
      share: most((s) => s.share),
      cpuMillis: most((s) => s.cpuMillis),
      memoryBytes: most((s) => s.memoryBytes),
    },
    segments: roles.flatMap((role) =>
      role.layers.map((layer) => ({
        nodes: layer.size,
        within: state.levels.name(layer.level),
        mode: layer.required ? ("required" as const) : ("preferred" as const),
      })),
    ),
    ...(job.input.within === undefined ? {} : { within: job.input.within }),
  };
}

/** Jobs that want some of the same hardware and come first: in its queue, and elsewhere by priority. */
function aheadOf(state: State, job: JobRecord, partitions: readonly Partition[]): Ahead {
  const wanted = new Set(partitions);
  const top: JobRecord[] = [];
  let jobs = 0;
  let devices = 0;
  const work = { likely: 0, longest: 0 };
  for (const lanes of state.lanes.values()) {
    for (const lane of lanes.values()) {
      if (!state.placer.partitionsFor(lane.request).some((partition) => wanted.has(partition))) continue;
      const { roles } = lane.request.variants[0]!;
      const each = roles.reduce((sum, role) => sum + role.min * (role.shape.devices + role.shape.share / 1000), 0);
      const { jobs: count, first } = lane.before(job, SAMPLE);
      if (count === 0 || !couldEverStart(state, lane)) continue;
      jobs += count;
      let [likely, longest] = [0, 0];
      for (const other of first) {
        if (top.length === SAMPLE && !before(other, top[SAMPLE - 1]!)) continue;
        top.push(other);
        top.sort((a, b) => (before(a, b) ? -1 : 1));
        top.length = Math.min(top.length, SAMPLE);
      }
      // Jobs of one lane ask alike, up to a factor of two in time: a few stand for all.
      for (const other of first) {
        const known = durations(other, state.learned);
        likely += known.likely / first.length;
        longest += known.longest / first.length;
      }
      const taken = each * count;
      devices += taken;
      if (taken === 0) continue;
      work.likely += taken * likely;
      work.longest += taken * longest;
    }
  }
  return { jobs, devices, work, top: top.map((other) => other.input.id) };
}
