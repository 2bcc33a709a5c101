//! Keeps what the operator has given a server, which may be secret, out of what is logged and shown of it.

use super::Connection;

/// A shorter value is no secret, and would be found in every text.
const MIN_LENGTH: usize = 8;

/// The values to look for.
#[derive(Debug, Clone, Default)]
pub(super) struct Redaction {
    values: Vec<String>,
}

impl Redaction {
    pub fn of(connection: &Connection) -> Self {
        let mut values: Vec<String> = match connection {
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
    use crate::tools::Connection;

    #[test]
    fn values_that_were_given_are_not_told() {
        let connection = Connection::Command {
            command: "npx".into(),
            args: vec!["-y".into(), "@scope/package".into(), "--api-key=secret-of-args".into()],
            env: [("KEY".to_owned(), "secret-of-env".to_owned())].into(),
        };
        let redaction = Redaction::of(&connection);
        assert_eq!(
            redaction.apply("@scope/package: secret-of-env, secret-of-args"),
            "@scope/package: …, …"
        );
    }
}
