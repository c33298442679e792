//! The rotary embeddings in a `config.json`: `rope_parameters`, as transformers 5 writes them, or `rope_theta` and `rope_scaling`.

use serde_json::{Value, json};

use super::config_fields::unknown;
use super::json_fields::{Fields, flag, given, is_empty, number, object, real, shortened};
use super::{Config, Family, Rope, RopeScaling};
use crate::error::{Error, Result};

pub(super) const SLIDING: &str = "sliding_attention";
pub(super) const FULL: &str = "full_attention";

/// What `rope_parameters` and `rope_scaling` may hold. As in `transformers`, a number that its type does not use means nothing.
#[rustfmt::skip]
const KEYS: [&str; 15] = [
    "rope_theta", "rope_type", "type", "partial_rotary_factor", "factor", "original_max_position_embeddings", "attention_factor", "beta_fast",
    "beta_slow", "mscale", "mscale_all_dim", "truncate", "low_freq_factor", "high_freq_factor", "finetuned",
];

/// The lengths that a model was made for, which some types of scaling take from outside `rope_parameters`.
#[derive(Clone, Copy)]
struct Lengths {
    max_position_embeddings: f64,
    original_max_position_embeddings: Option<f64>,
}

/// The rotary embeddings of layers with full attention and of those with a sliding window.
pub(super) fn read(fields: &Fields, family: &Family, max_position_embeddings: u32) -> Result<[Rope; 2]> {
    check_partial(fields, "partial_rotary_factor")?;
    let max_position_embeddings = f64::from(max_position_embeddings);
    if family.has_local_rope {
        // transformers gives these layers max_position_embeddings, whatever original_max_position_embeddings beside it says.
        return by_kind_of_layer(fields, family, Lengths { max_position_embeddings, original_max_position_embeddings: None });
    }
    let original_max_position_embeddings = number(fields, "original_max_position_embeddings")?;
    let lengths = Lengths { max_position_embeddings, original_max_position_embeddings };
    let theta = real(fields, "rope_theta", family.defaults.rope_theta)?;
    let one = |field: &str, parameters: &Fields| rope(field, parameters, theta, lengths);
    let scaled = object(fields, "rope_scaling")?.filter(|scaling| !scaling.is_empty());
    let scaled = scaled.map(|scaling| one("rope_scaling", scaling)).transpose()?;
    let newer = object(fields, "rope_parameters")?.map(|parameters| one("rope_parameters", parameters)).transpose()?;
    let rope = agreed(scaled, newer)?.unwrap_or(Rope::plain(theta));
    Ok([rope, rope])
}

/// One entry of `rope_parameters` for each kind of layer; `rope_scaling` is for those with full attention.
fn by_kind_of_layer(fields: &Fields, family: &Family, lengths: Lengths) -> Result<[Rope; 2]> {
    let empty = Fields::new();
    let all = object(fields, "rope_parameters")?.unwrap_or(&empty);
    if let Some((key, value)) = all.iter().find(|(key, value)| !is_empty(value) && ![FULL, SLIDING].contains(&key.as_str())) {
        return Err(unknown(&format!("rope_parameters.{key}"), value));
    }
    let theta = real(fields, "rope_theta", family.defaults.rope_theta)?;
    let local_theta = real(fields, "rope_local_base_freq", family.defaults.local_rope_theta)?;
    let one = |kind: &str, theta: f64| {
        let parameters = object(all, kind).map_err(|error| within("rope_parameters", error))?;
        let field = format!("rope_parameters.{kind}");
        parameters.map(|parameters| truncated(&field, parameters).and_then(|()| rope(&field, parameters, theta, lengths))).transpose()
    };
    let full = one(FULL, theta)?;
    let scaling = object(fields, "rope_scaling")?.filter(|scaling| !scaling.is_empty());
    if let Some(kind) = scaling.and_then(|scaling| scaling.get("type").filter(|_| !scaling.contains_key("rope_type"))) {
        let kind = shortened(kind);
        return Err(Error::config(
            "rope_scaling.type",
            format!("is {kind}, which transformers passes over in this family: name it rope_type"),
        ));
    }
    // What it does not say, rope_parameters say.
    let theta_of_full = full.map_or(theta, |full| full.theta);
    let scaled = scaling.map(|scaling| {
        truncated("rope_scaling", scaling)?;
        rope("rope_scaling", scaling, theta_of_full, lengths)
    });
    let full = agreed(scaled.transpose()?, full)?.unwrap_or(Rope::plain(theta));
    Ok([full, one(SLIDING, local_theta)?.unwrap_or(Rope::plain(local_theta))])
}

