import fc from "fast-check";

/* Random cases are the same in every run, so that a test that fails does so for what was changed; `npm run soak -- properties` draws others. */
fc.configureGlobal({ seed: Number(process.env["MUSTER_SEED"] ?? 1) });
