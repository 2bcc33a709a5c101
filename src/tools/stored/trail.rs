//! What the audit is told of tool servers. The path of a URL may be a secret, and is no part of it.

use http::Uri;
use serde_json::json;

use crate::audit::{Action, NewEntry};

pub(super) fn entry(action: Action, name: &str, url: &str, is_default: bool) -> NewEntry {
    let url: Option<Uri> = url.parse().ok();
    let host = url.as_ref().and_then(Uri::authority).map(ToString::to_string);
    NewEntry {
        action,
        subject: name.to_owned(),
        detail: json!({"host": host, "default": is_default}),
    }
}
