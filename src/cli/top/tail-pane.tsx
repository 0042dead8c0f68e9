// `t` in `imgo top`: the frames of what is selected, in the view of `imgo tail`; q comes back.

import { type ReactNode, useEffect, useState } from 'react';
import { asImgoError } from '../../protocol/errors.js';
import type { Api } from '../api.js';
import { TailApp } from '../tail/app.js';
import { readTailOptions, type TailFlags } from '../tail/options.js';
import { type OpenTail, openTail } from '../tail/show.js';
import type { Selected } from './draw.js';

/** Frames of a node or a room are those of a part of its sessions: of a large one all would be refused. */
const SAMPLED = '1%';

/** `leave`: with what it has ended with, undefined where the user has had enough. */
export function TailPane(props: {
  readonly api: Api;
  readonly server: string;
  readonly selected: Selected;
  readonly leave: (said: string | undefined) => void;
}): ReactNode {
  const { api, server, selected, leave } = props;
  const [open, setOpen] = useState<OpenTail>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is watched is what was selected when it began
  useEffect(() => {
    const tail = openTail(readTailOptions(flagsOf(selected)), api);
    setOpen(tail);
    let left = false;
    const failed = () => {
      if (!left)
        tail.end().then(
          () => leave(undefined),
          (error: unknown) => leave(asImgoError(error).message),
        );
    };
    tail.over.addEventListener('abort', failed);
    return () => {
      left = true;
      tail.over.removeEventListener('abort', failed);
      void tail.end().catch(() => {});
    };
  }, []);
  if (open === undefined) return null;
  return <TailApp state={open.state} server={server} leave={() => leave(undefined)} />;
}

function flagsOf(selected: Selected): TailFlags {
  switch (selected.kind) {
    case 'session':
      return { session: [selected.session.session], payload: 'size' };
    case 'user':
      return { user: [selected.user], payload: 'size' };
    case 'room':
      return { room: [selected.room], sample: SAMPLED, payload: 'size' };
    case 'node':
      return { node: [selected.node.node], sample: SAMPLED, payload: 'size' };
  }
}
