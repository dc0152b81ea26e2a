/** What one member of a job needs of one node. Equal needs share one shape, so that scores can be kept per shape. */
export interface Shape {
  readonly id: number;
  /** Thousandths of a core. */
  readonly cpu: number;
  /** Any unit, the same as the nodes'. */
  readonly memory: number;
  /** Devices, all on one node. 0 for a member without accelerators. */
  readonly devices: number;
  /** Thousandths of each device: 1000, or less where one device is shared. */
  readonly share: number;
  /** Accelerator models it may run on, as ids of the node table; null means any. */
  readonly models: ReadonlySet<number> | null;
}

export type ShapeNeed = Omit<Shape, "id">;

export const WHOLE_DEVICE = 1000;

/** Thousandths of devices the shape takes in all. */
export function shapeSize(shape: ShapeNeed): number {
  return shape.devices * shape.share;
}

/** True where the shape takes a part of one device. */
export function isFractional(shape: ShapeNeed): boolean {
  return shape.devices === 1 && shape.share < WHOLE_DEVICE;
}

/** Gives equal needs one id. */
export class ShapeTable {
  readonly shapes: Shape[] = [];
  #byKey = new Map<string, Shape>();

  /** Throws RangeError where the need could not describe a member of a job. */
  intern(need: ShapeNeed): Shape {
    const models = need.models === null ? "*" : [...need.models].sort((a, b) => a - b).join("|");
    const key = `${need.cpu},${need.memory},${need.devices},${need.share},${models}`;
    const known = this.#byKey.get(key);
    if (known) return known;
    checkNeed(need);
    const shape: Shape = { ...need, id: this.shapes.length };
    this.shapes.push(shape);
    this.#byKey.set(key, shape);
    return shape;
  }
}

function checkNeed(need: ShapeNeed): void {
  const whole = Number.isInteger(need.devices) && need.devices >= 0;
  if (!whole) throw new RangeError(`devices must be a whole number of at least 0, got ${need.devices}`);
  if (!(need.cpu >= 0) || !(need.memory >= 0)) throw new RangeError("cpu and memory must not be negative");
  const shareFits = Number.isInteger(need.share) && need.share > 0 && need.share <= WHOLE_DEVICE;
  if (need.devices > 0 && !shareFits) throw new RangeError(`share must be 1 to ${WHOLE_DEVICE} thousandths, got ${need.share}`);
  if (need.devices > 1 && need.share !== WHOLE_DEVICE) throw new RangeError("only a single device can be shared; ask for one device or for whole ones");
}
