//! The form as the names and values of a link.

use super::{Field, Form, ObjectiveChoice, SourceChoice};
use crate::model::{Config, Projection};
use crate::step::{DpoLossType, GrpoLossType};
use crate::web::model_protocol::Vocabulary;

impl Form {
    /// What differs from the first form, as names and values for a link.
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let first = Form { objective: ObjectiveChoice::Sft, ..Form::first_of(self.objective) };
        let fixed = [
            ("source", self.source.name().to_owned(), first.source.name().to_owned()),
            ("objective", self.objective.name().to_owned(), first.objective.name().to_owned()),
            ("loss_type", self.loss_type.name().to_owned(), first.loss_type.name().to_owned()),
            ("grpo_loss_type", self.grpo_loss_type.name().to_owned(), first.grpo_loss_type.name().to_owned()),
            ("preset", self.preset.clone(), first.preset.clone()),
            ("strategy", self.strategy.name().to_owned(), first.strategy.name().to_owned()),
            ("save_activations", self.saved_activations.to_string(), first.saved_activations.to_string()),
            ("offload", self.offload.to_string(), first.offload.to_string()),
            ("adaptive_chunks", self.adaptive_chunks.to_string(), first.adaptive_chunks.to_string()),
            ("activation_dtype", self.activation_dtype.name().to_owned(), first.activation_dtype.name().to_owned()),
            ("vocabulary", self.vocabulary.name().to_owned(), first.vocabulary.name().to_owned()),
            ("tied", self.tied.to_string(), first.tied.to_string()),
            ("lora", self.has_adapters.to_string(), first.has_adapters.to_string()),
            ("targets", names(&self.targets), names(&first.targets)),
            ("rslora", self.use_rslora.to_string(), first.use_rslora.to_string()),
            ("frozen", self.frozen.name().to_owned(), first.frozen.name().to_owned()),
        ];
        let typed = Field::ALL.iter().map(|&field| (field.name(), self.get(field).to_owned(), first.get(field).to_owned()));
        [self.config_pair(&first)]
            .into_iter()
            .chain(fixed)
            .chain(typed)
            .filter(|(_, value, first)| value != first)
            .map(|(name, value, _)| (name, value))
            .collect()
    }

    /// What no control shows of a model: all of it, where it is not as in the first form.
    fn config_pair(&self, first: &Form) -> (&'static str, String, String) {
        let mut bare = Form { tied: self.tied, ..first.clone() };
        Field::ALL.iter().for_each(|&field| bare.set(field, self.get(field)));
        let own = self.config().unwrap_or_else(|_| self.model.clone());
        let is_shown = self.model == first.model || bare.config().is_ok_and(|shown| shown == own);
        let one_line = |json: String| json.lines().map(str::trim).collect::<String>();
        ("config", if is_shown { String::new() } else { one_line(own.to_json()) }, String::new())
    }

    /// The first form, changed by the names and values of a link. What is not known is left out.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Form {
        let pairs: Vec<(String, String)> = pairs.into_iter().collect();
        let objective =
            pairs.iter().filter(|(name, _)| name == "objective").filter_map(|(_, name)| ObjectiveChoice::named(name)).next_back();
        let mut form = Form::first_of(objective.unwrap_or(ObjectiveChoice::Sft));
        for (name, value) in pairs {
            match name.as_str() {
                "source" => form.set_source(SourceChoice::named(&value).unwrap_or(form.source)),
                "loss_type" => form.loss_type = DpoLossType::named(&value).unwrap_or(form.loss_type),
                "grpo_loss_type" => form.grpo_loss_type = GrpoLossType::named(&value).unwrap_or(form.grpo_loss_type),
                "preset" => form.preset = value,
                "strategy" => form.strategy = value.parse().unwrap_or(form.strategy),
                "save_activations" => form.saved_activations = value.parse().unwrap_or(form.saved_activations),
                "offload" => form.offload = value == "true",
                "adaptive_chunks" => form.adaptive_chunks = value == "true",
                "activation_dtype" => form.set_activation_dtype(&value),
                "config" => Config::from_json(&value).iter().for_each(|config| form.set_config(config)),
                "vocabulary" => form.vocabulary = Vocabulary::named(&value).unwrap_or(form.vocabulary),
                "tied" => form.tied = value == "true",
                "lora" => form.has_adapters = value == "true",
                "targets" => form.targets = value.split(',').filter_map(Projection::named).collect(),
                "rslora" => form.use_rslora = value == "true",
                "frozen" => form.set_frozen(&value),
                _ => {
                    let field = Field::ALL.iter().find(|field| field.name() == name);
                    field.iter().for_each(|&&field| form.set(field, &value));
                }
            }
        }
        form
    }
}

fn names(targets: &[Projection]) -> String {
    targets.iter().map(|target| target.name()).collect::<Vec<_>>().join(",")
}
