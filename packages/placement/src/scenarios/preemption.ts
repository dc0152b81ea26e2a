import type { Scenario, ScenarioJob } from "./format.ts";

const four = ["n0", "n1", "n2", "n3"];

/** Who is evicted for whom, and how few. */
export const preemption: Scenario[] = [
  {
    id: "S13",
    title: "a victim that turns out unnecessary stays",
    source: "Kueue preemption_test",
    policy: { unassignedCapacity: "closed" },
    queues: { solo: { nominal: { cpu: 6 } } },
    running: [
      { job: "low", queue: "solo", priority: -1, cpu: 1 },
      { job: "mid", queue: "solo", priority: 0, cpu: 2 },
      { job: "high", queue: "solo", priority: 1, cpu: 3 },
    ],
    steps: [{ submit: [{ job: "in", queue: "solo", priority: 1, cpu: 2 }], expect: { evict: ["mid"], start: ["in"], keep: ["low", "high"] } }],
  },
  {
    id: "S14",
    title: "an older job displaces the newest of equal priority",
    source: "Kueue preemption_test",
    policy: { unassignedCapacity: "closed" },
    queues: { q: { nominal: { cpu: 6 }, withinQueue: "lower_or_newer_equal" } },
    running: [
      { job: "w1", priority: 2, cpu: 2 },
      { job: "w2", priority: 1, submitted: 0, started: 1, cpu: 2 },
      { job: "w3", priority: 1, submitted: 0, started: 0, cpu: 2 },
    ],
    steps: [{ submit: [{ job: "in", priority: 1, submitted: -15, cpu: 2 }], expect: { evict: ["w2"], start: ["in"], keep: ["w1", "w3"] } }],
  },
  {
    id: "S15a",
    title: "the victim is the one with whom quota and node both fit",
    source: "Volcano preempt_test",
    nodes: { n1: { cpu: 3 }, n2: { cpu: 4 } },
    queues: { q: { nominal: { cpu: 6 }, limit: { cpu: 6 } } },
    running: [
      { job: "small", priority: 1, cpu: 1, on: ["n1"] },
      { job: "large", priority: 1, cpu: 4, on: ["n2"] },
    ],
    steps: [{ submit: [{ job: "in", priority: 10, cpu: 3 }], expect: { evict: ["large"], keep: ["small"], start: { in: ["n2"] } } }],
  },
  {
    id: "S15b",
    title: "nothing is evicted for a job above the ceiling of its queue",
    source: "Volcano preempt_test",
    nodes: { n1: { cpu: 10 } },
    queues: { q: { limit: { cpu: 3 } } },
    running: [
      { job: "v1", priority: 1, cpu: 1, on: ["n1"] },
      { job: "v2", priority: 1, cpu: 1, on: ["n1"] },
    ],
    steps: [
      {
        submit: [{ job: "in", priority: 10, cpu: 4 }],
        expect: { keep: ["v1", "v2"], pending: ["in"], explain: [{ job: "in", reason: "exceeds_quota" }] },
      },
    ],
  },
  {
    id: "S24a",
    title: "room enough but in pieces: the least urgent piece is cleared",
    source: "Kueue scheduler_tas_test",
    nodes: { x: { cpu: 5 }, y: { cpu: 5 } },
    queues: { q: {} },
    running: [
      { job: "mid", priority: 2, cpu: 4, on: ["x"] },
      { job: "low", priority: 1, cpu: 4, on: ["y"] },
    ],
    steps: [
      {
        submit: [{ job: "in", priority: 3, pods: 2, cpu: 1, within: "node" }],
        expect: { evict: ["low"], keep: ["mid"], start: { in: ["y", "y"] } },
      },
    ],
  },
  {
    id: "S24b",
    title: "many small evictions that help nobody do not happen",
    source: "Kueue issue 5243, the expectation is ours",
    nodes: Object.fromEntries(four.map((node) => [node, { gpu: 8 }])),
    queues: { q: {} },
    running: four.flatMap((node, n): ScenarioJob[] => [
      { job: `high${n}`, count: 6, priority: 10, gpu: 1, on: [node] },
      { job: `low${n}`, count: 2, priority: 1, gpu: 1, on: [node] },
    ]),
    steps: [
      {
        submit: [
          { job: "big", priority: 10, gpu: 8 },
          { job: "one", priority: 10, gpu: 1 },
        ],
        expect: { pending: ["big"], start: ["one"], evictedByQueue: { q: 1 }, runningByQueue: { q: 32 } },
      },
    ],
  },
];

