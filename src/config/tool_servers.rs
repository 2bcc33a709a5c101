//! The operator's tool servers: those of `rolecall.yaml`, and those of a file in the common `mcpServers` shape.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::ConfigError;
use super::file::{ConfigFile, McpServerEntry};
use super::http_url;
use super::place::Place;
use super::variables::{Expanded, Variables};
use crate::tools::{Connection, MAX_SERVERS, Secrets, ServerSettings, check_name};

/// What programs need of the environment. Everything else of ours, such as the keys of providers, is not theirs.
const INHERITED: &[&str] =
    &["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"];

/// A file that clients such as Claude Code read (`.mcp.json`).
#[derive(Debug, Deserialize)]
struct McpFile {
    #[serde(default, rename = "mcpServers")]
    mcp_servers: Map<String, Value>,
    /// As some clients name them.
    #[serde(default)]
    servers: Map<String, Value>,
}

/// An entry of such a file. It is written for other programs too, so that what is not known is passed over.
#[derive(Debug, Deserialize)]
struct McpFileEntry {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    disabled: bool,
    /// Every agent has what stands in such a file, as it is with the clients that read it, unless this says otherwise.
    default: Option<bool>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(alias = "serverUrl", alias = "httpUrl")]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Where entries stand, for what is said of them.
#[derive(Clone, Copy)]
enum Entries<'a> {
    /// Below `mcp_servers` of the configuration file.
    Own(&'a ConfigFile),
    /// In a file that other programs read too.
    Shared { path: &'a Path, text: &'a str, section: &'static str },
}

/// All tool servers, by name. An entry of `rolecall.yaml` stands in for one of that name in the other file.
pub(super) fn configured(
    file: &ConfigFile,
    variables: &Variables,
    notices: &mut Vec<String>,
) -> Result<Vec<ServerSettings>, ConfigError> {
    let mut servers = Vec::new();
    let own = Entries::Own(file);
    for (name, entry) in &file.mcp_servers {
        servers.extend(own.read(name, entry, variables, notices)?);
    }
    if let Some(path) = &file.mcp_config {
        // Beside the file that names it.
        let path = file.path.parent().unwrap_or(Path::new("")).join(path);
        for server in from_mcp_file(&path, variables, notices)? {
            if !file.mcp_servers.keys().any(|name| name.eq_ignore_ascii_case(&server.name)) {
                servers.push(server);
            }
        }
    }
    servers.sort_by(|one, other| one.name.cmp(&other.name));
    // Definitions name servers without regard to case.
    let mut names: Vec<String> =
        servers.iter().map(|server| server.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(one),
        _ => None,
    });
    if let Some(name) = twice {
        return Err(own.refuse(name, "two tool servers have this name"));
    }
    if servers.len() > MAX_SERVERS {
        return Err(ConfigError::TooManyToolServers(MAX_SERVERS));
    }
    Ok(servers)
}

/// The part of the environment that child processes have too.
pub(super) fn inherited(variables: &Variables) -> BTreeMap<String, String> {
    let value = |name: &&str| Some(((*name).to_owned(), variables.get(name)?.to_owned()));
    INHERITED.iter().filter_map(value).collect()
}

fn from_mcp_file(
    path: &PathBuf,
    variables: &Variables,
    notices: &mut Vec<String>,
) -> Result<Vec<ServerSettings>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
    // A value in the wrong place may be a secret: of what is wrong, only where it is is told.
    let file: McpFile = serde_json::from_str(&text).map_err(|error| ConfigError::Invalid {
        path: path.clone(),
        message: format!(
            "not a file of `mcpServers` (line {}, column {})",
            error.line(),
            error.column()
        ),
    })?;
    variables.check(path, &text)?;
    let of = |section| Entries::Shared { path, text: &text, section };
    let mcp_servers = file.mcp_servers.into_iter().map(|entry| (of("mcpServers"), entry));
    let others = file.servers.into_iter().map(|entry| (of("servers"), entry));
    let mut servers = Vec::new();
    for (shared, (name, value)) in mcp_servers.chain(others) {
        let entry: McpFileEntry = serde_json::from_value(value)
            .map_err(|_| shared.refuse(&name, "it has a value of the wrong kind"))?;
        if entry.disabled {
            continue;
        }
        if entry.kind.as_deref() == Some("sse") {
            notices.push(format!(
                "the tool server `{name}` of {} is of the type `sse`, which is not spoken any more, and is left out",
                path.display()
            ));
            continue;
        }
        let entry = McpServerEntry {
            command: entry.command,
            args: entry.args,
            env: entry.env,
            url: entry.url,
            headers: entry.headers,
            default: entry.default.unwrap_or(true),
        };
        servers.extend(shared.read(&name, &entry, variables, notices)?);
    }
    Ok(servers)
}

