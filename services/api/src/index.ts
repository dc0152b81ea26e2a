export { createApi, type Api, type ApiOptions } from "./api.ts";
export { DEFAULT_LIMITS, type Limits } from "./limits.ts";
export { readGitHosts } from "./submit/git-hosts.ts";
export { ERROR_CODES, type ErrorCode } from "./problems/codes.ts";
