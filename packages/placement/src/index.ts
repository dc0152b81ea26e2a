export type * from './types.ts';
export { createEngine } from './engine.ts';
