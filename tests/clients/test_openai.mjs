// OpenAI's client for Node against the service.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { key, models, requestsFor, run, stopsTheVendor, url } from "./common.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const completions = client.chat.completions;
const say = (text) => [{ role: "user", content: `I need an API route with JWT: ${text}` }];
const parameters = { type: "object", properties: { location: { type: "string" } }, required: ["location"] };
const tools = [{ type: "function", function: { name: "get_weather", description: "Tells the weather.", parameters } }];

const tests = {
  async creates(model) {
    const { data, response } = await completions.create({ model, messages: say("hello") }).withResponse();
    assert.equal(data.choices[0].message.content, "Hello from the vendor");
    assert.equal(response.headers.get("x-rolecall-agent"), "nextjs-backend-engineer");
    assert.equal(data._request_id, response.headers.get("x-request-id"));
  },

  async streams(model) {
    const stream = completions.stream({ model, messages: say("hello"), stream_options: { include_usage: true } });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    assert.equal(text, "Hello from the vendor");
    const final = await stream.finalChatCompletion();
    assert.deepEqual([final.choices[0].finish_reason, final.usage.total_tokens], ["stop", 22]);
  },

  async callsToolsInParallel(model) {
    const messages = say("weather");
    for (const final of [
      await completions.create({ model, messages, tools }),
      await completions.stream({ model, messages, tools }).finalChatCompletion(),
    ]) {
      const { message } = final.choices[0];
      const places = message.tool_calls.map((call) => JSON.parse(call.function.arguments).location);
      assert.deepEqual(places, ["Oslo", "Lima"]);
      const results = message.tool_calls.map((call, index) => ({
        role: "tool", tool_call_id: call.id, content: `${[3, 19][index]} degrees`,
      }));
      const answer = await completions.create({ model, messages: [...messages, message, ...results], tools });
      assert.equal(answer.choices[0].message.content, "You said: 3 degrees and 19 degrees");
    }
  },

  async answersInASchema(model) {
    const response_format = zodResponseFormat(z.object({ answer: z.string() }), "answer");
    const { choices } = await completions.parse({ model, messages: say("schema"), response_format });
    assert.deepEqual(choices[0].message.parsed, { answer: "yes" });
  },

  async mapsErrors(model) {
    const create = (text, more = {}) => completions.create({ model, messages: say(text), ...more });
    await assert.rejects(create("x", { model: "no-such-model" }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError && error.code === "model_not_found", error);
      return true;
    });
    await assert.rejects(create("x", { n: 2 }), OpenAI.BadRequestError);
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "rc_no_key" });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    const before = await requestsFor("fail 429");
    await assert.rejects(create("fail 429"), OpenAI.RateLimitError);
    assert.equal((await requestsFor("fail 429")) - before, 3);
    await assert.rejects(async () => {
      for await (const _ of await create("cut", { stream: true }));
    }, OpenAI.APIError);
  },

  async cancels(model) {
    await stopsTheVendor(async () => {
      const stream = await completions.create({ model, messages: say("endless"), stream: true });
      for await (const _ of stream) break;
    });
    await stopsTheVendor(async () => {
      const signal = AbortSignal.timeout(500);
      await assert.rejects(completions.create({ model, messages: say("endless") }, { signal }), OpenAI.APIUserAbortError);
    });
  },

  async listsModels() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids[0] === "auto" && ids.includes("nextjs-backend-engineer"), ids);
  },
};

await run("openai (Node)", tests, models);
