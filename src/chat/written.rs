//! JSON as it is written, taken apart without being read: long texts are passed over at the speed of a search. It has to
//! be known to be valid; of what is not, the parts make no sense. Pure.

use bytestring::ByteString;
use indexmap::IndexMap;
use memchr::memchr2;

/// The fields of an object, each with its value as it is written: parts of its text, which is not copied.
pub type WrittenFields = IndexMap<ByteString, ByteString>;

/// The fields of an object; of a name that stands there twice the last one.
pub fn written_fields(object: &ByteString) -> WrittenFields {
    let mut fields = WrittenFields::new();
    let mut reader = Reader { text: object, position: 0 };
    if reader.enter(b'{') {
        while let Some(name) = reader.next_value() {
            let value = reader.next_value().unwrap_or_default();
            fields.insert(read_name(object, name), object.slice_ref(value));
        }
    }
    fields
}

/// The items of a list; none if it is no list.
pub fn written_items(list: &str) -> Vec<&str> {
    let mut reader = Reader { text: list, position: 0 };
    if reader.enter(b'[') {
        std::iter::from_fn(|| reader.next_value()).collect()
    } else {
        Vec::new()
    }
}

fn read_name(object: &ByteString, written: &str) -> ByteString {
    let bare = written.get(1..written.len() - 1).unwrap_or_default();
    if bare.contains('\\') {
        serde_json::from_str::<String>(written).unwrap_or_default().into()
    } else {
        object.slice_ref(bare)
    }
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_while(&mut self, is_skipped: impl Fn(u8) -> bool) {
        while self.byte().is_some_and(&is_skipped) {
            self.position += 1;
        }
    }

    /// Goes behind the bracket that begins the text; false if that is another one, or none.
    fn enter(&mut self, bracket: u8) -> bool {
        self.skip_while(|byte| byte.is_ascii_whitespace());
        let is_there = self.byte() == Some(bracket);
        self.position += 1;
        is_there
    }

    /// The next value, or the next name, of what has been entered; `None` at its end.
    fn next_value(&mut self) -> Option<&'a str> {
        self.skip_while(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b':'));
        let start = self.position;
        match self.byte()? {
            b'}' | b']' => return None,
            b'"' => self.skip_text(),
            b'{' | b'[' => self.skip_nested(),
            _ => self.skip_while(|byte| {
                !byte.is_ascii_whitespace() && !matches!(byte, b',' | b'}' | b']')
            }),
        }
        self.text.get(start..self.position)
    }

    fn skip_text(&mut self) {
        self.position += 1;
        let rest = |position| self.text.as_bytes().get(position..).unwrap_or_default();
        while let Some(offset) = memchr2(b'"', b'\\', rest(self.position)) {
            self.position += offset + 1;
            if self.text.as_bytes()[self.position - 1] == b'"' {
                return;
            }
            // What is escaped.
            self.position += 1;
        }
        self.position = self.text.len();
    }

    fn skip_nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => {
                    self.skip_text();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.position += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::{WrittenFields, written_fields, written_items};

    #[test]
    fn fields_and_items_stay_as_they_are_written() {
        let object =
            r#" {"a" : 1.50 ,"\u0062":"x\"}\\", "c":{"d":["]"],"e":{}} , "a":[ ],"f":null}"#;
        let found: Vec<_> = written_fields(&object.into()).into_iter().collect();
        let expected =
            [("a", "[ ]"), ("b", r#""x\"}\\""#), ("c", r#"{"d":["]"],"e":{}}"#), ("f", "null")];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(
            written_items(r#" [ 1,"a,]" , {"b":[2]},[]]"#),
            ["1", r#""a,]""#, r#"{"b":[2]}"#, "[]"]
        );
        assert!(written_fields(&"[1]".into()).is_empty());
        assert!(written_fields(&" { } ".into()).is_empty());
        assert!(written_items("{}").is_empty() && written_items("[]").is_empty());
    }

    proptest! {
        #[test]
        fn parts_are_those_that_a_parser_finds(object in object()) {
            let read: indexmap::IndexMap<String, Box<RawValue>> =
                serde_json::from_str(&object).expect("is valid");
            let read: WrittenFields =
                read.into_iter().map(|(name, value)| (name.into(), value.get().into())).collect();
            prop_assert_eq!(written_fields(&object.as_str().into()), read);
            let list = format!("[{object},{object}]");
            let read: Vec<&RawValue> = serde_json::from_str(&list).expect("is valid");
            let read: Vec<&str> = read.into_iter().map(RawValue::get).collect();
            prop_assert_eq!(written_items(&list), read);
        }

        #[test]
        fn what_is_no_json_is_no_trouble(text in "[\\[\\]{}\",:\\\\a1é ]{0,24}") {
            written_fields(&text.as_str().into());
            written_items(&text);
        }
    }

    /// An object with all that may stand in one.
    fn object() -> impl Strategy<Value = String> {
        let scalar = "(-?[1-9][0-9]{0,3}(\\.5)?(e3)?|true|null|\"([a-zé{}\\[\\],: ]|\\\\[\"\\\\nt]|\\\\u00e9){0,6}\")";
        let value = scalar.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![list_of(inner.clone()), object_of(inner)]
        });
        object_of(value)
    }

    fn list_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        proptest::collection::vec(value, 0..3)
            .prop_map(|items| format!("[ {}]", items.join(" ,\n")))
    }

    fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let field = ("\"[a-c]{0,2}(\\\\\\\\|\\\\u0061)?\"", value);
        proptest::collection::vec(field, 0..4).prop_map(|fields| {
            let fields: Vec<String> =
                fields.into_iter().map(|(name, value)| format!("{name} : {value} ")).collect();
            format!("{{{}}}", fields.join(",\t"))
        })
    }
}
