"""OpenAI's client for Python against the service, in the words of Responses."""

import json
import time

import openai
from pydantic import BaseModel

from common import KEY, RESPONSES_MODELS, URL, expect, raises, requests_for, stops_the_vendor

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    "strict": False,
}


class Answer(BaseModel):
    answer: str


def say(text):
    return f"I need an API route with JWT: {text}"


def creates(model):
    raw = client.responses.with_raw_response.create(model=model, input=say("hello"))
    response = raw.parse()
    expect((response.output_text, response.status) == ("Hello from the vendor", "completed"), response)
    expect((response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (15, 5), response)
    expect(raw.headers["x-rolecall-agent"] == "nextjs-backend-engineer", raw.headers)
    expect(response._request_id == raw.headers["x-request-id"], response)


def streams(model):
    events = list(client.responses.create(model=model, input=say("hello"), stream=True))
    texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    expect("".join(texts) == "Hello from the vendor" and len(texts) > 2, texts)
    expect([event.sequence_number for event in events] == list(range(len(events))), events)
    with client.responses.stream(model=model, input=say("hello")) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    expect(final.output_text == "Hello from the vendor" and final.usage.total_tokens == 22, final)


def follows_another(model):
    first = client.responses.create(model=model, input=say("hello"))
    second = client.responses.create(model=model, input="yes, do that", previous_response_id=first.id)
    expect(second.previous_response_id == first.id, second)
    expect(second.rolecall["agent"] == first.rolecall["agent"] == "nextjs-backend-engineer", second)
    expect(second.usage.input_tokens == 15, second)
    error = raises(
        openai.BadRequestError,
        lambda: client.responses.create(model=model, input="x", previous_response_id="resp_none"),
    )
    expect((error.code, error.param) == ("previous_response_not_found", "previous_response_id"), error)


def calls_tools_in_parallel(model):
    for is_stored in (True, False):
        for is_streamed in (False, True):
            asked = {"model": model, "input": say("weather"), "tools": [WEATHER], "store": is_stored}
            if is_streamed:
                with client.responses.stream(**asked) as stream:
                    response = stream.get_final_response()
            else:
                response = client.responses.create(**asked)
            calls = [item for item in response.output if item.type == "function_call"]
            places = [json.loads(call.arguments)["location"] for call in calls]
            expect(places == ["Oslo", "Lima"], response)
            results = [
                {"type": "function_call_output", "call_id": call.call_id, "output": f"{degrees} degrees"}
                for call, degrees in zip(calls, ("3", "19"))
            ]
            if is_stored:
                more = {"input": results, "previous_response_id": response.id}
            else:
                said = [item.model_dump(exclude_none=True) for item in response.output]
                more = {"input": [{"role": "user", "content": say("weather")}, *said, *results]}
            answer = client.responses.create(**{**asked, **more})
            expect(answer.output_text == "You said: 3 degrees and 19 degrees", answer)


def answers_in_a_schema(model):
    parsed = client.responses.parse(model=model, input=say("schema"), text_format=Answer)
    expect(parsed.output_parsed == Answer(answer="yes"), parsed)


def sends_images(model):
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}
    content = [{"type": "input_text", "text": "an API route for a picture"}, image]
    answer = client.responses.create(model=model, input=[{"role": "user", "content": content}])
    expect(answer.output_text == "I see 1", answer)


def thinks(model):
    events = list(client.responses.create(model=model, input=say("think"), stream=True))
    thought = "".join(event.delta for event in events if event.type == "response.reasoning_summary_text.delta")
    expect(thought == "Let me see.", thought)
    output = events[-1].response.output
    expect([item.type for item in output] == ["reasoning", "message"], output)
    expect(output[0].summary[0].text == "Let me see.", output)


def finds_and_deletes(model):
    made = client.responses.create(model=model, input=say("hello"), metadata={"ticket": "7"})
    found = client.responses.retrieve(made.id)
    expect((found.output_text, found.metadata) == ("Hello from the vendor", {"ticket": "7"}), found)
    items = list(client.responses.input_items.list(made.id))
    expect(items[0].content[0].text == say("hello"), items)
    client.responses.delete(made.id)
    raises(openai.NotFoundError, lambda: client.responses.retrieve(made.id))


def works_in_the_background(model):
    begun = client.responses.create(model=model, input=say("hello"), background=True)
    expect(begun.status in ("queued", "in_progress"), begun)
    for _ in range(100):
        found = client.responses.retrieve(begun.id)
        if found.status == "completed":
            break
        time.sleep(0.05)
    expect(found.output_text == "Hello from the vendor", found)
    events = list(client.responses.retrieve(begun.id, stream=True, starting_after=3))
    expect(events[0].sequence_number == 4 and events[-1].type == "response.completed", events)
    endless = client.responses.create(model=model, input=say("endless"), background=True)
    stops_the_vendor(lambda: client.responses.cancel(endless.id))
    expect(client.responses.retrieve(endless.id).status == "cancelled", endless)


def maps_errors(model):
    def create(text="hello", **more):
        return client.responses.create(**{"model": model, "input": say(text), **more})

    error = raises(openai.NotFoundError, lambda: create(model="no-such-model"))
    expect((error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error"), error)
    raises(openai.BadRequestError, lambda: create(max_output_tokens=0))
    stranger = client.with_options(api_key="rc_no_key")
    raises(openai.AuthenticationError, lambda: stranger.responses.create(model=model, input="x"))
    raises(openai.BadRequestError, lambda: create("fail 400"))
    # The service has tried three times; the client does not try again.
    for status, kind in ((429, openai.RateLimitError), (500, openai.InternalServerError)):
        before = requests_for(f"fail {status}")
        raises(kind, lambda status=status: create(f"fail {status}"))
        expect(requests_for(f"fail {status}") - before == 3, "three requests")
    raises(openai.APIError, lambda: list(create("cut", stream=True)))


def cancels(model):
    def leave():
        stream = client.responses.create(model=model, input=say("endless"), stream=True)
        for _, _ in zip(range(6), stream):
            pass
        stream.close()

    stops_the_vendor(leave)


TESTS = [
    creates, streams, follows_another, calls_tools_in_parallel, answers_in_a_schema, sends_images, thinks,
    finds_and_deletes, works_in_the_background, maps_errors, cancels,
]  # fmt: skip

for model in RESPONSES_MODELS:
    for test in TESTS:
        test(model)
        print(f"ok  openai (Python), Responses, {model}: {test.__name__}")
