// A tool server that fails on demand. It speaks the protocol by hand, so that it can get it wrong.
//
//   node fault-server.mjs                  over standard input and output
//   node fault-server.mjs --http           over HTTP, on a free port that it prints
//   … --stubborn                           ignores every request to end, and so does a grandchild in another session

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const flags = process.argv.slice(2);
const cancelled = [];
const children = [];
let hasMore = false;

if (flags.includes("--end-at-start")) {
  console.error(`cannot start with ${process.env.TOKEN ?? "nothing"}`);
  process.exit(3);
}
if (flags.includes("--end-when-asked-first")) {
  process.exitOnDiscover = true;
}
if (flags.includes("--stubborn")) {
  process.on("SIGTERM", () => {});
  process.on("SIGHUP", () => {});
  setInterval(() => {}, 1000);
  const script = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)";
  const child = spawn(process.execPath, ["-e", script], { detached: true, stdio: "ignore" });
  children.push(child.pid);
}

const text = (text) => ({ content: [{ type: "text", text }] });
const schema = (properties = {}, required = []) => ({ type: "object", properties, required });

function tools() {
  const names = ["die", "hang", "garbage", "wrong", "refuse", "fetch-failed", "environment", "pids", "cancelled", "change", "ask"];
  const list = names.map((name) => ({ name, description: `Does ${name}`, inputSchema: schema() }));
  list.push({ name: "echo", description: "Says it again", inputSchema: schema({ text: { type: "string" } }, ["text"]) });
  list.push({ name: "big", description: "Says much", inputSchema: schema({ bytes: { type: "integer" } }, ["bytes"]) });
  list.push({ name: "slow", description: "Takes its time", inputSchema: schema({ ms: { type: "integer" } }, ["ms"]) });
  list.push({ name: "status", description: "Answers with a status", inputSchema: schema({ code: { type: "integer" } }, ["code"]) });
  if (hasMore) list.push({ name: "added", description: "Was not there", inputSchema: schema() });
  return list;
}

// Calls `reply` with a result, `raw` with what is to be written as it is, `notify` with a notification's method.
function call(name, args, { reply, raw, notify }) {
  switch (name) {
    case "echo": return reply(text(args.text));
    case "die": return process.exit(1);
    case "hang": return undefined;
    case "garbage": return raw("{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {nonsense");
    case "wrong": return reply({ content: "not a list" });
    case "refuse": return reply({ ...text("it cannot be done"), isError: true });
    case "fetch-failed": return reply(text("Error fetching library context. Please try again later. TypeError: fetch failed"));
    case "environment": return reply(text(JSON.stringify(process.env)));
    case "pids": return reply(text(JSON.stringify([process.pid, process.ppid, ...children])));
    case "cancelled": return reply(text(JSON.stringify(cancelled)));
    case "big": return reply(text("x".repeat(args.bytes)));
    case "slow": return setTimeout(() => reply(text("done")), args.ms);
    case "change":
      hasMore = true;
      notify("notifications/tools/list_changed");
      return reply(text("changed"));
    default: return reply({ content: [{ type: "text", text: `no tool ${name}` }], isError: true });
  }
}

function handle(message, ways) {
  const { id, method, params } = message;
  const answer = (body) => ways.send({ jsonrpc: "2.0", id, ...body });
  if (method === "notifications/cancelled") cancelled.push(params.requestId);
  if (id === undefined) return ways.accept?.();
  if (method === "server/discover" && process.exitOnDiscover) process.exit(4);
  if (method === "initialize") {
    return answer({
      result: {
        protocolVersion: params.protocolVersion,
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: "fault-server", version: "1" },
      },
    });
  }
  if (method === "tools/list") return answer({ result: { tools: tools() } });
  if (method === "tools/call") {
    if (params.name === "status" && ways.status) return ways.status(params.arguments.code);
    return call(params.name, params.arguments ?? {}, {
      reply: (result) => answer({ result }),
      raw: ways.raw,
      notify: (method) => ways.notify({ jsonrpc: "2.0", method }),
    });
  }
  return answer({ error: { code: -32601, message: "Method not found" } });
}

function overHttp() {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(request.url);
    const json = (body) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(body);
    };
    const status = (code, headers = {}) => {
      response.writeHead(code, { "content-type": "text/plain", ...headers });
      response.end("a body that nobody should be shown");
    };
    if (request.url === "/seen") return json(JSON.stringify(seen));
    if (request.url === "/redirect") return status(307, { location: "/mcp" });
    if (request.url === "/auth") return status(401, { "www-authenticate": "Bearer resource_metadata=\"x\"" });
    if (request.url === "/forbidden") return status(401);
    if (request.url === "/broken") return status(500);
    if (request.url === "/html") return json("<html>not JSON</html>");
    if (request.method !== "POST") return status(405);
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () =>
      handle(JSON.parse(body), {
        send: (message) => json(JSON.stringify(message)),
        raw: json,
        notify: () => {},
        accept: () => response.writeHead(202).end(),
        status,
      }),
    );
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

function overStdio() {
  const write = (line) => process.stdout.write(`${line}\n`);
  const ways = { send: (message) => write(JSON.stringify(message)), raw: write };
  ways.notify = ways.send;
  console.error("the fault server has started");
  createInterface({ input: process.stdin }).on("line", (line) => handle(JSON.parse(line), ways));
}

flags.includes("--http") ? overHttp() : overStdio();
