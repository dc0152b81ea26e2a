/** So many equal jobs: what it is worth to each to be on each of the three kinds all the time, and the devices that it takes there. */
export interface Claim {
  count: number;
  worth: readonly [number, number, number];
  devices: number;
}

export type Shares = [number, number, number];

const KINDS = [0, 1, 2] as const;
/** Where the barrier begins and ends, and how it falls. */
const FIRST = 1;
const LAST = 1e-6;
const FALL = 0.05;
const MOST_STEPS = 30;
const CENTRED = 1e-2;

/**
 * Shares of time on each kind that make the least worth that any job gets as large as it can be: no job more than all of its time, no
 * kind more than its devices. Of all such shares it is those in the middle (the end of the central path), as interior point
 * solvers give them, so equal jobs get equal shares. Newton on the log barrier: jobs meet only in the use of the kinds and in the least worth, so a step is
 * one small system beside three unknowns a job.
 */
export function maxMinShares(claims: readonly Claim[], capacity: Shares): Shares[] {
  const asked = claims.reduce((sum, { count, devices }) => sum + count * devices, 0);
  const point: Point = { x: claims.map(() => KINDS.map((k) => Math.min(1 / 6, capacity[k] / (2 * asked))) as Shares), least: 0 };
  point.least = 0.5 * Math.min(...claims.map((claim, i) => dot(claim.worth, point.x[i]!)));
  for (let barrier = FIRST; barrier > LAST; barrier *= FALL) {
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      const { by, gain } = newton(claims, capacity, point, barrier);
      const length = lengthWithin(claims, capacity, point, by);
      for (const [i, row] of point.x.entries()) for (const k of KINDS) row[k] += length * by.x[i]![k];
      point.least += length * by.least;
      if (gain < CENTRED) break;
    }
  }
  return point.x;
}

interface Point {
  x: Shares[];
  least: number;
}

/** The step that Newton makes on least / barrier + the logs of all that must stay above 0, and what it is about to gain. */
function newton(claims: readonly Claim[], capacity: Shares, at: Point, barrier: number): { by: Point; gain: number } {
  const spare = spareOf(claims, capacity, at);
  const tight = spare.map((room) => room ** -2) as Shares;
  // Rows and columns 0 to 2: by how much the use of each kind changes; 3: the least worth.
  const system = [0, 1, 2, 3].map((i) => [0, 1, 2, 3, 4].map((k): number => (i === k && i < 3 ? 1 : 0)));
  const last = system[3]!;
  let slope = 1 / barrier;
  last[4] = 1 / barrier;
  const solved = claims.map(({ count, worth, devices }, i) => {
    const x = at.x[i]!;
    const above = dot(worth, x) - at.least;
    const left = 1 - x[0] - x[1] - x[2];
    const gradient = KINDS.map((k) => worth[k] / above - 1 / left + 1 / x[k] - devices / spare[k]) as Shares;
    const inverse = inverseOf(worth, above, left, x);
    const own = times(inverse, gradient);
    const pulled = times(inverse, worth).map((v) => v / above ** 2) as Shares;
    slope -= count / above;
    last[3]! += (count * (1 - dot(worth, pulled))) / above ** 2;
    last[4]! += (count * (dot(worth, own) / above - 1)) / above;
    for (const k of KINDS) {
      const row = system[k]!;
      for (const m of KINDS) row[m]! += count * devices ** 2 * inverse[SYMMETRIC[k]![m]!]! * tight[m];
      row[3]! -= count * devices * pulled[k];
      row[4]! += count * devices * own[k];
      last[k]! += count * devices * pulled[k] * tight[k];
    }
    return { own, pulled, inverse, gradient };
  });
  const coupled = solve(system);
  const pressed = KINDS.map((k) => coupled[k]! * tight[k]) as Shares;
  const least = coupled[3]!;
  let gain = slope * least;
  const x = solved.map(({ own, pulled, inverse, gradient }, i) => {
    const back = times(inverse, pressed);
    const row = KINDS.map((k) => own[k] + pulled[k] * least - claims[i]!.devices * back[k]) as Shares;
    gain += claims[i]!.count * dot(gradient, row);
    return row;
  });
  return { by: { x, least }, gain };
}

/** How far a step may go: not quite to the nearest limit. */
function lengthWithin(claims: readonly Claim[], capacity: Shares, at: Point, by: Point): number {
  let most = 1;
  const limit = (room: number, change: number): void => {
    if (change < 0 && -0.95 * room > most * change) most = Math.min(most, (-0.95 * room) / change);
  };
  for (const [i, { worth }] of claims.entries()) {
    const x = at.x[i]!;
    const dx = by.x[i]!;
    for (const k of KINDS) limit(x[k], dx[k]);
    limit(1 - x[0] - x[1] - x[2], -dx[0] - dx[1] - dx[2]);
    limit(dot(worth, x) - at.least, dot(worth, dx) - by.least);
  }
  const spare = spareOf(claims, capacity, at);
  const change = spareOf(claims, [0, 0, 0], by);
  for (const k of KINDS) limit(spare[k], change[k]);
  return most;
}

function spareOf(claims: readonly Claim[], capacity: Shares, { x }: Point): Shares {
  const spare: Shares = [...capacity];
  for (const [i, { count, devices }] of claims.entries()) for (const k of KINDS) spare[k] -= count * devices * x[i]![k];
  return spare;
}

function dot(a: readonly [number, number, number], b: readonly [number, number, number]): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** Where a symmetric matrix of three by three has its elements, in six numbers. */
const SYMMETRIC = [
  [0, 1, 2],
  [1, 3, 4],
  [2, 4, 5],
] as const;

/** The inverse of what one job adds to the second derivatives. */
function inverseOf(worth: readonly [number, number, number], above: number, left: number, x: Shares): number[] {
  const w = 1 / above ** 2;
  const l = 1 / left ** 2;
  const a = worth[0] ** 2 * w + l + x[0] ** -2;
  const b = worth[0] * worth[1] * w + l;
  const c = worth[0] * worth[2] * w + l;
  const d = worth[1] ** 2 * w + l + x[1] ** -2;
  const e = worth[1] * worth[2] * w + l;
  const f = worth[2] ** 2 * w + l + x[2] ** -2;
  const [p, q, r] = [d * f - e * e, c * e - b * f, b * e - c * d];
  const one = 1 / (a * p + b * q + c * r);
  return [p * one, q * one, r * one, (a * f - c * c) * one, (b * c - a * e) * one, (a * d - b * b) * one];
}

function times(m: readonly number[], v: readonly [number, number, number]): Shares {
  return [m[0]! * v[0] + m[1]! * v[1] + m[2]! * v[2], m[1]! * v[0] + m[3]! * v[1] + m[4]! * v[2], m[2]! * v[0] + m[4]! * v[1] + m[5]! * v[2]];
}

/** Solves a small system, the right side as its last column, by elimination. */
function solve(rows: number[][]): number[] {
  const n = rows.length;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let i = column + 1; i < n; i++) if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = 0; i < n; i++) {
      if (i === column) continue;
      const factor = rows[i]![column]! / rows[column]![column]!;
      for (let k = column; k <= n; k++) rows[i]![k]! -= factor * rows[column]![k]!;
    }
  }
  return rows.map((row, i) => row[n]! / row[i]!);
}
