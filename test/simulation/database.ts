import type { InMemoryPostgres } from "../../packages/store/src/testing/in-memory.ts";
import type { Pool } from "@muster/store";
import type pg from "pg";
import type { Process, World } from "./world.ts";

/** What a supervisor and a scheduler write all the time without anything having happened. */
const ROUTINE = new Set([
  "take-lease",
  "drop-lease",
  "record-beat",
  "save-shard-cursor",
  "set-shard-reported",
  "save-boot-ids",
  "record-progress",
  "record-first-progress",
  "record-recoveries",
  "sum-up-incidents",
]);
const WRITES = /^\s*(INSERT|UPDATE|DELETE)\b|^\s*WITH\b[\s\S]*\b(INSERT INTO|UPDATE|DELETE FROM)\b/i;
const WAKE = /\bpg_notify\(|\bNOTIFY /;
/** Of the services, after an error; milliseconds, and some more. */
const LONGEST_PAUSE = 6000;

interface Statement {
  name: string;
  text: string;
  values: unknown[] | undefined;
}

export interface Committed {
  process: Process;
  /** Names of the statements that changed something. */
  names: Set<string>;
}

/** Tables, so that it is known what a statement reads and what it changes. */
const TABLES =
  "cluster leases projects members tokens queues pools shards shard_gaps nodes node_usage jobs job_specs job_dependencies finished_jobs attempts workers progress step_times checkpoints events incidents incident_attempts waste repairs windows idempotency_keys".split(
    " ",
  );
/** What triggers write when a table is written. */
const FOLLOWED: Readonly<Record<string, string>> = { workers: "node_usage", nodes: "node_usage", jobs: "finished_jobs", shards: "shard_gaps" };
const WRITTEN = /\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+(?:ONLY\s+)?(\w+)/gi;
const TIMELESS =
  /^\s*SELECT\b(?![\s\S]*(\bnow\(|\bclock_timestamp\(|\bFOR (UPDATE|SHARE|NO KEY|KEY)|\bpg_advisory|\bset_config\(|\bpg_inherits|\bto_regclass))/i;

/** Rewrites of single statements by their names: bugs that are planted to see that they are found. */
export type Mutant = Readonly<Record<string, (text: string) => string>>;

/**
 * The one database of a simulated cluster, shared by all its processes. A statement is a step of the process that asked; a transaction
 * has the only session to itself until it ends, and is rolled back when its process ends before it.
 */
export class SimulatedDatabase {
  readonly #postgres: InMemoryPostgres;
  readonly #world: World;
  readonly #mutant: Mutant;
  readonly #listeners = new Map<Process, Set<() => void>>();
  #holder: Session | undefined;
  #changed = new Set<string>();
  /** How often each table has changed, and answers to what was read since. */
  readonly #versions = new Map<string, number>();
  readonly #tables = new Map<string, string[]>();
  readonly #written = new Map<string, string[]>();
  readonly #answers = new Map<string, { versions: string; answer: Answer }>();
  #awayUntil = 0;
  #loseAnswer: Process | undefined;
  /** Statements that the database was really asked; the answers to others were known. */
  statements = 0;
  /** Whether what was read is remembered until one of its tables changes: the same answers, sooner. */
  remembers = true;
  /** Called after each transaction that changed something. */
  onCommit: (committed: Committed) => Promise<void> = async () => {};
  /** Milliseconds until a wake arrives; undefined: it is lost. */
  wakeTakes: () => number | undefined = () => 1;

  constructor(world: World, postgres: InMemoryPostgres, mutant: Mutant = {}) {
    this.#world = world;
    this.#postgres = postgres;
    this.#mutant = mutant;
  }

  /** Outside of any process and of time: for the simulation itself. */
  async look<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    const { rows } = await this.#postgres.client.query<T>(text, values);
    if (WRITES.test(text)) this.#bump(this.#writtenBy(text));
    // rows may come in another order from now on
    if (text.startsWith("VACUUM")) this.#bump(TABLES);
    return rows;
  }

  /** Whether a transaction is open, so that what `look` sees is not what others would. */
  get isBusy(): boolean {
    return this.#holder !== undefined;
  }

  pool(process: Process): Pool {
    const query = async (...words: unknown[]): Promise<unknown> => {
      const session = new Session(process);
      return this.#ask(session, statementOf(words));
    };
    return {
      query,
      connect: async () => {
        const session = new Session(process);
        return { query: (...words: unknown[]) => this.#ask(session, statementOf(words)), release: () => {} };
      },
      end: async () => {},
      on: () => {},
    } as unknown as Pool;
  }

  listen(process: Process, onWake: () => void): { close(): Promise<void> } {
    const mine = this.#listeners.get(process) ?? new Set();
    this.#listeners.set(process, mine.add(onWake));
    return {
      close: async () => {
        mine.delete(onWake);
      },
    };
  }

  /** What the database does when the connection of a process breaks. */
  async drop(process: Process): Promise<void> {
    this.#listeners.delete(process);
    if (this.#holder?.process === process) await this.#rollBack();
  }

  /** The database answers nobody for so long; what was open is rolled back. */
  async goAway(milliseconds: number): Promise<void> {
    this.#awayUntil = this.#world.now() + milliseconds;
    await this.#rollBack();
    this.#world.clock.after(milliseconds + 500, () => this.#wakeAll());
  }

  /** The next commit of this process succeeds, but its connection breaks before the answer. */
  loseNextAnswer(process: Process): void {
    this.#loseAnswer = process;
  }

  #ask(session: Session, statement: Statement): Promise<unknown> {
    return this.#world.step(
      session.process,
      statement.name,
      () => this.#run(session, statement),
      () => this.#holder === undefined || this.#holder === session,
    );
  }

  async #run(session: Session, { name, text, values }: Statement): Promise<unknown> {
    const { process } = session;
    if (this.#world.now() < this.#awayUntil || session.isBroken) throw this.#broken(session, "ECONNREFUSED");
    if (WAKE.test(text)) {
      this.#wakeAll();
      return { rows: [], rowCount: 0 };
    }
    if (/^\s*BEGIN\b/.test(text)) this.#holder = session;
    const ends = /^\s*(COMMIT|ROLLBACK)\b/.exec(text)?.[1];
    const mutated = this.#mutant[name]?.(text) ?? text;
    try {
      const key = this.remembers && TIMELESS.test(text) ? `${name} ${JSON.stringify(values ?? [])}` : undefined;
      const versions = key === undefined ? "" : this.#versionsOf(text);
      const known = key === undefined ? undefined : this.#answers.get(key);
      const answer = known?.versions === versions ? copyOf(known.answer) : await this.#query(name, text, mutated, values);
      if (key !== undefined && known?.versions !== versions) this.#answers.set(key, { versions, answer: copyOf(answer) });
      this.#world.note(this.#world.now(), process.name, name, answer.rowCount);
      const writes = WRITES.test(text);
      const answers = (answer.rowCount ?? 0) > 0;
      // one that writes on its way may have done so and answer nothing
      if (writes && (answers || /^\s*WITH\b/i.test(text))) this.#bump(this.#writtenBy(text));
      if (writes && answers) {
        this.#changed.add(name);
        if (!ROUTINE.has(name)) this.#world.touch();
      }
      if (ends || this.#holder !== session) await this.#ended(session, ends !== "ROLLBACK");
      if (ends === "COMMIT" && this.#loseAnswer === process) {
        this.#loseAnswer = undefined;
        throw this.#broken(session, "ECONNRESET");
      }
      return answer;
    } catch (error) {
      this.#world.note(this.#world.now(), process.name, name, "code" in (error as Error) ? String((error as { code: unknown }).code) : "error");
      if (this.#holder !== session || ends) await this.#ended(session, false);
      throw error;
    }
  }

  /** Whoever it happens to looks again after a pause. */
  #broken(session: Session, code: string): Error {
    session.isBroken = true;
    this.#world.stayBusy(LONGEST_PAUSE);
    return Object.assign(new Error("Connection terminated unexpectedly"), { code });
  }

  async #query(name: string, text: string, mutated: string, values: unknown[] | undefined): Promise<Answer> {
    this.statements++;
    const config = { text: mutated, values: values as unknown[], ...(name !== text && { name }) };
    return (await this.#postgres.client.query(config)) as Answer;
  }

  #tablesOf(text: string): string[] {
    let tables = this.#tables.get(text);
    if (!tables) this.#tables.set(text, (tables = TABLES.filter((table) => new RegExp(`\\b${table}\\b`).test(text))));
    return tables;
  }

  #versionsOf(text: string): string {
    return this.#tablesOf(text)
      .map((table) => this.#versions.get(table) ?? 0)
      .join();
  }

  #writtenBy(text: string): string[] {
    let tables = this.#written.get(text);
    if (!tables) {
      const named = [...text.matchAll(WRITTEN)].map(([, table = ""]) => table.toLowerCase()).filter((table) => TABLES.includes(table));
      tables = [...new Set(named.flatMap((table) => [table, FOLLOWED[table] ?? table]))];
      this.#written.set(text, tables);
    }
    return tables;
  }

  #bump(tables: readonly string[]): void {
    for (const table of tables) this.#versions.set(table, (this.#versions.get(table) ?? 0) + 1);
  }

  async #ended(session: Session, committed: boolean): Promise<void> {
    if (!committed) this.#bump(TABLES);
    if (this.#holder === session) this.#holder = undefined;
    const names = this.#changed;
    this.#changed = new Set();
    if (committed && names.size > 0) await this.onCommit({ process: session.process, names });
  }

  async #rollBack(): Promise<void> {
    if (!this.#holder) return;
    this.#holder.isBroken = true;
    this.#holder = undefined;
    this.#changed = new Set();
    this.#bump(TABLES);
    await this.#postgres.client.query("ROLLBACK");
  }

  #wakeAll(): void {
    for (const [process, listeners] of this.#listeners) {
      const after = this.wakeTakes();
      if (after === undefined) continue;
      this.#world.later(process, after, () => {
        for (const onWake of listeners) onWake();
      });
    }
  }
}

interface Answer {
  rows: Record<string, unknown>[];
  rowCount: number | null;
}

function copyOf(answer: Answer): Answer {
  return { rows: answer.rows.map((row) => ({ ...row })), rowCount: answer.rowCount };
}

class Session {
  readonly process: Process;
  isBroken = false;

  constructor(process: Process) {
    this.process = process;
  }
}

function statementOf([first, values]: unknown[]): Statement {
  if (typeof first === "string") return { name: first, text: first, values: values as unknown[] | undefined };
  const { name, text, values: own } = first as { name?: string; text: string; values?: unknown[] };
  return { name: name ?? text, text, values: own ?? (values as unknown[] | undefined) };
}
