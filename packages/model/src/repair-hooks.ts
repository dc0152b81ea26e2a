import { z } from "zod";

/*
 * Repair hooks: what is run, or told, about a node that is out of service. They are in a file of the machine that runs
 * supervisors and not among the settings, so that nobody gets to run a command there by way of the API, and no secret lies in the
 * database.
 */

const text = z.string().min(1).max(4096);
const absolute = text.regex(/^\//, "expected an absolute path");

export const repairHook = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][-a-z0-9_.]{0,62}$/, "expected lower-case letters, digits, '-', '_' and '.'"),
    /** Pools whose nodes it repairs; absent: all. The first hook that fits a node is its hook. */
    pools: z.array(text).min(1).optional(),
    /** The program and its arguments, as they are: no shell reads them, and nothing is filled in. */
    command: z.array(text).min(1).max(256).optional(),
    webhook: z
      .strictObject({
        url: z.url({ protocol: /^https?$/ }),
        /** Signs what is sent. */
        secret_file: absolute.optional(),
      })
      .optional(),
    /** Seconds: of one run of the command, or until what was told has to be reported of. */
    timeout: z.number().min(1).max(2_592_000).optional(),
    /** Tries before it is left to a person, and seconds before the second, which double. */
    tries: z.int().min(1).max(20).default(5),
    backoff: z.number().min(0.1).max(3600).default(10),
  })
  .refine((hook) => (hook.command === undefined) !== (hook.webhook === undefined), "expected one of command and webhook");
export type RepairHook = z.output<typeof repairHook>;

export const repairHooksFile = z.strictObject({
  hooks: z
    .array(repairHook)
    .max(100)
    .refine((hooks) => new Set(hooks.map(({ name }) => name)).size === hooks.length, "expected each name once"),
});
