//! Questions to the planner, and its answers.

use leptos::prelude::*;

use crate::gpu::DeviceSpeed;
use crate::web::form::Field;
use crate::web::memory_curve::{FromPlanner, ToPlanner, Topic};
use crate::web::page::state::{Phase, Predicted, State};
use crate::web::question::Question;
use crate::web::route::Route;

impl State {
    /// Asks the planner whenever the form or the model that is shown becomes another.
    pub fn follow_planner(self) {
        let planner = self.planner;
        // The trainer's start comes first: it is what a visitor waits for.
        let is_open = Memo::new(move |_| self.run.phase.get() != Phase::Loading);
        Effect::new(move |_| {
            if let Some(question) = planner.own_question.get().filter(|_| is_open.get()) {
                self.ask_planner(Topic::Own, question);
            }
        });
        Effect::new(move |_| {
            let own = planner.own_question.get();
            if let Some(question) = planner.question.get().filter(|question| is_open.get() && own.as_ref() != Some(question)) {
                self.ask_planner(Topic::Shown, question);
            }
        });
        Effect::new(move |_| {
            let speed = match planner.predicted() {
                Predicted::Here => self.device.ceilings.get().map(DeviceSpeed::from),
                Predicted::Class(class) => Some(class.speed()),
            };
            let is_shown = self.shell.route.get() == Route::Reach;
            if let (Some(question), Some(speed)) = (planner.question.get().filter(|_| is_shown && is_open.get()), speed) {
                self.ask_planner(Topic::Times(planner.shown_length(), speed, planner.network()), question.clone());
                // The frontier is that of one machine.
                if question.machines == 1 {
                    self.ask_planner(Topic::Frontier(planner.shown_length(), speed), question);
                }
            }
        });
        // A choice that was made is the form's until the visitor changes it.
        Effect::new(move |_| {
            self.settings.form.track();
            let is_the_forms = |choice: &Option<_>| choice.is_some_and(|(_, tokens)| self.settings.seq_len() == Some(tokens));
            planner.chosen.update_untracked(|chosen| *chosen = chosen.filter(is_the_forms));
            planner.chosen.notify();
        });
    }

    /// Lets the planner choose a strategy.
    pub fn choose_strategy(self, topic: Topic) {
        if let Some(question) = self.planner.own_question.get_untracked() {
            self.planner.is_choosing.set(true);
            self.planner.chosen.set(None);
            self.ask_planner(topic, question);
        }
    }

    fn ask_planner(self, topic: Topic, question: Question) {
        let planner = self.planner;
        let number = planner.asked.with_untracked(|asked| asked[topic.slot()]) + 1;
        planner.asked.update(|asked| asked[topic.slot()] = number);
        // The next question starts another one.
        planner.worker.start(move |message, _, _| self.on_planner(message), move |_| planner.is_choosing.set(false));
        planner.worker.send(&ToPlanner { topic, number, question });
    }

    fn on_planner(self, message: FromPlanner) {
        let planner = self.planner;
        let newest = planner.asked.get_untracked();
        match message {
            FromPlanner::Charted(topic, number, chart) if number == newest[topic.slot()] => {
                let answer = if topic == Topic::Own { planner.own } else { planner.shown };
                answer.set(Some((number, chart)));
            }
            FromPlanner::Chosen(number, choice) if number == newest[Topic::Longest.slot()] => {
                planner.is_choosing.set(false);
                if let Some((strategy, tokens)) = choice.filter(|_| !self.run.has_run.get_untracked()) {
                    self.settings.form.update(|form| {
                        form.set_strategy(strategy);
                        form.set(Field::SeqLen, tokens);
                    });
                }
                planner.chosen.set(Some(choice));
            }
            FromPlanner::Timed(number, times, of_machines) => {
                planner.times.set(Some((number, times)));
                planner.of_machines.set(of_machines);
            }
            FromPlanner::Frontier(number, points) => planner.frontier.set((number, points)),
            FromPlanner::Charted(..) | FromPlanner::Chosen(..) => {}
        }
    }
}
