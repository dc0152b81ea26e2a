import { easy, fifo, las, muriJobs, muster, phillyOctober, sjf, srsf, srtf, type Scheduler, type TraceJob } from "@muster/replay";
import type { Knowledge } from "@muster/placement/ordering/service-order";

export interface Entry {
  name: string;
  class: Knowledge;
  make: (nodes: number) => Scheduler;
  /** Pays for its first start too where the trace's protocol says so. */
  preemptive: boolean;
}

export const ENTRIES: readonly Entry[] = [
  { name: "FIFO", class: "nothing", make: () => fifo(), preemptive: false },
  { name: "LAS (Tiresias-L)", class: "nothing", make: () => las(), preemptive: true },
  { name: "Muster", class: "nothing", make: (nodes) => muster("nothing", nodes, 8), preemptive: true },
  { name: "EASY", class: "limits", make: () => easy((job) => job.limit ?? Infinity), preemptive: false },
  { name: "Muster", class: "limits", make: (nodes) => muster("limits", nodes, 8), preemptive: true },
  { name: "SJF", class: "runtimes", make: () => sjf(), preemptive: false },
  { name: "SRTF", class: "runtimes", make: () => srtf(), preemptive: true },
  { name: "SRSF", class: "runtimes", make: () => srsf(), preemptive: true },
  { name: "Muster", class: "runtimes", make: (nodes) => muster("runtimes", nodes, 8), preemptive: true },
];

export interface Case {
  key: string;
  title: string;
  nodes: number;
  firstStartCosts: boolean;
  jobs: () => TraceJob[];
}

export const CASES: readonly Case[] = [
  { key: "muri1", title: "Muri trace 1, 64 devices", nodes: 8, firstStartCosts: true, jobs: () => muriJobs("muri1") },
  { key: "muri3", title: "Muri trace 3, 64 devices", nodes: 8, firstStartCosts: true, jobs: () => muriJobs("muri3") },
  { key: "philly_oct_512", title: "Philly October 2017, 512 devices", nodes: 64, firstStartCosts: false, jobs: phillyOctober },
];
