//! JSON that is kept as it is written.

use std::fmt;

use bytestring::ByteString;
use memchr::memchr2;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A number of more characters is written anew.
const LONGEST_NUMBER: usize = 1_000;

/// So is one whose exponent has more digits.
const LONGEST_EXPONENT: usize = 4;

/// JSON as somebody has written it, with their digits and blanks. It can be read as a [`Value`], and is written into other JSON
/// as it is.
///
/// It is read from JSON alone, and from nothing that serde buffers: neither flattened nor in an enum without a tag.
#[derive(Clone, PartialEq, Eq)]
pub struct WrittenJson(ByteString);

impl WrittenJson {
    /// Takes a text that holds JSON.
    ///
    /// # Errors
    /// If it does not, or JSON that cannot be read as a [`Value`].
    pub fn read(text: impl Into<ByteString>) -> Result<Self, serde_json::Error> {
        let text = text.into();
        let value: Value = serde_json::from_str(&text)?;
        Ok(if has_endless_number(&text) { value.into() } else { Self(text) })
    }

    pub fn empty_object() -> Self {
        Self(ByteString::from_static("{}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it says, as exactly as a [`Value`] can.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).expect("it was read as a value before")
    }

    pub fn is_object(&self) -> bool {
        self.0.trim_ascii_start().starts_with('{')
    }

    pub fn is_string(&self) -> bool {
        self.0.trim_ascii_start().starts_with('"')
    }
}

impl From<Value> for WrittenJson {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Debug for WrittenJson {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for WrittenJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WrittenJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(Box::<str>::from(raw).into_string()).map_err(D::Error::custom)
    }
}

/// Whether there is a number that PostgreSQL does not take, such as `1e-99999`. All of a record could not be read there.
fn has_endless_number(json: &str) -> bool {
    let mut rest = json.as_bytes();
    while let Some(start) = rest.iter().position(|byte| *byte == b'"' || byte.is_ascii_digit()) {
        rest = &rest[start..];
        let length = if rest[0] == b'"' { text_length(rest) } else { number_length(rest) };
        let (piece, behind) = rest.split_at(length);
        if piece[0] != b'"' && is_endless(piece) {
            return true;
        }
        rest = behind;
    }
    false
}

fn is_endless(number: &[u8]) -> bool {
    let exponent = number.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let digits = exponent
        .map_or(0, |start| number[start..].iter().filter(|byte| byte.is_ascii_digit()).count());
    number.len() > LONGEST_NUMBER || digits > LONGEST_EXPONENT
}

fn number_length(json: &[u8]) -> usize {
    let is_of_number =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    json.iter().position(|byte| !is_of_number(byte)).unwrap_or(json.len())
}

/// How long the text is that begins with the first quote, the last one included.
fn text_length(json: &[u8]) -> usize {
    let mut length = 1;
    while let Some(offset) = memchr2(b'"', b'\\', &json[length.min(json.len())..]) {
        if json[length + offset] == b'"' {
            return length + offset + 1;
        }
        length += offset + 2;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::WrittenJson;

    const ODD: &str =
        " {\"a\" : 1.50,\n\"b\":123456789012345678901234567890, \"c\":\"\\u00e9\\\"1e-99999\"} ";

    #[test]
    fn it_stays_as_it_is_written_inside_of_other_json() {
        let odd = WrittenJson::read(ODD).expect("is JSON");
        assert_eq!(odd.as_str(), ODD);
        let around = format!("[{}]", ODD.trim());
        assert_eq!(serde_json::to_string(&[&odd]).expect("is plain"), around);
        let [read] = serde_json::from_str::<[WrittenJson; 1]>(&around).expect("is JSON");
        assert_eq!(read.as_str(), ODD.trim());
        assert_eq!(json!({"in": odd})["in"], odd.to_value());
        assert!(odd.is_object() && !odd.is_string());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "{\"a\":1} {}", "1e999", "\"\\ud800\""] {
            assert!(WrittenJson::read(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<WrittenJson>("1e999").is_err());
    }

    #[test]
    fn numbers_that_no_database_takes_are_written_anew() {
        let long = format!("0.{}1", "0".repeat(20_000));
        for number in ["1e-99999", "-1E-99999", &long] {
            let written = format!("{{\"\\\\\": [\"\\\"\", {number}]}}");
            let read = WrittenJson::read(written.as_str()).expect("is JSON");
            let value: Value = serde_json::from_str(&written).expect("is JSON");
            assert_eq!(read, value.into());
        }
        for number in ["1e-300", "0.1234567890123456789012345678901234567890", "-12E+3"] {
            let read = WrittenJson::read(number).expect("is JSON");
            assert_eq!(read.as_str(), number);
        }
    }
}
