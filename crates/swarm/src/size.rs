//! Sizes as people write them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};
use std::{borrow::Cow, fmt};

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Bytes, or `"never"`. Reads `4096`, `"512MiB"` and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SizeOrNever(pub Option<u64>);

impl SizeOrNever {
    /// No size is reached.
    pub const NEVER: Self = Self(None);
}

impl fmt::Display for SizeOrNever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.write_str("never") };
        let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
        let (name, unit) = unit.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", bytes.checked_div(unit).unwrap_or(bytes))
    }
}

fn parse(text: &str) -> Option<SizeOrNever> {
    let text = text.trim();
    if text == "never" {
        return Some(SizeOrNever::NEVER);
    }
    let (number, name) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name.trim())?;
    let bytes = number.parse::<u64>().ok()?.checked_mul(*unit)?;
    Some(SizeOrNever(Some(bytes)))
}

impl Serialize for SizeOrNever {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SizeOrNever {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = SizeOrNever;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"never\", or bytes, such as 4096 or \"512MiB\"")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<SizeOrNever, E> {
        Ok(SizeOrNever(Some(bytes)))
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<SizeOrNever, E> {
        let bytes = u64::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))?;
        self.visit_u64(bytes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SizeOrNever, E> {
        parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for SizeOrNever {
    fn schema_name() -> Cow<'static, str> {
        "SizeOrNever".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^(never|[0-9]+ ?(B|KiB|MiB|GiB|TiB))$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("64KiB", 65_536), ("512MiB", 512 << 20), ("3GiB", 3 << 30), ("7B", 7)] {
            let size = SizeOrNever(Some(bytes));
            assert_eq!((parse(text), size.to_string().as_str()), (Some(size), text));
        }
        assert_eq!(
            (parse(" never "), SizeOrNever::NEVER.to_string()),
            (Some(SizeOrNever::NEVER), "never".into())
        );
        assert_eq!(from_value::<SizeOrNever>(json!(4096)).unwrap(), SizeOrNever(Some(4096)));
        for text in ["", "64", "64KB", "-1KiB", "1.5GiB", "99999999999TiB", "KiB", "Never"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(
            from_value::<SizeOrNever>(json!(-1)).unwrap_err().to_string(),
            "invalid value: integer `-1`, expected \"never\", or bytes, such as 4096 or \"512MiB\""
        );
    }
}
