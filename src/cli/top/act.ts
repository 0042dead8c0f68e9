// What one can do from `imgo top`, each with the command that does the same: kick a session or a user, drain a node, call that off.

import { ImgoError } from '../../protocol/errors.js';
import { type Api, path } from '../api.js';
import type { Selected } from './draw.js';

/** Something that is done after a yes. */
export interface Action {
  readonly question: string;
  /** The equivalent command, as one types it. */
  readonly command: string;
  readonly run: (api: Api) => Promise<string>;
}

/** What K does to what is selected; undefined: nothing. */
export function kickOf(selected: Selected | undefined): Action | undefined {
  if (selected?.kind === 'session') {
    const { session, user } = selected.session;
    return {
      question: `Close session ${session}${user === null ? '' : ` of ${user}`}?`,
      command: `imgo kick ${session}`,
      run: (api) => closed(api, path('v1', 'sessions', session)),
    };
  }
  if (selected?.kind !== 'user') return undefined;
  const { user } = selected;
  return {
    question: `Close all sessions of user ${user}?`,
    command: `imgo kick --user ${user}`,
    run: (api) => closed(api, `${path('v1', 'users', user)}/sessions`),
  };
}

/** What D does: a node is emptied, or takes clients again. Workers are emptied one by one. */
export function drainOf(selected: Selected | undefined): Action | undefined {
  if (selected?.kind !== 'node') return undefined;
  const { node, state, roles, processes } = selected.node;
  if (state === 'gone' || !roles.includes('comet') || processes > 1) return undefined;
  const off = state === 'draining';
  return {
    question: off ? `Let ${node} take clients again?` : `Have the clients of ${node} move to others?`,
    command: `imgo drain ${node}${off ? ' --cancel' : ''}`,
    run: async (api) => {
      const { connections } = await api.json<{ readonly connections: number }>({
        method: off ? 'DELETE' : 'POST',
        path: `${path('v1', 'nodes', node)}/drain`,
        ...(off ? {} : { body: '{}' }),
      });
      return off ? `${node} takes clients again; it has ${connections}` : `${node}: ${connections} clients to move`;
    },
  };
}

async function closed(api: Api, at: string): Promise<string> {
  const { closed } = await api.json<{ readonly closed: number }>({ method: 'DELETE', path: at });
  return `${closed} ${closed === 1 ? 'session' : 'sessions'} closed`;
}

/** What became of it, for people. */
export async function act(api: Api, action: Action): Promise<string> {
  try {
    return `${await action.run(api)} · the same: ${action.command}`;
  } catch (error) {
    if (error instanceof ImgoError) return `${error.message} (${error.code})`;
    throw error;
  }
}
