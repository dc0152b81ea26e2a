import { ROLES, type Role } from "@muster/model";

/** Who asks, by its token. */
export interface Identity {
  subject: string;
  tokenId: string;
  /** The only project that the token reaches; null: all. */
  project: string | null;
  role: Role;
  /** Roles that the subject has as a member of projects. */
  memberships: Readonly<Record<string, Role>>;
  /** The same for all requests of one token; never the token itself. */
  key: string;
}

export function atLeast(role: Role | undefined, wanted: Role): boolean {
  return role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(wanted);
}

/**
 * What the asker is in a project. A token of one project is exactly what it says, there alone. A token of all projects is
 * what it says everywhere, and more where its subject is a member with a higher role.
 */
export function roleIn(identity: Identity, project: string): Role | undefined {
  if (identity.project !== null) return identity.project === project ? identity.role : undefined;
  const member = Object.hasOwn(identity.memberships, project) ? identity.memberships[project] : undefined;
  return atLeast(member, identity.role) ? member : identity.role;
}

/** What the asker is to the cluster itself: to what belongs to no project. */
export function roleInCluster(identity: Identity): Role | undefined {
  return identity.project === null ? identity.role : undefined;
}

/** Projects whose things the asker may see; null: all, and what belongs to none. */
export function visibleProjects(identity: Identity): string[] | null {
  return identity.project === null ? null : [identity.project];
}

export function sees(identity: Identity, project: string | null): boolean {
  return identity.project === null || identity.project === project;
}
