//! Bodies that nobody would send on purpose: the saved ones, and thousands made of them by small damage.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, app, helper};
use crate::support::{FakeProvider, Reply, TestApp, Wire};

const BODIES: u64 = 10_000;
const AT_ONCE: usize = 32;

/// No body takes so long: the vendor answers at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("is small") % sides
    }
}

/// Saved bodies of a face, with some damage.
fn damaged(corpus: &[Value], number: u64) -> Vec<u8> {
    let mut dice = Dice(number);
    let mut body = corpus[dice.roll(corpus.len())].clone();
    for _ in 0..dice.roll(4) {
        damage(&mut body, &mut dice);
    }
    let mut bytes = body.to_string().into_bytes();
    if dice.roll(5) == 0 {
        damage_bytes(&mut bytes, &mut dice);
    }
    bytes
}

/// Puts something else in the place of one value, somewhere below.
fn damage(value: &mut Value, dice: &mut Dice) {
    let goes_deeper = dice.roll(4) > 0;
    match value {
        Value::Object(members) if goes_deeper && !members.is_empty() => {
            let name = members.keys().nth(dice.roll(members.len())).expect("is there").clone();
            match dice.roll(8) {
                0 => drop(members.remove(&name)),
                1 => {
                    let member = members.remove(&name).unwrap_or_default();
                    members.insert(format!("{name}_"), member);
                }
                _ => damage(members.get_mut(&name).expect("is there"), dice),
            }
        }
        Value::Array(items) if goes_deeper && !items.is_empty() => {
            let place = dice.roll(items.len());
            match dice.roll(8) {
                0 => drop(items.remove(place)),
                1 => items.push(items[place].clone()),
                _ => damage(&mut items[place], dice),
            }
        }
        value => *value = odd(dice),
    }
}

fn odd(dice: &mut Dice) -> Value {
    let nested = || (0..200).fold(json!([]), |inner, _| json!([inner]));
    match dice.roll(16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(0),
        4 => json!(1.5),
        5 => json!(1e300),
        6 => json!(u64::MAX),
        7 => json!(""),
        8 => json!("\0\u{202e}𝄞"),
        9 => json!("x".repeat(20_000)),
        10 => json!([]),
        11 => json!({}),
        12 => json!([null, 1, "a", {}]),
        13 => json!({"type": "text", "text": 3}),
        14 => json!({"type": "of the future", "data": [1]}),
        _ => nested(),
    }
}

fn damage_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let place = dice.roll(bytes.len());
    match dice.roll(4) {
        0 => bytes.truncate(place),
        1 => bytes[place] = u8::try_from(dice.roll(256)).expect("is a byte"),
        2 => drop(bytes.remove(place)),
        _ => bytes.insert(place, 0xff),
    }
}

/// Sends all of them; what is wrong with the answers.
async fn send(
    app: &TestApp,
    path: &str,
    corpus: &str,
    is_error: fn(&Value) -> bool,
) -> Vec<String> {
    let corpus: Vec<Value> =
        corpus.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let corpus = corpus.as_slice();
    let sent = stream::iter(0..BODIES).map(|number| async move {
        let bytes = damaged(corpus, number);
        let request =
            app.admin.request(Method::POST, path).header("content-type", "application/json");
        let request = request.header("anthropic-version", "2023-06-01").body(bytes.clone());
        let answered = async {
            let response = request.send().await.expect("the service answers");
            (response.status().as_u16(), response.text().await.expect("has a body"))
        };
        let Ok((status, text)) = tokio::time::timeout(PATIENCE, answered).await else {
            return Some(format!("hangs: {}", String::from_utf8_lossy(&bytes)));
        };
        let is_right = match status {
            200 => true,
            400..500 | 502..=504 => serde_json::from_str(&text).is_ok_and(|body| is_error(&body)),
            _ => false,
        };
        (!is_right).then(|| format!("{status} {text}: {}", String::from_utf8_lossy(&bytes)))
    });
    sent.buffer_unordered(AT_ONCE).filter_map(async |wrong| wrong).collect().await
}

async fn survives(
    pool: PgPool,
    wire: Wire,
    path: &str,
    corpus: &str,
    is_error: fn(&Value) -> bool,
) {
    let provider = FakeProvider::start().await;
    provider.forgets();
    let folder = helper();
    let app = app(&pool, &provider, wire, &folder).start().await;
    provider.answers(move |_| Reply::events(&wire.frames("served", &["Yes."])));
    let wrong = send(&app, path, corpus, is_error).await;
    let shown: Vec<String> =
        wrong.iter().take(5).map(|wrong| wrong.chars().take(2_000).collect()).collect();
    assert!(wrong.is_empty(), "{} of {BODIES}:\n{}", wrong.len(), shown.join("\n"));
}

#[sqlx::test]
async fn damaged_chat_completions_end_in_an_answer_or_an_error(pool: PgPool) {
    let corpus = include_str!("../../fixtures/faces/chat.jsonl");
    let is_error =
        |body: &Value| body["error"]["message"].is_string() && body["error"]["type"].is_string();
    survives(pool, OPENAI, "/v1/chat/completions", corpus, is_error).await;
}

#[sqlx::test]
async fn damaged_messages_end_in_an_answer_or_an_error(pool: PgPool) {
    let corpus = include_str!("../../fixtures/faces/messages.jsonl");
    let is_error = |body: &Value| {
        body["type"] == "error"
            && body["error"]["type"].is_string()
            && body["error"]["message"].is_string()
    };
    survives(pool, ANTHROPIC, "/v1/messages", corpus, is_error).await;
}

#[sqlx::test]
async fn damaged_responses_end_in_an_answer_or_an_error(pool: PgPool) {
    let corpus = include_str!("../../fixtures/faces/responses.jsonl");
    let is_error =
        |body: &Value| body["error"]["message"].is_string() && body["error"]["type"].is_string();
    survives(pool, OPENAI, "/v1/responses", corpus, is_error).await;
}
