import type { AttemptView, EventView, IncidentView, WorkerView } from "@muster/model";
import type { CheckpointView, TokenView } from "@muster/client";
import type { Shape } from "../print.ts";
import type { Session } from "../session.ts";
import { abbreviate, clean, formatAge, formatBytes, formatDuration } from "../text.ts";

export function eventShape({ colours }: Session): Shape<EventView> {
  return {
    name: (event) => event.id,
    columns: [
      { title: "ID", value: (event) => event.id, wide: true },
      { title: "TIME", value: (event) => event.at },
      { title: "KIND", value: (event) => colours.bold(clean(event.kind)) },
      {
        title: "ABOUT",
        value: (event) =>
          [
            event.job && `${event.job}${event.attempt === null ? "" : `/${event.attempt}`}`,
            event.node,
            event.queue && !event.job ? event.queue : undefined,
            event.pool,
          ]
            .filter(Boolean)
            .join(" "),
      },
      { title: "ACTOR", value: (event) => clean(event.actor) },
      { title: "DETAILS", value: (event) => describeData(event.data) },
    ],
  };
}

function describeData(data: Readonly<Record<string, unknown>>): string {
  const text = Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
  const shown = clean(text);
  return shown.length > 120 ? `${shown.slice(0, 117)}...` : shown;
}

export function attemptShape(): Shape<AttemptView> {
  const between = (from: string | null, to: string | null): string => (from && to ? formatDuration((Date.parse(to) - Date.parse(from)) / 1000) : "-");
  return {
    name: (attempt) => String(attempt.number),
    columns: [
      { title: "ATTEMPT", value: (attempt) => String(attempt.number), right: true },
      { title: "STATE", value: (attempt) => attempt.state },
      { title: "OUTCOME", value: (attempt) => attempt.outcome ?? "-" },
      { title: "WORKERS", value: (attempt) => String(attempt.workers), right: true },
      { title: "NODES", value: (attempt) => abbreviate(attempt.nodes) },
      { title: "SCHEDULED", value: (attempt) => attempt.scheduled_at },
      { title: "TO-RUNNING", value: (attempt) => between(attempt.scheduled_at, attempt.started_at), right: true },
      { title: "RAN", value: (attempt) => between(attempt.started_at, attempt.ended_at), right: true },
      { title: "RESUMED-AT", value: (attempt) => (attempt.resumed_from_step === null ? "-" : String(attempt.resumed_from_step)), right: true },
      { title: "LAST-STEP", value: (attempt) => (attempt.last_step === null ? "-" : String(attempt.last_step)), right: true },
      { title: "RESUME-REASON", value: (attempt) => (attempt.resume_reason ? clean(attempt.resume_reason) : "-"), wide: true },
      { title: "INCARNATION", value: (attempt) => attempt.incarnation, wide: true },
      { title: "FAILURE", value: (attempt) => (attempt.failure ? `${attempt.failure.class}: ${clean(attempt.failure.message)}` : "-") },
    ],
  };
}

export function workerShape({ colours }: Session): Shape<WorkerView> {
  return {
    name: (worker) => worker.worker,
    columns: [
      { title: "WORKER", value: (worker) => worker.worker },
      { title: "NODE", value: (worker) => worker.node },
      {
        title: "DEVICES",
        value: (worker) =>
          worker.devices.length > 0 ? worker.devices.join(",") + (worker.share < 1000 && worker.share > 0 ? ` (${worker.share / 1000})` : "") : "-",
      },
      { title: "RANKS", value: (worker) => (worker.ranks > 1 ? `${worker.first_rank}-${worker.first_rank + worker.ranks - 1}` : String(worker.first_rank)) },
      { title: "STATE", value: (worker) => (worker.state === "running" ? colours.green(worker.state) : worker.state) },
      { title: "EXIT", value: (worker) => worker.signal ?? (worker.exit_code === null ? "-" : String(worker.exit_code)) },
      { title: "LOG", value: (worker) => formatBytes(worker.log_size), right: true },
      { title: "ROLE", value: (worker) => worker.role, wide: true },
      { title: "ATTEMPT", value: (worker) => String(worker.attempt), wide: true, right: true },
      { title: "DESIRED", value: (worker) => worker.desired, wide: true },
      { title: "STARTED", value: (worker) => worker.started_at ?? "-", wide: true },
      { title: "ENDED", value: (worker) => worker.ended_at ?? "-", wide: true },
      { title: "REASON", value: (worker) => (worker.oom ? "out of memory" : worker.reason ? clean(worker.reason) : "-") },
    ],
  };
}

