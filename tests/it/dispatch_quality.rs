//! How well the shipped roster is picked from, over requests that were written without a look at its files.

use rolecall::definition::KnownWorld;
use rolecall::dispatch::{Corrections, DispatchRequest, Index, Outcome, Settings, decide};
use rolecall::registry::{self, KnownOutcomes, Roster, scan_folder};

use crate::support::shipped_agents;

fn index() -> Index {
    let settings = registry::Settings {
        agents_dir: shipped_agents(),
        definition_bytes: 1024 * 1024,
        known_world: KnownWorld::default(),
    };
    let roster = Roster::of_files(&scan_folder(&settings, &KnownOutcomes::default()));
    Index::build(&roster, &Corrections::default(), None)
}

fn pick(index: &Index, input: &str) -> (Outcome, Option<String>) {
    let request = DispatchRequest { input: input.to_owned(), ..DispatchRequest::default() };
    let decision = decide(index, &request, &Settings::default()).expect("nothing is named");
    (decision.outcome, decision.ranked.first().map(|first| first.agent.clone()))
}

#[test]
fn paraphrases_of_one_request_find_one_agent() {
    let index = index();
    for input in [
        "I need to create an API route that handles user login with JWT tokens",
        "Build me a login endpoint in Next.js that returns a JSON web token",
        "Write a route handler for signing users in and issuing a JWT",
        "users should be able to sign in through an API route; use JWT",
        "a POST handler that takes email and password and gives back a signed token",
        "I want an endpoint where users can log in and receive a JWT",
        "Can you help me create a server action that processes form data and updates the database?",
        "Please set up a server action to validate a submitted form and save it to the database",
        "make a server action to process form input and store the result in our DB",
        "How do I handle a form submission on the server and write it to Postgres in the app router?",
    ] {
        let (outcome, first) = pick(&index, input);
        assert_eq!(
            (outcome, first.as_deref()),
            (Outcome::Picked, Some("nextjs-backend-engineer")),
            "{input}"
        );
    }
}

#[test]
fn styling_is_not_backend_work() {
    let (outcome, first) = pick(&index(), "centre this div with Tailwind and fix the hover colour");
    assert_eq!((outcome, first.as_deref()), (Outcome::Picked, Some("nextjs-frontend-engineer")));
}

#[test]
fn the_shipped_roster_is_picked_from_well_enough() {
    let index = index();
    let cases = include_str!("../fixtures/dispatch/cases.jsonl");
    let (mut asked, mut right, mut kept, mut strangers, mut rejected) = (0, 0, 0, 0, 0);
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case is JSON");
        let (outcome, first) = pick(&index, case["input"].as_str().expect("has an input"));
        if let Some(agent) = case["agent"].as_str() {
            asked += 1;
            right += u32::from(first.as_deref() == Some(agent));
            kept += u32::from(outcome != Outcome::None);
        } else {
            strangers += 1;
            rejected += u32::from(outcome == Outcome::None);
        }
    }
    println!(
        "right {right}/{asked}, kept {kept}/{asked}, strangers rejected {rejected}/{strangers}"
    );
    assert!(right * 100 >= asked * 75, "right: {right} of {asked}");
    assert!(kept * 100 >= asked * 93, "kept: {kept} of {asked}");
    assert!(rejected * 100 >= strangers * 90, "rejected: {rejected} of {strangers}");
}
