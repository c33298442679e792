//! What a step minimises, as the visitor has set it.

use super::{Field, Form, ObjectiveChoice, SourceChoice};
use crate::error::{Error, Result};
use crate::step::{DpoLossType, DpoSettings, Objective};
use crate::train::Language;

impl Form {
    /// Minimises something else. A source that does not go with it gives way to one that does.
    pub fn set_objective(&mut self, objective: ObjectiveChoice) {
        self.objective = objective;
        if !self.source.goes_with(objective) {
            let language = self.source.language().unwrap_or(Language::English);
            self.set_source(match objective {
                ObjectiveChoice::Sft => SourceChoice::Stories(language),
                ObjectiveChoice::Dpo => SourceChoice::Preferences(language),
            });
        }
    }

    /// Takes another loss of a pair. Only one of them knows label smoothing.
    pub fn set_loss_type(&mut self, loss_type: DpoLossType) {
        self.loss_type = loss_type;
        if loss_type != DpoLossType::Sigmoid {
            self.set(Field::LabelSmoothing, 0);
        }
    }

    /// Takes the objective of a run.
    pub(super) fn take_objective(&mut self, objective: &Objective) {
        self.objective = ObjectiveChoice::Sft;
        if let Objective::Dpo(settings) = objective {
            self.objective = ObjectiveChoice::Dpo;
            self.set_dpo(settings);
        }
    }

    pub(super) fn set_dpo(&mut self, settings: &DpoSettings) {
        self.loss_type = settings.loss_type;
        self.set(Field::Beta, settings.beta);
        self.set(Field::LabelSmoothing, settings.label_smoothing);
    }

    /// What a step minimises.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense, or about a source that has not what it takes.
    pub(super) fn objective(&self) -> Result<Objective> {
        let name = self.source.name();
        match self.objective {
            ObjectiveChoice::Sft if self.source.goes_with(ObjectiveChoice::Sft) => Ok(Objective::CrossEntropy),
            ObjectiveChoice::Sft => Err(Error::Setting(format!(
                "{name} has pairs of answers, which only the objective dpo compares; choose that, or learn from other data"
            ))),
            ObjectiveChoice::Dpo if !self.source.goes_with(ObjectiveChoice::Dpo) => Err(Error::Setting(format!(
                "{name} has no pairs of answers, which the objective dpo compares; learn from preferences, or give rows with \"chosen\" and \"rejected\""
            ))),
            ObjectiveChoice::Dpo => {
                let (beta, label_smoothing) = (self.number(Field::Beta)?, self.number(Field::LabelSmoothing)?);
                let objective = Objective::Dpo(DpoSettings { beta, loss_type: self.loss_type, label_smoothing });
                objective.validate()?;
                Ok(objective)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::form::Adapter;
    use crate::web::protocol::Start;

    #[test]
    fn an_objective_has_a_source_that_goes_with_it() {
        let mut form = Form::default();
        form.set_source(SourceChoice::Stories(Language::Korean));
        form.set_objective(ObjectiveChoice::Dpo);
        assert_eq!(form.source, SourceChoice::Preferences(Language::Korean));
        form.set(Field::Beta, 0.5);
        form.set_loss_type(DpoLossType::Hinge);
        let run = form.run(None, Start::Seed, &Adapter::default()).unwrap();
        let expected = DpoSettings { beta: 0.5, loss_type: DpoLossType::Hinge, label_smoothing: 0.0 };
        assert_eq!(run.settings.objective, Objective::Dpo(expected));
        let plan = form.plan(&Adapter::default()).unwrap();
        assert_eq!((plan.objective, plan.shape.lengths().len()), (run.settings.objective, 2));
        assert_eq!(Form::of_run(&run).run(None, Start::Seed, &Adapter::default()).unwrap(), run);
        form.set_source(SourceChoice::Text);
        form.set_objective(ObjectiveChoice::Sft);
        assert_eq!(form.source, SourceChoice::Text, "a text may be rows of both kinds");
        form.set_source(SourceChoice::Preferences(Language::Korean));
        form.set_objective(ObjectiveChoice::Sft);
        assert_eq!(form.source, SourceChoice::Stories(Language::Korean));
    }

    #[test]
    fn what_contradicts_itself_says_what_to_do() {
        let said = |source, objective, loss_type, fields: &[(Field, &str)]| {
            let mut form = Form { source, objective, loss_type, ..Form::default() };
            fields.iter().for_each(|(field, value)| form.set(*field, value));
            form.plan(&Adapter::default()).unwrap_err().to_string()
        };
        let pairs = SourceChoice::Preferences(Language::English);
        assert!(said(SourceChoice::OwnSource, ObjectiveChoice::Dpo, DpoLossType::Sigmoid, &[]).contains("own-source has no pairs"));
        assert!(said(pairs, ObjectiveChoice::Sft, DpoLossType::Sigmoid, &[]).contains("preferences has pairs"));
        assert!(said(pairs, ObjectiveChoice::Dpo, DpoLossType::Ipo, &[(Field::LabelSmoothing, "0.1")]).contains("with ipo"));
        assert!(said(pairs, ObjectiveChoice::Dpo, DpoLossType::Sigmoid, &[(Field::Beta, "0")]).contains("beta is 0"));
    }
}
