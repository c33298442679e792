//! Recognises quantised weights, which are not read, by the names and dtypes of tensors.

use safetensors::Dtype;
use serde_json::Value;

use super::config_file::ConfigFile;

/// Words in the names of tensors that only quantised weights have, and what makes them.
const MARKS: [(&str, &[&str]); 7] = [
    ("bitsandbytes, 4 bits", &["absmax", "nested_absmax", "quant_map", "nested_quant_map", "quant_state"]),
    ("bitsandbytes, 8 bits", &["SCB", "weight_format"]),
    ("GPTQ or AWQ", &["qweight", "qzeros", "g_idx"]),
    ("FP8 or compressed-tensors", &["weight_scale", "weight_scale_inv", "input_scale", "weight_packed", "weight_zero_point"]),
    ("MLX", &["scales", "biases"]),
    ("AQLM", &["codes", "codebooks"]),
    ("HQQ or Quanto", &["W_q", "_data", "_scale"]),
];

/// The tensor by which weights are recognised as quantised, and what quantised them. A `config.json` alone proves nothing: it may have been
/// left over when the weights were written anew.
pub(super) fn quantised<'a>(config: &ConfigFile, tensors: impl Iterator<Item = (&'a str, Dtype)>) -> Option<(&'a str, String)> {
    let marked = |name: &str| {
        let made_by = |(_, words): &&(&str, &[&str])| name.split('.').any(|word| words.contains(&word));
        MARKS.iter().find(made_by).map(|(method, _)| *method)
    };
    let by_dtype = |dtype| match dtype {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::F8_E8M0 | Dtype::F8_E4M3FNUZ | Dtype::F8_E5M2FNUZ => Some("FP8"),
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 => Some("a format of 4 or 6 bits"),
        Dtype::I8 | Dtype::U8 | Dtype::I32 | Dtype::U32 if config.quantization.is_some() => Some("whole numbers"),
        _ => None,
    };
    let mut found = tensors.filter_map(|(name, dtype)| Some((name, marked(name).or_else(|| by_dtype(dtype))?)));
    let (name, method) = found.next()?;
    Some((name, config.quantization.as_ref().and_then(method_in_config).unwrap_or_else(|| method.to_owned())))
}

/// What quantised the weights, as `config.json` says.
fn method_in_config((field, value): &(&str, Value)) -> Option<String> {
    let flag = |field: &str| value.get(field).is_some_and(|value| value == true);
    let method = match value.get("quant_method").and_then(Value::as_str) {
        None if *field == "quantization" => "MLX",
        Some("gptq") => "GPTQ",
        Some("awq") => "AWQ",
        Some("fp8" | "fbgemm_fp8") => return Some("FP8".to_owned()),
        method => method?,
    };
    let bits = match value.get("bits").and_then(Value::as_u64) {
        None if flag("load_in_4bit") => Some(4),
        None if flag("load_in_8bit") => Some(8),
        bits => bits,
    };
    Some(bits.map_or(method.to_owned(), |bits| format!("{method}, {bits} bits")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn method(quantization: &Value, tensors: &[(&'static str, Dtype)]) -> Option<String> {
        let config = ConfigFile::parse(quantization.to_string().into_bytes()).unwrap();
        Some(quantised(&config, tensors.iter().copied())?.1)
    }

    #[test]
    fn every_method_is_named() {
        let none = json!({});
        let with = |config: Value| json!({ "quantization_config": config });
        for (config, tensor, expected) in [
            (with(json!({ "quant_method": "bitsandbytes", "load_in_4bit": true })), ("q_proj.weight", Dtype::U8), "bitsandbytes, 4 bits"),
            (none.clone(), ("q_proj.weight.quant_state.bitsandbytes__nf4", Dtype::U8), "bitsandbytes, 4 bits"),
            (none.clone(), ("q_proj.SCB", Dtype::F32), "bitsandbytes, 8 bits"),
            (with(json!({ "quant_method": "gptq", "bits": 4 })), ("q_proj.qweight", Dtype::I32), "GPTQ, 4 bits"),
            (with(json!({ "quant_method": "awq", "bits": 4 })), ("q_proj.qzeros", Dtype::I32), "AWQ, 4 bits"),
            (none.clone(), ("q_proj.weight", Dtype::F8_E4M3), "FP8"),
            (with(json!({ "quant_method": "fp8" })), ("q_proj.weight_scale_inv", Dtype::F32), "FP8"),
            (json!({ "quantization": { "group_size": 64, "bits": 4 } }), ("q_proj.weight", Dtype::U32), "MLX, 4 bits"),
            (none.clone(), ("q_proj.scales", Dtype::F16), "MLX"),
            (with(json!({ "quant_method": "torchao" })), ("q_proj.weight", Dtype::I8), "torchao"),
        ] {
            assert_eq!(method(&config, &[("norm.weight", Dtype::BF16), tensor]).as_deref(), Some(expected), "{tensor:?}");
        }
    }

    #[test]
    fn a_field_that_was_left_over_is_no_proof() {
        let config = json!({ "quantization_config": { "quant_method": "bitsandbytes", "load_in_4bit": true } });
        assert_eq!(method(&config, &[("q_proj.weight", Dtype::BF16), ("q_proj.bias", Dtype::F32)]), None);
        assert_eq!(method(&json!({}), &[("norm.weight", Dtype::I32)]), None);
    }
}
