/** `npm start`: the quickstart and then the IPC benchmark, each as the command that anyone can give. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { machineTopology } from '../machine/topology/index.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Says what comes, runs `atoll` with it, and ends this process where that fails. */
function show(explanation: string, ...args: string[]): void {
  console.log(`${explanation}\n\n$ npx atoll ${args.join(' ')}`);
  const { status, signal } = spawnSync(process.execPath, ['build/src/cli/main.js', ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (signal !== null) process.kill(process.pid, signal);
  if (status !== 0) process.exit(status ?? 1);
  console.log();
}

const { cores } = await machineTopology('host', { measure: 'never' });
if (cores.length > 1) {
  show(
    `Two cores of this computer become two clusters, each with a kernel of its own. On each, a client calls a
server; between the two, a producer and a consumer exchange data through shared memory and notify each other.`,
    ...['run', 'examples/quickstart/quickstart.system', '--clusters', 'per-core'],
  );
} else {
  show(
    `The quickstart needs two cores, and this computer lets Atoll use one. No matter: here is one domain that says
hello from a kernel on one core.`,
    ...['run', 'examples/hello/hello.system'],
  );
}
show('Now what calls and notifications cost here, beside what they are made of.', 'bench', 'ipc');
console.log('Next: examples/, each with a README; docs/programs.md; npx atoll --help.');
