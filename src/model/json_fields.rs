//! Fields of a JSON object, read as what they must be. A field that is null counts as missing.

use serde_json::{Map, Value};

use crate::error::{self, Error, Result};

/// The fields of a JSON object.
pub(super) type Fields = Map<String, Value>;

/// A value, shortened for an error message.
pub(super) fn shortened(value: &Value) -> String {
    error::shortened(&value.to_string(), 60)
}

/// The value of a field that is neither missing nor null.
pub(super) fn given<'a>(fields: &'a Fields, field: &str) -> Option<&'a Value> {
    fields.get(field).filter(|value| !value.is_null())
}

/// A whole number.
pub(super) fn size(fields: &Fields, field: &str, default: u32) -> Result<u32> {
    let Some(value) = given(fields, field) else { return Ok(default) };
    let whole = value.as_u64().and_then(|v| u32::try_from(v).ok());
    whole.ok_or_else(|| Error::config(field, format!("is {}, and must be a whole number below 2^32", shortened(value))))
}

/// A number, if it is given.
pub(super) fn number(fields: &Fields, field: &str) -> Result<Option<f64>> {
    let Some(value) = given(fields, field) else { return Ok(None) };
    value.as_f64().map(Some).ok_or_else(|| Error::config(field, format!("is {}, and must be a number", shortened(value))))
}

/// A number.
pub(super) fn real(fields: &Fields, field: &str, default: f64) -> Result<f64> {
    Ok(number(fields, field)?.unwrap_or(default))
}

/// True or false.
pub(super) fn flag(fields: &Fields, field: &str, default: bool) -> Result<bool> {
    let Some(value) = given(fields, field) else { return Ok(default) };
    value.as_bool().ok_or_else(|| Error::config(field, format!("is {}, and must be true or false", shortened(value))))
}

/// An object, if it is given.
pub(super) fn object<'a>(fields: &'a Fields, field: &str) -> Result<Option<&'a Fields>> {
    match given(fields, field) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(other) => Err(Error::config(field, format!("is {}, and must be an object", shortened(other)))),
    }
}

/// Is a value one that switches nothing on?
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
