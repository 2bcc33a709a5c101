//! What is asked, and in which words.

/// One kind of request. The provider learns from the model's name how many chunks to write, and how fast.
pub(crate) struct Case {
    pub title: &'static str,
    pub path: &'static str,
    /// The agent that the service is asked for, whose model is `model`.
    pub agent: &'static str,
    pub model: &'static str,
    pub prompt_bytes: usize,
    pub is_streamed: bool,
    pub requests: u32,
}

/// A way of a stream, with a short and a long one whose difference is the cost of a chunk.
pub(crate) struct Path {
    pub title: &'static str,
    pub short: Case,
    pub long: Case,
}

const SHORT: u32 = 10;
const LONG: u32 = 1_000;

/// By how many chunks a long stream is longer than a short one.
pub(crate) const CHUNKS_BETWEEN: u32 = LONG - SHORT;

const CHAT: &str = "/v1/chat/completions";
const RUNS: &str = "/v1/runs";

const fn whole(
    title: &'static str,
    path: &'static str,
    prompt_bytes: usize,
    requests: u32,
) -> Case {
    let (agent, model) = ("whole", "fast-1");
    Case { title, path, agent, model, prompt_bytes, is_streamed: false, requests }
}

const fn streamed(
    title: &'static str,
    path: &'static str,
    (agent, model): (&'static str, &'static str),
    requests: u32,
) -> Case {
    Case { title, path, agent, model, prompt_bytes: 1_000, is_streamed: true, requests }
}

pub(crate) static CASES: [Case; 6] = [
    whole("1 KB chat, answered by JSON", CHAT, 1_000, 4_000),
    whole("50 KB chat, answered by JSON", CHAT, 50_000, 2_000),
    whole("1 KB native run, answered by JSON", RUNS, 1_000, 2_000),
    streamed("stream of 10 chunks, same protocol", CHAT, ("short", "paced-10"), 1_000),
    streamed("stream of 10 chunks, translated", CHAT, ("short-translated", "paced-10"), 1_000),
    streamed("stream of 10 chunks, native", RUNS, ("short", "paced-10"), 1_000),
];

pub(crate) static PATHS: [Path; 3] = [
    Path {
        title: "a chunk, same protocol",
        short: streamed("", CHAT, ("short", "paced-10"), 200),
        long: streamed("", CHAT, ("long", "paced-1000"), 40),
    },
    Path {
        title: "a chunk, translated",
        short: streamed("", CHAT, ("short-translated", "paced-10"), 200),
        long: streamed("", CHAT, ("long-translated", "paced-1000"), 40),
    },
    Path {
        title: "a chunk, native",
        short: streamed("", RUNS, ("short", "paced-10"), 200),
        long: streamed("", RUNS, ("long", "paced-1000"), 40),
    },
];

/// A stream that is under way long enough to look at the memory.
pub(crate) static HELD: Case = streamed("", CHAT, ("long", "paced-1000"), 64);

/// The agents, each with its provider and model.
pub(crate) const AGENTS: [(&str, &str); 5] = [
    ("whole", "openai/fast-1"),
    ("short", "openai/paced-10"),
    ("short-translated", "anthropic/paced-10"),
    ("long", "openai/paced-1000"),
    ("long-translated", "anthropic/paced-1000"),
];