/// `rope_scaling` replaces `rope_parameters` in transformers, with whatever base stands beside it. Both may be there if they agree, or if
/// the one adds scaling to the other, which has none.
fn agreed(scaled: Option<Rope>, newer: Option<Rope>) -> Result<Option<Rope>> {
    match (scaled, newer) {
        (Some(scaled), Some(newer)) if scaled != newer && (newer.scaling != RopeScaling::None || newer.theta != scaled.theta) => {
            let problem = "and rope_parameters say different things: keep rope_parameters alone, with rope_theta and rope_type in it";
            Err(Error::config("rope_scaling", problem))
        }
        _ => Ok(scaled.or(newer)),
    }
}

/// transformers does not read `truncate` where each kind of layer has parameters of its own.
fn truncated(field: &str, parameters: &Fields) -> Result<()> {
    match flag(parameters, "truncate", true).map_err(|error| within(field, error))? {
        true => Ok(()),
        false => Err(Error::config(format!("{field}.truncate"), "is false, which transformers passes over in this family; take it out")),
    }
}

fn check_partial(parameters: &Fields, field: &str) -> Result<()> {
    match real(parameters, "partial_rotary_factor", 1.0)? {
        1.0 => Ok(()),
        other => Err(Error::config(field, format!("is {other}, and only 1 is supported"))),
    }
}

/// An error about a field inside another one.
fn within(field: &str, error: Error) -> Error {
    match error {
        Error::Config { field: inner, problem } => Error::config(format!("{field}.{inner}"), problem),
        other => other,
    }
}

/// One rotary embedding. `theta` is its base if the parameters have none.
fn rope(field: &str, parameters: &Fields, theta: f64, lengths: Lengths) -> Result<Rope> {
    let read = || -> Result<Rope> {
        check_partial(parameters, "partial_rotary_factor")?;
        let scaling = scaling(parameters, lengths)?;
        match parameters.iter().find(|(key, value)| !KEYS.contains(&key.as_str()) && !is_empty(value)) {
            Some((key, value)) => Err(unknown(key, value)),
            None => Ok(Rope { theta: real(parameters, "rope_theta", theta)?, scaling }),
        }
    };
    read().map_err(|error| within(field, error))
}

fn scaling(parameters: &Fields, lengths: Lengths) -> Result<RopeScaling> {
    let needed = |name: &str| number(parameters, name)?.ok_or_else(|| Error::config(name, "is missing"));
    let original = || -> Result<f64> {
        let own = number(parameters, "original_max_position_embeddings")?;
        Ok(lengths.original_max_position_embeddings.or(own).unwrap_or(lengths.max_position_embeddings))
    };
    let kind = given(parameters, "rope_type").or_else(|| given(parameters, "type"));
    match kind.map(|kind| kind.as_str().unwrap_or("")) {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: needed("factor")? }),
        Some("dynamic") => Ok(RopeScaling::Dynamic { factor: needed("factor")? }),
        Some("llama3") => Ok(RopeScaling::Llama3 {
            factor: needed("factor")?,
            low_freq_factor: needed("low_freq_factor")?,
            high_freq_factor: needed("high_freq_factor")?,
            original_max_position_embeddings: original()?,
        }),
        Some("yarn") => {
            let original = original()?;
            let factor = match parameters.get("factor") {
                Some(Value::Null) => lengths.max_position_embeddings / original,
                _ => needed("factor")?,
            };
            yarn(parameters, factor, original)
        }
        Some(_) => {
            let kind = shortened(kind.expect("there is one"));
            Err(Error::config("rope_type", format!("is {kind}; default, linear, dynamic, llama3 and yarn are supported")))
        }
    }
}

