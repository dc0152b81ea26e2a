import type { Engine } from "@muster/engine";
import { logKey, type LogStore } from "@muster/logs";
import { appendEvents, readUnkept, recordKept, type Pool } from "@muster/store";

const CHUNK = 1 << 20;
const BATCH = 64;

/** Moves output from the engine into the log store. What can't be stored is dropped and said, and never holds a job up. */
export async function keepLogs(pool: Pool, engine: Engine, logs: LogStore): Promise<{ more: boolean }> {
  const rows = await readUnkept(pool, engine.shard, BATCH);
  const kept = [];
  let more = rows.length === BATCH;
  for (const row of rows) {
    const chunk = await engine.readLog(row, row.kept_size, CHUNK);
    const next = chunk.data.length > 0 ? chunk.next : row.output_size;
    if (chunk.data.length > 0) {
      const { dropped, problem } = await logs.append(logKey(row), chunk.offset, chunk.data);
      if (dropped > 0)
        await appendEvents(pool, [
          {
            kind: "worker.log_dropped",
            actor: "supervisor",
            project: row.project,
            job: row.job,
            attempt: row.attempt,
            data: { worker: row.worker, bytes: dropped, reason: problem },
          },
        ]);
    }
    if (next < row.output_size) more = true;
    kept.push({ job: row.job, incarnation: row.incarnation, attempt: row.attempt, worker: row.worker, size: next });
  }
  await recordKept(pool, kept);
  return { more };
}
