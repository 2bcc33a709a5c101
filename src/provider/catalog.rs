//! Which model answers: aliases, known ids, defaults. Resolution is pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::offline;

/// Built-in aliases, as of October 2026. Configuration overrides each.
const BUILT_IN_ALIASES: &[(&str, &str, &str)] = &[
    ("opus", "anthropic", "claude-opus-5-5"),
    ("sonnet", "anthropic", "claude-sonnet-5-5"),
    ("haiku", "anthropic", "claude-haiku-5-5"),
    ("fable", "anthropic", "claude-fable-5-1"),
    // Ids that are retired, as public agent files still name them.
    ("claude-3-opus-20240229", "anthropic", "claude-opus-5-5"),
    ("claude-3-sonnet-20240229", "anthropic", "claude-sonnet-5-5"),
    ("claude-3-haiku-20240307", "anthropic", "claude-haiku-5-5"),
    ("claude-3-5-sonnet-20240620", "anthropic", "claude-sonnet-5-5"),
    ("claude-3-5-sonnet-20241022", "anthropic", "claude-sonnet-5-5"),
    ("claude-3-5-haiku-20241022", "anthropic", "claude-haiku-5-5"),
    ("claude-3-7-sonnet-20250219", "anthropic", "claude-sonnet-5-5"),
];

/// What a built-in provider answers with if nobody names a model.
const BUILT_IN_DEFAULTS: &[(&str, &str)] =
    &[("anthropic", "claude-sonnet-5-5"), ("openai", "gpt-5.5")];

/// Prefixes of model ids, and the provider that serves them.
const ID_PREFIXES: &[(&str, &str)] = &[
    ("claude-", "anthropic"),
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
];

/// A model of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub provider: String,
    pub model: String,
    /// Targets are tried in this order; equal ones share load by `weight`.
    #[serde(default)]
    pub order: u32,
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

impl Target {
    pub fn new(provider: &str, model: &str) -> Self {
        Self { provider: provider.to_owned(), model: model.to_owned(), order: 0, weight: 1 }
    }

    /// Whether it is the built-in provider that stands in when none is configured.
    pub fn is_offline(&self) -> bool {
        self.provider == offline::NAME
    }

    /// Reads `provider/model`; the model may hold further slashes.
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.split_once('/')?;
        (!provider.is_empty() && !model.is_empty()).then(|| Self::new(provider, model))
    }
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedModel {
    pub requested: Option<String>,
    pub target: Target,
    pub rule: ResolutionRule,
}

impl ResolvedModel {
    /// `provider/model`.
    pub fn resolved(&self) -> String {
        format!("{}/{}", self.target.provider, self.target.model)
    }
}

/// The table from model names to targets.
#[derive(Debug)]
pub struct Catalog {
    aliases: BTreeMap<String, Vec<Target>>,
    providers: Vec<String>,
    default: Target,
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
        for (alias, provider, model) in BUILT_IN_ALIASES {
            aliases
                .entry((*alias).to_owned())
                .or_insert_with(|| vec![Target::new(provider, model)]);
        }
        for targets in aliases.values_mut() {
            targets.sort_by_key(|target| target.order);
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
        Ok(Self { aliases, providers, default })
    }

    /// Whether the offline provider answers because no other is configured.
    pub fn is_offline(&self) -> bool {
        self.providers.is_empty()
    }

    /// Every alias that an agent definition may use for a model.
    pub fn known_names(&self) -> impl Iterator<Item = &str> {
        self.aliases.keys().map(String::as_str).chain(["inherit"])
    }

    /// What the ids of models begin with, `provider/` included.
    pub fn known_prefixes(&self) -> impl Iterator<Item = String> {
        let of_ids = ID_PREFIXES.iter().map(|(prefix, _)| (*prefix).to_owned());
        of_ids.chain(self.providers.iter().map(|provider| format!("{provider}/")))
    }

    /// Whether `name` means a model, configured or not.
    pub fn knows(&self, name: &str) -> bool {
        self.aliases.contains_key(name)
            || name == "inherit"
            || ID_PREFIXES.iter().any(|(prefix, _)| name.starts_with(prefix))
            || Target::parse(name).is_some_and(|target| self.providers.contains(&target.provider))
    }

    /// Finds the model for what a caller or an agent asks for. There always is one.
    pub fn resolve(&self, requested: Option<&str>) -> ResolvedModel {
        let (target, rule) = match requested {
            None | Some("" | "inherit") => (self.default.clone(), ResolutionRule::Default),
            Some(name) => {
                self.find(name).unwrap_or_else(|| (self.default.clone(), ResolutionRule::Fallback))
            }
        };
        ResolvedModel { requested: requested.map(str::to_owned), target, rule }
    }

    fn find(&self, name: &str) -> Option<(Target, ResolutionRule)> {
        let is_configured = |target: &Target| self.providers.contains(&target.provider);
        if let Some(targets) = self.aliases.get(name) {
            let target = targets.iter().find(|target| is_configured(target))?;
            return Some((target.clone(), ResolutionRule::Alias));
        }
        let by_prefix = || {
            ID_PREFIXES
                .iter()
                .find(|(prefix, _)| name.starts_with(prefix))
                .map(|(_, provider)| Target::new(provider, name))
        };
        Target::parse(name)
            .filter(is_configured)
            .or_else(|| by_prefix().filter(is_configured))
            .map(|target| (target, ResolutionRule::Exact))
    }
}

fn own_default(providers: &[String]) -> Result<Target, String> {
    let Some(first) = providers.first() else {
        return Ok(Target::new(offline::NAME, offline::NAME));
    };
    BUILT_IN_DEFAULTS
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
        (model.resolved(), model.rule)
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
}
