// The development server of the oldest Vite that needs no options. It prints its address.
import { createServer } from "vite7";

// In case that nobody ends it.
setTimeout(() => process.exit(1), 300_000).unref();
const server = await createServer({ logLevel: "error", optimizeDeps: { entries: "small.html" }, server: { port: 0 } });
await server.listen();
console.log(server.resolvedUrls.local[0]);
