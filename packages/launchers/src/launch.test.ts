import { expand, LAUNCHER_VARIABLES, resolveJobSpec } from "@muster/model";
import { describe, expect, it } from "vitest";
import { launch } from "./launch.ts";
import { Gang } from "./run-for-test.ts";
import type { Launch, LaunchInput } from "./types.ts";

const ENGINE = { MUSTER_DIR: "/run/w", MUSTER_SHARED_DIR: "/run/s", MUSTER_CHECKPOINT_DIR: "/ckpt/a" };

function input(spec: Record<string, unknown>, nodeRank = 0, change: Partial<LaunchInput> = {}): LaunchInput {
  const parsed = resolveJobSpec({ name: "demo", run: ["train.py"], ...spec });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  const role = parsed.value.variants[0]?.roles[0];
  if (!role) throw new Error("no role");
  const peers = Array.from({ length: role.nodes.min }, (_, i) => ({ role: role.name, nodeRank: i, node: `node-${i}`, address: `10.0.0.${i + 1}` }));
  return {
    job: "job_1",
    incarnation: "7",
    attempt: 3,
    spec: parsed.value,
    role,
    nodeRank,
    peers,
    rendezvous: { address: "10.0.0.1", port: 29_400 },
    resumeReason: "node_lost",
    apiUrl: "http://127.0.0.1:7070",
    ...change,
  };
}

/** What the engine makes of it. */
function finished(of: Launch): { argv: string[]; env: Record<string, string> } {
  return {
    argv: of.argv.map((word) => expand(word, ENGINE)),
    env: Object.fromEntries(Object.entries(of.env).map(([name, value]) => [name, expand(value, ENGINE)])),
  };
}

const TWO = { nodes: 2, resources: { accelerators: 4, cpus: 32 } };

describe("every launcher", () => {
  it.each(["exec", "torchrun", "deepspeed", "mpirun", "jax"])("%s tells the worker who it is", (launcher) => {
    const { env } = finished(launch(input({ ...TWO, launcher }, 1)));
    const ranks = launcher === "exec" ? 1 : 4;
    expect(env).toMatchObject({
      MUSTER_JOB_ID: "job_1",
      MUSTER_JOB_NAME: "demo",
      MUSTER_PROJECT: "default",
      MUSTER_INCARNATION: "7",
      MUSTER_ATTEMPT: "3",
      MUSTER_ROLE: "worker",
      MUSTER_NODE: "node-1",
      MUSTER_NODE_RANK: "1",
      MUSTER_NODE_COUNT: "2",
      MUSTER_RANKS_PER_NODE: String(ranks),
      MUSTER_WORLD_SIZE: String(2 * ranks),
      MUSTER_FIRST_RANK: String(ranks),
      MUSTER_RESUME_REASON: "node_lost",
      MUSTER_API: "http://127.0.0.1:7070",
      OMP_NUM_THREADS: String(32 / ranks),
    });
    expect(env).not.toHaveProperty("GLOO_SOCKET_IFNAME");
  });

  it("gives array elements their index, and has a value for each variable it promises", () => {
    const { env } = launch(input({ array: { count: 3 } }, 0, { arrayIndex: 2 }));
    expect(env["MUSTER_ARRAY_INDEX"]).toBe("2");
    expect(LAUNCHER_VARIABLES.filter((name) => env[name] === undefined)).toEqual([]);
  });

  it("replaces references in run, args and env, and nothing else", () => {
    const spec = {
      ...TWO,
      launcher: { kind: "torchrun", args: ["--role=${MUSTER_ROLE}"] },
      env: { DATA: "${ROOT}/set", ROOT: "/data/${MUSTER_JOB_ID}", PRICE: "$$${MUSTER_ATTEMPT}", HOMELY: "$HOME ${HOME}" },
      run: ["train.py", "--out=${MUSTER_CHECKPOINT_DIR}", "--data=${DATA}", "$${MUSTER_DIR}", "$HOME ${HOME}"],
    };
    const { argv, env } = finished(launch(input(spec)));
    expect(argv.slice(-4)).toEqual(["--out=/ckpt/a", "--data=/data/job_1/set", "${MUSTER_DIR}", "$HOME ${HOME}"]);
    expect(argv).toContain("--role=worker");
    expect(env).toMatchObject({ DATA: "/data/job_1/set", PRICE: "$3", HOMELY: "$HOME ${HOME}" });
  });

  it("lets env replace defaults, but not who the worker is nor where its ranks meet", () => {
    const { env } = launch(input({ ...TWO, launcher: "torchrun", env: { OMP_NUM_THREADS: "2", MUSTER_ATTEMPT: "9", MASTER_PORT: "1" } }));
    expect(env).toMatchObject({ OMP_NUM_THREADS: "2", MUSTER_ATTEMPT: "3", MASTER_PORT: "29400" });
  });

  it("uses a value with a dollar as it is", () => {
    const { env } = finished(launch(input({}, 0, { apiUrl: "http://h/${MUSTER_DIR}$$" })));
    expect(env["MUSTER_API"]).toBe("http://h/${MUSTER_DIR}$$");
  });

  it("counts only its own role's workers", () => {
    const spec = {
      roles: { trainer: { nodes: 2, launcher: { kind: "torchrun", args: ["--role=t"] }, run: ["t.py"] }, rollout: { nodes: 1, run: ["serve"] } },
      run: undefined,
    };
    const base = input(spec);
    const { env, argv } = launch({ ...base, peers: [...base.peers, { role: "rollout", nodeRank: 0, node: "x", address: "10.0.0.9" }] });
    expect(env["MUSTER_NODE_COUNT"]).toBe("2");
    expect(argv).toContain("--nnodes=2");
  });

  it("names the loopback interface where that is all there is", () => {
    const base = input(TWO);
    const peers = base.peers.map((peer) => ({ ...peer, address: "127.0.0.1" }));
    expect(launch({ ...base, peers }).env["GLOO_SOCKET_IFNAME"]).toBe("lo");
  });
});

