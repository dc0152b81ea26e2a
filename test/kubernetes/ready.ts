/** Set by the global setup where a control plane can be had. */
export const READY = "MUSTER_TEST_KUBERNETES";

/** Tests that need a control plane are skipped, and counted so, where there can be none. */
export const noControlPlane = process.env[READY] === undefined;
