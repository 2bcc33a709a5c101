// OpenAI's client for Node against the service, in the words of Responses.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { key, requestsFor, responsesModels, run, stopsTheVendor, url } from "./common.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const say = (text) => `I need an API route with JWT: ${text}`;
const weather = {
  type: "function",
  name: "get_weather",
  description: "Tells the weather.",
  parameters: { type: "object", properties: { location: { type: "string" } }, required: ["location"] },
  strict: false,
};

const tests = {
  async creates(model) {
    const { data, response } = await client.responses.create({ model, input: say("hello") }).withResponse();
    assert.deepEqual([data.output_text, data.status, data.usage.total_tokens], ["Hello from the vendor", "completed", 22]);
    assert.equal(response.headers.get("x-rolecall-agent"), "nextjs-backend-engineer");
  },

  async streams(model) {
    const stream = client.responses.stream({ model, input: say("hello") });
    let text = "";
    stream.on("response.output_text.delta", ({ delta }) => (text += delta));
    const final = await stream.finalResponse();
    assert.deepEqual([text, final.output_text], ["Hello from the vendor", "Hello from the vendor"]);
  },

  async followsAnother(model) {
    const first = await client.responses.create({ model, input: say("hello") });
    const second = await client.responses.create({ model, input: "go on", previous_response_id: first.id });
    assert.deepEqual([second.previous_response_id, second.rolecall.agent], [first.id, "nextjs-backend-engineer"]);
  },

  async callsToolsInParallel(model) {
    const asked = { model, input: say("weather"), tools: [weather] };
    const first = await client.responses.create(asked);
    const calls = first.output.filter((item) => item.type === "function_call");
    assert.deepEqual(calls.map((call) => JSON.parse(call.arguments).location), ["Oslo", "Lima"]);
    const input = calls.map(({ call_id }, index) => (
      { type: "function_call_output", call_id, output: `${[3, 19][index]} degrees` }
    ));
    const answer = await client.responses.create({ ...asked, input, previous_response_id: first.id });
    assert.equal(answer.output_text, "You said: 3 degrees and 19 degrees");
  },

  async answersInASchema(model) {
    const format = zodTextFormat(z.object({ answer: z.string() }), "answer");
    const parsed = await client.responses.parse({ model, input: say("schema"), text: { format } });
    assert.deepEqual(parsed.output_parsed, { answer: "yes" });
  },

  async worksInTheBackground(model) {
    const begun = await client.responses.create({ model, input: say("hello"), background: true });
    const events = [];
    for await (const event of await client.responses.retrieve(begun.id, { stream: true })) events.push(event.type);
    assert.equal(events.at(-1), "response.completed");
    const endless = await client.responses.create({ model, input: say("endless"), background: true });
    await stopsTheVendor(() => client.responses.cancel(endless.id));
    assert.equal((await client.responses.retrieve(endless.id)).status, "cancelled");
    await client.responses.delete(begun.id);
    await assert.rejects(client.responses.retrieve(begun.id), OpenAI.NotFoundError);
  },

  async mapsErrors(model) {
    const create = (text, more) => client.responses.create({ model, input: say(text), ...more });
    await assert.rejects(create("hello", { model: "no-such-model" }), OpenAI.NotFoundError);
    await assert.rejects(create("fail 400"), OpenAI.BadRequestError);
    for (const [status, kind] of [[429, OpenAI.RateLimitError], [500, OpenAI.InternalServerError]]) {
      const before = await requestsFor(`fail ${status}`);
      await assert.rejects(create(`fail ${status}`), kind);
      assert.equal((await requestsFor(`fail ${status}`)) - before, 3);
    }
    await assert.rejects(async () => {
      for await (const _ of await create("cut", { stream: true }));
    }, OpenAI.APIError);
  },

  async cancels(model) {
    await stopsTheVendor(async () => {
      let count = 0;
      for await (const _ of await client.responses.create({ model, input: say("endless"), stream: true })) {
        if (++count > 5) break;
      }
    });
  },
};

await run("openai (Node), Responses", tests, responsesModels);