describe("exec", () => {
  it("runs the words as they are, as the one rank of its node", () => {
    const { argv, env } = launch(input({ nodes: 2, run: ["bash", "-c", "echo hi"] }, 1));
    expect(argv).toEqual(["bash", "-c", "echo hi"]);
    expect(env).toMatchObject({
      RANK: "1",
      WORLD_SIZE: "2",
      LOCAL_RANK: "0",
      LOCAL_WORLD_SIZE: "1",
      MASTER_ADDR: "10.0.0.1",
      MASTER_PORT: "29400",
      PET_NNODES: "2",
      PET_NODE_RANK: "1",
    });
  });

  it("with several ranks a node leaves starting them to the program", () => {
    const { env } = launch(input({ ...TWO, launcher: { kind: "exec", ranks_per_node: 4 } }, 1));
    expect(env).toMatchObject({ PET_NPROC_PER_NODE: "4", PET_MAX_RESTARTS: "0" });
    expect(env).not.toHaveProperty("RANK");
  });
});

describe("torchrun", () => {
  it("fixes ranks by placement, meets where no attempt did before and restarts nothing", () => {
    const { argv, env } = finished(launch(input({ ...TWO, launcher: { kind: "torchrun", args: ["--role=x"] }, run: ["train.py", "--lr", "1"] }, 1)));
    expect(argv.slice(0, 4)).toEqual(["/bin/sh", "/run/w/find-python", "torch", "/run/w/torchrun.py"]);
    expect(argv).toEqual(
      expect.arrayContaining([
        "--nnodes=2",
        "--node_rank=1",
        "--nproc_per_node=4",
        "--master_addr=10.0.0.1",
        "--master_port=29400",
        "--rdzv_id=job_1.7.3.worker",
        "--max_restarts=0",
        "--role=x",
      ]),
    );
    expect(argv.slice(-5)).toEqual(["/run/w/rank.py", "python", "train.py", "--lr", "1"]);
    // the agent is no rank: what signals ranks must pass it by
    expect(env).not.toHaveProperty("RANK");
    expect(env).toMatchObject({ PET_NNODES: "2", PET_NODE_RANK: "1", PET_NPROC_PER_NODE: "4", PET_MASTER_ADDR: "10.0.0.1", PET_RDZV_ID: "job_1.7.3.worker" });
  });

  it.each([
    [
      ["python3", "train.py"],
      ["python", "train.py"],
    ],
    [
      ["-m", "pkg.train"],
      ["python", "-m", "pkg.train"],
    ],
    [
      ["/opt/py/bin/python", "train.py"],
      ["command", "/opt/py/bin/python", "train.py"],
    ],
    [
      ["bash", "go.sh"],
      ["command", "bash", "go.sh"],
    ],
  ])("runs %j as %j", (run, words) => {
    const by = (args: string[]): string[] => launch(input({ ...TWO, launcher: { kind: "torchrun", args }, run })).argv;
    for (const args of [[], ["--role=x"]]) expect(by(args).slice(-words.length)).toEqual(words);
  });

  it("is not run itself where no options for it are given: the ranks are, with what it gives them", () => {
    const several = finished(launch(input({ ...TWO, launcher: "torchrun", run: ["train.py"] }, 1)));
    expect(several.argv).toEqual(["/bin/sh", "/run/w/find-python", "torch", "-u", "/run/w/local-ranks.py", "torch", "0", "python", "train.py"]);
    expect(several.env).not.toHaveProperty("RANK");
    expect(several.env).toMatchObject({ WORLD_SIZE: "8", LOCAL_WORLD_SIZE: "4", GROUP_RANK: "1", TORCHELASTIC_RUN_ID: "job_1.7.3.worker" });
    const single = finished(
      launch(input({ ...TWO, launcher: { kind: "torchrun", ranks_per_node: 1 }, run: ["train.py"], env: { NCCL_ASYNC_ERROR_HANDLING: "0" } }, 1)),
    );
    expect(single.argv).toEqual(["/bin/sh", "/run/w/find-python", "torch", "-u", "train.py"]);
    expect(single.env).toMatchObject({ RANK: "1", LOCAL_RANK: "0", WORLD_SIZE: "2", MASTER_PORT: "29400", NCCL_ASYNC_ERROR_HANDLING: "0" });
  });
});

