//! How sure a pick is, and whether it is one.
//!
//! Two logistic models over what the scores tell: does the request belong to the roster at all, and if so, is the
//! first candidate the right one. Their weights were fitted on public collections of agents, whole and in small parts, on
//! intents of a home assistant, and on everyday requests that belong to nobody.

use super::Index;
use super::calibration::logistic;
use super::decision::Outcome;
use super::document::Document;
use super::fit::{Fit, MIN_CASES};
use super::index::SATURATION;
use super::score::{Evidence, Query, Scored, saturate, score};

/// A first candidate that is less than this ahead of the second is not alone.
const AMBIGUOUS_WITHIN: f32 = 0.015;

/// Of a first candidate that is less than this ahead of the second it is open whether it is right, whatever speaks for both.
const TIED_WITHIN: f32 = 0.02;

/// A request that is less like one that was found to be nobody's does not remind of it.
const LIKE_NOBODYS_FROM: f32 = 0.55;

/// How much nearer to a stranger than to the roster's own texts a request comes that may as well be either's.
const STRANGER_FROM: f32 = -0.04;

/// How far on the strangers' side of the boundary counts: what is further may still be a roster's own odd request.
const BEYOND_AT_MOST: f32 = 6.0;

/// More technologies that are unknown to the roster say no more than so many.
const MAX_UNKNOWN_TECHNOLOGIES: f32 = 2.0;

/// A request whose words say less than this is no clearer for being short.
const LEAST_ASKED: f32 = 2.0;

/// How many nats speak for a request to an agent of which hardly anything is known: it can be like a single sentence in few
/// ways only.
const TERSE: f32 = 3.0;

/// How many different words an agent has of which hardly anything is known, and how many one that says enough.
const TERSE_WORDS: f32 = 8.0;
const ENOUGH_WORDS: f32 = 160.0;

/// Sizes of a roster beyond which its size changes nothing.
const ROSTER_SIZES: std::ops::RangeInclusive<f32> = 15.0..=1_000.0;

/// What the scores of one request tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signals {
    /// For the first candidate.
    evidence: Evidence,
    /// How much more speaks for the first candidate than for the second.
    pub margin: f32,
    /// How much the request's words say, whatever the roster, and how much those that the first candidate has.
    asked: f32,
    met: f32,
    /// The same of a request without a vector, whose words are all that can speak for it.
    met_by_words_alone: f32,
    /// The part of the request that any agent has.
    known: f32,
    /// The nearest example of any candidate.
    nearest: f32,
    /// How much more the request is like one that was found to be nobody's than like one of the first candidate's.
    like_nobodys: f32,
    /// How much more it is like a request that is foreign to the roster than like anything that its agents say of what
    /// they do; 0 if nothing speaks either way.
    like_strangers: f32,
    /// How far it lies on the strangers' side of the boundary, in nats.
    beyond: f32,
    /// How many technologies the request names that no agent mentions.
    unknown_technologies: f32,
    /// How little is known of what the first candidate does, from 0 to 1.
    terseness: f32,
    /// The logarithm of the roster's size.
    roster_size: f32,
    /// The same of its agents and their known requests: the more there are, the nearer one comes by chance.
    roster_texts: f32,
    /// What was said of a request in the same words.
    pub said: Said,
    is_empty: bool,
}

/// What corrections say of a request in the same words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Said {
    #[default]
    Nothing,
    /// It belongs to one of the candidates.
    Agents,
    Nobodys,
}

/// How sure it is, in nats, that a request belongs to whom it was said to belong to.
const SAID: f32 = 4.0;

