import { startNodes } from "../kubelet/test-nodes.ts";
import { ControlPlane } from "./control-plane.ts";

// A control plane to try things on: prints the path of an admin's kubeconfig, and ends on SIGINT or SIGTERM. Words are names of
// nodes, which run pods as processes of this machine.
const plane = await ControlPlane.start();
const kubelets = await startNodes(
  plane,
  process.argv.slice(2).map((name) => ({ name, devices: { "nvidia.com/gpu": "8" } })),
);
process.stdout.write(`${plane.kubeconfig()}\n`);
const end = async (): Promise<void> => {
  await Promise.all(kubelets.map((kubelet) => kubelet.close()));
  await plane.stop();
  process.exit(0);
};
process.once("SIGINT", () => void end()).once("SIGTERM", () => void end());
setInterval(() => {}, 1 << 30);
