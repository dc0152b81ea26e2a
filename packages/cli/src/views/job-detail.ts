import type { AttemptView, JobView } from "@muster/model";
import type { Colours } from "../session.ts";
import { renderFields, renderTable } from "../table.ts";
import { abbreviate, clean, formatAge, formatDuration, plural } from "../text.ts";
import { describeProgress, describeReason, describeState, displayName, paintState, restartCount } from "./job.ts";

const BAR = 40;

/** A job for people: what it is, how it stands, and each attempt on one line of time. */
export function renderJob(job: JobView, attempts: readonly AttemptView[], now: number, colours: Colours): string {
  const reason = describeReason(job);
  const state = paintState(colours, job, describeState(job));
  const { restarts } = job;
  const head = `${colours.bold(displayName(job))}  ${colours.dim(job.id)}\n`;
  const fields = renderFields([
    ["state", `${state} for ${formatAge(job.state_since, now)}${reason ? ` (${reason})` : ""}`],
    ["conditions", job.conditions.join(", ")],
    ["where", `project ${job.project}, queue ${job.queue}, priority ${job.priority}, by ${clean(job.submitter)}`],
    [
      "what",
      `${plural(job.nodes, "node")}, ${plural(job.devices, "device")}${job.pools.length > 0 ? ` of ${job.pools.join(", ")}` : ""}${job.variant === null ? "" : `, variant ${job.variant}`}`,
    ],
    ["about", job.description ? clean(job.description) : undefined],
    [
      "labels",
      Object.entries(job.labels)
        .map(([key, value]) => clean(`${key}=${value}`))
        .join(", "),
    ],
    ["workers", job.workers ? `${job.workers.running} of ${job.workers.total} up` : undefined],
    ["progress", job.progress ? `${describeProgress(job) ?? "reported nothing readable"}, ${formatAge(job.progress.at, now)} ago` : undefined],
    [
      "checkpoint",
      job.latest_checkpoint
        ? `step ${job.latest_checkpoint.step} of attempt ${job.latest_checkpoint.attempt}, ${formatAge(job.latest_checkpoint.at, now)} ago`
        : undefined,
    ],
    ["restarts", `${restartCount(job)}`],
    [
      "failures",
      `${restarts.user} of the job itself (${restarts.max_user} are restarted), ${restarts.infrastructure} of the infrastructure, ${restarts.unknown} unknown`,
    ],
    [
      "failure",
      job.failure ? `${colours.red(job.failure.class)}: ${clean(job.failure.message)}${failurePlace(job)} (rule ${clean(job.failure.rule)})` : undefined,
    ],
    ["seen", job.failure && job.failure.evidence.length > 0 ? clean(abbreviate(job.failure.evidence, 2)) : undefined],
    ["submitted", `${job.submitted_at} (${formatAge(job.submitted_at, now)} ago)`],
    ["finished", job.finished_at ?? undefined],
    ["not before", job.not_before ?? undefined],
    ["account", describeAccount(job)],
    ["checkpoint every", describeCheckpointing(job)],
    ["run time", job.run_seconds > 0 ? formatDuration(job.run_seconds) : undefined],
  ]);
  return head + fields + (attempts.length > 0 ? `\n${renderAttempts(job, attempts, now, colours)}` : "");
}

function describeAccount({ accounting }: JobView): string | undefined {
  if (!accounting) return undefined;
  const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
  const wasted = Object.entries(accounting.wasted_device_hours)
    .filter(([, hours]) => hours >= 0.01)
    .map(([cause, hours]) => `${hours.toFixed(2)} by ${clean(cause)}`);
  const parts = [
    accounting.ettr !== null && `ETTR ${percent(accounting.ettr)}`,
    accounting.goodput !== null && `${accounting.steps.kept} of ${accounting.steps.done} steps kept`,
    wasted.length > 0 && `device-hours wasted: ${wasted.join(", ")}`,
  ];
  return parts.filter((part): part is string => typeof part === "string").join("; ") || undefined;
}

