// What a code means, from the tables that also make the messages: errors by name, disconnects by number or name.

import { DISCONNECT, type DisconnectRow } from '../protocol/disconnect.js';
import { ERRORS, type ErrorCode, type ErrorRow, ImgoError, isErrorCode } from '../protocol/errors.js';
import { nearest } from '../protocol/nearest.js';
import { asTyped } from './own-name.js';

/** An explanation, for people and for programs. */
export interface Explanation {
  readonly text: string;
  readonly object: object;
}

/** @throws ImgoError usage for a code that is in no table */
export function explainCode(code: string): Explanation {
  const wanted = code.trim().toLowerCase();
  const rows: readonly DisconnectRow[] = Object.values(DISCONNECT);
  const disconnect = rows.find((row) => String(row.code) === wanted || row.name === wanted);
  if (isErrorCode(wanted)) return ofError(wanted, ERRORS[wanted], disconnect);
  if (disconnect !== undefined) return ofDisconnect(disconnect);
  const known = [...Object.keys(ERRORS), ...rows.map((row) => row.name)];
  const near = nearest(wanted, known);
  const detail = `There is no such code.${near === undefined ? '' : ` Did you mean ${near}?`}`;
  throw new ImgoError('usage', { detail, command: 'explain' });
}

function ofError(code: ErrorCode, row: ErrorRow, disconnect: DisconnectRow | undefined): Explanation {
  const advice = row.advice.map((line) => asTyped(plain(line)));
  const facts = [
    `exit status ${row.exit}`,
    ...(row.http === 500 ? [] : [`HTTP ${row.http}`]),
    ...(row.retryable ? ['may succeed when repeated'] : []),
  ];
  const lines = [`${code}: ${plain(row.message)}`, '', `  ${row.meaning}`];
  if (row.why !== undefined) lines.push(`  ${asTyped(plain(row.why))}`);
  lines.push(...advice.map((line) => `  → ${line}`), '', `  ${facts.join(' · ')}`);
  if (disconnect !== undefined) lines.push('', ...ofDisconnect(disconnect).text.trimEnd().split('\n'));
  const object = {
    code,
    message: plain(row.message),
    meaning: row.meaning,
    exit: row.exit,
    http: row.http,
    retryable: row.retryable,
    advice,
  };
  return { text: `${lines.join('\n')}\n`, object };
}

function ofDisconnect(row: DisconnectRow): Explanation {
  const { code, name, reason, reconnect } = row;
  const policy =
    reconnect === false
      ? 'The client does not come back by itself: something has to change first.'
      : `The client comes back after ${reconnect.minMs / 1_000} to ${reconnect.maxMs / 1_000} s.`;
  return { text: `${code} ${name}: ${reason}\n\n  ${policy}\n`, object: { code, name, reason, reconnect } };
}

/** A template as a person reads it: parameters in capitals, optional parts without their brackets. */
function plain(template: string): string {
  return template.replace(/[[\]]/g, '').replace(/\{(\w+)\}/g, (_all, name: string) => name.toUpperCase());
}
