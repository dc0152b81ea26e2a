import { setTimeout as delay } from "node:timers/promises";
import { testDatabase } from "../../../packages/store/src/test-database.ts";
import { clusterOf, ControlPlane } from "../../support/control-plane.ts";

const CLIENTS = 8;

export interface SubmissionFigures {
  acknowledged: number;
  kills: number;
  /** Tries whose end the client didn't learn. */
  repeated: number;
  lost: number;
  doubled: number;
}

/** Clients submit while the control plane is killed again and again; each repeats with its Idempotency-Key until it has an answer. */
export async function runSubmissions(total: number, kills: number, random: () => number): Promise<SubmissionFigures> {
  const db = await testDatabase();
  const plane = new ControlPlane({ cluster: clusterOf({ h800: 1 }), databaseUrl: db.url });
  const acknowledged = new Map<string, string>();
  const figures: SubmissionFigures = { acknowledged: 0, kills: 0, repeated: 0, lost: 0, doubled: 0 };
  let next = 0;
  const client = async (): Promise<void> => {
    for (let mine = next++; mine < total; mine = next++) {
      for (;;) {
        try {
          // held, as this is about what is kept and not about what runs
          const { status, body } = await plane.request(
            "POST",
            "/v1/jobs?hold=true",
            { name: `job-${mine}`, run: ["true"] },
            { "idempotency-key": `key-${mine}` },
          );
          if (status === 201) {
            acknowledged.set(`job-${mine}`, (body as { id: string }).id);
            break;
          }
          if (status < 500 && status !== 429) throw new Error(`submission ${mine}: ${status} ${JSON.stringify(body)}`);
        } catch (error) {
          if (error instanceof Error && error.message.startsWith("submission")) throw error;
        }
        figures.repeated++;
        await delay(50);
      }
    }
  };
  const killer = async (): Promise<void> => {
    for (let kill = 1; kill <= kills; kill++) {
      // spread over the submissions, at a moment that nobody can foresee
      const at = Math.floor((total * (kill - 1 + random())) / kills);
      while (acknowledged.size < at && acknowledged.size < total) await delay(1);
      await delay(random() * 20);
      await plane.kill();
      figures.kills++;
      await plane.start();
    }
  };
  try {
    await plane.start();
    await Promise.all([killer(), ...Array.from({ length: CLIENTS }, client)]);
    const rows = await plane.query<{ id: string; name: string }>("SELECT id, name FROM jobs");
    const kept = new Map(rows.map((row) => [row.name, row.id]));
    figures.acknowledged = acknowledged.size;
    figures.lost = [...acknowledged].filter(([name, id]) => kept.get(name) !== id).length;
    figures.doubled = rows.length - kept.size + (acknowledged.size - new Set(acknowledged.values()).size);
    return figures;
  } finally {
    await plane.close();
    await db.drop();
  }
}
