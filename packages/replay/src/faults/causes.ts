/*
 * What a fault of each cause leaves to be seen. Counts: Llama 3 (arXiv 2407.21783, table 5), 419 unexpected interruptions in 54
 * days. It publishes no output; the texts are those that PyTorch, CUDA, NCCL and torchrun print for such faults, equally likely.
 */

/** How the process of a rank ended, and the last lines that it wrote. */
export interface Words {
  exitCode: number | null;
  signal: "SIGABRT" | "SIGSEGV" | "SIGKILL" | "SIGBUS" | null;
  tail: string;
}

export interface Cause {
  name: string;
  /** Of Llama 3's 419. */
  count: number;
  /** Takes its node out of service: whatever is started there fails until it is replaced. */
  out: boolean;
  /** What is seen at the fault; none: the whole node falls silent. */
  words: readonly Words[];
  /** What a start on the node then shows. */
  atStart: Words;
}

const error = (text: string): Words => ({
  exitCode: 1,
  signal: null,
  tail: `Traceback (most recent call last):\n  File "train.py", line 311, in <module>\n${text}`,
});
const abort = (text: string): Words => ({ exitCode: null, signal: "SIGABRT", tail: text });

const NO_DEVICE = error("RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 101: invalid device ordinal");
const ECC = "CUDA error: uncorrectable ECC error encountered";
const PEER_GONE = error(
  "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2139, remote process exited or there was a network error, NCCL version 2.21.5\nncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.",
);
const NETWORK = error(
  "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2139, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.21.5\nncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.\nLast error:\nNET/IB : Got completion from peer 10.8.1.4<41352> with status=12 opcode=0 len=0 vendor err 129 (Send)",
);
const NO_PORT = error(
  "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2139, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.21.5\nncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.\nLast error:\nNET/IB : mlx5_3:1 port is not active",
);
const SILENT: readonly Words[] = [];

/** What a rank prints that only lost its peers. */
export const PEERS: readonly Words[] = [
  PEER_GONE,
  error(`${PEER_GONE.tail}\nsocketProgressOpt: Call to recv from 10.8.1.4<41352> failed : Connection reset by peer`),
];

export const STORAGE_AWAY = error("OSError: [Errno 5] Input/output error: '/ckpt/step-81200/model_00311.distcp'");

const GPU = [
  error("RuntimeError: CUDA error: unspecified launch failure"),
  error("RuntimeError: CUDA error: unknown error"),
  abort(`terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA error: ${ECC.slice(12)}`),
  error("RuntimeError: CUDA error: uncorrectable NVLink error detected during the execution"),
];
const MEMORY = [error(`RuntimeError: ${ECC}`), abort(`terminate called after throwing an instance of 'c10::Error'\n  what():  ${ECC}`)];
/** Seconds after which NCCL's watchdog ends a collective that doesn't end: PyTorch's default, for every policy. */
export const WATCHDOG = 600;
export const WATCHDOG_ENDS = abort(
  "[rank311]:[E ProcessGroupNCCL.cpp:616] [Rank 311] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=40213, OpType=ALLREDUCE) ran for 600021 milliseconds before timing out.",
);

export const LLAMA3: readonly Cause[] = [
  { name: "GPU", count: 148, out: true, words: GPU, atStart: NO_DEVICE },
  { name: "GPU memory (HBM3)", count: 72, out: true, words: MEMORY, atStart: error(`RuntimeError: ${ECC}`) },
  {
    name: "software bug",
    count: 54,
    out: false,
    words: [
      error("AssertionError: num_microbatches must be positive"),
      { exitCode: null, signal: "SIGSEGV", tail: "Fatal Python error: Segmentation fault" },
      error("RuntimeError: DataLoader worker (pid 48211) is killed by signal: Segmentation fault."),
      error("KeyError: 'shard_index'"),
    ],
    atStart: NO_DEVICE,
  },
  { name: "switch or cable", count: 35, out: true, words: [NETWORK, PEER_GONE], atStart: NO_PORT },
  { name: "host maintenance", count: 32, out: true, words: SILENT, atStart: NO_DEVICE },
  { name: "GPU memory (SRAM)", count: 19, out: true, words: MEMORY, atStart: error(`RuntimeError: ${ECC}`) },
  {
    name: "GPU system processor",
    count: 17,
    out: true,
    words: [error("RuntimeError: CUDA error: unknown error"), error("RuntimeError: CUDA error: unspecified launch failure")],
    atStart: NO_DEVICE,
  },
  { name: "NIC", count: 7, out: true, words: [NETWORK, PEER_GONE], atStart: NO_PORT },
  { name: "collective watchdog", count: 7, out: false, words: [WATCHDOG_ENDS], atStart: NO_DEVICE },
  {
    name: "silent data corruption",
    count: 6,
    out: true,
    words: [error("RuntimeError: loss is NaN at step 81233")],
    atStart: error("RuntimeError: loss is NaN at step 81234"),
  },
  { name: "thermal interface", count: 6, out: true, words: GPU, atStart: NO_DEVICE },
  {
    name: "SSD",
    count: 3,
    out: true,
    words: [{ exitCode: null, signal: "SIGBUS", tail: "Bus error" }, error("OSError: [Errno 30] Read-only file system: '/tmp/cache'")],
    atStart: error("OSError: [Errno 30] Read-only file system: '/tmp/cache'"),
  },
  { name: "power supply", count: 3, out: true, words: SILENT, atStart: NO_DEVICE },
  { name: "chassis", count: 2, out: true, words: SILENT, atStart: NO_DEVICE },
  { name: "IO expansion board", count: 2, out: true, words: GPU, atStart: NO_DEVICE },
  { name: "dependency", count: 2, out: false, words: [error("OSError: [Errno 110] Connection timed out: 'blob-store:443'")], atStart: NO_DEVICE },
  { name: "CPU", count: 2, out: true, words: SILENT, atStart: NO_DEVICE },
  { name: "host memory", count: 2, out: true, words: SILENT, atStart: NO_DEVICE },
];

/** A link that comes and goes: its node works between. */
export const FLAP: Cause = { name: "flapping link", count: 0, out: false, words: [NETWORK, PEER_GONE], atStart: NO_PORT };
/** A node that fails again and again, and passes every start. */
export const LEMON: Cause = { name: "lemon", count: 0, out: false, words: GPU, atStart: NO_DEVICE };
/** A rack's power: its nodes fall silent together. */
export const BURST: Cause = { name: "burst", count: 0, out: true, words: SILENT, atStart: NO_DEVICE };

/** torchrun's own report of the rank that failed: it ends with 1 itself, whatever happened. */
export function throughTorchrun(words: Words, rank: number): { exitCode: number; tail: string } {
  const code = words.exitCode ?? -{ SIGABRT: 6, SIGSEGV: 11, SIGKILL: 9, SIGBUS: 7 }[words.signal ?? "SIGKILL"];
  return {
    exitCode: 1,
    tail: `${words.tail}\ntorch.distributed.elastic.multiprocessing.errors.ChildFailedError:\ntrain.py FAILED\nRoot Cause (first observed failure):\n  rank      : ${rank} (local_rank: ${rank % 8})\n  exitcode  : ${code} (pid: 48117)\n`,
  };
}
