//! What a step minimises, as the visitor has set it.

use super::{Field, Form, ObjectiveChoice, SourceChoice, rewards};
use crate::error::{Error, Result};
use crate::model::PRESETS;
use crate::step::{DpoLossType, DpoSettings, GrpoSettings, Objective};
use crate::train::{Language, RollOutSettings, Settings};
use crate::web::protocol::TaskKind;

/// What fields are at first that mean something else, or should be something else, with another objective.
fn first_fields(objective: ObjectiveChoice) -> [(Field, String); 2] {
    match objective {
        ObjectiveChoice::Sft | ObjectiveChoice::Dpo => {
            [(Field::Beta, DpoSettings::default().beta.to_string()), (Field::Batch, Settings::default().batch.to_string())]
        }
        ObjectiveChoice::Grpo => {
            let (grpo, _) = rewards::first_samples();
            [(Field::Beta, grpo.beta.to_string()), (Field::Batch, grpo.num_generations.to_string())]
        }
    }
}

impl Form {
    /// The first form with an objective.
    pub(super) fn first_of(objective: ObjectiveChoice) -> Form {
        let mut form = Form::default();
        form.exchange_objective(objective);
        form
    }

    /// A run that learns to recall from rewards, soon enough to watch it: a small model, short prompts, and answers of one token.
    pub fn learn_from_rewards() -> Form {
        let mut form = Form::first_of(ObjectiveChoice::Grpo);
        form.take_preset(&PRESETS[0]);
        form.set_source(SourceChoice::Task(TaskKind::Recall));
        let fields = [
            (Field::HiddenSize, "64"),
            (Field::IntermediateSize, "128"),
            (Field::Layers, "2"),
            (Field::Heads, "2"),
            (Field::KeyValueHeads, "2"),
            (Field::HeadDim, "32"),
            (Field::SeqLen, "26"),
            (Field::MaxCompletionLength, "2"),
            (Field::Batch, "64"),
            (Field::SftSteps, "30"),
            (Field::SftLearningRate, "0.003"),
            (Field::Steps, "330"),
            (Field::Warmup, "10"),
            (Field::LearningRate, "0.001"),
            (Field::MinLearningRate, "0.001"),
            (Field::ValidateEvery, "10"),
        ];
        fields.into_iter().for_each(|(field, value)| form.set(field, value));
        form
    }

    /// Minimises something else. A source that does not go with it gives way to one that does.
    pub fn set_objective(&mut self, objective: ObjectiveChoice) {
        self.exchange_objective(objective);
        if !self.source.goes_with(objective) {
            let told = self.source.language();
            let language = told.unwrap_or(Language::English);
            self.set_source(match objective {
                ObjectiveChoice::Sft => SourceChoice::Stories(language),
                ObjectiveChoice::Dpo => SourceChoice::Preferences(language),
                ObjectiveChoice::Grpo => told.map_or(SourceChoice::Task(TaskKind::Sort), SourceChoice::Stories),
            });
        }
    }

    /// Minimises something else. What was not changed before is as it is at first with that.
    fn exchange_objective(&mut self, objective: ObjectiveChoice) {
        for ((field, before), (_, now)) in first_fields(self.objective).into_iter().zip(first_fields(objective)) {
            if self.get(field) == before {
                self.set(field, now);
            }
        }
        self.objective = objective;
    }

    /// Takes another loss of a pair. Only one of them knows label smoothing.
    pub fn set_loss_type(&mut self, loss_type: DpoLossType) {
        self.loss_type = loss_type;
        if loss_type != DpoLossType::Sigmoid {
            self.set(Field::LabelSmoothing, 0);
        }
    }

    /// Takes the objective of a run.
    pub(super) fn take_objective(&mut self, settings: &Settings) {
        self.objective = match (&settings.objective, &settings.roll_outs) {
            (Objective::Dpo(dpo), _) => {
                self.set_dpo(dpo);
                ObjectiveChoice::Dpo
            }
            (Objective::Grpo(grpo), Some(roll_outs)) => {
                self.set_grpo(grpo, roll_outs);
                ObjectiveChoice::Grpo
            }
            _ => ObjectiveChoice::Sft,
        };
    }

