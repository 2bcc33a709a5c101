//! What people ask that hardly any roster has an agent for: everyday requests, and those of other trades.
//!
//! A roster's own texts say what belongs to it. These say what else there is: a request that comes nearer to one of them
//! than to anything of the roster's own is likely nobody's. They are held together by topic, for a roster may well have
//! an agent for cooking, and then nothing that is asked of a cook is foreign to it.

use std::sync::{Arc, LazyLock};

use super::boundary::Boundary;
use super::confidence::Signals;
use super::document::Document;
use super::embedding::Embedding;
use super::held_out::FOLDS;
use super::index::Index;

/// A line that begins with `# ` begins a topic; every other one is a request.
const REQUESTS: &str = include_str!("strangers.txt");

/// A topic whose requests belong to the roster with at least this probability, in their mean, is not foreign to it.
const SERVED_FROM: f64 = 0.5;

static TOPICS: LazyLock<Vec<Topic>> = LazyLock::new(|| read(REQUESTS));

#[derive(Debug)]
struct Topic {
    requests: Vec<(&'static str, Embedding)>,
}

/// The requests that are foreign to one roster. None, unless they were chosen for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers {
    topics: Vec<&'static Topic>,
    requests: Arc<[Embedding]>,
    /// `None` if there are none, or if it is not drawn yet.
    boundary: Option<Arc<Boundary>>,
}

impl Strangers {
    /// Those of all topics that the roster has no agent for, by an index that compares with none of them yet.
    pub fn to(index: &Index) -> Self {
        Self::of(TOPICS.iter().filter(|topic| !topic.is_served_by(index)).collect())
    }

    fn of(topics: Vec<&'static Topic>) -> Self {
        let requests = topics.iter().flat_map(|topic| &topic.requests);
        let requests = requests.map(|(_, embedding)| embedding.clone()).collect();
        Self { topics, requests, boundary: None }
    }

    /// The same with a boundary to these documents, unless there is one.
    pub fn bounded_by(&self, documents: &[Document]) -> Self {
        if self.requests.is_empty() || self.boundary.is_some() {
            return self.clone();
        }
        let own = documents.iter().flat_map(|document| document.content.representatives());
        let boundary = Boundary::between(own.collect(), self.requests.iter().collect());
        Self { boundary: boundary.map(Arc::new), ..self.clone() }
    }

    pub fn without_boundary(&self) -> Self {
        Self { boundary: None, ..self.clone() }
    }

    /// In as many parts as there are folds: the requests of some topics, and the strangers without them.
    pub fn parts(&self) -> impl Iterator<Item = (Vec<&'static str>, Self)> {
        (0..FOLDS).map(|fold| {
            let topics = self.topics.iter().enumerate();
            let (held_out, rest): (Vec<_>, Vec<_>) =
                topics.partition(|(number, _)| number % FOLDS == fold);
            let texts = held_out.iter().flat_map(|(_, topic)| &topic.requests);
            let texts = texts.map(|(text, _)| *text).collect();
            (texts, Self::of(rest.into_iter().map(|(_, topic)| *topic).collect()))
        })
    }

    /// How like the nearest of them the request is; `None` if there are none to compare with.
    pub fn nearest(&self, request: &Embedding) -> Option<f32> {
        self.requests.iter().map(|stranger| stranger.cosine(request)).reduce(f32::max)
    }

    /// How far the request lies on their side of the boundary, in nats; 0 on the roster's side.
    pub fn beyond(&self, request: &Embedding) -> f32 {
        self.boundary.as_ref().map_or(0.0, |boundary| (-boundary.log_ratio(request)).max(0.0))
    }
}

impl Topic {
    fn is_served_by(&self, index: &Index) -> bool {
        let belongs = self.requests.iter().map(|(text, _)| Signals::of_text(index, text).belongs());
        #[expect(clippy::cast_precision_loss, reason = "a topic has few requests")]
        let count = self.requests.len() as f64;
        belongs.sum::<f64>() >= SERVED_FROM * count
    }
}

