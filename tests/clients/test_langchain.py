"""LangChain's chat models for Python against the service."""

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from common import KEY, MODELS, RESPONSES_MODELS, URL, expect, raises


class Answer(BaseModel):
    """An answer."""

    answer: str


def get_weather(location: str) -> str:
    """Tells the weather."""


def say(text):
    return [HumanMessage(f"I need an API route with JWT: {text}")]


def invokes(chat):
    answer = chat.invoke(say("hello"))
    expect((answer.text, answer.usage_metadata["output_tokens"]) == ("Hello from the vendor", 7), answer)


def streams(chat):
    chunks = list(chat.stream(say("hello")))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    expect(whole.text == "Hello from the vendor" and len(chunks) > 2, chunks)


def uses_tools(chat):
    bound = chat.bind_tools([get_weather])
    messages = say("weather")
    asked = bound.invoke(messages)
    expect([call["args"]["location"] for call in asked.tool_calls] == ["Oslo", "Lima"], asked)
    results = [
        ToolMessage(f"{degrees} degrees", tool_call_id=call["id"])
        for call, degrees in zip(asked.tool_calls, ("3", "19"))
    ]
    answer = bound.invoke([*messages, asked, *results])
    expect(answer.text == "You said: 3 degrees and 19 degrees", answer)


def answers_in_a_schema(chat):
    answer = chat.with_structured_output(Answer, method="json_schema").invoke(say("schema"))
    expect(answer == Answer(answer="yes"), answer)


def chat_completions(model):
    return ChatOpenAI(model=model, api_key=KEY, base_url=f"{URL}/v1", max_retries=0, use_responses_api=False)


def responses(model):
    return ChatOpenAI(model=model, api_key=KEY, base_url=f"{URL}/v1", max_retries=0, use_responses_api=True)


def following_responses(model):
    return ChatOpenAI(
        model=model, api_key=KEY, base_url=f"{URL}/v1", max_retries=0, use_responses_api=True,
        use_previous_response_id=True,
    )  # fmt: skip


def messages(model):
    return ChatAnthropic(model=model, api_key=KEY, base_url=URL, max_retries=0, max_tokens=500)


FACES = [
    (chat_completions, MODELS, openai.NotFoundError),
    (responses, RESPONSES_MODELS, openai.NotFoundError),
    (following_responses, RESPONSES_MODELS, openai.NotFoundError),
    (messages, MODELS, anthropic.NotFoundError),
]
for face, models, not_found in FACES:
    for model in models:
        for test in (invokes, streams, uses_tools, answers_in_a_schema):
            test(face(model))
            print(f"ok  langchain (Python), {face.__name__}, {model}: {test.__name__}")
    raises(not_found, lambda face=face: face("no-such-model").invoke(say("x")))