/** Shares by weight, and when evening them out is worth an eviction. */
export const fairness: Scenario[] = [
  {
    id: "S16",
    title: "three queues converge to equal shares and stay",
    source: "Armada preempting_queue_scheduler_test",
    nodes: { n0: { cpu: 32 } },
    queues: { A: {}, B: {}, C: {} },
    steps: [
      { submit: [{ job: "a", queue: "A", count: 32, cpu: 1 }], expect: { runningByQueue: { A: 32 } } },
      { submit: [{ job: "b", queue: "B", count: 32, cpu: 1 }], expect: { runningByQueue: { A: 16, B: 16 }, evictedByQueue: { A: 16 } } },
      { submit: [{ job: "c", queue: "C", count: 10, cpu: 1 }], expect: { runningByQueue: { A: 11, B: 11, C: 10 }, evictedByQueue: { A: 5, B: 5 } } },
      {
        submit: [
          { job: "a-late", queue: "A", cpu: 1 },
          { job: "b-late", queue: "B", cpu: 1 },
          { job: "c-late", queue: "C", cpu: 1 },
        ],
        expect: { runningByQueue: { A: 11, B: 11, C: 10 }, evictedByQueue: {} },
      },
    ],
  },
  {
    id: "S17",
    title: "weights divide to the nearest whole job",
    source: "Armada preempting_queue_scheduler_test",
    nodes: { n0: { cpu: 32 } },
    queues: { A: { weight: 0.5 }, B: {} },
    steps: [
      { submit: [{ job: "a", queue: "A", count: 32, cpu: 1 }], expect: { runningByQueue: { A: 32 } } },
      { submit: [{ job: "b", queue: "B", count: 32, cpu: 1 }], expect: { runningByQueue: { A: 11, B: 21 }, evictedByQueue: { A: 21 } } },
      {
        submit: [
          { job: "a-late", queue: "A", cpu: 1 },
          { job: "b-late", queue: "B", cpu: 1 },
        ],
        expect: { runningByQueue: { A: 11, B: 21 }, evictedByQueue: {} },
      },
    ],
  },
  ...[
    { id: "S18a", running: { b1: 2, b2: 2.5, c1: 2, c2: 2.5 }, submit: { job: "in", queue: "a", cpu: 3.5 }, expect: { evict: ["b1", "c1"], start: ["in"] } },
    { id: "S18b", running: { a1: 3.5, b2: 2.5, c2: 2.5 }, submit: { job: "in", queue: "b", cpu: 2 }, expect: { evict: [], pending: ["in"] } },
    {
      id: "S18c",
      running: { a1: 1, a2: 1, a3: 1, b1: 1, b2: 1, b3: 1, b4: 1, b5: 1 },
      submit: { job: "in", queue: "a", cpu: 2 },
      expect: { evict: [], pending: ["in"] },
    },
  ].map(
    ({ id, running, submit, expect }): Scenario => ({
      id,
      title: "a fair-share eviction never leaves the taker with more than the giver had",
      source: "Kueue preemption_fair_test",
      policy: { unassignedCapacity: "closed" },
      queues: { all: {}, a: { parent: "all", nominal: { cpu: 3 } }, b: { parent: "all", nominal: { cpu: 3 } }, c: { parent: "all", nominal: { cpu: 3 } } },
      running: Object.entries(running).map(([job, cpu]) => ({ job, queue: job[0]!, cpu })),
      steps: [{ submit: [submit], expect }],
    }),
  ),
  ...(["A", "B"] as const).flatMap((owner): Scenario[] => {
    const other = owner === "A" ? "B" : "A";
    return [
      {
        id: owner === "A" ? "S19a" : "S19c",
        title: "nothing moves when it would only swap who has it all",
        source: "Armada preempting_queue_scheduler_test",
        nodes: { n0: { cpu: 32 } },
        queues: { A: {}, B: {} },
        running: [{ job: "small", queue: owner, count: 32, cpu: 1, on: ["n0"] }],
        steps: [{ submit: [{ job: "big", queue: other, cpu: 32 }], expect: { evict: [], pending: ["big"] } }],
      },
      {
        id: owner === "A" ? "S19b" : "S19d",
        title: "a whole node changes hands when that evens things out",
        source: "Armada preempting_queue_scheduler_test",
        nodes: { n0: { cpu: 32 }, n1: { cpu: 32 } },
        queues: { A: {}, B: {} },
        running: [
          { job: "x", queue: owner, count: 32, cpu: 1, on: ["n0"] },
          { job: "y", queue: owner, count: 32, cpu: 1, on: ["n1"] },
        ],
        steps: [
          {
            submit: [{ job: "big", queue: other, cpu: 32 }],
            expect: { start: ["big"], runningByQueue: { [owner]: 32, [other]: 1 }, evictedByQueue: { [owner]: 32 } },
          },
        ],
      },
    ];
  }),
];
