import { isFinal, possibleActions } from "@muster/lifecycle";
import type { JobView, Role } from "@muster/model";

export type JobAction = "hold" | "release" | "suspend" | "resume" | "requeue" | "checkpoint" | "priority" | "cancel";

export interface ActionWords {
  label: string;
  /** What happens, said before it does. */
  effect: string;
  destructive: boolean;
}

export const JOB_ACTIONS: Readonly<Record<JobAction, ActionWords>> = {
  checkpoint: { label: "Checkpoint now", effect: "Asks every rank to write a checkpoint. The job keeps running.", destructive: false },
  hold: { label: "Hold", effect: "It starts nothing until it is released.", destructive: false },
  release: { label: "Release", effect: "It goes back to its place in the queue.", destructive: false },
  suspend: { label: "Suspend", effect: "It writes a checkpoint, stops, and gives its devices back until it is resumed.", destructive: true },
  resume: { label: "Resume", effect: "It goes back to the queue and continues from its newest checkpoint.", destructive: false },
  requeue: {
    label: "Requeue",
    effect: "It goes back to the queue: an attempt that runs is stopped, and the next one starts from the newest checkpoint.",
    destructive: true,
  },
  priority: { label: "Change priority", effect: "It is ordered anew in its queue.", destructive: false },
  cancel: { label: "Cancel job", effect: "It is asked to stop, then ended. Only a requeue brings it back.", destructive: true },
};

const ORDER = ["checkpoint", "release", "resume", "hold", "suspend", "requeue", "priority", "cancel"] as const satisfies readonly JobAction[];

/** The actions that would change something now, in the order to offer them; the server has the last word. */
export function actionsOf(job: Pick<JobView, "state" | "stopping">): JobAction[] {
  const possible = new Set<JobAction>(possibleActions({ state: job.state, stopTarget: job.stopping?.target ?? null }));
  if (job.state === "running") possible.add("checkpoint");
  if (!isFinal(job.state)) possible.add("priority");
  return ORDER.filter((action) => possible.has(action));
}

const RANK: Readonly<Record<Role, number>> = { viewer: 0, submitter: 1, operator: 2, admin: 3 };

/** The role someone has for a project: the better of their own and their membership's. */
export function roleIn(me: { role: Role; project: string | null; projects: Record<string, Role> } | undefined, project: string | null): Role {
  if (!me) return "viewer";
  const own = me.project === null || me.project === project ? me.role : "viewer";
  const member = project === null ? undefined : me.projects[project];
  return member && RANK[member] > RANK[own] ? member : own;
}

export const atLeast = (role: Role, needed: Role): boolean => RANK[role] >= RANK[needed];