    pub(super) fn set_dpo(&mut self, settings: &DpoSettings) {
        self.loss_type = settings.loss_type;
        self.set(Field::Beta, settings.beta);
        self.set(Field::LabelSmoothing, settings.label_smoothing);
    }

    pub(super) fn set_grpo(&mut self, grpo: &GrpoSettings, roll_outs: &RollOutSettings) {
        self.grpo_loss_type = grpo.loss_type;
        let reals = [(Field::Beta, grpo.beta), (Field::ClipEpsilon, grpo.epsilon), (Field::Temperature, grpo.temperature)];
        reals.into_iter().for_each(|(field, value)| self.set(field, value));
        let whole = [
            (Field::NumGenerations, grpo.num_generations),
            (Field::MaxCompletionLength, grpo.max_completion_length),
            (Field::NumIterations, roll_outs.num_iterations),
        ];
        whole.into_iter().for_each(|(field, value)| self.set(field, value));
        self.set(Field::SftSteps, roll_outs.sft_steps);
        self.set(Field::SftLearningRate, roll_outs.sft_learning_rate.map(|rate| rate.to_string()).unwrap_or_default());
        self.set(Field::Rewards, rewards::text(&roll_outs.rewards));
        self.samples = (*grpo, roll_outs.clone());
    }

    /// What a step minimises.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense, or about a source that has not what it takes.
    pub(super) fn objective(&self) -> Result<Objective> {
        let (name, goes_with) = (self.source.name(), self.source.goes_with(self.objective));
        let refused = |what: String| Err(Error::Setting(what));
        let objective = match self.objective {
            ObjectiveChoice::Sft if !goes_with => {
                return refused(format!(
                    "{name} has pairs of answers, which only the objective dpo compares; choose that, or learn from other data"
                ));
            }
            ObjectiveChoice::Dpo if !goes_with => {
                return refused(format!(
                    "{name} has no pairs of answers, which the objective dpo compares; learn from preferences, or give rows with \"chosen\" and \"rejected\""
                ));
            }
            ObjectiveChoice::Grpo if !goes_with => {
                return refused(format!(
                    "the page has no prompts of {name}, of which the objective grpo samples completions; learn from a task or from stories"
                ));
            }
            ObjectiveChoice::Sft => Objective::CrossEntropy,
            ObjectiveChoice::Dpo => {
                let (beta, label_smoothing) = (self.number(Field::Beta)?, self.number(Field::LabelSmoothing)?);
                Objective::Dpo(DpoSettings { beta, loss_type: self.loss_type, label_smoothing })
            }
            ObjectiveChoice::Grpo => Objective::Grpo(self.grpo()?),
        };
        objective.validate()?;
        Ok(objective)
    }

    fn grpo(&self) -> Result<GrpoSettings> {
        let (taken, epsilon) = (self.samples.0, self.number(Field::ClipEpsilon)?);
        let (seq_len, longest) = (self.positive(Field::SeqLen)?, self.positive(Field::MaxCompletionLength)?);
        if longest >= seq_len {
            return Err(Error::Setting(format!(
                "a sequence of {seq_len} tokens has no room for a prompt before a completion of {longest}; take longer sequences, or shorter completions"
            )));
        }
        Ok(GrpoSettings {
            beta: self.number(Field::Beta)?,
            epsilon,
            epsilon_high: if taken.epsilon_high == taken.epsilon { epsilon } else { taken.epsilon_high },
            loss_type: self.grpo_loss_type,
            temperature: self.number(Field::Temperature)?,
            max_completion_length: longest,
            num_generations: self.positive(Field::NumGenerations)?,
            has_old_log_probs: self.positive(Field::NumIterations)? > 1,
            ..taken
        })
    }

    /// The learning rate of the first steps, if they have one of their own.
    pub(super) fn sft_learning_rate(&self) -> Result<Option<f64>> {
        let is_given = !self.get(Field::SftLearningRate).trim().is_empty();
        is_given.then(|| self.number(Field::SftLearningRate)).transpose()
    }

