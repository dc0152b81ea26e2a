export { agentConfig, type AgentConfig, type AgentConfigInput } from "./config.ts";
export { detectDevices, type DeviceGroup } from "./detect-devices.ts";
export { AgentEnded, socketPath, startAgent, stopAgent, type RunningAgent } from "./start-agent.ts";
