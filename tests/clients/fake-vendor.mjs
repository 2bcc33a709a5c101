// A model vendor that streams in the words of Anthropic's Messages and of OpenAI's Chat Completions. What it answers
// depends on the last thing that was said; see `answerTo`. `GET /counts` tells what it has seen.

import { createServer } from "node:http";

const counts = { requests: {}, closed: 0 };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What was said last, in whatever words: texts, results of tools, how many images. */
function read(body, isAnthropic) {
  const parts = [];
  const last = body.messages.at(-1);
  // OpenAI has a message for each result.
  const group = isAnthropic ? [last] : body.messages.slice(body.messages.findLastIndex((m) => m.role !== "tool") + 1);
  const said = group.length > 0 ? group : [last];
  for (const message of said) {
    const content = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
    parts.push(...content.map((part) => (message.role === "tool" ? { ...part, type: "tool_result" } : part)));
  }
  const text = (part) => part.text ?? (typeof part.content === "string" ? part.content : JSON.stringify(part.content));
  return {
    results: parts.filter((part) => part.type === "tool_result").map(text),
    text: parts.filter((part) => part.type === "text").map(text).join(" "),
    images: parts.filter((part) => part.type === "image" || part.type === "image_url").length,
    tools: (body.tools ?? []).map((tool) => tool.name ?? tool.function.name),
    hasSchema: Boolean(body.output_config?.format ?? body.response_format),
  };
}

function answerTo({ results, text, images, tools, hasSchema }) {
  const failure = text.match(/fail (\d+)$/);
  if (failure) return { status: Number(failure[1]) };
  if (results.length > 0) return { texts: ["You said: ", results.join(" and ")] };
  if (text.endsWith("weather") && tools.includes("get_weather")) {
    return { calls: ["Oslo", "Lima"].map((location) => ({ name: "get_weather", input: { location } })) };
  }
  // Some clients have a tool for answers in a schema.
  if (text.endsWith("schema") && tools.includes("json")) return { calls: [{ name: "json", input: { answer: "yes" } }] };
  if (text.endsWith("schema")) return { texts: [hasSchema ? '{"answer": ' : "no ", hasSchema ? '"yes"}' : "schema"] };
  if (text.endsWith("picture")) return { texts: [`I see ${images}`] };
  if (text.endsWith("endless")) return { endless: true };
  if (text.endsWith("cut")) return { texts: ["Half an "], cut: true };
  if (text.endsWith("think")) return { thinking: ["Let me ", "see."], texts: ["Done."] };
  return { texts: ["Hello", " from", " the vendor"] };
}

const anthropic = {
  frame: (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`,
  start(model) {
    const usage = { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 5, cache_creation_input_tokens: 0 };
    const message = { id: "msg_1", type: "message", role: "assistant", model, content: [], stop_reason: null, usage };
    return this.frame({ type: "message_start", message });
  },
  block(index, content_block, deltas) {
    return [
      this.frame({ type: "content_block_start", index, content_block }),
      ...deltas.map((delta) => this.frame({ type: "content_block_delta", index, delta })),
      this.frame({ type: "content_block_stop", index }),
    ];
  },
  *frames({ thinking, texts, calls, cut, endless }, model) {
    yield this.start(model);
    let index = 0;
    if (thinking) {
      const deltas = thinking.map((text) => ({ type: "thinking_delta", thinking: text }));
      deltas.push({ type: "signature_delta", signature: "signed" });
      yield* this.block(index++, { type: "thinking", thinking: "", signature: "" }, deltas);
    }
    if (texts || endless) yield this.frame({ type: "content_block_start", index, content_block: { type: "text", text: "" } });
    const say = (text) => this.frame({ type: "content_block_delta", index, delta: { type: "text_delta", text } });
    for (const text of texts ?? []) yield say(text);
    while (endless) yield say("and on ");
    if (cut) return;
    if (texts) yield this.frame({ type: "content_block_stop", index: index++ });
    for (const { name, input } of calls ?? []) {
      const block = { type: "tool_use", id: `call_${index}`, name, input: {} };
      yield* this.block(index++, block, [{ type: "input_json_delta", partial_json: JSON.stringify(input) }]);
    }
    const stop_reason = calls ? "tool_use" : "end_turn";
    yield this.frame({ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 7 } });
    yield this.frame({ type: "message_stop" });
  },
  error: (status) => ({ type: "error", error: { type: status === 429 ? "rate_limit_error" : "api_error", message: "no" } }),
};

const openai = {
  frame: (data) => `data: ${JSON.stringify(data)}\n\n`,
  chunk(model, delta, finish_reason = null) {
    const choices = [{ index: 0, delta, finish_reason }];
    return this.frame({ id: "1", object: "chat.completion.chunk", created: 1, model, choices });
  },
  *frames({ thinking, texts, calls, cut, endless }, model) {
    yield this.chunk(model, { role: "assistant", content: "" });
    for (const text of thinking ?? []) yield this.chunk(model, { reasoning_content: text });
    for (const text of texts ?? []) yield this.chunk(model, { content: text });
    while (endless) yield this.chunk(model, { content: "and on " });
    if (cut) return;
    for (const [index, { name, input }] of (calls ?? []).entries()) {
      const call = { id: `call_${index}`, type: "function", function: { name, arguments: "" } };
      yield this.chunk(model, { tool_calls: [{ index, ...call }] });
      yield this.chunk(model, { tool_calls: [{ index, function: { arguments: JSON.stringify(input) } }] });
    }
    yield this.chunk(model, {}, calls ? "tool_calls" : "stop");
    const usage = { prompt_tokens: 15, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 5 } };
    yield this.frame({ id: "1", object: "chat.completion.chunk", model, choices: [], usage });
    yield "data: [DONE]\n\n";
  },
  error: () => ({ error: { message: "no", type: "server_error", param: null, code: null } }),
};

const server = createServer(async (request, response) => {
  if (request.url === "/counts") return response.end(JSON.stringify(counts));
  let text = "";
  for await (const piece of request) text += piece;
  const body = JSON.parse(text);
  const wire = request.url.includes("/messages") ? anthropic : openai;
  const said = read(body, wire === anthropic);
  counts.requests[said.text] = (counts.requests[said.text] ?? 0) + 1;
  const answer = answerTo(said);
  if (answer.status) {
    response.writeHead(answer.status, { "content-type": "application/json" });
    return response.end(JSON.stringify(wire.error(answer.status)));
  }
  response.on("close", () => response.writableFinished || answer.cut || counts.closed++);
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const frame of wire.frames(answer, body.model)) {
    if (response.destroyed) return;
    response.write(frame);
    await pause(answer.endless ? 20 : 1);
  }
  if (answer.cut) return response.destroy();
  response.end();
});

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