fn read(text: &'static str) -> Vec<Topic> {
    let mut topics = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            topics.push(Topic { requests: Vec::new() });
        } else {
            let topic: &mut Topic = topics.last_mut().expect("the file begins with a topic");
            let embedding = Embedding::of(line).expect("a request has words");
            topic.requests.push((line, embedding));
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write;

    use super::{REQUESTS, Strangers, TOPICS};
    use crate::dispatch::embedding::Embedding;
    use crate::dispatch::{Corrections, DispatchRequest, Fit, Index, Settings, decide};
    use crate::registry::Roster;

    const PANCAKES: &str = "How do I make pancakes without eggs?";

    /// A roster of agents by name, description and what users say to them.
    fn roster(agents: &[(&str, &str, &[&str])]) -> Roster {
        Roster::of_sources(agents.iter().map(|(name, description, users)| {
            let mut source = format!("---\nname: {name}\ndescription: |\n  {description}\n");
            for user in *users {
                let _ = writeln!(source, "  <example>\n  user: \"{user}\"\n  </example>");
            }
            source.push_str("---\nBe brief.\n");
            source
        }))
    }

    fn nearest_to_pancakes(roster: &Roster) -> f32 {
        let index = Index::build(roster, &Corrections::default(), None);
        let request = Embedding::of(PANCAKES).expect("has words");
        Strangers::to(&index).nearest(&request).expect("something is foreign to it")
    }

    const COOK: (&str, &str, &[&str]) = (
        "cook",
        "Gives recipes and advice on cooking, baking, meals for guests and how to store food.",
        &[
            "Which recipe for soup is quick?",
            "My bread did not rise in the oven",
            "What do I cook for six guests?",
            "How long can I keep cooked rice?",
            "Which wine goes with roast beef?",
            "Can I bake a cake without butter?",
        ],
    );

    const PAINTER: (&str, &str, &[&str]) = (
        "painter",
        "Paints walls and ceilings of houses.",
        &["Paint the ceiling of the kitchen white", "Which colour suits a dark hall?"],
    );

    #[test]
    fn every_topic_has_requests_and_none_stands_twice() {
        assert!(TOPICS.iter().all(|topic| topic.requests.len() >= 4));
        let requests = TOPICS.iter().flat_map(|topic| &topic.requests);
        let requests: Vec<&str> = requests.map(|(text, _)| *text).collect();
        assert!(requests.len() >= 300, "{}", requests.len());
        let once: HashSet<&str> = requests.iter().copied().collect();
        assert_eq!(once.len(), requests.len());
        assert!(REQUESTS.starts_with("# "));
    }

    #[test]
    fn what_the_roster_has_an_agent_for_is_not_foreign_to_it() {
        assert!(nearest_to_pancakes(&roster(&[PAINTER])) > 0.99);
        assert!(nearest_to_pancakes(&roster(&[PAINTER, COOK])) < 0.8);
    }

    #[test]
    fn each_topic_is_held_out_once() {
        let index = Index::build(&roster(&[PAINTER]), &Corrections::default(), None);
        let all = Strangers::to(&index);
        let mut held_out = HashSet::new();
        for (texts, rest) in all.parts() {
            assert_eq!(rest.requests.len() + texts.len(), all.requests.len());
            for text in texts {
                let embedding = Embedding::of(text).expect("has words");
                assert!(rest.nearest(&embedding).expect("some are left") < 0.999, "{text}");
                held_out.insert(text);
            }
        }
        assert_eq!(held_out.len(), all.requests.len());
    }

    /// How sure the pick for a request is, before and after it is compared with strangers.
    fn confidences(roster: &Roster, request: &str) -> (f64, f64) {
        let corrections = Corrections::default();
        let before = Index::build(roster, &corrections, None);
        let fit = Fit { strangers: Strangers::to(&before), ..Fit::default() };
        let after = Index::fitted(roster, &corrections, &fit, Some(&before));
        let request = DispatchRequest { input: request.to_owned(), ..DispatchRequest::default() };
        let confidence = |index: &Index| {
            decide(index, &request, &Settings::default()).expect("nothing is named").confidence
        };
        (confidence(&before), confidence(&after))
    }

    #[test]
    fn a_request_like_a_strangers_is_doubted_unless_an_agent_is_for_it() {
        let waffles = "Can I make waffles without butter and eggs?";
        let (before, after) = confidences(&roster(&[PAINTER]), waffles);
        assert!(after < before / 4.0, "{before} became {after}");
        let (before, after) = confidences(&roster(&[PAINTER, COOK]), waffles);
        assert!(after >= before, "{before} became {after}");
    }

    #[test]
    fn what_the_roster_says_itself_is_not_doubted() {
        let (before, after) = confidences(&roster(&[PAINTER]), "Paint the ceiling white");
        assert!(after >= before, "{before} became {after}");
    }

    #[test]
    fn what_no_agent_is_for_lies_beyond_the_boundary() {
        let built = |roster: &Roster| Index::build(roster, &Corrections::default(), None);
        let beyond = |index: &Index, request| {
            let strangers = Strangers::to(index).bounded_by(&index.documents);
            strangers.beyond(&Embedding::of(request).expect("has words"))
        };
        let waffles = "Can I make waffles without butter?";
        let (painter, both) = (built(&roster(&[PAINTER])), built(&roster(&[PAINTER, COOK])));
        assert!(beyond(&painter, waffles) > 1.0);
        assert!(beyond(&both, waffles) < beyond(&painter, waffles) / 2.0);
        assert!(beyond(&painter, "Paint the hall").abs() < 1e-6);
    }

    #[test]
    fn without_a_choice_there_is_nothing_to_compare_with() {
        let request = Embedding::of(PANCAKES).expect("has words");
        assert!(Strangers::default().nearest(&request).is_none());
        assert!(Strangers::default().beyond(&request).abs() < 1e-6);
    }
}
