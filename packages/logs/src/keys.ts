export interface LogOwner {
  job: string;
  /** A bigint as text. */
  incarnation: string;
  attempt: number;
  worker: string;
}

/** The key of a worker's output. Jobs lie in a folder for each nine hours or so, so that no folder grows without end. */
export function logKey({ job, incarnation, attempt, worker }: LogOwner): string {
  return `${logPrefix(job)}/${incarnation}-${attempt}.${worker}`;
}

/** What all output of a job lies below. */
export function logPrefix(job: string): string {
  return `${job.slice(4, 9)}/${job}`;
}

/** Refuses what could lead out of a store: a key is made of plain names. @throws Error */
export function checkKey(key: string): void {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}$/.test(key))
    throw new Error(`not a key of a log: ${JSON.stringify(key.slice(0, 100))}`);
}

const DIGITS = 15;

/** The name of the chunk that begins at an offset. */
export function chunkName(key: string, offset: number): string {
  return `${key}.${String(offset).padStart(DIGITS, "0")}`;
}

/** Key and offset of a chunk; undefined where it is no chunk's name. */
export function parseChunk(name: string): { key: string; offset: number } | undefined {
  const part = /^(.+)\.(\d{15})$/.exec(name);
  return part ? { key: part[1] as string, offset: Number(part[2]) } : undefined;
}
