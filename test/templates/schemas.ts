// Checks documents by the schemas beside this file: those of Kubernetes and of the Compose Specification.
import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

function schema(name: string): object {
  return JSON.parse(readFileSync(new URL(`schemas/${name}.json`, import.meta.url), 'utf8')) as object;
}

/** Formats say nothing that types do not. */
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(schema('kubernetes'), 'kubernetes');
const compose = ajv.compile(schema('compose'));

/** What is wrong with a Compose file, one line each. */
export function composeFaults(document: unknown): readonly string[] {
  return faults(compose, document);
}

/** What is wrong with an object of Kubernetes, one line each. A field that does not exist is wrong. */
export function kubernetesFaults(document: unknown): readonly string[] {
  const { apiVersion = '', kind = '' } = document as { readonly apiVersion?: string; readonly kind?: string };
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const name = [kind.toLowerCase(), ...(group === '' ? [] : [group.replace(/\..*$/, '')]), version].join('-');
  const check = ajv.getSchema(`kubernetes#/$defs/${name}`);
  return check === undefined ? [`there is no schema of ${name}`] : faults(check as ValidateFunction, document);
}

function faults(check: ValidateFunction, document: unknown): readonly string[] {
  if (check(document) === true) return [];
  return (check.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}
