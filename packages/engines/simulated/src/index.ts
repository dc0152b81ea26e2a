export { type Act, type Outcome, type Script } from "./script.ts";
export { SimulatedEngine, type SimulatedOptions } from "./simulated-engine.ts";
export { VirtualClock, type Clock } from "./virtual-clock.ts";
