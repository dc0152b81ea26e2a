import { ControlPlane } from "./control-plane.ts";

// a control plane to try things on: prints the path of an admin's kubeconfig, and ends on SIGINT or SIGTERM
const plane = await ControlPlane.start();
process.stdout.write(`${plane.kubeconfig()}\n`);
const end = (): void => void plane.stop().then(() => process.exit(0));
process.once("SIGINT", end).once("SIGTERM", end);
setInterval(() => {}, 1 << 30);
