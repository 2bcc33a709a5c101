//! Keeps what the operator has given a server, which may be secret, out of what is logged and shown of it.

use super::{Connection, ServerSettings};

/// A shorter value is no secret, and would be found in every text.
const MIN_LENGTH: usize = 8;

/// The same of a value that the environment gave, which is mostly a secret.
const MIN_LENGTH_GIVEN: usize = 4;

/// The values to look for.
#[derive(Debug, Clone, Default)]
pub(super) struct Redaction {
    values: Vec<String>,
}

impl Redaction {
    pub fn of(settings: &ServerSettings) -> Self {
        let mut values: Vec<String> = match &settings.connection {
            Connection::Command { args, env, .. } => {
                // Of `--key=value` the value.
                let args = args.iter().map(|arg| arg.rsplit('=').next().unwrap_or(arg));
                // Names of packages and paths are worth reading in an error.
                let args = args.filter(|arg| !arg.contains('/'));
                args.map(str::to_owned).chain(env.values().cloned()).collect()
            }
            Connection::Url { url, headers } => {
                let values = headers.iter().filter_map(|(_, value)| value.to_str().ok());
                // `Bearer secret`
                let values = values.flat_map(|value| value.split(' ')).map(str::to_owned);
                values.chain(url.query().map(str::to_owned)).collect()
            }
        };
        values.retain(|value| value.len() >= MIN_LENGTH);
        let given = settings.secrets.0.iter().filter(|value| value.len() >= MIN_LENGTH_GIVEN);
        values.extend(given.cloned());
        // The longest first: one may be a part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), "…");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Redaction;
    use crate::tools::{Connection, Secrets, ServerSettings};

    fn redaction(args: &[&str], env: &str, secrets: &[&str]) -> Redaction {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let connection = Connection::Command {
            command: "npx".into(),
            args: owned(args),
            env: [("KEY".to_owned(), env.to_owned())].into(),
        };
        let secrets = Secrets(owned(secrets));
        let name = String::new();
        Redaction::of(&ServerSettings { name, is_default: true, connection, secrets })
    }

    #[test]
    fn values_that_were_given_are_not_told() {
        let args = ["-y", "@scope/package", "--api-key=secret-of-args"];
        assert_eq!(
            redaction(&args, "secret-of-env", &[])
                .apply("@scope/package: secret-of-env, secret-of-args"),
            "@scope/package: …, …"
        );
    }

    #[test]
    fn what_the_environment_gave_is_not_told_as_a_part_of_an_argument_or_if_it_is_short() {
        let args = ["postgres://u:secret@127.0.0.1/db", "-v"];
        assert_eq!(
            redaction(&args, "pin1", &["secret", "pin1", "-v"]).apply("-v: u:secret@h, pin1"),
            "-v: u:…@h, …"
        );
    }
}
