import type { problem } from "@muster/model";
import type { z } from "zod";
import { noteServerTime } from "../ui/clock.ts";
import { currentToken, signOut } from "./session.ts";

type Problem = z.output<typeof problem>;

/** An answer that is not a success, or none at all (`status` 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  readonly fields: readonly { path: string; message: string }[];

  constructor(status: number, message: string, found?: Partial<Problem>) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = found?.code ?? (status === 0 ? "unreachable" : `http_${status}`);
    this.requestId = found?.request_id;
    this.fields = found?.errors ?? [];
  }
}

export interface Options {
  method?: "GET" | "POST" | "PATCH";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Sends a request with the session's token; throws ApiError for all but a success. */
export async function send(path: string, options: Options = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  const token = currentToken();
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  if (options.body !== undefined) headers.set("content-type", "application/json");
  let response: Response;
  try {
    response = await fetch(path, {
      method: options.method ?? "GET",
      headers,
      cache: "no-store",
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  noteServerTime(response.headers.get("date"));
  if (response.ok) return response;
  const found = await readProblem(response);
  // Another sign-in may have happened meanwhile; only the token that was refused is dropped.
  if (response.status === 401 && token === currentToken()) signOut();
  throw new ApiError(response.status, found?.detail ?? found?.title ?? `The server answered ${response.status}.`, found);
}

async function readProblem(response: Response): Promise<Partial<Problem> | undefined> {
  try {
    const value: unknown = await response.json();
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

export async function getJson<Value>(path: string, signal?: AbortSignal): Promise<Value> {
  const response = await send(path, { headers: { accept: "application/json" }, ...(signal ? { signal } : {}) });
  return (await response.json()) as Value;
}

/** Whether a new try may do better: not for what the server refused. */
export const worthRetrying = (error: unknown): boolean => !(error instanceof ApiError) || error.status === 0 || error.status === 429 || error.status >= 500;
