import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GitHosts, readGitHosts } from "./git-hosts.ts";
import { resolveSource } from "./source.ts";

let folder: string;
let server: Server;
let port: number;
let commit: string;
let asked = 0;
let [open, atOnce] = [0, 0];

/** A repository behind a server on loopback, which gives its files as they are: enough for git. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-git-hosts-"));
  const git = (...words: string[]): string =>
    execFileSync("git", ["-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", ...words], {
      encoding: "utf8",
    }).trim();
  git("init", "-q");
  git("commit", "-q", "--allow-empty", "-m", "one");
  git("update-server-info");
  commit = git("rev-parse", "HEAD");
  server = createServer((request, response) => {
    asked++;
    atOnce = Math.max(atOnce, ++open);
    response.once("close", () => open--);
    const path = new URL(request.url ?? "", "http://x").pathname;
    if (path === "/repo/info/refs" || path === "/repo/HEAD")
      setTimeout(() => response.end(readFileSync(join(folder, ".git", path.slice("/repo/".length)))), 100);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const resolve = (git: string, hosts: GitHosts, ref = "main"): Promise<string | null> =>
  resolveSource({ git, ref }, { protocols: ["https", "ssh", "http"], hosts });

test("private addresses are not gone to, however they are written and whatever is asked of them", async () => {
  const rebound = new GitHosts([], async () => ["93.184.215.14", "10.0.0.7"]);
  for (const [git, hosts] of [
    [`http://127.0.0.1:${port}/repo`, new GitHosts([])],
    [`http://localhost:${port}/repo`, new GitHosts([])],
    [`http://2130706433:${port}/repo`, new GitHosts([])],
    [`http://0x7f.1:${port}/repo`, new GitHosts([])],
    [`http://[::1]:${port}/repo`, new GitHosts([])],
    [`http://[::ffff:127.0.0.1]:${port}/repo`, new GitHosts([])],
    [`http://0.0.0.0:${port}/repo`, new GitHosts([])],
    [`http://good.example\\@127.0.0.1:${port}/repo`, new GitHosts(["good.example"])],
    ["http://169.254.169.254/latest/meta-data", new GitHosts(["10.0.0.0/8"])],
    ["https://10.0.0.7/x", new GitHosts(["10.1.0.0/16"])],
    ["ssh://git@192.168.1.1/x", new GitHosts([])],
    ["ssh://git@[fd00::1]:22/x", new GitHosts([])],
    ["git@127.0.0.1:x", new GitHosts([])],
    ["https://git.example/x", rebound],
    ["https://git.evil-corp.example/x", new GitHosts(["*.corp.example", "corp.example"], async () => ["10.0.0.1"])],
  ] as const)
    for (const ref of ["main", commit]) {
      await expect(resolve(git, hosts, ref), git).rejects.toMatchObject({
        code: "source_unavailable",
        message: expect.stringMatching(/^source\.git: /) as string,
      });
    }
  expect(asked).toBe(0);
  await expect(resolve("https://nowhere.example/x", new GitHosts([], async () => []))).rejects.toThrow(/there is no host nowhere\.example/);
});

test("hosts that the operator lists are", async () => {
  for (const [host, listed] of [
    ["127.0.0.1", "127.0.0.1"],
    ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8"],
    ["localhost", "localhost"],
    ["LOCALHOST", "*.example.org,Localhost"],
  ] as const)
    expect(await resolve(`http://${host}:${port}/repo`, new GitHosts(readGitHosts(listed))), `${host} by ${listed}`).toBe(commit);
});

test("git goes to the very addresses that were looked at, though the name may lead elsewhere by then", async () => {
  const hosts = new GitHosts(["127.0.0.0/8"], async () => ["127.0.0.1"]);
  // no name server knows it
  expect(await resolve(`http://git.invalid:${port}/repo`, hosts)).toBe(commit);
});

test("few repositories are asked at a time, however many jobs name one", async () => {
  const hosts = new GitHosts(["127.0.0.1"]);
  expect(await Promise.all(Array.from({ length: 24 }, () => resolve(`http://127.0.0.1:${port}/repo`, hosts)))).toEqual(
    Array.from({ length: 24 }, () => commit),
  );
  expect(atOnce).toBeGreaterThan(1);
  expect(atOnce).toBeLessThanOrEqual(8);
});

test("what is no host is refused as such", async () => {
  for (const git of ["https:///x", "ssh://git@-oProxyCommand=x/y", "ssh://git@$(id)/x", "http://a'b/x", "http://", "//x/y", "ext::sh -c true"])
    await expect(resolve(git, new GitHosts([])), git).rejects.toMatchObject({ code: "source_unavailable" });
  expect(() => readGitHosts("git.corp, -x")).toThrow(/MUSTER_GIT_HOSTS.*"-x"/);
  expect(readGitHosts(undefined)).toEqual([]);
});
