export { createSupervisor, type Supervisor, type SupervisorOptions } from "./supervisor.ts";
export type { EngineProvider } from "./shard-keeper.ts";
export type { Check } from "./side-work.ts";
export { localProvider, type LocalProviderOptions } from "./local-provider.ts";