describe("deepspeed", () => {
  const worldOf = (argv: string[]): unknown =>
    JSON.parse(Buffer.from(argv.find((word) => word.startsWith("--world_info="))?.slice(13) ?? "", "base64url").toString());

  it("starts the per-node launcher with the world in rank order", () => {
    const { argv } = finished(launch(input({ ...TWO, launcher: "deepspeed", run: ["train.py", "--deepspeed"] }, 1)));
    expect(argv.slice(0, 5)).toEqual(["/bin/sh", "/run/w/find-python", "deepspeed", "-m", "deepspeed.launcher.launch"]);
    expect(argv).toEqual(expect.arrayContaining(["--node_rank=1", "--master_addr=10.0.0.1", "--master_port=29400"]));
    expect(worldOf(argv)).toEqual({ "worker-0": [0, 1, 2, 3], "worker-1": [0, 1, 2, 3] });
    expect(argv.slice(-4)).toEqual(["/run/w/rank.py", "python", "train.py", "--deepspeed"]);
  });

  it("names the worker's own devices, because the launcher shows ranks what is listed", () => {
    expect(worldOf(launch(input({ ...TWO, launcher: "deepspeed" }, 0, { devices: [4, 5, 6, 7] })).argv)).toEqual({
      "worker-0": [4, 5, 6, 7],
      "worker-1": [0, 1, 2, 3],
    });
  });

  it("pads base64 as Python's decoder wants it", () => {
    for (let nodes = 1; nodes <= 4; nodes++) {
      const word = launch(input({ nodes, launcher: "deepspeed" })).argv.find((each) => each.startsWith("--world_info=")) ?? "";
      expect((word.length - 13) % 4).toBe(0);
      expect(word).not.toMatch(/={3,}$/);
    }
  });
});

describe("mpirun", () => {
  it("runs in worker 0 with its remote-shell hook; the others wait for its daemons", () => {
    const spec = { ...TWO, nodes: 3, launcher: { kind: "mpirun", args: ["-x", "FOO"] }, run: ["./solve", "1"] };
    const first = finished(launch(input(spec)));
    expect(first.argv.slice(0, 9)).toEqual([
      "/bin/sh",
      "/run/w/mpirun-first",
      "mpirun",
      "--mca",
      "plm_rsh_agent",
      "/bin/sh /run/w/mpirun-hook",
      "--mca",
      "plm_rsh_no_tree_spawn",
      "1",
    ]);
    expect(first.argv.slice(9).join(" ")).toBe(
      "--leave-session-attached --host localhost:4,muster-1:4,muster-2:4 -np 12 --map-by ppr:4:node --bind-to none --tag-output -x FOO ./solve 1",
    );
    expect(finished(launch(input(spec, 2))).argv).toEqual(["/bin/sh", "/run/w/mpirun-member", "muster-2"]);
  });
});

