export * from "./fake-server.ts";
export * from "./samples.ts";
