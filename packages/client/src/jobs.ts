import {
  attemptView,
  checkpointView,
  eventView,
  explainView,
  jobSummary,
  jobView,
  planView,
  workerView,
  type AskedClusterChange,
  type AttemptView,
  type EventView,
  type ExplainView,
  type JobView,
  type PlanView,
  type SubmittedJobSpec,
  type WorkerView,
  type jobListQuery,
} from "@muster/model";
import { z } from "zod";
import { AnswerError } from "./errors.ts";
import { allPages, pageOf, type Page } from "./pages.ts";
import { streamMessages } from "./sse.ts";
import type { CallOptions, Query, Transport } from "./transport.ts";

export type JobListQuery = Partial<z.input<typeof jobListQuery>>;
export type JobSummary = z.output<typeof jobSummary>;
export type CheckpointView = z.output<typeof checkpointView>;
export const JOB_ACTIONS = ["cancel", "hold", "release", "suspend", "resume", "requeue", "checkpoint"] as const;
export type JobAction = (typeof JOB_ACTIONS)[number];

export interface CreateOptions extends CallOptions {
  /** One key, one job: a create that is sent again with the same key makes no second job. Made up for each create unless given. */
  idempotencyKey?: string;
}

export interface SubmitOptions extends CreateOptions {
  /** Keep it held from the start, until it is released. */
  held?: boolean;
}

export interface LogQuery {
  attempt?: number | undefined;
  worker?: string | undefined;
  /** Byte to begin at. */
  offset?: number | undefined;
  /** Bytes at most. */
  limit?: number | undefined;
  /** Begin so many lines before the end. */
  tail?: number | undefined;
}

export interface LogPart {
  bytes: Uint8Array;
  /** Byte of the log that this begins at. */
  offset: number;
  /** Byte after its last. */
  next: number;
  /** Bytes kept of the log by now. */
  size: number;
}

/** Bytes asked for at once. */
const LOG_PART = 4 << 20;

const logChunk = z.object({ offset: z.int(), next: z.int(), text: z.string(), end: z.boolean() });
export type LogChunk = z.output<typeof logChunk>;

const attempts = pageOf(attemptView);
const workers = pageOf(workerView);
const checkpoints = pageOf(checkpointView);
const events = pageOf(eventView);
const jobs = pageOf(jobView);
const created = z.union([z.object({ items: z.array(jobView).min(1) }), jobView.transform((job) => ({ items: [job] }))]);

/** Jobs, and what belongs to one. A job is named by its id. */
export class Jobs {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Submits one job. @returns the job; of an array, its first element */
  async submit(spec: SubmittedJobSpec, options: SubmitOptions = {}): Promise<JobView> {
    const [first] = await this.#create("/v1/jobs", spec, options);
    if (!first) throw new AnswerError("the server made a job, but did not say which");
    return first;
  }

  /** Submits several jobs, all or none. @returns the jobs, an array as its elements */
  async submitAll(specs: readonly SubmittedJobSpec[], options: SubmitOptions = {}): Promise<JobView[]> {
    const [only] = specs;
    // of an array, only the answer for many names every element
    return specs.length === 1 && only?.array === undefined ? this.#create("/v1/jobs", only, options) : this.#create("/v1/jobs/batch", { jobs: specs }, options);
  }

  /** What would happen if the job were submitted now, to this cluster or a changed one; changes nothing. */
  async plan(spec: SubmittedJobSpec, { cluster, ...options }: CallOptions & { cluster?: AskedClusterChange } = {}): Promise<PlanView> {
    const body = cluster === undefined ? spec : { ...spec, cluster };
    return this.#transport.json(planView, { ...options, method: "POST", path: "/v1/jobs/plan", body, repeatable: true });
  }

  async page(query: JobListQuery = {}, options: CallOptions = {}): Promise<Page<JobView>> {
    return this.#transport.json(jobs, { ...options, path: "/v1/jobs", query: query as Query });
  }

  /** Every job that matches, newest first unless sorted otherwise. */
  list(query: JobListQuery = {}, options: CallOptions = {}): AsyncGenerator<JobView> {
    return allPages((cursor) => this.page({ ...query, ...(cursor !== undefined && { cursor }) }, options));
  }

  /** Counts of jobs and devices by fields, such as ["state", "queue"], of those that a list with this query would give. */
  async summary(groupBy: readonly string[], query: JobListQuery = {}, options: CallOptions = {}): Promise<JobSummary> {
    return this.#transport.json(jobSummary, { ...options, path: "/v1/jobs/summary", query: { ...(query as Query), group_by: groupBy.join(",") } });
  }

  async get(id: string, options: CallOptions = {}): Promise<JobView> {
    return this.#transport.json(jobView, { ...options, path: jobPath(id) });
  }

  /** The newest job of exactly this name, if any, in a project or in all that the token may see. */
  async newestByName(name: string, project?: string, options: CallOptions = {}): Promise<JobView | undefined> {
    for await (const job of this.list({ name, ...(project !== undefined && { project }), sort: "-submitted_at" }, options)) {
      if (job.name === name) return job;
    }
    return undefined;
  }

