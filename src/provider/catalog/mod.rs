//! Which model answers: aliases, known ids, defaults. `built_in.rs` is the table that comes with the program.

mod built_in;
mod price;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use target::Target;
pub(super) use target::full_name;

use super::offline;
use super::random::random_below;
use crate::telemetry::metrics::OTHER;

/// How a requested model became the resolved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionRule {
    /// The model itself was named.
    Exact,
    /// An alias was named.
    Alias,
    /// Nothing, or `inherit`, was named: the default model.
    Default,
    /// What was named is not known, or its provider is not configured: the default model.
    Fallback,
}

/// The model that a run uses, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedModel {
    pub requested: Option<String>,
    /// In the order in which they are tried; never empty.
    pub targets: Vec<Arc<Target>>,
    pub rule: ResolutionRule,
}

impl ResolvedModel {
    /// The target that is tried first.
    pub fn first(&self) -> &Target {
        &self.targets[0]
    }
}

/// The table from model names to targets.
#[derive(Debug)]
pub struct Catalog {
    aliases: BTreeMap<String, Vec<Arc<Target>>>,
    providers: Vec<String>,
    default: Arc<Target>,
}

impl Catalog {
    /// `providers` are the configured ones, in order; `aliases` override the built-in table.
    ///
    /// # Errors
    /// A text that says which setting names a provider that is not configured, or which provider has no
    /// default model.
    pub fn new(
        providers: Vec<String>,
        mut aliases: BTreeMap<String, Vec<Target>>,
        default: Option<Target>,
    ) -> Result<Self, String> {
        for (alias, provider, model) in built_in::ALIASES {
            aliases
                .entry((*alias).to_owned())
                .or_insert_with(|| vec![Target::new(provider, model)]);
        }
        let default = match default {
            Some(target) if !providers.contains(&target.provider) => {
                return Err(format!(
                    "default_model names the provider `{}`, which is not configured",
                    target.provider
                ));
            }
            Some(target) => target,
            None => own_default(&providers)?,
        };
        let aliases = aliases.into_iter().map(|(alias, targets)| (alias, in_order(targets)));
        let default = Arc::new(default.with_known_facts());
        Ok(Self { aliases: aliases.collect(), providers, default })
    }

    /// Whether the offline provider answers because no other is configured.
    pub fn is_offline(&self) -> bool {
        self.providers.is_empty()
    }

    /// Every alias that an agent definition may use for a model.
    pub fn known_names(&self) -> impl Iterator<Item = &str> {
        self.aliases.keys().map(String::as_str).chain(["inherit"])
    }

    /// Every alias with its targets, in order.
    pub fn aliases(&self) -> &BTreeMap<String, Vec<Arc<Target>>> {
        &self.aliases
    }

    /// The model for who names none.
    pub fn default_target(&self) -> &Target {
        &self.default
    }

    /// What the ids of models begin with, `provider/` included.
    pub fn known_prefixes(&self) -> impl Iterator<Item = String> {
        let of_ids = built_in::ID_PREFIXES.iter().map(|(prefix, _)| (*prefix).to_owned());
        of_ids.chain(self.providers.iter().map(|provider| format!("{provider}/")))
    }

    /// Whether `name` means a model, configured or not.
    pub fn knows(&self, name: &str) -> bool {
        self.aliases.contains_key(name)
            || name == "inherit"
            || built_in::ID_PREFIXES.iter().any(|(prefix, _)| name.starts_with(prefix))
            || Target::parse(name).is_some_and(|target| self.is_configured(&target))
    }

    /// Finds the model for what a caller or an agent asks for. There always is one.
    pub fn resolve(&self, requested: Option<&str>) -> ResolvedModel {
        let by_default = || vec![Arc::clone(&self.default)];
        let (targets, rule) = match requested {
            None | Some("" | "inherit") => (by_default(), ResolutionRule::Default),
            Some(name) => {
                self.find(name).unwrap_or_else(|| (by_default(), ResolutionRule::Fallback))
            }
        };
        ResolvedModel { requested: requested.map(str::to_owned), targets, rule }
    }

    fn find(&self, name: &str) -> Option<(Vec<Arc<Target>>, ResolutionRule)> {
        if let Some(targets) = self.aliases.get(name) {
            let configured = targets.iter().filter(|target| self.is_configured(target));
            let targets = share_load(configured.cloned().collect());
            return (!targets.is_empty()).then_some((targets, ResolutionRule::Alias));
        }
        let by_prefix = || {
            built_in::ID_PREFIXES
                .iter()
                .find(|(prefix, _)| name.starts_with(prefix))
                .map(|(_, provider)| Target::new(provider, name))
        };
        let target = Target::parse(name)
            .filter(|target| self.is_configured(target))
            .or_else(|| by_prefix().filter(|target| self.is_configured(target)))?;
        Some((vec![Arc::new(target.with_known_facts())], ResolutionRule::Exact))
    }

    /// The targets that the operator or the built-in table names, and whose providers are configured.
    pub fn listed(&self) -> impl Iterator<Item = &Target> {
        let configured = self.named().filter(|target| self.is_configured(target));
        configured.chain([&*self.default])
    }

    /// Those that the operator or the built-in table names.
    fn named(&self) -> impl Iterator<Item = &Target> {
        self.aliases.values().flatten().map(|target| &**target)
    }

    /// `provider/model` if that target is [listed](Self::listed), else a word for all others: callers may name any
    /// model, and figures are kept for each name.
    pub fn label(&self, provider: &str, model: &str) -> String {
        let is_same = |listed: &&Target| listed.model == model && listed.provider == provider;
        let named = self.named().filter(is_same).find(|target| self.is_configured(target));
        let listed = named.or_else(|| Some(&*self.default).filter(is_same));
        listed.map_or_else(|| OTHER.to_owned(), Target::full_name)
    }

