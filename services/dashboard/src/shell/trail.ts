import type { JobSearch, NodeSearch } from "../lib/url-state.ts";

/* The lists as they were last seen, so that going up from a job or node leads back to the same rows. */

let jobs: JobSearch = {};
let nodes: NodeSearch = {};

export const leaveTrail = {
  jobs: (search: JobSearch): void => {
    jobs = search;
  },
  nodes: (search: NodeSearch): void => {
    nodes = search;
  },
};
export const lastJobs = (): JobSearch => jobs;
export const lastNodes = (): NodeSearch => nodes;
