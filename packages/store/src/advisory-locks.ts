/** The advisory locks that are taken in Muster's database, all in one place: two of one number would wait for each other. */
export const ADVISORY_LOCKS = {
  migrations: 6_875_737,
  /** Held as long as a standalone runs over an embedded database. */
  stateDir: 6_875_738,
  /** Held while incidents are opened, so that two faults at once become one. */
  incidents: 6_875_739,
} as const;