impl Entries<'_> {
    /// `None` if the entry refers to an optional variable that is not set, where it cannot do without.
    fn read(
        &self,
        name: &str,
        entry: &McpServerEntry,
        variables: &Variables,
        notices: &mut Vec<String>,
    ) -> Result<Option<ServerSettings>, ConfigError> {
        check_name(name).map_err(|message| self.refuse(name, message))?;
        let connection = match (&entry.command, &entry.url) {
            (Some(command), None) if !command.trim().is_empty() => {
                if !entry.headers.is_empty() {
                    return Err(self.refuse(name, "`headers` belong to a `url`"));
                }
                command_of(command, entry, variables)
            }
            (None, Some(url)) => {
                if !entry.args.is_empty() || !entry.env.is_empty() {
                    return Err(self.refuse(name, "`args` and `env` belong to a `command`"));
                }
                self.url_of(name, url, entry, variables)?
            }
            (Some(_), Some(_)) => {
                return Err(
                    self.refuse(name, "it has a `command` and a `url`: one of them is enough")
                );
            }
            _ => return Err(self.refuse(name, "it needs a `command` or a `url`")),
        };
        if connection.is_none() {
            notices.push(format!(
                "the tool server `{name}` refers to a variable that is not set, and is left out"
            ));
        }
        Ok(connection.map(|connection| ServerSettings {
            name: name.to_owned(),
            is_default: entry.default,
            connection,
            secrets: secrets_of(entry, variables),
        }))
    }

    fn url_of(
        &self,
        name: &str,
        url: &str,
        entry: &McpServerEntry,
        variables: &Variables,
    ) -> Result<Option<Connection>, ConfigError> {
        let Expanded::Text(url) = variables.expand(url) else { return Ok(None) };
        let url = http_url(&url)
            .ok_or_else(|| self.refuse(name, "`url` must be `http://…` or `https://…`"))?;
        let mut headers = Vec::new();
        for (header, value) in &entry.headers {
            let Expanded::Text(value) = variables.expand(value) else { continue };
            let parsed = HeaderName::try_from(header).ok().zip(HeaderValue::try_from(value).ok());
            let (header, mut value) = parsed.ok_or_else(|| {
                self.refuse(name, &format!("`{header}` cannot be sent as a header"))
            })?;
            value.set_sensitive(true);
            headers.push((header, value));
        }
        Ok(Some(Connection::Url { url, headers }))
    }

    fn refuse(&self, name: &str, message: &str) -> ConfigError {
        let place = match self {
            Self::Own(file) => file.place(&["mcp_servers", name]),
            Self::Shared { path, text, section } => Place::in_json(path, text, &[section, name]),
        };
        ConfigError::ToolServer { place, name: name.to_owned(), message: message.to_owned() }
    }
}

/// What the environment gives to an entry, but for what every child process has anyway.
fn secrets_of(entry: &McpServerEntry, variables: &Variables) -> Secrets {
    let texts = entry.command.iter().chain(&entry.args).chain(&entry.url);
    let texts = texts.chain(entry.env.values()).chain(entry.headers.values());
    let given = texts.flat_map(|text| variables.given_to(text));
    let secrets = given.filter(|(name, _)| !INHERITED.contains(name));
    Secrets(secrets.map(|(_, value)| value.to_owned()).collect())
}

/// What an optional variable that is not set would have said is left out of `args` and `env`.
fn command_of(command: &str, entry: &McpServerEntry, variables: &Variables) -> Option<Connection> {
    let text = |value: &String| match variables.expand(value) {
        Expanded::Text(text) => Some(text),
        Expanded::NotConfigured => None,
    };
    let env = entry.env.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?)));
    Some(Connection::Command {
        command: text(&command.to_owned())?,
        args: entry.args.iter().filter_map(text).collect(),
        env: env.collect(),
    })
}
