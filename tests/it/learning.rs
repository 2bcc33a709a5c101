//! What picks learn from corrections.

use std::sync::Arc;

use rolecall::definition::KnownWorld;
use rolecall::dispatch::{
    Correction, Corrections, Decision, DispatchRequest, Index, Outcome, ReasonKind, Settings,
    decide,
};
use rolecall::registry::{self, Agent, KnownOutcomes, Roster, scan_folder};
use uuid::Uuid;

use crate::support::shipped_agents;

/// Belongs to nobody that is shipped, and shares no word with any.
const ODD: &str = "the flux capacitor hums louder than the gramophone";

fn roster() -> Roster {
    let settings = registry::Settings {
        agents_dir: shipped_agents(),
        definition_bytes: 1024 * 1024,
        known_world: KnownWorld::default(),
    };
    Roster::of_files(&scan_folder(&settings, &KnownOutcomes::default()))
}

fn correction(number: u128, text: &str, agent: Option<&str>) -> Correction {
    Correction {
        id: Uuid::from_u128(number),
        text: text.to_owned(),
        agent: agent.map(str::to_owned),
    }
}

fn pick(index: &Index, input: &str) -> Decision {
    let request = DispatchRequest { input: input.to_owned(), ..DispatchRequest::default() };
    decide(index, &request, &Settings::default()).expect("nothing is named")
}

#[test]
fn a_correction_acts_at_once_and_says_so() {
    let roster = roster();
    let before = Index::build(&roster, &Corrections::default(), None);
    assert_eq!(pick(&before, ODD).outcome, Outcome::None);

    let corrections = Corrections::new(1, [correction(1, ODD, Some("data-analyst"))]);
    let after = Index::build(&roster, &corrections, Some(&before));
    let decision = pick(&after, ODD);
    assert_eq!(decision.agent.map(|agent| agent.name).as_deref(), Some("data-analyst"));
    let reasons = &decision.ranked[0].reasons;
    let learned = reasons.iter().find(|reason| reason.kind == ReasonKind::Feedback);
    // Who asked it may have been another caller.
    assert!(learned.is_some_and(|reason| !reason.text.contains("gramophone")), "{reasons:?}");
    let like_it = pick(&after, "why does our gramophone hum, is it the flux capacitor?");
    assert_eq!(like_it.ranked[0].agent, "data-analyst");

    let forgotten = Index::build(&roster, &Corrections::default(), Some(&after));
    assert_eq!(pick(&forgotten, ODD).ranked, pick(&before, ODD).ranked);
}

#[test]
fn what_was_found_to_be_nobodys_is_nobodys() {
    let roster = roster();
    let request = "review my essay on the French Revolution";
    let before = Index::build(&roster, &Corrections::default(), None);
    let confidence = pick(&before, request).confidence;
    let corrections = Corrections::new(1, [correction(1, request, None)]);
    let after = Index::build(&roster, &corrections, Some(&before));
    let decision = pick(&after, request);
    assert_eq!(decision.outcome, Outcome::None);
    assert!(decision.confidence < confidence, "{} is no less", decision.confidence);
    // Other requests hardly notice.
    let other = "I need to create an API route that handles user login with JWT tokens";
    assert_eq!(pick(&after, other).outcome, Outcome::Picked);
}

#[test]
fn the_fit_is_measured_and_no_worse_with_what_was_learned() {
    let roster = roster();
    let cases = include_str!("../fixtures/dispatch/cases.jsonl");
    let corrections = cases.lines().zip(1..).filter_map(|(line, number)| {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case is JSON");
        let agent = case["agent"].as_str()?;
        Some(correction(number, case["input"].as_str()?, Some(agent)))
    });
    let corrections = Corrections::new(1, corrections.collect::<Vec<_>>());
    let usual = Index::build_and_fit(&roster, &Corrections::default());
    let fitted = Index::build_and_fit(&roster, &corrections);
    let share = |index: &Index| {
        let accuracy = index.fit().accuracy.expect("there are requests enough to fit to");
        f64::from(accuracy.right) / f64::from(accuracy.cases)
    };
    assert!(share(&fitted) >= share(&usual), "{} < {}", share(&fitted), share(&usual));
}

#[test]
fn what_says_nothing_is_not_taken_for_something_learned() {
    let mut roster = roster();
    let agents: Vec<String> = roster.agents.keys().map(ToString::to_string).collect();
    let cases = include_str!("../fixtures/dispatch/shipped-roster.jsonl");
    // Dealt out in turn, requests say nothing of where one that is held out belongs.
    let dealt = cases.lines().zip(agents.iter().cycle()).zip(1..).map(|((line, agent), number)| {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case is JSON");
        correction(number, case["input"].as_str().expect("has an input"), Some(agent))
    });
    let corrections = Corrections::new(1, dealt.collect::<Vec<_>>());
    for agent in roster.agents.values_mut() {
        let mut definition = agent.definition.as_ref().clone();
        (definition.summary, definition.prompt) = ("Use it for work.".to_owned(), String::new());
        definition.examples.clear();
        *agent = Arc::new(Agent { definition: Arc::new(definition), ..Agent::clone(agent) });
    }
    let accuracy = Index::build_and_fit(&roster, &corrections).fit().accuracy.expect("is fitted");
    assert!(accuracy.right * 4 < accuracy.cases, "{accuracy:?}");
}
