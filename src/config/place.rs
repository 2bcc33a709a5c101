//! Where in a configuration file something stands. Values are read without their places, which are looked for when they
//! are told.

use std::cell::Cell;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A line of a file.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    line: usize,
}

impl Display for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} line {}", self.path.display(), self.line)
    }
}

impl Place {
    /// The line of the last of these keys, each of which stands in what the one before it names. In a list a number stands
    /// for a key. Of keys that are missing the one that they are missing in is meant.
    pub(super) fn in_yaml(path: &Path, text: &str, keys: &[&str]) -> Self {
        Self::of(path, keys, |way| {
            let error = serde_yaml::Deserializer::from_str(text).deserialize_any(way).err()?;
            error.location().map(|location| location.line())
        })
    }

    /// The same in a file of JSON.
    pub(super) fn in_json(path: &Path, text: &str, keys: &[&str]) -> Self {
        Self::of(path, keys, |way| {
            let error = serde_json::Deserializer::from_str(text).deserialize_any(way).err()?;
            Some(error.line())
        })
    }

    fn of(path: &Path, keys: &[&str], read: impl Fn(WayTo<'_>) -> Option<usize>) -> Self {
        let line_of = |keys| {
            let is_found = Cell::new(false);
            read(WayTo { keys, is_found: &is_found }).filter(|_| is_found.get())
        };
        let line = (1..=keys.len()).rev().find_map(|count| line_of(&keys[..count])).unwrap_or(1);
        Self { path: path.to_owned(), line }
    }
}

/// Reads up to the last of these keys and fails there: parsers know where they are when something fails.
#[derive(Clone, Copy)]
struct WayTo<'a> {
    keys: &'a [&'a str],
    is_found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for WayTo<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for WayTo<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((key, behind)) = self.keys.split_first() else { return Ok(()) };
        let key = Key { name: key, is_last: behind.is_empty(), is_found: self.is_found };
        while let Some(is_on_the_way) = map.next_key_seed(key)? {
            if is_on_the_way {
                return map.next_value_seed(Self { keys: behind, ..self });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((number, behind)) = self.keys.split_first() else { return Ok(()) };
        for _ in 0..number.parse().unwrap_or(0) {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Self { keys: behind, ..self }).map(drop)
    }
}

/// Whether a key is the one of this name. If it is the last, it is refused, so that the error has its line.
#[derive(Clone, Copy)]
struct Key<'a> {
    name: &'a str,
    is_last: bool,
    is_found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        let is_it = name == self.name;
        if is_it && self.is_last {
            self.is_found.set(true);
            return Err(E::custom("here it is"));
        }
        Ok(is_it)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Place;

    #[test]
    fn keys_are_found_where_they_stand() {
        let yaml = "# on_none: judge\n\
            default_model: 'dispatch: {on_none: x}'\n\
            dispatches: {on_none: 1}\n\
            'dispatch': {on_none_of: 1,\n  \
              text: \"on_none: 1\",\n  \
              on_none: judge}\n\
            models:\n  \
              a:\n    \
                targets:\n      \
                - provider: x\n      \
                - {model: b,\n         \
                   \"provider\": y}\n";
        for (keys, line) in [
            (&["dispatch"][..], 4),
            (&["dispatch", "on_none"], 6),
            (&["models", "a", "targets", "1", "provider"], 12),
            (&["models", "a", "targets", "0", "provider"], 10),
            (&["models", "a", "targets", "1", "price"], 9),
            (&["models", "a", "targets", "5", "provider"], 9),
            (&["models", "b", "targets"], 7),
            (&["default_model", "dispatch"], 2),
            (&["none"], 1),
        ] {
            let place = Place::in_yaml(Path::new("f.yaml"), yaml, keys);
            assert_eq!(place.to_string(), format!("f.yaml line {line}"), "{keys:?}");
        }
    }

    #[test]
    fn keys_of_json_are_found() {
        let json = "{\"a\": \"\\ud83d\\ude00 \\/\",\n\t\"servers\": {\n\t\t\"dock\": {},\n\t\t\"doc\":\n{}}}";
        for (keys, line) in [(&["servers", "doc"][..], 4), (&["servers", "no"], 2)] {
            let place = Place::in_json(Path::new("f.json"), json, keys);
            assert_eq!(place.to_string(), format!("f.json line {line}"), "{keys:?}");
        }
    }
}
