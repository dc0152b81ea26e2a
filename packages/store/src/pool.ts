import pg from "pg";

// counts and ids that Postgres keeps as bigint fit a double here; incarnations are read as text where they matter
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
});

export type Pool = pg.Pool;
export type Client = pg.PoolClient | pg.Client | pg.Pool;

export interface PoolOptions {
  /** Connections at most. */
  max?: number;
  /**
   * Plans statements once and for all: right for those whose values never change the plan, as all of the scheduler's and the
   * supervisor's; planning is half of what small statements over partitions cost.
   */
  genericPlans?: boolean;
}

/*
 * Postgres 18 (seen in 18.4) crashes where a statement that prunes partitions as it runs meets a row that someone else changes: the
 * second look at that row leaves dangling pointers in the pruning of the rest. Looking into a partition in vain costs a microsecond.
 */
const NO_PRUNING = "-c enable_partition_pruning=off";
/*
 * A BEGIN that is cancelled while the first statement is already on its way would leave that one committed alone. A limit that somebody
 * gave to the role or the database could do so: a server that stood still for that long cancels whatever comes next.
 */
const NO_TIMEOUT = "-c statement_timeout=0";
/*
 * Plans that are made once are made while tables are small, where reading all of one looks cheapest, and used when they are not. What
 * is asked by such plans names its rows by key, a few or some hundreds of them. Before Postgres 18 a way that is off counts as so dear
 * where there is no other that the statement would be compiled each time.
 */
const PLANS_BY_KEY = [
  "-c plan_cache_mode=force_generic_plan",
  "-c enable_seqscan=off",
  "-c enable_hashjoin=off",
  "-c enable_mergejoin=off",
  "-c enable_material=off",
  "-c jit=off",
];

/**
 * A connection that may break between two questions, also in a transaction: whoever asks next gets the error. A pool listens to those of
 * its connections alone that nobody uses, and one that nobody listens to would end the process.
 */
export class QuietClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on("error", () => {});
  }
}

/** A pool whose disconnects never end the process: whoever asks next gets the error, or a new connection. */
export function createPool(databaseUrl: string, name: string, { max = 10, genericPlans = false }: PoolOptions = {}): pg.Pool {
  const own = [NO_PRUNING, NO_TIMEOUT, ...(genericPlans ? PLANS_BY_KEY : [])];
  const pool = new pg.Pool({
    ...withOptions(databaseUrl, own),
    application_name: `muster-${name}`,
    max,
    idleTimeoutMillis: 30_000,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    // what is asked before an earlier answer has come is sent at once
    pipeline: true,
    Client: QuietClient,
  });
  pool.on("error", () => {});
  return pool;
}

/** The URL may have options of its own, which would otherwise take the place of these; of two alike the later counts. */
function withOptions(databaseUrl: string, own: readonly string[]): Pick<pg.PoolConfig, "connectionString" | "options"> {
  const end = databaseUrl.indexOf("?");
  const address = end < 0 ? databaseUrl : databaseUrl.slice(0, end);
  const parameters = new URLSearchParams(end < 0 ? "" : databaseUrl.slice(end + 1));
  const options = [parameters.get("options"), ...own].filter(Boolean).join(" ");
  parameters.delete("options");
  return { connectionString: parameters.size > 0 ? `${address}?${parameters.toString()}` : address, options };
}

/** Runs `work` in one transaction; rolls back and rethrows whatever it throws. */
export async function transaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    const [, result] = await together(client, [async () => client.query("BEGIN"), async () => work(client)]);
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/**
 * Does these in their order. What each asks first is sent without waiting for the answers to those before it, so that they
 * share a round trip. Resolves or fails once all have ended: nothing of them is left to be asked later.
 */
export async function together<const Steps extends readonly (() => Promise<unknown>)[]>(
  client: Client,
  steps: Steps,
): Promise<{ -readonly [Index in keyof Steps]: Awaited<ReturnType<Steps[Index]>> }> {
  type Results = { -readonly [Index in keyof Steps]: Awaited<ReturnType<Steps[Index]>> };
  if (!("pipeline" in client) || !client.pipeline) {
    const results: unknown[] = [];
    for (const step of steps) results.push(await step());
    return results as Results;
  }
  const outcomes = await Promise.allSettled(steps.map(async (step) => step()));
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed) throw failed.reason;
  return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<unknown>).value) as Results;
}

/** SQLSTATE of a database error, or undefined for any other. Muster's own constraints raise MU001 to MU008. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" && error.code.length === 5 ? error.code : undefined;
}

/** The database is away or shutting down: nothing is known of what was asked, and asking again is right. */
export function isConnectionError(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (/^(08...|57P0[123]|53300|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_)/.test(code)) return true;
  return (
    error instanceof Error &&
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|the database system is/.test(error.message)
  );
}
