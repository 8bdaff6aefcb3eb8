// An ordinary Node server: no signal handler, whatever address Node listens on by itself.
import { createServer } from "node:http";

createServer((request, response) => {
  const received = [];
  request.on("data", (part) => received.push(part));
  request.on("end", () => {
    response.setHeader("X-Powered-By", "node");
    response.write(`${request.method} ${request.url} `);
    response.end(`${Buffer.concat(received).length} bytes\n`);
  });
}).listen(Number(process.env.PORT));
