import { isDeepStrictEqual } from "node:util";
import { QUARANTINE_PART, SILENCE_LIMITS, type SilenceLimits } from "@muster/lifecycle";
import {
  clusterSettings,
  DEFAULT_PRIORITIES,
  type ClusterSettings,
  type EffectiveSettings,
  type FaultRule,
  type SettingChange,
  type SilenceSettings,
} from "@muster/model";
import type { Client } from "./pool.ts";
import { DEFAULT_RETENTION } from "./retention.ts";
import { defaultPlacement } from "./scheduler/policy.ts";

const SECTIONS = ["placement", "priorities", "retention", "rules", "silence", "nodes"] as const satisfies readonly (keyof ClusterSettings)[];

/** What was put, as this version understands it: a section that it doesn't is taken as absent. */
export function parseSettings(stored: Readonly<Record<string, unknown>>): ClusterSettings {
  return Object.assign(
    {},
    ...SECTIONS.map((section) => clusterSettings.safeParse(stored[section] === undefined ? {} : { [section]: stored[section] }).data ?? {}),
  ) as ClusterSettings;
}

/** What holds: what was put over the defaults of those who follow it. */
export function effectiveSettingsOf({ placement, priorities, retention, rules, silence, nodes }: ClusterSettings): EffectiveSettings {
  return {
    placement: over(defaultPlacement(), placement),
    priorities: { ...DEFAULT_PRIORITIES, ...priorities },
    retention: over<EffectiveSettings["retention"]>(
      { jobs: DEFAULT_RETENTION.jobs, events: DEFAULT_RETENTION.events, logs: DEFAULT_RETENTION.jobs, logs_total: null },
      retention,
    ),
    rules: rules ?? [],
    silence: over(
      {
        suspect_after: SILENCE_LIMITS.suspect / 1000,
        lost_after: SILENCE_LIMITS.lost / 1000,
        brake_fraction: SILENCE_LIMITS.brakeFraction,
        brake_nodes: SILENCE_LIMITS.brakeNodes,
        brake_release: SILENCE_LIMITS.brakeRelease / 1000,
      },
      silence,
    ),
    nodes: over<EffectiveSettings["nodes"]>({ quarantine: QUARANTINE_PART, lemon_score: 3, retire_after: 3 }, nodes),
  };
}

function over<T extends object>(defaults: T, set: { [K in keyof T]?: T[K] | undefined } | undefined): T {
  return Object.assign(defaults, set);
}

/** The limits that were put, in milliseconds. */
export function silenceLimitsOf(settings: SilenceSettings): Partial<SilenceLimits> {
  return {
    ...(settings.suspect_after !== undefined && { suspect: settings.suspect_after * 1000 }),
    ...(settings.lost_after !== undefined && { lost: settings.lost_after * 1000 }),
    ...(settings.brake_fraction !== undefined && { brakeFraction: settings.brake_fraction }),
    ...(settings.brake_nodes !== undefined && { brakeNodes: settings.brake_nodes }),
    ...(settings.brake_release !== undefined && { brakeRelease: settings.brake_release * 1000 }),
  };
}

/** What differs, by path. */
export function settingChanges(before: EffectiveSettings, after: EffectiveSettings): SettingChange[] {
  return SECTIONS.flatMap((section) => {
    const [from, to] = [before[section], after[section]] as unknown as Record<string, unknown>[];
    return [...new Set([...Object.keys(from ?? {}), ...Object.keys(to ?? {})])].flatMap((key) =>
      isDeepStrictEqual(from?.[key], to?.[key]) ? [] : [{ path: `${section}.${key}`, from: from?.[key], to: to?.[key] }],
    );
  });
}

export async function readSettings(client: Client): Promise<ClusterSettings> {
  const { rows } = await client.query<{ settings: Record<string, unknown> }>({ name: "read-settings", text: "SELECT settings FROM cluster" });
  return parseSettings(rows[0]?.settings ?? {});
}

export interface VersionedSettings {
  declared: ClusterSettings;
  version: number;
}

/** @param lock whether they are kept as they are until the transaction ends */
export async function readVersionedSettings(client: Client, lock: boolean): Promise<VersionedSettings> {
  const { rows } = await client.query<{ settings: Record<string, unknown>; version: number }>({
    name: `read-versioned-settings${lock ? "-locked" : ""}`,
    text: `SELECT settings, settings_version AS version FROM cluster${lock ? " FOR UPDATE" : ""}`,
  });
  const [row] = rows;
  if (!row) throw new Error("The database has no cluster row; start Muster once on it");
  return { declared: parseSettings(row.settings), version: row.version };
}

export async function putSettings(client: Client, settings: ClusterSettings): Promise<void> {
  await client.query({
    name: "put-settings",
    text: "UPDATE cluster SET settings = $1, settings_version = settings_version + 1",
    values: [JSON.stringify(settings)],
  });
}

/** The cluster's rules about what ends workers. */
export async function readFaultRules(client: Client): Promise<FaultRule[]> {
  return (await readSettings(client)).rules ?? [];
}
