/** A reporter of Node's test runner: a line for each test that passes, and the name of the first that fails, which ends it. */
import { writeSync } from 'node:fs';

export default async function* firstFailure(events) {
  for await (const { type, data } of events) {
    if (type === 'test:pass') yield '\n';
    if (type !== 'test:fail') continue;
    writeSync(1, data.name);
    process.exit(1);
  }
}
