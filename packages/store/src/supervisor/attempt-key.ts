/** Names an attempt across incarnations. */
export interface AttemptId {
  job: string;
  incarnation: string;
  attempt: number;
}

export interface WorkerId extends AttemptId {
  worker: string;
}

export const attemptKey = (id: AttemptId): string => `${id.job}/${id.incarnation}/${id.attempt}`;
export const workerKey = (id: WorkerId): string => `${id.job}/${id.incarnation}/${id.attempt}/${id.worker}`;

/** Columns of several ids, for `unnest($n::text[], $n::bigint[], $n::int[])`. */
export function columns(ids: readonly AttemptId[]): [string[], string[], number[]] {
  return [ids.map((id) => id.job), ids.map((id) => id.incarnation), ids.map((id) => id.attempt)];
}
