// LangChain's chat models against the service.

import assert from "node:assert/strict";
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { key, models, responsesModels, run, url } from "./common.mjs";

const say = (text) => [new HumanMessage(`I need an API route with JWT: ${text}`)];
const weather = { name: "get_weather", description: "Tells the weather.", schema: z.object({ location: z.string() }) };

const tests = (face) => ({
  async invokes(model) {
    const answer = await face(model).invoke(say("hello"));
    assert.deepEqual([answer.text, answer.usage_metadata.output_tokens], ["Hello from the vendor", 7]);
  },

  async streams(model) {
    let answer;
    for await (const chunk of await face(model).stream(say("hello"))) answer = answer ? answer.concat(chunk) : chunk;
    assert.equal(answer.text, "Hello from the vendor");
  },

  async usesTools(model) {
    const bound = face(model).bindTools([weather]);
    const messages = say("weather");
    const asked = await bound.invoke(messages);
    assert.deepEqual(asked.tool_calls.map((call) => call.args.location), ["Oslo", "Lima"]);
    const results = asked.tool_calls.map(
      (call, index) => new ToolMessage({ tool_call_id: call.id, content: `${[3, 19][index]} degrees` }),
    );
    const answer = await bound.invoke([...messages, asked, ...results]);
    assert.equal(answer.text, "You said: 3 degrees and 19 degrees");
  },

  async answersInASchema(model) {
    const structured = face(model).withStructuredOutput(z.object({ answer: z.string() }), { method: "jsonSchema" });
    assert.deepEqual(await structured.invoke(say("schema")), { answer: "yes" });
  },

  async failsWithTheStatus() {
    await assert.rejects(face("no-such-model").invoke(say("x")), (error) => error.status === 404);
  },
});

const openai = (model) =>
  new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: `${url}/v1` }, maxRetries: 0 });
const responses = (model) =>
  new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: `${url}/v1` }, maxRetries: 0, useResponsesApi: true });
const anthropic = (model) => new ChatAnthropic({ model, apiKey: key, anthropicApiUrl: url, maxRetries: 0, maxTokens: 500 });

await run("@langchain/openai", tests(openai), models);
await run("@langchain/openai, Responses", tests(responses), responsesModels);
await run("@langchain/anthropic", tests(anthropic), models);
