// Anthropic's client for Node against the service.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { key, models, requestsFor, run, stopsTheVendor, url } from "./common.mjs";

const client = new Anthropic({ baseURL: url, apiKey: key });
const ask = (model, text) => ({
  model, max_tokens: 500, messages: [{ role: "user", content: `I need an API route with JWT: ${text}` }],
});
const input_schema = { type: "object", properties: { location: { type: "string" } }, required: ["location"] };
const tools = [{ name: "get_weather", description: "Tells the weather.", input_schema }];

const tests = {
  async creates(model) {
    const { data, response } = await client.messages.create(ask(model, "hello")).withResponse();
    assert.equal(data.content[0].text, "Hello from the vendor");
    assert.equal(data.stop_reason, "end_turn");
    assert.equal(data.usage.cache_read_input_tokens, 5);
    assert.equal(response.headers.get("x-rolecall-agent"), "nextjs-backend-engineer");
    assert.equal(data._request_id, response.headers.get("x-request-id"));
  },

  async streams(model) {
    const stream = client.messages.stream(ask(model, "hello"));
    let text = "";
    stream.on("text", (more) => (text += more));
    const final = await stream.finalMessage();
    assert.equal(text, "Hello from the vendor");
    assert.equal(final.content[0].text, text);
    assert.equal(final.usage.output_tokens, 7);
  },

  async showsThinking(model) {
    const thinking = { type: "enabled", budget_tokens: 1024 };
    const body = { ...ask(model, "think"), max_tokens: 2000, thinking };
    const final = await client.messages.stream(body).finalMessage();
    assert.deepEqual(final.content.map((block) => block.type), ["thinking", "text"]);
    assert.equal(final.content[0].thinking, "Let me see.");
    const messages = [...body.messages, { role: "assistant", content: final.content }, { role: "user", content: "hello" }];
    assert.equal((await client.messages.create({ ...body, messages })).content.at(-1).text, "Hello from the vendor");
  },

  async callsToolsInParallel(model) {
    const body = { ...ask(model, "weather"), tools };
    for (const message of [await client.messages.create(body), await client.messages.stream(body).finalMessage()]) {
      assert.deepEqual(message.content.map((block) => block.input.location), ["Oslo", "Lima"]);
      assert.equal(message.stop_reason, "tool_use");
      const results = message.content.map((call, index) => ({
        type: "tool_result", tool_use_id: call.id, content: `${[3, 19][index]} degrees`,
      }));
      const messages = [
        ...body.messages, { role: "assistant", content: message.content }, { role: "user", content: results },
      ];
      const answer = await client.messages.create({ ...body, messages });
      assert.equal(answer.content[0].text, "You said: 3 degrees and 19 degrees");
    }
  },

  async mapsErrors(model) {
    await assert.rejects(client.messages.create(ask("no-such-model", "x")), Anthropic.NotFoundError);
    const stranger = new Anthropic({ baseURL: url, apiKey: "rc_no_key" });
    await assert.rejects(stranger.messages.create(ask(model, "x")), (error) => {
      assert.ok(error instanceof Anthropic.AuthenticationError, error);
      assert.equal(error.error.error.type, "authentication_error");
      return true;
    });
    const before = await requestsFor("fail 429");
    await assert.rejects(client.messages.create(ask(model, "fail 429")), Anthropic.RateLimitError);
    assert.equal((await requestsFor("fail 429")) - before, 3);
    await assert.rejects(client.messages.stream(ask(model, "cut")).finalMessage(), Anthropic.APIError);
  },

  async cancels(model) {
    await stopsTheVendor(async () => {
      const stream = await client.messages.create({ ...ask(model, "endless"), stream: true });
      for await (const _ of stream) break;
    });
  },

  async countsAndLists(model) {
    const { input_tokens } = await client.messages.countTokens({ model, messages: ask(model, "hello").messages });
    assert.ok(input_tokens > 10);
    const ids = [];
    for await (const model of client.models.list({ limit: 2 })) ids.push(model.id);
    assert.ok(ids[0] === "auto" && ids.includes("nextjs-backend-engineer"), ids);
  },
};

await run("@anthropic-ai/sdk (Node)", tests, models);
