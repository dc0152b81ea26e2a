import { linePattern } from "./patterns.ts";

/* How known frameworks print their progress. Patterns here have no nested repetition, so they are safe as they stand. */

export interface Progress {
  step?: number;
  total?: number;
  /** null: the framework printed a loss that is no number. */
  loss?: number | null;
  rate?: number;
  phase?: string;
  /** What a step took one rank by itself; without a rank, the worker's first. */
  own?: { rank?: number; seconds: number };
}

export type ProgressParser = (line: string) => Progress | undefined;

/** `1,234.5e3`, `NaN`, `inf` → a number; null where it is none. */
function toNumber(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  const value = Number(text.replaceAll(",", ""));
  return Number.isFinite(value) ? value : null;
}

function whole(text: string | undefined): number | undefined {
  const value = toNumber(text);
  return value === null || value === undefined || !Number.isSafeInteger(value) || value < 0 ? undefined : value;
}

function progress(step?: string, total?: string, loss?: string, rate?: string): Progress | undefined {
  const found: Progress = {};
  const steps = whole(step);
  const totals = whole(total);
  const losses = toNumber(loss);
  const rates = toNumber(rate);
  if (steps !== undefined) found.step = steps;
  if (totals !== undefined) found.total = totals;
  if (losses !== undefined) found.loss = losses;
  if (rates !== undefined && rates !== null) found.rate = rates;
  return Object.keys(found).length > 0 ? found : undefined;
}

const NUMBER = "([-+]?[\\d.,]+(?:[eE][-+]?\\d+)?|[-+]?(?:nan|NaN|NAN|inf|Inf|infinity|Infinity))";
const find = (label: string): RegExp => new RegExp(`${label}\\s{0,4}${NUMBER}`);

const MUSTER_STEP = /\bstep[=:] ?(\d{1,16})(?:\/(\d{1,16}))?/;
const MUSTER_LOSS = find("\\bloss[=:]");
const MUSTER_RATE = find("\\brate[=:]");
const MUSTER_OWN = find("\\bstep_time[=:]");
const MUSTER_RANK = /\brank[=:] ?(\d{1,7})\b/;
const MUSTER_PHASE = /\bphase[=:] ?([\w-]{1,64})/;

const MEGATRON_STEP = /\biteration\s{1,16}(\d{1,16})\/\s{0,16}(\d{1,16})/;
const MEGATRON_LOSS = find("\\blm loss:");
const MEGATRON_MS = /elapsed time per iteration \(ms\): ([\d.]{1,20})/;

const DEEPSPEED_STEP = /\bstep=(\d{1,16})\b/;
const DEEPSPEED_RATE = find("\\bRunningAvgSamplesPerSec=");
const DEEPSPEED_PLAIN = /\bsteps: (\d{1,16}) loss: /;
const DEEPSPEED_LOSS = find("\\bloss:");
const DEEPSPEED_ITER = /\biter time \(s\): ([\d.]{1,20})/;

const BAR = /(?:^|\s)\d{1,3}%\|[^|]{0,200}\| (\d{1,16})\/(\d{1,16}) \[[^\]]{0,40}?([\d.]{1,16})(it\/s|s\/it)/;
const TRAINER_LOSS = find("'loss':");
const TRAINER_STEP = /'(?:step|global_step)': (\d{1,16})/;

const TITAN_STEP = /\bstep:\s{0,8}(\d{1,16})\s/;
const TITAN_LOSS = find("\\bloss:");
const TITAN_RATE = find("\\b(?:tps|wps):");

