export { kubernetesProvider, type KubernetesProvider } from "./kubernetes-provider.ts";
export { createSupervisor, supervise, type Supervisor, type SupervisorOptions, type SupervisorStore } from "./supervisor.ts";
export type { EngineProvider } from "./shard-keeper.ts";
export type { Check, SideWorkOptions, Timers } from "./side-work.ts";
export { readRepairHooks } from "./repairs/hooks.ts";
export { localProvider, type LocalProviderOptions } from "./local-provider.ts";
