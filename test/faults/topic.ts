// The topic is deleted and made again under the same name, with pushes coming in: from then on they are refused, because a
// position in it stands for another message. The operator accepts it, and ids go on in the next epoch.
import { setTimeout as wait } from 'node:timers/promises';
import { createTopic, deleteTopic } from '../brokers/topics.js';
import { call } from '../harness/pusher.js';
import { type FaultCluster, PARTITIONS, TOPIC } from './cluster.js';
import type { Load } from './load.js';
import type { ClusterNode } from './node.js';

/** How an operator says that another topic is meant; and how a node that refuses to start says which one is there. */
const accept = (topicId: string): string => `queue.kafka.accept_topic=${topicId}`;
const FOUND = /this is ([\w-]+) with \d+ of cluster/;
const PATIENCE_MS = 30_000;

export interface TopicChange {
  readonly cluster: FaultCluster;
  readonly load: Load;
  readonly say: (text: string) => void;
  readonly perSecond: number;
  /** Pushes after the change. */
  readonly pushes: number;
}

/** Everything that was accepted before has to be applied: who deletes a topic wants what waits in it to be lost. */
export async function changeTopic({ cluster, load, say, perSecond, pushes }: TopicChange): Promise<readonly string[]> {
  const broken: string[] = [];
  const { bootstrap } = cluster.kafka;
  await deleteTopic(bootstrap, TOPIC);
  say(`the topic ${TOPIC} was deleted`);
  let seen = false;
  const loading = load.run(perSecond, () => seen);
  await createTopic(bootstrap, TOPIC, { partitions: PARTITIONS, config: { 'min.insync.replicas': '2' } });
  say(`a topic ${TOPIC} was made again`);
  for (const logic of cluster.of('logic')) {
    const code = await codeOf(logic.options.http);
    if (code !== 'kafka_topic_changed') broken.push(`${logic.name} answers a push with ${code}`);
  }
  seen = true;
  await loading;
  say(`pushes are refused${broken.length === 0 ? ' by every logic: kafka_topic_changed' : ', not by all'}`);

  const [first, ...others] = [...cluster.of('logic'), ...cluster.of('job')] as [ClusterNode, ...ClusterNode[]];
  await Promise.all([first, ...others].map((node) => node.end('SIGTERM')));
  const refusal = await first.failToStart();
  const topicId = FOUND.exec(refusal)?.[1];
  if (topicId === undefined) return [...broken, `${first.name} did not refuse to start on another topic: ${refusal}`];
  await Promise.race([first.start('--set', accept(topicId)), wait(PATIENCE_MS)]);
  if (!first.up) return [...broken, `${first.name} did not start with ${accept(topicId)}`];
  await Promise.race([Promise.all(others.map((node) => node.start())), wait(PATIENCE_MS)]);
  for (const node of others) if (!node.up) broken.push(`${node.name} did not start on the topic that was accepted`);
  say('the operator accepted the new topic');

  const goal = load.done + pushes;
  const { accepted } = load.counts;
  const until = Date.now() + PATIENCE_MS;
  await load.run(perSecond, () => load.done >= goal || Date.now() > until);
  if (load.counts.accepted === accepted) broken.push('no push was accepted in the new topic');
  return broken;
}

/** What a push is answered once the change is seen: the code of its error, or its status. The message is for nobody. */
async function codeOf(base: string): Promise<string> {
  let code = 'nothing';
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until; await wait(200)) {
    const answer = await call(`${base}/v1/push`, 'POST', '{"to":{"user":"nobody"},"message":0}', {}, 5_000).catch(
      () => undefined,
    );
    if (answer === undefined) continue;
    code = (JSON.parse(answer.body) as { code?: string }).code ?? `${answer.status}`;
    if (code === 'kafka_topic_changed') break;
  }
  return code;
}
