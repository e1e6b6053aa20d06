//! Amounts as people write them: `4096`, `"512MiB"`, `"auto"`, `"unlimited"`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};
use std::{borrow::Cow, fmt};

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Bytes with a unit: the largest that leaves no remainder.
pub(super) fn size_text(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (name, unit) = unit.copied().unwrap_or(("B", 1));
    format!("{}{name}", bytes.checked_div(unit).unwrap_or(bytes))
}

/// Bytes for reading: three digits or so, and a unit.
pub(super) fn rounded(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit).copied().unwrap_or(("B", 1));
    match unit {
        ("B", _) => format!("{bytes} B"),
        (name, unit) => format!("{:.1} {name}", bytes as f64 / unit as f64),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, name) = text.split_at(split);
    let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*unit)
}

/// Reads what a type of this file takes.
struct Amount {
    /// What stands for no number, if anything does.
    word: Option<&'static str>,
    bytes: bool,
    expected: &'static str,
}

impl Visitor<'_> for Amount {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match u64::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match parse_size(text).filter(|_| self.bytes) {
            Some(bytes) => Ok(Some(bytes)),
            None if self.word == Some(text) => Ok(None),
            None => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

macro_rules! amounts {
    ($($(#[$doc:meta])* $name:ident { word: $word:expr, bytes: $bytes:literal, expected: $expected:literal })+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub Option<u64>);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match (self.0, $word) {
                    (None, Some(word)) => serializer.serialize_str(word),
                    (Some(bytes), _) if $bytes => serializer.serialize_str(&size_text(bytes)),
                    (number, _) => serializer.serialize_u64(number.unwrap_or(0)),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word: Option<&'static str> = $word;
                let amount = Amount { word, bytes: $bytes, expected: $expected };
                deserializer.deserialize_any(amount).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["integer", "string"], "minimum": 0, "description": $expected })
            }
        }
    )+ };
}

amounts! {
    /// Bytes.
    Bytes { word: None::<&'static str>, bytes: true, expected: "bytes, such as 4096 or \"64KiB\"" }
    /// Bytes, or `"auto"`.
    AutoBytes { word: Some("auto"), bytes: true, expected: "\"auto\" or bytes, such as \"512MiB\"" }
    /// A number, or `"auto"`.
    AutoCount { word: Some("auto"), bytes: false, expected: "\"auto\" or a number" }
    /// A limit of things that are counted.
    CountLimit { word: Some("unlimited"), bytes: false, expected: "a number or \"unlimited\"" }
    /// A limit of bytes.
    BytesLimit { word: Some("unlimited"), bytes: true, expected: "bytes, such as \"64MiB\", or \"unlimited\"" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("64KiB", 65_536), ("512MiB", 536_870_912), ("3 GiB", 3 << 30), ("7B", 7)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(size_text(bytes), text.replace(' ', ""));
        }
        for text in ["", "64", "64KB", "-1KiB", "1.5GiB", "99999999999TiB", "KiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(rounded(25_276_502_016), "23.5 GiB");
    }

    #[test]
    fn amounts_are_read_and_written() {
        assert_eq!(from_value::<AutoBytes>(json!("auto")).unwrap(), AutoBytes(None));
        assert_eq!(from_value::<AutoBytes>(json!(4096)).unwrap(), AutoBytes(Some(4096)));
        assert_eq!(to_value(AutoBytes(None)).unwrap(), json!("auto"));
        assert_eq!(to_value(Bytes(Some(1 << 20))).unwrap(), json!("1MiB"));
        assert_eq!(to_value(CountLimit(Some(8))).unwrap(), json!(8));
        assert_eq!(to_value(BytesLimit(None)).unwrap(), json!("unlimited"));
        assert_eq!(
            from_value::<CountLimit>(json!("1MiB")).unwrap_err().to_string(),
            "invalid value: string \"1MiB\", expected a number or \"unlimited\""
        );
        assert_eq!(
            from_value::<Bytes>(json!(-1)).unwrap_err().to_string(),
            "invalid value: integer `-1`, expected bytes, such as 4096 or \"64KiB\""
        );
    }
}
