/**
 * The keys by which roles know each other. One secret, the cluster's, makes all of them (HKDF-SHA256), so that each role holds
 * no more than it needs: a comet's key opens links to logics and nothing else, a job's links to comets and nothing else.
 * Whoever is dialled has keys that are of no use with anybody else: they name its own node and incarnation, and a comet gets
 * them with its lease. So a comet that was taken over can speak neither as a job nor as a logic to the other comets.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { NodeRecord, Role } from '../router/registry.js';

/** Whose secret a key file holds: of everybody, or of one role. */
export type KeyKind = 'cluster' | 'comet' | 'job';

/** Who is dialled. */
export type Dialled = Pick<NodeRecord, 'node' | 'incarnation' | 'roles'>;

/** By role of who dials: what it has to know. */
export type CallerKeys = Readonly<Partial<Record<Role, Uint8Array>>>;

const FORM = /^imgo_(cluster|comet|job)_([A-Za-z0-9_-]{43})$/;
const SECRET_BYTES = 32;
const SEAL_BYTES = 16;

export class ClusterKey {
  readonly kind: KeyKind;
  readonly #secret: Uint8Array;
  /** An object: of bytes one is made for every seal, at five times the cost of the seal. */
  readonly #seal: KeyObject | undefined;

  private constructor(kind: KeyKind, secret: Uint8Array) {
    this.kind = kind;
    this.#secret = secret;
    this.#seal = kind === 'cluster' ? createSecretKey(derive(secret, 'seal')) : undefined;
  }

  /** A new secret for a cluster. */
  static create(clock: Clock): ClusterKey {
    return new ClusterKey('cluster', clock.randomBytes(SECRET_BYTES));
  }

  /** What a key file holds. @throws ImgoError cluster_key_invalid */
  static parse(text: string): ClusterKey {
    const [, kind, secret] = FORM.exec(text.trim()) ?? [];
    if (kind === undefined || secret === undefined) throw new ImgoError('cluster_key_invalid');
    return new ClusterKey(kind as KeyKind, new Uint8Array(Buffer.from(secret, 'base64url')));
  }

  /** As a key file holds it. `kind`: the same, or a role's made of the cluster's. @throws ImgoError cluster_key_invalid */
  text(kind: KeyKind = this.kind): string {
    const secret = kind === 'cluster' ? this.#clusterSecret() : this.#of(kind);
    return `imgo_${kind}_${Buffer.from(secret).toString('base64url')}`;
  }

  /** May a process with these roles do with this key? */
  suffices(roles: readonly Role[]): boolean {
    return this.kind === 'cluster' || (roles.length === 1 && roles[0] === this.kind);
  }

  /** What `from` shows when it dials. @throws ImgoError cluster_key_invalid when this is not the key for that */
  dialling(from: Role, to: Dialled | undefined): Uint8Array {
    if (from === 'comet' || to === undefined) return this.#of('comet');
    // A job has nothing but its own role's key, also to be dialled.
    const base = from === 'job' || isJobOnly(to) ? this.#of('job') : this.#of('logic');
    return derive(base, `to ${to.node}/${to.incarnation}`);
  }

  /** Who may dial this node, by role, and what each has to show. */
  callersOf(own: Dialled): CallerKeys {
    const { roles } = own;
    if (isJobOnly(own)) return { logic: this.dialling('logic', own) };
    const keys: Partial<Record<Role, Uint8Array>> = { logic: this.dialling('logic', own) };
    if (roles.includes('logic')) keys.comet = this.#of('comet');
    if (roles.includes('comet')) keys.job = this.dialling('job', own);
    return keys;
  }

  /** A mark by which a logic knows again what a logic made (HMAC-SHA256, 128 bits). Only with the cluster's key. */
  seal(text: string): string {
    if (this.#seal === undefined) throw new ImgoError('cluster_key_invalid');
    return createHmac('sha256', this.#seal).update(text).digest().subarray(0, SEAL_BYTES).toString('base64url');
  }

  /** Was this mark made for this text? Takes the same time whatever differs. */
  isSealed(text: string, seal: unknown): boolean {
    if (typeof seal !== 'string') return false;
    return sameBytes(Buffer.from(this.seal(text)), Buffer.from(seal));
  }

  #of(role: Role): Uint8Array {
    return this.kind === role ? this.#secret : derive(this.#clusterSecret(), role);
  }

  #clusterSecret(): Uint8Array {
    if (this.kind !== 'cluster') throw new ImgoError('cluster_key_invalid');
    return this.#secret;
  }
}

/** Compares in a time that tells nothing but the lengths. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function isJobOnly({ roles }: Dialled): boolean {
  return roles.length === 1 && roles[0] === 'job';
}

function derive(secret: Uint8Array, what: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), `imgo ${what}`, SECRET_BYTES));
}
