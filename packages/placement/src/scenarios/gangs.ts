import type { Scenario, ScenarioNode } from "./format.ts";

const cpuNodes = (count: number, cpu: number): Record<string, ScenarioNode> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, { cpu }]));

/** Gangs start whole, are evicted whole, and break as few others as possible. */
export const gangs: Scenario[] = [
  {
    id: "S01",
    title: "no part of a gang is placed",
    source: "KAI allocateGang_test",
    nodes: { n0: { gpu: 2 } },
    queues: { q0: { nominal: { gpu: 2 } } },
    steps: [{ submit: [{ job: "j", queue: "q0", pods: 2, gpu: 2 }], expect: { pending: ["j"], evict: [] } }],
  },
  {
    id: "S02a",
    title: "nothing is evicted for a gang that still would not fit",
    source: "KAI preemptGang_test",
    nodes: { n0: { gpu: 1 } },
    queues: { q0: { nominal: { gpu: 2 } } },
    running: [{ job: "low", queue: "q0", priority: 50, gpu: 1, on: ["n0"] }],
    steps: [{ submit: [{ job: "high", queue: "q0", priority: 100, preemptible: false, pods: 2, gpu: 1 }], expect: { keep: ["low"], pending: ["high"] } }],
  },
  {
    id: "S02b",
    title: "a gang that fits after an eviction gets it",
    source: "KAI preemptGang_test",
    nodes: { n0: { gpu: 2 } },
    queues: { q0: { nominal: { gpu: 2 } } },
    running: [{ job: "low", queue: "q0", priority: 50, gpu: 1, on: ["n0"] }],
    steps: [
      {
        submit: [{ job: "high", queue: "q0", priority: 100, preemptible: false, pods: 2, gpu: 1 }],
        expect: { evict: ["low"], start: { high: ["n0", "n0"] } },
      },
    ],
  },
  {
    id: "S03a",
    title: "members above the minimum go first",
    source: "Volcano gangevict GP-1",
    nodes: cpuNodes(4, 1),
    queues: { q: { nominal: { cpu: 4 } } },
    running: [{ job: "v", priority: 1, pods: 4, min: 2, cpu: 1, on: ["n0", "n1", "n2", "n3"] }],
    steps: [{ submit: [{ job: "high", priority: 1000, pods: 2, cpu: 1 }], expect: { start: ["high"], evict: [], keepPods: { v: 2 } } }],
  },
  {
    id: "S03b",
    title: "surplus is taken from several gangs before one is broken",
    source: "Volcano gangevict GP-2",
    nodes: cpuNodes(4, 1),
    queues: { q: { nominal: { cpu: 4 } } },
    running: [
      { job: "va", priority: 1, pods: 2, min: 1, cpu: 1, on: ["n0", "n1"] },
      { job: "vb", priority: 1, pods: 2, min: 1, cpu: 1, on: ["n2", "n3"] },
    ],
    steps: [{ submit: [{ job: "high", priority: 1000, pods: 2, cpu: 1 }], expect: { start: ["high"], evict: [], keepPods: { va: 1, vb: 1 } } }],
  },
  {
    id: "S03c",
    title: "without surplus one gang goes whole",
    source: "Volcano gangevict GP-3",
    nodes: cpuNodes(4, 1),
    queues: { q: { nominal: { cpu: 4 } } },
    running: [
      { job: "va", priority: 1, pods: 2, cpu: 1, on: ["n0", "n1"] },
      { job: "vb", priority: 1, pods: 2, cpu: 1, on: ["n2", "n3"] },
    ],
    steps: [
      {
        submit: [{ job: "high", priority: 1000, pods: 2, cpu: 1 }],
        expect: {
          start: ["high"],
          anyOf: [
            { evict: ["va"], keep: ["vb"] },
            { evict: ["vb"], keep: ["va"] },
          ],
        },
      },
    ],
  },
  {
    id: "S04",
    title: "a gang is evicted as one",
    source: "Armada preempting_queue_scheduler_test",
    nodes: cpuNodes(2, 32),
    queues: { A: {}, B: {}, C: {} },
    steps: [
      {
        submit: [
          { job: "a", queue: "A", count: 16, cpu: 1 },
          { job: "b", queue: "B", count: 16, cpu: 1 },
        ],
        expect: { runningByQueue: { A: 16, B: 16 } },
      },
      { submit: [{ job: "gang", queue: "C", pods: 32, cpu: 1 }], expect: { pods: { gang: 32 }, evict: [] } },
      {
        submit: [{ job: "urgent", queue: "A", count: 17, cpu: 1, priority: 1 }],
        expect: { evict: ["gang"], runningByQueue: { A: 33, B: 16 }, pending: ["gang"] },
      },
    ],
  },
  {
    id: "S05",
    title: "evicting one gang does not pull in another on the same node",
    source: "Armada preempting_queue_scheduler_test",
    nodes: cpuNodes(3, 32),
    queues: { A: {}, B: {} },
    running: [
      { job: "g1", queue: "A", pods: 33, cpu: 1, priority: 1, on: [...Array.from({ length: 32 }, () => "n0"), "n1"] },
      { job: "g2", queue: "A", pods: 32, cpu: 1, priority: 0, on: [...Array.from({ length: 31 }, () => "n1"), "n2"] },
    ],
    steps: [{ submit: [{ job: "big", queue: "B", cpu: 32, priority: 1 }], expect: { evict: ["g2"], keep: ["g1"], start: { big: ["n2"] } } }],
  },
  {
    id: "X01",
    title: "an elastic gang starts as large as its quota allows",
    source: "Kueue scheduler_test, partial admission",
    queues: { q: { nominal: { cpu: 50 }, borrowLimit: { cpu: 0 } } },
    steps: [{ submit: [{ job: "j", pods: 50, min: 20, cpu: 2 }], expect: { pods: { j: 25 } } }],
  },
  {
    id: "X02",
    title: "an elastic victim is shrunk, not evicted",
    source: "KAI reclaim_elastic_test",
    nodes: { n0: { gpu: 2 } },
    queues: { q0: { nominal: { gpu: 1 } }, q1: { nominal: { gpu: 1 } } },
    running: [{ job: "e", queue: "q0", pods: 2, min: 1, gpu: 1, on: ["n0"] }],
    steps: [{ submit: [{ job: "p", queue: "q1", gpu: 1 }], expect: { keepPods: { e: 1 }, evict: [], start: { p: ["n0"] } } }],
  },
];
