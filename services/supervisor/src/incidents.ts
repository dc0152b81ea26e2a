import { randomBytes } from "node:crypto";
import { makeId } from "@muster/model";
import type { Client } from "@muster/store";

export interface NewIncident {
  kind: string;
  severity: "info" | "warning" | "critical";
  evidence: string[];
  action: string;
  project?: string;
  job?: string;
  attempt?: number;
  node?: string;
}

export async function openIncident(client: Client, incident: NewIncident): Promise<string> {
  const id = makeId("inc", Date.now(), randomBytes(10));
  await client.query({
    name: "open-incident",
    text: "INSERT INTO incidents (id, kind, severity, evidence, action, project, job, attempt, node) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    values: [
      id,
      incident.kind,
      incident.severity,
      JSON.stringify(incident.evidence),
      incident.action,
      incident.project ?? null,
      incident.job ?? null,
      incident.attempt ?? null,
      incident.node ?? null,
    ],
  });
  return id;
}
