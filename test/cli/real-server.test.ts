import { run, type Run } from "@muster/cli/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testApi, type TestApi } from "../../services/api/src/testing/test-api.ts";

/* The command against the real API on a real database; nothing is scheduled, so what is submitted stays queued. */

let t: TestApi;
let url: string;
beforeAll(async () => {
  t = await testApi();
  url = await t.api.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(() => t.close());

function muster(args: string, { stdin = "", env = {} }: { stdin?: string; env?: Record<string, string> } = {}): Promise<Run> {
  return run(args.split(" "), { url, stdin, env: { MUSTER_TOKEN: t.admin, ...env }, now: new Date().toISOString() });
}

async function submit(spec: string, args = ""): Promise<string> {
  const { code, out, err } = await muster(`job submit -f - -o name${args}`, { stdin: spec });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out.trim();
}

const spec = "name: train\nrun: [python3, train.py]\nlabels: {team: base}\n";

test("a job through its life by the command alone", async () => {
  const id = await submit(spec, " --hold --idempotency-key once");
  expect(await submit(spec, " --hold --idempotency-key once")).toBe(id);
  expect((await muster("job list --state held -l team=base -o name")).out).toBe(`${id}\n`);
  expect((await muster("job release train")).out).toBe(`train ${id} queued\n`);
  expect((await muster("job update train --priority high")).out).toBe(`train ${id} priority high\n`);
  expect((await muster("job get train")).out).toMatch(/state +queued for .*pending_evaluation[\s\S]*priority high/);
  expect((await muster("job explain train")).out).toMatch(/^status +train: queued/);
  expect((await muster("job get train --spec")).out).toContain("- python3\n  - train.py\n");
  expect(await muster("job logs train")).toMatchObject({ code: 4, err: expect.stringContaining("has not started yet") });
  expect(await muster("job wait train --timeout 0.5s")).toMatchObject({ code: 101, out: "" });
  expect((await muster("job hold train")).out).toBe(`train ${id} held\n`);
  expect(await muster("job resume train")).toMatchObject({ code: 5, out: "", err: expect.stringContaining("(wrong_state)") });
  expect((await muster("job cancel train --reason done")).out).toBe(`train ${id} cancelled\n`);
  expect((await muster("job wait train")).code).toBe(103);
  const kinds = JSON.parse((await muster("job events train -o json")).out).map((event: { kind: string }) => event.kind);
  expect(kinds).toEqual(["job.submitted", "job.release", "job.updated", "job.hold", "job.cancel"]);
  for (const part of ["attempts", "workers", "checkpoints"]) expect(JSON.parse((await muster(`job ${part} train -o json`)).out)).toEqual([]);
});

test("an array is submitted whole, waited for over lists, and told in one line", async () => {
  const { out } = await muster("job submit -f - --hold", { stdin: "name: sweep\nrun: ['true']\narray: {count: 12}\n" });
  expect(out).toMatch(/^sweep (job_\w+) held \(array of 12, muster job list --array \1\)\n$/);
  const array = out.split(" ")[1];
  const elements = JSON.parse((await muster(`job list --array ${array} -o json`)).out) as { id: string }[];
  expect(elements).toHaveLength(12);
  const ids = elements.map((element) => element.id).join(" ");
  const waiting = muster(`job wait ${ids}`);
  expect((await muster(`job cancel ${ids}`)).code).toBe(0);
  expect((await waiting).code).toBe(103);
});

test("what the server refuses comes with its field and its exit code", async () => {
  expect(await muster("job submit -f -", { stdin: `${spec}queue: nowhere\n` })).toMatchObject({
    code: 2,
    out: "",
    err: expect.stringContaining("(unknown_queue)"),
  });
  expect(await muster("job submit -f -", { stdin: `${spec}nodes: 500\n` })).toMatchObject({ code: 2, err: expect.stringContaining("(never_fits)") });
  expect((await muster("job get job_00000000000000000000000000")).code).toBe(4);
  expect((await muster("job wait nobody")).code).toBe(102);
  expect((await muster("job list", { env: { MUSTER_TOKEN: "mus_wrong" } })).code).toBe(3);
});

test("the cluster is declared, shown and changed", async () => {
  const documents = `kind: queue
name: child
parent: root
---
kind: queue
name: root
projects: ["*"]
---
kind: pool
name: h20
engine: simulated
vendor: nvidia
accelerator: h20
---
kind: node
name: h20-0
pool: h20
devices: 8
cpus: 64
memory: 1Ti
`;
  expect(await muster("apply -f - --dry-run", { stdin: documents })).toMatchObject({ code: 2, err: expect.stringContaining("root") });
  expect((await muster("apply -f -", { stdin: documents })).out).toBe("pool/h20 created\nqueue/root created\nqueue/child created\nnode/h20-0 created\n");
  expect((await muster("apply -f -", { stdin: documents.replace("cpus: 64", "cpus: 32") })).out).toBe(
    "pool/h20 unchanged\nqueue/root unchanged\nqueue/child unchanged\nnode/h20-0 changed\n",
  );
  expect(JSON.parse((await muster("queue get child -o json")).out)).toMatchObject({ name: "child", parent: "root" });
  expect((await muster("node list --pool h20")).out).toMatch(/h20-0 +h20 .* 0\/8\/0\/8/);
  expect((await muster("node drain h20-0 --reason fan --deadline 1m")).code).toBe(0);
  expect((await muster("node list --pool h20 -o wide")).out).toContain("fan (admin-all)");
  expect((await muster("node uncordon h20-0")).out).toBe("h20-0 ready\n");
  for (const list of ["pool list", "queue list", "project list", "get nodes", "incidents", "events --limit 3"])
    expect(await muster(list)).toMatchObject({ code: 0 });
});

test("what is not used any more is deleted, and what is in use stays and says why", async () => {
  const declared = "kind: queue\nname: brief\n---\nkind: project\nname: brief\n---\nkind: pool\nname: brief\nvendor: amd\naccelerator: mi300x\n";
  expect((await muster("apply -f -", { stdin: declared })).code).toBe(0);
  for (const kind of ["queue", "project", "pool"]) {
    expect(await muster(`${kind} delete brief -y`)).toMatchObject({ code: 0, out: "brief deleted\n" });
    expect(await muster(`${kind} delete brief -y`)).toMatchObject({ code: 4, err: expect.stringContaining(`muster ${kind} list`) });
  }
  const { code, err } = await muster("pool delete h800 -y");
  expect([code, err]).toEqual([5, "error: Pool h800 has 4 nodes; delete them first (in_use)\n"]);
});

test("a token does what its role allows, until it is revoked", async () => {
  const made = await muster("token create ci --role viewer -p own --expires-in 1h");
  const env = { MUSTER_TOKEN: made.out.trim() };
  expect((await muster("job list -o json", { env })).out).toBe("[]\n");
  expect((await muster("job submit -f -", { stdin: spec, env })).code).toBe(3);
  const tokens = JSON.parse((await muster("token list -o json")).out) as { id: string; subject: string }[];
  const id = tokens.find((token) => token.subject === "ci")?.id;
  expect((await muster(`token revoke ${id}`)).out).toBe(`${id} revoked\n`);
  expect((await muster("job list", { env })).code).toBe(3);
});