fn yarn(parameters: &Fields, factor: f64, original_max_position_embeddings: f64) -> Result<RopeScaling> {
    // As in transformers: zero stands for the default.
    let optional = |name: &str| -> Result<Option<f64>> { Ok(number(parameters, name)?.filter(|&value| value != 0.0)) };
    let scale = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
    let suggested = match (optional("mscale")?, optional("mscale_all_dim")?) {
        (Some(mscale), Some(mscale_all_dim)) => scale(mscale) / scale(mscale_all_dim),
        _ => scale(1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        original_max_position_embeddings,
        attention_factor: real(parameters, "attention_factor", suggested)?,
        beta_fast: optional("beta_fast")?.unwrap_or(32.0),
        beta_slow: optional("beta_slow")?.unwrap_or(1.0),
        truncate: flag(parameters, "truncate", true)?,
    })
}

/// An integer if the number has no fraction: `transformers` requires it in some fields.
pub(super) fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
}

/// Adds the rotary embeddings to a `config.json`, in the older form, which all versions of transformers read; where it has no place for
/// them, in the newer one.
pub(super) fn write(config: &Config, map: &mut Value) {
    let has_local = config.family().has_local_rope;
    if has_local && config.local_rope.scaling != RopeScaling::None {
        map["rope_parameters"] = json!({ FULL: config.rope.to_json(), SLIDING: config.local_rope.to_json() });
        return;
    }
    map["rope_theta"] = json!(config.rope.theta);
    if config.rope.scaling != RopeScaling::None {
        map["rope_scaling"] = config.rope.scaling.to_json();
    }
    if has_local {
        map["rope_local_base_freq"] = json!(config.local_rope.theta);
    }
}

impl Rope {
    /// As in `rope_parameters`.
    fn to_json(self) -> Value {
        let mut parameters = self.scaling.to_json();
        parameters["rope_theta"] = json!(self.theta);
        parameters
    }
}

impl RopeScaling {
    /// As in `rope_scaling`.
    fn to_json(self) -> Value {
        match self {
            RopeScaling::None => json!({ "rope_type": "default" }),
            RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            RopeScaling::Dynamic { factor } => json!({ "rope_type": "dynamic", "factor": factor }),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": whole(original_max_position_embeddings),
            }),
            RopeScaling::Yarn { factor, original_max_position_embeddings, attention_factor, beta_fast, beta_slow, truncate } => json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": whole(original_max_position_embeddings),
                "attention_factor": attention_factor,
                "beta_fast": beta_fast,
                "beta_slow": beta_slow,
                "truncate": truncate,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelType;

    fn of(model_type: ModelType, more: Value) -> Result<[Rope; 2]> {
        let Value::Object(fields) = more else { panic!("an object") };
        read(&fields, model_type.family(), 512)
    }

    fn yarn_of(more: Value) -> RopeScaling {
        let mut scaling = json!({ "rope_type": "yarn", "factor": 4.0 });
        scaling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of(ModelType::Llama, json!({ "rope_scaling": scaling })).unwrap()[0].scaling
    }

    #[test]
    fn yarn_has_the_defaults_of_transformers() {
        let plain = RopeScaling::Yarn {
            factor: 4.0,
            original_max_position_embeddings: 512.0,
            attention_factor: 1.138_629_436_111_989,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
        };
        assert_eq!(yarn_of(json!({})), plain);
        assert_eq!(yarn_of(json!({ "attention_factor": null, "beta_fast": 0, "mscale": 0.7, "finetuned": true })), plain);
        let RopeScaling::Yarn { attention_factor, beta_slow, truncate, .. } =
            yarn_of(json!({ "mscale": 0.7, "mscale_all_dim": 0.5, "beta_slow": 2, "truncate": false }))
        else {
            panic!("it is yarn");
        };
        assert!((attention_factor - 1.097_040_605 / 1.069_314_718).abs() < 1e-9);
        assert_eq!((beta_slow, truncate), (2.0, false));
        // A factor of null is that of the lengths.
        let ratio = yarn_of(json!({ "factor": null, "original_max_position_embeddings": 128 }));
        assert!(matches!(ratio, RopeScaling::Yarn { factor: 4.0, original_max_position_embeddings: 128.0, .. }));
    }