impl Signals {
    pub fn of(index: &Index, query: &Query, scored: &[Scored<'_>]) -> Self {
        let Some(first) = scored.first() else { return Self { is_empty: true, ..Self::default() } };
        let asked: f32 = query.terms.iter().map(|term| term.salience).sum();
        let known = query.terms.iter().filter(|term| !index.postings(&term.stem).is_empty());
        let known: f32 = known.map(|term| term.salience).sum();
        let nobodys = query.embedding.as_ref().map_or(0.0, |request| {
            index.nobody.iter().map(|nobodys| nobodys.cosine(request)).fold(0.0, f32::max)
        });
        let evidence = first.evidence;
        let examples = scored.iter().map(|candidate| candidate.evidence.example);
        let nearest = examples.fold(0.0, f32::max);
        #[expect(clippy::cast_precision_loss, reason = "a roster is small")]
        let (agents, requests, unknown) = (
            index.documents.len() as f32,
            index.requests() as f32,
            query.unknown_technologies.len() as f32,
        );
        let agents = agents.clamp(*ROSTER_SIZES.start(), *ROSTER_SIZES.end());
        let met = met(index, query, first.document);
        Self {
            evidence,
            margin: first.total - scored.get(1).map_or(0.0, |second| second.total),
            asked,
            met,
            met_by_words_alone: if query.embedding.is_none() { met } else { 0.0 },
            known: known / asked.max(0.1),
            nearest,
            like_nobodys: (nobodys - evidence.example.max(LIKE_NOBODYS_FROM)).max(0.0),
            beyond: query
                .embedding
                .as_ref()
                .map_or(0.0, |request| index.fit().strangers.beyond(request).min(BEYOND_AT_MOST)),
            like_strangers: like_strangers(index, query, scored, nearest).unwrap_or(0.0),
            unknown_technologies: unknown.min(MAX_UNKNOWN_TECHNOLOGIES),
            terseness: terseness(index, first.document),
            roster_size: agents.ln(),
            roster_texts: (agents + requests.min(*ROSTER_SIZES.end())).ln(),
            said: Said::Nothing,
            is_empty: false,
        }
    }

    /// What the scores of all candidates tell of a request.
    pub fn of_text(index: &Index, text: &str) -> Self {
        let query = Query::new(index, text);
        Self::of(index, &query, &score(index, &query, index.fit().trust, |_| true))
    }

    /// The probability that the request belongs to any agent of the roster.
    pub fn belongs(&self) -> f64 {
        if self.is_empty {
            return 0.0;
        }
        let Evidence { description, sentence, example, likelihood, .. } = self.evidence;
        let sum = -0.93
            + 2.81 * description
            + 2.40 * sentence
            + 3.71 * example
            + 5.65 * self.nearest
            + 0.011 * likelihood
            + 2.28 * (self.met + self.met_by_words_alone)
            - 2.61 * self.asked.max(LEAST_ASKED).ln_1p()
            - 2.15 * self.met / self.asked.max(0.1)
            + 0.30 * self.known
            - 0.31 * self.roster_texts
            - 12.0 * self.like_nobodys
            - 10.0 * self.like_strangers
            - 0.5 * self.beyond
            + TERSE * self.terseness
            - 2.0 * self.unknown_technologies;
        logistic(f64::from(match self.said {
            Said::Nothing => sum,
            Said::Agents => sum.max(SAID),
            Said::Nobodys => sum.min(-SAID),
        }))
    }

    /// The probability that the first candidate is right, given that one of the roster is.
    fn is_first_right(&self) -> f64 {
        let prose = self.evidence.words_and_meaning();
        let tied = (1.0 - self.margin / TIED_WITHIN).max(0.0);
        let sum = 1.53 + 4.17 * self.margin + 2.52 * prose - 0.51 * self.roster_size - 1.5 * tied;
        logistic(f64::from(sum))
    }

    /// The probability that the first candidate is right, before it is calibrated.
    pub fn confidence(&self) -> f64 {
        self.belongs() * self.is_first_right()
    }
}

/// The probability that the first candidate is right.
pub(super) fn confidence(signals: &Signals, fit: &Fit) -> f64 {
    if signals.is_empty {
        return 0.0;
    }
    fit.calibration.apply(signals.confidence())
}

/// `None` if there is nothing foreign to compare with.
fn like_strangers(
    index: &Index,
    query: &Query,
    scored: &[Scored<'_>],
    nearest_example: f32,
) -> Option<f32> {
    let foreign = index.fit().strangers.nearest(query.embedding.as_ref()?)?;
    let said = scored.iter().map(|candidate| {
        let Evidence { description, sentence, .. } = candidate.evidence;
        description.max(sentence)
    });
    Some(foreign - said.fold(nearest_example, f32::max) - STRANGER_FROM)
}

/// How little an agent says of itself; 0 where as many requests are known as can be fitted to.
#[expect(clippy::cast_precision_loss, reason = "counts of words and requests are small")]
fn terseness(index: &Index, document: &Document) -> f32 {
    let words = document.content.terms.len().max(1) as f32;
    let says = (words / TERSE_WORDS).ln() / (ENOUGH_WORDS / TERSE_WORDS).ln();
    let unknown = 1.0 - index.requests().min(MIN_CASES) as f32 / MIN_CASES as f32;
    (1.0 - says).clamp(0.0, 1.0) * unknown
}

/// How much of the request's words a candidate has, by what they say: more of a word counts, up to once in full.
fn met(index: &Index, query: &Query, document: &Document) -> f32 {
    let content = &document.content;
    let words = query.terms.iter().filter_map(|asked| {
        let (_, term) = content.term(&asked.stem)?;
        Some(asked.salience * saturate(index.frequency(content, term)))
    });
    words.sum::<f32>() / (SATURATION + 1.0)
}

pub(super) fn outcome(signals: &Signals, fit: &Fit) -> Outcome {
    if signals.belongs() < fit.none_below {
        Outcome::None
    } else if signals.margin < AMBIGUOUS_WITHIN {
        Outcome::Ambiguous
    } else {
        Outcome::Picked
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::dispatch::{
        Correction, Corrections, Decision, DispatchRequest, Index, Settings, decide,
    };
    use crate::registry::Roster;

    const WEB: &str = "---\nname: web\ndescription: Builds pages and components.\n---\n\
        You know React, TypeScript and CSS.\n";
    const DATA: &str = "---\nname: data\ndescription: Tunes queries of databases.\n---\n\
        You know PostgreSQL.\n";
    const REQUEST: &str =
        "Why is our page slow? It is made with React Native and Svelte, the new Svelte";

    fn decision(agents: [&str; 2], corrections: &Corrections, request: &str) -> Decision {
        let index = Index::build(&Roster::of_sources(agents), corrections, None);
        let request = DispatchRequest { input: request.to_owned(), ..DispatchRequest::default() };
        decide(&index, &request, &Settings::default()).expect("nothing is named")
    }

    #[test]
    fn a_technology_that_no_agent_mentions_speaks_for_nobody() {
        let none = Corrections::default();
        let unknown = decision([WEB, DATA], &none, REQUEST);
        assert_eq!(unknown.unknown_technologies, ["React Native", "Svelte"]);
        // Any agent will do, though it is another one that is asked.
        let other = format!("{DATA}Svelte and React Native are not new to you.\n");
        let known = decision([WEB, &other], &none, REQUEST);
        assert!(known.unknown_technologies.is_empty());
        assert_eq!(known.ranked[0].agent, "web");
        let (unknown, known) = (unknown.confidence, known.confidence);
        assert!(unknown < known / 2.0, "{unknown} and {known}");
    }

    #[test]
    fn what_an_agent_says_it_does_not_handle_it_does_not_know() {
        let excludes = format!("{WEB}\n## Not for\n\n- Pages in Svelte\n");
        let unknown = decision([&excludes, DATA], &Corrections::default(), "A page in Svelte");
        assert_eq!(unknown.unknown_technologies, ["Svelte"]);
    }

    #[test]
    fn a_technology_is_known_once_a_request_that_names_it_was_given_to_an_agent() {
        let (text, agent) = ("Port this Svelte page".to_owned(), Some("web".to_owned()));
        let corrections = Corrections::new(1, [Correction { id: Uuid::nil(), text, agent }]);
        let known = decision([WEB, DATA], &corrections, "A page in Svelte");
        assert!(known.unknown_technologies.is_empty());
    }

    #[test]
    fn agents_that_say_little_of_themselves_are_picked_all_the_same() {
        let agents = [
            "---\nname: billing\ndescription: Answers questions about invoices and payments.\n---\n",
            "---\nname: shipping\ndescription: Tracks parcels and deliveries.\n---\n",
            "---\nname: tests\ndescription: Writes unit tests in Python.\n---\n",
        ];
        let index = Index::build(&Roster::of_sources(agents), &Corrections::default(), None);
        let pick = |input: &str| {
            let request = DispatchRequest { input: input.to_owned(), ..DispatchRequest::default() };
            let decision = decide(&index, &request, &Settings::default()).expect("names nothing");
            decision.agent.map(|agent| agent.name)
        };
        for (request, agent) in [
            ("My package has not arrived yet", "shipping"),
            ("Can I pay the bill by card?", "billing"),
            ("Our coverage is low, add some pytest cases", "tests"),
        ] {
            assert_eq!(pick(request).as_deref(), Some(agent), "{request}");
        }
        for stranger in ["Who was Napoleon?", "Will it rain in Oslo?", "A poem about autumn"] {
            assert_eq!(pick(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn other_scripts_are_picked_for_by_their_words() {
        let agents = [
            "---\nname: cook\ndescription: 料理のレシピを提案し、作り方を説明します。\n---\n",
            "---\nname: tax\ndescription: 税金の申告、消費税、確定申告についての質問に答えます。\n---\n",
        ];
        let pick = |request| decision(agents, &Corrections::default(), request).agent;
        let name = |request| pick(request).map(|agent| agent.name);
        assert_eq!(name("カレーの作り方を教えて").as_deref(), Some("cook"));
        assert_eq!(name("確定申告はいつまでですか").as_deref(), Some("tax"));
        assert_eq!(name("明日の天気は"), None);
        assert_eq!(name("東京から大阪までの電車"), None);
    }
}
