import { DirectoryLogStore } from "./directory-store.ts";
import type { LogStore } from "./log-store.ts";
import { S3LogStore } from "./s3-store.ts";

/**
 * The store that an address names: a folder, or `s3://BUCKET/PREFIX?region=R&endpoint=URL`.
 * @throws Error where it is neither
 */
export function openLogStore(address: string): LogStore {
  if (!address.startsWith("s3://")) {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) throw new Error(`${address.split("?")[0]}: expected a folder, or s3://BUCKET/PREFIX`);
    return new DirectoryLogStore(address);
  }
  const url = new URL(address);
  const unknown = [...url.searchParams.keys()].find((key) => key !== "region" && key !== "endpoint");
  if (url.hostname === "" || url.username !== "" || unknown !== undefined)
    throw new Error("expected s3://BUCKET/PREFIX?region=R&endpoint=URL, with credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)");
  const prefix = url.pathname.replace(/^\/+|\/+$/g, "");
  const [region, endpoint] = [url.searchParams.get("region"), url.searchParams.get("endpoint")];
  return new S3LogStore({ bucket: url.hostname, ...(prefix !== "" && { prefix }), ...(region !== null && { region }), ...(endpoint !== null && { endpoint }) });
}