describe("jax", () => {
  it("gives one process a node its place", () => {
    const { argv, env } = finished(launch(input({ nodes: 2, launcher: { kind: "jax", ranks_per_node: 1 }, resources: { accelerators: 8 } }, 1)));
    expect(env).toMatchObject({ JAX_COORDINATOR_ADDRESS: "10.0.0.1:29400", JAX_NUM_PROCESSES: "2", JAX_PROCESS_ID: "1" });
    expect(argv).toEqual(["/bin/sh", "/run/w/find-python", "jax", "-u", "train.py"]);
  });

  it("starts several processes a node through a file that numbers them", () => {
    const { argv, env, files } = launch(input({ nodes: 2, launcher: { kind: "jax", ranks_per_node: 2 }, resources: { accelerators: 8 } }, 1));
    expect(argv.slice(-5)).toEqual(["${MUSTER_DIR}/local-ranks.py", "jax", "4", "python", "train.py"]);
    expect(env).toMatchObject({ JAX_NUM_PROCESSES: "4" });
    expect(env).not.toHaveProperty("JAX_PROCESS_ID");
    expect(files.map((file) => file.path)).toEqual(["find-python", "rank.py", "local-ranks.py"]);
  });

  it("brackets an IPv6 coordinator", () => {
    expect(launch(input({ launcher: "jax" }, 0, { rendezvous: { address: "fd00::1", port: 5 } })).env["JAX_COORDINATOR_ADDRESS"]).toBe("[fd00::1]:5");
  });
});

describe("launchers that hand the job to an operator", () => {
  it("give all workers the same, and nothing of what only one of them is", () => {
    const [first, second] = [0, 1].map((rank) => launch(input({ ...TWO, launcher: "jobset", run: ["train.py", "${MUSTER_JOB_ID}"], env: { A: "b" } }, rank)));
    expect(second).toEqual({ ...first, firstRank: 4 });
    expect(first?.argv).toEqual(["train.py", "job_1"]);
    expect(first?.env).toMatchObject({ A: "b", MUSTER_JOB_ID: "job_1", MUSTER_WORLD_SIZE: "8" });
    expect(Object.keys(first?.env ?? {}).filter((name) => /MASTER|RANK$|PET_/.test(name))).toEqual([]);
  });
});

describe("a check before the start", () => {
  const CHECK = { preflight: { run: ["check.sh", "${MUSTER_NODE}", "$$HOME"], timeout: 60 } };

  it("comes before the program of every launcher, with its references replaced", () => {
    for (const launcher of ["exec", "torchrun", "mpirun"]) {
      const bare = finished(launch(input({ ...TWO, launcher }, 1)));
      const made = launch(input({ ...TWO, launcher, ...CHECK }, 1));
      expect(finished(made).argv).toEqual(["/bin/sh", "/run/w/preflight", "60", "3", "check.sh", "node-1", "$HOME", ...bare.argv]);
      expect(finished(made).env).toEqual(bare.env);
      expect(made.files.filter((file) => file.path === "preflight")).toHaveLength(1);
    }
  });

  it("that exchanges in pairs is told with whom, who of the two keeps the store, and where", () => {
    const spec = { ...TWO, nodes: 4, launcher: "torchrun", preflight: { run: "pairwise" } };
    const { argv } = finished(launch(input(spec, 2, { partners: [3, 1] })));
    expect(argv.slice(3, argv.indexOf("1,3,0,10.0.0.3,29400") + 2)).toEqual([
      "7",
      "/bin/sh",
      "/run/w/find-python",
      "torch",
      "/run/w/pairwise.py",
      "300",
      "1,3,0,10.0.0.3,29400",
      "2,1,1,10.0.0.2,29400",
    ]);
  });

  it.each([
    ["well", "exit 0", 60, 7, "muster preflight: passed after \\d+ s\nstarted a b\n"],
    ["badly", "echo no device; exit 3", 60, 94, "no device\nmuster preflight: failed after \\d+ s: exit code 3\n"],
    ["never", "sleep 600", 1, 94, "muster preflight: timed out after 1 s\n"],
    ["not at all", "kill -9 $$$$", 60, 94, "(.*\n)?muster preflight: failed after \\d+ s: exit code 137\n"],
  ])("that ends %s decides whether the program is started", async (_how, script, timeout, code, output) => {
    const gang = new Gang();
    try {
      const run = ["sh", "-c", 'echo started "$1"; exit 7', "sh", "a b"];
      const { ended } = await gang.start({ run, preflight: { run: ["sh", "-c", script], timeout } }, {});
      const [worker] = await ended;
      expect(worker?.output).toMatch(new RegExp(`^${output}$`));
      expect(worker?.code).toBe(code);
    } finally {
      await gang.end();
    }
  });
});