export function checkpointShape({ now }: Session): Shape<CheckpointView> {
  return {
    name: (checkpoint) => String(checkpoint.id),
    columns: [
      { title: "STEP", value: (checkpoint) => String(checkpoint.step), right: true },
      { title: "ATTEMPT", value: (checkpoint) => String(checkpoint.attempt), right: true },
      { title: "AGE", value: (checkpoint) => formatAge(checkpoint.accepted_at, now), right: true },
      {
        title: "SEALED",
        value: (checkpoint) =>
          checkpoint.seal_error ? `failed: ${clean(checkpoint.seal_error)}` : checkpoint.pruned ? "pruned" : checkpoint.sealed_at ? "yes" : "not yet",
      },
      { title: "PATH", value: (checkpoint) => clean(checkpoint.sealed_path ?? checkpoint.path) },
    ],
  };
}

export function incidentShape({ colours, now }: Session): Shape<IncidentView> {
  return {
    name: (incident) => incident.id,
    columns: [
      { title: "ID", value: (incident) => incident.id },
      { title: "KIND", value: (incident) => clean(incident.kind) },
      {
        title: "SEVERITY",
        value: (incident) =>
          incident.severity === "critical"
            ? colours.red(incident.severity)
            : incident.severity === "warning"
              ? colours.yellow(incident.severity)
              : incident.severity,
      },
      { title: "OPENED", value: (incident) => `${formatAge(incident.opened_at, now)} ago`, right: true },
      {
        title: "OPEN",
        value: (incident) => (incident.closed_at === null ? "yes" : formatDuration((Date.parse(incident.closed_at) - Date.parse(incident.opened_at)) / 1000)),
        right: true,
      },
      {
        title: "ABOUT",
        value: (incident) =>
          [incident.job && `${incident.job}${incident.attempt === null ? "" : `/${incident.attempt}`}`, incident.node].filter(Boolean).join(" "),
      },
      { title: "CLASS", value: (incident) => incident.class ?? "-" },
      { title: "RULE", value: (incident) => incident.rule ?? "-", wide: true },
      { title: "ACTION", value: (incident) => (incident.action ? clean(incident.action) : "-") },
      {
        title: "DEVICE-HOURS",
        value: ({ cost }) => (typeof cost["device_seconds"] === "number" ? (cost["device_seconds"] / 3600).toFixed(2) : "-"),
        right: true,
      },
      { title: "PHASES", value: (incident) => describePhases(incident.cost), wide: true },
      { title: "EVIDENCE", value: (incident) => abbreviate(incident.evidence, 1) },
    ],
  };
}

/** Seconds of each phase of the recovery, in order, and what it cost. */
function describePhases({ phases, device_seconds: cost }: IncidentView["cost"]): string {
  if (typeof phases !== "object" || phases === null) return "-";
  const known = phases as Record<string, unknown>;
  const shown = ["detect", "decide", "fence", "place", "start", "reload", "redo"].flatMap((phase) =>
    typeof known[phase] === "number" ? [`${phase} ${formatDuration(known[phase])}`] : [],
  );
  return [...shown, ...(typeof cost === "number" && cost > 0 ? [`cost ${(cost / 3600).toFixed(2)} device-hours`] : [])].join(", ") || "-";
}

export function tokenShape({ now }: Session): Shape<TokenView> {
  return {
    name: (token) => token.id,
    columns: [
      { title: "ID", value: (token) => token.id },
      { title: "SUBJECT", value: (token) => clean(token.subject) },
      { title: "PROJECT", value: (token) => token.project ?? "all" },
      { title: "ROLE", value: (token) => token.role },
      { title: "AGE", value: (token) => formatAge(token.created_at, now), right: true },
      { title: "EXPIRES", value: (token) => token.expires_at ?? "never" },
      { title: "USED", value: (token) => (token.last_used_at ? `${formatAge(token.last_used_at, now)} ago` : "never"), right: true },
      { title: "DESCRIPTION", value: (token) => clean(token.description) },
    ],
  };
}
