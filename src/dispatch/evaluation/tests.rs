//! Evaluations of tiny rosters.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::replay::Feedback;
use super::report::ShortDecision;
use super::{Asked, Decided, EvaluationReport, Subject, evaluate};
use crate::dispatch::{Case, Correction, Corrections, Index, Outcome};
use crate::ledger::DecidedRequest;
use crate::registry::Roster;

/// A request that the words of one agent's description fit.
const PAINT: &str = "paint the ceiling of the kitchen blue";

/// A roster with its index and what it has learned.
struct Shop {
    roster: Roster,
    corrections: Corrections,
    index: Index,
}

impl Shop {
    /// Agents by name, description and example.
    fn of(agents: &[(&str, &str, Option<&str>)], corrections: Vec<Correction>) -> Self {
        let roster = Roster::of_sources(agents.iter().map(|(name, description, example)| {
            let example = example.map_or_else(String::new, |user| {
                format!(" <example>user: \"{user}\"\\nassistant: \"Yes.\"</example>")
            });
            format!(
                "---\nname: {name}\ndescription: |\n  {description}{}\n---\nBe brief.\n",
                example.replace("\\n", "\n  ")
            )
        }));
        let corrections = Corrections::new(1, corrections);
        let index = Index::build(&roster, &corrections, None);
        Self { roster, corrections, index }
    }

    fn subject(&self) -> Subject<'_> {
        Subject { roster: &self.roster, corrections: &self.corrections, index: &self.index }
    }

    fn ask(&self, asked: &Asked) -> EvaluationReport {
        self.ask_beside(None, asked)
    }

    fn ask_beside(&self, live: Option<&Shop>, asked: &Asked) -> EvaluationReport {
        let live = live.map(Shop::subject);
        let mut goes_on = |_| ControlFlow::Continue(());
        evaluate(self.subject(), live, asked, 100, &mut goes_on).expect("nothing ends it")
    }
}

const PAINTER: &str = "Use when walls or ceilings of a room are to be painted in a colour.";
const BAKER: &str = "Use when bread or cake is to be baked for a feast.";

fn case(input: &str, agent: Option<&str>) -> Case {
    Case { input: input.to_owned(), agent: agent.map(str::to_owned) }
}

fn correction(number: u128, text: &str, agent: Option<&str>) -> Correction {
    Correction {
        id: Uuid::from_u128(number),
        text: text.to_owned(),
        agent: agent.map(str::to_owned),
    }
}

#[test]
fn an_example_is_asked_of_a_roster_that_does_not_hold_it() {
    // Who finds the baker for it can only have it from the example.
    let agents = [("baker", BAKER, Some(PAINT)), ("painter", PAINTER, None)];
    let shop = Shop::of(&agents, Vec::new());
    assert_eq!(shop.roster.live().next().map(|agent| agent.definition.examples.len()), Some(1));
    let as_it_stands = shop.ask(&Asked::Cases(vec![case(PAINT, Some("baker"))]));
    assert_eq!(as_it_stands.figures.top_1, Some(1.0));
    let held_out = shop.ask(&Asked::HeldOut);
    assert_eq!((held_out.figures.cases, held_out.figures.top_1), (1, Some(0.0)));
    assert_eq!(held_out.sampled_from, None);
}

#[test]
fn what_was_learned_is_held_out_too() {
    let agents = [("baker", BAKER, None), ("painter", PAINTER, None)];
    let learned = vec![correction(1, PAINT, Some("baker")), correction(2, "sing", None)];
    let shop = Shop::of(&agents, learned);
    let as_it_stands = shop.ask(&Asked::Cases(vec![case(PAINT, Some("baker"))]));
    assert_eq!(as_it_stands.figures.top_1, Some(1.0));
    let held_out = shop.ask(&Asked::HeldOut).figures;
    assert_eq!((held_out.cases, held_out.strangers, held_out.top_1), (1, 1, Some(0.0)));
}

#[test]
fn a_case_of_an_agent_that_is_not_there_is_missed_and_named() {
    let shop = Shop::of(&[("painter", PAINTER, None)], Vec::new());
    let cases = vec![case(PAINT, Some("painter")), case("sweep", Some("chimney-sweep"))];
    let report = shop.ask(&Asked::Cases(cases));
    assert_eq!((report.agents, report.figures.cases, report.figures.top_1), (1, 2, Some(0.5)));
    assert_eq!(report.unknown_agents, ["chimney-sweep"]);
    let missed = report.wrong.iter().find(|wrong| wrong.input == "sweep").expect("is wrong");
    assert_eq!((missed.expected.as_deref(), missed.rank), (Some("chimney-sweep"), None));
}

#[test]
fn agents_that_cannot_be_told_apart_are_confused_and_overlap() {
    // Their names alone tell them apart, and they speak for the painter.
    let twins = [("decorator", PAINTER, None), ("painter", PAINTER, None)];
    let shop = Shop::of(&twins, Vec::new());
    let case = |input| case(input, Some("decorator"));
    let report = shop.ask(&Asked::Cases(vec![case(PAINT), case("paint walls")]));
    let ranks: Vec<Option<usize>> = report.wrong.iter().map(|wrong| wrong.rank).collect();
    assert_eq!(report.figures.top_3, Some(1.0));
    assert!(ranks.iter().all(|rank| *rank == Some(2)), "{ranks:?}");
    let [overlap] = &report.overlaps[..] else { panic!("{:?}", report.overlaps) };
    assert_eq!(
        (&overlap.agents[..], overlap.confused),
        (&["decorator".into(), "painter".into()][..], 2)
    );
    assert!(overlap.similarity > Some(0.98), "{overlap:?}");
    assert_eq!(report.confusions.iter().map(|confusion| confusion.count).sum::<usize>(), 2);
}