    /// How completions are sampled and used, if the objective learns from these.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense.
    pub(super) fn roll_outs(&self) -> Result<Option<RollOutSettings>> {
        if self.objective != ObjectiveChoice::Grpo {
            return Ok(None);
        }
        let sft_steps = self.whole(Field::SftSteps)?;
        Ok(Some(RollOutSettings {
            num_iterations: self.positive(Field::NumIterations)?,
            sft_steps,
            sft_learning_rate: self.sft_learning_rate()?.filter(|_| sft_steps > 0),
            rewards: rewards::parse(self.get(Field::Rewards))?,
            ..self.samples.1.clone()
        }))
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
        form.set_objective(ObjectiveChoice::Grpo);
        assert_eq!(form.source, SourceChoice::Stories(Language::Korean), "it asks questions");
        form.set_source(SourceChoice::OwnSource);
        form.set_objective(ObjectiveChoice::Grpo);
        assert_eq!(form.source, SourceChoice::Task(TaskKind::Sort));
    }

    #[test]
    fn fields_that_were_left_alone_are_as_the_objective_has_them() {
        let mut form = Form::default();
        form.set_objective(ObjectiveChoice::Grpo);
        assert_eq!((form.get(Field::Beta), form.get(Field::Batch)), ("0", "8"));
        form.set(Field::Beta, "0.25");
        form.set_objective(ObjectiveChoice::Dpo);
        assert_eq!((form.get(Field::Beta), form.get(Field::Batch)), ("0.25", "1"));
        for (objective, beta) in [(ObjectiveChoice::Grpo, "0.1"), (ObjectiveChoice::Grpo, "0"), (ObjectiveChoice::Dpo, "0")] {
            let mut form = Form::first_of(objective);
            form.set(Field::Beta, beta);
            let pairs = form.to_pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).rev();
            assert_eq!(Form::from_pairs(pairs), form);
        }
    }

    #[test]
    fn a_run_that_learns_from_rewards_fits_and_comes_back() {
        let run = Form::learn_from_rewards().run(None, Start::Seed, &Adapter::default()).unwrap();
        let Objective::Grpo(grpo) = run.settings.objective else { panic!("{:?}", run.settings.objective) };
        assert_eq!((grpo.num_generations, grpo.max_completion_length, run.settings.batch), (8, 2, 64));
        let shape = crate::step::BatchShape::uniform(run.settings.batch, run.settings.seq_len);
        let limits = crate::step::Limits::NONE;
        crate::train::plan_within(run.settings.objective, &run.spec, &shape, run.settings.strategy, run.budget, limits).unwrap();
        let mut of_program = run.clone();
        let roll_outs = of_program.settings.roll_outs.as_mut().unwrap();
        (roll_outs.top_k, roll_outs.stop, roll_outs.num_iterations) = (7, vec![".".to_owned()], 2);
        of_program.settings.objective =
            Objective::Grpo(GrpoSettings { epsilon_high: 0.3, has_old_log_probs: true, use_bias_correction_kl: true, ..grpo });
        for run in [run, of_program] {
            assert_eq!(Form::of_run(&run).run(None, Start::Seed, &Adapter::default()).unwrap(), run);
        }
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
        let grpo = |source, fields: &[(Field, &str)]| said(source, ObjectiveChoice::Grpo, DpoLossType::Sigmoid, fields);
        let sort = SourceChoice::Task(TaskKind::Sort);
        for source in [SourceChoice::OwnSource, SourceChoice::Text, pairs] {
            assert!(grpo(source, &[]).contains("learn from a task or from stories"));
        }
        assert!(grpo(sort, &[(Field::SeqLen, "16")]).contains("a sequence of 16 tokens has no room for a prompt"));
        assert!(grpo(sort, &[(Field::Batch, "12")]).contains("no whole groups of 8"));
        assert!(grpo(sort, &[(Field::NumGenerations, "1")]).contains("a group needs 2 or more"));
        assert!(grpo(sort, &[(Field::Rewards, "answer nice")]).contains("\"nice\" is unknown"));
    }
}
