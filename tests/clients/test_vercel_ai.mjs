// The Vercel AI SDK against the service, over both of its providers' protocols.

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { key, models, requestsFor, responsesModels, run, stopsTheVendor, url } from "./common.mjs";

// It warns of models that it does not know.
globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: key });
const prompt = (text) => `I need an API route with JWT: ${text}`;
const degrees = { Oslo: 3, Lima: 19 };
const tools = {
  get_weather: tool({
    description: "Tells the weather.",
    inputSchema: z.object({ location: z.string() }),
    execute: ({ location }) => `${degrees[location]} degrees`,
  }),
};

const tests = (face) => ({
  async generates(model) {
    const { text, usage, finishReason } = await generateText({ model: face(model), prompt: prompt("hello") });
    assert.deepEqual([text, finishReason, usage.outputTokens], ["Hello from the vendor", "stop", 7]);
  },

  async streams(model) {
    const { textStream, finishReason } = streamText({ model: face(model), prompt: prompt("hello") });
    let text = "";
    for await (const more of textStream) text += more;
    assert.deepEqual([text, await finishReason], ["Hello from the vendor", "stop"]);
  },

  async usesTools(model) {
    const options = { model: face(model), prompt: prompt("weather"), tools, stopWhen: stepCountIs(3) };
    const generated = await generateText(options);
    const streamed = streamText(options);
    for (const text of [generated.text, await streamed.text]) assert.equal(text, "You said: 3 degrees and 19 degrees");
  },

  async answersInASchema(model) {
    const output = Output.object({ schema: z.object({ answer: z.string() }) });
    const answer = await generateText({ model: face(model), prompt: prompt("schema"), output });
    assert.deepEqual(answer.output, { answer: "yes" });
  },

  async mapsErrors(model) {
    await assert.rejects(generateText({ model: face("no-such-model"), prompt: "x" }), (error) => {
      assert.ok(APICallError.isInstance(error) && error.statusCode === 404, error);
      return true;
    });
    // This client heeds no `x-should-retry`; where it is told not to try again, the service alone has.
    const before = await requestsFor("fail 500");
    await assert.rejects(generateText({ model: face(model), prompt: prompt("fail 500"), maxRetries: 0 }));
    assert.equal((await requestsFor("fail 500")) - before, 3);
  },

  async cancels(model) {
    await stopsTheVendor(async () => {
      const abortSignal = AbortSignal.timeout(500);
      const { textStream } = streamText({ model: face(model), prompt: prompt("endless"), abortSignal });
      for await (const _ of textStream);
    });
  },
});

await run("ai with @ai-sdk/openai", tests((model) => openai.chat(model)), models);
await run("ai with @ai-sdk/openai, Responses", tests((model) => openai.responses(model)), responsesModels);
await run("ai with @ai-sdk/anthropic", tests((model) => anthropic(model)), models);