  async explain(id: string, options: CallOptions = {}): Promise<ExplainView> {
    return this.#transport.json(explainView, { ...options, path: `${jobPath(id)}/explain` });
  }

  /** What happened to the job, oldest first. */
  events(id: string, query: Query = {}, options: CallOptions = {}): AsyncGenerator<EventView> {
    return allPages((cursor) => this.#transport.json(events, { ...options, path: `${jobPath(id)}/events`, query: { ...query, cursor } }));
  }

  async attempts(id: string, options: CallOptions = {}): Promise<AttemptView[]> {
    return collect(allPages((cursor) => this.#transport.json(attempts, { ...options, path: `${jobPath(id)}/attempts`, query: { cursor } })));
  }

  /** Workers of an attempt, by default the newest. */
  async workers(id: string, attempt?: number, options: CallOptions = {}): Promise<WorkerView[]> {
    return collect(allPages((cursor) => this.#transport.json(workers, { ...options, path: `${jobPath(id)}/workers`, query: { attempt, cursor } })));
  }

  async checkpoints(id: string, options: CallOptions = {}): Promise<CheckpointView[]> {
    return collect(allPages((cursor) => this.#transport.json(checkpoints, { ...options, path: `${jobPath(id)}/checkpoints`, query: { cursor } })));
  }

  /** The spec as it was sent, or with variants merged and defaults filled in. */
  async spec(id: string, view: "submitted" | "resolved" = "resolved", options: CallOptions = {}): Promise<unknown> {
    return this.#transport.json(z.unknown(), { ...options, path: `${jobPath(id)}/spec`, query: { view } });
  }

  /** A part of what a worker wrote. */
  async logPart(id: string, query: LogQuery = {}, options: CallOptions = {}): Promise<LogPart> {
    const { bytes, headers } = await this.#transport.send({ ...options, path: `${jobPath(id)}/logs`, query: { ...query }, accept: "text/plain" });
    const offset = Number(headers.get("muster-log-offset") ?? query.offset ?? 0);
    return {
      bytes,
      offset,
      next: Number(headers.get("muster-log-next") ?? offset + bytes.length),
      size: Number(headers.get("muster-log-size") ?? offset + bytes.length),
    };
  }

  /** All that a worker has written so far, or its last lines, in pieces. */
  async *logs(id: string, query: LogQuery = {}, options: CallOptions = {}): AsyncGenerator<string> {
    const decoder = new TextDecoder();
    let position = query;
    for (;;) {
      const part = await this.logPart(id, { limit: LOG_PART, ...position }, options);
      const text = decoder.decode(part.bytes, { stream: true });
      if (text !== "") yield text;
      if (part.next >= part.size || part.bytes.length === 0) return;
      const { tail: _, ...rest } = position;
      position = { ...rest, offset: part.next };
    }
  }

  /** What a worker writes, as it writes it; ends with the log. Lost connections are taken up again where they broke. */
  async *followLogs(
    id: string,
    query: LogQuery = {},
    options: { signal?: AbortSignal | undefined; onReconnect?: (error: unknown) => void } = {},
  ): AsyncGenerator<LogChunk> {
    let position: LogQuery = query;
    const request = () => ({ path: `${jobPath(id)}/logs`, query: { ...position, follow: true } });
    for await (const message of streamMessages(this.#transport, request, options)) {
      const chunk = parseMessage(logChunk, message.data);
      // a server that repeats what was seen before a reconnection must not show twice
      if (position.offset !== undefined && chunk.next <= position.offset && chunk.text !== "") continue;
      yield chunk;
      if (chunk.end) return;
      const { tail: _, ...rest } = position;
      position = { ...rest, offset: chunk.next };
    }
  }

  /** Asks for an action and gives the job as it is then. @throws ProblemError with status 409 where its state does not allow it */
  async act(id: string, action: JobAction, reason = "", options: CallOptions = {}): Promise<JobView> {
    return this.#transport.json(jobView, { ...options, method: "POST", path: `${jobPath(id)}/${action}`, body: { reason } });
  }

  /** Changes what may be changed of a job, if it is still at that version. @throws ProblemError with status 412 where it is not */
  async update(id: string, change: { priority?: string }, version: number, options: CallOptions = {}): Promise<JobView> {
    return this.#transport.json(jobView, { ...options, method: "PATCH", path: jobPath(id), body: change, headers: { "if-match": `"${version}"` } });
  }

  async #create(path: string, body: unknown, { idempotencyKey, held, ...options }: SubmitOptions): Promise<JobView[]> {
    const key = idempotencyKey ?? crypto.randomUUID();
    const { items } = await this.#transport.json(created, {
      ...options,
      method: "POST",
      path,
      body,
      query: { hold: held || undefined },
      headers: { "idempotency-key": key },
      repeatable: true,
    });
    return items;
  }
}

export function parseMessage<T extends z.ZodType>(schema: T, data: string): z.output<T> {
  let content: unknown;
  try {
    content = JSON.parse(data);
  } catch {
    content = undefined;
  }
  const parsed = schema.safeParse(content);
  if (!parsed.success)
    throw new AnswerError(`the server streamed what this version of the client doesn't understand: ${parsed.error.issues[0]?.message ?? "no details"}`);
  return parsed.data;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}