    /// Whether the target's provider is configured.
    pub fn is_configured(&self, target: &Target) -> bool {
        self.providers.contains(&target.provider)
    }
}

fn in_order(mut targets: Vec<Target>) -> Vec<Arc<Target>> {
    for (place, target) in (0..).zip(&mut targets) {
        target.order.get_or_insert(place);
    }
    targets.sort_by_key(|target| target.order);
    targets.into_iter().map(|target| Arc::new(target.with_known_facts())).collect()
}

/// Shuffles targets of equal order, so that each comes first as often as its weight says. One of weight 0 comes
/// behind the others of its order.
fn share_load(mut targets: Vec<Arc<Target>>) -> Vec<Arc<Target>> {
    for place in 0..targets.len() {
        let order = targets[place].order;
        let equals = targets[place..].iter().take_while(|target| target.order == order);
        let weights: Vec<u64> = equals.map(|target| u64::from(target.weight)).collect();
        let total: u64 = weights.iter().sum();
        if weights.len() == 1 || total == 0 {
            continue;
        }
        let mut drawn = random_below(total);
        let chosen = weights.iter().position(|weight| match drawn.checked_sub(*weight) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        });
        // The others keep their order.
        targets[place..=place + chosen.unwrap_or(0)].rotate_right(1);
    }
    targets
}

fn own_default(providers: &[String]) -> Result<Target, String> {
    let Some(first) = providers.first() else {
        return Ok(Target::new(offline::NAME, offline::NAME));
    };
    built_in::DEFAULTS
        .iter()
        .find(|(provider, _)| provider == first)
        .map(|(provider, model)| Target::new(provider, model))
        .ok_or_else(|| {
            format!(
                "the provider `{first}` has no default model of its own: \
                 set default_model to `{first}/<model>`"
            )
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Catalog, ResolutionRule, Target};

    fn catalog(providers: &[&str]) -> Catalog {
        let providers = providers.iter().map(|name| (*name).to_owned()).collect();
        Catalog::new(providers, BTreeMap::new(), None).expect("has a default")
    }

    fn resolve(catalog: &Catalog, name: Option<&str>) -> (String, ResolutionRule) {
        let model = catalog.resolve(name);
        (model.first().full_name(), model.rule)
    }

    #[test]
    fn aliases_ids_and_nothing_resolve() {
        let catalog = catalog(&["anthropic", "openai"]);
        let found = |name| resolve(&catalog, name);
        let sonnet = || "anthropic/claude-sonnet-5-5".to_owned();
        assert_eq!(found(Some("sonnet")), (sonnet(), ResolutionRule::Alias));
        assert_eq!(found(Some("claude-3-5-sonnet-20241022")), (sonnet(), ResolutionRule::Alias));
        assert_eq!(found(None), (sonnet(), ResolutionRule::Default));
        assert_eq!(found(Some("inherit")), (sonnet(), ResolutionRule::Default));
        assert_eq!(found(Some("gpt-9")), ("openai/gpt-9".into(), ResolutionRule::Exact));
        assert_eq!(found(Some("openai/a/b")), ("openai/a/b".into(), ResolutionRule::Exact));
        assert_eq!(found(Some("nobody/x")), (sonnet(), ResolutionRule::Fallback));
    }

    #[test]
    fn an_alias_without_its_provider_falls_to_the_default() {
        let catalog = catalog(&["openai"]);
        assert_eq!(
            resolve(&catalog, Some("sonnet")),
            ("openai/gpt-5.5".into(), ResolutionRule::Fallback)
        );
    }

    #[test]
    fn a_provider_without_a_default_must_be_given_one() {
        let providers = || vec!["local".to_owned()];
        assert!(Catalog::new(providers(), BTreeMap::new(), None).is_err());
        let other = Some(Target::new("openai", "x"));
        assert!(Catalog::new(providers(), BTreeMap::new(), other).is_err());
        let own = Some(Target::new("local", "qwen3"));
        assert!(Catalog::new(providers(), BTreeMap::new(), own).is_ok());
    }
    #[test]
    fn targets_are_tried_in_the_order_in_which_they_are_listed() {
        let targets = ["b", "a", "c"].map(|model| Target::new("local", model)).to_vec();
        let aliases = BTreeMap::from([("fast".to_owned(), targets)]);
        let catalog = Catalog::new(vec!["local".to_owned()], aliases, Target::parse("local/x"));
        let model = catalog.expect("is valid").resolve(Some("fast"));
        let names: Vec<&str> = model.targets.iter().map(|target| target.model.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
    }

    #[test]
    fn equal_targets_share_load_by_weight_and_the_others_follow() {
        let target = |model: &str, order, weight| Target {
            order: Some(order),
            weight,
            ..Target::new("local", model)
        };
        let targets = vec![target("last", 2, 9), target("often", 1, 3), target("seldom", 1, 1)];
        let aliases = BTreeMap::from([("fast".to_owned(), targets)]);
        let default = Target::parse("local/x");
        let catalog = Catalog::new(vec!["local".to_owned()], aliases, default).expect("is valid");
        let mut firsts = BTreeMap::new();
        for _ in 0..4_000 {
            let model = catalog.resolve(Some("fast"));
            let names: Vec<&str> =
                model.targets.iter().map(|target| target.model.as_str()).collect();
            assert!(names.len() == 3 && names[2] == "last");
            *firsts.entry(names[0].to_owned()).or_insert(0) += 1;
        }
        assert!((2_800..3_200).contains(&firsts["often"]), "{firsts:?}");
    }
}
