import { expect, test } from "vitest";
import { readStatus, type DelegatedPhase } from "./status.ts";
import type { DelegatedKind } from "./kinds.ts";

const condition = (type: string, status = "True", reason = "R", message = "m") => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: "2026-01-01T00:00:00Z",
});

/* Statuses of JobSet and TrainJob as their controllers wrote them in the Kubernetes suite; those of the others as their types document them. */
const STATUSES: [DelegatedKind, unknown, DelegatedPhase][] = [
  ["jobset", undefined, "starting"],
  ["jobset", { conditions: [condition("Suspended", "True", "SuspendedJobs", "jobset is suspended")], restarts: 0 }, "suspended"],
  [
    "jobset",
    { conditions: [condition("Suspended", "False")], replicatedJobsStatus: [{ name: "worker", ready: 0, active: 1, succeeded: 0, failed: 0, suspended: 0 }] },
    "starting",
  ],
  [
    "jobset",
    { conditions: [condition("Suspended", "False")], replicatedJobsStatus: [{ name: "worker", ready: 1, active: 1, succeeded: 0, failed: 0, suspended: 0 }] },
    "running",
  ],
  ["jobset", { conditions: [condition("Completed", "True", "AllJobsCompleted", "jobset completed successfully")], terminalState: "Completed" }, "succeeded"],
  [
    "jobset",
    {
      conditions: [condition("Suspended"), condition("Failed", "True", "FailedJobs", "jobset failed due to one or more job failures")],
      terminalState: "Failed",
    },
    "failed",
  ],
  [
    "trainjob",
    { conditions: [condition("Suspended", "False", "Resumed")], jobsStatus: [{ name: "node", ready: 1, succeeded: 0, failed: 0, active: 1, suspended: 0 }] },
    "running",
  ],
  ["trainjob", { conditions: [condition("Complete", "True", "AllJobsCompleted")] }, "succeeded"],
  ["trainjob", { conditions: [condition("Failed", "True", "TrainingRuntimeNotSupported", "no such runtime")] }, "failed"],
  ["mpijob", { conditions: [condition("Created"), condition("Suspended")] }, "suspended"],
  ["mpijob", { conditions: [condition("Created"), condition("Running")], replicaStatuses: { Worker: { active: 2 } } }, "running"],
  ["mpijob", { conditions: [condition("Created"), condition("Running", "False"), condition("Succeeded")] }, "succeeded"],
  ["pytorchjob", { conditions: [condition("Created"), condition("Running", "False", "JobSuspended"), condition("Suspended", "False")] }, "starting"],
  [
    "pytorchjob",
    { conditions: [condition("Running", "False"), condition("Failed", "True", "PyTorchJobFailed")], replicaStatuses: { Master: { failed: 1 } } },
    "failed",
  ],
  ["rayjob", { jobDeploymentStatus: "Suspended" }, "suspended"],
  ["rayjob", { jobDeploymentStatus: "Initializing" }, "starting"],
  ["rayjob", { jobDeploymentStatus: "Running", jobStatus: "PENDING" }, "starting"],
  ["rayjob", { jobDeploymentStatus: "Running", jobStatus: "RUNNING" }, "running"],
  ["rayjob", { jobDeploymentStatus: "Complete", jobStatus: "SUCCEEDED" }, "succeeded"],
  ["rayjob", { jobDeploymentStatus: "Complete", jobStatus: "STOPPED", message: "Job was intentionally stopped." }, "failed"],
  ["rayjob", { jobDeploymentStatus: "Failed", reason: "SubmissionFailed" }, "failed"],
];

test.each(STATUSES)("%s %j is %s", (kind, status, phase) => {
  expect(readStatus(kind, status).phase).toBe(phase);
});

test("the operator's words are kept, and what is not understood is no end", () => {
  expect(readStatus("jobset", { conditions: [condition("Failed", "True", "FailedJobs", "one failed")] }).message).toBe("FailedJobs: one failed");
  expect(readStatus("rayjob", { jobStatus: 7 }).phase).toBe("starting");
  expect(readStatus("mpijob", { conditions: "none" }).phase).toBe("starting");
});
