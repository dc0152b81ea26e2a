export { replayRecording } from "./replay.ts";
export type { Difference, Replay, ReplayOptions } from "./replay.ts";
export { RecordingError } from "./read.ts";
