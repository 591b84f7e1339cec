//! A field of a response that may be null, missing, or something that this version does not know.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{ResetInterval, sanitize};

/// What the server reported for a field. Only [`Reported::None`] means that there is no limit, reset
/// or expiry: what is missing or not understood must not look like it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reported<T> {
    /// The response did not have the field.
    #[default]
    Missing,
    /// The response said that there is none.
    None,
    /// A value.
    Value(T),
    /// Something else, in the server's own words; safe to show.
    Other(String),
}

/// A type of field that a server reports.
pub trait ServerValue: Copy {
    /// Parses a text: `Some(None)` is the server's word for none.
    fn from_text(text: &str) -> Option<Option<Self>>;
    /// Returns the value as the server writes it.
    fn to_json(self) -> Value;

    /// Parses a number.
    fn from_number(_number: f64) -> Option<Self> {
        None
    }
}

impl ServerValue for f64 {
    fn from_text(text: &str) -> Option<Option<Self>> {
        text.trim().parse().ok().and_then(Self::from_number).map(Some)
    }

    fn to_json(self) -> Value {
        self.into()
    }

    fn from_number(number: f64) -> Option<Self> {
        // A larger number is not a plausible amount.
        Some(number).filter(|number| number.abs() < 1e15)
    }
}

impl ServerValue for Timestamp {
    fn from_text(text: &str) -> Option<Option<Self>> {
        // A date or a time without an offset names no instant.
        text.parse().ok().map(Some)
    }

    fn to_json(self) -> Value {
        self.to_string().into()
    }
}

impl ServerValue for ResetInterval {
    fn from_text(text: &str) -> Option<Option<Self>> {
        match text {
            "never" | "none" => Some(None),
            word => Self::ALL.into_iter().find(|reset| reset.as_str() == word).map(Some),
        }
    }

    fn to_json(self) -> Value {
        self.as_str().into()
    }
}

/// Parses an amount, which some servers send as a string.
pub fn parse_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().and_then(f64::from_number),
        Value::String(text) => f64::from_text(text).flatten(),
        _ => None,
    }
}

impl<T: ServerValue> Reported<T> {
    /// Parses a field of a response; `None` is a missing field.
    pub fn from_json(value: Option<&Value>) -> Self {
        match value {
            None => Self::Missing,
            Some(Value::Null) => Self::None,
            Some(Value::String(text)) => Self::from_text(text),
            Some(value) => match value.as_f64().and_then(T::from_number) {
                Some(value) => Self::Value(value),
                None => Self::Other(sanitize(&value.to_string(), 40)),
            },
        }
    }

    fn from_text(text: &str) -> Self {
        match T::from_text(text) {
            Some(Some(value)) => Self::Value(value),
            Some(None) => Self::None,
            None => Self::Other(sanitize(text, 40)),
        }
    }

    /// Returns the value, if it is known.
    pub fn value(&self) -> Option<T> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Missing | Self::None | Self::Other(_) => None,
        }
    }

    /// Returns whether the server said that there is none.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns whether the response did not have the field.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// Returns the value or none, or else the server's words for what is not understood; those are
    /// empty for a missing field.
    pub fn to_known(&self) -> Result<Option<T>, &str> {
        match self {
            Self::Value(value) => Ok(Some(*value)),
            Self::None => Ok(None),
            Self::Missing => Err(""),
            Self::Other(words) => Err(words),
        }
    }

    /// Returns the value as text for the user: the server's words for what is not understood, and
    /// `unknown` for what is missing.
    pub fn describe(&self, none: &str, format: impl FnOnce(T) -> String) -> String {
        match self.to_known() {
            Ok(Some(value)) => format(value),
            Ok(None) => none.to_owned(),
            Err(words) if words.trim().is_empty() => "unknown".to_owned(),
            Err(words) => words.to_owned(),
        }
    }
}

impl<T> From<Option<T>> for Reported<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Self::Value)
    }
}

impl<T: ServerValue> Serialize for Reported<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // A missing field is skipped where it is written.
            Self::Missing | Self::None => Value::Null,
            Self::Value(value) => value.to_json(),
            Self::Other(words) => Value::from(words.as_str()),
        }
        .serialize(serializer)
    }
}

impl<'de, T: ServerValue> Deserialize<'de> for Reported<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReportedVisitor(PhantomData))
    }
}

/// Reads a field without a copy of its text: an inventory has thousands of them.
struct ReportedVisitor<T>(PhantomData<T>);

impl<'de, T: ServerValue> Visitor<'de> for ReportedVisitor<T> {
    type Value = Reported<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that a server reports")
    }

    fn visit_unit<E: Error>(self) -> Result<Reported<T>, E> {
        Ok(Reported::None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Reported<T>, E> {
        Ok(Reported::from_json(Some(&value.into())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Reported<T>, E> {
        Ok(Reported::from_json(Some(&value.into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Reported<T>, E> {
        Ok(Reported::from_json(Some(&value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Reported<T>, E> {
        Ok(Reported::from_json(Some(&value.into())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Reported<T>, E> {
        Ok(Reported::from_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Reported<T>, A::Error> {
        let value = Value::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(Reported::from_json(Some(&value)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Reported<T>, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Reported::from_json(Some(&value)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described<T: ServerValue + ToString>(value: Value) -> String {
        Reported::<T>::from_json(Some(&value)).describe("never", |value| value.to_string())
    }

    #[test]
    fn only_null_and_the_servers_words_for_none_are_never() {
        for (value, expected) in [
            (json!("2027-12-31T23:59:59Z"), "2027-12-31T23:59:59Z"),
            (json!("2027-12-31T23:59:59.5+02:00"), "2027-12-31T21:59:59.5Z"),
            (json!(null), "never"),
            (json!(1_830_297_599), "1830297599"),
            (json!("2027-12-31"), "2027-12-31"),
            (json!("2027-12-31T23:59:59"), "2027-12-31T23:59:59"),
            (json!(""), "unknown"),
            (json!(false), "false"),
            (json!("a\u{1b}[2J"), "a[2J"),
        ] {
            assert_eq!(described::<Timestamp>(value.clone()), expected, "{value}");
        }
        assert_eq!(Reported::<f64>::Missing.describe("none", |usd| usd.to_string()), "unknown");
        for (value, expected) in
            [(json!("12.5"), "12.5"), (json!("lots"), "lots"), (json!(1e300), "1e+300")]
        {
            assert_eq!(described::<f64>(value), expected);
        }
        let reset = |word: Value| Reported::<ResetInterval>::from_json(Some(&word));
        assert_eq!(reset(json!("yearly")), Reported::Other("yearly".into()));
        assert_eq!(reset(json!("never")), Reported::None);
        assert_eq!(reset(json!("weekly")), Reported::Value(ResetInterval::Weekly));
    }

    #[test]
    fn every_form_survives_a_file() {
        for value in [
            json!(null),
            json!(1_830_297_599),
            json!("soon"),
            json!([1]),
            json!({"at": 1}),
            json!(true),
            json!("2027-12-31T00:00:00Z"),
        ] {
            let reported = Reported::<Timestamp>::from_json(Some(&value));
            let written = serde_json::to_value(&reported).unwrap();
            assert_eq!(serde_json::from_value::<Reported<Timestamp>>(written).unwrap(), reported);
        }
    }
}
