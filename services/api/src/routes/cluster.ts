import { isDeepStrictEqual } from "node:util";
import {
  clusterSettings,
  clusterView,
  effectiveSettings,
  fieldErrors,
  liftBrakeBody,
  newIncarnationBody,
  putSettingsView,
  type ClusterSettings,
  type ClusterView,
  type PutSettingsView,
} from "@muster/model";
import {
  appendEvents,
  closeIncident,
  effectiveSettingsOf,
  newIncarnation,
  putSettings,
  readBrake,
  readCluster,
  readVersionedSettings,
  settingChanges,
  transaction,
  type Client,
} from "@muster/store";
import { identityOf } from "../access/enforce.ts";
import type { App, Context } from "../context.ts";
import { Problem } from "../problems/problem.ts";
import { dryRunQuery } from "./declared.ts";
import { ifMatch, ifMatchHeaders, mismatch, setVersion } from "./version.ts";

/** The cluster as a whole: its settings, and what is done to it as one. */
export function clusterRoutes(app: App, context: Context): void {
  const { pool, waker, cluster } = context;

  app.get(
    "/v1/cluster",
    {
      schema: {
        operationId: "getCluster",
        tags: ["cluster"],
        summary: "Get the cluster: who it is, whether it starts work, and its settings",
        response: { 200: clusterView },
      },
    },
    async (_request, reply) => {
      const view = await look(pool);
      setVersion(reply, view.version);
      return view;
    },
  );

  app.put(
    "/v1/cluster/settings",
    {
      schema: {
        operationId: "putClusterSettings",
        tags: ["cluster"],
        summary: "Put the settings as a whole; what is left out has its default",
        querystring: dryRunQuery,
        headers: ifMatchHeaders,
        body: clusterSettings,
        response: { 200: putSettingsView },
      },
    },
    async (request, reply) => {
      const asked = ifMatch(request);
      const view = await transaction(pool, async (client) => {
        const before = await readVersionedSettings(client, true);
        if (asked !== undefined && asked !== before.version) throw mismatch("settings", before.version, asked);
        const after = check(request.body);
        const changes = settingChanges(effectiveSettingsOf(before.declared), after);
        const same = isDeepStrictEqual(before.declared, request.body);
        const write = !same && request.query.dry_run !== true;
        if (write) {
          await putSettings(client, request.body);
          await appendEvents(client, [{ kind: "cluster.settings_changed", actor: identityOf(request).subject, data: { changes } }]);
        }
        const now = await look(client);
        return { ...now, settings: after, declared: request.body, version: before.version + (same ? 0 : 1), changes } satisfies PutSettingsView;
      });
      cluster.forget();
      waker.wake();
      setVersion(reply, view.version);
      return view;
    },
  );

  app.post(
    "/v1/cluster/new-incarnation",
    {
      schema: {
        operationId: "beginIncarnation",
        tags: ["cluster"],
        summary: "After a restored backup: nothing that ran before counts as newer, and nothing starts until every engine has reported",
        body: newIncarnationBody,
        response: { 200: clusterView },
      },
    },
    async (request) => {
      const { reason } = request.body;
      const view = await transaction(pool, async (client) => {
        await client.query("SELECT FROM cluster FOR UPDATE");
        const incarnation = await newIncarnation(client, reason);
        await appendEvents(client, [{ kind: "cluster.new_incarnation", actor: identityOf(request).subject, data: { incarnation, reason } }]);
        return look(client);
      });
      waker.wake();
      return view;
    },
  );

  app.post(
    "/v1/cluster/lift-brake",
    {
      schema: {
        operationId: "liftBrake",
        tags: ["cluster"],
        summary: "Let silent nodes be declared lost although many fell silent at once",
        body: liftBrakeBody,
        response: { 200: clusterView },
      },
    },
    async (request) => {
      const { subject } = identityOf(request);
      const why = `lifted by ${subject}${request.body.reason === "" ? "" : `: ${request.body.reason}`}`;
      const view = await transaction(pool, async (client) => {
        const { incident } = await readBrake(client);
        if (incident === null || !(await closeIncident(client, incident, why)))
          throw new Problem("wrong_state", "The brake is not on: silent nodes are declared lost", { more: { state: "off", possible: [] } });
        await appendEvents(client, [{ kind: "cluster.mass_silence_over", actor: subject, data: { incident, why } }]);
        return look(client);
      });
      waker.wake();
      return view;
    },
  );
}

async function look(client: Client): Promise<ClusterView> {
  const { id, incarnation, starts_paused, starts_paused_reason } = await readCluster(client);
  const brake = await readBrake(client);
  const { declared, version } = await readVersionedSettings(client, false);
  return {
    id,
    incarnation,
    starts_paused,
    starts_paused_reason,
    brake: brake.incident !== null && brake.since !== null ? { incident: brake.incident, since: new Date(brake.since).toISOString() } : null,
    settings: effectiveSettingsOf(declared),
    declared,
    version,
  };
}

/** Fields that are right by themselves may contradict each other, or the default of another. */
function check(settings: ClusterSettings): ReturnType<typeof effectiveSettingsOf> {
  const effective = effectiveSettingsOf(settings);
  const checked = effectiveSettings.safeParse(effective);
  if (checked.success) return effective;
  const errors = fieldErrors(checked.error);
  throw new Problem("invalid", `${errors[0]?.path ?? ""}: ${errors[0]?.message ?? "is not valid"}`, { errors });
}
