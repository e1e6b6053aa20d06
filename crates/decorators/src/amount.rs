//! Bytes as people write them: `4096`, `"64KiB"`, `"unlimited"`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};
use std::{borrow::Cow, fmt};

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const UNLIMITED: &str = "unlimited";

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Bytes per second; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, name) = text.split_at(split);
    let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*unit)
}

impl fmt::Display for Bytes {
    /// With the largest unit that leaves no remainder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        let (name, unit) = unit.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0.checked_div(unit).unwrap_or(self.0))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => Bytes(bytes).fmt(f),
            None => f.write_str(UNLIMITED),
        }
    }
}

/// Reads either type.
struct Amount {
    may_be_unlimited: bool,
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
        match parse(text) {
            Some(bytes) => Ok(Some(bytes)),
            None if self.may_be_unlimited && text == UNLIMITED => Ok(None),
            None => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = Amount { may_be_unlimited: false, expected: "bytes, such as 4096 or \"64KiB\"" };
        // Without the word there always is a number.
        deserializer.deserialize_any(amount).map(|bytes| Self(bytes.unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "bytes per second, such as \"10MiB\", or \"unlimited\"";
        deserializer.deserialize_any(Amount { may_be_unlimited: true, expected }).map(Self)
    }
}

macro_rules! written_and_described {
    ($($name:ident: $pattern:literal;)+) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["integer", "string"], "minimum": 0, "pattern": $pattern })
            }
        }
    )+ };
}

written_and_described! {
    Bytes: "^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$";
    Rate: "^(unlimited|[0-9]+ ?(B|KiB|MiB|GiB|TiB))$";
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn amounts_are_read_and_written() {
        for (text, bytes) in [("64KiB", 65_536), ("512MiB", 536_870_912), ("3 GiB", 3 << 30), ("7B", 7)] {
            assert_eq!(from_value::<Bytes>(json!(text)).unwrap(), Bytes(bytes));
            assert_eq!(to_value(Rate(Some(bytes))).unwrap(), json!(text.replace(' ', "")));
        }
        assert_eq!(from_value::<Rate>(json!(4_096)).unwrap(), Rate(Some(4_096)));
        assert_eq!(from_value::<Rate>(json!("unlimited")).unwrap(), Rate(None));
        assert_eq!(to_value(Rate(None)).unwrap(), json!("unlimited"));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "64", "64KB", "-1KiB", "1.5GiB", "99999999999TiB", "KiB", "unlimited"] {
            assert!(from_value::<Bytes>(json!(text)).is_err(), "{text}");
        }
        assert_eq!(
            from_value::<Rate>(json!(-1)).unwrap_err().to_string(),
            "invalid value: integer `-1`, expected bytes per second, such as \"10MiB\", or \"unlimited\""
        );
    }
}
