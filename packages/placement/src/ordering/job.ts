/** What ordering looks at in a job. Times in seconds; any origin, the same for all jobs. */
export interface OrderedJob {
  readonly id: number;
  /** Whole devices, held together from start to end. */
  readonly devices: number;
  readonly submittedAt: number;
  readonly tenant: string;
  /** Run time, where it is known beforehand. */
  readonly runTime?: number;
  /** The user's limit on the run time, where one was given. */
  readonly limit?: number;
  /** Seconds of useful running so far. */
  ran: number;
  /** Seconds that a start after a preemption costs. */
  readonly restartCost: number;
}
