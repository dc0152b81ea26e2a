import type { Scenario } from "./format.ts";
import { gangs } from "./gangs.ts";
import { fairness, preemption } from "./preemption.ts";
import { quotas } from "./quotas.ts";
import { consolidation, topology } from "./topology.ts";

export const scenarios: readonly Scenario[] = [...gangs, ...quotas, ...preemption, ...fairness, ...topology, ...consolidation];