function describeCheckpointing({ checkpointing }: JobView): string | undefined {
  if (!checkpointing) return undefined;
  const { interval_seconds: now, suggested_interval_seconds: best, cost_seconds: cost, mean_time_to_failure_seconds: mean } = checkpointing;
  const why = `each holds it up for ${cost.toFixed(1)} s, and a job of its size fails every ${formatDuration(mean)}`;
  return `${formatDuration(best)} suggested${now === null ? "" : `, ${formatDuration(now)} asked for`} (${why})`;
}

function failurePlace(job: JobView): string {
  const { failure } = job;
  const parts = [
    failure?.worker && clean(failure.worker),
    failure?.node && `on ${clean(failure.node)}`,
    failure?.signal,
    failure?.exit_code !== null && failure?.exit_code !== undefined && `exit code ${failure.exit_code}`,
  ];
  const shown = parts.filter((part): part is string => typeof part === "string" && part !== "");
  return shown.length > 0 ? `, ${shown.join(" ")}` : "";
}

function renderAttempts(job: JobView, attempts: readonly AttemptView[], now: number, colours: Colours): string {
  const ordered = [...attempts].sort((a, b) => a.number - b.number);
  const first = ordered[0];
  if (!first) return "";
  const begin = Date.parse(first.scheduled_at);
  const end = Math.max(begin + 1000, job.finished_at ? Date.parse(job.finished_at) : now);
  const table = renderTable<AttemptView>(
    [
      { title: "ATTEMPT", value: (attempt) => String(attempt.number), right: true },
      { title: "TIMELINE", value: (attempt) => timeline(attempt, begin, end, now, colours) },
      { title: "START", value: (attempt) => span(attempt.scheduled_at, attempt.started_at), right: true },
      { title: "RUN", value: (attempt) => (attempt.started_at ? span(attempt.started_at, attempt.ended_at ?? new Date(now).toISOString()) : "-"), right: true },
      { title: "STEPS", value: (attempt) => steps(attempt) },
      { title: "NODES", value: (attempt) => abbreviate(attempt.nodes, 2) },
      { title: "END", value: (attempt) => ending(attempt, colours) },
    ],
    ordered,
  );
  return `${table}${colours.dim("timeline: ░ starting  █ running  ▒ stopping")}\n`;
}

/** The phases of one attempt, to the same scale for all attempts of the job. */
export function timeline(attempt: AttemptView, begin: number, end: number, now: number, colours: Colours): string {
  const stop = attempt.ended_at ? Date.parse(attempt.ended_at) : now;
  const cell = (end - begin) / BAR;
  let bar = "";
  for (let i = 0; i < BAR; i++) {
    const from = begin + i * cell;
    const to = from + cell;
    // an attempt shorter than a cell is still to be seen
    const covered = from < stop && to > Date.parse(attempt.scheduled_at);
    if (!covered) bar += colours.dim("·");
    else if (attempt.stopping_at && from >= Date.parse(attempt.stopping_at)) bar += colours.yellow("▒");
    else if (attempt.started_at && to > Date.parse(attempt.started_at)) bar += attempt.outcome === "failed" ? colours.red("█") : colours.green("█");
    else bar += colours.cyan("░");
  }
  return bar;
}

function span(from: string, to: string | null): string {
  return to === null ? "-" : formatDuration((Date.parse(to) - Date.parse(from)) / 1000);
}

function steps(attempt: AttemptView): string {
  const from = attempt.resumed_from_step ?? attempt.first_step;
  if (from === null && attempt.last_step === null) return "-";
  return `${from ?? "?"}..${attempt.last_step ?? "?"}`;
}

function ending(attempt: AttemptView, colours: Colours): string {
  if (attempt.failure) return colours.red(`${attempt.failure.class}: ${clean(attempt.failure.message)}`);
  return attempt.outcome ?? attempt.state;
}