    /// Case by case what transformers makes of them.
    #[test]
    fn rope_scaling_goes_before_rope_parameters() {
        let yarn = json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128 });
        let both = |theta: f64| {
            of(ModelType::Qwen3, json!({ "rope_scaling": yarn, "rope_parameters": { "rope_type": "default", "rope_theta": theta } }))
        };
        assert!(matches!(both(1e4).unwrap()[0], Rope { theta: 1e4, scaling: RopeScaling::Yarn { .. } }));
        assert!(both(1e6).unwrap_err().to_string().contains("rope_scaling and rope_parameters say different things"));
        let linear = json!({ "rope_type": "linear", "factor": 2.0 });
        assert!(of(ModelType::Llama, json!({ "rope_scaling": yarn, "rope_parameters": linear })).is_err());
        let same = of(ModelType::Llama, json!({ "rope_scaling": linear, "rope_parameters": linear, "rope_theta": 9.0 })).unwrap();
        assert_eq!(same[0], Rope { theta: 9.0, scaling: RopeScaling::Linear { factor: 2.0 } });
        let [full, local] = of(ModelType::Gemma3Text, json!({ "rope_scaling": linear, "rope_local_base_freq": 5.0 })).unwrap();
        assert_eq!((full, local), (Rope { theta: 1e6, scaling: RopeScaling::Linear { factor: 2.0 } }, Rope::plain(5.0)));
    }

    #[test]
    fn lengths_beside_the_parameters_count() {
        let yarn = json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128 });
        let fields = json!({ "rope_scaling": yarn, "original_max_position_embeddings": 64 });
        let original = |rope: Rope| match rope.scaling {
            RopeScaling::Yarn { original_max_position_embeddings, .. } => original_max_position_embeddings,
            other => panic!("{other:?}"),
        };
        assert_eq!(original(of(ModelType::Llama, fields.clone()).unwrap()[0]), 64.0);
        assert_eq!(original(of(ModelType::Gemma3Text, fields).unwrap()[0]), 128.0);
    }

    #[test]
    fn what_transformers_passes_over_is_refused_by_name() {
        let cases = [
            (ModelType::Llama, json!({ "rope_parameters": { "full_attention": { "rope_theta": 5.0 } } }), "full_attention"),
            (ModelType::Llama, json!({ "rope_scaling": { "rope_type": "linear", "factor": 2, "mrope_section": [1] } }), "mrope_section"),
            (ModelType::Llama, json!({ "rope_scaling": { "rope_type": "longrope", "short_factor": [1] } }), "longrope"),
            (ModelType::Llama, json!({ "rope_scaling": { "rope_type": "yarn" } }), "rope_scaling.factor is missing"),
            (ModelType::Llama, json!({ "rope_scaling": "yarn" }), "rope_scaling"),
            (ModelType::Llama, json!({ "partial_rotary_factor": 0.5 }), "partial_rotary_factor"),
            (ModelType::Gemma3Text, json!({ "rope_parameters": { "rope_theta": 5.0 } }), "rope_parameters.rope_theta"),
            (ModelType::Gemma3Text, json!({ "rope_scaling": { "type": "linear", "factor": 2 } }), "rope_scaling.type"),
            (ModelType::Gemma3Text, json!({ "rope_parameters": { "sliding_attention": { "truncate": false } } }), "truncate"),
        ];
        for (model_type, fields, named) in cases {
            let error = of(model_type, fields).unwrap_err().to_string();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}
