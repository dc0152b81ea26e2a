import { fieldErrors, problem } from "@muster/model";
import type { z } from "zod";
import { backoffDelay, delay, type Backoff } from "./backoff.ts";
import { AnswerError, ConnectionError, ProblemError, TimeoutError } from "./errors.ts";

export interface ClientOptions {
  /** Such as http://127.0.0.1:7070; a path in it is kept. */
  url: string;
  token?: string | undefined;
  /** Seconds that one try may take; 30 by default. */
  timeout?: number;
  backoff?: Partial<Backoff>;
  /** Named to the server as the user agent. */
  agent?: string;
  fetch?: typeof fetch;
  random?: () => number;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Seconds that one try may take. */
  timeout?: number;
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Call extends CallOptions {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  query?: Query | undefined;
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
  /**
   * Whether a try whose end is unknown may be repeated. GET and PUT may; so may a create with an Idempotency-Key.
   * Everything else is repeated only where the server surely did nothing.
   */
  repeatable?: boolean;
  accept?: string;
}

export interface Answer {
  status: number;
  headers: Headers;
  bytes: Uint8Array;
}

/** The server is there, but not now: it did nothing and asks to come again. */
const REFUSED_FOR_NOW = new Set([429, 503]);
/** A proxy lost the server, so nobody knows what it did. */
const LOST_BEHIND_PROXY = new Set([502, 504]);
/** The request never left. */
const NEVER_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]);

/** Sends requests: base URL, token, time limit, and repeats where that is safe. */
export class Transport {
  readonly url: URL;
  readonly backoff: Backoff;
  readonly random: () => number;
  readonly #token: string | undefined;
  readonly #timeout: number;
  readonly #agent: string;
  readonly #fetch: typeof fetch;

  constructor(options: ClientOptions) {
    this.url = parseServerUrl(options.url);
    this.#token = options.token;
    this.#timeout = options.timeout ?? 30;
    this.backoff = { tries: 5, first: 0.2, limit: 5, ...options.backoff };
    this.#agent = options.agent ?? "muster-client";
    this.#fetch = options.fetch ?? fetch;
    this.random = options.random ?? Math.random;
  }

  /** An answer's JSON, checked. */
  async json<T extends z.ZodType>(schema: T, call: Call): Promise<z.output<T>> {
    return this.parse(schema, await this.send(call), call);
  }

  parse<T extends z.ZodType>(schema: T, answer: Answer, call: Call): z.output<T> {
    let content: unknown;
    try {
      content = JSON.parse(new TextDecoder().decode(answer.bytes));
    } catch {
      throw new AnswerError(`${this.#address(call)} answered something that is no JSON; is it a Muster server?`);
    }
    const parsed = schema.safeParse(content);
    if (parsed.success) return parsed.data;
    const first = fieldErrors(parsed.error)[0];
    throw new AnswerError(
      `${this.#address(call)} answered what this version of the client doesn't understand: ${first?.path ?? ""}: ${first?.message ?? "no details"}`,
    );
  }

  /** Sends until an answer comes, and reads it whole. @throws ProblemError, ConnectionError, TimeoutError, or the signal's reason */
  async send(call: Call): Promise<Answer> {
    const repeatable = call.repeatable ?? ["GET", "PUT"].includes(call.method ?? "GET");
    for (let failed = 1; ; failed++) {
      let wait: number | undefined;
      try {
        return await this.#once(call);
      } catch (error) {
        if (call.signal?.aborted || failed >= this.backoff.tries || !mayRepeat(error, repeatable)) throw error;
        wait = error instanceof ProblemError ? retryAfter.get(error) : undefined;
      }
      const pause = backoffDelay(this.backoff, failed, this.random);
      await delay(Math.max(pause, Math.min(wait ?? 0, 30)), call.signal);
    }
  }

  /** One try, with the body not read: for streams. The time limit holds until the headers are there. */
  async open(call: Call, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { accept: call.accept ?? "application/json", "user-agent": this.#agent, ...call.headers };
    if (this.#token !== undefined) headers["authorization"] = `Bearer ${this.#token}`;
    if (call.body !== undefined) headers["content-type"] = "application/json";
    // a redirect is not followed: the token is for this server alone
    const response = await this.#fetch(this.#target(call), {
      method: call.method ?? "GET",
      headers,
      signal,
      redirect: "manual",
      ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
    });
    if (!response.ok) throw asProblem(response, await response.text());
    return response;
  }

  async #once(call: Call): Promise<Answer> {
    const seconds = call.timeout ?? this.#timeout;
    const timeout = AbortSignal.timeout(seconds * 1000);
    try {
      const response = await this.open(call, call.signal ? AbortSignal.any([call.signal, timeout]) : timeout);
      return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) };
    } catch (error) {
      if (error instanceof ProblemError) throw error;
      if (call.signal?.aborted) throw call.signal.reason;
      if (timeout.aborted) throw new TimeoutError(this.#address(call), seconds);
      throw new ConnectionError(this.url.origin, error);
    }
  }

  #target(call: Call): URL {
    const target = new URL(this.url);
    target.pathname = target.pathname.replace(/\/+$/, "") + call.path;
    for (const [key, value] of Object.entries(call.query ?? {})) if (value !== undefined) target.searchParams.set(key, String(value));
    return target;
  }

  #address(call: Call): string {
    return `${call.method ?? "GET"} ${this.url.origin}${call.path}`;
  }
}

/** @throws Error where the text is no http or https URL, or carries a name or password */
export function parseServerUrl(text: string): URL {
  if (!URL.canParse(text) || !/^https?:\/\//.test(text))
    throw new Error(`"${text.replace(/\/\/[^/@]*@/, "//...@")}" is no server address; expected one such as http://127.0.0.1:7070`);
  const url = new URL(text);
  if (url.username || url.password) throw new Error("a server address must not contain a name or password; give the token apart from it");
  return url;
}

function mayRepeat(error: unknown, repeatable: boolean): boolean {
  if (error instanceof ProblemError) return REFUSED_FOR_NOW.has(error.status) || (repeatable && LOST_BEHIND_PROXY.has(error.status));
  if (error instanceof ConnectionError) return repeatable || NEVER_SENT.has(error.code ?? "");
  return repeatable && error instanceof TimeoutError;
}

/** Seconds that the server asked to wait, by error. */
const retryAfter = new WeakMap<ProblemError, number>();

function asProblem(response: Response, text: string): ProblemError {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    content = undefined;
  }
  const parsed = problem.safeParse(content);
  const error = new ProblemError(
    parsed.success
      ? parsed.data
      : {
          type: "about:blank",
          title: response.statusText || "Error",
          status: response.status,
          code: `http_${response.status}`,
          detail: `the server answered ${response.status} ${response.statusText}`.trim(),
        },
  );
  const seconds = Number(response.headers.get("retry-after"));
  if (Number.isFinite(seconds) && seconds > 0) retryAfter.set(error, seconds);
  return error;
}
