// A model vendor that streams in the words of Anthropic's Messages and of OpenAI's two protocols. What it answers
// depends on the last thing that was said; see `answerTo`. `GET /counts` tells what it has seen.

import { createServer } from "node:http";

const counts = { requests: {}, closed: 0 };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The input of Responses as messages: what was said, and a message for each result. */
function asMessages({ input }) {
  return input.map((item) =>
    item.type === "function_call_output" ? { role: "tool", content: item.output } : { ...item, content: item.content ?? "" },
  );
}

/** What was said last, in whatever words: texts, results of tools, how many images. */
function read(body, isAnthropic) {
  const parts = [];
  const messages = body.messages ?? asMessages(body);
  const last = messages.at(-1);
  // OpenAI has a message for each result.
  const group = isAnthropic ? [last] : messages.slice(messages.findLastIndex((m) => m.role !== "tool") + 1);
  const said = group.length > 0 ? group : [last];
  for (const message of said) {
    const content = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
    parts.push(...content.map((part) => (message.role === "tool" ? { ...part, type: "tool_result" } : part)));
  }
  const text = (part) => part.text ?? (typeof part.content === "string" ? part.content : JSON.stringify(part.content));
  return {
    results: parts.filter((part) => part.type === "tool_result").map(text),
    text: parts.filter((part) => part.type === "text" || part.type === "input_text").map(text).join(" "),
    images: parts.filter((part) => ["image", "image_url", "input_image"].includes(part.type)).length,
    tools: (body.tools ?? []).map((tool) => tool.name ?? tool.function.name),
    hasSchema: Boolean(body.output_config?.format ?? body.response_format ?? body.text?.format?.schema),
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

const responses = {
  frame: (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`,
  *item(output_index, item, events) {
    yield this.frame({ type: "response.output_item.added", output_index, item: { ...item, content: [], summary: [] } });
    for (const event of events) yield this.frame({ output_index, item_id: item.id, ...event });
    yield this.frame({ type: "response.output_item.done", output_index, item });
  },
  *frames({ thinking, texts, calls, cut, endless }, model) {
    const output = [];
    yield this.frame({ type: "response.created", response: { id: "resp_1", model, status: "in_progress", output } });
    if (thinking) {
      const summary = [{ type: "summary_text", text: thinking.join("") }];
      const events = thinking.map((delta) => ({ type: "response.reasoning_summary_text.delta", summary_index: 0, delta }));
      output.push({ type: "reasoning", id: "rs_1", summary, encrypted_content: "code" });
      yield* this.item(0, output[0], events);
    }
    const say = (delta) => ({ type: "response.output_text.delta", content_index: 0, delta });
    while (endless) yield this.frame({ output_index: 0, item_id: "msg_1", ...say("and on ") });
    if (cut) return yield this.frame({ output_index: 0, item_id: "msg_1", ...say(texts[0]) });
    if (texts) {
      const content = [{ type: "output_text", text: texts.join(""), annotations: [] }];
      output.push({ type: "message", id: "msg_1", role: "assistant", status: "completed", content });
      yield* this.item(output.length - 1, output.at(-1), texts.map(say));
    }
    for (const [index, { name, input }] of (calls ?? []).entries()) {
      const call = { type: "function_call", id: `fc_${index}`, call_id: `call_${index}`, name, status: "completed" };
      output.push({ ...call, arguments: JSON.stringify(input) });
      yield* this.item(output.length - 1, output.at(-1), []);
    }
    const usage = { input_tokens: 15, output_tokens: 7, input_tokens_details: { cached_tokens: 5 } };
    yield this.frame({ type: "response.completed", response: { id: "resp_1", model, status: "completed", output, usage } });
  },
  error: () => ({ error: { message: "no", type: "server_error", param: null, code: null } }),
};

const wireOf = (url) => (url.includes("/messages") ? anthropic : url.includes("/responses") ? responses : openai);

const server = createServer(async (request, response) => {
  if (request.url === "/counts") return response.end(JSON.stringify(counts));
  let text = "";
  for await (const piece of request) text += piece;
  const body = JSON.parse(text);
  const wire = wireOf(request.url);
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
