import { torchEnv } from "./torch-env.ts";
import type { Framework } from "./types.ts";

/**
 * The program itself, once a node. With one rank a node it is that rank and gets RANK and its companions; with more, it
 * starts them itself and gets what a launcher needs (`PET_*`, `MASTER_*`).
 */
export const exec: Framework = (context) => ({
  argv: context.run,
  env: {
    ...torchEnv(context),
    ...(context.ranks === 1 && {
      RANK: String(context.nodeRank),
      WORLD_SIZE: String(context.worldSize),
      LOCAL_RANK: "0",
      LOCAL_WORLD_SIZE: "1",
      GROUP_RANK: String(context.nodeRank),
      GROUP_WORLD_SIZE: String(context.members.length),
    }),
  },
  files: [],
});
