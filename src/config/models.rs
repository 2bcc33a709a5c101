//! Models that the configuration names: those behind aliases, the one that answers where none is named, the judge's. A
//! misspelt name is told at start, and not when it is needed.

use std::time::Duration;

use super::error::{ConfigError, Origin};
use super::file::ConfigFile;
use super::{Flags, providers};
use crate::dispatch::JudgeSettings;
use crate::provider::{Catalog, ProviderSettings, ResolutionRule, Target};

/// Refuses an alias for a model of a provider that there is not.
pub(super) fn check_aliases(file: &ConfigFile) -> Result<(), ConfigError> {
    for (alias, entry) in &file.models {
        for (index, target) in entry.targets.iter().enumerate() {
            providers::check_known(file, &target.provider, || {
                file.origin(&["models", alias, "targets", &index.to_string(), "provider"])
            })?;
        }
    }
    Ok(())
}

/// The default model, if one is set and its provider is configured.
pub(super) fn default_model(
    flags: &Flags,
    file: &ConfigFile,
    providers: &[ProviderSettings],
    notices: &mut Vec<String>,
) -> Result<Option<Target>, ConfigError> {
    let model = flags.default_model.as_ref().or(file.default_model.as_ref());
    let Some(model) = model.filter(|text| !text.is_empty()) else { return Ok(None) };
    let origin = || match flags.default_model {
        Some(_) => Origin::Variable("ROLECALL_DEFAULT_MODEL"),
        None => file.origin(&["default_model"]),
    };
    let target = Target::parse(model)
        .ok_or_else(|| ConfigError::DefaultModel { origin: origin(), model: model.clone() })?;
    providers::check_known(file, &target.provider, origin)?;
    if providers.iter().any(|provider| provider.name == target.provider) {
        return Ok(Some(target));
    }
    notices.push(format!(
        "the provider of the default model `{}/{}` is not configured, so another answers",
        target.provider, target.model
    ));
    Ok(None)
}

pub(super) fn catalog(
    file: &ConfigFile,
    providers: &[ProviderSettings],
    default_model: Option<&Target>,
) -> Result<Catalog, ConfigError> {
    let names = providers.iter().map(|provider| provider.name.clone()).collect();
    Catalog::new(names, file.model_targets(), default_model.cloned()).map_err(ConfigError::Models)
}

/// The judge's settings.
pub(super) fn judge(
    file: &ConfigFile,
    catalog: &Catalog,
    notices: &mut Vec<String>,
) -> Result<Option<JudgeSettings>, ConfigError> {
    let Some(entry) = &file.dispatch.judge else { return Ok(None) };
    let model = &entry.model;
    if !catalog.knows(model) {
        let origin = || file.origin(&["dispatch", "judge", "model"]);
        let target = Target::parse(model)
            .ok_or_else(|| ConfigError::JudgeModel { origin: origin(), model: model.clone() })?;
        providers::check_known(file, &target.provider, origin)?;
    }
    let resolved = catalog.resolve(Some(model));
    if resolved.first().is_offline() {
        notices
            .push("a judge is set and no provider to ask it of, so nothing is judged".to_owned());
    } else if resolved.rule == ResolutionRule::Fallback {
        notices.push(format!(
            "the provider of the judge's model `{model}` is not configured, so `{}` judges",
            resolved.first().full_name()
        ));
    }
    Ok(Some(JudgeSettings {
        model: model.clone(),
        timeout: Duration::from_millis(entry.timeout_ms.get()),
        margin_below: entry.margin_below,
    }))
}
