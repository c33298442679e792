//! What was measured, and of what.

use leptos::prelude::*;

use super::settings::Settings;
use crate::model::ModelSpec;
use crate::step::StrategyKind;
use crate::train::{Profile, VerifyReport};
use crate::web::form::Plan;

/// The times of three strategies, the roofline and the proof.
#[derive(Clone, Copy)]
pub struct Lab {
    pub compared: RwSignal<Vec<(StrategyKind, Result<f64, String>)>>,
    /// The plan whose step was timed last.
    pub timed: RwSignal<Option<Plan>>,
    pub is_profiling: RwSignal<bool>,
    pub profile: RwSignal<Option<Profile>>,
    /// The plan whose operations were timed last.
    pub profiled: RwSignal<Option<Plan>>,
    pub is_reporting: RwSignal<bool>,
    /// The report on the device, and whether it was copied.
    pub report: RwSignal<Option<(String, bool)>>,
    /// Runs of the proof that are done, of all; of none while it begins.
    pub proving: RwSignal<Option<(usize, usize)>>,
    pub proof: RwSignal<Option<VerifyReport>>,
    /// The model of the last proof.
    pub proved: RwSignal<Option<ModelSpec>>,
}

impl Lab {
    pub fn new() -> Self {
        Lab {
            compared: RwSignal::new(Vec::new()),
            timed: RwSignal::new(None),
            is_profiling: RwSignal::new(false),
            profile: RwSignal::new(None),
            profiled: RwSignal::new(None),
            is_reporting: RwSignal::new(false),
            report: RwSignal::new(None),
            proving: RwSignal::new(None),
            proof: RwSignal::new(None),
            proved: RwSignal::new(None),
        }
    }

    /// Is that the plan that was timed? The times of another would say nothing of this one.
    pub fn is_timed(self, settings: Settings) -> bool {
        self.timed.with(|timed| is_of(timed.as_ref(), settings))
    }

    /// The same of the plan whose operations were timed.
    pub fn is_profiled(self, settings: Settings) -> bool {
        self.profiled.with(|profiled| is_of(profiled.as_ref(), settings))
    }

    /// Was the form's model proved? A proof of another would be none.
    pub fn is_proved(self, settings: Settings) -> bool {
        let is_spec = |plan: &Result<Plan, String>| self.proved.with(|proved| proved.as_ref() == plan.as_ref().ok().map(|plan| &plan.spec));
        self.proved.with(Option::is_some) && settings.plan.with(is_spec)
    }
}

fn is_of(plan: Option<&Plan>, settings: Settings) -> bool {
    plan.is_some() && settings.plan.with(|now| now.as_ref().ok() == plan)
}
