import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

const NAME = /^(\*\.)?[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/i;

/** The addresses of a name, as everything else on this machine would find them. */
export type Lookup = (host: string) => Promise<string[]>;

const lookupHere: Lookup = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

/**
 * Which hosts `source.git` may name. The API asks them from where it runs, which reaches more than a submitter does: metadata of a
 * cloud, services without a password. So only public addresses are gone to, and the hosts that the operator lists.
 */
export class GitHosts {
  readonly #names: string[] = [];
  readonly #ranges: [ipaddr.IPv4 | ipaddr.IPv6, number][] = [];
  readonly #lookup: Lookup;

  /** @param listed names, `*.example.org`, addresses, or ranges as 10.1.0.0/16 @throws Error naming what is none of these */
  constructor(listed: readonly string[], lookup: Lookup = lookupHere) {
    this.#lookup = lookup;
    for (const entry of listed) {
      if (ipaddr.isValidCIDR(entry)) this.#ranges.push(ipaddr.parseCIDR(entry));
      else if (isIP(entry) !== 0) this.#ranges.push(ipaddr.parseCIDR(`${entry}/${isIP(entry) === 4 ? 32 : 128}`));
      else if (NAME.test(entry)) this.#names.push(entry.toLowerCase());
      else throw new Error(`expected names, such as git.example.org or *.example.org, addresses, or ranges such as 10.1.0.0/16, not ${JSON.stringify(entry)}`);
    }
  }

  /**
   * Where to go for a name, so that it can't lead elsewhere a moment later; nothing for an address, or for a name that is listed.
   * @throws Error telling why not
   */
  async addressesOf(host: string): Promise<string[] | undefined> {
    if (this.#names.some((name) => (name.startsWith("*.") ? host.endsWith(name.slice(1)) : host === name))) return undefined;
    const literal = isIP(host) !== 0;
    const addresses = literal ? [host] : await this.#lookup(host).catch(() => []);
    if (addresses.length === 0) throw new Error(`there is no host ${host}, as seen from the API`);
    if (!addresses.every((address) => this.#reachable(address))) {
      throw new Error(`${host} is in a private network; name a public host, or ask the operator to list it in MUSTER_GIT_HOSTS`);
    }
    return literal ? undefined : addresses;
  }

  #reachable(address: string): boolean {
    const parsed = ipaddr.process(address);
    return parsed.range() === "unicast" || this.#ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits));
  }
}

/** The hosts of MUSTER_GIT_HOSTS, which separates them by commas. @throws Error naming the variable */
export function readGitHosts(text: string | undefined): string[] {
  const listed = (text ?? "")
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  try {
    void new GitHosts(listed);
  } catch (error) {
    throw new Error(`MUSTER_GIT_HOSTS: ${(error as Error).message}`, { cause: error });
  }
  return listed;
}
