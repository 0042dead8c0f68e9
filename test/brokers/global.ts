// vitest's globalSetup of broker tests: one Kafka and one Redis for the whole run, each started when the first file asks for
// it (shared.ts), ended after the last. They belong to this process, so they outlive the process of any one file.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';
import { startKafka } from './kafka.js';
import { LOOPBACK, removeLeftovers } from './process.js';
import { startRedis } from './redis.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where shared.ts asks for a broker of the run. */
    brokers: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers();
  const brokers = new AsyncDisposableStack();
  const kafka = once(async () => brokers.use(await startKafka()).bootstrap);
  const redis = once(async () => brokers.use(await startRedis()).url);
  const server = createServer((request, response) => {
    void answer(response, request.url === '/kafka' ? kafka : redis);
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  project.provide('brokers', `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    await brokers.disposeAsync();
  };
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined;
  return () => {
    started ??= start();
    return started;
  };
}

async function answer(response: ServerResponse, address: () => Promise<unknown>): Promise<void> {
  try {
    response.end(JSON.stringify(await address()));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}