#[test]
fn another_roster_is_compared_with_the_live_one() {
    let live = Shop::of(&[("baker", BAKER, None)], Vec::new());
    let other = Shop::of(&[("baker", BAKER, None), ("painter", PAINTER, None)], Vec::new());
    let asked = Asked::Cases(vec![
        case("walls or ceilings painted in a colour", Some("painter")),
        case("bread or cake baked for a feast", Some("baker")),
    ]);
    let changes = |one: &Shop, beside: &Shop| one.ask_beside(Some(beside), &asked).changed;
    assert_eq!(live.ask(&asked).changed, None);
    let better = changes(&other, &live).expect("another roster was asked");
    assert_eq!((better.better, better.worse, better.other, better.cases.len()), (1, 0, 0, 1));
    assert_eq!(better.cases[0].expected.as_deref(), Some("painter"));
    assert_eq!(better.cases[0].changed.agent.as_deref(), Some("painter"));
    let worse = changes(&live, &other).expect("another roster was asked");
    assert_eq!((worse.better, worse.worse, worse.other), (0, 1, 0));
    let same = changes(&other, &other).expect("another roster was asked");
    assert!(same.cases.is_empty());
}

#[test]
fn held_out_requests_are_held_out_of_the_live_roster_too() {
    let agents = [("baker", BAKER, Some(PAINT)), ("painter", PAINTER, None)];
    let (live, other) = (Shop::of(&agents, Vec::new()), Shop::of(&agents, Vec::new()));
    let report = other.ask_beside(Some(&live), &Asked::HeldOut);
    assert_eq!(report.changed.map(|changed| changed.cases), Some(Vec::new()));
}

#[test]
fn decisions_are_compared_with_what_would_be_decided_now() {
    let agents = [("baker", BAKER, None), ("painter", PAINTER, None)];
    let shop = Shop::of(&agents, vec![correction(1, PAINT, Some("baker"))]);
    let decided = |number, input: &str, agent: Option<&str>| Decided {
        id: Uuid::from_u128(number),
        input: input.to_owned(),
        then: ShortDecision {
            agent: agent.map(str::to_owned),
            outcome: if agent.is_some() { Outcome::Picked } else { Outcome::None },
            confidence: 0.9,
        },
        feedback: None,
    };
    let feedback = Some(Feedback { agent: Some("baker".to_owned()) });
    let bread = "bread or cake baked for a feast";
    let decisions = vec![
        Decided { feedback, ..decided(1, PAINT, Some("painter")) },
        decided(2, bread, Some("baker")),
    ];
    let report = shop.ask(&Asked::Decisions(decisions));
    assert_eq!((report.decisions, report.agreement), (Some(2), Some(0.5)));
    let disagreements = report.disagreements.expect("decisions were asked again");
    assert_eq!(disagreements[0].now.agent.as_deref(), Some("baker"));
    assert!(disagreements[0].feedback.is_some());
    // Having learned the answer is no merit: as a case it is asked of an index that has not.
    assert_eq!((report.figures.cases, report.figures.top_1), (1, Some(0.0)));
}

#[test]
fn a_decision_on_record_is_read_with_what_was_said_of_it() {
    let record = |number, outcome: &str, strategy: &str| DecidedRequest {
        id: Uuid::from_u128(number),
        input: PAINT.to_owned(),
        outcome: outcome.to_owned(),
        agent_name: (outcome != "none").then(|| "painter".to_owned()),
        strategy: strategy.to_owned(),
        confidence: 0.7,
    };
    let said = [(Uuid::from_u128(1), Some("baker".to_owned())), (Uuid::from_u128(2), None)];
    let read = |number, outcome, strategy| {
        let decided = Decided::of(record(number, outcome, strategy), &said);
        (decided.then.agent, decided.then.outcome, decided.feedback.map(|said| said.agent))
    };
    let painter = Some("painter".to_owned());
    let baker = Some(Some("baker".to_owned()));
    assert_eq!(read(1, "picked", "local"), (painter.clone(), Outcome::Picked, baker));
    assert_eq!(read(2, "ambiguous", "local"), (painter, Outcome::Ambiguous, Some(None)));
    assert_eq!(read(3, "none", "local"), (None, Outcome::None, None));
    // The default agent stood in because none fitted.
    assert_eq!(read(3, "picked", "default"), (None, Outcome::None, None));
}

#[test]
fn whoever_waits_can_end_it_between_two_cases() {
    let shop = Shop::of(&[("painter", PAINTER, None)], Vec::new());
    let asked = Asked::Cases(vec![case(PAINT, Some("painter")); 5]);
    let mut seen = Vec::new();
    let mut watcher = |progress: super::Progress| {
        seen.push((progress.done, progress.all));
        if progress.done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(evaluate(shop.subject(), None, &asked, 100, &mut watcher).is_none());
    assert_eq!(seen, [(0, 5), (1, 5), (2, 5)]);
}
