import type { Scenario } from "./format.ts";

/** Quota, borrowing, lending, reclaim and the tree. */
export const quotas: Scenario[] = [
  {
    id: "S06",
    title: "quota is taken back from the borrower, least urgent first",
    source: "Kueue preemption_test",
    policy: { unassignedCapacity: "closed", reclaim: "nominal" },
    queues: {
      cohort: {},
      c1: { parent: "cohort", nominal: { cpu: 6 }, borrowLimit: { cpu: 6 } },
      c2: { parent: "cohort", nominal: { cpu: 6 }, borrowLimit: { cpu: 6 } },
    },
    running: [
      { job: "c1-low", queue: "c1", priority: -1, cpu: 3 },
      { job: "c2-mid", queue: "c2", cpu: 3 },
      { job: "c2-high", queue: "c2", priority: 1, cpu: 6 },
    ],
    steps: [{ submit: [{ job: "in", queue: "c1", priority: 1, cpu: 3 }], expect: { evict: ["c2-mid"], start: ["in"], keep: ["c1-low", "c2-high"] } }],
  },
  {
    id: "S07",
    title: "a lending limit bounds what can ever be asked back",
    source: "Kueue preemption_test",
    policy: { unassignedCapacity: "closed" },
    queues: {
      lend: {},
      lend1: { parent: "lend", nominal: { cpu: 6 }, lendLimit: { cpu: 4 } },
      lend2: { parent: "lend", nominal: { cpu: 6 }, lendLimit: { cpu: 2 } },
    },
    running: [{ job: "lend2-low", queue: "lend2", priority: -1, cpu: 10 }],
    steps: [
      {
        submit: [{ job: "in", queue: "lend1", cpu: 9 }],
        expect: { keep: ["lend2-low"], pending: ["in"], explain: [{ job: "in", reason: "exceeds_quota" }] },
      },
    ],
  },
  ...(["any_priority", "lower_priority"] as const).map(
    (reclaim): Scenario => ({
      id: reclaim === "any_priority" ? "S08a" : "S08b",
      title: `idle quota with work waiting for it is lent only if it can be had back: ${reclaim}`,
      source: "Kueue scheduler_test",
      policy: { unassignedCapacity: "closed" },
      queues: { root: {}, A: { parent: "root", nominal: { gpu: 2 }, reclaim }, B: { parent: "root", nominal: { gpu: 0 } } },
      running: [{ job: "a1", queue: "A", gpu: 1 }],
      steps: [
        {
          submit: [
            { job: "a2", queue: "A", gpu: 2 },
            { job: "b1", queue: "B", gpu: 1 },
          ],
          expect: reclaim === "any_priority" ? { pending: ["a2"], start: ["b1"] } : { pending: ["a2", "b1"] },
        },
      ],
    }),
  ),
  {
    id: "S09",
    title: "quota of a subtree goes to its own queue before an outsider",
    source: "Kueue scheduler_test, hierarchical cohort",
    policy: { unassignedCapacity: "closed" },
    queues: {
      root: {},
      "guaranteed-cohort": { parent: "root", nominal: { cpu: 4 } },
      guaranteed: { parent: "guaranteed-cohort", nominal: { cpu: 0 } },
      "best-effort": { parent: "root", nominal: { cpu: 0 } },
    },
    steps: [
      {
        submit: [
          { job: "g", queue: "guaranteed", cpu: 4 },
          { job: "b", queue: "best-effort", priority: 3, cpu: 4 },
        ],
        expect: { start: ["g"], pending: ["b"], evict: [] },
      },
    ],
  },
  {
    id: "S10a",
    title: "a reclaim that would lift the department above its own is refused",
    source: "KAI reclaimDepartments_test",
    nodes: { n0: { gpu: 4 } },
    queues: {
      d1: { nominal: { gpu: 2 } },
      d2: { nominal: { gpu: 2 } },
      q0: { parent: "d1", nominal: { gpu: 1 } },
      q1: { parent: "d2", nominal: { gpu: 1 } },
      q2: { parent: "d2", nominal: { gpu: 1 } },
    },
    running: [
      { job: "r0", queue: "q0", gpu: 3, on: ["n0"] },
      { job: "r1", queue: "q1", preemptible: false, gpu: 1, on: ["n0"] },
    ],
    steps: [{ submit: [{ job: "p", queue: "q1", gpu: 2 }], expect: { keep: ["r0", "r1"], pending: ["p"] } }],
  },
  {
    id: "S10b",
    title: "only preemptible work is taken back between departments",
    source: "KAI reclaimDepartments_test",
    nodes: { n0: { gpu: 2 } },
    queues: {
      d1: { nominal: { gpu: 1 } },
      d2: { nominal: { gpu: 1 } },
      q0: { parent: "d1", nominal: { gpu: 1 } },
      q1: { parent: "d2", nominal: { gpu: 1 } },
    },
    running: [
      { job: "r0", queue: "q0", gpu: 1, on: ["n0"] },
      { job: "r1", queue: "q0", preemptible: false, gpu: 1, on: ["n0"] },
    ],
    steps: [{ submit: [{ job: "p", queue: "q1", gpu: 1 }], expect: { evict: ["r0"], keep: ["r1"], start: { p: ["n0"] } } }],
  },
  {
    id: "S11",
    title: "a gang moves whole to the next pool when it cannot borrow enough",
    source: "Kueue scheduler_test",
    policy: { unassignedCapacity: "closed" },
    queues: {
      eng: {},
      alpha: {
        parent: "eng",
        nominal: { "on-demand": { cpu: 50 }, spot: { cpu: 100 } },
        borrowLimit: { "on-demand": { cpu: 50 }, spot: { cpu: 0 } },
      },
      beta: { parent: "eng", nominal: { "on-demand": { cpu: 50 }, spot: { cpu: 0 } }, borrowLimit: { "on-demand": { cpu: 10 }, spot: { cpu: 100 } } },
    },
    running: [{ job: "existing", queue: "beta", pods: 45, cpu: 1, pools: ["on-demand"] }],
    steps: [
      {
        submit: [{ job: "new", queue: "alpha", pods: 60, cpu: 1, pools: ["on-demand", "spot"] }],
        expect: { pool: { new: "spot" }, pods: { new: 60 }, keep: ["existing"] },
      },
    ],
  },
  {
    id: "S12",
    title: "reclaim stops at a guarantee, and takes nothing where that is not enough",
    source: "Volcano gangevict GR-6",
    nodes: { n0: { cpu: 1 }, n1: { cpu: 1 }, n2: { cpu: 1 }, n3: { cpu: 1 } },
    queues: { q1: { nominal: { cpu: 4 } }, q2: { nominal: { cpu: 2 }, guarantee: { cpu: 2 } } },
    running: [{ job: "v", queue: "q2", pods: 4, min: 2, cpu: 1, on: ["n0", "n1", "n2", "n3"] }],
    steps: [{ submit: [{ job: "r", queue: "q1", pods: 4, cpu: 1 }], expect: { pending: ["r"], keepPods: { v: 4 } } }],
  },
  {
    id: "X05",
    title: "a head that can never fit neither evicts nor blocks",
    source: "Kueue issue 6947",
    policy: { unassignedCapacity: "closed" },
    queues: { c: {}, A: { parent: "c", nominal: { gpu: 3 }, reclaim: "any_priority" }, B: { parent: "c", nominal: { gpu: 0 } } },
    steps: [
      {
        inOrder: true,
        submit: [
          { job: "b1", queue: "B", gpu: 1 },
          { job: "a4", queue: "A", gpu: 4 },
          { job: "a3", queue: "A", gpu: 3 },
        ],
        expect: { start: ["a3"], evict: ["b1"], pending: ["a4", "b1"], explain: [{ job: "a4", reason: "exceeds_quota" }] },
      },
    ],
  },
  {
    id: "X06",
    title: "what the first victim frees is kept until the last is gone",
    source: "Kueue issue 13662",
    policy: { unassignedCapacity: "closed" },
    queues: { c: {}, P: { parent: "c", nominal: { gpu: 4 }, reclaim: "any_priority" }, Q: { parent: "c", nominal: { gpu: 2 } } },
    running: [
      { job: "wA", queue: "Q", gpu: 3 },
      { job: "wB", queue: "Q", gpu: 3 },
    ],
    steps: [{ submit: [{ job: "p", queue: "P", gpu: 4 }], slow: { wB: 60 }, expect: { start: ["p"], evict: ["wA", "wB"], pending: ["wA", "wB"] } }],
  },
  {
    id: "X07",
    title: "a job blocked on one pool does not block jobs for another",
    source: "Kueue issue 8309",
    nodes: { b3: { gpu: 16, pool: "B300", accelerator: "b300" }, b2: { gpu: 40, pool: "B200", accelerator: "b200" } },
    queues: { q: { order: "strict", nominal: { B200: { gpu: 40 }, B300: { gpu: 16 } } } },
    running: [{ job: "busy", gpu: 16, on: ["b3"], pools: ["B300"] }],
    steps: [
      {
        inOrder: true,
        submit: [
          { job: "j1", gpu: 8, pools: ["B300"] },
          { job: "j2", gpu: 8, pools: ["B200"] },
          { job: "j3", gpu: 8, pools: ["B200"] },
          { job: "j4", gpu: 2, pools: ["B200"] },
        ],
        expect: { start: ["j2", "j3", "j4"], pending: ["j1"], keep: ["busy"] },
      },
    ],
  },
  {
    id: "N02",
    title: "what was lent comes back as whole nodes, though it lies scattered among what is others' own",
    source: "ours: an account's guarantee as in a cluster of its own",
    nodes: { n0: { gpu: 8 }, n1: { gpu: 8 }, n2: { gpu: 8 }, n3: { gpu: 8 }, n4: { gpu: 8 } },
    queues: { a: { nominal: { gpu: 16 } }, b: { nominal: { gpu: 16 } }, c: { nominal: { gpu: 0 } }, d: { nominal: { gpu: 8 } } },
    running: [
      { job: "b0", queue: "b", gpu: 8, on: ["n0"], started: 3 },
      { job: "b1", queue: "b", gpu: 8, on: ["n1"], started: 3 },
      { job: "c0", queue: "c", gpu: 8, on: ["n2"], started: 0 },
      { job: "d0", queue: "d", gpu: 4, on: ["n3"], started: 0 },
      { job: "d1", queue: "d", gpu: 4, on: ["n4"], started: 0 },
      { job: "b2", queue: "b", gpu: 4, on: ["n3"], started: 6 },
      { job: "b3", queue: "b", gpu: 4, on: ["n4"], started: 6 },
    ],
    steps: [{ submit: [{ job: "j", queue: "a", pods: 2, gpu: 8 }], expect: { start: ["j"], evictedByQueue: { b: 1, c: 1 }, keep: ["b2", "b3", "d0", "d1"] } }],
  },
];
