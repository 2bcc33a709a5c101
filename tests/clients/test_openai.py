"""OpenAI's client for Python against the service."""

import asyncio
import json

import openai
from pydantic import BaseModel

from common import KEY, MODELS, URL, expect, raises, requests_for, stops_the_vendor

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}


class Answer(BaseModel):
    answer: str


def say(text):
    return [{"role": "user", "content": f"I need an API route with JWT: {text}"}]


def creates(model):
    raw = client.chat.completions.with_raw_response.create(model=model, messages=say("hello"))
    completion = raw.parse()
    expect(completion.choices[0].message.content == "Hello from the vendor", completion)
    expect(completion.choices[0].finish_reason == "stop", completion)
    expect((completion.usage.prompt_tokens, completion.usage.prompt_tokens_details.cached_tokens) == (15, 5), completion)
    expect(raw.headers["x-rolecall-agent"] == "nextjs-backend-engineer", raw.headers)
    expect(completion._request_id == raw.headers["x-request-id"], completion)


def streams(model):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=say("hello"), stream=True, stream_options=options))
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    expect("".join(texts) == "Hello from the vendor" and len(texts) > 3, texts)
    expect(chunks[-1].usage.total_tokens == 22 and not chunks[-1].choices, chunks[-1])
    with client.chat.completions.stream(model=model, messages=say("hello")) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    expect(final.choices[0].message.content == "Hello from the vendor", final)


def calls_tools_in_parallel(model):
    messages = say("weather")
    for is_streamed in (False, True):
        if is_streamed:
            with client.chat.completions.stream(model=model, messages=messages, tools=[WEATHER]) as stream:
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0].message
        places = [json.loads(call.function.arguments)["location"] for call in message.tool_calls]
        expect(places == ["Oslo", "Lima"], message)
        fields = {"role", "content", "tool_calls"}
        history = [*messages, message.model_dump(include=fields)]
        for call, degrees in zip(message.tool_calls, ("3", "19")):
            history.append({"role": "tool", "tool_call_id": call.id, "content": f"{degrees} degrees"})
        answer = client.chat.completions.create(model=model, messages=history, tools=[WEATHER])
        expect(answer.choices[0].message.content == "You said: 3 degrees and 19 degrees", answer)


def answers_in_a_schema(model):
    parsed = client.chat.completions.parse(model=model, messages=say("schema"), response_format=Answer)
    expect(parsed.choices[0].message.parsed == Answer(answer="yes"), parsed)


def sends_images(model):
    url = {"url": "data:image/png;base64,iVBORw0KGgo="}
    content = [{"type": "text", "text": "an API route for a picture"}, {"type": "image_url", "image_url": url}]
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    expect(answer.choices[0].message.content == "I see 1", answer)


def maps_errors(model):
    def create(text="hello", **more):
        return client.chat.completions.create(**{"model": model, "messages": say(text), **more})

    error = raises(openai.NotFoundError, lambda: create(model="no-such-model"))
    expect((error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error"), error)
    raises(openai.BadRequestError, lambda: create(n=2))
    stranger = client.with_options(api_key="rc_no_key")
    raises(openai.AuthenticationError, lambda: stranger.chat.completions.create(model=model, messages=say("x")))
    raises(openai.BadRequestError, lambda: create("fail 400"))
    # The service has tried three times; the client does not try again.
    for status, kind in ((429, openai.RateLimitError), (500, openai.InternalServerError)):
        before = requests_for(f"fail {status}")
        raises(kind, lambda status=status: create(f"fail {status}"))
        expect(requests_for(f"fail {status}") - before == 3, "three requests")
    raises(openai.APIError, lambda: list(create("cut", stream=True)))


def cancels(model):
    def leave():
        stream = client.chat.completions.create(model=model, messages=say("endless"), stream=True)
        for _, _ in zip(range(3), stream):
            pass
        stream.close()

    stops_the_vendor(leave)
    impatient = client.with_options(timeout=0.5, max_retries=0).chat.completions
    stops_the_vendor(
        lambda: raises(openai.APITimeoutError, lambda: impatient.create(model=model, messages=say("endless")))
    )


def works_asynchronously(model):
    async def create():
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY) as client:
            asked = [client.chat.completions.create(model=model, messages=say("hello")) for _ in range(8)]
            return await asyncio.gather(*asked)

    answers = asyncio.run(create())
    expect(len({answer.id for answer in answers}) == 8, answers)


def lists_models(_):
    ids = [model.id for model in client.models.list()]
    expect(ids[0] == "auto" and "nextjs-backend-engineer" in ids, ids)
    expect(client.models.retrieve("nextjs-backend-engineer").owned_by == "rolecall", ids)
    raises(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))


TESTS = [
    creates, streams, calls_tools_in_parallel, answers_in_a_schema, sends_images, maps_errors, cancels,
    works_asynchronously, lists_models,
]  # fmt: skip

for model in MODELS:
    for test in TESTS:
        test(model)
        print(f"ok  openai (Python), {model}: {test.__name__}")
