export type * from './types.ts';
export { createEngine } from './engine.ts';
export * from './packing/index.ts';
export * from './ordering/index.ts';
