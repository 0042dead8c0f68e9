// A script that starts a server, as campaigns and benchmarks do, and says what it started. It is there to be killed.
import { startServer } from './server.js';

const { ready } = await startServer(process.argv.slice(2));
console.log(JSON.stringify(ready));
