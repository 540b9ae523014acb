/** A reporter of Node's test runner that names the first test that fails, and ends the process there. */
import { writeSync } from 'node:fs';

export default async function* firstFailure(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:fail') continue;
    writeSync(1, `${data.name}\n`);
    process.exit(1);
  }
  yield '';
}
