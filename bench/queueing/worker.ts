import { runPart } from "./parts.ts";

process.on("message", (name: string) => void process.send!(runPart(name)));
