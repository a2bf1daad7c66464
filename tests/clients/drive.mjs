// Drives an ACP agent with the official TypeScript client and prints what it saw as one JSON object.
//
//   node drive.mjs NODE_MODULES CWD AGENT [ARGUMENTS…]
//
// The prompts are the scenario's; what the model answers to each is the test's to script.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const [nodeModules, cwd, program, ...args] = process.argv.slice(2);
const folder = join(nodeModules, "@agentclientprotocol/sdk");
const { main } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
const acp = await import(pathToFileURL(join(folder, main)));

// What arrived since the last look.
let seen = [];
let permissions = [];
let allow = true;
let wake = () => {};
let stderr = "";

const client = acp
  .client({ name: "crow-tests" })
  .onRequest(acp.methods.client.session.requestPermission, ({ params }) => {
    const wanted = allow ? "allow_once" : "reject_once";
    const option = params.options.find((option) => option.kind === wanted);
    permissions.push({ title: params.toolCall.title, kinds: params.options.map((option) => option.kind) });
    return { outcome: { outcome: "selected", optionId: option.optionId } };
  })
  .onNotification(acp.methods.client.session.update, ({ params }) => {
    seen.push(params.update);
    wake();
  });

function turn(result) {
  const of = (kind) => seen.filter((update) => update.sessionUpdate === kind);
  const text = (kind) => of(kind).map((update) => update.content.text).join("");
  const tools = new Map();
  for (const update of seen) {
    if (update.sessionUpdate === "tool_call" || update.sessionUpdate === "tool_call_update") {
      tools.set(update.toolCallId, { ...tools.get(update.toolCallId), ...update });
    }
  }
  const summary = {
    stopReason: result?.stopReason,
    text: text("agent_message_chunk"),
    thoughts: text("agent_thought_chunk"),
    user: text("user_message_chunk"),
    tools: [...tools.values()].map(({ title, kind, status }) => ({ title, kind, status })),
    kinds: [...new Set(seen.map((update) => update.sessionUpdate))],
    permissions,
  };
  seen = [];
  permissions = [];
  return summary;
}

async function connected(work) {
  const child = spawn(program, args, { cwd, stdio: ["pipe", "pipe", "pipe"] });
  child.stderr.on("data", (bytes) => (stderr += bytes));
  const left = new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal)));
  const stream = acp.ndJsonStream(Writable.toWeb(child.stdin), Readable.toWeb(child.stdout));
  const result = await client.connectWith(stream, async (agent) => {
    const initialize = await agent.request(acp.methods.agent.initialize, {
      protocolVersion: acp.PROTOCOL_VERSION,
      clientCapabilities: {},
      clientInfo: { name: "crow-tests", version: "0.1.0" },
    });
    const prompt = async (sessionId, text) => {
      const request = { sessionId, prompt: [{ type: "text", text }] };
      return turn(await agent.request(acp.methods.agent.session.prompt, request));
    };
    return { initialize, ...(await work(agent, prompt)) };
  });
  child.stdin.end();
  return { ...result, exit: await left };
}

const first = await connected(async (agent, prompt) => {
  const session = await agent.request(acp.methods.agent.session.new, { cwd, mcpServers: [] });
  const { sessionId } = session;
  const mode = session.modes?.currentModeId;
  await agent.request(acp.methods.agent.session.setMode, { sessionId, modeId: "ask" });
  turn();
  const edit = await prompt(sessionId, "scenario: edit");
  allow = false;
  const reject = await prompt(sessionId, "scenario: reject");
  allow = true;
  const chunk = new Promise((resolve) => {
    wake = () => seen.some((update) => update.sessionUpdate === "agent_message_chunk") && resolve();
  });
  const hanging = prompt(sessionId, "scenario: hang");
  await chunk;
  await agent.notify(acp.methods.agent.session.cancel, { sessionId });
  const cancelled = await hanging;
  const after = await prompt(sessionId, "scenario: after");
  const listed = await agent.request(acp.methods.agent.session.list, { cwd });
  return { sessionId, mode, edit, reject, cancelled, after, listed: listed.sessions.map((entry) => entry.sessionId) };
});

const second = await connected(async (agent, prompt) => {
  const { sessionId } = first;
  const answer = await agent.request(acp.methods.agent.session.load, { sessionId, cwd, mcpServers: [] });
  const replay = turn();
  const again = await prompt(sessionId, "scenario: again");
  return { answer, replay, again };
});

console.log(JSON.stringify({ first, second, stderr }));
