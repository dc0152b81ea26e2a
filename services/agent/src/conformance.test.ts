import { engineConformance } from "@muster/engine/conformance";
import { testAgent } from "./test-agent.ts";

engineConformance("the local engine", testAgent);
