//! What a provider says of a call and has no neutral word: for callers of its protocol, and for itself when the call goes back.
//! Pure.

use crate::chat::{FurtherFields, FurtherWords, Protocol, WrittenJson};

/// The fields of a call, as they are written, that are not among the known ones and say something.
pub(super) fn further_fields<'a>(
    written: impl IntoIterator<Item = (&'a str, &'a str)>,
    known: &[&str],
) -> FurtherFields {
    let further = written.into_iter().filter(|(name, value)| {
        !known.contains(name) && !matches!(*value, "null" | "[]" | "{}" | "\"\"")
    });
    further.filter_map(|(name, value)| Some((name.to_owned(), on_one_line(value)?))).collect()
}

/// They are for callers and models who speak this protocol.
pub(super) fn words(protocol: Protocol, fields: FurtherFields) -> Option<Box<FurtherWords>> {
    // A dialect knows no names of models.
    let model = String::new();
    (!fields.is_empty()).then(|| Box::new(FurtherWords { protocol, model, fields }))
}

/// JSON has no line breaks but between its words; the events of streams are lines.
fn on_one_line(written: &str) -> Option<WrittenJson> {
    WrittenJson::read(written.replace(['\n', '\r'], " ")).ok()
}

#[cfg(test)]
mod tests {
    use super::{further_fields, words};
    use crate::chat::Protocol;

    #[test]
    fn what_says_nothing_is_left_out() {
        let written = [("id", "1"), ("a", "null"), ("b", "[]"), ("c", "{\n\"x\":1.50}")];
        let further = further_fields(written, &["id"]);
        let found: Vec<(&str, &str)> =
            further.iter().map(|(name, value)| (&**name, value.as_str())).collect();
        assert_eq!(found, [("c", "{ \"x\":1.50}")]);
        assert_eq!(words(Protocol::Messages, further_fields(written, &["id", "c"])), None);
    }
}
