//! The step that is planned, and the moment of it that is shown.

use std::sync::Arc;

use leptos::prelude::*;

use super::settings::Settings;
use crate::step::{Granularity, Limits, StrategyKind};
use crate::web::charts::{Planned, StepGrid, Timeline};
use crate::web::form::Plan;
use crate::web::protocol::TensorView;

/// The step under every strategy, in the order of [`StrategyKind::ALL`], and the chosen one's grid.
pub struct Plans {
    pub plan: Plan,
    pub all: [Planned; 3],
    pub timelines: [Timeline; 3],
    pub grid: StepGrid,
    flops: u64,
}

impl Plans {
    fn of(plan: &Plan, limits: Limits) -> Self {
        let planned = |kind| Planned::new(plan.objective, &plan.spec, &plan.shape, plan.strategy.of_kind(kind, plan.chunks), limits);
        let all = StrategyKind::ALL.map(planned);
        let timelines = [0, 1, 2].map(|i| Timeline::of(&all[i]));
        let grid = StepGrid::of(&all[plan.strategy.kind as usize]);
        let flops = all[plan.strategy.kind as usize].program().step_cost().flops;
        Plans { plan: plan.clone(), all, timelines, grid, flops }
    }

    /// The arithmetic of the chosen step.
    pub fn flops(&self) -> u64 {
        self.flops
    }

    /// The step as it was chosen.
    pub fn chosen(&self) -> &Planned {
        &self.all[self.plan.strategy.kind as usize]
    }

    /// Its memory through time.
    pub fn timeline(&self) -> &Timeline {
        &self.timelines[self.plan.strategy.kind as usize]
    }
}

/// How the plan is played.
#[derive(Clone, Copy)]
pub struct Film {
    /// The way it goes, while it does.
    pub playing: RwSignal<Option<Direction>>,
    pub stride: RwSignal<Granularity>,
    /// The place of the speed's slider.
    pub speed: RwSignal<usize>,
}

/// Which way a film goes.
#[derive(Clone, Copy, PartialEq)]
pub enum Direction {
    Forward,
    Back,
}

/// The pictures of the step.
#[derive(Clone, Copy)]
pub struct StepState {
    /// The pictures' numbers, or what is wrong with the form.
    pub plans: Memo<Result<Arc<Plans>, String>>,
    /// The lengths of the sequences of the batch at work, where they are packed as they come.
    pub packed: RwSignal<Option<Vec<u32>>>,
    /// Bytes by which the visitor's last change moved the peak.
    pub change: RwSignal<Option<i64>>,
    /// The turn that comes next, as the device told; 0 between steps.
    live: RwSignal<u64>,
    /// The turn that the visitor went to, if it is not the device's.
    pub cursor: RwSignal<Option<u64>>,
    /// The turn that the visitor points at.
    pub pointed: RwSignal<Option<u64>>,
    /// The numbers that were looked at last.
    pub inspected: RwSignal<Option<TensorView>>,
    /// Is only that shown through time which grows with the sequence?
    pub without_model: RwSignal<bool>,
    /// How slow motion goes: the stride, and the place of the speed's slider.
    pub pace: RwSignal<(Granularity, usize)>,
    pub film: Film,
}

impl StepState {
    pub fn new(settings: Settings, live: RwSignal<u64>) -> Self {
        let limits = Memo::new(move |_| settings.adapter.with(|adapter| adapter.limits));
        // While a field is wrong, the pictures of the last plan stay.
        let plans = move |before: Option<&Result<Arc<Plans>, String>>| match (settings.plan.get(), before) {
            (Ok(plan), _) => Ok(Arc::new(Plans::of(&plan, limits.get()))),
            (Err(_), Some(Ok(before))) => Ok(before.clone()),
            (Err(message), _) => Err(message),
        };
        StepState {
            // Made anew only when the plan or the limits are others, and then it is another picture.
            plans: Memo::new_with_compare(plans, |_, _| true),
            packed: RwSignal::new(None),
            change: RwSignal::new(None),
            live,
            cursor: RwSignal::new(None),
            pointed: RwSignal::new(None),
            inspected: RwSignal::new(None),
            without_model: RwSignal::new(false),
            pace: RwSignal::new((Granularity::Operation, 3)),
            film: Film { playing: RwSignal::new(None), stride: RwSignal::new(Granularity::Chunk), speed: RwSignal::new(2) },
        }
    }

    /// Notes from now on by how much the visitor moves the peak.
    pub fn follow_changes(self) {
        Effect::new(move |before: Option<Option<u64>>| {
            let now = self.peak_bytes();
            if let (Some(Some(before)), Some(now)) = (before, now) {
                self.change.set(Some(now as i64 - before as i64));
            }
            now
        });
    }

    /// The bytes of the chosen step at its peak.
    pub fn peak_bytes(self) -> Option<u64> {
        self.plans.with(|plans| plans.as_ref().ok().map(|plans| plans.chosen().peak_bytes()))
    }

    /// The turn that pictures show: the visitor's, or the device's last, or the peak.
    pub fn shown_turn(self) -> u64 {
        let plans = self.plans.get();
        let Ok(plans) = &plans else { return 0 };
        let last = plans.timeline().turns - 1;
        match (self.pointed.get().or(self.cursor.get()), self.live.get()) {
            (Some(cursor), _) => cursor.min(last),
            (None, 0) => plans.chosen().peak_turn(),
            (None, next) => (next - 1).min(last),
        }
    }

    /// [`StepState::shown_turn`] for something that happens once.
    pub fn shown_turn_untracked(self) -> u64 {
        untrack(|| self.shown_turn())
    }
}
