"""Anthropic's client for Python against the service."""

import anthropic

from common import KEY, MODELS, URL, expect, raises, requests_for, stops_the_vendor

client = anthropic.Anthropic(base_url=URL, api_key=KEY)
WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def ask(model, text, **more):
    messages = [{"role": "user", "content": f"I need an API route with JWT: {text}"}]
    return {"model": model, "max_tokens": 500, "messages": messages, **more}


def creates(model):
    raw = client.messages.with_raw_response.create(**ask(model, "hello"))
    message = raw.parse()
    expect(message.content[0].text == "Hello from the vendor" and message.stop_reason == "end_turn", message)
    expect((message.usage.input_tokens, message.usage.cache_read_input_tokens) == (10, 5), message)
    expect(raw.headers["x-rolecall-agent"] == "nextjs-backend-engineer", raw.headers)
    expect(message._request_id == raw.headers["x-request-id"], message)


def takes_a_bearer(model):
    bearer = anthropic.Anthropic(base_url=URL, api_key=None, auth_token=KEY)
    expect(bearer.messages.create(**ask(model, "hello")).role == "assistant", "an answer")


def streams(model):
    with client.messages.stream(**ask(model, "hello", system=[{"type": "text", "text": "Be brief."}])) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    expect(text == final.content[0].text == "Hello from the vendor", final)
    expect(final.usage.output_tokens == 7, final)


def shows_thinking(model):
    with client.messages.stream(
        **ask(model, "think", thinking={"type": "enabled", "budget_tokens": 1024}) | {"max_tokens": 2000}
    ) as stream:
        final = stream.get_final_message()
    expect([block.type for block in final.content] == ["thinking", "text"], final)
    expect(final.content[0].thinking == "Let me see.", final)


def calls_tools_in_parallel(model):
    body = ask(model, "weather", tools=[WEATHER])
    with client.messages.stream(**body) as stream:
        streamed = stream.get_final_message()
    for message in (client.messages.create(**body), streamed):
        expect([block.input["location"] for block in message.content] == ["Oslo", "Lima"], message)
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"{degrees} degrees"}
            for block, degrees in zip(message.content, (3, 19))
        ]
        history = [
            *body["messages"],
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": results},
        ]
        answer = client.messages.create(**body | {"messages": history})
        expect(answer.content[0].text == "You said: 3 degrees and 19 degrees", answer)


def answers_in_a_schema(model):
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    answer = client.messages.create(**ask(model, "schema", output_config=config))
    expect(answer.content[0].text == '{"answer": "yes"}', answer)


def sends_images(model):
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "text", "text": "an API route for a picture"}, {"type": "image", "source": source}]
    answer = client.messages.create(**ask(model, "") | {"messages": [{"role": "user", "content": content}]})
    expect(answer.content[0].text == "I see 1", answer)


def maps_errors(model):
    raises(anthropic.NotFoundError, lambda: client.messages.create(**ask("no-such-model", "x")))
    stranger = client.with_options(api_key="rc_no_key")
    error = raises(anthropic.AuthenticationError, lambda: stranger.messages.create(**ask(model, "x")))
    expect(error.body["error"]["type"] == "authentication_error" and error.request_id, error.body)
    no_limit = {"model": model, "messages": ask(model, "x")["messages"]}
    raises(anthropic.BadRequestError, lambda: client.post("/v1/messages", body=no_limit, cast_to=object))
    # The service has tried three times; the client does not try again.
    for status, kind in ((429, anthropic.RateLimitError), (500, anthropic.InternalServerError)):
        before = requests_for(f"fail {status}")
        raises(kind, lambda status=status: client.messages.create(**ask(model, f"fail {status}")))
        expect(requests_for(f"fail {status}") - before == 3, "three requests")

    def cut():
        with client.messages.stream(**ask(model, "cut")) as stream:
            stream.get_final_message()

    raises(anthropic.APIError, cut)


def cancels(model):
    def leave():
        with client.messages.stream(**ask(model, "endless")) as stream:
            for _, _ in zip(range(3), stream):
                pass

    stops_the_vendor(leave)


def counts_and_lists(model):
    counted = client.messages.count_tokens(model=model, messages=ask(model, "hello")["messages"])
    expect(counted.input_tokens > 10, counted)
    ids = [listed.id for listed in client.models.list(limit=2)]
    expect(ids[0] == "auto" and "nextjs-backend-engineer" in ids, ids)
    expect(client.models.retrieve("auto").type == "model", ids)


TESTS = [
    creates, takes_a_bearer, streams, shows_thinking, calls_tools_in_parallel, answers_in_a_schema, sends_images,
    maps_errors, cancels, counts_and_lists,
]  # fmt: skip

for model in MODELS:
    for test in TESTS:
        test(model)
        print(f"ok  anthropic (Python), {model}: {test.__name__}")
