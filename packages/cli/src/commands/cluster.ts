import { clusterSettings, fieldErrors } from "@muster/model";
import type { Command } from "commander";
import { confirm } from "../confirm.ts";
import { readDocuments } from "../documents.ts";
import { EXIT, UsageError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { toYaml } from "../print.ts";
import { action, type Outcome } from "../session.ts";
import { describeChange, renderCluster } from "../views/cluster-detail.ts";
import { withOutput, withYes } from "./options.ts";

export function addCluster(program: Command, io: Io, outcome: Outcome): void {
  const cluster = program.command("cluster").description("the cluster as a whole, and its settings");

  const get = cluster
    .command("get")
    .description("who it is, whether it starts work, and what its settings are")
    .option("--settings", "only the settings that were put, as cluster set -f takes them");
  withOutput(get).action(
    action<{ settings?: boolean }>(io, outcome, async (session, _, options) => {
      const found = await session.client.cluster.get({ signal: session.signal });
      if (options.settings) {
        session.printer.one(found.declared, () => found.id, toYaml);
        return;
      }
      session.printer.one(
        found,
        (one) => one.id,
        (one) => renderCluster(one, session.now, session.colours),
      );
    }),
  );

  const set = cluster
    .command("set")
    .description("put the settings as a whole: what the file leaves out has its default again")
    .requiredOption("-f, --file <file>", "YAML or JSON; - for standard input")
    .option("--dry-run", "check and say what would change, but change nothing");
  withOutput(set).action(
    action<{ file: string; dryRun?: boolean }>(io, outcome, async (session, _, { file, dryRun = false }) => {
      const documents = await readDocuments([file], io);
      const [document] = documents;
      if (!document || documents.length > 1) throw new UsageError(`${file} holds ${documents.length} documents; the settings are one`);
      const checked = clusterSettings.safeParse(document.content);
      if (!checked.success) throw new UsageError(`${document.source} holds no valid settings`, { details: fieldErrors(checked.error, clusterSettings) });
      const put = await session.client.cluster.putSettings(document.content, { dryRun, signal: session.signal });
      session.printer.one(
        put,
        (one) => one.id,
        ({ changes }) => (changes.length === 0 ? ["unchanged"] : changes.map(describeChange)).map((line) => `${line}${dryRun ? " (dry run)" : ""}\n`).join(""),
      );
    }),
  );
}

export function addAdmin(program: Command, io: Io, outcome: Outcome): void {
  const admin = program.command("admin").description("what is rarely done, to the cluster as a whole");

  const begin = admin
    .command("new-incarnation")
    .description("after a backup was restored, or a lagging replica promoted: nothing starts until every engine has said what it runs")
    .requiredOption("--reason <text>", "why, for the record");
  withYes(withOutput(begin)).action(
    action<{ reason: string; yes?: boolean }>(io, outcome, async (session, _, { reason, yes }) => {
      if (!(await confirm(session, "begin a new incarnation? Nothing starts until every engine has reported", yes))) {
        session.note("nothing was done");
        return EXIT.error;
      }
      const begun = await session.client.cluster.newIncarnation(reason, { signal: session.signal });
      session.printer.one(
        begun,
        (one) => one.incarnation,
        (one) => `incarnation ${one.incarnation}; starts are paused until every engine has reported\n`,
      );
      return EXIT.ok;
    }),
  );

  const lift = admin
    .command("lift-brake")
    .description("let nodes be declared lost although many fell silent at once")
    .option("--reason <text>", "why, for the record", "");
  withYes(withOutput(lift)).action(
    action<{ reason: string; yes?: boolean }>(io, outcome, async (session, _, { reason, yes }) => {
      if (!(await confirm(session, "lift the brake? Nodes that stay silent are declared lost, and their jobs go on elsewhere", yes))) {
        session.note("nothing was done");
        return EXIT.error;
      }
      const lifted = await session.client.cluster.liftBrake(reason, { signal: session.signal });
      session.printer.one(
        lifted,
        (one) => one.id,
        () => "the brake is off\n",
      );
      return EXIT.ok;
    }),
  );
}