// torchtitan and others colour their output
const COLOUR = /\u001b\[[\d;]{0,16}m/g; // oxlint-disable-line no-control-regex

const PRESETS: Record<string, ProgressParser> = {
  muster: (line) => {
    const step = MUSTER_STEP.exec(line);
    const phase = MUSTER_PHASE.exec(line)?.[1];
    if (!step && phase === undefined) return undefined;
    const found = step ? progress(step[1], step[2], MUSTER_LOSS.exec(line)?.[1], MUSTER_RATE.exec(line)?.[1]) : {};
    const own = ownTime(MUSTER_OWN.exec(line)?.[1], MUSTER_RANK.exec(line)?.[1]);
    return { ...found, ...(phase !== undefined && { phase }), ...(own && { own }) };
  },
  // iteration 120/ 1000 | ... | elapsed time per iteration (ms): 512.3 | ... | lm loss: 2.31E+00 |
  megatron: (line) => {
    const step = MEGATRON_STEP.exec(line);
    if (!step) return undefined;
    const ms = Number(MEGATRON_MS.exec(line)?.[1]);
    return progress(step[1], step[2], MEGATRON_LOSS.exec(line)?.[1], ms > 0 ? String(1000 / ms) : undefined);
  },
  // [Rank 0] step=120, skipped=0, lr=[...]   |   steps: 120 loss: 2.31 iter time (s): 0.512 samples/sec: 31.2
  deepspeed: (line) => {
    const plain = DEEPSPEED_PLAIN.exec(line);
    if (plain) {
      const seconds = Number(DEEPSPEED_ITER.exec(line)?.[1]);
      return progress(plain[1], undefined, DEEPSPEED_LOSS.exec(line)?.[1], seconds > 0 ? String(1 / seconds) : undefined);
    }
    const step = DEEPSPEED_STEP.exec(line)?.[1] ?? /\bglobal_step=(\d{1,16})/.exec(line)?.[1];
    return step === undefined ? undefined : progress(step, undefined, undefined, DEEPSPEED_RATE.exec(line)?.[1]);
  },
  //  12%|#2        | 120/1000 [01:00<07:20,  2.00it/s]   |   {'loss': 2.31, 'learning_rate': 5e-05, 'epoch': 0.12}
  transformers: (line) => {
    const bar = BAR.exec(line);
    if (bar) {
      const pace = Number(bar[3]);
      return progress(bar[1], bar[2], TRAINER_LOSS.exec(line)?.[1], pace > 0 ? String(bar[4] === "it/s" ? pace : 1 / pace) : undefined);
    }
    const loss = TRAINER_LOSS.exec(line)?.[1];
    return loss === undefined ? undefined : progress(TRAINER_STEP.exec(line)?.[1], undefined, loss);
  },
  // step: 120  loss:  2.3100  memory: 40.00GiB(50.00%)  tps: 3,200  mfu: 40.00%
  torchtitan: (line) => {
    const plain = line.replaceAll(COLOUR, "");
    const step = TITAN_STEP.exec(plain);
    return step ? progress(step[1], undefined, TITAN_LOSS.exec(plain)?.[1], TITAN_RATE.exec(plain)?.[1]) : undefined;
  },
};

/** The parser of a job's `progress`. Throws where a pattern can't be matched in linear time. */
export function progressParser(spec: { preset: string } | { pattern: string }): ProgressParser {
  if ("preset" in spec) return PRESETS[spec.preset] ?? (() => undefined);
  const pattern = linePattern(spec.pattern);
  return (line) => {
    const groups = pattern.groups(line);
    return groups && progress(groups["step"], groups["total"], groups["loss"], groups["rate"]);
  };
}

function ownTime(seconds: string | undefined, rank: string | undefined): Progress["own"] {
  const time = toNumber(seconds);
  const number = whole(rank);
  return time === undefined || time === null || time <= 0 ? undefined : { seconds: time, ...(number !== undefined && { rank: number }) };
}

/** One line of `$MUSTER_PROGRESS_FILE`: a JSON object with any of step, total, loss, rate, phase, and step_time with rank. */
export function parseProgressLine(line: string): Progress | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { step, total, loss, rate, phase, rank, step_time: time } = value as Record<string, unknown>;
  const text = (one: unknown): string | undefined => (typeof one === "number" ? String(one) : typeof one === "string" ? one.slice(0, 32) : undefined);
  const found = progress(text(step), text(total), loss === null ? "nan" : text(loss), text(rate)) ?? {};
  if (typeof phase === "string" && /^[\w-]{1,64}$/.test(phase)) found.phase = phase;
  const own = ownTime(text(time), text(rank));
  if (own) found.own = own;
  return Object.keys(found).length > 0 ? found : undefined;
}
